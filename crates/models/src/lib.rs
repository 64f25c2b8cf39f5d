//! Networks for EEG and sound, their differentiable operations and their variables.
//!
//! Owns: the architectures (EEGNet, the MindMix EEG encoder with a classification head, AADNet),
//! the operations they are made of, named parameters with seeded initial values, and their
//! exchange as safetensors bytes. Does not own: data loading, losses, optimisers, checkpoints on
//! disk, or metrics.
//!
//! The trainer sees networks through [`Model`] alone. Random masks are pure functions of (seed,
//! step, layer), results do not depend on the number of threads.

pub mod aadnet;
pub mod align;
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

pub use error::{Error, Result};
pub use model::{Batch, Mode, Model, Needs};
pub use params::{Init, Kind, Param, Params};
