//! Bounded inflation. Owns the two ways: at once into a buffer of the size that is claimed, where
//! the compressed bytes vouch for it, by libdeflate or, long streams of noise, by `mmpipe-inflate`;
//! and else by steps, where only what has come out is allocated.

use flate2::{Decompress, FlushDecompress, Status};
use mmpipe_inflate::Plan;

use crate::room::Room;

/// Deflate makes at most 1032 bytes of one.
const RATIO: u64 = 1032;
/// No single element or archive member is inflated beyond this (16 GiB).
pub(crate) const OVERALL: u64 = 16 << 30;
/// A claim of at most this many times the compressed size is given its buffer at once. EEG
/// shrinks to a third; a claim beyond this is a rare stream, or a lie.
const TRUSTED: usize = 16;

/// All of a compressed stream. `expected` is what some header claims; it bounds the result (with
/// a few bytes of grace) and is otherwise only a hint. A buffer has at most 16 times the compressed
/// size at first, and doubles.
///
/// # Errors
/// A message: not a deflate stream, a wrong checksum, an early end, or more than the bound.
pub(crate) fn inflate(
    packed: &[u8],
    zlib: bool,
    expected: u64,
) -> std::result::Result<Room, String> {
    let most = (packed.len() as u64)
        .saturating_mul(RATIO)
        .saturating_add(64)
        .min(OVERALL);
    if expected > most {
        return Err(format!(
            "{expected} bytes are claimed, but {} compressed bytes can give {most} at most",
            packed.len()
        ));
    }
    if expected <= packed.len().saturating_mul(TRUSTED) as u64 {
        let mut out = Room::of(expected as usize);
        if at_once(packed, zlib, expected as usize, &mut out) {
            return Ok(out);
        }
    }
    // Room beyond the expected end lets the last call see the end of the stream.
    let bound = expected as usize + 16;
    let mut out = Vec::new();
    out.reserve_exact(bound.min(packed.len().saturating_mul(4).saturating_add(4096)));
    let mut state = Decompress::new(zlib);
    loop {
        let before = (state.total_in(), state.total_out());
        let rest = packed.get(before.0 as usize..).unwrap_or_default();
        let status = state
            .decompress_vec(rest, &mut out, FlushDecompress::Finish)
            .map_err(|e| e.to_string())?;
        if status == Status::StreamEnd {
            return Ok(Room::from(out));
        }
        if out.len() >= bound {
            return Err(format!("more than the {expected} bytes that are claimed"));
        }
        if out.len() == out.capacity() {
            let more = out.capacity().min(bound - out.len());
            out.reserve_exact(more);
        } else if before == (state.total_in(), state.total_out()) {
            return Err(format!("the compressed data end after {} bytes", out.len()));
        }
    }
}

/// All of a compressed stream that gives at most `room` bytes, its checksum right, into `out`;
/// what was there is written over. False where the stream gives more or is damaged: [`flate2`]
/// then says what is wrong, and `out` holds anything.
pub(crate) fn at_once(packed: &[u8], zlib: bool, room: usize, out: &mut Vec<u8>) -> bool {
    if out.capacity() < room {
        // Zeroed by the system where it is new memory, which costs nothing until it is filled.
        *out = vec![0; room];
    } else {
        out.resize(room, 0);
    }
    let plan = Plan::default();
    let mut n = match plan.suits(packed.len(), room) {
        true => plan.inflate(packed, zlib, out),
        false => None,
    };
    if n.is_none() {
        let mut state = libdeflater::Decompressor::new();
        let given = match zlib {
            true => state.zlib_decompress(packed, out),
            false => state.deflate_decompress(packed, out),
        };
        n = given.ok();
    }
    out.truncate(n.unwrap_or_default());
    n.is_some()
}

/// The first `n` bytes of a zlib stream, or all when there are fewer.
///
/// # Errors
/// A message: not a deflate stream.
pub(crate) fn prefix(packed: &[u8], zlib: bool, n: usize) -> std::result::Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(n);
    let mut state = Decompress::new(zlib);
    loop {
        let before = (state.total_in(), state.total_out());
        let rest = packed.get(before.0 as usize..).unwrap_or_default();
        let status = state
            .decompress_vec(rest, &mut out, FlushDecompress::None)
            .map_err(|e| e.to_string())?;
        let still = before == (state.total_in(), state.total_out());
        if status == Status::StreamEnd || out.len() >= n || still {
            return Ok(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn packed(plain: &[u8], zlib: bool) -> Vec<u8> {
        let level = flate2::Compression::fast();
        if zlib {
            let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), level);
            packer.write_all(plain).unwrap();
            return packer.finish().unwrap();
        }
        let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), level);
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    }

    #[test]
    fn both_ways_give_the_same() {
        let noise = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8;
        // Above a megabyte the buffer is one that waited; zeros shrink more than 16 times.
        for length in [0u32, 1, 5000, 3 << 20] {
            for plain in [
                (0..length).map(noise).collect::<Vec<u8>>(),
                vec![0; length as usize],
            ] {
                for zlib in [false, true] {
                    let packed = packed(&plain, zlib);
                    let all = inflate(&packed, zlib, plain.len() as u64).unwrap();
                    assert!(all.as_slice() == plain);
                    let mut once = Vec::new();
                    assert!(at_once(&packed, zlib, plain.len(), &mut once) && once == plain);
                    // What follows the stream is not looked at.
                    let longer = [packed.as_slice(), &[7; 9]].concat();
                    assert!(
                        inflate(&longer, zlib, plain.len() as u64)
                            .unwrap()
                            .as_slice()
                            == plain
                    );
                }
            }
        }
    }

    #[test]
    fn a_long_stream_of_noise_is_inflated_from_several_places_and_else_says_what_is_wrong() {
        let mut state = 1_u64;
        let mut sample = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Of a double's exponent hardly anything is unknown.
            (1.0 + (state >> 11) as f64 / (1_u64 << 53) as f64).to_le_bytes()
        };
        let plain: Vec<u8> = (0..2_400_000).flat_map(|_| sample()).collect();
        let mut packed = packed(&plain, true);
        assert!(Plan::default().suits(packed.len(), plain.len()));
        let mut out = vec![0; plain.len()];
        assert_eq!(
            Plan::default().inflate(&packed, true, &mut out),
            Some(plain.len())
        );
        let claim = plain.len() as u64;
        assert!(inflate(&packed, true, claim).unwrap().as_slice() == plain);
        let short = inflate(&packed, true, claim - 100).err().unwrap();
        assert!(short.contains("more than"), "{short}");
        let cut = inflate(&packed[..packed.len() - 40_000], true, claim);
        assert!(cut.err().unwrap().contains("end after"));
        let middle = packed.len() / 2;
        packed[middle..middle + 4_000].fill(0);
        assert!(inflate(&packed, true, claim).is_err());
    }

    #[test]
    fn more_than_is_claimed_is_refused_and_less_is_given_as_it_is() {
        let plain: Vec<u8> = (0..3000u32).map(|i| (i * i % 251) as u8).collect();
        let packed = packed(&plain, true);
        let fault = |claim| inflate(&packed, true, claim).err().unwrap();
        assert!(fault(2900).contains("more than the 2900 bytes"));
        assert!(fault(100).contains("more than the 100 bytes"));
        assert!(fault(1 << 40).contains("at most"));
        assert_eq!(inflate(&packed, true, 9000).unwrap().len(), 3000);
        // A claim of a hundred times what is there gets no buffer of that size.
        let most = (packed.len() * 100) as u64;
        let found = inflate(&packed, true, most).unwrap();
        assert!(found.len() == 3000 && found.capacity() < packed.len() * 17 + 8192);
    }

    #[test]
    fn damage_is_named() {
        let plain: Vec<u8> = (0..3000u32).map(|i| (i * i % 251) as u8).collect();
        let whole = packed(&plain, true);
        let cut = inflate(&whole[..whole.len() / 2], true, 3000);
        assert!(cut.err().unwrap().contains("end after"));
        let mut wrong_sum = whole.clone();
        *wrong_sum.last_mut().unwrap() ^= 1;
        assert!(inflate(&wrong_sum, true, 3000).is_err());
        let mut no_stream = whole;
        no_stream[0] = 0;
        assert!(inflate(&no_stream, true, 3000).is_err());
        let mut out = vec![1; 10];
        assert!(!at_once(&no_stream, true, 3000, &mut out));
    }
}
