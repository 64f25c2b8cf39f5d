//! The classical baselines.
//!
//! `bandpower-lr`: log band powers and L2 logistic regression. Stored epochs are z-scored, so their
//! absolute power is gone. The scale that the source keeps ([`crate::Source::read_scale`]) undoes
//! the z-score, and the features are the natural logarithm of the power in µV² of each channel and
//! band (Welch, Hann window of 2 s or the epoch).
//!
//! `ridge`: the envelope decoder of auditory attention of `mmpipe-eval`, on stretches of epochs that
//! follow each other ([`Stretches`]).

mod features;
mod logistic;
mod model;
mod ridge;
mod stretches;

pub(crate) use features::BandPowers;
pub(crate) use model::{ask, fit};
pub(crate) use ridge::{ask as ask_ridge, fit as fit_ridge, size as ridge_size};
pub(crate) use stretches::Stretches;
