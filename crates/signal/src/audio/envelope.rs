//! A broadband speech envelope for attention decoding.
//!
//! The recipe follows Biesmans, Das, Francart & Bertrand 2017 (doi:10.1109/TNSRE.2016.2571900),
//! their best of the methods compared: gammatone sub-bands from 150 Hz to 4 kHz spaced by 1.5 ERB,
//! compression of each sub-band's magnitude by a power of 0.6, sum over sub-bands, low-pass and
//! resampling. Differences, chosen for cleanness: the sub-bands are complex (Hohmann 2002, Acta
//! Acustica 88:433), so the magnitude needs no smoothing, and each is moved earlier by its own
//! delay, so that a click has its peak at the click in all bands.

use num_complex::Complex32;

use crate::resample;
use crate::{Error, Result};

/// Lowest and highest centre frequency in Hz.
const RANGE: (f64, f64) = (150.0, 4000.0);
/// Distance of neighbouring centres in ERB.
const SPACING: f64 = 1.5;
/// Exponent of the compression.
const POWER: f32 = 0.6;
/// Order of the gammatone filters.
const ORDER: usize = 4;

/// Broadband envelope of a sound at `sfreq` Hz, at `out_sfreq` Hz (64 for AADNet):
/// `ceil(x.len() * out_sfreq / sfreq)` samples, not normalised. Sub-bands centred above 0.45
/// `sfreq` are left out. The low-pass is [`resample::resample_poly`]'s own (zero phase, at
/// `out_sfreq` / 2); its ripple can make silence slightly negative, so values below zero become
/// zero.
///
/// # Errors
/// As [`resample::ratio`]; [`Error::Parameter`] when `out_sfreq` is above `sfreq` or no sub-band
/// fits below 0.45 `sfreq`.
pub fn envelope(x: &[f32], sfreq: f64, out_sfreq: f64) -> Result<Vec<f32>> {
    let (up, down) = resample::ratio(sfreq, out_sfreq)?;
    let bands = bands(sfreq);
    if up > down || bands.is_empty() {
        return Err(Error::Parameter {
            what: "envelope rates",
            expected: "a sound above 333 Hz and an envelope rate not above it",
            found: format!("{sfreq} Hz to {out_sfreq} Hz"),
        });
    }
    let mut sum = vec![0.0f64; x.len()];
    for band in &bands {
        band.add_compressed(x, &mut sum);
    }
    let out = resample::resample_poly(&sum, up, down)?;
    Ok(out.iter().map(|v| v.max(0.0) as f32).collect())
}

/// Glasberg & Moore 1990: frequency in Hz to ERB rate, and back.
fn erb_rate(hz: f64) -> f64 {
    21.4 * (1.0 + 0.00437 * hz).log10()
}

fn erb_rate_to_hz(erb: f64) -> f64 {
    (10f64.powf(erb / 21.4) - 1.0) / 0.00437
}

struct Band {
    pole: Complex32,
    gain: f32,
    /// Samples from a click to the peak of the band's answer.
    delay: usize,
}

fn bands(sfreq: f64) -> Vec<Band> {
    let (lo, hi) = (erb_rate(RANGE.0), erb_rate(RANGE.1));
    let count = ((hi - lo) / SPACING).floor() as usize + 1;
    (0..count)
        .map(|k| erb_rate_to_hz(lo + SPACING * k as f64))
        .filter(|centre| *centre < 0.45 * sfreq)
        .map(|centre| {
            // Bandwidth of a fourth-order gammatone filter with the ear's ERB.
            let width = 1.019 * 24.7 * (1.0 + 0.00437 * centre);
            let decay = (-std::f64::consts::TAU * width / sfreq).exp();
            let pole =
                num_complex::Complex64::from_polar(decay, std::f64::consts::TAU * centre / sfreq);
            // |z|^3 exp(-2 pi b t) peaks at t = 3 / (2 pi b).
            let delay = (ORDER - 1) as f64 / (std::f64::consts::TAU * width) * sfreq;
            Band {
                pole: Complex32::new(pole.re as f32, pole.im as f32),
                gain: (2.0 * (1.0 - decay).powi(ORDER as i32)) as f32,
                delay: delay.round() as usize,
            }
        })
        .collect()
}

impl Band {
    /// Adds this band's compressed magnitude to `sum`, moved earlier by the band's delay.
    fn add_compressed(&self, x: &[f32], sum: &mut [f64]) {
        let mut state = [Complex32::new(0.0, 0.0); ORDER];
        // Zeros after the end let the delay run out.
        let tail = std::iter::repeat_n(&0.0, self.delay);
        for (t, v) in x.iter().chain(tail).enumerate() {
            let mut y = Complex32::new(v * self.gain, 0.0);
            for s in &mut state {
                *s = *s * self.pole + y;
                y = *s;
            }
            if let Some(to) = t.checked_sub(self.delay).and_then(|t| sum.get_mut(t)) {
                *to += f64::from(y.norm_sqr().powf(POWER / 2.0));
            }
        }
    }
}
