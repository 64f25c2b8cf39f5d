//! The crate's one error type.

use std::path::{Path, PathBuf};

/// What can go wrong while training or predicting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of [`crate::TrainConfig`] has a value that cannot be used.
    #[error("config field `{field}`: {message}")]
    Config {
        /// Name of the field.
        field: &'static str,
        /// What was expected, what was found, what to do.
        message: String,
    },
    /// The device cannot be used.
    #[error("device `{wanted}`: {message}; `--device cpu` computes on the CPU")]
    Device {
        /// What was asked for.
        wanted: crate::DeviceChoice,
        /// Why not.
        message: String,
    },
    /// The data do not fit the task: no labelled epochs, one class only, no common channel, …
    #[error("training data: {0}")]
    Data(String),
    /// The source could not deliver an example.
    #[error("epoch {epoch_id:016x}: {what} could not be read: {source}")]
    Source {
        /// The example that failed.
        epoch_id: u64,
        /// `eeg`, `scale` or `candidate K`.
        what: String,
        /// The source's own error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Loss, gradient or weights stopped being finite, or the loss exploded.
    #[error(
        "training diverged at step {step} ({reason}); epochs of that batch: {epochs}; lower `lr`, set `clip`, or look at these epochs",
        epochs = hex(epoch_ids)
    )]
    Diverged {
        /// Optimiser step, counted from 0.
        step: u64,
        /// What was not finite, or how far the loss had grown.
        reason: String,
        /// The examples of the batch.
        epoch_ids: Vec<u64>,
    },
    /// The caller's [`crate::Progress`] asked to stop; a checkpoint of this step was written.
    #[error("stopped at step {step} as asked; continue with the same command from {}", dir.display())]
    Stopped {
        /// Optimiser steps done.
        step: u64,
        /// The folder that holds the run.
        dir: PathBuf,
    },
    /// A checkpoint or another file of the run folder is damaged or belongs to another run.
    #[error("{}: {message}", path.display())]
    Checkpoint {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it and what to do.
        message: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A tensor operation failed.
    #[error("tensor operation failed: {0}")]
    Tensor(#[from] candle_core::Error),
    /// A model refused its configuration, input or weights.
    #[error(transparent)]
    Model(#[from] mmpipe_models::Error),
    /// A signal kernel refused its input.
    #[error("signal: {0}")]
    Signal(String),
}

/// Result with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Wrap a source's own error.
    pub fn source<E>(epoch_id: u64, what: impl Into<String>, source: E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::Source {
            epoch_id,
            what: what.into(),
            source: source.into(),
        }
    }

    pub(crate) fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }

    pub(crate) fn checkpoint(path: &Path, message: impl Into<String>) -> Self {
        Self::Checkpoint {
            path: path.to_path_buf(),
            message: message.into(),
        }
    }
}

/// At most 16 ids in hexadecimal, the rest counted.
fn hex(ids: &[u64]) -> String {
    let mut text: Vec<String> = ids.iter().take(16).map(|id| format!("{id:016x}")).collect();
    if ids.len() > 16 {
        text.push(format!("and {} more", ids.len() - 16));
    }
    text.join(", ")
}
