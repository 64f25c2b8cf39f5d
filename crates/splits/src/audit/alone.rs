//! Can an identity alone tell the label?
//!
//! A model that recognises the trial, the recording, the subject or the content needs no brain
//! signal to be right when that identity fixes the label. Here a table is learned from the
//! training part, identity to most frequent label, and scored on the test part: the balanced
//! accuracy that recognition alone would reach. Whether a whole data set lets the sound tell the
//! label is asked with the same table by [`audio_only`](crate::audio_only()).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Row;
use crate::audio_only::Cue;

/// What one identity alone reaches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KeyAlone {
    /// Balanced accuracy on the test part of the most frequent training label of the identity;
    /// an identity that training has not seen gets the training part's most frequent label.
    pub balanced_accuracy: f64,
    /// 1 / classes in the test part.
    pub chance: f64,
    /// Share of the test epochs whose identity training has seen.
    pub seen_share: f64,
    /// Share of the test epochs that have this identity at all.
    pub known_share: f64,
}

/// What each identity alone reaches; `None` where no test epoch has one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Alone {
    /// Content heard: "can the audio alone tell the label?".
    pub content: Option<KeyAlone>,
    /// All sounds heard and the side of each.
    #[serde(default)]
    pub sounds: Option<KeyAlone>,
    /// The sound that the trial is about (attended, target or the only one).
    #[serde(default)]
    pub attended: Option<KeyAlone>,
    /// Its speaker.
    #[serde(default)]
    pub speaker: Option<KeyAlone>,
    /// Its side.
    #[serde(default)]
    pub side: Option<KeyAlone>,
    /// Trial.
    pub trial: Option<KeyAlone>,
    /// Recording.
    pub recording: Option<KeyAlone>,
    /// Subject.
    pub subject: Option<KeyAlone>,
}

/// How far the label is constant inside an identity: the share of epochs that have the most
/// frequent label of theirs. 1 means that the identity fixes the label.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Purity {
    /// Inside a trial.
    pub trial: f64,
    /// Inside a recording.
    pub recording: f64,
    /// Inside a subject.
    pub subject: f64,
    /// Inside a content; `None` when the data set names none.
    pub content: Option<f64>,
    /// Recordings in the split.
    pub recordings: u64,
    /// Recordings that hold a single class.
    pub recordings_of_one_class: u64,
}

/// Epochs by identity and label.
pub(crate) type Counts<K> = BTreeMap<K, BTreeMap<i32, u64>>;

fn count<'a, K: Ord>(rows: &[&'a Row], key: impl Fn(&'a Row) -> Option<K>) -> Counts<K> {
    let mut counts = Counts::new();
    for row in rows {
        if let (Some(key), Some(label)) = (key(row), row.label) {
            *counts.entry(key).or_default().entry(label).or_default() += 1;
        }
    }
    counts
}

/// The most frequent label, the smallest on a tie; none where nothing was counted.
pub(crate) fn majority(labels: &BTreeMap<i32, u64>) -> Option<i32> {
    let most = labels.values().max().filter(|n| **n > 0)?;
    labels
        .iter()
        .find(|(_, n)| *n == most)
        .map(|(label, _)| *label)
}

/// How often guesses are right, class by class.
#[derive(Debug, Default)]
pub(crate) struct Score {
    /// label -> (right, all)
    recall: BTreeMap<i32, (u64, u64)>,
    seen: u64,
    known: u64,
    total: u64,
}

impl Score {
    /// Counts a guess about `epochs` epochs of `label`: `learned` is what training says of their
    /// identity, if they have one (`known`) and training saw it; else `fallback` is guessed.
    pub(crate) fn take(
        &mut self,
        (label, epochs): (i32, u64),
        known: bool,
        learned: Option<i32>,
        fallback: i32,
    ) {
        self.total += epochs;
        self.known += if known { epochs } else { 0 };
        self.seen += if learned.is_some() { epochs } else { 0 };
        let right = learned.unwrap_or(fallback) == label;
        let entry = self.recall.entry(label).or_default();
        entry.0 += if right { epochs } else { 0 };
        entry.1 += epochs;
    }

    /// The balanced accuracy and what belongs to it; `None` where no epoch has the identity.
    pub(crate) fn finish(&self) -> Option<KeyAlone> {
        if self.known == 0 {
            return None;
        }
        let sum: f64 = self
            .recall
            .values()
            .map(|&(right, all)| right as f64 / all as f64)
            .sum();
        Some(KeyAlone {
            balanced_accuracy: sum / self.recall.len() as f64,
            chance: 1.0 / self.recall.len() as f64,
            seen_share: self.seen as f64 / self.total as f64,
            known_share: self.known as f64 / self.total as f64,
        })
    }

    /// Share of the epochs whose guess is right.
    pub(crate) fn accuracy(&self) -> f64 {
        let right: u64 = self.recall.values().map(|(right, _)| right).sum();
        right as f64 / self.total.max(1) as f64
    }
}

/// Scores identities on one fold.
pub(super) fn fold(train: &[&Row], test: &[&Row]) -> Alone {
    Alone {
        content: alone(train, test, Row::content_key),
        sounds: alone(train, test, |row| Cue::Sounds.of(row)),
        attended: alone(train, test, |row| Cue::Attended.of(row)),
        speaker: alone(train, test, |row| Cue::Speaker.of(row)),
        side: alone(train, test, |row| Cue::Side.of(row)),
        trial: alone(train, test, |row| Some(row.trial_key())),
        recording: alone(train, test, |row| Some(row.recording_key())),
        subject: alone(train, test, |row| Some(row.subject_key())),
    }
}

fn alone<'a, K: Ord>(
    train: &[&'a Row],
    test: &[&'a Row],
    key: impl Fn(&'a Row) -> Option<K> + Copy,
) -> Option<KeyAlone> {
    let table = count(train, key);
    let fallback = majority(count(train, |_| Some(())).get(&())?)?;
    let mut score = Score::default();
    for row in test {
        let Some(label) = row.label else { continue };
        let key = key(row);
        let known = key.is_some();
        let learned = key.and_then(|key| table.get(&key)).and_then(majority);
        score.take((label, 1), known, learned, fallback);
    }
    score.finish()
}

/// Mean over folds of each identity that any fold knows.
pub(super) fn mean<'a>(folds: impl Iterator<Item = &'a Alone> + Clone) -> Alone {
    let of = |pick: fn(&Alone) -> Option<KeyAlone>| {
        let known: Vec<KeyAlone> = folds.clone().filter_map(pick).collect();
        let n = known.len() as f64;
        let mean = |value: fn(&KeyAlone) -> f64| known.iter().map(value).sum::<f64>() / n;
        (!known.is_empty()).then(|| KeyAlone {
            balanced_accuracy: mean(|k| k.balanced_accuracy),
            chance: mean(|k| k.chance),
            seen_share: mean(|k| k.seen_share),
            known_share: mean(|k| k.known_share),
        })
    };
    Alone {
        content: of(|a| a.content),
        sounds: of(|a| a.sounds),
        attended: of(|a| a.attended),
        speaker: of(|a| a.speaker),
        side: of(|a| a.side),
        trial: of(|a| a.trial),
        recording: of(|a| a.recording),
        subject: of(|a| a.subject),
    }
}

/// How far identities fix the label, over all assigned epochs.
pub(super) fn purity(rows: &[&Row]) -> Purity {
    fn share<K: Ord>(counts: &Counts<K>) -> Option<f64> {
        let all: u64 = counts.values().flat_map(BTreeMap::values).sum();
        let most: u64 = counts
            .values()
            .filter_map(|labels| labels.values().max())
            .sum();
        (all > 0).then(|| most as f64 / all as f64)
    }
    let recordings = count(rows, |row| Some(row.recording_key()));
    let several: BTreeSet<_> = recordings
        .iter()
        .filter(|(_, labels)| labels.len() > 1)
        .map(|(key, _)| key)
        .collect();
    Purity {
        trial: share(&count(rows, |row| Some(row.trial_key()))).unwrap_or(0.0),
        recording: share(&recordings).unwrap_or(0.0),
        subject: share(&count(rows, |row| Some(row.subject_key()))).unwrap_or(0.0),
        content: share(&count(rows, Row::content_key)),
        recordings: recordings.len() as u64,
        recordings_of_one_class: (recordings.len() - several.len()) as u64,
    }
}
