//! Filters undone: deflate, shuffle, Fletcher32 and LZF.

use std::cell::Cell;
use std::io::Read;

use super::checksum::{CHECKED, fletcher32};
use super::file::File;
use super::layout::Filter;
use crate::error::Result;

/// Deflate makes at most 1,032 bytes of one.
const DEFLATE_MOST: u64 = 1032;
/// LZF makes at most 264 bytes of three.
const LZF_MOST: u64 = 88;
/// Greatest chunk that is read, in bytes.
pub(super) const GREATEST_CHUNK: u64 = 1 << 30;

/// Greatest buffer between two filters that a thread keeps.
const KEPT: usize = 4 << 20;

thread_local! {
    /// What a filter gives to the next, filled again for the next chunk.
    static BETWEEN: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Says why a chunk cannot be read with these filters, if so.
pub(super) fn unknown(filters: &[Filter]) -> Option<String> {
    let what = filters.iter().find_map(|f| match f.id {
        1 | 2 | 3 | 32000 => None,
        4 => Some("szip".to_owned()),
        5 => Some("n-bit".to_owned()),
        6 => Some("scale-offset".to_owned()),
        other => Some(format!("number {other}")),
    })?;
    Some(format!("the filter {what}"))
}

/// The chunk's `wanted` bytes from its stored ones, in `buffer` or another one; what lies in
/// `buffer` is written over.
pub(super) fn undo(
    file: &File,
    address: u64,
    stored: &[u8],
    filters: &[Filter],
    mask: u32,
    wanted: usize,
    buffer: Vec<u8>,
) -> Result<Vec<u8>> {
    let wrong = |message: String| file.damaged("chunk", address, message);
    let active: Vec<&Filter> = filters
        .iter()
        .enumerate()
        .filter(|(i, _)| mask.checked_shr(*i as u32).unwrap_or(0) & 1 == 0)
        .map(|(_, f)| f)
        .collect();
    let mut growth = 1u64;
    for f in &active {
        growth = growth.saturating_mul(match f.id {
            1 => DEFLATE_MOST,
            32000 => LZF_MOST,
            _ => 1,
        });
    }
    if wanted as u64 > (stored.len() as u64 + 64).saturating_mul(growth) {
        let message = format!("{} stored bytes cannot be {wanted}", stored.len());
        return Err(wrong(message));
    }
    // A checksum may still follow the data that a filter gives.
    let limit = wanted.saturating_add(4 * active.len());
    let (mut now, mut next) = (buffer, BETWEEN.take());
    if active.is_empty() {
        now.clear();
        now.extend_from_slice(stored.get(..wanted.min(stored.len())).unwrap_or_default());
    }
    for (k, f) in active.iter().rev().enumerate() {
        let bytes = if k == 0 { stored } else { now.as_slice() };
        match f.id {
            1 => inflate(bytes, limit, &mut next).map_err(wrong)?,
            2 => {
                let size = f.values.first().copied().unwrap_or(1) as usize;
                unshuffle(bytes, size, &mut next);
            }
            3 => {
                let n = bytes.len().checked_sub(4);
                let n = n.ok_or_else(|| wrong("too short for its checksum".to_owned()))?;
                let (body, sum) = bytes.split_at_checked(n).unwrap_or_default();
                let sum = super::file::little(sum) as u32;
                let found = fletcher32(body);
                // Writers before 1.6.3 stored the bytes of each half swapped.
                let swapped = (sum & 0x00ff_00ff) << 8 | (sum >> 8) & 0x00ff_00ff;
                if sum != found && swapped != found && CHECKED {
                    let message = format!("checksum {found:#010x}, stored {sum:#010x}");
                    return Err(wrong(message));
                }
                next.clear();
                next.extend_from_slice(body);
            }
            32000 => {
                lzf(bytes, limit, &mut next).ok_or_else(|| wrong("not LZF data".to_owned()))?;
            }
            other => return Err(file.unsupported(format!("filter {other}"))),
        }
        std::mem::swap(&mut now, &mut next);
    }
    if next.capacity() <= KEPT {
        BETWEEN.set(next);
    }
    if now.len() < wanted {
        let message = format!("{wanted} bytes expected, {} found", now.len());
        return Err(wrong(message));
    }
    now.truncate(wanted);
    Ok(now)
}

/// At most `most` bytes of a zlib stream; `most` is bounded by [`GREATEST_CHUNK`] and by what the
/// stored bytes can give.
fn inflate(bytes: &[u8], most: usize, out: &mut Vec<u8>) -> std::result::Result<(), String> {
    if crate::inflate::at_once(bytes, true, most, out) {
        return Ok(());
    }
    out.clear();
    flate2::bufread::ZlibDecoder::new(bytes)
        .take(most as u64)
        .read_to_end(out)
        .map_err(|e| format!("not deflated data: {e}"))?;
    Ok(())
}

/// Puts the bytes of each element together again; a remainder was left as it is.
fn unshuffle(bytes: &[u8], size: usize, out: &mut Vec<u8>) {
    let count = bytes.len() / size.max(1);
    if size <= 1 || count <= 1 {
        out.clear();
        out.extend_from_slice(bytes);
        return;
    }
    out.resize(bytes.len(), 0);
    let done = match size {
        2 => blocks(bytes, count, out, join2),
        4 => blocks(bytes, count, out, join4),
        8 => blocks(bytes, count, out, join8),
        _ => 0,
    };
    for (i, element) in out.chunks_exact_mut(size).enumerate().skip(done) {
        for (j, b) in element.iter_mut().enumerate() {
            *b = bytes.get(j * count + i).copied().unwrap_or_default();
        }
    }
    let rest = count * size;
    if let (Some(to), Some(from)) = (out.get_mut(rest..), bytes.get(rest..)) {
        to.copy_from_slice(from);
    }
}

/// Whole blocks of 8 elements of `N` bytes, put together by `join` from 8 bytes of each plane; how
/// many elements are done.
fn blocks<const N: usize>(
    bytes: &[u8],
    count: usize,
    out: &mut [u8],
    join: impl Fn([u64; N]) -> [u64; N],
) -> usize {
    let mut planes = [&[] as &[[u8; 8]]; N];
    for (plane, bytes) in planes.iter_mut().zip(bytes.chunks_exact(count)) {
        *plane = bytes.as_chunks().0;
    }
    let blocks = out.as_chunks_mut::<8>().0.as_chunks_mut::<N>().0;
    // The same length for all lets the compiler leave the checks out of the loop.
    let n = planes.iter().map(|p| p.len()).min().unwrap_or(0);
    let n = n.min(blocks.len());
    let planes = planes.map(|plane| plane.get(..n).unwrap_or_default());
    for (i, block) in blocks.iter_mut().take(n).enumerate() {
        let row = |plane: &[[u8; 8]]| plane.get(i).map_or(0, |b| u64::from_le_bytes(*b));
        *block = join(planes.map(row)).map(u64::to_le_bytes);
    }
    n * 8
}

/// Bytes of `a` and `b` by turns.
fn join2([a, b]: [u64; 2]) -> [u64; 2] {
    let spread = |half: u64| {
        let half = (half | half << 16) & 0x0000_ffff_0000_ffff;
        (half | half << 8) & 0x00ff_00ff_00ff_00ff
    };
    let low = |x: u64| spread(x & 0xffff_ffff);
    let high = |x: u64| spread(x >> 32);
    [low(a) | low(b) << 8, high(a) | high(b) << 8]
}

/// Bytes of four by turns: pairs by turns, then pairs of pairs.
fn join4([a, b, c, d]: [u64; 4]) -> [u64; 4] {
    let spread = |half: u64| (half | half << 16) & 0x0000_ffff_0000_ffff;
    let low = |x: u64| spread(x & 0xffff_ffff);
    let high = |x: u64| spread(x >> 32);
    let ([a, c], [b, d]) = (join2([a, b]), join2([c, d]));
    let pair = |x: u64, y: u64| [low(x) | low(y) << 16, high(x) | high(y) << 16];
    let ([a, b], [c, d]) = (pair(a, b), pair(c, d));
    [a, b, c, d]
}

/// The 8 by 8 bytes transposed: blocks of 4 by 4 exchanged, then of 2 by 2, then single ones.
fn join8(mut x: [u64; 8]) -> [u64; 8] {
    for (step, mask) in [
        (4, 0x0000_0000_ffff_ffff),
        (2, 0x0000_ffff_0000_ffff),
        (1, 0x00ff_00ff_00ff_00ff),
    ] {
        let bits = 8 * step;
        for i in (0..8).filter(|i| i & step == 0) {
            let exchanged = ((x[i] >> bits) ^ x[i + step]) & mask;
            x[i + step] ^= exchanged;
            x[i] ^= exchanged << bits;
        }
    }
    x
}

/// Marc Lehmann's LZF: literal runs and back references.
fn lzf(bytes: &[u8], most: usize, out: &mut Vec<u8>) -> Option<()> {
    out.clear();
    let mut at = 0;
    while let Some(&control) = bytes.get(at) {
        at += 1;
        let control = usize::from(control);
        if control < 32 {
            let run = bytes.get(at..at + control + 1)?;
            out.extend_from_slice(run);
            at += control + 1;
        } else {
            let mut length = control >> 5;
            if length == 7 {
                length += usize::from(*bytes.get(at)?);
                at += 1;
            }
            let back = ((control & 31) << 8) + usize::from(*bytes.get(at)?) + 1;
            at += 1;
            let from = out.len().checked_sub(back)?;
            for i in 0..length + 2 {
                let b = *out.get(from + i)?;
                out.push(b);
            }
        }
        if out.len() > most {
            return None;
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffle_is_undone() {
        let unshuffle = |bytes: &[u8], size| {
            // What lay in the buffer must not matter.
            let mut out = vec![0xa5; 700];
            unshuffle(bytes, size, &mut out);
            out
        };
        assert_eq!(unshuffle(&[1, 3, 5, 2, 4, 6], 2), [1, 2, 3, 4, 5, 6]);
        assert_eq!(unshuffle(&[1, 3, 2, 4, 9], 2), [1, 2, 3, 4, 9]);
        assert_eq!(unshuffle(&[1, 4, 2, 5, 3, 6], 3), [1, 2, 3, 4, 5, 6]);
        for size in [2, 3, 4, 8, 16] {
            for length in [size * 16, size * 33 + 1, size * 95, size * 128 + size - 1] {
                let plain: Vec<u8> = (0..length).map(|i| (i * i % 251) as u8).collect();
                let count = length / size;
                let mut shuffled = plain.clone();
                for (i, b) in plain.iter().take(count * size).enumerate() {
                    shuffled[i % size * count + i / size] = *b;
                }
                assert_eq!(unshuffle(&shuffled, size), plain, "{size}, {length}");
            }
        }
    }

    #[test]
    fn lzf_runs_and_references() {
        let lzf = |bytes: &[u8], most| {
            let mut out = vec![1, 2, 3];
            lzf(bytes, most, &mut out).map(|()| out)
        };
        assert_eq!(
            lzf(&[2, 7, 8, 9, 0x20, 2], 100),
            Some(vec![7, 8, 9, 7, 8, 9])
        );
        assert_eq!(lzf(&[0x20, 2], 100), None);
        assert_eq!(lzf(&[2, 7, 8], 100), None);
    }

    #[test]
    fn a_buffer_that_was_used_changes_nothing() {
        use std::io::Write;
        let plain: Vec<u8> = (0..5000u32).flat_map(|i| (i * i).to_le_bytes()).collect();
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&plain).unwrap();
        let packed = packer.finish().unwrap();
        for old in [0, 7, plain.len(), 2 * plain.len()] {
            let mut out = vec![0xa5; old];
            inflate(&packed, plain.len() + 4, &mut out).unwrap();
            assert_eq!(out, plain);
            // Of a stream that gives more the beginning is taken, as the library does.
            inflate(&packed, 100, &mut out).unwrap();
            assert_eq!(out, plain[..100]);
            assert!(inflate(&packed[..packed.len() - 20], plain.len(), &mut out).is_err());
        }
    }
}
