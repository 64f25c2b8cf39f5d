//! The data file: binary in either orientation and byte order, or text.

use std::path::Path;

use crate::error::{Error, Result};
use crate::source::Source;

use super::header::{Number, Storage};

/// Points of all channels decoded in one go when multiplexed: they stay in the first cache.
const BLOCK: usize = 256;

/// Samples that can be read at random.
pub(super) enum Data {
    Binary {
        source: Option<Source>,
        number: Number,
        big_endian: bool,
        vectorized: bool,
    },
    /// Channel after channel, already uncalibrated numbers.
    Text { values: Vec<f64> },
}

/// A float that samples are decoded to.
pub(super) trait Float: Copy {
    fn from_f64(x: f64) -> Self;
}

impl Float for f32 {
    fn from_f64(x: f64) -> f32 {
        x as f32
    }
}

impl Float for f64 {
    fn from_f64(x: f64) -> f64 {
        x
    }
}

/// One channel of a read: its column, its resolution, its target.
pub(super) struct Target<'a, 'b, T> {
    pub(super) channel: usize,
    pub(super) resolution: f64,
    pub(super) out: &'a mut &'b mut [T],
}

impl Data {
    /// See [`crate::Recording::release`].
    pub(super) fn release(&self) {
        if let Data::Binary {
            source: Some(source),
            ..
        } = self
        {
            source.release();
        }
    }

    /// Decodes points from `start` into the targets. `n` is the number of channels, `points`
    /// the samples a channel; the caller has checked that all lie within.
    pub(super) fn read<T: Float>(
        &self,
        n: usize,
        points: usize,
        start: usize,
        targets: &mut [Target<'_, '_, T>],
    ) -> Option<()> {
        match self {
            Data::Text { values } => {
                for t in targets {
                    let from = t.channel * points + start;
                    let src = values.get(from..from + t.out.len())?;
                    for (d, &x) in t.out.iter_mut().zip(src) {
                        *d = T::from_f64(x * t.resolution);
                    }
                }
                Some(())
            }
            Data::Binary {
                source,
                number,
                big_endian,
                vectorized,
            } => {
                let bytes = source.as_ref().map_or(&[][..], |s| s.bytes());
                let place = Place {
                    bytes,
                    n,
                    points,
                    start,
                    vectorized: *vectorized,
                };
                match (number, big_endian) {
                    (Number::Int16, false) => {
                        place.read(targets, |b| f64::from(i16::from_le_bytes(b)))
                    }
                    (Number::Int16, true) => {
                        place.read(targets, |b| f64::from(i16::from_be_bytes(b)))
                    }
                    (Number::UInt16, false) => {
                        place.read(targets, |b| f64::from(u16::from_le_bytes(b)))
                    }
                    (Number::UInt16, true) => {
                        place.read(targets, |b| f64::from(u16::from_be_bytes(b)))
                    }
                    (Number::Int32, false) => {
                        place.read(targets, |b| f64::from(i32::from_le_bytes(b)))
                    }
                    (Number::Int32, true) => {
                        place.read(targets, |b| f64::from(i32::from_be_bytes(b)))
                    }
                    (Number::Float32, false) => {
                        place.read(targets, |b| f64::from(f32::from_le_bytes(b)))
                    }
                    (Number::Float32, true) => {
                        place.read(targets, |b| f64::from(f32::from_be_bytes(b)))
                    }
                    (Number::Float64, false) => place.read(targets, f64::from_le_bytes),
                    (Number::Float64, true) => place.read(targets, f64::from_be_bytes),
                }
            }
        }
    }
}

struct Place<'a> {
    bytes: &'a [u8],
    n: usize,
    points: usize,
    start: usize,
    vectorized: bool,
}

impl Place<'_> {
    fn read<T: Float, const W: usize>(
        &self,
        targets: &mut [Target<'_, '_, T>],
        value: impl Fn([u8; W]) -> f64,
    ) -> Option<()> {
        let numbers = self.bytes.as_chunks::<W>().0;
        if self.vectorized {
            for t in targets {
                let from = t.channel * self.points + self.start;
                let src = numbers.get(from..from + t.out.len())?;
                for (d, &b) in t.out.iter_mut().zip(src) {
                    *d = T::from_f64(value(b) * t.resolution);
                }
            }
            return Some(());
        }
        let longest = targets.iter().map(|t| t.out.len()).max().unwrap_or(0);
        for block in (0..longest).step_by(BLOCK) {
            for t in targets.iter_mut() {
                let stop = t.out.len().min(block + BLOCK);
                if block >= stop {
                    continue;
                }
                let frames =
                    numbers.get((self.start + block) * self.n..(self.start + stop) * self.n)?;
                let out = &mut t.out[block..stop];
                for (d, frame) in out.iter_mut().zip(frames.chunks_exact(self.n)) {
                    *d = T::from_f64(value(*frame.get(t.channel)?) * t.resolution);
                }
            }
        }
        Some(())
    }
}

/// Parses a text data file: a line a point (multiplexed) or a line a channel (vectorized).
/// Returns the values channel after channel and the number of points.
///
/// # Errors
/// [`Error::Text`] where a number is not one or lines differ in length.
pub(super) fn ascii(
    path: &Path,
    text: &str,
    storage: Storage,
    n: usize,
    vectorized: bool,
) -> Result<(Vec<f64>, usize)> {
    let Storage::Ascii {
        decimal,
        skip_lines,
        skip_columns,
    } = storage
    else {
        return Ok((Vec::new(), 0));
    };
    let wrong = |line: usize, message: String| Error::Text {
        path: path.to_path_buf(),
        line,
        field: "data".to_owned(),
        message,
    };
    let mut values = Vec::new();
    let mut width = None;
    let mut rows = 0usize;
    for (i, line) in text.lines().enumerate().skip(skip_lines) {
        let before = values.len();
        // With a decimal comma only white space and semicolons separate.
        let separates = |c: char| c.is_whitespace() || c == ';' || (c == ',' && decimal == '.');
        for token in line
            .split(separates)
            .filter(|t| !t.is_empty())
            .skip(skip_columns)
        {
            let plain = if decimal == ',' {
                token.replace(',', ".")
            } else {
                token.to_owned()
            };
            let value: f64 = plain
                .parse()
                .map_err(|_| wrong(i + 1, format!("expected a number, found {token:?}")))?;
            values.push(value);
        }
        let found = values.len() - before;
        if found == 0 {
            continue;
        }
        let expected = *width.get_or_insert(if vectorized { found } else { n });
        if found != expected {
            return Err(wrong(
                i + 1,
                format!("expected {expected} numbers, found {found}"),
            ));
        }
        rows += 1;
    }
    if vectorized {
        if rows != n {
            return Err(wrong(
                0,
                format!("expected {n} lines, one a channel, found {rows}"),
            ));
        }
        return Ok((values, width.unwrap_or(0)));
    }
    let mut planar = Vec::with_capacity(values.len());
    for channel in 0..n {
        planar.extend(values.iter().skip(channel).step_by(n));
    }
    Ok((planar, rows))
}
