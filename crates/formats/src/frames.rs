//! Sample data of one number format without calibration: 32-bit floats in a mapped file, or
//! numbers that were parsed from text, in either order of channels and time.

use crate::source::Source;

/// Bytes of a file that are decoded in one go when the channels alternate: they stay in cache
/// while each channel picks its own.
const BLOCK_BYTES: usize = 1 << 15;

/// What comes first in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// All channels of the first point, then of the next (multiplexed).
    Points,
    /// All points of the first channel, then of the next (vectorised).
    Channels,
}

/// Where the numbers are.
pub(crate) enum Store {
    /// A mapped file of 32-bit floats; `None` when it holds none.
    Floats {
        source: Option<Source>,
        big_endian: bool,
    },
    /// Numbers in the file's order.
    Numbers(Vec<f64>),
}

/// Samples of `n` channels that can be read at random.
pub(crate) struct Frames {
    pub(crate) store: Store,
    pub(crate) order: Order,
    /// Channels.
    pub(crate) n: usize,
    /// Samples a channel.
    pub(crate) points: usize,
}

/// A float that samples are decoded to.
pub(crate) trait Float: Copy {
    fn from_f32(x: f32) -> Self;
    fn from_f64(x: f64) -> Self;
}

impl Float for f32 {
    fn from_f32(x: f32) -> f32 {
        x
    }
    fn from_f64(x: f64) -> f32 {
        x as f32
    }
}

impl Float for f64 {
    fn from_f32(x: f32) -> f64 {
        f64::from(x)
    }
    fn from_f64(x: f64) -> f64 {
        x
    }
}

impl Frames {
    /// See [`crate::Recording::release`].
    pub(crate) fn release(&self) {
        if let Store::Floats {
            source: Some(source),
            ..
        } = &self.store
        {
            source.release();
        }
    }

    /// Decodes points from `start` of the given columns. `None` when the data are shorter than
    /// that; the caller has checked the request against the header.
    pub(crate) fn read<T: Float>(
        &self,
        columns: &[usize],
        start: u64,
        out: &mut [&mut [T]],
    ) -> Option<()> {
        let start = usize::try_from(start).ok()?;
        match &self.store {
            Store::Numbers(values) => self.gather(values, columns, start, out, |x| T::from_f64(*x)),
            Store::Floats { source, big_endian } => {
                let bytes = source.as_ref().map_or(&[][..], |s| s.bytes());
                let numbers = bytes.as_chunks::<4>().0;
                if *big_endian {
                    self.gather(numbers, columns, start, out, |b| {
                        T::from_f32(f32::from_be_bytes(*b))
                    })
                } else {
                    self.gather(numbers, columns, start, out, |b| {
                        T::from_f32(f32::from_le_bytes(*b))
                    })
                }
            }
        }
    }

    fn gather<N, T: Float>(
        &self,
        numbers: &[N],
        columns: &[usize],
        start: usize,
        out: &mut [&mut [T]],
        value: impl Fn(&N) -> T,
    ) -> Option<()> {
        if self.order == Order::Channels {
            for (&column, out) in columns.iter().zip(out.iter_mut()) {
                let from = column.checked_mul(self.points)?.checked_add(start)?;
                let from = numbers.get(from..from.checked_add(out.len())?)?;
                out.iter_mut().zip(from).for_each(|(d, x)| *d = value(x));
            }
            return Some(());
        }
        let longest = out.iter().map(|o| o.len()).max().unwrap_or(0);
        let block = (BLOCK_BYTES / 4 / self.n.max(1)).max(8);
        for at in (0..longest).step_by(block) {
            for (&column, out) in columns.iter().zip(out.iter_mut()) {
                let stop = out.len().min(at + block);
                if at >= stop || column >= self.n {
                    continue;
                }
                let first = start.checked_add(at)?.checked_mul(self.n)?;
                let last = start.checked_add(stop)?.checked_mul(self.n)?;
                let frames = numbers.get(first..last)?;
                let out = out.get_mut(at..stop)?;
                for (d, frame) in out.iter_mut().zip(frames.chunks_exact(self.n)) {
                    let x = frame.get(column)?;
                    *d = value(x);
                }
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders_give_the_same_samples() {
        let (n, points) = (3, 5000);
        let value = |c: usize, t: usize| (c * 100_000 + t) as f64;
        let by_points = (0..points).flat_map(|t| (0..n).map(move |c| value(c, t)));
        let by_channels = (0..n).flat_map(|c| (0..points).map(move |t| value(c, t)));
        for (order, values) in [
            (Order::Points, by_points.collect::<Vec<_>>()),
            (Order::Channels, by_channels.collect()),
        ] {
            let frames = Frames {
                store: Store::Numbers(values),
                order,
                n,
                points,
            };
            let (mut a, mut b) = (vec![0f64; 4000], vec![0f64; 3]);
            frames.read(&[2, 0], 900, &mut [&mut a, &mut b]).unwrap();
            assert!(a.iter().enumerate().all(|(i, x)| *x == value(2, 900 + i)));
            assert!(b.iter().enumerate().all(|(i, x)| *x == value(0, 900 + i)));
            let beyond = frames.read(&[2], 4999, &mut [&mut a]);
            assert!(beyond.is_none());
        }
    }
}
