//! The one error type of this crate.

/// What can go wrong in this crate.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A sampling rate that is zero, negative or not finite.
    #[error("{what} must be a positive number of Hz, found {found}")]
    Rate {
        /// Which rate.
        what: &'static str,
        /// The value given.
        found: f64,
    },
    /// A cut-off or notch frequency outside (0, sfreq / 2).
    #[error(
        "{what} must lie between 0 and {nyquist} Hz (half the sampling rate), found {found}; \
         use another recipe or leave this filter out"
    )]
    Frequency {
        /// Which frequency.
        what: &'static str,
        /// The value given.
        found: f64,
        /// Half the sampling rate.
        nyquist: f64,
    },
    /// A parameter outside its range.
    #[error("{what} must be {expected}, found {found}")]
    Parameter {
        /// Which parameter.
        what: &'static str,
        /// What is accepted.
        expected: &'static str,
        /// What was given.
        found: String,
    },
    /// A run too short for the padding of the zero-phase filter.
    #[error(
        "signal of {found} samples is too short to filter: the filter pads by {padlen} samples \
         at each end and needs more than that; drop this run or join it with its neighbours"
    )]
    TooShort {
        /// Samples given.
        found: usize,
        /// Samples of padding at each end; at least one more is needed.
        padlen: usize,
    },
    /// No acceptable ratio of whole numbers between two rates.
    #[error(
        "no ratio of whole numbers up to {limit} takes {from} Hz to {to} Hz within 1e-8; \
         check the sampling rate in the header"
    )]
    Ratio {
        /// Rate of the input.
        from: f64,
        /// Rate asked for.
        to: f64,
        /// Largest factor tried.
        limit: u64,
    },
    /// A NaN or an infinity in the input.
    #[error("channel {channel} holds a value that is not finite (first at sample {sample})")]
    NotFinite {
        /// Index among the channels given.
        channel: usize,
        /// First sample of that kind, counted from the start of the run.
        sample: usize,
    },
    /// Channels of one call that differ in length.
    #[error("channel {channel} has {found} samples where {expected} were expected")]
    Length {
        /// Index of the channel.
        channel: usize,
        /// Samples expected.
        expected: usize,
        /// Samples found.
        found: usize,
    },
    /// A recipe that cannot be read.
    #[error("recipe {name}: {message}")]
    Recipe {
        /// Name of the recipe, or `(unnamed)`.
        name: String,
        /// What is wrong and where.
        message: String,
    },
    /// A Fourier transform refused its data.
    #[error("fourier transform: {0}")]
    Transform(String),
}

/// `Result` with this crate's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;
