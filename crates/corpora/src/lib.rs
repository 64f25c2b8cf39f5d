//! What the files of a data set mean.
//!
//! A data set is data, not code: a *manifest* (TOML and SQL, in `data-manifests/`)
//! says which files a raw folder holds, how their channels are named, where trials
//! start and stop, and what a subject heard. This crate reads manifests
//! ([`manifest`], [`registry`]), turns raw electrode labels into 10-05 names
//! ([`electrodes`]), and *scans* a raw folder into the raw metadata tables over
//! which a manifest's SQL runs ([`scan()`], [`scan_bids`]).
//!
//! Not here: decoding of samples (`formats`), running the SQL, cutting and writing
//! (`lake`). A scan opens headers only.
#![warn(missing_docs)]

pub mod electrodes;
mod error;
pub mod manifest;
pub mod registry;
mod scan;
mod sound;
mod stimulus;

pub use error::{Error, Result};
pub use manifest::Manifest;
pub use scan::{
    Coming, Filter, Part, Raw, Scan, SoundPart, open_part, scan, scan_bids, scan_raw, scan_raw_told,
};
pub use sound::{Sound, open_sound};
pub use stimulus::StimulusRef;
