//! Networks for EEG and sound, their differentiable operations and their variables.
//!
//! Owns: the architectures (EEGNet, AADNet, the MindMix EEG encoder with a classification head,
//! stage 1 with its codebook, sound encoders, stage 2 with its fusion modules and scorings), the
//! losses that belong to a stage, the operations they are made of, named parameters with seeded
//! initial values, their exchange as safetensors bytes, and the reading of published weights. Does
//! not own: data loading, optimisers, runs and their checkpoints, or metrics.
//!
//! The trainer sees networks through [`Model`] alone. Random masks are pure functions of (seed,
//! step, layer), results do not depend on the number of threads.

pub mod aadnet;
pub mod align;
pub mod audio;
mod compute;
pub mod eegnet;
pub mod encoder;
mod error;
mod kernels;
pub mod layers;
mod model;
pub mod ops;
mod params;
pub mod pretrain;
pub mod rng;
#[cfg(test)]
mod slopes;
pub mod weights;

pub use compute::{Compute, Precision};
pub use error::{Error, Result};
pub use model::{Batch, Mode, Model, Needs};
pub use params::{Init, Kind, Param, Params};
