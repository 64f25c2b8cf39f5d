//! Trials to epochs, and an account of the time that is in none.
//!
//! A trial's epochs start at its first sample and follow each other; an epoch that would reach
//! over a gap is left out and the trial's grid goes on behind it. Every second of the recording
//! ends up in an epoch or beside a reason, so
//! `epochs × epoch length + sum of dropped seconds = recorded seconds`.

use std::collections::BTreeMap;
use std::ops::Range;

/// A contiguous stretch of a recording, as it is after conditioning.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Span {
    /// s from the start of the recording.
    pub(crate) onset: f64,
    /// Length in s, from the raw samples.
    pub(crate) seconds: f64,
    /// Samples at the recipe's rate.
    pub(crate) samples: usize,
    /// Why nothing can be cut from it, if so.
    pub(crate) unusable: Option<&'static str>,
}

impl Span {
    fn end(&self) -> f64 {
        self.onset + self.seconds
    }
}

/// What is cut from where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Epoch {
    /// Index into the trials given.
    pub(crate) trial: usize,
    /// Number within the trial.
    pub(crate) epoch: i32,
    /// Index into the spans given.
    pub(crate) span: usize,
    /// First sample in the span.
    pub(crate) first: usize,
    /// s from the start of the recording.
    pub(crate) onset: f64,
}

/// A trial's bounds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) start: Option<f64>,
    pub(crate) stop: Option<f64>,
    pub(crate) drop_reason: Option<String>,
    /// The epochs that the trial's sounds fill; `None` where it has no sounds.
    pub(crate) heard: Option<Range<i64>>,
}

/// Epochs and time left out, by reason.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cut {
    pub(crate) epochs: Vec<Epoch>,
    pub(crate) dropped: BTreeMap<String, (i64, f64)>,
}

/// In no trial.
pub(crate) const OUTSIDE: &str = "outside any trial";
/// The rest of a trial.
pub(crate) const TAIL: &str = "tail shorter than an epoch";
/// Beside a gap of the recording.
pub(crate) const GAP: &str = "at a gap of the recording";
/// Negative seconds: time that overlapping trials count twice.
pub(crate) const TWICE: &str = "in more than one trial (counted twice)";
/// Epochs that were never recorded (no seconds), and the rest of one that began before.
pub(crate) const BEYOND: &str = "trial reaches past the recording";
/// Epochs of a trial with sounds that lie before or behind one of them.
pub(crate) const BEYOND_SOUND: &str = "beyond the sound";
/// A trial with a bound that makes no sense.
pub(crate) const BACKWARDS: &str = "trial stops before it starts";
/// A run too short to filter.
pub(crate) const SHORT: &str = "run shorter than the filter needs";

/// Cuts `trials` out of `spans` (in time order); `sfreq` and `epoch_seconds` are the recipe's.
pub(crate) fn cut(spans: &[Span], trials: &[Bounds], sfreq: f64, epoch_seconds: f64) -> Cut {
    let mut cut = Cut::default();
    let times = (epoch_seconds * sfreq).round() as usize;
    // Bounds are rounded to samples: half a sample decides neither way.
    let slack = 0.5 / sfreq;
    let end = spans.last().map_or(0.0, Span::end);
    let begin = spans.first().map_or(0.0, |s| s.onset);
    let mut covered: Vec<(f64, f64)> = Vec::new();
    let mut counted = 0.0;

    for (index, trial) in trials.iter().enumerate() {
        let start = trial.start.unwrap_or(begin);
        let stop = trial.stop.unwrap_or(end);
        // Written so that NaN counts as backwards too.
        if stop.is_nan() || stop < start || !start.is_finite() {
            cut.drop(BACKWARDS, 0, 0.0);
            continue;
        }
        let asked = epochs_in(start, stop.min(f64::MAX), epoch_seconds, slack);
        let (stop, start_inside) = (stop.min(end), start.max(begin));
        let inside = asked.min(epochs_in(start, stop, epoch_seconds, slack));
        let before = if start < start_inside {
            asked.min(
                ((start_inside - start - slack) / epoch_seconds)
                    .ceil()
                    .max(0.0) as i64,
            )
        } else {
            0
        };
        let beyond = (asked - inside).max(0) + before.min(inside);
        if beyond > 0 {
            cut.drop(BEYOND, beyond, 0.0);
        }
        let mut first = 0_i64;
        for (s, span) in spans.iter().enumerate() {
            let (a, b) = (start.max(span.onset), stop.min(span.end()));
            if b <= a {
                continue;
            }
            covered.push((a, b));
            counted += b - a;
            let whole = epochs_in(a, b, epoch_seconds, slack);
            if let Some(reason) = trial.drop_reason.as_deref().or(span.unusable) {
                cut.drop(reason, whole, b - a);
                continue;
            }
            // The trial's grid: epoch k starts at start + k × epoch_seconds.
            let k0 = (((a - start - slack) / epoch_seconds).ceil() as i64).max(first);
            let mut k = k0;
            loop {
                let at = start + k as f64 * epoch_seconds;
                // Samples from the first epoch in this span, so that epochs stay adjacent.
                let base = ((start + k0 as f64 * epoch_seconds - span.onset) * sfreq)
                    .round()
                    .max(0.0) as usize;
                let sample = base + (k - k0) as usize * times;
                if at + epoch_seconds > b + slack || sample + times > span.samples {
                    break;
                }
                let Ok(epoch) = i32::try_from(k) else { break };
                if trial.heard.as_ref().is_none_or(|h| h.contains(&k)) {
                    cut.epochs.push(Epoch {
                        trial: index,
                        epoch,
                        span: s,
                        first: sample,
                        onset: span.onset + sample as f64 / sfreq,
                    });
                } else {
                    cut.drop(BEYOND_SOUND, 1, epoch_seconds);
                }
                k += 1;
            }
            let taken = (k - k0) as f64 * epoch_seconds;
            let grid = start + k0 as f64 * epoch_seconds;
            let head = if k > k0 { grid - a } else { 0.0 };
            let tail = (b - a) - head - taken;
            if head.abs() > slack {
                let before_recording = s == 0 && start < span.onset;
                cut.drop(if before_recording { BEYOND } else { GAP }, 0, head);
            } else {
                cut.drop(TAIL, 0, head);
            }
            cut.drop(if b >= stop { TAIL } else { GAP }, 0, tail);
            first = k;
        }
    }

    covered.sort_by(|x, y| x.0.total_cmp(&y.0));
    let mut union = 0.0;
    let mut reached = f64::NEG_INFINITY;
    for (a, b) in covered {
        if b > reached {
            union += b - a.max(reached);
            reached = b;
        }
    }
    let total: f64 = spans.iter().map(|s| s.seconds).sum();
    cut.drop(
        OUTSIDE,
        epochs_in(0.0, total - union, epoch_seconds, 0.0),
        total - union,
    );
    cut.drop(TWICE, 0, union - counted);
    cut.dropped.retain(|reason, (epochs, seconds)| {
        *epochs != 0 || seconds.abs() > 1e-6 || reason == BACKWARDS
    });
    cut
}

impl Cut {
    /// Counts epochs and seconds that are left out.
    pub(super) fn drop(&mut self, reason: &str, epochs: i64, seconds: f64) {
        let entry = self.dropped.entry(reason.to_string()).or_default();
        entry.0 += epochs;
        entry.1 += seconds;
    }
}

/// Whole epochs between two times.
fn epochs_in(start: f64, stop: f64, epoch_seconds: f64, slack: f64) -> i64 {
    ((stop - start + slack) / epoch_seconds)
        .floor()
        .clamp(0.0, i64::MAX as f64) as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(onset: f64, seconds: f64) -> Span {
        Span {
            onset,
            seconds,
            samples: (seconds * 200.0).ceil() as usize,
            unusable: None,
        }
    }

    fn trial(start: f64, stop: f64) -> Bounds {
        Bounds {
            start: Some(start),
            stop: Some(stop),
            drop_reason: None,
            heard: None,
        }
    }

    fn whole() -> Bounds {
        Bounds {
            start: None,
            stop: None,
            drop_reason: None,
            heard: None,
        }
    }

    fn balance(cut: &Cut, spans: &[Span]) {
        let total: f64 = spans.iter().map(|s| s.seconds).sum();
        let kept = cut.epochs.len() as f64 * 2.0;
        let dropped: f64 = cut.dropped.values().map(|d| d.1).sum();
        assert!(
            (kept + dropped - total).abs() < 1e-3,
            "{kept} + {dropped} != {total}: {cut:?}"
        );
    }

    #[test]
    fn one_trial_of_the_whole_recording() {
        let spans = [span(0.0, 61.0)];
        let cut = cut(&spans, &[whole()], 200.0, 2.0);
        assert_eq!(cut.epochs.len(), 30);
        assert_eq!(
            cut.epochs[29],
            Epoch {
                trial: 0,
                epoch: 29,
                span: 0,
                first: 29 * 400,
                onset: 58.0
            }
        );
        assert_eq!(
            cut.dropped.into_iter().collect::<Vec<_>>(),
            vec![(TAIL.to_string(), (0, 1.0))]
        );
    }

    #[test]
    fn a_gap_costs_the_epochs_that_cross_it_and_keeps_the_grid() {
        // 0..5 s, gap to 10.5 s, then to 20.5 s.
        let spans = [span(0.0, 5.0), span(10.5, 10.0)];
        let cut = cut(&spans, &[whole()], 200.0, 2.0);
        balance(&cut, &spans);
        let at: Vec<(i32, f64)> = cut.epochs.iter().map(|e| (e.epoch, e.onset)).collect();
        assert_eq!(
            at,
            vec![
                (0, 0.0),
                (1, 2.0),
                (6, 12.0),
                (7, 14.0),
                (8, 16.0),
                (9, 18.0)
            ]
        );
        assert_eq!(cut.dropped[GAP], (0, 2.5));
        assert_eq!(cut.dropped[TAIL], (0, 0.5));
    }

    #[test]
    fn dropped_trials_backward_trials_and_trials_past_the_end_are_counted() {
        let spans = [span(0.0, 10.0)];
        let trials = [
            Bounds {
                drop_reason: Some("catch trial".into()),
                ..trial(0.0, 4.0)
            },
            trial(6.0, 5.0),
            trial(7.0, 17.0),
            trial(f64::NAN, 1.0),
        ];
        let cut = cut(&spans, &trials, 200.0, 2.0);
        balance(&cut, &spans);
        assert_eq!(cut.epochs.len(), 1);
        assert_eq!(cut.dropped["catch trial"], (2, 4.0));
        assert!(cut.dropped.contains_key(BACKWARDS));
        assert_eq!(cut.dropped[BEYOND], (4, 0.0));
        assert_eq!(cut.dropped[TAIL], (0, 1.0));
        assert_eq!(cut.dropped[OUTSIDE], (1, 3.0));
    }

    #[test]
    fn epochs_beyond_the_sound_are_counted_and_the_others_keep_their_numbers() {
        let spans = [span(0.0, 21.0)];
        let paired = Bounds {
            heard: Some(2..7),
            ..trial(1.0, 20.0)
        };
        let cut = cut(&spans, &[paired], 200.0, 2.0);
        balance(&cut, &spans);
        let at: Vec<(i32, f64)> = cut.epochs.iter().map(|e| (e.epoch, e.onset)).collect();
        assert_eq!(
            at,
            (2..7)
                .map(|k| (k, 1.0 + 2.0 * f64::from(k)))
                .collect::<Vec<_>>()
        );
        // 0, 1, 7 and 8; the ninth would not be whole.
        assert_eq!(cut.dropped[BEYOND_SOUND], (4, 8.0));
        assert_eq!(cut.dropped[TAIL], (0, 1.0));
        let silent = Bounds {
            heard: Some(5..5),
            ..trial(0.0, 21.0)
        };
        let none = super::cut(&spans, &[silent], 200.0, 2.0);
        assert_eq!(
            (none.epochs.len(), none.dropped[BEYOND_SOUND]),
            (0, (10, 20.0))
        );
    }

    #[test]
    fn a_short_run_is_named() {
        let spans = [
            Span {
                unusable: Some(SHORT),
                ..span(0.0, 0.5)
            },
            span(1.0, 4.0),
        ];
        let cut = cut(&spans, &[whole()], 200.0, 2.0);
        balance(&cut, &spans);
        assert_eq!(cut.dropped[SHORT], (0, 0.5));
        assert_eq!(cut.epochs.len(), 1);
    }

    proptest! {
        #[test]
        fn every_second_is_accounted_for(
            lengths in prop::collection::vec((0.0..3.0f64, 0.1..9.0f64), 1..4),
            trials in prop::collection::vec(
                (-2.0..30.0f64, 0.0..12.0f64, any::<bool>(), prop::option::of(0i64..5)),
                0..6,
            ),
        ) {
            let mut at = 0.0;
            let mut spans = Vec::new();
            for (gap, seconds) in lengths {
                // Whole samples at 500 Hz, as files have them.
                let seconds = (seconds * 500.0_f64).round().max(1.0) / 500.0;
                at += gap;
                spans.push(span(at, seconds));
                at += seconds;
            }
            let trials: Vec<Bounds> = trials
                .into_iter()
                .map(|(a, d, dropped, heard)| Bounds {
                    drop_reason: dropped.then(|| "asked".into()),
                    heard: heard.map(|from| from..from + 2),
                    ..trial(a, a + d)
                })
                .collect();
            let cut = cut(&spans, &trials, 200.0, 2.0);
            let total: f64 = spans.iter().map(|s| s.seconds).sum();
            let sum = cut.epochs.len() as f64 * 2.0 + cut.dropped.values().map(|d| d.1).sum::<f64>();
            prop_assert!((sum - total).abs() < 1e-5, "{sum} {total} {cut:?}");
            for e in &cut.epochs {
                prop_assert!(e.first + 400 <= spans[e.span].samples);
            }
            // Within a trial, epochs never overlap.
            for pair in cut.epochs.windows(2) {
                if pair[0].trial == pair[1].trial {
                    prop_assert!(pair[1].epoch > pair[0].epoch);
                    prop_assert!(pair[1].span > pair[0].span || pair[1].first >= pair[0].first + 400);
                }
            }
        }
    }
}
