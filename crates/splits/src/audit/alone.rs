//! Can an identity alone tell the label?
//!
//! A model that recognises the trial, the recording, the subject or the content needs no brain
//! signal to be right when that identity fixes the label. Here a table is learned from the
//! training part, identity to most frequent label, and scored on the test part: the balanced
//! accuracy that recognition alone would reach.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::Row;

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

type Counts<K> = BTreeMap<K, BTreeMap<i32, u64>>;

fn count<'a, K: Ord>(rows: &[&'a Row], key: impl Fn(&'a Row) -> Option<K>) -> Counts<K> {
    let mut counts = Counts::new();
    for row in rows {
        if let (Some(key), Some(label)) = (key(row), row.label) {
            *counts.entry(key).or_default().entry(label).or_default() += 1;
        }
    }
    counts
}

/// The most frequent label, the smallest on a tie.
fn majority(labels: &BTreeMap<i32, u64>) -> Option<i32> {
    let most = labels.values().max()?;
    labels
        .iter()
        .find(|(_, n)| *n == most)
        .map(|(label, _)| *label)
}

/// Scores identities on one fold.
pub(super) fn fold(train: &[&Row], test: &[&Row]) -> Alone {
    Alone {
        content: alone(train, test, Row::content_key),
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
    let (mut seen, mut known, mut total) = (0_u64, 0_u64, 0_u64);
    // label -> (right, all)
    let mut recall: BTreeMap<i32, (u64, u64)> = BTreeMap::new();
    for row in test {
        let Some(label) = row.label else { continue };
        total += 1;
        let key = key(row);
        known += u64::from(key.is_some());
        let learned = key.and_then(|key| table.get(&key)).and_then(majority);
        seen += u64::from(learned.is_some());
        let entry = recall.entry(label).or_default();
        entry.0 += u64::from(learned.unwrap_or(fallback) == label);
        entry.1 += 1;
    }
    if known == 0 {
        return None;
    }
    let sum: f64 = recall
        .values()
        .map(|&(right, all)| right as f64 / all as f64)
        .sum();
    Some(KeyAlone {
        balanced_accuracy: sum / recall.len() as f64,
        chance: 1.0 / recall.len() as f64,
        seen_share: seen as f64 / total as f64,
        known_share: known as f64 / total as f64,
    })
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
