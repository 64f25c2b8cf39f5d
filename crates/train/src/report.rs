//! What a fit hands back: [`FitReport`] with its learning curve.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::{ModelKind, Select, Task};
use crate::control::Control;
use crate::sound::SoundReport;

/// One pass over the training examples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Number of the pass, from 1.
    pub epoch: usize,
    /// Optimiser steps done at its end.
    pub step: u64,
    /// Learning rate of its last step.
    pub lr: f64,
    /// Mean training loss over the pass, as optimised (weights and smoothing included).
    pub train_loss: f64,
    /// Share of training examples that were right during the pass (dropout on); absent where there
    /// is no right answer.
    pub train_accuracy: Option<f64>,
    /// Mean loss of the validation examples (classifiers: unweighted cross-entropy); absent when
    /// there are none.
    pub val_loss: Option<f64>,
    /// Balanced accuracy of the validation examples; absent when there are none.
    pub val_balanced_accuracy: Option<f64>,
    /// Other numbers of the pass, by name; those of validation begin with `val_`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<String, f64>,
}

/// Why a fit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// All passes were made.
    Epochs,
    /// No better checkpoint for `patience` passes.
    Patience,
    /// The optimum of a convex problem was reached (bandpower-lr, ridge).
    Converged,
}

/// What came out of fitting one fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitReport {
    /// Number of the fold.
    pub fold: i32,
    /// The model.
    pub model: ModelKind,
    /// What it was asked.
    pub task: Task,
    /// The control that this fit is, if it is one.
    pub control: Option<Control>,
    /// Trainable numbers in the model.
    pub parameters: u64,
    /// Examples used in each role.
    pub n_train: usize,
    /// See `n_train`.
    pub n_val: usize,
    /// See `n_train`.
    pub n_test: usize,
    /// Channels that the model sees.
    pub channels: Vec<String>,
    /// Optimiser steps done.
    pub steps: u64,
    /// Pass and step of the best checkpoint.
    pub best_epoch: usize,
    /// See `best_epoch`.
    pub best_step: u64,
    /// What chose it.
    pub select: Select,
    /// Validation loss of the best checkpoint.
    pub best_val_loss: Option<f64>,
    /// Validation balanced accuracy of the best checkpoint.
    pub best_val_balanced_accuracy: Option<f64>,
    /// Why training ended.
    pub ended: Ended,
    /// Where the network computed in the call that ended it.
    pub device: String,
    /// The learning curve.
    pub history: Vec<EpochRecord>,
    /// Wall-clock seconds of this call (not of earlier, resumed ones).
    pub seconds: f64,
    /// Seconds of them in which the training thread waited for a batch.
    pub wait_seconds: f64,
    /// What it hears with, where that is wav2vec 2.0 or HuBERT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sound: Option<SoundReport>,
    /// What a reader must know: data left out and why, data used in unusual ways.
    pub notes: Vec<String>,
}
