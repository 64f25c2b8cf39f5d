//! Classification scores with the meaning that scikit-learn gives them.
//!
//! Everything is computed from a [`Confusion`], which is sparse, needs no class list up front and
//! can be merged, so that a SQL aggregate, a trainer and a report share one implementation.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Counts of (label, predicted) pairs.
///
/// Stored as the sorted list of its non-zero cells `[label, predicted, count]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(i32, i32, u64)>", into = "Vec<(i32, i32, u64)>")]
pub struct Confusion {
    cells: BTreeMap<(i32, i32), u64>,
}

impl From<Vec<(i32, i32, u64)>> for Confusion {
    fn from(cells: Vec<(i32, i32, u64)>) -> Self {
        let mut confusion = Self::new();
        for (label, predicted, count) in cells {
            confusion.add_n(label, predicted, count);
        }
        confusion
    }
}

impl From<Confusion> for Vec<(i32, i32, u64)> {
    fn from(confusion: Confusion) -> Self {
        confusion.cells().collect()
    }
}

impl Confusion {
    /// An empty table.
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts all pairs of two columns of equal length.
    ///
    /// # Errors
    /// [`Error::Length`] when the columns differ in length.
    pub fn from_slices(labels: &[i32], predicted: &[i32]) -> Result<Self> {
        if labels.len() != predicted.len() {
            return Err(Error::Length {
                what: "predicted",
                expected: labels.len(),
                found: predicted.len(),
            });
        }
        let mut confusion = Self::new();
        for (&label, &predicted) in labels.iter().zip(predicted) {
            confusion.add(label, predicted);
        }
        Ok(confusion)
    }

    /// Counts one epoch.
    pub fn add(&mut self, label: i32, predicted: i32) {
        self.add_n(label, predicted, 1);
    }

    /// Counts `count` epochs of one cell (saturating); zero leaves the table as it is.
    pub fn add_n(&mut self, label: i32, predicted: i32, count: u64) {
        if count > 0 {
            let cell = self.cells.entry((label, predicted)).or_insert(0);
            *cell = cell.saturating_add(count);
        }
    }

    /// Adds all counts of another table.
    pub fn merge(&mut self, other: &Self) {
        for (label, predicted, count) in other.cells() {
            self.add_n(label, predicted, count);
        }
    }

    /// Non-zero cells `(label, predicted, count)`, sorted.
    pub fn cells(&self) -> impl Iterator<Item = (i32, i32, u64)> + '_ {
        self.cells.iter().map(|(&(l, p), &n)| (l, p, n))
    }

    /// Number of epochs counted.
    pub fn total(&self) -> u64 {
        self.cells.values().fold(0, |sum, &n| sum.saturating_add(n))
    }

    /// Count of one cell.
    pub fn get(&self, label: i32, predicted: i32) -> u64 {
        self.cells.get(&(label, predicted)).copied().unwrap_or(0)
    }

    /// Distinct classes among the labels, sorted.
    pub fn label_classes(&self) -> Vec<i32> {
        self.cells
            .keys()
            .map(|&(l, _)| l)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect()
    }

    /// Dense `classes × classes` table: rows are labels, columns predictions.
    ///
    /// # Errors
    /// [`Error::ClassRange`] when a counted class lies outside `0..classes`.
    pub fn dense(&self, classes: usize) -> Result<Vec<Vec<u64>>> {
        let mut table = vec![vec![0; classes]; classes];
        for (label, predicted, count) in self.cells() {
            let row = usize::try_from(label).ok().and_then(|l| table.get_mut(l));
            let row = row.ok_or(Error::ClassRange {
                what: "label",
                value: label,
                classes,
            })?;
            let cell = usize::try_from(predicted).ok().and_then(|p| row.get_mut(p));
            *cell.ok_or(Error::ClassRange {
                what: "predicted",
                value: predicted,
                classes,
            })? = count;
        }
        Ok(table)
    }

    /// Per class: (class, true positives, support, times predicted), for every class that occurs
    /// as a label or as a prediction.
    fn by_class(&self) -> Vec<(i32, u64, u64, u64)> {
        let mut classes: BTreeMap<i32, (u64, u64, u64)> = BTreeMap::new();
        for (label, predicted, count) in self.cells() {
            let entry = classes.entry(label).or_default();
            entry.1 += count;
            if label == predicted {
                entry.0 += count;
            }
            classes.entry(predicted).or_default().2 += count;
        }
        classes
            .into_iter()
            .map(|(c, (tp, support, said))| (c, tp, support, said))
            .collect()
    }

    /// Recall of every class among the labels, `(class, recall)`, sorted by class.
    pub fn recalls(&self) -> Vec<(i32, f64)> {
        self.by_class()
            .into_iter()
            .filter(|&(_, _, support, _)| support > 0)
            .map(|(class, tp, support, _)| (class, tp as f64 / support as f64))
            .collect()
    }

    /// Share of epochs predicted right; `None` when empty.
    pub fn accuracy(&self) -> Option<f64> {
        let total = self.total();
        let right: u64 = self
            .cells()
            .filter(|&(l, p, _)| l == p)
            .map(|(_, _, n)| n)
            .sum();
        (total > 0).then(|| right as f64 / total as f64)
    }

    /// Mean recall over the classes present among the labels
    /// (`sklearn.metrics.balanced_accuracy_score`); `None` when empty.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        let recalls = self.recalls();
        let sum: f64 = recalls.iter().map(|&(_, r)| r).sum();
        (!recalls.is_empty()).then(|| sum / recalls.len() as f64)
    }

    /// Mean of the per-class F1 weighted by support
    /// (`sklearn.metrics.f1_score(average="weighted", zero_division=0)`); `None` when empty.
    pub fn weighted_f1(&self) -> Option<f64> {
        let total = self.total();
        let sum: f64 = self
            .by_class()
            .into_iter()
            // The denominator 2 tp + fp + fn is support + times predicted; a listed class has one of them.
            .map(|(_, tp, support, said)| {
                2.0 * tp as f64 / (support + said) as f64 * support as f64
            })
            .sum();
        (total > 0).then(|| sum / total as f64)
    }

    /// Share of the most frequent label: the accuracy of always saying it; `None` when empty.
    pub fn majority_share(&self) -> Option<f64> {
        let total = self.total();
        let largest = self
            .by_class()
            .into_iter()
            .map(|(_, _, support, _)| support)
            .max()?;
        (total > 0).then(|| largest as f64 / total as f64)
    }
}

/// Share of epochs predicted right.
///
/// # Errors
/// When the columns differ in length or are empty.
pub fn accuracy(labels: &[i32], predicted: &[i32]) -> Result<f64> {
    Confusion::from_slices(labels, predicted)?
        .accuracy()
        .ok_or(Error::Empty { what: "accuracy" })
}

/// Mean recall over the classes present among the labels, see [`Confusion::balanced_accuracy`].
///
/// # Errors
/// When the columns differ in length or are empty.
pub fn balanced_accuracy(labels: &[i32], predicted: &[i32]) -> Result<f64> {
    Confusion::from_slices(labels, predicted)?
        .balanced_accuracy()
        .ok_or(Error::Empty {
            what: "balanced accuracy",
        })
}

/// Support-weighted F1, see [`Confusion::weighted_f1`].
///
/// # Errors
/// When the columns differ in length or are empty.
pub fn weighted_f1(labels: &[i32], predicted: &[i32]) -> Result<f64> {
    Confusion::from_slices(labels, predicted)?
        .weighted_f1()
        .ok_or(Error::Empty {
            what: "weighted F1",
        })
}

/// Area under the ROC curve of two classes: the chance that an epoch of class 1 has a higher
/// `scores` value than one of class 0, ties counted half (`sklearn.metrics.roc_auc_score`).
///
/// # Errors
/// When lengths differ, a label is neither 0 nor 1, only one class occurs, or a score is NaN.
pub fn auc(labels: &[i32], scores: &[f64]) -> Result<f64> {
    if labels.len() != scores.len() {
        return Err(Error::Length {
            what: "scores",
            expected: labels.len(),
            found: scores.len(),
        });
    }
    if let Some(&value) = labels.iter().find(|&&l| l != 0 && l != 1) {
        return Err(Error::ClassRange {
            what: "label",
            value,
            classes: 2,
        });
    }
    if scores.iter().any(|s| s.is_nan()) {
        return Err(Error::Domain {
            what: "scores",
            expected: "numbers",
            found: f64::NAN,
        });
    }
    let mut pairs: Vec<(f64, i32)> = scores.iter().copied().zip(labels.iter().copied()).collect();
    pairs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let positives = labels.iter().filter(|&&l| l == 1).count() as f64;
    let negatives = labels.len() as f64 - positives;
    if positives == 0.0 || negatives == 0.0 {
        let found = usize::from(!labels.is_empty());
        return Err(Error::Classes {
            what: "auc",
            expected: 2,
            found,
        });
    }
    // Walk groups of equal score: each positive beats all negatives below and half of its equals.
    let (mut below, mut won) = (0.0, 0.0);
    for group in pairs.chunk_by(|a, b| a.0 == b.0) {
        let ones = group.iter().filter(|p| p.1 == 1).count() as f64;
        let zeros = group.len() as f64 - ones;
        won += ones * (below + 0.5 * zeros);
        below += zeros;
    }
    Ok(won / (positives * negatives))
}
