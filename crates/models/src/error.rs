//! The one error type of the crate.

use std::fmt::Debug;

/// What can go wrong while a network is built, loaded or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tensor library refused an operation.
    #[error("tensor operation failed: {0}")]
    Candle(#[from] candle_core::Error),
    /// A configuration value that no network can be built from.
    #[error("model configuration: {field} is {found}, expected {expected}")]
    Config {
        /// Name of the field.
        field: &'static str,
        /// What was found.
        found: String,
        /// What is allowed.
        expected: String,
    },
    /// An input whose shape does not fit the network.
    #[error("{what} has shape {found:?}, expected {expected}")]
    Shape {
        /// Which input.
        what: &'static str,
        /// Shape found.
        found: Vec<usize>,
        /// Shape wanted, in words.
        expected: String,
    },
    /// The network needs an input that the batch does not carry.
    #[error("model {model} needs {what}, and the batch has none")]
    MissingInput {
        /// Name of the network.
        model: &'static str,
        /// The missing input.
        what: &'static str,
    },
    /// Two variables were given the same name.
    #[error("parameter {name} is defined twice")]
    DuplicateParameter {
        /// The name.
        name: String,
    },
    /// Stored weights lack a tensor that the network has.
    #[error(
        "weights lack tensor {name} (shape {shape:?}); use weights of the same model and configuration"
    )]
    MissingTensor {
        /// The name.
        name: String,
        /// Shape the network has.
        shape: Vec<usize>,
    },
    /// Stored weights hold a tensor that the network does not know.
    #[error(
        "weights hold tensor {name}, which this model does not have; use weights of the same model and configuration"
    )]
    UnexpectedTensor {
        /// The name.
        name: String,
    },
    /// A stored tensor has another shape than the network's.
    #[error("weights tensor {name} has shape {found:?}, this model has {expected:?}")]
    TensorShape {
        /// The name.
        name: String,
        /// Shape the network has.
        expected: Vec<usize>,
        /// Shape found.
        found: Vec<usize>,
    },
    /// Bytes that are not a safetensors file.
    #[error("weights are not valid safetensors: {0}")]
    Safetensors(#[from] safetensors::SafeTensorError),
    /// A checkpoint of others that cannot be read.
    #[error("checkpoint, {place}: {reason}")]
    Checkpoint {
        /// Entry, tensor or offset.
        place: String,
        /// What was found and expected.
        reason: String,
    },
    /// A file that cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: std::path::PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
    /// An electrode without a row in the embedding table.
    #[error(
        "electrode {name} has no row in the spatial embedding table; and no 10-05 place to borrow one by; rename it to a 10-05 name, drop it, or turn spatial_embedding off"
    )]
    UnknownElectrode {
        /// The name as given.
        name: String,
    },
}

/// Result with the crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A [`Error::Config`] from anything printable.
    pub(crate) fn config(
        field: &'static str,
        found: impl Debug,
        expected: impl Into<String>,
    ) -> Self {
        Error::Config {
            field,
            found: format!("{found:?}"),
            expected: expected.into(),
        }
    }
}
