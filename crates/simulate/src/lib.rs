//! mmpipe simulate.

mod bids;
mod config;
mod edf;
mod eeg;
mod error;
mod files;
mod montage;
mod noise;
mod plan;
mod random;
mod speech;
mod state;
mod trf;
mod truth;
mod two_talker;
mod wav;

pub use config::TwoTalker;
pub use error::{Error, Result};
pub use plan::Side;
pub use speech::Voice;
pub use state::State;
pub use trf::Trf;
pub use truth::{SubjectTruth, TrialTruth, Truth};
pub use two_talker::write_bids;
