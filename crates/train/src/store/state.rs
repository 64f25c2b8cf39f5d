//! Everything besides weights and moments that a continued run needs.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::DeserializeOwned;
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
pub(crate) const FORMAT: u32 = 2;

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
    /// Loss times examples.
    pub(crate) loss: f64,
    /// Examples.
    pub(crate) rows: u64,
    /// Sum and weight of each named number.
    pub(crate) named: BTreeMap<String, (f64, f64)>,
}

/// Identity of what is trained: what a checkpoint must share with the run that goes on from it.
pub(crate) trait About: Clone + Serialize + DeserializeOwned {
    /// Whether `self`, as stored, may be continued as `fresh`; `Err` says why not.
    fn must_continue(&self, fresh: &Self) -> std::result::Result<(), &'static str>;
}

/// `state.json`. Random numbers have no state: all are functions of the seed and these counters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct State<A> {
    pub(crate) format: u32,
    /// Version of this crate that wrote it.
    pub(crate) code_version: String,
    /// What is trained.
    pub(crate) about: A,
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
    /// What a reader must know of how it began.
    pub(crate) notes: Vec<String>,
    /// What the objective keeps besides variables.
    pub(crate) kept: serde_json::Value,
}

impl<A: About> State<A> {
    /// The state before the first step.
    pub(crate) fn start(about: A) -> Self {
        Self {
            format: FORMAT,
            code_version: env!("CARGO_PKG_VERSION").into(),
            about,
            step: 0,
            epoch: 0,
            batch: 0,
            sums: Sums::default(),
            best: None,
            bad: 0,
            history: Vec::new(),
            ended: None,
            notes: Vec::new(),
            kept: serde_json::Value::Null,
        }
    }

    /// Refuse to continue this state, read from `path`, as the run that would start as `fresh`.
    pub(crate) fn must_continue(&self, fresh: &Self, path: &Path) -> Result<()> {
        self.about.must_continue(&fresh.about).map_err(|why| {
            let message = format!("cannot be continued: {why}; train in another folder");
            Error::checkpoint(path, message)
        })
    }
}

/// Identity of a fit of one fold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FitAbout {
    pub(crate) fold: i32,
    pub(crate) control: Option<Control>,
    /// Identity of examples, roles and answers.
    pub(crate) fingerprint: String,
    pub(crate) config: TrainConfig,
    pub(crate) spec: Spec,
}

/// State of a fit.
pub(crate) type FitState = State<FitAbout>;

impl About for FitAbout {
    fn must_continue(&self, fresh: &Self) -> std::result::Result<(), &'static str> {
        if self.fingerprint != fresh.fingerprint
            || self.spec != fresh.spec
            || self.fold != fresh.fold
        {
            Err("it was trained on other examples, roles, labels or channels")
        } else if self.control != fresh.control {
            Err("it is another control")
        } else if what_matters(&self.config) != what_matters(&fresh.config) {
            Err("it was trained with another configuration")
        } else {
            Ok(())
        }
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
        device: d.device,
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
