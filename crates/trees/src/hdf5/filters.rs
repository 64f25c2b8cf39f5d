//! Filters undone: deflate, shuffle, Fletcher32 and LZF.

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

/// The chunk's `wanted` bytes from its stored ones.
pub(super) fn undo(
    file: &File,
    address: u64,
    stored: &[u8],
    filters: &[Filter],
    mask: u32,
    wanted: usize,
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
    let mut bytes = std::borrow::Cow::Borrowed(stored);
    // A checksum may still follow the data that a filter gives.
    let limit = wanted.saturating_add(4 * active.len());
    for f in active.iter().rev() {
        bytes = match f.id {
            1 => inflate(&bytes, limit).map_err(wrong)?.into(),
            2 => {
                let size = f.values.first().copied().unwrap_or(1) as usize;
                unshuffle(&bytes, size).into()
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
                body.to_vec().into()
            }
            32000 => lzf(&bytes, limit)
                .ok_or_else(|| wrong("not LZF data".to_owned()))?
                .into(),
            other => return Err(file.unsupported(format!("filter {other}"))),
        };
    }
    if bytes.len() < wanted {
        let message = format!("{wanted} bytes expected, {} found", bytes.len());
        return Err(wrong(message));
    }
    let mut bytes = bytes.into_owned();
    bytes.truncate(wanted);
    Ok(bytes)
}

fn inflate(bytes: &[u8], most: usize) -> std::result::Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(most);
    flate2::bufread::ZlibDecoder::new(bytes)
        .take(most as u64)
        .read_to_end(&mut out)
        .map_err(|e| format!("not deflated data: {e}"))?;
    Ok(out)
}

/// Puts the bytes of each element together again; a remainder was left as it is.
fn unshuffle(bytes: &[u8], size: usize) -> Vec<u8> {
    let count = bytes.len() / size.max(1);
    if size <= 1 || count <= 1 {
        return bytes.to_vec();
    }
    let mut out = bytes.to_vec();
    match size {
        2 => planes::<2>(bytes, count, &mut out),
        4 => planes::<4>(bytes, count, &mut out),
        8 => planes::<8>(bytes, count, &mut out),
        _ => {
            for (i, element) in out.chunks_exact_mut(size).enumerate() {
                for (j, b) in element.iter_mut().enumerate() {
                    *b = bytes.get(j * count + i).copied().unwrap_or_default();
                }
            }
        }
    }
    out
}

fn planes<const N: usize>(bytes: &[u8], count: usize, out: &mut [u8]) {
    let mut planes = [&[] as &[u8]; N];
    for (j, plane) in planes.iter_mut().enumerate() {
        *plane = bytes.get(j * count..(j + 1) * count).unwrap_or_default();
    }
    // The same length for all lets the compiler leave the checks out of the loop.
    if planes.iter().any(|p| p.len() != count) {
        return;
    }
    for (i, element) in out
        .as_chunks_mut::<N>()
        .0
        .iter_mut()
        .take(count)
        .enumerate()
    {
        for (b, plane) in element.iter_mut().zip(&planes) {
            *b = plane.get(i).copied().unwrap_or_default();
        }
    }
}

/// Marc Lehmann's LZF: literal runs and back references.
fn lzf(bytes: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
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
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffle_is_undone() {
        assert_eq!(unshuffle(&[1, 3, 5, 2, 4, 6], 2), [1, 2, 3, 4, 5, 6]);
        assert_eq!(unshuffle(&[1, 3, 2, 4, 9], 2), [1, 2, 3, 4, 9]);
        assert_eq!(unshuffle(&[1, 4, 2, 5, 3, 6], 3), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn lzf_runs_and_references() {
        assert_eq!(
            lzf(&[2, 7, 8, 9, 0x20, 2], 100),
            Some(vec![7, 8, 9, 7, 8, 9])
        );
        assert_eq!(lzf(&[0x20, 2], 100), None);
        assert_eq!(lzf(&[2, 7, 8], 100), None);
    }
}
