//! Stage 1: the EEG encoder learns from unlabelled EEG.
//!
//! Owns: the codebook, Fourier targets, LaBraM's neural tokeniser, masked-code prediction, and the
//! paper's joint objective, each with its losses. Does not own: data, the optimiser, schedules.
//!
//! Two ways, by configuration. LaBraM's (Jiang et al. 2024, arXiv:2405.18765): a [`Tokeniser`] is
//! trained first and frozen, then [`Masked`] predicts its codes. The paper's: [`Joint`] does all of
//! it in one step. Where the paper is silent (codebook size and update, mask ratio, weights) LaBraM's
//! choices are the defaults.

mod codebook;
pub mod fourier;
mod joint;
mod masked;
mod reconstruct;
mod tokeniser;

pub use self::codebook::{Codebook, CodebookConfig, Quantised, Usage};
pub use self::joint::{Joint, JointConfig, JointLoss};
pub use self::masked::{Masked, MaskedConfig, MaskedLoss, cross_entropy, random_mask};
pub use self::reconstruct::{PhaseTarget, Reconstruction, ReconstructionLoss, SpectralLoss};
pub use self::tokeniser::{Tokeniser, TokeniserConfig, TokeniserLoss};
