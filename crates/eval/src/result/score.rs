//! From predictions to scores.

use std::collections::{BTreeMap, BTreeSet};

use super::types::{GroupScore, Prediction, Scores, Spread};
use crate::metrics::{Confusion, auc};
use crate::stats::{self, Grouping, mean_std};
use crate::{Error, Result};

/// How much work the uncertainty is worth, and its seed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ScoreOptions {
    /// Permutations of the test; 0 leaves it out.
    pub permutations: usize,
    /// Bootstrap replicates; 0 leaves the interval out.
    pub replicates: usize,
    /// Coverage of the interval.
    pub level: f64,
    /// Seed of both.
    pub seed: u64,
    /// With at least so many subjects the bootstrap draws subjects, else trials.
    pub subjects_for_bootstrap: usize,
}

impl Default for ScoreOptions {
    fn default() -> Self {
        Self {
            permutations: 1000,
            replicates: 1000,
            level: 0.95,
            seed: 0,
            subjects_for_bootstrap: 6,
        }
    }
}

/// Scores one set of predictions, the test parts of all folds together.
///
/// The unit of the permutation test is the trial (data set, subject, session, run, trial and
/// label, so that recordings which the predictions cannot tell apart still separate): the labels
/// of whole trials are exchanged inside a subject, or among all trials where no subject has two
/// labels. The interval draws whole subjects, or whole trials when subjects are few.
///
/// Where rows have different numbers of answers (two or three candidates), chance is what guessing among
/// each row's own reaches, and labels are exchanged between trials of as many answers alone.
///
/// # Errors
/// When there are no predictions, an epoch occurs twice in a fold, or a class lies outside
/// `0..classes`.
pub fn score(
    name: &str,
    predictions: &[Prediction],
    classes: usize,
    options: &ScoreOptions,
) -> Result<Scores> {
    // Sorted, so that the result does not depend on the order in which predictions were made.
    let mut sorted: Vec<&Prediction> = predictions.iter().collect();
    sorted.sort_by_key(|p| (p.fold, p.epoch_id));
    for pair in sorted.windows(2) {
        if let [a, b] = pair
            && (a.fold, a.epoch_id) == (b.fold, b.epoch_id)
        {
            return Err(Error::Duplicate {
                fold: a.fold,
                epoch_id: a.epoch_id,
            });
        }
    }
    let labels: Vec<i32> = sorted.iter().map(|p| p.label).collect();
    let predicted: Vec<i32> = sorted.iter().map(|p| p.predicted).collect();
    let confusion = Confusion::from_slices(&labels, &predicted)?;
    confusion.dense(classes)?;
    let (Some(balanced_accuracy), Some(weighted_f1), Some(accuracy), Some(chance)) = (
        confusion.balanced_accuracy(),
        confusion.weighted_f1(),
        confusion.accuracy(),
        stats::chance(&confusion),
    ) else {
        return Err(Error::Empty { what: "score" });
    };
    let mixed = sorted
        .windows(2)
        .any(|w| matches!(w, [a, b] if a.scores.len() != b.scores.len()));
    let chance = match mixed {
        true => stats::Chance {
            balanced_accuracy: guessed(&sorted),
            ..chance
        },
        false => chance,
    };
    let folds = groups(&sorted, |p| p.fold)
        .into_iter()
        .map(named)
        .collect::<Vec<_>>();
    // Several data sets may use the same subject names; then the name carries the data set.
    let several = sorted
        .iter()
        .map(|p| &p.dataset)
        .collect::<BTreeSet<_>>()
        .len()
        > 1;
    let subjects: Vec<GroupScore> = groups(&sorted, |p| {
        if several {
            format!("{}/{}", p.dataset, p.subject)
        } else {
            p.subject.clone()
        }
    })
    .into_iter()
    .map(named)
    .collect();

    let trials = keys(&sorted, |p| {
        (&p.dataset, &p.subject, &p.session, &p.run, p.trial, p.label)
    });
    let by_subject = keys(&sorted, |p| (&p.dataset, &p.subject));
    let by_answers = keys(&sorted, |p| (&p.dataset, &p.subject, p.scores.len()));
    let everything = vec![0; sorted.len()];
    let all_alike = keys(&sorted, |p| p.scores.len());
    let subject_has_two = subjects.iter().any(|s| s.classes > 1);
    let permutation = (options.permutations > 0 && chance.classes > 1)
        .then(|| {
            let (strata, within) = if subject_has_two {
                (&by_answers, "subject")
            } else {
                (&all_alike, "everything")
            };
            let by = Grouping {
                units: &trials,
                unit: "trial",
                strata,
                within,
            };
            stats::permutation_test(&labels, &predicted, &by, options.permutations, options.seed)
        })
        .transpose()?;
    let interval = if options.replicates == 0 {
        None
    } else if subjects.len() >= options.subjects_for_bootstrap {
        let by = Grouping {
            units: &by_subject,
            unit: "subject",
            strata: &everything,
            within: "everything",
        };
        stats::bootstrap(
            &labels,
            &predicted,
            &by,
            options.replicates,
            options.level,
            options.seed,
        )?
    } else {
        // Drawn inside each class, so that every class stays present.
        let by_label = keys(&sorted, |p| p.label);
        let by = Grouping {
            units: &trials,
            unit: "trial",
            strata: &by_label,
            within: "class",
        };
        stats::bootstrap(
            &labels,
            &predicted,
            &by,
            options.replicates,
            options.level,
            options.seed,
        )?
    };
    Ok(Scores {
        name: name.to_owned(),
        n: confusion.total(),
        balanced_accuracy,
        weighted_f1,
        accuracy,
        auc: fold_auc(&sorted, classes),
        over_folds: spread(&folds),
        over_subjects: spread(&subjects),
        folds,
        subjects,
        confusion,
        chance,
        interval,
        permutation,
    })
}

/// Balanced accuracy of guessing evenly among each row's own answers.
fn guessed(rows: &[&Prediction]) -> f64 {
    let mut by_label: BTreeMap<i32, (f64, f64)> = BTreeMap::new();
    for p in rows {
        let (sum, n) = by_label.entry(p.label).or_default();
        *sum += 1.0 / p.scores.len().max(1) as f64;
        *n += 1.0;
    }
    by_label.values().map(|(sum, n)| sum / n).sum::<f64>() / by_label.len().max(1) as f64
}

fn groups<K: Ord>(rows: &[&Prediction], key: impl Fn(&Prediction) -> K) -> BTreeMap<K, Confusion> {
    let mut groups: BTreeMap<K, Confusion> = BTreeMap::new();
    for p in rows {
        groups.entry(key(p)).or_default().add(p.label, p.predicted);
    }
    groups
}

fn named<K: ToString>((key, confusion): (K, Confusion)) -> GroupScore {
    // A group exists because an epoch lies in it, so no score is undefined here.
    GroupScore {
        group: key.to_string(),
        n: confusion.total(),
        classes: confusion.label_classes().len(),
        balanced_accuracy: confusion.balanced_accuracy().unwrap_or_default(),
        weighted_f1: confusion.weighted_f1().unwrap_or_default(),
        accuracy: confusion.accuracy().unwrap_or_default(),
    }
}

fn spread(groups: &[GroupScore]) -> Spread {
    let kept: Vec<&GroupScore> = groups.iter().filter(|g| g.classes > 1).collect();
    let of = |value: fn(&GroupScore) -> f64| {
        mean_std(&kept.iter().map(|&g| value(g)).collect::<Vec<_>>())
    };
    Spread {
        balanced_accuracy: of(|g| g.balanced_accuracy),
        weighted_f1: of(|g| g.weighted_f1),
        left_out: groups.len() - kept.len(),
    }
}

/// Numbers each row by its key, equal keys alike, in order of the key.
fn keys<'a, K: Ord>(rows: &[&'a Prediction], key: impl Fn(&'a Prediction) -> K) -> Vec<u64> {
    let distinct: BTreeSet<K> = rows.iter().map(|p| key(p)).collect();
    let index: BTreeMap<K, u64> = distinct.into_iter().zip(0..).collect();
    rows.iter()
        .filter_map(|p| index.get(&key(p)).copied())
        .collect()
}

/// Mean over folds of the area under the ROC curve; scores of different folds come from different
/// models and are not compared with each other.
fn fold_auc(rows: &[&Prediction], classes: usize) -> Option<f64> {
    if classes != 2 {
        return None;
    }
    let mut folds: BTreeMap<i32, (Vec<i32>, Vec<f64>)> = BTreeMap::new();
    for p in rows {
        let [zero, one] = p.scores.as_slice() else {
            return None;
        };
        let fold = folds.entry(p.fold).or_default();
        fold.0.push(p.label);
        fold.1.push(f64::from(*one) - f64::from(*zero));
    }
    let values: Vec<f64> = folds.values().filter_map(|(l, s)| auc(l, s).ok()).collect();
    mean_std(&values).map(|m| m.mean)
}
