//! Everything besides weights and moments that a continued run needs.

use std::path::Path;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::config::TrainConfig;
use crate::control::Control;
use crate::data::Labels;
use crate::report::{Ended, EpochRecord};
use crate::source::{Fold, Source};
use crate::spec::Spec;
use crate::{Error, Result};

/// Version of the checkpoint folder.
pub(crate) const FORMAT: u32 = 1;

/// The best checkpoint so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Best {
    /// Pass, from 1.
    pub(crate) epoch: usize,
    pub(crate) step: u64,
    pub(crate) val_loss: Option<f64>,
    pub(crate) val_balanced_accuracy: Option<f64>,
}

/// Running sums of the pass in progress.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    /// Loss times rows.
    pub(crate) loss: f64,
    pub(crate) rows: u64,
    pub(crate) right: u64,
}

/// `state.json`. Random numbers have no state: all are functions of the seed and these counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) format: u32,
    /// Version of this crate that wrote it.
    pub(crate) code_version: String,
    pub(crate) fold: i32,
    pub(crate) control: Option<Control>,
    /// Identity of examples, roles and answers.
    pub(crate) fingerprint: String,
    pub(crate) config: TrainConfig,
    pub(crate) spec: Spec,
    /// Optimiser steps done.
    pub(crate) step: u64,
    /// Pass in progress, from 0.
    pub(crate) epoch: usize,
    /// Batches of that pass that are done.
    pub(crate) batch: usize,
    pub(crate) sums: Sums,
    pub(crate) best: Option<Best>,
    /// Passes since the best.
    pub(crate) bad: usize,
    pub(crate) history: Vec<EpochRecord>,
    pub(crate) ended: Option<Ended>,
}

impl State {
    /// The state before the first step.
    pub(crate) fn start(
        fold: i32,
        control: Option<Control>,
        fingerprint: String,
        cfg: &TrainConfig,
        spec: Spec,
    ) -> Self {
        Self {
            format: FORMAT,
            code_version: env!("CARGO_PKG_VERSION").into(),
            fold,
            control,
            fingerprint,
            config: cfg.clone(),
            spec,
            step: 0,
            epoch: 0,
            batch: 0,
            sums: Sums::default(),
            best: None,
            bad: 0,
            history: Vec::new(),
            ended: None,
        }
    }

    /// Refuse to continue this state, read from `path`, as the fit that would start as `fresh`.
    pub(crate) fn must_continue(&self, fresh: &Self, path: &Path) -> Result<()> {
        let why = if self.fingerprint != fresh.fingerprint
            || self.spec != fresh.spec
            || self.fold != fresh.fold
        {
            "it was trained on other examples, roles, labels or channels"
        } else if self.control != fresh.control {
            "it is another control"
        } else if what_matters(&self.config) != what_matters(&fresh.config) {
            "it was trained with another configuration"
        } else {
            return Ok(());
        };
        Err(Error::checkpoint(
            path,
            format!("cannot be continued: {why}; train in another folder"),
        ))
    }
}

/// The configuration without the fields that do not change the result.
fn what_matters(cfg: &TrainConfig) -> TrainConfig {
    let d = TrainConfig::default();
    TrainConfig {
        prefetch: d.prefetch,
        queue: d.queue,
        cache_mib: d.cache_mib,
        checkpoint_every: d.checkpoint_every,
        keep_last: d.keep_last,
        ..cfg.clone()
    }
}

/// Hash of the examples of a fold in order, with their answers.
pub(crate) fn fingerprint(source: &dyn Source, fold: &Fold, labels: &Labels) -> String {
    let mut hash = Xxh3::new();
    for (role, indices) in [(0u8, &fold.train), (1, &fold.val), (2, &fold.test)] {
        for &i in indices {
            hash.update(&[role]);
            hash.update(&source.meta(i).epoch_id.to_le_bytes());
            hash.update(&labels.class(source, i).to_le_bytes());
            hash.update(&(labels.attended(i) as u64).to_le_bytes());
        }
    }
    format!("{:016x}", hash.digest())
}
