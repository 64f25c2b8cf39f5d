//! Streams of several compressors, whole and damaged, against libdeflate.

use std::io::Write;

use flate2::Compression;
use mmpipe_inflate::Plan;
use proptest::prelude::*;

/// Places so near that a short stream has many.
const NEAR: Plan = Plan {
    apart: 20 << 10,
    searched: 64 << 10,
};

/// Doubles of which hardly anything repeats.
fn noise(samples: usize, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut sample = || 20.0 * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0);
    (0..samples).flat_map(|_| sample().to_le_bytes()).collect()
}

fn zlib(plain: &[u8], level: u32) -> Vec<u8> {
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), Compression::new(level));
    packer.write_all(plain).unwrap();
    packer.finish().unwrap()
}

/// Without a frame, and with an empty stored block after every `flush` bytes.
fn raw(plain: &[u8], level: u32, flush: usize) -> Vec<u8> {
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), Compression::new(level));
    for part in plain.chunks(flush) {
        packer.write_all(part).unwrap();
        packer.flush().unwrap();
    }
    packer.finish().unwrap()
}

fn libdeflate(plain: &[u8], level: i32) -> Vec<u8> {
    let level = libdeflater::CompressionLvl::new(level).unwrap();
    let mut packer = libdeflater::Compressor::new(level);
    let mut out = vec![0; packer.zlib_compress_bound(plain.len())];
    let n = packer.zlib_compress(plain, &mut out).unwrap();
    out.truncate(n);
    out
}

/// What comes out, in a buffer of just that size and in one that is larger.
fn inflated(packed: &[u8], is_zlib: bool, bytes: usize) -> Option<Vec<u8>> {
    let mut exact = vec![1; bytes];
    let n = NEAR.inflate(packed, is_zlib, &mut exact)?;
    exact.truncate(n);
    let mut larger = vec![2; bytes + 77];
    assert_eq!(NEAR.inflate(packed, is_zlib, &mut larger), Some(n));
    assert!(larger[..n] == exact);
    Some(exact)
}

fn peer(packed: &[u8], is_zlib: bool, bytes: usize) -> Option<Vec<u8>> {
    let mut out = vec![3; bytes];
    let mut state = libdeflater::Decompressor::new();
    let n = match is_zlib {
        true => state.zlib_decompress(packed, &mut out),
        false => state.deflate_decompress(packed, &mut out),
    };
    out.truncate(n.ok()?);
    Some(out)
}

#[test]
fn noise_of_any_compressor_comes_out_as_it_went_in() {
    let plain = noise(60_000, 1);
    for level in [3, 5, 7] {
        let packed = zlib(&plain, level);
        assert!(NEAR.suits(packed.len(), plain.len()));
        assert!(
            inflated(&packed, true, plain.len()).unwrap() == plain,
            "{level}"
        );
        // What follows is not looked at.
        let longer = [&packed[..], &[9; 100]].concat();
        assert!(inflated(&longer, true, plain.len()).unwrap() == plain);
        let packed = raw(&plain, level, 7_777);
        assert!(inflated(&packed, false, plain.len()).unwrap() == plain);
    }
    // Its blocks are longer.
    let packed = libdeflate(&plain, 6);
    let found = inflated(&packed, true, plain.len());
    assert!(found.is_none_or(|found| found == plain));
}

#[test]
fn copies_that_reach_before_a_place_are_made() {
    let mut plain = noise(80_000, 2);
    // From as far back as there is, of some bytes and of many, and of what they have just written.
    for at in (40_000..plain.len() - 1_000).step_by(9_001) {
        plain.copy_within(at - 32_768..at - 32_768 + 300, at);
        plain.copy_within(at - 3_000..at - 2_995, at + 400);
        plain[at + 500..at + 900].fill(7);
        let pair = [plain[at + 899], plain[at + 900]];
        plain[at + 901..at + 961]
            .chunks_exact_mut(2)
            .for_each(|c| c.copy_from_slice(&pair));
    }
    for level in [3, 5, 7] {
        let found = inflated(&zlib(&plain, level), true, plain.len());
        assert!(found.unwrap() == plain, "{level}");
    }
}

#[test]
fn stored_and_rare_blocks_between_the_others_are_read() {
    // What does not shrink at all is stored; between noise that does.
    let mut state = 1_u64;
    let hardest: Vec<u8> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    })
    .take(40_000)
    .collect();
    let plain = [noise(40_000, 3), hardest, noise(20_000, 4), vec![0; 3_000]].concat();
    for level in [3, 5, 7] {
        let found = inflated(&zlib(&plain, level), true, plain.len());
        assert!(found.unwrap() == plain, "{level}");
    }
}

#[test]
fn what_only_looks_like_a_block_is_no_place() {
    // A deflate stream does not shrink, so it is stored; its blocks are then bytes like any others.
    let within = raw(&noise(25_000, 9), 6, usize::MAX);
    let plain = [noise(40_000, 10), within.clone(), noise(20_000, 11)].concat();
    for is_zlib in [true, false] {
        let packed = match is_zlib {
            true => zlib(&plain, 6),
            false => raw(&plain, 6, usize::MAX),
        };
        let is_stored = packed
            .windows(1_000)
            .any(|part| part == &within[9_000..10_000]);
        assert!(is_stored);
        assert!(inflated(&packed, is_zlib, plain.len()).unwrap() == plain);
    }
}

#[test]
fn what_is_not_meant_for_places_is_left() {
    // Too many copies; too short; too little of it.
    let text: Vec<u8> = (0..900_000_u32)
        .flat_map(|i| (i / 7).to_string().into_bytes())
        .collect();
    let packed = zlib(&text, 6);
    assert_eq!(inflated(&packed, true, text.len()), None);
    assert!(!NEAR.suits(packed.len(), text.len()));
    let short = zlib(&noise(1_000, 5), 6);
    assert!(!NEAR.suits(short.len(), 8_000));
    assert!(!Plan::default().suits(16 << 20, 25 << 20));
    assert!(Plan::default().suits(16 << 20, 24 << 20));
    // Nothing, and no stream.
    for packed in [
        &[][..],
        &[0x78],
        &[0x78, 0x9c],
        &[7; 400],
        &[0x78, 0xbb, 0, 0, 0, 0, 3, 0],
    ] {
        assert_eq!(NEAR.inflate(packed, true, &mut [0; 99]), None);
    }
}

#[test]
fn a_buffer_that_is_too_small_is_not_enough() {
    let plain = noise(50_000, 6);
    let packed = zlib(&plain, 6);
    for less in [1, 7, 8, 300, 100_000, plain.len()] {
        let mut out = vec![0; plain.len() - less];
        assert_eq!(NEAR.inflate(&packed, true, &mut out), None, "{less}");
    }
}

#[test]
fn a_wrong_checksum_is_seen_and_a_frame_is_checked() {
    let plain = noise(50_000, 7);
    let packed = zlib(&plain, 6);
    let mut out = vec![0; plain.len()];
    for at in packed.len() - 4..packed.len() {
        let mut wrong = packed.clone();
        wrong[at] ^= 4;
        assert_eq!(NEAR.inflate(&wrong, true, &mut out), None);
    }
    for wrong in [[0x78, 0x9d], [0x79, 0x9b], [0x88, 0x1c], [0x78, 0xbb]] {
        let wrong = [&wrong[..], &packed[2..]].concat();
        assert_eq!(NEAR.inflate(&wrong, true, &mut out), None);
        assert_eq!(peer(&wrong, true, plain.len()), None);
    }
    for cut in [3, 4, 5, 20, 50_000, packed.len() - 2] {
        let wrong = &packed[..packed.len() - cut];
        assert_eq!(NEAR.inflate(wrong, true, &mut out), None, "{cut}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// One bit of a stream is another, anywhere: what then comes out, if anything, is what comes
    /// out by libdeflate.
    #[test]
    fn damage_gives_nothing_or_what_libdeflate_gives(
        seed in 0_u64..1_000, at in 0.0..1.0_f64, bit in 0..8_u32, is_zlib: bool,
    ) {
        let plain = noise(30_000, seed);
        let mut packed = match is_zlib {
            true => zlib(&plain, 6),
            false => raw(&plain, 6, 5_000),
        };
        let at = (at * packed.len() as f64) as usize;
        packed[at] ^= 1 << bit;
        let room = plain.len() + 5_000;
        let mut out = vec![0; room];
        if let Some(n) = NEAR.inflate(&packed, is_zlib, &mut out) {
            prop_assert!(peer(&packed, is_zlib, room).is_some_and(|found| found == out[..n]));
        }
    }

    /// Noise with anything in between, in pieces of any size, at any level.
    #[test]
    fn mixed_streams_come_out_as_they_went_in(
        pieces in prop::collection::vec((any::<bool>(), 1..9_000_usize, any::<u8>()), 1..12),
        level in 1..10_u32, flush in 500..40_000_usize, apart in 1_000..30_000_usize,
    ) {
        let mut plain = noise(12_000, 8);
        for (k, (is_noise, n, byte)) in pieces.into_iter().enumerate() {
            match is_noise {
                true => plain.extend(noise(n, k as u64)),
                false => plain.extend((0..n).map(|i| byte.wrapping_mul((i % 5) as u8))),
            }
        }
        let packed = raw(&plain, level, flush);
        let plan = Plan { apart, searched: 64 << 10 };
        let mut out = vec![0; plain.len()];
        if let Some(n) = plan.inflate(&packed, false, &mut out) {
            prop_assert!(n == plain.len() && out == plain);
        }
    }
}
