//! Labels over a continuous recording: which label covers most of an epoch, and how much of it.
//!
//! Times are whole nanoseconds, so that shares are exact and a tie is a tie. A label's intervals
//! are first made into disjoint pieces, each with the sum of the weights over it; every epoch
//! then visits only the pieces that touch it: n log n for n intervals, and for m epochs m steps
//! a label.

use std::collections::BTreeMap;

use super::cut::Cut;
use super::work::{Work, WorkInterval};

const NANO: f64 = 1e9;

/// What covers most of an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Covered {
    pub(crate) label: i32,
    /// Share of the epoch, above 0 and at most 1.
    pub(crate) share: f32,
}

/// A stretch that intervals of one label cover.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Piece {
    start: i64,
    stop: i64,
    /// Sum of the weights of the intervals over it.
    weight: f64,
}

/// The covered label of every epoch of a cut; empty without intervals.
pub(super) fn of_epochs(work: &Work, cut: &Cut, epoch_seconds: f64) -> Vec<Option<Covered>> {
    match work.intervals.as_slice() {
        [] => Vec::new(),
        intervals => {
            let onsets: Vec<f64> = cut.epochs.iter().map(|e| e.onset).collect();
            cover(intervals, &onsets, epoch_seconds)
        }
    }
}

/// For each epoch, by its onset (s from the start of the recording): the label whose intervals
/// cover most of it. Of equal labels the one with the greater sum of weight × time, then the
/// lower class. `None` where no interval touches the epoch.
fn cover(intervals: &[WorkInterval], onsets: &[f64], epoch_seconds: f64) -> Vec<Option<Covered>> {
    let length = nano(epoch_seconds).max(1);
    let mut order: Vec<usize> = (0..onsets.len()).collect();
    order.sort_by(|&a, &b| match (onsets.get(a), onsets.get(b)) {
        (Some(a), Some(b)) => a.total_cmp(b),
        _ => std::cmp::Ordering::Equal,
    });
    let mut best: Vec<Option<(i64, f64, i32)>> = vec![None; onsets.len()];
    for (label, pieces) in by_label(intervals) {
        let mut first = 0;
        for &epoch in &order {
            let Some(slot) = best.get_mut(epoch) else {
                continue;
            };
            let start = onsets.get(epoch).map_or(0, |s| nano(*s));
            let stop = start.saturating_add(length);
            while pieces.get(first).is_some_and(|p| p.stop <= start) {
                first += 1;
            }
            let (mut covered, mut weight) = (0_i64, 0.0);
            for p in pieces.iter().skip(first).take_while(|p| p.start < stop) {
                let time = p.stop.min(stop) - p.start.max(start);
                covered += time;
                weight += p.weight * time as f64;
            }
            // Labels come in rising order, so an equal one that is later loses.
            let better = match *slot {
                None => covered > 0,
                Some((most, heaviest, _)) => {
                    covered > most || (covered == most && weight > heaviest)
                }
            };
            if better {
                *slot = Some((covered, weight, label));
            }
        }
    }
    best.into_iter()
        .map(|found| {
            found.map(|(covered, _, label)| Covered {
                label,
                share: (covered as f64 / length as f64) as f32,
            })
        })
        .collect()
}

/// The pieces of each label, in time order.
fn by_label(intervals: &[WorkInterval]) -> BTreeMap<i32, Vec<Piece>> {
    let mut edges: BTreeMap<i32, Vec<(i64, bool, f64)>> = BTreeMap::new();
    for i in intervals {
        let (start, stop) = (nano(i.start), nano(i.stop));
        if start < stop {
            let of = edges.entry(i.label).or_default();
            of.push((start, true, i.weight));
            of.push((stop, false, i.weight));
        }
    }
    edges
        .into_iter()
        .map(|(label, edges)| (label, pieces(edges)))
        .collect()
}

fn pieces(mut edges: Vec<(i64, bool, f64)>) -> Vec<Piece> {
    edges.sort_by(|a, b| a.0.cmp(&b.0).then(a.2.total_cmp(&b.2)));
    let mut out: Vec<Piece> = Vec::new();
    let (mut open, mut weight, mut since) = (0_u64, 0.0, 0);
    for (at, begins, w) in edges {
        if open > 0 && since < at {
            match out.last_mut() {
                Some(p) if p.stop == since && p.weight == weight => p.stop = at,
                _ => out.push(Piece {
                    start: since,
                    stop: at,
                    weight,
                }),
            }
        }
        since = at;
        if begins {
            open += 1;
            weight += w;
        } else {
            open = open.saturating_sub(1);
            // Nothing is left of the roundings of earlier sums.
            weight = if open == 0 { 0.0 } else { weight - w };
        }
    }
    out
}

/// Seconds as whole nanoseconds; what is too large ends at the ends of the type.
fn nano(seconds: f64) -> i64 {
    let limit = (i64::MAX / 4) as f64;
    (seconds * NANO).round().clamp(-limit, limit) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn interval(label: i32, start: f64, stop: f64) -> WorkInterval {
        WorkInterval {
            start,
            stop,
            label,
            weight: 1.0,
        }
    }

    fn one(intervals: &[WorkInterval]) -> Option<(i32, f32)> {
        let found = cover(intervals, &[10.0], 2.0);
        found[0].map(|c| (c.label, c.share))
    }

    #[test]
    fn most_of_the_epoch_wins_and_the_share_is_exact() {
        let two = [interval(3, 0.0, 11.1), interval(1, 11.1, 40.0)];
        assert_eq!(one(&two), Some((3, 0.55)));
        assert_eq!(one(&[interval(3, 0.0, 10.0)]), None);
        assert_eq!(one(&[interval(3, 12.0, 13.0)]), None);
        assert_eq!(one(&[]), None);
        // Backwards and empty intervals cover nothing.
        assert_eq!(
            one(&[interval(0, 11.0, 10.0), interval(0, 11.0, 11.0)]),
            None
        );
    }

    #[test]
    fn one_instant_on_several_channels_counts_once() {
        let spikes = [
            interval(2, 10.0, 11.0),
            interval(2, 10.0, 11.0),
            interval(2, 10.5, 11.0),
            interval(5, 10.0, 11.5),
        ];
        assert_eq!(one(&spikes), Some((5, 0.75)));
    }

    #[test]
    fn ties_go_to_weight_then_to_the_lower_class() {
        let tie = [interval(4, 11.0, 12.0), interval(2, 10.0, 11.0)];
        assert_eq!(one(&tie), Some((2, 0.5)));
        // Class 4 was seen on two channels.
        let mut seen_twice = tie.to_vec();
        seen_twice.push(interval(4, 11.0, 12.0));
        assert_eq!(one(&seen_twice), Some((4, 0.5)));
        let mut heavy = tie.to_vec();
        heavy[0].weight = 0.5;
        assert_eq!(one(&heavy), Some((2, 0.5)));
        // A tie that floats would miss: 0.9 s on both sides of the middle.
        let odd = [interval(1, 10.0, 10.9), interval(0, 11.1, 12.0)];
        assert_eq!(one(&odd), Some((0, 0.45)));
    }

    #[test]
    fn epochs_in_any_order_and_overlapping_get_their_own() {
        let night = [interval(0, 0.0, 30.0), interval(1, 30.0, 60.0)];
        let found = cover(&night, &[58.0, 29.0, 0.0, 28.5, 59.5, 60.0], 2.0);
        let got: Vec<_> = found
            .iter()
            .map(|c| c.map(|c| (c.label, c.share)))
            .collect();
        let want = [
            Some((1, 1.0)),
            Some((0, 0.5)),
            Some((0, 1.0)),
            Some((0, 0.75)),
            Some((1, 0.25)),
            None,
        ];
        assert_eq!(got, want);
    }

    #[test]
    fn a_night_of_intervals_that_all_overlap_is_quick() {
        // 3000 intervals over the whole night and 40,000 epochs: 120 million pairs, not visited.
        let intervals: Vec<_> = (0..3000)
            .map(|i| interval(i % 5, 0.0, 80_000.0 + f64::from(i)))
            .collect();
        let onsets: Vec<f64> = (0..40_000).map(|i| f64::from(i) * 2.0).collect();
        let pieces: usize = by_label(&intervals).values().map(Vec::len).sum();
        assert!(pieces <= 3000, "{pieces}");
        let found = cover(&intervals, &onsets, 2.0);
        assert!(found.iter().all(|c| c.is_some_and(|c| c.share == 1.0)));
    }

    proptest! {
        #[test]
        fn agrees_with_counting_milliseconds(
            spans in prop::collection::vec((0_i32..4, 0_u32..9000, 1_u32..4000, 1_u32..4), 0..12),
            onsets in prop::collection::vec(0_u32..9000, 1..8),
        ) {
            let intervals: Vec<WorkInterval> = spans
                .iter()
                .map(|&(label, start, length, weight)| WorkInterval {
                    label,
                    start: f64::from(start) / 1e3,
                    stop: f64::from(start + length) / 1e3,
                    weight: f64::from(weight),
                })
                .collect();
            let at: Vec<f64> = onsets.iter().map(|&o| f64::from(o) / 1e3).collect();
            let found = cover(&intervals, &at, 2.0);
            for (&onset, found) in onsets.iter().zip(&found) {
                let mut best: Option<(u32, u32, i32)> = None;
                for label in 0..4 {
                    let over = |ms: u32| -> Vec<u32> {
                        spans
                            .iter()
                            .filter(|s| s.0 == label && s.1 <= ms && ms < s.1 + s.2)
                            .map(|s| s.3)
                            .collect()
                    };
                    let each: Vec<Vec<u32>> = (onset..onset + 2000).map(over).collect();
                    let covered = each.iter().filter(|w| !w.is_empty()).count() as u32;
                    let weight = each.iter().flatten().sum();
                    if covered > 0 && best.is_none_or(|(c, w, _)| (covered, weight) > (c, w)) {
                        best = Some((covered, weight, label));
                    }
                }
                let want = best.map(|(covered, _, label)| Covered {
                    label,
                    share: (f64::from(covered) / 2000.0) as f32,
                });
                prop_assert_eq!(*found, want);
            }
        }

        #[test]
        fn shares_of_disjoint_intervals_sum_to_at_most_one(
            cuts in prop::collection::btree_set(0_u32..12_000, 2..20),
            onset in 0_u32..9000,
        ) {
            let cuts: Vec<f64> = cuts.into_iter().map(|c| f64::from(c) / 1e3).collect();
            let at = [f64::from(onset) / 1e3];
            let mut sum = 0.0;
            for (i, pair) in cuts.windows(2).enumerate() {
                let found = cover(&[interval(i as i32, pair[0], pair[1])], &at, 2.0);
                sum += found[0].map_or(0.0, |c| f64::from(c.share));
            }
            prop_assert!(sum <= 1.0 + 1e-6, "{}", sum);
        }
    }
}
