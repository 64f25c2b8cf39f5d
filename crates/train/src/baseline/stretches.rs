//! Continuous EEG and envelopes from the epochs that they were cut into.
//!
//! A decoder with lags of 400 ms would lose a fifth of every 2-s epoch at its end, and so would the
//! resampling at both. Epochs of one trial that follow each other at their own length are
//! therefore put together again: the z-score is undone, the whole stretch resampled, and every
//! channel and envelope brought to mean 0 and standard deviation 1 over it. A stretch holds
//! epochs that were asked for together and no other, so those of a fold's training part
//! never touch the test part.

use std::sync::Arc;

use mmpipe_eval::attention::standardise;
use mmpipe_signal::{audio, resample};
use xxhash_rust::xxh3::xxh3_64;

use crate::data::{Cache, block};
use crate::source::Source;
use crate::{Error, Result};

/// Rate at which sources deliver sound, Hz.
const AUDIO_SFREQ: f64 = 16_000.0;

/// Longest stretch in seconds; a longer one is cut, so that memory stays bounded.
const MOST_SECONDS: f64 = 300.0;

/// Epochs that follow each other, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) examples: Vec<usize>,
}

/// Reads stretches at the rate of the envelopes; envelopes are kept while the budget lasts.
pub(crate) struct Stretches<'a> {
    pub(super) source: &'a dyn Source,
    rate: f64,
    envelopes: Arc<Cache<u64, [f64]>>,
}

impl<'a> Stretches<'a> {
    pub(crate) fn new(source: &'a dyn Source, rate: f64, budget: usize) -> Self {
        Self {
            source,
            rate,
            envelopes: Arc::new(Cache::new(budget)),
        }
    }

    /// The same sounds beside other EEG.
    pub(crate) fn with_other_eeg<'b>(&self, source: &'b dyn Source) -> Stretches<'b> {
        Stretches {
            source,
            rate: self.rate,
            envelopes: self.envelopes.clone(),
        }
    }

    /// `indices` in stretches, by trial and time.
    pub(super) fn of(&self, indices: &[usize]) -> Vec<Stretch> {
        let source = self.source;
        let seconds = source.n_times() as f64 / source.sfreq().max(1e-9);
        let most = (MOST_SECONDS / seconds.max(1e-9)).max(1.0) as usize;
        let mut order = indices.to_vec();
        order.sort_by_cached_key(|i| {
            let meta = source.meta(*i);
            (block(meta), (meta.onset * 1e6).round() as i64, *i)
        });
        let mut out: Vec<Stretch> = Vec::new();
        for i in order {
            let meta = source.meta(i);
            let follows = |last: &usize| {
                let before = source.meta(*last);
                let gap = meta.onset - before.onset - seconds;
                block(before) == block(meta)
                    && before.montage == meta.montage
                    && before.candidates == meta.candidates
                    && gap.abs() * source.sfreq() < 0.5
            };
            match out.last_mut() {
                Some(open)
                    if open.examples.len() < most && open.examples.last().is_some_and(follows) =>
                {
                    open.examples.push(i);
                }
                _ => out.push(Stretch { examples: vec![i] }),
            }
        }
        out
    }

    /// Samples of the stretch at the rate of the envelopes.
    pub(super) fn len(&self, stretch: &Stretch) -> Result<usize> {
        let (up, down) = self.ratio(self.source.sfreq())?;
        let n = stretch.examples.len() * self.source.n_times();
        Ok((n * up).div_ceil(down))
    }

    /// Where the epochs of a stretch begin and end at the rate of the envelopes.
    pub(super) fn windows(&self, stretch: &Stretch) -> Result<Vec<std::ops::Range<usize>>> {
        let n = self.len(stretch)?;
        let of = self.source.n_times() as f64 * self.rate / self.source.sfreq();
        let at = |k: usize| ((k as f64 * of).round() as usize).min(n);
        Ok((0..stretch.examples.len())
            .map(|k| at(k)..at(k + 1))
            .collect())
    }

    /// EEG of the channels `names`, in order.
    pub(super) fn eeg(&self, stretch: &Stretch, names: &[String]) -> Result<Vec<Vec<f64>>> {
        let source = self.source;
        let n = source.n_times();
        let mut rows: Vec<Vec<f64>> = vec![Vec::new(); names.len()];
        for &i in &stretch.examples {
            let meta = source.meta(i);
            let have = source.montage(meta.montage);
            let mut eeg = vec![0f32; have.len() * n];
            source.read_eeg(i, &mut eeg)?;
            let (mut mean, mut std) = (vec![0f32; have.len()], vec![0f32; have.len()]);
            source.read_scale(i, &mut mean, &mut std)?;
            for (row, name) in rows.iter_mut().zip(names) {
                let Some(c) = have.iter().position(|h| h == name) else {
                    return Err(Error::Data(format!(
                        "the model needs channel {name}, which epoch {:016x} lacks",
                        meta.epoch_id
                    )));
                };
                let (mean, std) = (f64::from(mean[c]), f64::from(std[c]));
                let samples = &eeg[c * n..(c + 1) * n];
                row.extend(samples.iter().map(|x| f64::from(*x) * std + mean));
                if row[row.len() - n..].iter().any(|x| !x.is_finite()) {
                    return Err(Error::source(
                        meta.epoch_id,
                        format!("channel {name} in µV"),
                        "expected finite numbers; drop this epoch",
                    ));
                }
            }
        }
        let (up, down) = self.ratio(source.sfreq())?;
        let mut rows = resample::resample_poly_channels(&rows, up, down).map_err(signal)?;
        rows.iter_mut().for_each(|row| standardise(row));
        Ok(rows)
    }

    /// Envelope of candidate `k` (in the source's order) over the stretch.
    pub(super) fn envelope(&self, stretch: &Stretch, k: usize) -> Result<Arc<[f64]>> {
        let keys: Option<Vec<u8>> = stretch
            .examples
            .iter()
            .map(|i| self.source.candidate_key(*i, k))
            .map(|key| key.map(u64::to_le_bytes))
            .collect::<Option<Vec<_>>>()
            .map(|keys| keys.concat());
        match keys {
            Some(keys) => self.envelopes.get_or(
                xxh3_64(&keys),
                |v| size_of_val(v) + 64,
                || self.read_envelope(stretch, k),
            ),
            None => self.read_envelope(stretch, k),
        }
    }

    fn read_envelope(&self, stretch: &Stretch, k: usize) -> Result<Arc<[f64]>> {
        let source = self.source;
        let seconds = source.n_times() as f64 / source.sfreq();
        let (mut sound, mut one) = (Vec::new(), Vec::new());
        for &i in &stretch.examples {
            source.read_candidate(i, k, &mut one)?;
            if (one.len() as f64 - seconds * AUDIO_SFREQ).abs() > 1.0 {
                return Err(Error::source(
                    source.meta(i).epoch_id,
                    format!("candidate {k}"),
                    format!(
                        "its sound lasts {:.3} s, its EEG {seconds:.3} s; expected the same",
                        one.len() as f64 / AUDIO_SFREQ,
                    ),
                ));
            }
            sound.extend_from_slice(&one);
        }
        let made = audio::envelope(&sound, AUDIO_SFREQ, self.rate).map_err(signal)?;
        let mut envelope: Vec<f64> = made.into_iter().map(f64::from).collect();
        // Rounding of the rates may leave one sample more or less than the EEG has.
        let last = envelope.last().copied().unwrap_or(0.0);
        envelope.resize(self.len(stretch)?, last);
        standardise(&mut envelope);
        Ok(envelope.into())
    }

    fn ratio(&self, from: f64) -> Result<(usize, usize)> {
        resample::ratio(from, self.rate).map_err(signal)
    }
}

fn signal(e: mmpipe_signal::Error) -> Error {
    Error::Signal(e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{MemorySource, Meta};

    #[test]
    fn epochs_that_follow_each_other_are_one_stretch() {
        let mut source = MemorySource {
            n_times: 400,
            sfreq: 200.0,
            ..Default::default()
        };
        // Trial 0 at 10, 12, 14, then a gap, 18; trial 1 goes on at 20.
        for (trial, onset) in [(0, 12.0), (0, 10.0), (0, 14.001), (0, 18.0), (1, 20.0)] {
            source.metas.push(Meta {
                trial,
                onset,
                ..Meta::default()
            });
        }
        let stretches = Stretches::new(&source, 20.0, 0);
        let of = |indices: &[usize]| -> Vec<Vec<usize>> {
            let found = stretches.of(indices);
            found.into_iter().map(|s| s.examples).collect()
        };
        assert_eq!(of(&[0, 1, 2, 3, 4]), [vec![1, 0, 2], vec![3], vec![4]]);
        // What is not asked for is not there.
        assert_eq!(of(&[2, 1]), [vec![1], vec![2]]);
        let one = Stretch {
            examples: vec![1, 0, 2],
        };
        assert_eq!(stretches.len(&one).unwrap(), 120);
        assert_eq!(stretches.windows(&one).unwrap(), [0..40, 40..80, 80..120]);
        let odd = Stretches::new(&source, 15.25, 0);
        assert_eq!(odd.windows(&one).unwrap(), [0..31, 31..61, 61..92]);
    }
}
