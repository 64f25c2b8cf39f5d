//! The temporal response function: how the envelope of a sound becomes EEG.
//!
//! Three peaks as in speech (P1 near 50 ms, N1 near 100 ms, P2 near 200 ms; Crosse et al. 2016,
//! doi:10.3389/fnhum.2016.00604), each with its own topography. The kernel is the same whichever
//! side is attended, so EEG alone does not tell the side.

use crate::montage::{Point, bump, position};

/// Latency in s, width (standard deviation) in s, sign and size of each peak.
const PEAKS: [(f64, f64, f64); 3] = [(0.05, 0.016, 0.7), (0.10, 0.022, -1.0), (0.20, 0.040, 0.9)];

/// Length of the kernel in seconds.
const SECONDS: f64 = 0.4;

/// A response function: for each component a kernel over time and a map over channels.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Trf {
    /// Lags in seconds.
    pub times: Vec<f64>,
    /// Component × lag; µV per standard deviation of the envelope once scaled, at map value 1.
    pub kernels: Vec<Vec<f64>>,
    /// Component × channel.
    pub maps: Vec<Vec<f64>>,
}

impl Trf {
    /// The unscaled function on a cap.
    pub(crate) fn new(positions: &[Point], sfreq: f64) -> Self {
        let n = (SECONDS * sfreq) as usize;
        let times: Vec<f64> = (0..n).map(|k| k as f64 / sfreq).collect();
        let kernels = PEAKS
            .iter()
            .map(|(latency, width, size)| {
                times
                    .iter()
                    .map(|t| {
                        let x = (t - latency) / width;
                        size * (-0.5 * x * x).exp()
                    })
                    .collect()
            })
            .collect();
        // P1 and P2 are fronto-central; N1 reaches further to both temples.
        let front = bump(positions, &position(20.0, 90.0), 0.7);
        let wide = bump(positions, &position(5.0, 90.0), 1.0);
        let left = bump(positions, &position(75.0, 170.0), 0.5);
        let right = bump(positions, &position(75.0, 10.0), 0.5);
        let temples: Vec<f64> = wide
            .iter()
            .zip(left.iter().zip(&right))
            .map(|(w, (l, r))| w - 0.4 * (l + r))
            .collect();
        Self {
            times,
            kernels,
            maps: vec![front, temples, wide],
        }
    }

    /// Channel × time response to an envelope; `out` is added to, scaled by `gain`.
    pub(crate) fn add_response(&self, envelope: &[f64], gain: f64, out: &mut [&mut [f64]]) {
        for (kernel, map) in self.kernels.iter().zip(&self.maps) {
            let course = convolve(envelope, kernel);
            for (channel, m) in out.iter_mut().zip(map) {
                for (y, x) in channel.iter_mut().zip(&course) {
                    *y += gain * m * x;
                }
            }
        }
    }

    pub(crate) fn scale(&mut self, factor: f64) {
        self.kernels.iter_mut().flatten().for_each(|v| *v *= factor);
    }
}

/// Causal convolution, cut to the length of `x`.
fn convolve(x: &[f64], kernel: &[f64]) -> Vec<f64> {
    (0..x.len())
        .map(|n| {
            kernel
                .iter()
                .take(n + 1)
                .enumerate()
                .map(|(k, h)| h * x[n - k])
                .sum()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::montage::cap;

    #[test]
    fn an_impulse_gives_the_kernel_back() {
        let (names, positions) = cap(16);
        let trf = Trf::new(&positions, 128.0);
        let mut envelope = vec![0.0; 100];
        envelope[10] = 1.0;
        let mut out = vec![vec![0.0; 100]; names.len()];
        let mut rows: Vec<&mut [f64]> = out.iter_mut().map(Vec::as_mut_slice).collect();
        trf.add_response(&envelope, 2.0, &mut rows);
        for (channel, row) in out.iter().enumerate() {
            assert!(
                row[..10].iter().all(|v| *v == 0.0),
                "a response before its cause"
            );
            for lag in 0..trf.times.len() {
                let want: f64 = (0..3)
                    .map(|c| 2.0 * trf.kernels[c][lag] * trf.maps[c][channel])
                    .sum();
                assert!((row[10 + lag] - want).abs() < 1e-12);
            }
        }
        // The strongest response at Cz is the negative peak near 100 ms.
        let cz = names.iter().position(|n| n == "Cz").unwrap();
        let lag = (0..trf.times.len())
            .max_by(|a, b| out[cz][10 + a].abs().total_cmp(&out[cz][10 + b].abs()))
            .unwrap();
        assert!((trf.times[lag] - 0.1).abs() < 0.02 && out[cz][10 + lag] < 0.0);
    }
}
