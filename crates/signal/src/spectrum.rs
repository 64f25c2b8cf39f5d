//! Spectra: Welch's estimate, band powers, and phase randomisation.
//!
//! Owns the bands' limits. Transforms are `realfft`'s, whose last bits may differ between CPUs;
//! nothing that is stored as an epoch comes from here.

use num_complex::Complex64;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use realfft::RealFftPlanner;

use crate::{Error, Result};

/// EEG bands in Hz, each from its first frequency up to, not including, its second: delta, theta,
/// alpha, beta, low gamma.
pub const BANDS: [(&str, f64, f64); 5] = [
    ("delta", 1.0, 4.0),
    ("theta", 4.0, 8.0),
    ("alpha", 8.0, 13.0),
    ("beta", 13.0, 30.0),
    ("low_gamma", 30.0, 40.0),
];

/// Seconds of a Welch segment in [`bandpower`] and [`log_bandpowers`] (bins of 0.5 Hz).
pub const SEGMENT_SECONDS: f64 = 2.0;

/// A one-sided power spectral density.
#[derive(Debug, Clone, PartialEq)]
pub struct Psd {
    /// Frequencies in Hz, from 0 to half the sampling rate.
    pub freqs: Vec<f64>,
    /// Density in unit² / Hz, one a frequency.
    pub density: Vec<f64>,
}

impl Psd {
    /// Power between `lo` and `hi` Hz in unit²: the sum over bins with `lo <= f < hi`, times the
    /// width of a bin. Bands that meet share no bin.
    pub fn power(&self, lo: f64, hi: f64) -> f64 {
        let width = self.freqs.get(1).copied().unwrap_or(0.0);
        let bins = self.freqs.iter().zip(&self.density);
        let inside = bins.filter(|(f, _)| **f >= lo && **f < hi);
        inside.map(|(_, p)| p).sum::<f64>() * width
    }
}

/// Welch's estimate as `scipy.signal.welch` with its defaults: periodic Hann window of `nperseg`
/// samples (or all of `x` when that is shorter), half overlap, mean removed from each segment,
/// density scaling, mean over segments.
///
/// # Errors
/// [`Error::Rate`]; [`Error::Parameter`] for an empty signal or `nperseg` of zero.
pub fn welch(x: &[f64], sfreq: f64, nperseg: usize) -> Result<Psd> {
    if !(sfreq.is_finite() && sfreq > 0.0) {
        return Err(Error::Rate {
            what: "sfreq",
            found: sfreq,
        });
    }
    let n = nperseg.min(x.len());
    if n == 0 {
        return Err(Error::Parameter {
            what: "nperseg and signal",
            expected: "one sample or more",
            found: format!("{nperseg} and {} samples", x.len()),
        });
    }
    let window: Vec<f64> = (0..n)
        .map(|i| 0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / n as f64).cos())
        .map(|w| if n == 1 { 1.0 } else { w })
        .collect();
    let scale = 1.0 / (sfreq * window.iter().map(|w| w * w).sum::<f64>());
    let fft = RealFftPlanner::<f64>::new().plan_fft_forward(n);
    let mut segment = fft.make_input_vec();
    let mut spectrum = fft.make_output_vec();
    let mut scratch = fft.make_scratch_vec();
    let mut density = vec![0.0; n / 2 + 1];
    let step = n - n / 2;
    let starts: Vec<usize> = (0..=x.len() - n).step_by(step).collect();
    for start in &starts {
        let part = &x[*start..start + n];
        let mean = part.iter().sum::<f64>() / n as f64;
        for ((to, v), w) in segment.iter_mut().zip(part).zip(&window) {
            *to = (v - mean) * w;
        }
        fft.process_with_scratch(&mut segment, &mut spectrum, &mut scratch)
            .map_err(|e| Error::Transform(e.to_string()))?;
        for (k, (d, c)) in density.iter_mut().zip(&spectrum).enumerate() {
            // Bins other than 0 and Nyquist stand for their negative twins too.
            let twice = if k == 0 || 2 * k == n { 1.0 } else { 2.0 };
            *d += twice * scale * c.norm_sqr() / starts.len() as f64;
        }
    }
    Ok(Psd {
        freqs: (0..density.len())
            .map(|k| k as f64 * sfreq / n as f64)
            .collect(),
        density,
    })
}

/// Power of `x` between `lo` (included) and `hi` (excluded) Hz, in the unit of `x` squared, from
/// [`welch`] with segments of [`SEGMENT_SECONDS`]. NaN for an empty signal or a rate that is not
/// positive.
pub fn bandpower(x: &[f64], sfreq: f64, lo: f64, hi: f64) -> f64 {
    segments(x, sfreq).map_or(f64::NAN, |psd| psd.power(lo, hi))
}

/// Natural logarithm of the power in each of [`BANDS`], estimated as [`bandpower`]; powers under
/// 1e-20 unit² count as 1e-20, so a flat channel gives finite features. NaN as [`bandpower`].
pub fn log_bandpowers(x: &[f64], sfreq: f64) -> [f64; BANDS.len()] {
    segments(x, sfreq).map_or([f64::NAN; BANDS.len()], |psd| {
        BANDS.map(|(_, lo, hi)| psd.power(lo, hi).max(1e-20).ln())
    })
}

fn segments(x: &[f64], sfreq: f64) -> Option<Psd> {
    welch(x, sfreq, (SEGMENT_SECONDS * sfreq).round() as usize).ok()
}

/// Which phases [`phase_randomise`] draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phases {
    /// Each channel its own: nothing of the signal but its channels' spectra survives. This is the
    /// `noise-eeg` control.
    Independent,
    /// One shift for all channels: spectra between channels (topography, coherence) survive too
    /// (Prichard & Theiler 1994, doi:10.1103/PhysRevLett.73.951).
    Shared,
}

/// Replaces an epoch by noise of the same spectrum: the amplitude of every frequency of every
/// channel is kept, its phase is shifted by a random angle (Theiler et al. 1992,
/// doi:10.1016/0167-2789(92)90102-S). `x` is channels × time, row after row, `n_channels` rows.
/// The mean is kept, and so is the variance.
///
/// Angles come from ChaCha8 keyed by `(seed, epoch_id)`, one stream a channel, so the result does
/// not depend on the order in which epochs or channels are drawn.
///
/// # Errors
/// [`Error::Parameter`] when `x` does not divide into `n_channels` rows.
pub fn phase_randomise(
    x: &mut [f32],
    n_channels: usize,
    seed: u64,
    epoch_id: u64,
    phases: Phases,
) -> Result<()> {
    if n_channels == 0 || !x.len().is_multiple_of(n_channels) {
        return Err(Error::Parameter {
            what: "channels",
            expected: "a divisor of the number of samples",
            found: format!("{n_channels} for {} samples", x.len()),
        });
    }
    let n = x.len() / n_channels;
    if n == 0 {
        return Ok(());
    }
    let mut planner = RealFftPlanner::<f64>::new();
    let (forward, inverse) = (planner.plan_fft_forward(n), planner.plan_fft_inverse(n));
    let mut time = forward.make_input_vec();
    let mut spectrum = forward.make_output_vec();
    let failed = |e: realfft::FftError| Error::Transform(e.to_string());
    for (c, channel) in x.chunks_mut(n).enumerate() {
        for (to, v) in time.iter_mut().zip(&*channel) {
            *to = f64::from(*v);
        }
        forward.process(&mut time, &mut spectrum).map_err(failed)?;
        let mut rng = stream(
            seed,
            epoch_id,
            if phases == Phases::Shared {
                0
            } else {
                c as u64
            },
        );
        let last = spectrum.len() - 1;
        for (k, bin) in spectrum.iter_mut().enumerate().skip(1) {
            let angle = rng.random::<f64>() * std::f64::consts::TAU;
            if k == last && n.is_multiple_of(2) {
                // The Nyquist bin is real: only its sign is free.
                *bin = if angle < std::f64::consts::PI {
                    *bin
                } else {
                    -*bin
                };
            } else {
                *bin *= Complex64::from_polar(1.0, angle);
            }
        }
        inverse.process(&mut spectrum, &mut time).map_err(failed)?;
        for (to, v) in channel.iter_mut().zip(&time) {
            *to = (v / n as f64) as f32;
        }
    }
    Ok(())
}

fn stream(seed: u64, epoch_id: u64, channel: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch_id.to_le_bytes());
    key[16..].copy_from_slice(b"phase-randomise\0");
    let mut rng = ChaCha8Rng::from_seed(key);
    rng.set_stream(channel);
    rng
}
