//! Epochs: which samples belong to which epoch, and the z-score of one.
//!
//! Owns the rounding of times to samples. Does not own trials (they come as times) or storage.

use std::ops::Range;

use multiversion::multiversion;

use crate::{Error, Result};

/// Where a trial's samples went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cut {
    /// Samples of each epoch, in order, all of the same length, never overlapping.
    pub epochs: Vec<Range<usize>>,
    /// Samples between the end of the last epoch and the end of the trial: fewer than an epoch.
    /// (With an epoch length that is not a whole number of samples, the samples skipped between
    /// epochs are counted here too.)
    pub tail: usize,
    /// Samples of the trial that lie before the signal's first or after its last sample. The
    /// epochs of such a trial start at the signal's first sample.
    pub outside: usize,
}

/// Cuts the trial from `start_s` to `stop_s` (seconds from the first sample; `None` is the
/// signal's own start or end) of a signal of `n_samples` at `sfreq` Hz into non-overlapping
/// epochs of `epoch_seconds`.
///
/// Rounding: a time becomes the nearest sample, `floor(t * sfreq + 0.5)`. Epoch `k` starts
/// `floor(k * epoch_seconds * sfreq)` samples after the trial's first sample and has
/// `floor(epoch_seconds * sfreq)` samples (products within 1e-6 below a whole number count as
/// that number), so with a length that is not a whole number of samples starts do not drift: each
/// is at most one sample early. Every sample of the trial is in an epoch, in `tail`, or in
/// `outside`.
///
/// # Errors
/// [`Error::Rate`] for a rate that is not positive, [`Error::Parameter`] for an epoch shorter
/// than a sample, for times that are not finite, or for a stop before its start.
pub fn cut(
    n_samples: usize,
    sfreq: f64,
    epoch_seconds: f64,
    start_s: Option<f64>,
    stop_s: Option<f64>,
) -> Result<Cut> {
    if !(sfreq.is_finite() && sfreq > 0.0) {
        return Err(Error::Rate {
            what: "sfreq",
            found: sfreq,
        });
    }
    let exact = epoch_seconds * sfreq;
    if !(exact.is_finite() && exact + 1e-6 >= 1.0) {
        return Err(Error::Parameter {
            what: "epoch_seconds",
            expected: "at least one sample long",
            found: format!("{epoch_seconds} s at {sfreq} Hz"),
        });
    }
    let sample = |what, t: Option<f64>, default: i64| match t {
        None => Ok(default),
        // Beyond 2^52 samples a time has no sample of its own.
        Some(t) if (t * sfreq).abs() < 4.5e15 => Ok((t * sfreq + 0.5).floor() as i64),
        Some(t) => Err(Error::Parameter {
            what,
            expected: "a finite time in seconds",
            found: t.to_string(),
        }),
    };
    let start = sample("start", start_s, 0)?;
    let stop = sample("stop", stop_s, n_samples as i64)?;
    if stop < start && stop_s.is_some() && start_s.is_some() {
        return Err(Error::Parameter {
            what: "stop",
            expected: "not before the start",
            found: format!(
                "{} for a start of {}",
                stop_s.unwrap_or(0.0),
                start_s.unwrap_or(0.0)
            ),
        });
    }
    let wanted = (stop - start).max(0) as usize;
    let inside =
        start.clamp(0, n_samples as i64) as usize..stop.clamp(0, n_samples as i64) as usize;
    let available = inside.len();
    let length = (exact + 1e-6).floor() as usize;
    let mut epochs = Vec::with_capacity(available / length);
    loop {
        let offset = (epochs.len() as f64 * exact + 1e-6).floor() as usize;
        if offset + length > available {
            break;
        }
        let first = inside.start + offset;
        epochs.push(first..first + length);
    }
    Ok(Cut {
        tail: available - epochs.len() * length,
        outside: wanted - available,
        epochs,
    })
}

/// What [`zscore`] took out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stats {
    /// Mean, in the unit of the input.
    pub mean: f64,
    /// Population standard deviation (divided by n), in the unit of the input.
    pub std: f64,
    /// Whether the channel was flat; its samples are then all zero.
    pub flat: bool,
}

/// Standard deviation in microvolts under which a channel counts as flat. What the recipes leave
/// of a constant 187.5 mV (the largest offset that common 24-bit amplifiers pass) is rounding of
/// 1e-10 to 2e-5 µV (SciPy's figure for 0.1-75 Hz at 2,048 Hz; 1e-8 µV for 1-40 Hz), while the
/// quietest amplifiers have some 0.03 µV of noise in an EEG band.
pub const FLAT_STD: f64 = 1e-4;

/// Replaces `x` (µV) by `(x - mean) / std` with the population standard deviation. A flat channel
/// (`std` below [`FLAT_STD`], or not a number) becomes zeros and is flagged.
pub fn zscore(x: &mut [f64]) -> Stats {
    let stats = stats(x);
    if stats.flat {
        x.fill(0.0);
    } else {
        x.iter_mut()
            .for_each(|v| *v = (*v - stats.mean) / stats.std);
    }
    stats
}

/// Z-scores `x` (µV) into `out` as f32: arithmetic in f64, one rounding.
///
/// # Panics
/// When lengths differ.
#[multiversion(targets("x86_64+avx+avx2"))]
pub fn zscore_f32(x: &[f64], out: &mut [f32]) -> Stats {
    assert_eq!(x.len(), out.len(), "zscore_f32 needs slices of one length");
    let stats = stats(x);
    if stats.flat {
        out.fill(0.0);
    } else {
        for (to, v) in out.iter_mut().zip(x) {
            *to = ((v - stats.mean) / stats.std) as f32;
        }
    }
    stats
}

/// Sum of squares.
#[multiversion(targets("x86_64+avx+avx2"))]
pub fn power(x: &[f64]) -> f64 {
    sum_of(x, |v| v * v)
}

/// Mean and population standard deviation in two passes.
#[multiversion(targets("x86_64+avx+avx2"))]
pub fn stats(x: &[f64]) -> Stats {
    let n = x.len().max(1) as f64;
    let mean = sum_of(x, |v| v) / n;
    let std = (sum_of(x, |v| (v - mean) * (v - mean)) / n).sqrt();
    Stats {
        mean,
        std,
        flat: !(std >= FLAT_STD && std.is_finite()),
    }
}

/// Sum in eight interleaved parts: a fixed order that the compiler can keep in vectors.
#[inline(always)]
fn sum_of(x: &[f64], f: impl Fn(f64) -> f64) -> f64 {
    let (chunks, rest) = x.as_chunks::<8>();
    let mut parts = [0.0; 8];
    for chunk in chunks {
        for (part, v) in parts.iter_mut().zip(chunk) {
            *part += f(*v);
        }
    }
    parts.iter().sum::<f64>() + rest.iter().map(|v| f(*v)).sum::<f64>()
}
