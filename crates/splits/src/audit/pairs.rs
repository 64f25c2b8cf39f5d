//! What two roles of one fold share.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use crate::row::TrialKey;
use crate::{Protocol, Role, Row};

/// Times closer than this (seconds) are the same sample.
const SAME_TIME: f64 = 1e-6;

/// Counts of what two roles share. `None` where the data set names no such thing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairAudit {
    /// First role.
    pub a: Role,
    /// Second role.
    pub b: Role,
    /// Epochs on both sides.
    pub shared_epochs: u64,
    /// Seconds of a recording that lie in epochs of both sides.
    pub overlapping_seconds: f64,
    /// Pairs of consecutive windows of one trial, one on each side.
    pub adjacent_epochs: u64,
    /// Pairs of epochs of one recording with less than one epoch between them, one on each side.
    pub neighbours_in_time: u64,
    /// Trials on both sides.
    pub shared_trials: u64,
    /// Recordings on both sides.
    pub shared_recordings: u64,
    /// Sessions on both sides.
    pub shared_sessions: Option<u64>,
    /// Subjects on both sides.
    pub shared_subjects: u64,
    /// Sounds on both sides.
    pub shared_stimuli: Option<u64>,
    /// Stories, pieces or clips on both sides.
    pub shared_content: Option<u64>,
}

impl PairAudit {
    /// Counts in the order of the tables, with their names; unknown ones are `None`.
    pub fn counts(&self) -> [(&'static str, Option<f64>); 10] {
        let whole = |n: u64| Some(n as f64);
        let maybe = |n: Option<u64>| n.map(|n| n as f64);
        [
            ("shared epochs", whole(self.shared_epochs)),
            ("overlapping seconds", Some(self.overlapping_seconds)),
            ("adjacent epochs", whole(self.adjacent_epochs)),
            ("neighbours in time", whole(self.neighbours_in_time)),
            ("shared trials", whole(self.shared_trials)),
            ("shared recordings", whole(self.shared_recordings)),
            ("shared sessions", maybe(self.shared_sessions)),
            ("shared subjects", whole(self.shared_subjects)),
            ("shared sounds", maybe(self.shared_stimuli)),
            ("shared content", maybe(self.shared_content)),
        ]
    }

    /// The counts that a protocol promises to be zero.
    pub(super) fn promised(&self, protocol: Protocol) -> Vec<(&'static str, f64)> {
        let promised: &[&str] = match protocol {
            Protocol::WithinSubject => &["shared epochs", "overlapping seconds"],
            Protocol::BetweenTrial => &[
                "shared epochs",
                "overlapping seconds",
                "adjacent epochs",
                "shared trials",
            ],
            Protocol::ContentDisjoint => &[
                "shared epochs",
                "overlapping seconds",
                "adjacent epochs",
                "shared trials",
                "shared sounds",
                "shared content",
            ],
            Protocol::CrossSubject => &[
                "shared epochs",
                "overlapping seconds",
                "adjacent epochs",
                "neighbours in time",
                "shared trials",
                "shared recordings",
                "shared sessions",
                "shared subjects",
            ],
        };
        self.counts()
            .into_iter()
            .filter(|(name, _)| promised.contains(name))
            .filter_map(|(name, count)| Some((name, count?)))
            .collect()
    }
}

/// Compares two parts of one fold.
pub(super) fn compare(a: Role, left: &[&Row], b: Role, right: &[&Row]) -> PairAudit {
    let (left_time, right_time) = (timelines(left), timelines(right));
    let mut overlapping_seconds = 0.0;
    let mut neighbours_in_time = 0;
    for (recording, mine) in &left_time {
        if let Some(theirs) = right_time.get(recording) {
            overlapping_seconds += overlap(&merged(mine), &merged(theirs));
            neighbours_in_time += neighbours(mine, theirs);
        }
    }
    PairAudit {
        a,
        b,
        shared_epochs: shared(left, right, |row| Some(row.epoch_id)),
        overlapping_seconds,
        adjacent_epochs: adjacent(left, right),
        neighbours_in_time,
        shared_trials: shared(left, right, |row| Some(row.trial_key())),
        shared_recordings: shared(left, right, |row| Some(row.recording_key())),
        shared_sessions: known(left, right, Row::session_key),
        shared_subjects: shared(left, right, |row| Some(row.subject_key())),
        shared_stimuli: shared_stimuli(left, right),
        shared_content: known(left, right, Row::content_key),
    }
}

fn shared<'a, K: Ord>(
    left: &[&'a Row],
    right: &[&'a Row],
    key: impl Fn(&'a Row) -> Option<K>,
) -> u64 {
    let left: BTreeSet<K> = left.iter().filter_map(|row| key(row)).collect();
    let right: BTreeSet<K> = right.iter().filter_map(|row| key(row)).collect();
    left.intersection(&right).count() as u64
}

/// As [`shared`], and `None` when no row has such a key.
fn known<'a, K: Ord>(
    left: &[&'a Row],
    right: &[&'a Row],
    key: impl Fn(&'a Row) -> Option<K> + Copy,
) -> Option<u64> {
    left.iter()
        .chain(right)
        .any(|row| key(row).is_some())
        .then(|| shared(left, right, key))
}

fn shared_stimuli(left: &[&Row], right: &[&Row]) -> Option<u64> {
    let sounds = |rows: &[&Row]| -> BTreeSet<(String, String)> {
        rows.iter()
            .flat_map(|row| row.stimuli.iter().map(|s| (row.dataset.clone(), s.clone())))
            .collect()
    };
    let (left, right) = (sounds(left), sounds(right));
    (!left.is_empty() || !right.is_empty()).then(|| left.intersection(&right).count() as u64)
}

/// Pairs of consecutive windows of one trial across the sides.
fn adjacent(left: &[&Row], right: &[&Row]) -> u64 {
    let right: HashSet<(TrialKey<'_>, i32)> = right
        .iter()
        .map(|row| (row.trial_key(), row.epoch))
        .collect();
    left.iter()
        .flat_map(|row| {
            [row.epoch.checked_sub(1), row.epoch.checked_add(1)]
                .into_iter()
                .flatten()
                .map(|epoch| (row.trial_key(), epoch))
        })
        .filter(|neighbour| right.contains(neighbour))
        .count() as u64
}

/// Start and end of each epoch by recording, sorted by start.
fn timelines<'a>(rows: &[&'a Row]) -> BTreeMap<TrialKey<'a>, Vec<(f64, f64)>> {
    let mut out: BTreeMap<TrialKey<'a>, Vec<(f64, f64)>> = BTreeMap::new();
    for row in rows {
        out.entry(row.recording_key())
            .or_default()
            .push((row.onset, row.stop()));
    }
    for spans in out.values_mut() {
        spans.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    }
    out
}

/// Union of sorted spans as disjoint sorted spans.
fn merged(spans: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut out: Vec<(f64, f64)> = Vec::with_capacity(spans.len());
    for &(start, stop) in spans {
        match out.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(stop),
            _ => out.push((start, stop)),
        }
    }
    out
}

/// Seconds that two lists of disjoint sorted spans share, without rounding crumbs.
fn overlap(left: &[(f64, f64)], right: &[(f64, f64)]) -> f64 {
    let (mut i, mut j, mut total) = (0, 0, 0.0);
    while let (Some(a), Some(b)) = (left.get(i), right.get(j)) {
        let common = a.1.min(b.1) - a.0.max(b.0);
        if common > SAME_TIME {
            total += common;
        }
        if a.1 < b.1 {
            i += 1;
        } else {
            j += 1;
        }
    }
    total
}

/// Pairs with less than one epoch (the length of the left one) between them; overlapping and
/// identical epochs count. `right` is sorted by start.
fn neighbours(left: &[(f64, f64)], right: &[(f64, f64)]) -> u64 {
    let longest = right
        .iter()
        .map(|(start, stop)| stop - start)
        .fold(0.0, f64::max);
    left.iter()
        .map(|&(start, stop)| {
            let length = stop - start;
            let from = right.partition_point(|r| r.0 <= start - length - longest + SAME_TIME);
            right
                .iter()
                .skip(from)
                .take_while(|r| r.0 < stop + length - SAME_TIME)
                .filter(|r| r.1 > start - length + SAME_TIME)
                .count() as u64
        })
        .sum()
}
