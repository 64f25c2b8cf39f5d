//! EDF+ through `edf-rs`.

use std::path::Path;

use super::NewRecording;
use crate::error::{Error, Result};

/// Writes an EDF+C file.
///
/// # Errors
/// [`Error::Write`] when a value does not fit EDF.
pub fn write(path: &Path, recording: &NewRecording<'_>) -> Result<()> {
    Err(Error::Write {
        path: path.to_path_buf(),
        field: recording.recording.into(),
        message: "the writer is still being written".into(),
    })
}
