//! Scores, their uncertainty, and the page that shows them.
//!
//! Owns: classification metrics with scikit-learn's meaning ([`metrics`]), means, intervals and
//! permutation tests ([`stats`]), the envelope decoder of auditory attention ([`attention`]), the types in which a run's result is stored ([`result`]) and
//! the offline HTML page made of them ([`report`]).
//!
//! Does not own: where predictions come from (the trainer), where they are kept (the lake), or
//! which epochs may be compared (the splits). It takes plain data and knows no Arrow and no SQL.

pub mod attention;
pub mod error;
pub mod metrics;
pub mod report;
pub mod result;
pub mod stats;

pub use error::{Error, Result};
