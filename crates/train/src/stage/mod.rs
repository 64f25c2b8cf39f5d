//! One loop for every stage that is trained step by step.
//!
//! Owns: [`Objective`], what a stage gives to be trained; [`train`], the loop that does all the rest
//! (seeded order, batches loaded ahead, gradients of parts added up, clipping, AdamW, warm-up and
//! cosine, average of the weights, best checkpoint by validation, exact resume, stop on a loss that
//! is no number or explodes, logs); [`StepConfig`], its settings. Does not own what is learnt: that
//! is the objective's. Supervised fits ([`crate::trainer`]) and stage 1 ([`crate::pretrain`]) are
//! objectives of this loop.

mod config;
pub(crate) mod memory;
mod objective;
mod parts;
mod steps;
#[cfg(test)]
mod trouble;

pub use config::StepConfig;
pub(crate) use config::{at_least_one, in_range};
pub use memory::MemoryEstimate;
pub(crate) use objective::{Draws, Loss, Named, Objective, Validation};
pub(crate) use parts::{Part, parts, slices};
pub(crate) use steps::{Outcome, Stage, load_weights, seconds, train};
