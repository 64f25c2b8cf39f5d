//! Training of mmpipe's models: loader, optimiser, schedule, checkpoints, controls, predictions.
//!
//! This crate owns how a model is fitted and asked. It does not know the lake: examples come
//! through the [`Source`] trait. It does not own the models (`mmpipe-models`), the kernels that
//! make features (`mmpipe-signal`) or the metrics (`mmpipe-eval`).
//!
//! The same source, fold, configuration and seed give the same bytes of weights on the CPU,
//! whatever the number of prefetch threads, the cache, or how often the run was stopped and
//! continued.

mod align;
mod ask;
mod baseline;
mod config;
mod control;
mod data;
mod device;
mod error;
mod fit;
mod init;
mod log;
mod loss;
mod mindmix;
mod optim;
mod pretrain;
mod progress;
mod report;
mod run;
mod sound;
mod source;
mod spec;
mod stage;
mod store;
mod trainer;

pub use align::{AlignConfig, AlignReport, align, align_encoder};
pub use config::{
    Audio, AudioTrain, ClassWeights, ModelKind, Select, Size, Standardise, Task, TrainConfig,
};
pub use control::Control;
pub use device::{DeviceChoice, Place};
pub use error::{Error, Result};
pub use fit::{fit, predict};
pub use init::init_file;
pub use mindmix::{CalraConfig, Switch};
pub use mmpipe_eval::result::Prediction;
pub use mmpipe_models::Precision;
pub use mmpipe_models::align::{FusionKind, Pairs};
pub use optim::{AdamW, LrScale};
pub use pretrain::{
    PhaseReport, PretrainConfig, PretrainObjective, PretrainReport, hold_out, pretrain,
    pretrain_memory,
};
pub use progress::{Progress, Silent};
pub use report::{Ended, EpochRecord, FitReport};
pub use run::{RunReport, fold_dir, frozen_encoders, run};
pub use sound::{SoundEncoder, SoundReport};
pub use source::{AuditoryType, Fold, MemorySource, Meta, Source};
pub use stage::{MemoryEstimate, StepConfig};
