//! Signal processing for mmpipe: the arithmetic between raw samples and stored epochs.
//!
//! What this crate owns: zero-phase IIR filters ([`iir`]), polyphase resampling ([`resample`]),
//! epoching and z-scores ([`epochs`]), spectra, band powers and phase randomisation
//! ([`spectrum`]), sound to 16 kHz mono and speech envelopes ([`audio`]), the named
//! preprocessing recipes ([`recipe`]) and the pass that applies one to a run of channels
//! ([`pipeline`]), also piece by piece where a run does not fit in memory ([`stream`]).
//!
//! What it does not own: files, tables, threads. Nothing here reads or writes anything, and
//! nothing starts a thread; callers spread groups of channels over their own.
//!
//! The EEG path is f64 throughout and follows SciPy's definitions (`butter`, `iirnotch`,
//! `sosfiltfilt`, `resample_poly`); the tests hold it against vectors made by SciPy. Channels
//! are processed side by side in vector lanes. The arithmetic of a lane does not depend on its
//! neighbours, the number of channels, or the instruction set: results are the same bits on
//! every CPU path (fused multiply-adds only where written, one fixed order of operations).
#![forbid(unsafe_code)]

pub mod audio;
pub mod epochs;
mod error;
pub mod iir;
mod lanes;
pub mod pipeline;
pub mod recipe;
pub mod resample;
pub mod spectrum;
pub mod stream;

pub use error::{Error, Result};
