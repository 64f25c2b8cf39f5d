//! Where a sound is in a channel that holds a copy of it, against where its trial says it is.
//!
//! The copy is rectified, brought to 100 Hz and compressed as the envelope of the sound is
//! ([`envelope`]); the lag is that of their highest correlation, within a second to both sides and
//! refined by a parabola through its neighbours. Of long trials the first five minutes are used.
//! This only tells; nothing is moved by it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use mmpipe_corpora::Scan;
use mmpipe_formats::Recording;
use mmpipe_signal::audio::envelope;
use mmpipe_signal::resample;

use super::plan::Plan;
use super::report::AlignmentSummary;
use super::rows::{Alignment, OK, RecordingRow};
use super::sounds::{self, Place};
use super::work::{Work, WorkStream, WorkTrial};
use super::{Job, pairing};
use crate::{Error, Result};

/// Kind of the channels that hold a copy of the sound, in table `channels`.
const COPY: &str = "audio";
/// Rate of the envelopes, Hz.
const SFREQ: f64 = 100.0;
/// Samples of 16 kHz in one of theirs.
const STEP: i64 = 160;
/// Largest lag that is looked for, in samples of the envelopes.
const REACH: i64 = 100;
/// What is used of a trial at most, s.
const LONGEST: f64 = 300.0;
/// Samples of the envelopes that two must have in common.
const LEAST: usize = 400;
/// Exponent by which [`envelope`] compresses.
const POWER: f64 = 0.6;
/// Lags above this are told, ms.
const TOLERANCE: f64 = 20.0;
/// Below this correlation a channel holds no copy of the sound.
const FOUND: f64 = 0.2;

/// A stretch of a sound: stimulus_id, first sample of the envelope and number of them.
type Stretch = (String, i64, i64);

/// The sounds of an ingest, for the recordings that hold copies of them.
#[derive(Default)]
pub(super) struct Aligner {
    raw: PathBuf,
    /// By stimulus_id.
    places: HashMap<String, Place>,
    /// Several subjects heard the same.
    envelopes: Mutex<HashMap<Stretch, Arc<Vec<f32>>>>,
}

impl Aligner {
    pub(super) fn new(job: &Job<'_>, scan: &Scan, plan: &Plan) -> Self {
        let copies = plan.works.iter().any(|w| copies(w).next().is_some());
        let sounds = plan.sounds.keys().filter(|_| copies);
        Aligner {
            raw: job.raw.to_path_buf(),
            places: sounds
                .map(|path| {
                    let id = sounds::stimulus_id(&scan.dataset, path);
                    (id, pairing::place(job, scan, path))
                })
                .collect(),
            envelopes: Mutex::default(),
        }
    }

    /// Whether no recording of this ingest holds a copy of a sound.
    pub(super) fn is_idle(&self) -> bool {
        self.places.is_empty()
    }

    /// Writes what is found into the row of a recording, with remarks where a sound is elsewhere.
    pub(super) fn measure(&self, work: &Work, row: &mut RecordingRow) {
        if row.status != OK || copies(work).next().is_none() {
            return;
        }
        match self.all(work) {
            Ok(found) => {
                row.note(remarks(&found));
                row.alignment = found;
            }
            Err(e) => row.note([format!("alignment-unknown: {e}")]),
        }
    }

    fn all(&self, work: &Work) -> Result<Vec<Alignment>> {
        let file = open(work, &self.raw)?;
        let mut found = Vec::new();
        for (index, channel) in copies(work) {
            for trial in &work.trials {
                let heard = trial.heard.is_some_and(|h| h.from < h.until);
                if trial.drop_reason.is_some() || !heard {
                    continue;
                }
                let Some(copy) = copy(file.as_ref(), index, trial)? else {
                    continue;
                };
                for stream in &trial.streams {
                    let Some((lag, correlation)) = self.lag(&copy, stream)? else {
                        continue;
                    };
                    found.push(Alignment {
                        trial: trial.trial,
                        channel: channel.to_string(),
                        stimulus_id: stream.stimulus_id.clone(),
                        lag_ms: lag * 1000.0 / SFREQ,
                        correlation,
                    });
                }
            }
        }
        Ok(found)
    }

    /// The lag of a copy behind its sound, in samples of the envelopes, and the correlation there.
    fn lag(&self, copy: &[f64], stream: &WorkStream) -> Result<Option<(f64, f64)>> {
        let n = copy.len() as i64;
        let first = (stream.offset.div_euclid(STEP) - REACH - 1).max(0);
        let last = (stream.offset.div_euclid(STEP) + n + n / 64 + REACH + 1)
            .min(stream.length.div_euclid(STEP));
        if last <= first {
            return Ok(None);
        }
        let sound = self.envelope(&stream.stimulus_id, first, last - first)?;
        // The sound's envelope at the times of the copy, and a reach to both sides of them.
        let heard: Vec<Option<f64>> = (-REACH..n + REACH)
            .map(|i| {
                let at = stream.offset as f64 / STEP as f64 + i as f64 / stream.rate;
                let at = at - first as f64;
                let (before, part) = (at.floor(), at - at.floor());
                let before = (before >= 0.0).then_some(before as usize)?;
                let (a, b) = (sound.get(before)?, sound.get(before + 1)?);
                Some(f64::from(*a) * (1.0 - part) + f64::from(*b) * part)
            })
            .collect();
        Ok(best_lag(copy, &heard))
    }

    /// A stretch of a sound's envelope, in samples of the envelopes.
    fn envelope(&self, stimulus_id: &str, first: i64, n: i64) -> Result<Arc<Vec<f32>>> {
        let key = (stimulus_id.to_string(), first, n);
        let known = |key: &Stretch| {
            let cache = self.envelopes.lock().unwrap_or_else(|e| e.into_inner());
            cache.get(key).cloned()
        };
        if let Some(known) = known(&key) {
            return Ok(known);
        }
        let place = self
            .places
            .get(stimulus_id)
            .ok_or_else(|| Error::NotFound(format!("the sound {stimulus_id} is not known")))?;
        let sound = sounds::samples(place)?.mono;
        let (from, until) = (first * STEP, (first + n) * STEP);
        let bound = |at: i64| usize::try_from(at).unwrap_or(0).min(sound.len());
        let part = sound.get(bound(from)..bound(until)).unwrap_or_default();
        let made = Arc::new(envelope(
            part,
            f64::from(mmpipe_signal::audio::SFREQ),
            SFREQ,
        )?);
        let mut cache = self.envelopes.lock().unwrap_or_else(|e| e.into_inner());
        cache.insert(key, made.clone());
        Ok(made)
    }
}

fn open(work: &Work, raw: &Path) -> Result<Box<dyn Recording>> {
    let path = raw.join(work.raw_file());
    match &work.tree {
        None => Ok(mmpipe_formats::open(&path)?),
        Some(tree) => mmpipe_corpora::open_part(&path, tree).map_err(Error::Empty),
    }
}

/// Index and label of the channels that hold a copy of the sound.
fn copies(work: &Work) -> impl Iterator<Item = (usize, &str)> {
    let copies = work.channels.iter().filter(|c| c.kind == COPY);
    copies.map(|c| (c.index as usize, c.raw_name.as_str()))
}

/// A trial of a channel, rectified and compressed, at the rate of the envelopes; `None` where the
/// trial starts outside the recording or holds values that are no numbers.
fn copy(file: &dyn Recording, index: usize, trial: &WorkTrial) -> Result<Option<Vec<f64>>> {
    let Some(channel) = file.header().channels.get(index) else {
        return Ok(None);
    };
    let sfreq = channel.sfreq;
    let (up, down) = resample::ratio(sfreq, SFREQ)?;
    if sfreq < SFREQ {
        return Err(Error::Empty(format!(
            "{} is sampled at {sfreq} Hz, expected {SFREQ} Hz or more",
            channel.name
        )));
    }
    let runs = file.runs(index);
    let start = trial
        .start
        .unwrap_or_else(|| runs.first().map_or(0.0, |r| r.onset));
    let within = runs.iter().find_map(|run| {
        let at = ((start - run.onset) * sfreq).round();
        let length = run.samples.end.saturating_sub(run.samples.start) as f64;
        (at >= 0.0 && at < length).then_some((run, at, length))
    });
    let Some((run, at, length)) = within else {
        return Ok(None);
    };
    let wanted = trial
        .stop
        .map_or(LONGEST, |stop| (stop - start).min(LONGEST));
    let n = (wanted * sfreq).round().clamp(0.0, length - at) as usize;
    let mut x = vec![0.0; n];
    file.read_f64(&[index], run.samples.start + at as u64, &mut [&mut x])?;
    if x.is_empty() || x.iter().any(|v| !v.is_finite()) {
        return Ok(None);
    }
    rectify(&mut x);
    let mut x = resample::resample_poly(&x, up, down)?;
    x.iter_mut().for_each(|v| *v = v.max(0.0).powf(POWER));
    Ok(Some(x))
}

/// Distance from rest. Rest is the median; of a signal that lies to one side of it (one that was
/// rectified before: for a rectified Gaussian the shorter side is 0.35 of the longer) it is the end
/// of that side.
fn rectify(x: &mut [f64]) {
    let mut sorted = x.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        let i = (share * (sorted.len().saturating_sub(1)) as f64).round() as usize;
        sorted.get(i).copied().unwrap_or(0.0)
    };
    let (low, median, high) = (at(0.01), at(0.5), at(0.99));
    let rest = if median - low < 0.6 * (high - median) {
        low
    } else if high - median < 0.6 * (median - low) {
        high
    } else {
        median
    };
    x.iter_mut().for_each(|v| *v = (*v - rest).abs());
}

/// The lag of `copy` behind `heard`, whose sample `REACH` belongs to the copy's first.
fn best_lag(copy: &[f64], heard: &[Option<f64>]) -> Option<(f64, f64)> {
    let score = |lag: i64| {
        let from = usize::try_from(REACH - lag).ok()?;
        correlation(copy, heard.get(from..)?)
    };
    let scores: Vec<Option<f64>> = (-REACH..=REACH).map(score).collect();
    let (best, top) = scores
        .iter()
        .enumerate()
        .filter_map(|(i, s)| Some((i, (*s)?)))
        .max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))?;
    let near = |i: Option<usize>| i.and_then(|i| scores.get(i).copied().flatten());
    let shift = match (near(best.checked_sub(1)), near(Some(best + 1))) {
        (Some(a), Some(b)) if a + b < 2.0 * top => 0.5 * (a - b) / (a - 2.0 * top + b),
        _ => 0.0,
    };
    Some((best as f64 - REACH as f64 + shift, top))
}

/// Pearson's correlation of what both have; `None` for too little of it or for constants.
fn correlation(a: &[f64], b: &[Option<f64>]) -> Option<f64> {
    let pairs = || a.iter().zip(b).filter_map(|(a, b)| Some((*a, (*b)?)));
    let (mut n, mut sum_a, mut sum_b) = (0_usize, 0.0, 0.0);
    for (a, b) in pairs() {
        (n, sum_a, sum_b) = (n + 1, sum_a + a, sum_b + b);
    }
    if n < LEAST {
        return None;
    }
    let (mean_a, mean_b) = (sum_a / n as f64, sum_b / n as f64);
    let (mut aa, mut bb, mut ab) = (0.0, 0.0, 0.0);
    for (a, b) in pairs() {
        let (a, b) = (a - mean_a, b - mean_b);
        (aa, bb, ab) = (aa + a * a, bb + b * b, ab + a * b);
    }
    (aa > 0.0 && bb > 0.0).then(|| ab / (aa * bb).sqrt())
}

/// Of each trial and channel the sound that is found best there, in order of trial.
fn best(found: &[Alignment]) -> Vec<&Alignment> {
    let mut best: BTreeMap<(i32, &str), &Alignment> = BTreeMap::new();
    for a in found {
        let known = best.entry((a.trial, a.channel.as_str())).or_insert(a);
        if a.correlation > known.correlation {
            *known = a;
        }
    }
    best.into_values().collect()
}

/// Whether the channel holds a copy of the sound.
fn is_there(a: &Alignment) -> bool {
    a.correlation >= FOUND
}

/// Whether the copy is elsewhere than the trial says.
fn is_moved(a: &Alignment) -> bool {
    is_there(a) && a.lag_ms.abs() > TOLERANCE
}

/// What a reader must know of a recording.
fn remarks(found: &[Alignment]) -> Vec<String> {
    let best = best(found);
    let tell = |what: &str, which: fn(&Alignment) -> bool| {
        let mut some = best.iter().filter(|a| which(a));
        let first = some.next()?;
        Some(format!(
            "{what} in {} of {} trials, the first: trial {}, {}, lag {:.1} ms, correlation {:.2}",
            1 + some.count(),
            best.len(),
            first.trial,
            first.channel,
            first.lag_ms,
            first.correlation
        ))
    };
    let moved =
        "misaligned-sound: the copy of the sound is more than 20 ms from where the trial says";
    let absent = "no-copy-found: the channel does not follow the sound";
    [tell(moved, is_moved), tell(absent, |a| !is_there(a))]
        .into_iter()
        .flatten()
        .collect()
}

/// What the copies of the sounds say in all recordings; `None` where there are no copies.
pub(super) fn summary<'a>(
    recordings: impl Iterator<Item = &'a [Alignment]>,
) -> Option<AlignmentSummary> {
    let mut sum = AlignmentSummary::default();
    let mut lags = Vec::new();
    for found in recordings {
        for a in best(found) {
            sum.trials += 1;
            sum.moved += usize::from(is_moved(a));
            sum.absent += usize::from(!is_there(a));
            if is_there(a) {
                lags.push(a.lag_ms);
            }
        }
    }
    lags.sort_unstable_by(f64::total_cmp);
    sum.median_lag_ms = lags.get(lags.len() / 2).copied();
    (sum.trials > 0).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slow noise that is never negative.
    fn hills(n: usize) -> Vec<f64> {
        let x = |i: f64| (i * 0.13).sin() + (i * 0.071).cos() + (i * 0.29 + 1.0).sin();
        (0..n).map(|i| x(i as f64).abs()).collect()
    }

    #[test]
    fn a_shift_is_found_with_its_sign() {
        let sound = hills(1200);
        for lag in [-37_i64, 0, 60] {
            let copy: Vec<f64> = (0..1000).map(|i| sound[(i + 100 - lag) as usize]).collect();
            let heard: Vec<Option<f64>> = sound.iter().map(|v| Some(*v)).collect();
            let (found, r) = best_lag(&copy, &heard).unwrap();
            assert!(
                (found - lag as f64).abs() < 0.2 && r > 0.99,
                "{lag}: {found}, {r}"
            );
        }
        // Too little in common.
        assert_eq!(best_lag(&hills(100), &vec![Some(0.0); 300]), None);
        assert_eq!(best_lag(&hills(1000), &vec![None; 1200]), None);
    }

    #[test]
    fn rest_is_the_middle_or_the_end_that_the_signal_leans_on() {
        let both: Vec<f64> = (0..1000)
            .map(|i| 5.0 + (f64::from(i) * 0.37).sin())
            .collect();
        let mut x = both.clone();
        rectify(&mut x);
        for (v, b) in x.iter().zip(&both) {
            assert!((v - (b - 5.0).abs()).abs() < 0.02);
        }
        for sign in [1.0, -1.0] {
            let one: Vec<f64> = both
                .iter()
                .map(|b| sign * (b - 5.0).abs().powi(3))
                .collect();
            let mut x: Vec<f64> = one.iter().map(|v| v + 7.0).collect();
            rectify(&mut x);
            for (v, b) in x.iter().zip(&one) {
                assert!((v - b.abs()).abs() < 0.02, "{v} {b}");
            }
        }
    }
}
