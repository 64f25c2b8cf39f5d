//! Coloured noise and simple smoothing.

use crate::random::{Random, normal};
use realfft::RealFftPlanner;
use realfft::num_complex::Complex;

/// Gaussian noise whose power falls as `1 / f^slope` above `corner` Hz and is flat below it,
/// with unit variance. Made in the frequency domain, so the whole recording is one realisation.
pub(crate) fn coloured(
    rng: &mut Random,
    n: usize,
    sfreq: f64,
    slope: f64,
    corner: f64,
) -> Vec<f64> {
    if n == 0 {
        return Vec::new();
    }
    // An even, 5-smooth length keeps the transform fast; the surplus is cut off.
    let len = smooth_length(n);
    let mut spectrum: Vec<Complex<f64>> = (0..=len / 2)
        .map(|k| {
            let f = (k as f64 * sfreq / len as f64).max(corner);
            let a = f.powf(-slope / 2.0);
            Complex::new(a * normal(rng), a * normal(rng))
        })
        .collect();
    // A real signal has a real first and last bin; the first is the mean, left out.
    if let Some(first) = spectrum.first_mut() {
        *first = Complex::new(0.0, 0.0);
    }
    if let Some(last) = spectrum.last_mut() {
        last.im = 0.0;
    }
    let mut out = vec![0.0; len];
    let inverse = RealFftPlanner::<f64>::new().plan_fft_inverse(len);
    // Lengths and the two real bins are as the transform wants them, so it cannot refuse.
    if inverse.process(&mut spectrum, &mut out).is_err() {
        return vec![0.0; n];
    }
    out.truncate(n);
    standardise(&mut out);
    out
}

fn smooth_length(n: usize) -> usize {
    let mut len = n.next_multiple_of(2).max(2);
    loop {
        let mut rest = len;
        for p in [2, 3, 5] {
            while rest.is_multiple_of(p) {
                rest /= p;
            }
        }
        if rest == 1 {
            return len;
        }
        len += 2;
    }
}

/// Subtracts the mean and divides by the standard deviation (a constant becomes zeros).
pub(crate) fn standardise(x: &mut [f64]) {
    let n = x.len().max(1) as f64;
    let mean = x.iter().sum::<f64>() / n;
    let var = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n;
    let scale = if var > 0.0 { 1.0 / var.sqrt() } else { 0.0 };
    for v in x {
        *v = (*v - mean) * scale;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;
    use proptest::prelude::*;

    /// Mean power of `x` between two frequencies, by a plain periodogram.
    fn band(x: &[f64], sfreq: f64, lo: f64, hi: f64) -> f64 {
        let fft = RealFftPlanner::<f64>::new().plan_fft_forward(x.len());
        let mut spectrum = fft.make_output_vec();
        fft.process(&mut x.to_vec(), &mut spectrum).unwrap();
        let df = sfreq / x.len() as f64;
        let powers: Vec<f64> = spectrum
            .iter()
            .enumerate()
            .filter(|(k, _)| (lo..hi).contains(&(*k as f64 * df)))
            .map(|(_, c)| c.norm_sqr())
            .collect();
        powers.iter().sum::<f64>() / powers.len() as f64
    }

    #[test]
    fn slope_is_the_one_asked_for() {
        for slope in [0.0, 1.0, 2.0] {
            let x = coloured(&mut stream(3, "test", &[]), 40_000, 200.0, slope, 0.2);
            let ratio = band(&x, 200.0, 2.0, 4.0) / band(&x, 200.0, 16.0, 32.0);
            let measured = ratio.log2() / 3.0;
            assert!(
                (measured - slope).abs() < 0.1,
                "asked {slope}, measured {measured}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_length_gives_unit_variance(n in 3_usize..3000, seed in any::<u64>()) {
            let x = coloured(&mut stream(seed, "p", &[n]), n, 128.0, 1.0, 0.1);
            prop_assert_eq!(x.len(), n);
            let mean = x.iter().sum::<f64>() / n as f64;
            let var = x.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n as f64;
            prop_assert!(mean.abs() < 1e-9 && (var - 1.0).abs() < 1e-9);
        }
    }
}
