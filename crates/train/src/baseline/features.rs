//! Log band powers of one example, and their standardisation.

use std::collections::BTreeMap;
use std::sync::Arc;

use mmpipe_signal::spectrum::{SEGMENT_SECONDS, welch};
use rayon::prelude::*;

use crate::data::Cache;
use crate::source::Source;
use crate::{Error, Result};

/// Powers below this many µV² count as this: a flat channel gives a finite feature.
const FLOOR: f64 = 1e-20;

/// Log band powers, kept once computed.
pub(crate) struct BandPowers<'a> {
    pub(crate) source: &'a dyn Source,
    bands: Vec<(f64, f64)>,
    cache: Cache<usize, [f64]>,
}

impl<'a> BandPowers<'a> {
    pub(crate) fn new(source: &'a dyn Source, bands: &[(f64, f64)], budget: usize) -> Self {
        Self {
            source,
            bands: bands.to_vec(),
            cache: Cache::new(budget),
        }
    }

    /// One row an example: channels `names` in order, bands inside.
    pub(crate) fn rows(&self, indices: &[usize], names: &[String]) -> Result<Vec<Vec<f64>>> {
        let rows: Vec<Result<Vec<f64>>> = indices.par_iter().map(|&i| self.row(i, names)).collect();
        rows.into_iter().collect()
    }

    fn row(&self, i: usize, names: &[String]) -> Result<Vec<f64>> {
        let meta = self.source.meta(i);
        let all = self
            .cache
            .get_or(i, |v| size_of_val(v) + 64, || self.compute(i))?;
        let have = self.source.montage(meta.montage);
        let per = self.bands.len();
        let mut out = Vec::with_capacity(names.len() * per);
        for name in names {
            let Some(c) = have.iter().position(|h| h == name) else {
                return Err(Error::Data(format!(
                    "the model needs channel {name}, which epoch {:016x} lacks",
                    meta.epoch_id
                )));
            };
            out.extend_from_slice(&all[c * per..(c + 1) * per]);
        }
        Ok(out)
    }

    /// All channels of the example's montage.
    fn compute(&self, i: usize) -> Result<Arc<[f64]>> {
        let source = self.source;
        let meta = source.meta(i);
        let (channels, n) = (source.montage(meta.montage).len(), source.n_times());
        let mut eeg = vec![0f32; channels * n];
        source.read_eeg(i, &mut eeg)?;
        let (mut mean, mut std) = (vec![0f32; channels], vec![0f32; channels]);
        source.read_scale(i, &mut mean, &mut std)?;
        let segment = (SEGMENT_SECONDS * source.sfreq()).round() as usize;
        let mut out = Vec::with_capacity(channels * self.bands.len());
        for (c, row) in eeg.chunks(n).enumerate() {
            let (mean, std) = (f64::from(mean[c]), f64::from(std[c]));
            let x: Vec<f64> = row.iter().map(|v| f64::from(*v) * std + mean).collect();
            if x.iter().any(|v| !v.is_finite()) {
                let what = format!("channel {c} in µV");
                return Err(Error::source(
                    meta.epoch_id,
                    what,
                    "expected finite numbers; drop this epoch",
                ));
            }
            let psd =
                welch(&x, source.sfreq(), segment).map_err(|e| Error::Signal(e.to_string()))?;
            out.extend(
                self.bands
                    .iter()
                    .map(|&(lo, hi)| psd.power(lo, hi).max(FLOOR).ln()),
            );
        }
        Ok(out.into())
    }
}

/// Mean and population standard deviation of each feature; a constant feature has 1.
pub(crate) fn moments(rows: &[&Vec<f64>]) -> (Vec<f64>, Vec<f64>) {
    let n = rows.len().max(1) as f64;
    let d = rows.first().map_or(0, |r| r.len());
    let mut mean = vec![0.0; d];
    let mut var = vec![0.0; d];
    for row in rows {
        mean.iter_mut().zip(*row).for_each(|(m, x)| *m += x / n);
    }
    for row in rows {
        for ((v, x), m) in var.iter_mut().zip(*row).zip(&mean) {
            *v += (x - m).powi(2) / n;
        }
    }
    // scikit-learn's StandardScaler: a spread within rounding of a constant counts as none.
    let spread = |(v, m): (&f64, &f64)| {
        let rounding = n * f64::EPSILON * v + (n * m * f64::EPSILON).powi(2);
        if *v <= rounding { 1.0 } else { v.sqrt() }
    };
    let std = var.iter().zip(&mean).map(spread).collect();
    (mean, std)
}

/// (x − mean) / std of every row.
pub(crate) fn standardise(rows: &mut [Vec<f64>], mean: &[f64], std: &[f64]) {
    for row in rows {
        for ((x, m), s) in row.iter_mut().zip(mean).zip(std) {
            *x = (*x - m) / s;
        }
    }
}

/// The same with each subject's own mean and spread over the rows given.
pub(crate) fn standardise_within(rows: &mut [Vec<f64>], source: &dyn Source, indices: &[usize]) {
    let mut subjects: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (r, &i) in indices.iter().enumerate() {
        let meta = source.meta(i);
        subjects
            .entry((&meta.dataset, &meta.subject))
            .or_default()
            .push(r);
    }
    for members in subjects.values() {
        let own: Vec<&Vec<f64>> = members.iter().map(|r| &rows[*r]).collect();
        let (mean, std) = moments(&own);
        for &r in members {
            standardise(&mut rows[r..=r], &mean, &std);
        }
    }
}
