//! Brain Vision Data Exchange: .vhdr, .eeg, .vmrk, multiplexed.

use std::path::Path;

use super::NewRecording;
use crate::error::{Error, Result};

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// INT_16 with one resolution a channel.
    Int16,
    /// IEEE_FLOAT_32, resolution 1.
    Float32,
}

/// Writes `path` (must end in .vhdr) and the .eeg and .vmrk beside it.
///
/// # Errors
/// [`Error::Write`] when rates or lengths differ between signals.
pub fn write(path: &Path, recording: &NewRecording<'_>, sample: Sample) -> Result<()> {
    Err(Error::Write {
        path: path.to_path_buf(),
        field: recording.recording.into(),
        message: format!("the writer of {sample:?} is still being written"),
    })
}
