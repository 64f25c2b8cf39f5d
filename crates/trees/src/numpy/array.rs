//! One array of NumPy: lanes in linear order (first dimension fastest) out of C or Fortran order.

use std::path::Path;

use crate::error::{Error, Result};
use crate::numbers::{Lanes, Layout, check_lanes, gather};
use crate::tree::{Class, Var};

use super::header::{Header, Kind};

impl Header {
    pub(super) fn var(&self, place: String, handle: u64) -> Var {
        let (class, complex) = match self.kind {
            Kind::Number(_, class) => (class, false),
            Kind::Complex(_, class) => (class, true),
            Kind::Bytes(_) | Kind::Points(_) => (Class::Text, false),
        };
        Var {
            place,
            class,
            dims: self.dims.clone(),
            fields: Vec::new(),
            complex,
            handle,
        }
    }

    /// Lanes of an array whose data are `bytes`.
    pub(super) fn lanes(
        &self,
        path: &Path,
        place: &str,
        bytes: &[u8],
        imaginary: bool,
        lanes: Lanes<'_, '_, '_>,
    ) -> Result<()> {
        let Lanes { first, stride, out } = lanes;
        let len = self.dims.iter().product();
        let (number, offset) = match self.kind {
            Kind::Number(number, _) => (number, 0),
            Kind::Complex(number, _) if imaginary => (number, number.size()),
            Kind::Complex(number, _) => (number, 0),
            _ => {
                return Err(Error::Kind {
                    path: path.to_path_buf(),
                    place: place.to_owned(),
                    expected: "numbers",
                    found: "text".to_owned(),
                });
            }
        };
        check_lanes(path, place, len, first, stride, out)?;
        if imaginary && matches!(self.kind, Kind::Number(..)) {
            out.iter_mut().for_each(|lane| lane.fill(0.0));
            return Ok(());
        }
        let layout = Layout {
            number,
            big: self.big,
            offset,
            step: self.kind.size(),
        };
        let done = if self.fortran || self.dims.len() < 2 {
            gather(bytes, layout, first, stride, out)
        } else {
            c_order(bytes, layout, &self.dims, first, stride, out)
        };
        match done {
            true => Ok(()),
            false => Err(Error::Damaged {
                path: path.to_path_buf(),
                field: place.to_owned(),
                offset: self.data as u64,
                message: "the data end early".to_owned(),
            }),
        }
    }

    /// The texts of an array whose data are `bytes`, in linear order.
    pub(super) fn texts(&self, bytes: &[u8]) -> Option<Vec<String>> {
        let (size, points) = match self.kind {
            Kind::Bytes(n) => (n, false),
            Kind::Points(n) => (n.saturating_mul(4), true),
            _ => return None,
        };
        let len: u64 = self.dims.iter().product();
        // Strings of no bytes take no room, so nothing else would bound their number.
        let len = match size {
            0 => len.min(1 << 20),
            _ => len,
        };
        let text = |at: u64| {
            let position = match self.fortran {
                true => at,
                false => position(&self.dims, at),
            };
            let start = (position as usize).saturating_mul(size);
            let cell = bytes
                .get(start..start.saturating_add(size))
                .unwrap_or_default();
            let text: String = match points {
                true => cell
                    .as_chunks::<4>()
                    .0
                    .iter()
                    .map(|b| {
                        if self.big {
                            u32::from_be_bytes(*b)
                        } else {
                            u32::from_le_bytes(*b)
                        }
                    })
                    .map(|c| char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect(),
                false => match std::str::from_utf8(cell) {
                    Ok(text) => text.to_owned(),
                    Err(_) => cell.iter().map(|b| char::from(*b)).collect(),
                },
            };
            text.trim_end_matches([' ', '\0']).to_owned()
        };
        Some((0..len).map(text).collect())
    }
}

/// The storage position, in C order, of an element in linear order.
fn position(dims: &[u64], at: u64) -> u64 {
    let mut rest = at;
    let mut after: u64 = dims.iter().product();
    let mut position = 0;
    for &d in dims {
        let d = d.max(1);
        after /= d;
        position += rest % d * after;
        rest /= d;
    }
    position
}

/// As [`gather`] for an array in C order: runs along the dimension that the stride steps through
/// are copied at once. All lanes run together where none of them leaves that dimension.
fn c_order(
    bytes: &[u8],
    layout: Layout,
    dims: &[u64],
    first: &[u64],
    stride: u64,
    out: &mut [&mut [f64]],
) -> bool {
    // The dimension that the stride steps through, when it is a multiple of all before it.
    let (mut before, mut along) = (1u64, None);
    let mut after: u64 = dims.iter().product();
    for &d in dims {
        after /= d.max(1);
        if d > 1 && stride.is_multiple_of(before) && stride / before < d {
            along = Some((before, d, stride / before, after));
            break;
        }
        before = before.saturating_mul(d);
    }
    // How many of a lane's elements lie in one run from `at`, and their distance in storage.
    let run = |at: u64, left: u64| match along {
        Some((before, d, digit, after)) if digit > 0 => {
            let index = at / before % d;
            (((d - 1 - index) / digit + 1).min(left), digit * after)
        }
        Some(_) => (left, 0),
        None => (1.min(left), 0),
    };
    let one_run = |first: u64, lane: &[f64]| {
        let left = lane.len() as u64;
        run(first, left).0 == left
    };
    if first
        .iter()
        .zip(out.iter())
        .all(|(f, lane)| one_run(*f, lane))
    {
        let step = along.map_or(0, |(_, _, digit, after)| digit * after);
        let starts: Vec<u64> = first.iter().map(|f| position(dims, *f)).collect();
        return gather(bytes, layout, &starts, step, out);
    }
    for (&first, lane) in first.iter().zip(out.iter_mut()) {
        let mut done = 0;
        while done < lane.len() {
            let at = first + done as u64 * stride;
            let (n, step) = run(at, (lane.len() - done) as u64);
            let Some(part) = lane.get_mut(done..done + n as usize) else {
                return false;
            };
            if !gather(bytes, layout, &[position(dims, at)], step, &mut [part]) {
                return false;
            }
            done += n as usize;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numbers::Number;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lanes_agree_with_positions(
            dims in prop::collection::vec(1u64..5, 1..5),
            first in 0u64..200,
            stride in 0u64..60,
            n in 0usize..40,
        ) {
            let len: u64 = dims.iter().product();
            let bytes: Vec<u8> = (0..len as u16).flat_map(u16::to_le_bytes).collect();
            let first = first % len;
            let most = (len - 1 - first).checked_div(stride).unwrap_or(40) as usize + 1;
            let mut lane = vec![0.0; n.min(most)];
            let layout = Layout::packed(Number::U16, false);
            prop_assert!(c_order(&bytes, layout, &dims, &[first], stride, &mut [&mut lane]));
            for (i, v) in lane.iter().enumerate() {
                prop_assert_eq!(*v, position(&dims, first + i as u64 * stride) as f64);
            }
        }
    }
}
