//! Seeded random streams. Every part of a corpus draws from its own stream, named by what it is
//! for, so that no part depends on the order in which the others were made.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// The generator used throughout: portable and the same on every platform.
pub(crate) type Random = ChaCha8Rng;

/// The stream for `purpose` and its indices (subject, trial, ...).
pub(crate) fn stream(seed: u64, purpose: &str, indices: &[usize]) -> Random {
    // FNV-1a over the parts, then SplitMix64 to spread them over the 256-bit key.
    let mut h = 0xcbf2_9ce4_8422_2325_u64;
    let mut eat = |bytes: &[u8]| {
        for b in bytes {
            h = (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    eat(&seed.to_le_bytes());
    eat(purpose.as_bytes());
    for i in indices {
        eat(&[0xff]);
        eat(&(*i as u64).to_le_bytes());
    }
    let mut key = [0_u8; 32];
    for chunk in key.chunks_exact_mut(8) {
        h = h.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = h;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A draw from the standard normal distribution.
pub(crate) fn normal(rng: &mut Random) -> f64 {
    rng.sample(StandardNormal)
}

/// `n` draws from the standard normal distribution.
pub(crate) fn normals(rng: &mut Random, n: usize) -> Vec<f64> {
    (0..n).map(|_| normal(rng)).collect()
}

/// A draw, uniform between `lo` and `hi`.
pub(crate) fn uniform(rng: &mut Random, lo: f64, hi: f64) -> f64 {
    lo + (hi - lo) * rng.random::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_differ_by_purpose_and_index_and_repeat_by_seed() {
        let draw =
            |seed, purpose, indices: &[usize]| normals(&mut stream(seed, purpose, indices), 4);
        assert_eq!(draw(1, "a", &[0, 1]), draw(1, "a", &[0, 1]));
        assert_ne!(draw(1, "a", &[0, 1]), draw(2, "a", &[0, 1]));
        assert_ne!(draw(1, "a", &[0, 1]), draw(1, "b", &[0, 1]));
        assert_ne!(draw(1, "a", &[0, 1]), draw(1, "a", &[1, 0]));
        assert_ne!(draw(1, "a", &[1]), draw(1, "a", &[1, 0]));
    }
}
