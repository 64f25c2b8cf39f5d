//! Numbers as bytes: sizes, byte orders, and the copy of strided lanes into f64.

use std::path::Path;

use crate::error::{Error, Result};

/// What [`Tree::read_f64`](crate::Tree::read_f64) is asked for.
pub(crate) struct Lanes<'a, 'b, 'c> {
    pub(crate) first: &'a [u64],
    pub(crate) stride: u64,
    pub(crate) out: &'b mut [&'c mut [f64]],
}

/// A kind of stored number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F16,
    F32,
    F64,
}

impl Number {
    /// Bytes that one takes.
    pub(crate) fn size(self) -> usize {
        match self {
            Number::I8 | Number::U8 => 1,
            Number::I16 | Number::U16 | Number::F16 => 2,
            Number::I32 | Number::U32 | Number::F32 => 4,
            Number::I64 | Number::U64 | Number::F64 => 8,
        }
    }
}

/// How numbers lie in bytes: element `k` at `offset + k * step`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) number: Number,
    pub(crate) big: bool,
    pub(crate) offset: usize,
    pub(crate) step: usize,
}

impl Layout {
    /// One after the other.
    pub(crate) fn packed(number: Number, big: bool) -> Layout {
        Layout {
            number,
            big,
            offset: 0,
            step: number.size(),
        }
    }
}

/// Refuses lanes that reach beyond `len` elements, or a differing number of starts and lanes.
pub(crate) fn check_lanes(
    path: &Path,
    place: &str,
    len: u64,
    first: &[u64],
    stride: u64,
    out: &[&mut [f64]],
) -> Result<()> {
    let wrong = |message: String| Error::Range {
        path: path.to_path_buf(),
        place: place.to_owned(),
        message,
    };
    if first.len() != out.len() {
        return Err(wrong(format!(
            "{} first elements for {} lanes",
            first.len(),
            out.len()
        )));
    }
    for (&first, lane) in first.iter().zip(out) {
        let Some(steps) = (lane.len() as u64).checked_sub(1) else {
            continue;
        };
        let last = steps.checked_mul(stride).and_then(|d| d.checked_add(first));
        if last.is_none_or(|last| last >= len) {
            return Err(wrong(format!(
                "{} elements from {first} by {stride}, but there are {len}",
                lane.len()
            )));
        }
    }
    Ok(())
}

/// Bytes over which a lane is taken before the next lane has its turn, so that interleaved lanes
/// read each cache line from memory once.
const BLOCK: usize = 1 << 15;

/// Copies lanes of storage positions (not linear indices) into f64; false when the bytes do not
/// reach that far. The positions must have been checked not to overflow.
pub(crate) fn gather(
    bytes: &[u8],
    layout: Layout,
    first: &[u64],
    stride: u64,
    out: &mut [&mut [f64]],
) -> bool {
    let (size, step) = (layout.number.size(), layout.step);
    for (&first, lane) in first.iter().zip(out.iter()) {
        let Some(steps) = (lane.len() as u64).checked_sub(1) else {
            continue;
        };
        let end = steps
            .checked_mul(stride)
            .and_then(|d| d.checked_add(first))
            .and_then(|last| last.checked_mul(step as u64))
            .and_then(|at| at.checked_add((layout.offset + size) as u64));
        if end.is_none_or(|end| end > bytes.len() as u64) {
            return false;
        }
    }
    macro_rules! run {
        ($n:literal, $from:expr) => {{
            let from = $from;
            if layout.big {
                lanes::<$n>(bytes, layout, first, stride, out, |mut b: [u8; $n]| {
                    b.reverse();
                    from(b)
                })
            } else {
                lanes::<$n>(bytes, layout, first, stride, out, from)
            }
        }};
    }
    match layout.number {
        Number::I8 => run!(1, |b| f64::from(i8::from_le_bytes(b))),
        Number::U8 => run!(1, |b: [u8; 1]| f64::from(b[0])),
        Number::I16 => run!(2, |b| f64::from(i16::from_le_bytes(b))),
        Number::U16 => run!(2, |b| f64::from(u16::from_le_bytes(b))),
        Number::I32 => run!(4, |b| f64::from(i32::from_le_bytes(b))),
        Number::U32 => run!(4, |b| f64::from(u32::from_le_bytes(b))),
        Number::I64 => run!(8, |b| i64::from_le_bytes(b) as f64),
        Number::U64 => run!(8, |b| u64::from_le_bytes(b) as f64),
        Number::F16 => run!(2, |b| half(u16::from_le_bytes(b))),
        Number::F32 => run!(4, |b| f64::from(f32::from_le_bytes(b))),
        Number::F64 => run!(8, f64::from_le_bytes),
    }
    true
}

fn lanes<const N: usize>(
    bytes: &[u8],
    layout: Layout,
    first: &[u64],
    stride: u64,
    out: &mut [&mut [f64]],
    value: impl Fn([u8; N]) -> f64,
) {
    let step = (stride as usize).saturating_mul(layout.step);
    let longest = out.iter().map(|lane| lane.len()).max().unwrap_or(0);
    let block = match out.len() {
        0 | 1 => longest.max(1),
        _ => (BLOCK / step.max(1)).max(8),
    };
    for from in (0..longest).step_by(block) {
        for (&first, lane) in first.iter().zip(out.iter_mut()) {
            let to = lane.len().min(from + block);
            let Some(lane) = lane.get_mut(from..to).filter(|l| !l.is_empty()) else {
                continue;
            };
            let start = layout.offset + (first as usize) * layout.step + from * step;
            let Some(rest) = bytes.get(start..) else {
                continue;
            };
            if step == N {
                for (y, x) in lane.iter_mut().zip(rest.as_chunks::<N>().0) {
                    *y = value(*x);
                }
            } else if step == 0 {
                lane.fill(rest.first_chunk::<N>().map_or(0.0, |x| value(*x)));
            } else {
                // The checked end of a lane is that of its last number, not of its last step.
                for (y, x) in lane.iter_mut().zip(rest.chunks(step)) {
                    if let Some(x) = x.first_chunk::<N>() {
                        *y = value(*x);
                    }
                }
            }
        }
    }
}

/// IEEE 754 binary16.
fn half(bits: u16) -> f64 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let fraction = f64::from(bits & 0x3ff);
    let exponent = i32::from(bits >> 10 & 0x1f);
    sign * match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        e => (1024.0 + fraction) * 2f64.powi(e - 25),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves() {
        for (bits, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x7bff, 65504.0),
            (0x0001, 2f64.powi(-24)),
            (0x7c00, f64::INFINITY),
            (0x3555, 0.333251953125),
        ] {
            assert_eq!(half(bits), value);
        }
        assert!(half(0x7e00).is_nan());
    }

    #[test]
    fn interleaved_lanes_in_both_orders() {
        let values: Vec<i16> = (0..3 * 1000).collect();
        for big in [false, true] {
            let bytes: Vec<u8> = values
                .iter()
                .flat_map(|v| {
                    if big {
                        v.to_be_bytes()
                    } else {
                        v.to_le_bytes()
                    }
                })
                .collect();
            let mut lanes = vec![vec![0.0; 1000]; 3];
            let mut out: Vec<&mut [f64]> = lanes.iter_mut().map(Vec::as_mut_slice).collect();
            let layout = Layout::packed(Number::I16, big);
            assert!(gather(&bytes, layout, &[0, 1, 2], 3, &mut out));
            for (k, lane) in lanes.iter().enumerate() {
                assert!(
                    lane.iter()
                        .enumerate()
                        .all(|(i, v)| *v == (3 * i + k) as f64)
                );
            }
            let mut one = [0.0];
            assert!(!gather(&bytes, layout, &[3000], 1, &mut [&mut one]));
        }
    }
}
