//! Settings of the loop, the same for every stage.

use mmpipe_models::{Compute, Precision};
use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::optim::LrScale;
use crate::{DeviceChoice, Error, Result};

/// How a network is stepped: batches, rates, checkpoints. Every field has a default; unknown fields
/// are refused. Meanings are those of the fields of the same names in [`TrainConfig`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StepConfig {
    /// Most passes over the training examples.
    pub epochs: usize,
    /// Examples a batch.
    pub batch: usize,
    /// Rows in one pass through the network; 0 = the whole batch.
    pub micro_batch: usize,
    /// Peak learning rate.
    pub lr: f64,
    /// Learning rate at the end of the cosine, as a share of `lr`.
    pub final_lr: f64,
    /// Passes over which the learning rate rises from 0; may be a fraction.
    pub warmup: f64,
    /// Decoupled weight decay (AdamW); tensors with one axis or none are not decayed.
    pub weight_decay: f64,
    /// AdamW's first decay rate.
    pub beta1: f64,
    /// AdamW's second decay rate.
    pub beta2: f64,
    /// AdamW's epsilon.
    pub eps: f64,
    /// Largest global gradient norm; 0 = no clipping.
    pub clip: f64,
    /// Share of the learning rate that a layer gets of the layer above it; 1 = all the same.
    pub layer_decay: f64,
    /// Shares of the learning rate by part of a MindMix network.
    pub lr_scale: LrScale,
    /// Decay of the moving average of the weights that is validated and kept in place of the
    /// weights; 0 = no average.
    pub ema: f64,
    /// Passes without a better checkpoint after which training stops; 0 = never.
    pub patience: usize,
    /// A loss above this many times the loss of a guess that knows nothing counts as exploded.
    pub explode: f64,
    /// Seed of initial weights, order, masks and dropout.
    pub seed: u64,
    /// Where the network computes: `auto` (a GPU where there is one and the program was built for it),
    /// `cpu`, `cuda`, `cuda:N` or `metal`. Checkpoints go on anywhere; bits are the same on the CPU.
    pub device: DeviceChoice,
    /// Matrix products of the training steps: `f32`, or `bf16` summed in f32. Weights, norms, softmax,
    /// losses and the optimiser are f32, and so is all validation.
    pub precision: Precision,
    /// Threads that prepare batches ahead; 0 = prepare in the training thread. The result does not
    /// depend on it.
    pub prefetch: usize,
    /// Batches that a prefetch thread may be ahead.
    pub queue: usize,
    /// Memory that prepared examples may take, MiB; 0 = no cache. The result does not depend on it.
    pub cache_mib: usize,
    /// Steps between checkpoints; 0 = only at the end of each pass.
    pub checkpoint_every: u64,
    /// Checkpoints that are kept besides the best.
    pub keep_last: usize,
}

impl Default for StepConfig {
    fn default() -> Self {
        TrainConfig::default().steps()
    }
}

impl StepConfig {
    /// The paper's settings of stages 1 and 2 (models without labels): AdamW with β (0.9, 0.95) and
    /// decay 0.05, rate 1e-4, ten passes of warm-up, no early stop.
    pub fn self_supervised() -> Self {
        Self {
            lr: 1e-4,
            weight_decay: 0.05,
            beta2: 0.95,
            warmup: 10.0,
            patience: 0,
            ..Self::default()
        }
    }

    /// The settings without those that do not change the result.
    pub(crate) fn what_matters(&self) -> Self {
        let d = Self::default();
        Self {
            prefetch: d.prefetch,
            queue: d.queue,
            cache_mib: d.cache_mib,
            checkpoint_every: d.checkpoint_every,
            device: d.device,
            keep_last: d.keep_last,
            ..self.clone()
        }
    }

    /// How the training steps compute.
    pub(crate) fn compute(&self) -> Compute {
        Compute {
            precision: self.precision,
            ..Compute::now()
        }
    }

    /// Refuse values that cannot work.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first field that is wrong.
    pub fn check(&self) -> Result<()> {
        self.lr_scale.check()?;
        at_least_one(&[
            ("epochs", self.epochs),
            ("batch", self.batch),
            ("queue", self.queue),
            ("keep_last", self.keep_last),
        ])?;
        in_range(&[
            ("lr", self.lr, 1e-12, 1e3),
            ("final_lr", self.final_lr, 0.0, 1.0),
            ("warmup", self.warmup, 0.0, 1e6),
            ("weight_decay", self.weight_decay, 0.0, 1e3),
            ("beta1", self.beta1, 0.0, 0.999_999),
            ("beta2", self.beta2, 0.0, 0.999_999_9),
            ("eps", self.eps, 1e-30, 1.0),
            ("clip", self.clip, 0.0, 1e9),
            ("layer_decay", self.layer_decay, 0.01, 1.0),
            ("ema", self.ema, 0.0, 0.999_999),
            ("explode", self.explode, 1.0, 1e30),
        ])
    }
}

/// Refuses counts of 0.
pub(crate) fn at_least_one(values: &[(&'static str, usize)]) -> Result<()> {
    match values.iter().find(|(_, value)| *value == 0) {
        None => Ok(()),
        Some((field, _)) => Err(Error::Config {
            field,
            message: "expected at least 1, found 0".into(),
        }),
    }
}

/// Refuses numbers outside [low, high], and what is no number.
pub(crate) fn in_range(values: &[(&'static str, f64, f64, f64)]) -> Result<()> {
    let wrong = |(_, value, low, high): &&(_, f64, f64, f64)| !(*low..=*high).contains(value);
    match values.iter().find(wrong) {
        None => Ok(()),
        Some((field, value, low, high)) => Err(Error::Config {
            field,
            message: format!("expected a number from {low} to {high}, found {value}"),
        }),
    }
}
