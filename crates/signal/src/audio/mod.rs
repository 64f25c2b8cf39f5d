//! Sound: to 16 kHz mono, peak normalisation, speech envelopes.
//!
//! Owns the arithmetic only; decoding of files is elsewhere.

mod envelope;
mod mono;
mod resample;

pub use envelope::envelope;
pub use mono::{ToMono16k, output_len, to_16k_mono};

/// Rate of stored sound in Hz.
pub const SFREQ: u32 = 16_000;

/// Divides `seg` by its largest absolute sample and returns that peak. Silence (a peak of zero)
/// and segments with values that are not finite are left as they are; the peak returned is then 0
/// or not finite.
pub fn peak_normalise(seg: &mut [f32]) -> f32 {
    // Magnitudes are ordered as their bits are, with NaN above all: whole numbers are compared side
    // by side, where each `f32::max` waits for the one before.
    let bits = seg
        .iter()
        .fold(0, |peak: u32, x| peak.max(x.abs().to_bits()));
    let peak = f32::from_bits(bits);
    if peak.is_nan() {
        return f32::NAN;
    }
    if peak > 0.0 && peak.is_finite() {
        seg.iter_mut().for_each(|x| *x /= peak);
    }
    peak
}
