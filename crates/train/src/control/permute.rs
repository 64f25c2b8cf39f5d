//! `label-permuted`: answers of whole trials exchanged in training and validation.
//!
//! All epochs of a trial keep one common answer, so the block structure that a leaky split lets a
//! network exploit is kept. Answers are exchanged between the trials of one subject, so each
//! subject keeps its share of every class; the test role is scored against the true answers.
//!
//! With few trials a random exchange may happen to agree with the truth, and a network that
//! recognises trials would then score above chance for no reason. So of 64 random exchanges a
//! subject the one is taken that brings the agreement, summed over subjects so far, closest to
//! what chance expects. (That makes it a control, not a sample for a p-value.)
//!
//! Even so one fit is not enough. Where the data hold a strong effect, exchanged answers leave its
//! sign to chance, and an answer needs no more than a sign: the network comes out nearly all right
//! or nearly all wrong. So every fold is fitted twice, the second time with each exchanged answer
//! moved on to the next class (with two classes: the opposite), and each fit answers half of the
//! test trials. A sign that one fit picked up is undone by the other; an answer that leaks into
//! the scores lifts both.
//!
//! Matching: by trial, the taught candidate is drawn instead, each candidate equally often among
//! a subject's trials as far as their number allows.
//!
//! `ridge` needs more. Both talkers drive the EEG in much the same way, so a decoder that is taught
//! by either follows the one that the EEG follows, which is the attended one: training on
//! exchanged streams alone leaves it nearly as good. So its test trials are scored against drawn
//! streams too ([`drawn_streams`]). A score above chance then means that the scoring favours a
//! stream, or that what was drawn for training reaches the test.

use std::collections::BTreeMap;

use mmpipe_models::rng::Stream;

use crate::config::Task;
use crate::data::{Block, Labels, block, permute};
use crate::source::{Fold, Source};

/// Random exchanges to choose from, a subject.
const DRAWS: u64 = 64;

/// One trial: its examples and the class of its first labelled one.
struct Trial {
    examples: Vec<usize>,
    label: i32,
    candidates: usize,
}

/// Fits a fold.
pub(crate) const FITS: usize = 2;

/// Permuted answers for the training and validation examples of `fold`, every one moved on by
/// `shift` classes or candidates.
pub(crate) fn permuted(
    source: &dyn Source,
    fold: &Fold,
    task: Task,
    seed: u64,
    shift: usize,
) -> Labels {
    // All roles: under a leaky split a trial lies on several sides, and its one new answer must
    // agree with the truth no more than chance on the side that is scored.
    let mut trials: BTreeMap<(String, String), BTreeMap<(Block, i32), Trial>> = BTreeMap::new();
    for &i in [&fold.train, &fold.val, &fold.test].into_iter().flatten() {
        let meta = source.meta(i);
        // Epochs of one trial with different labels (a cue inside a run) are blocks of their own.
        let label = if task == Task::Classification {
            meta.label
        } else {
            0
        };
        let subject = (meta.dataset.clone(), meta.subject.clone());
        let trial = trials
            .entry(subject)
            .or_default()
            .entry((block(meta), label))
            .or_insert(Trial {
                examples: Vec::new(),
                label,
                candidates: meta.candidates,
            });
        trial.examples.push(i);
    }
    let stream = Stream::named(seed, "permuted labels").child(fold.fold as u64);
    let mut labels = Labels::default();
    let (mut agreed, mut expected) = (0.0, 0.0);
    for (s, subject) in trials.values().enumerate() {
        let trials: Vec<&Trial> = subject.values().collect();
        let stream = stream.child(s as u64);
        match task {
            Task::Classification => {
                let truth: Vec<i32> = trials.iter().map(|t| t.label).collect();
                expected += expected_agreement(&truth);
                let draws = (0..DRAWS).map(|d| {
                    let mut drawn = truth.clone();
                    permute(&mut drawn, stream.child(d));
                    let same = drawn.iter().zip(&truth).filter(|(a, b)| a == b).count() as f64;
                    (drawn, same)
                });
                let off = |same: f64| (agreed + same - expected).abs();
                let best = draws.min_by(|a, b| off(a.1).total_cmp(&off(b.1)));
                let Some((drawn, same)) = best else { continue };
                agreed += same;
                let classes = source.classes().len().max(1) as i32;
                for (trial, label) in trials.iter().zip(drawn) {
                    let label = (label + shift as i32) % classes;
                    labels
                        .class
                        .extend(trial.examples.iter().map(|i| (*i, label)));
                }
            }
            Task::Matching => {
                // The start of the round differs by subject, for numbers that do not divide.
                let start = stream.child(1).bits(0);
                let round =
                    |t: usize, k: usize| ((start % k.max(1) as u64) as usize + t) % k.max(1);
                let mut order: Vec<usize> = (0..trials.len()).collect();
                permute(&mut order, stream);
                for (t, at) in order.into_iter().enumerate() {
                    let trial = trials[at];
                    let taught = round(t + shift, trial.candidates);
                    labels
                        .attended
                        .extend(trial.examples.iter().map(|i| (*i, taught)));
                }
            }
        }
    }
    for i in &fold.test {
        labels.class.remove(i);
        labels.attended.remove(i);
    }
    labels
}

/// The test examples that each fit answers: whole trials in turn, subject by subject.
pub(crate) fn shares(source: &dyn Source, test: &[usize]) -> Vec<Vec<usize>> {
    let mut trials: BTreeMap<Block, Vec<usize>> = BTreeMap::new();
    for &i in test {
        trials.entry(block(source.meta(i))).or_default().push(i);
    }
    let mut shares = vec![Vec::new(); FITS];
    for (t, examples) in trials.into_values().enumerate() {
        // Two to a share and then the other: answers that alternate by trial are in both.
        shares[t / 2 % FITS].extend(examples);
    }
    shares
}

/// Attended streams drawn for the test examples of `ridge`: by whole trials, each stream equally
/// often among a subject's trials as far as their number allows, from an order of their own.
pub(crate) fn drawn_streams(source: &dyn Source, test: &[usize], seed: u64) -> Labels {
    let mut subjects: BTreeMap<(String, String), BTreeMap<Block, Vec<usize>>> = BTreeMap::new();
    for &i in test {
        let meta = source.meta(i);
        let subject = (meta.dataset.clone(), meta.subject.clone());
        let trials = subjects.entry(subject).or_default();
        trials.entry(block(meta)).or_default().push(i);
    }
    let stream = Stream::named(seed, "drawn streams");
    let mut labels = Labels::default();
    for (s, trials) in subjects.into_values().enumerate() {
        let stream = stream.child(s as u64);
        let mut trials: Vec<Vec<usize>> = trials.into_values().collect();
        permute(&mut trials, stream);
        let start = stream.child(1).bits(0);
        for (turn, examples) in trials.into_iter().enumerate() {
            for i in examples {
                let k = source.meta(i).candidates.max(1);
                let drawn = ((start % k as u64) as usize + turn) % k;
                labels.attended.insert(i, drawn);
            }
        }
    }
    labels
}

/// Trials whose answer a random exchange leaves alone, on average: Σ n_c² / n.
fn expected_agreement(truth: &[i32]) -> f64 {
    let mut counts: BTreeMap<i32, f64> = BTreeMap::new();
    for label in truth {
        *counts.entry(*label).or_default() += 1.0;
    }
    counts.values().map(|n| n * n).sum::<f64>() / truth.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{MemorySource, Meta};

    fn source(subjects: usize, trials: usize, candidates: usize) -> MemorySource {
        let mut s = MemorySource {
            classes: vec!["a".into(), "b".into()],
            ..Default::default()
        };
        for subject in 0..subjects {
            for trial in 0..trials {
                for epoch in 0..5 {
                    s.metas.push(Meta {
                        epoch_id: s.metas.len() as u64 + epoch,
                        subject: subject.to_string(),
                        trial: trial as i32,
                        label: (trial % 2) as i32,
                        candidates,
                        ..Meta::default()
                    });
                }
            }
        }
        s
    }

    /// Roles inside trials, as a leaky split has them.
    fn fold(n: usize) -> Fold {
        let of = |f: fn(usize) -> bool| (0..n).filter(|i| f(*i)).collect();
        Fold {
            fold: 0,
            train: of(|i| i % 5 < 3),
            val: of(|i| i % 5 == 3),
            test: of(|i| i % 5 == 4),
        }
    }

    #[test]
    fn whole_trials_change_and_half_of_them_agree() {
        for trials in [2, 4, 8, 10] {
            let s = source(10, trials, 0);
            let fold = fold(s.len());
            for seed in 0..5 {
                let labels = permuted(&s, &fold, Task::Classification, seed, 0);
                let mut same = 0;
                for t in 0..10 * trials {
                    let of = |e: usize| labels.class(&s, t * 5 + e);
                    assert!((0..4).all(|e| of(e) == of(0)));
                    assert_eq!(
                        of(4),
                        s.metas[t * 5 + 4].label,
                        "the test role keeps the truth"
                    );
                    same += usize::from(of(0) == of(4));
                }
                assert!(
                    (same as i64 - 5 * trials as i64).abs() <= 2,
                    "{same} of {}",
                    10 * trials
                );
                for subject in 0..10 {
                    let ones =
                        (0..trials).filter(|t| labels.class(&s, (subject * trials + t) * 5) == 1);
                    assert_eq!(ones.count(), trials / 2);
                }
            }
        }
    }

    #[test]
    fn drawn_streams_are_of_whole_trials_and_balanced() {
        let s = source(6, 8, 2);
        let all: Vec<usize> = (0..s.len()).collect();
        let labels = drawn_streams(&s, &all, 5);
        for subject in 0..6 {
            let of = |t: usize, e: usize| labels.attended((subject * 8 + t) * 5 + e);
            assert!((0..8).all(|t| (1..5).all(|e| of(t, e) == of(t, 0))));
            assert_eq!((0..8).map(|t| of(t, 0)).sum::<usize>(), 4);
        }
        assert_ne!(labels.attended, drawn_streams(&s, &all, 6).attended);
    }

    #[test]
    fn candidates_are_taught_equally_often() {
        let s = source(6, 8, 2);
        let fold = fold(s.len());
        let labels = permuted(&s, &fold, Task::Matching, 3, 0);
        for subject in 0..6 {
            let taught: usize = (0..8).map(|t| labels.attended((subject * 8 + t) * 5)).sum();
            assert_eq!(taught, 4);
        }
        assert!(fold.test.iter().all(|i| labels.attended(*i) == 0));
        let other = permuted(&s, &fold, Task::Matching, 4, 0);
        assert_ne!(labels.attended, other.attended);
        let shifted = permuted(&s, &fold, Task::Matching, 3, 1);
        assert!(
            fold.train
                .iter()
                .all(|i| labels.attended(*i) != shifted.attended(*i))
        );
        let parts = shares(&s, &fold.test);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [24, 24]);
    }
}
