//! `bandpower-lr`: log band powers and L2 logistic regression, the classical baseline.
//!
//! Stored epochs are z-scored, so their absolute power is gone. The scale that the source keeps
//! ([`crate::Source::read_scale`]) undoes the z-score, and the features are the natural logarithm
//! of the power in µV² of each channel and band (Welch, Hann window of 2 s or the epoch).

mod features;
mod logistic;
mod model;

pub(crate) use features::BandPowers;
pub(crate) use model::{ask, fit};
