//! Counter-based random numbers: every draw is a pure function of (seed, stream, counter).
//!
//! Nothing is consumed, so masks and initial weights do not depend on the order of calls, on the
//! number of threads or on where a run was resumed. The mixing function is the 64-bit finaliser
//! of SplitMix64 (Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195), applied twice.

/// One stream of random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: u64,
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

#[inline(always)]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Stream {
    /// The stream named `name` of generator `seed`.
    pub fn named(seed: u64, name: &str) -> Self {
        // FNV-1a over the name, then mixed with the seed.
        let hash = name.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |h, b| {
            (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3)
        });
        Self {
            key: mix(mix(seed.wrapping_add(GOLDEN)) ^ hash),
        }
    }

    /// A child stream, for example one a training step.
    pub fn child(self, index: u64) -> Self {
        Self {
            key: mix(self.key ^ mix(index.wrapping_mul(GOLDEN).wrapping_add(GOLDEN))),
        }
    }

    /// 64 random bits at `counter`.
    #[inline(always)]
    pub fn bits(self, counter: u64) -> u64 {
        mix(mix(counter.wrapping_mul(GOLDEN) ^ self.key).wrapping_add(self.key))
    }

    /// Uniform in [0, 1) with 24 random bits, at `counter`.
    #[inline(always)]
    pub fn uniform(self, counter: u64) -> f32 {
        (self.bits(counter) >> 40) as f32 * (1.0 / 16_777_216.0)
    }

    /// Uniform in (0, 1) with 53 random bits, at `counter`.
    pub fn uniform_f64(self, counter: u64) -> f64 {
        ((self.bits(counter) >> 11) as f64 + 0.5) * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Standard normal at `counter` (Box and Muller 1958).
    pub fn normal(self, counter: u64) -> f64 {
        let (u, v) = (
            self.uniform_f64(2 * counter),
            self.uniform_f64(2 * counter + 1),
        );
        (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_pure_and_streams_differ() {
        let a = Stream::named(1, "a");
        assert_eq!(a.bits(7), Stream::named(1, "a").bits(7));
        assert_ne!(a.bits(7), a.bits(8));
        assert_ne!(a.bits(7), Stream::named(2, "a").bits(7));
        assert_ne!(a.bits(7), Stream::named(1, "b").bits(7));
        assert_ne!(a.bits(7), a.child(0).bits(7));
        assert_ne!(a.child(0).bits(7), a.child(1).bits(7));
    }

    #[test]
    fn uniform_and_normal_have_their_moments() {
        let s = Stream::named(3, "moments");
        let n = 100_000_u64;
        let mean = (0..n).map(|i| f64::from(s.uniform(i))).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 0.005, "{mean}");
        let lag = (0..n)
            .map(|i| (f64::from(s.uniform(i)) - 0.5) * (f64::from(s.uniform(i + 1)) - 0.5))
            .sum::<f64>()
            / n as f64;
        assert!(lag.abs() < 0.002, "{lag}");
        let z: Vec<f64> = (0..n).map(|i| s.normal(i)).collect();
        let mean = z.iter().sum::<f64>() / n as f64;
        let var = z.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        assert!(
            mean.abs() < 0.015 && (var - 1.0).abs() < 0.02,
            "{mean} {var}"
        );
    }
}
