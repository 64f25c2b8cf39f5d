//! The stored types. Every float that can be undefined is an `Option`, because JSON has no NaN.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::metrics::Confusion;
use crate::stats::{Chance, Interval, MeanStd, Permutation};

/// One epoch's prediction in one fold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Fold in whose test part the epoch lies.
    pub fold: i32,
    /// The epoch's key in the lake.
    pub epoch_id: u64,
    /// Data set.
    pub dataset: String,
    /// Subject.
    pub subject: String,
    /// Session, where the data set has them.
    pub session: Option<String>,
    /// Run of the recording, where the data set has them.
    pub run: Option<String>,
    /// Trial inside the recording.
    pub trial: i32,
    /// True class.
    pub label: i32,
    /// Predicted class.
    pub predicted: i32,
    /// Scores by class (any scale; higher means more likely).
    pub scores: Vec<f32>,
}

/// What a run is, told by whoever made it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunMeta {
    /// Name of the run.
    pub run: String,
    /// The question in plain words, e.g. "Which of two talkers is attended?".
    pub question: String,
    /// Model name.
    pub model: String,
    /// Training stage.
    pub stage: String,
    /// Data set.
    pub dataset: String,
    /// Split name.
    pub split: String,
    /// Protocol, e.g. `between-trial`.
    pub protocol: String,
    /// Whether the protocol is marked leaky, or training was forced with `--allow-leaky`.
    pub leaky: bool,
    /// Scoring, e.g. `label` or `candidate`.
    pub scoring: String,
    /// Class names by index.
    pub classes: Vec<String>,
    /// Trainable parameters of the model, where known.
    pub parameters: Option<u64>,
    /// Seed of the run.
    pub seed: Option<u64>,
    /// Version of the code that trained and evaluated.
    pub version: String,
    /// Configuration as used.
    pub config: serde_json::Value,
}

/// Counts of what was scored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataCounts {
    /// Distinct epochs in the test parts.
    pub epochs: u64,
    /// Distinct subjects.
    pub subjects: u64,
    /// Distinct recordings (data set, subject, session, run), as far as predictions tell them apart.
    pub recordings: u64,
    /// Distinct trials.
    pub trials: u64,
    /// Folds.
    pub folds: u64,
    /// Distinct epochs by class index.
    pub by_class: Vec<u64>,
}

impl DataCounts {
    pub(super) fn of(predictions: &[Prediction], classes: usize) -> Self {
        let count = |keys: BTreeSet<String>| keys.len() as u64;
        let by = |key: &dyn Fn(&Prediction) -> String| count(predictions.iter().map(key).collect());
        let mut seen = BTreeSet::new();
        let mut by_class = vec![0; classes];
        for p in predictions {
            if seen.insert(p.epoch_id)
                && let Some(n) = usize::try_from(p.label)
                    .ok()
                    .and_then(|l| by_class.get_mut(l))
            {
                *n += 1;
            }
        }
        Self {
            epochs: seen.len() as u64,
            subjects: by(&|p| format!("{:?}", (&p.dataset, &p.subject))),
            recordings: by(&|p| format!("{:?}", (&p.dataset, &p.subject, &p.session, &p.run))),
            trials: by(&|p| {
                format!(
                    "{:?}",
                    (&p.dataset, &p.subject, &p.session, &p.run, p.trial)
                )
            }),
            folds: by(&|p| p.fold.to_string()),
            by_class,
        }
    }
}

/// Scores of one fold or one subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupScore {
    /// Fold number or subject.
    pub group: String,
    /// Epochs.
    pub n: u64,
    /// Classes among the labels; a group with one class says nothing about telling classes apart.
    pub classes: usize,
    /// Balanced accuracy (mean recall over the classes present).
    pub balanced_accuracy: f64,
    /// Support-weighted F1.
    pub weighted_f1: f64,
    /// Accuracy.
    pub accuracy: f64,
}

/// Mean and standard deviation over groups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Balanced accuracy over the groups that hold at least two classes.
    pub balanced_accuracy: Option<MeanStd>,
    /// Weighted F1 over the same groups.
    pub weighted_f1: Option<MeanStd>,
    /// Groups left out because their labels hold a single class.
    pub left_out: usize,
}

/// Everything that is computed from one set of predictions: a model's, a control's, a baseline's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// `model`, or the name of the control or baseline.
    pub name: String,
    /// Epochs scored, over all folds.
    pub n: u64,
    /// Balanced accuracy of all epochs together.
    pub balanced_accuracy: f64,
    /// Weighted F1 of all epochs together.
    pub weighted_f1: f64,
    /// Accuracy of all epochs together.
    pub accuracy: f64,
    /// Area under the ROC curve, mean over folds; two classes with scores only.
    pub auc: Option<f64>,
    /// Mean and standard deviation over folds.
    pub over_folds: Spread,
    /// Mean and standard deviation over subjects.
    pub over_subjects: Spread,
    /// By fold, in order of the fold.
    pub folds: Vec<GroupScore>,
    /// By subject, in order of the name.
    pub subjects: Vec<GroupScore>,
    /// All epochs together.
    pub confusion: Confusion,
    /// Level that guessing reaches.
    pub chance: Chance,
    /// Interval of the balanced accuracy over whole trials or subjects.
    pub interval: Option<Interval>,
    /// Permutation test with the labels of whole trials exchanged; `None` with a single unit or class.
    pub permutation: Option<Permutation>,
}

/// One epoch of training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Pass over the training part, from 1.
    pub epoch: u32,
    /// Mean training loss.
    pub train_loss: Option<f64>,
    /// Mean validation loss.
    pub val_loss: Option<f64>,
    /// Validation balanced accuracy.
    pub val_balanced_accuracy: Option<f64>,
    /// Learning rate at the end of the epoch.
    pub lr: Option<f64>,
}

/// Learning curve of one fold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FoldCurve {
    /// Fold.
    pub fold: i32,
    /// Epoch whose weights were kept.
    pub best_epoch: Option<u32>,
    /// Points in order of the epoch.
    pub points: Vec<CurvePoint>,
}

/// What two roles of one fold share; the counts of the leakage audit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditPair {
    /// Fold.
    pub fold: i32,
    /// First role, e.g. `train`.
    pub a: String,
    /// Second role, e.g. `test`.
    pub b: String,
    /// What is counted, and how many: `("shared trials", 0)`; `None` where the data set names no
    /// such thing, so that nothing could be counted.
    pub counts: Vec<(String, Option<f64>)>,
}

/// What knowing an identity alone (which trial, which content) reaches on the test parts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditAlone {
    /// The identity, e.g. `trial`.
    pub what: String,
    /// Balanced accuracy of its most frequent training label, mean over folds.
    pub balanced_accuracy: f64,
    /// Chance level.
    pub chance: f64,
    /// Share of the test epochs whose identity training has seen.
    pub seen_share: f64,
}

/// The leakage audit as a report shows it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct AuditSummary {
    /// What the protocol promises, in words.
    pub promise: String,
    /// Whether the promise holds.
    pub holds: bool,
    /// Whether the protocol is marked leaky even when its promise holds.
    pub leaky: bool,
    /// Broken promises in words; empty when it holds.
    pub broken: Vec<String>,
    /// What a reader must know: unlabelled epochs, content that tells the label.
    pub notes: Vec<String>,
    /// What recognising an identity alone would reach.
    pub alone: Vec<AuditAlone>,
    /// Counts by fold and pair of roles.
    pub pairs: Vec<AuditPair>,
}

/// A run's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Version of this record, see [`super::FORMAT`].
    pub format: u32,
    /// What the run is.
    #[serde(flatten)]
    pub meta: RunMeta,
    /// What was scored.
    pub data: DataCounts,
    /// The model's scores.
    pub scores: Scores,
    /// Scores of the controls, in order of running.
    pub controls: Vec<Scores>,
    /// Scores of classical baselines on the same split.
    pub baselines: Vec<Scores>,
    /// Learning curves by fold.
    pub curves: Vec<FoldCurve>,
    /// The audit of the split.
    pub audit: Option<AuditSummary>,
    /// Remarks for the reader, plain sentences.
    pub notes: Vec<String>,
}
