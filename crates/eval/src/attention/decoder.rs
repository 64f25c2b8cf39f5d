//! The ridge solution and the reconstruction.

use super::moments::{Moments, at, check, dot, ratio};
use crate::{Error, Result};

/// Cholesky factor of the centred, penalised covariance of lagged EEG: any number of targets can
/// be solved with it.
#[derive(Debug, Clone)]
pub struct Factor {
    /// Lower triangle by rows.
    l: Vec<f64>,
    width: usize,
}

impl Factor {
    /// Factors `C + lambda * (trace(C) / width) * I`, C the covariance (sum of squares about the
    /// mean) of the lagged EEG. That is scikit-learn's `Ridge(alpha = lambda * trace(C) / width)`
    /// with an intercept.
    ///
    /// # Errors
    /// [`Error::Domain`] for a penalty that is not positive; [`Error::NotPositive`] when there is
    /// no such factor, as for EEG that is flat.
    pub fn new(moments: &Moments, lambda: f64) -> Result<Self> {
        if !(lambda > 0.0 && lambda.is_finite()) {
            return Err(Error::Domain {
                what: "lambda",
                expected: "a positive number",
                found: lambda,
            });
        }
        let width = moments.width();
        let mut l = moments.xx.clone();
        let mut trace = 0.0;
        for i in 0..width {
            let mean = moments.x[i] / moments.n.max(1.0);
            for (v, x) in l[at(i, 0)..=at(i, i)].iter_mut().zip(&moments.x) {
                *v -= mean * x;
            }
            trace += l[at(i, i)];
        }
        let ridge = lambda * trace / width.max(1) as f64;
        for i in 0..width {
            l[at(i, i)] += ridge;
        }
        for i in 0..width {
            let (done, rest) = l.split_at_mut(at(i, 0));
            let row = &mut rest[..=i];
            for j in 0..i {
                let above = &done[at(j, 0)..=at(j, j)];
                row[j] = (row[j] - dot(&row[..j], &above[..j])) / above[j];
            }
            let pivot = row[i] - dot(&row[..i], &row[..i]);
            if !(pivot > 0.0 && pivot.is_finite()) {
                return Err(Error::NotPositive { lambda });
            }
            row[i] = pivot.sqrt();
        }
        Ok(Self { l, width })
    }

    /// Weights that reconstruct stream `stream` of `moments`, which must be those of the factor.
    ///
    /// # Errors
    /// [`Error::Shape`] for moments of another width or without that stream.
    pub fn solve(&self, moments: &Moments, stream: usize) -> Result<Vec<f64>> {
        let target = moments.streams.get(stream).ok_or(Error::Shape {
            what: "candidate sounds",
            expected: stream + 1,
            found: moments.streams.len(),
        })?;
        if moments.width() != self.width {
            return Err(Error::Shape {
                what: "columns of lagged EEG",
                expected: self.width,
                found: moments.width(),
            });
        }
        let mean = target.y / moments.n.max(1.0);
        let mut w: Vec<f64> = target
            .xy
            .iter()
            .zip(&moments.x)
            .map(|(xy, x)| xy - x * mean)
            .collect();
        for i in 0..self.width {
            let row = &self.l[at(i, 0)..=at(i, i)];
            w[i] = (w[i] - dot(&row[..i], &w[..i])) / row[i];
        }
        for i in (0..self.width).rev() {
            let row = &self.l[at(i, 0)..=at(i, i)];
            w[i] /= row[i];
            let wi = w[i];
            for (v, l) in w[..i].iter_mut().zip(row) {
                *v -= wi * l;
            }
        }
        Ok(w)
    }
}

/// A fitted backward model.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoder {
    /// `channels * lags` weights, lag fastest.
    pub weights: Vec<f64>,
    /// Lags, from 0 samples on.
    pub lags: usize,
    /// Its penalty, relative to the mean variance of the lagged EEG.
    pub lambda: f64,
}

impl Decoder {
    /// Fits stream `stream` of `moments`.
    ///
    /// # Errors
    /// As [`Factor::new`] and [`Factor::solve`].
    pub fn fit(moments: &Moments, stream: usize, lambda: f64) -> Result<Self> {
        Ok(Self {
            weights: Factor::new(moments, lambda)?.solve(moments, stream)?,
            lags: moments.lags(),
            lambda,
        })
    }

    /// The envelope as the EEG tells it, one value a sample of `eeg` (channel by channel), up to a
    /// constant: a linear map of the EEG.
    ///
    /// # Errors
    /// [`Error::Shape`] for another number of channels or channels of several lengths, and
    /// [`Error::Empty`] and [`Error::Domain`] as [`Moments::of`].
    pub fn reconstruct<E: AsRef<[f64]>>(&self, eeg: &[E]) -> Result<Vec<f64>> {
        let none: [&[f64]; 0] = [];
        let n = check(eeg, &none)?;
        if eeg.len() * self.lags != self.weights.len() {
            return Err(Error::Shape {
                what: "channels",
                expected: self.weights.len() / self.lags.max(1),
                found: eeg.len(),
            });
        }
        let mut out = vec![0.0; n];
        for (x, weights) in eeg.iter().zip(self.weights.chunks(self.lags)) {
            for (lag, w) in weights.iter().enumerate() {
                let later = x.as_ref().get(lag..).unwrap_or(&[]);
                for (y, x) in out.iter_mut().zip(later) {
                    *y += w * x;
                }
            }
        }
        Ok(out)
    }
}

/// Pearson correlation; 0 where a signal is constant, or beyond the shorter one.
pub fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len().min(b.len());
    let (a, b) = (&a[..n], &b[..n]);
    let count = n.max(1) as f64;
    let (ma, mb) = (a.iter().sum::<f64>() / count, b.iter().sum::<f64>() / count);
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (x, y) in a.iter().zip(b) {
        let (x, y) = (x - ma, y - mb);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    ratio(ab, aa, bb)
}

/// Brings a signal to mean 0 and population standard deviation 1; a constant becomes zeros.
pub fn standardise(x: &mut [f64]) {
    let n = x.len().max(1) as f64;
    let mean = x.iter().sum::<f64>() / n;
    let var = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
    // The rounding of a constant far from zero is no variance.
    let floor = (mean * f64::EPSILON * n).powi(2);
    let scale = if var > floor { 1.0 / var.sqrt() } else { 0.0 };
    x.iter_mut().for_each(|v| *v = (*v - mean) * scale);
}
