//! What pre-training hands back.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::config::PretrainObjective;
use crate::report::{Ended, EpochRecord};
use crate::store::{State, write_file};
use crate::{Error, Result};

/// What came out of one phase.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PhaseReport {
    /// `joint`, `tokeniser` or `masked`; stage 2: `align`.
    pub phase: String,
    /// Trainable numbers of its network.
    pub parameters: u64,
    /// Optimiser steps done.
    pub steps: u64,
    /// Pass and step of the best checkpoint, by validation loss.
    pub best_epoch: usize,
    /// See `best_epoch`.
    pub best_step: u64,
    /// Validation loss of the best checkpoint.
    pub best_val_loss: Option<f64>,
    /// Why it ended.
    pub ended: Ended,
    /// Where the network computed in the call that ended it.
    pub device: String,
    /// The learning curve; [`EpochRecord::named`] holds the parts of the loss, `codes_used`,
    /// `perplexity`, `dead_codes` and `revived_codes` of each pass, and `val_…` of validation.
    pub history: Vec<EpochRecord>,
    /// Wall-clock seconds of the call that ended it.
    pub seconds: f64,
    /// What a reader must know.
    pub notes: Vec<String>,
}

impl PhaseReport {
    pub(crate) fn of<A>(
        phase: &str,
        device: &str,
        state: State<A>,
        parameters: u64,
        seconds: f64,
    ) -> Self {
        let best = state.best.as_ref();
        Self {
            phase: phase.to_owned(),
            parameters,
            steps: state.step,
            best_epoch: best.map_or(0, |b| b.epoch),
            best_step: best.map_or(0, |b| b.step),
            best_val_loss: best.and_then(|b| b.val_loss),
            ended: state.ended.unwrap_or(Ended::Epochs),
            device: device.to_owned(),
            history: state.history,
            seconds,
            notes: state.notes,
        }
    }

    /// Stores the report of a phase that was worked on; gives the stored one of a phase that was
    /// done before.
    pub(crate) fn write_or_read(self, dir: &Path, worked: bool) -> Result<Self> {
        write_or_read(self, &dir.join("phase.json"), worked)
    }
}

/// What came out of stage 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PretrainReport {
    /// The objective.
    pub objective: PretrainObjective,
    /// What the names of the encoder's variables begin with.
    pub encoder_prefix: String,
    /// Trainable numbers of the network that is kept.
    pub parameters: u64,
    /// Trainable numbers of its encoder.
    pub encoder_parameters: u64,
    /// Training examples.
    pub n_train: usize,
    /// Validation examples.
    pub n_val: usize,
    /// In order.
    pub phases: Vec<PhaseReport>,
    /// Wall-clock seconds of the call that ended it.
    pub seconds: f64,
    /// Seconds of them in which the training thread waited for a batch.
    pub wait_seconds: f64,
    /// What a reader must know: data left out and why.
    pub notes: Vec<String>,
}

impl PretrainReport {
    /// Stores the report, or gives the one that is stored where no phase had work to do.
    pub(super) fn write(self, dir: &Path) -> Result<Self> {
        let path = dir.join("pretrain.json");
        let old: Option<Self> = read(&path);
        let same = old.is_some_and(|old| old.phases == self.phases);
        write_or_read(self, &path, !same)
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn write_or_read<T: Serialize + DeserializeOwned>(new: T, path: &Path, worked: bool) -> Result<T> {
    if !worked && let Some(old) = read(path) {
        return Ok(old);
    }
    let json = serde_json::to_vec_pretty(&new)
        .map_err(|e| Error::checkpoint(path, format!("the report cannot be stored: {e}")))?;
    write_file(path, &json)?;
    Ok(new)
}
