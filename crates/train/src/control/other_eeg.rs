//! A source with other EEG: labels, sounds and their vectors are the inner source's.

use crate::Result;
use crate::source::{Meta, Source};

/// What stands in the place of a source's EEG.
pub(crate) trait Eeg: Send + Sync {
    /// As [`Source::read_eeg`] of `inner`.
    fn read_eeg(&self, inner: &dyn Source, i: usize, out: &mut [f32]) -> Result<()>;
    /// As [`Source::read_scale`] of `inner`, which it gives unless told otherwise.
    fn read_scale(
        &self,
        inner: &dyn Source,
        i: usize,
        out_mean: &mut [f32],
        out_std: &mut [f32],
    ) -> Result<()> {
        inner.read_scale(i, out_mean, out_std)
    }
}

/// `inner` with the EEG of `eeg`.
pub(crate) struct OtherEeg<'a, E> {
    inner: &'a dyn Source,
    eeg: E,
}

impl<'a, E: Eeg> OtherEeg<'a, E> {
    pub(crate) fn new(inner: &'a dyn Source, eeg: E) -> Self {
        Self { inner, eeg }
    }
}

impl<E: Eeg> Source for OtherEeg<'_, E> {
    fn len(&self) -> usize {
        self.inner.len()
    }
    fn meta(&self, i: usize) -> &Meta {
        self.inner.meta(i)
    }
    fn montage(&self, m: usize) -> &[String] {
        self.inner.montage(m)
    }
    fn n_times(&self) -> usize {
        self.inner.n_times()
    }
    fn sfreq(&self) -> f64 {
        self.inner.sfreq()
    }
    fn classes(&self) -> &[String] {
        self.inner.classes()
    }
    fn read_eeg(&self, i: usize, out: &mut [f32]) -> Result<()> {
        self.eeg.read_eeg(self.inner, i, out)
    }
    fn read_scale(&self, i: usize, out_mean: &mut [f32], out_std: &mut [f32]) -> Result<()> {
        self.eeg.read_scale(self.inner, i, out_mean, out_std)
    }
    fn read_candidate(&self, i: usize, k: usize, out: &mut Vec<f32>) -> Result<()> {
        self.inner.read_candidate(i, k, out)
    }
    fn candidate_key(&self, i: usize, k: usize) -> Option<u64> {
        self.inner.candidate_key(i, k)
    }
    fn embedding(&self, encoder: &str, i: usize, k: usize) -> Result<Option<Vec<f32>>> {
        self.inner.embedding(encoder, i, k)
    }
    fn stimulus_key(&self, i: usize, k: usize) -> Option<u64> {
        self.inner.stimulus_key(i, k)
    }
}
