//! What every container is turned into: a header of plain values and a door to the samples.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use serde::Serialize;

use crate::error::{Error, Result};

/// A recording that is open for reading. Samples are read on demand, in blocks.
pub trait Recording: Send + Sync {
    /// Everything that is known without touching the samples.
    fn header(&self) -> &Header;

    /// The contiguous stretches of one channel, in time order. A file without gaps has one
    /// run (none when it has no samples). All channels have the same number of runs.
    fn runs(&self, channel: usize) -> Vec<Run>;

    /// Calibrated samples `[start, start + out[k].len())` of channel `channels[k]`, in that
    /// channel's declared unit ([`Channel::unit`]). `start` counts in each channel's own
    /// samples, so channels of different rates are best read by separate calls.
    ///
    /// # Errors
    /// [`Error::Range`] when a channel or a sample does not exist or `out` and `channels`
    /// differ in length.
    fn read_f64(&self, channels: &[usize], start: u64, out: &mut [&mut [f64]]) -> Result<()>;

    /// As [`Recording::read_f64`], rounded once to `f32`.
    ///
    /// # Errors
    /// As [`Recording::read_f64`].
    fn read_f32(&self, channels: &[usize], start: u64, out: &mut [&mut [f32]]) -> Result<()>;

    /// Gives the pages of a mapped file back to the system. What is read afterwards comes from
    /// the file again; who reads a long recording once, from front to back, calls this now and
    /// then so that the file does not count as the program's memory.
    fn release(&self) {}
}

/// The containers read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Container {
    /// European Data Format (Kemp 1992), 16-bit.
    Edf,
    /// EDF+, contiguous (Kemp & Olivan 2003).
    EdfPlusC,
    /// EDF+, discontinuous.
    EdfPlusD,
    /// BioSemi Data Format, 24-bit.
    Bdf,
    /// BDF+, contiguous.
    BdfPlusC,
    /// BDF+, discontinuous.
    BdfPlusD,
    /// General Data Format for biosignals, 1.x.
    Gdf1,
    /// General Data Format for biosignals, 2.x.
    Gdf2,
    /// Brain Vision Data Exchange (.vhdr, .vmrk, .eeg).
    BrainVision,
    /// Curry 7 and before (.dat, .dap, .rs3, .ceo).
    Curry7,
    /// Curry 8 and later (.cdt, .dpa, .ceo).
    Curry8,
    /// EEGLAB (.set, .fdt).
    Eeglab,
    /// MATLAB v5 to v7.
    Mat5,
    /// MATLAB v7.3.
    Mat73,
    /// HDF5 of other makers.
    Hdf5,
    /// One NumPy array.
    Npy,
    /// A zip archive of NumPy arrays.
    Npz,
    /// A table of numbers as text.
    Csv,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Container::Edf => "EDF",
            Container::EdfPlusC => "EDF+C",
            Container::EdfPlusD => "EDF+D",
            Container::Bdf => "BDF",
            Container::BdfPlusC => "BDF+C",
            Container::BdfPlusD => "BDF+D",
            Container::Gdf1 => "GDF 1",
            Container::Gdf2 => "GDF 2",
            Container::BrainVision => "BrainVision",
            Container::Curry7 => "Curry 7",
            Container::Curry8 => "Curry 8",
            Container::Eeglab => "EEGLAB",
            Container::Mat5 => "MATLAB v5",
            Container::Mat73 => "MATLAB v7.3",
            Container::Hdf5 => "HDF5",
            Container::Npy => "NumPy .npy",
            Container::Npz => "NumPy .npz",
            Container::Csv => "CSV",
        })
    }
}

/// What is known of a recording without touching its samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Header {
    /// The container.
    pub container: Container,
    /// The path that was opened (for BrainVision always the .vhdr).
    pub path: PathBuf,
    /// Bytes of all files of the recording together.
    pub bytes: u64,
    /// Every file that is read: one, or .vhdr, .eeg and .vmrk.
    pub files: Vec<PathBuf>,
    /// Start of the recording as ISO 8601 local time without a zone, when the file has one.
    pub start: Option<String>,
    /// Patient field, trimmed.
    pub patient: Option<String>,
    /// Recording field, trimmed.
    pub recording: Option<String>,
    /// The signals, in file order, annotation signals left out.
    pub channels: Vec<Channel>,
    /// Annotations or markers, in time order (stable: file order among equals).
    pub annotations: Vec<Annotation>,
    /// Length of the recorded data in seconds; of gaps only those that are stored (GDF).
    pub seconds: f64,
    /// Everything noteworthy about the file, worst first.
    pub diagnostics: Vec<Diagnostic>,
}

impl Header {
    /// True when a diagnostic says that the data cannot be trusted as whole.
    pub fn damaged(&self) -> bool {
        self.diagnostics
            .iter()
            .any(|d| d.severity == Severity::Damaged)
    }
}

/// One signal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Channel {
    /// Label as in the file, trimmed. Duplicates are kept (with a diagnostic).
    pub name: String,
    /// Physical unit: "nV", "µV" (U+00B5), "mV" or "V" however the file spells it, else as
    /// in the file, trimmed.
    pub unit: String,
    /// Sampling frequency, Hz.
    pub sfreq: f64,
    /// Samples in the file. Gaps are not counted, but for those that the file stores as
    /// missing samples (GDF).
    pub n_samples: u64,
    /// Physical value of [`Channel::digital_min`], in `unit`.
    pub physical_min: Option<f64>,
    /// Physical value of [`Channel::digital_max`], in `unit`.
    pub physical_max: Option<f64>,
    /// Smallest digital value declared.
    pub digital_min: Option<f64>,
    /// Largest digital value declared.
    pub digital_max: Option<f64>,
    /// Filters as the file describes them.
    pub prefilter: Option<String>,
    /// Transducer or electrode type; for BrainVision the reference channel.
    pub transducer: Option<String>,
}

impl Channel {
    /// Factor from [`Channel::unit`] to microvolts; `None` when the unit is not a voltage.
    pub fn microvolts(&self) -> Option<f64> {
        crate::units::microvolts(&self.unit)
    }
}

/// A contiguous stretch of samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Run {
    /// Time of the first sample, seconds from the start of the recording.
    pub onset: f64,
    /// Samples of the run, counted in the channel's own samples.
    pub samples: Range<u64>,
}

/// One annotation or marker.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Annotation {
    /// Seconds from the first sample of the recording.
    pub onset: f64,
    /// Seconds; `None` where the file gives none.
    pub duration: Option<f64>,
    /// The text. BrainVision: "type/description" as MNE joins them.
    pub text: String,
    /// The channel it concerns; `None` for all.
    pub channel: Option<String>,
}

/// How much a [`Diagnostic`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; nothing is lost.
    Note,
    /// Something was left out or repaired.
    Warning,
    /// The data cannot be trusted as whole.
    Damaged,
}

/// One thing that is noteworthy about a file.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diagnostic {
    /// Stable kebab-case name, e.g. "record-count-unknown", "truncated", "duplicate-label".
    pub code: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Expected, found, what was done about it.
    pub message: String,
}

impl Diagnostic {
    pub(crate) fn new(code: &'static str, severity: Severity, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity,
            message: message.into(),
        }
    }
}

/// Checks a read request against a header before any sample is touched.
pub(crate) fn check_request(
    header: &Header,
    channels: &[usize],
    start: u64,
    lengths: impl ExactSizeIterator<Item = usize>,
) -> Result<()> {
    if channels.len() != lengths.len() {
        return Err(Error::range(
            &header.path,
            format!(
                "{} channels asked, {} buffers given",
                channels.len(),
                lengths.len()
            ),
        ));
    }
    for (&channel, length) in channels.iter().zip(lengths) {
        let Some(info) = header.channels.get(channel) else {
            return Err(Error::range(
                &header.path,
                format!(
                    "channel {channel} asked, the file has {}",
                    header.channels.len()
                ),
            ));
        };
        let stop = start.checked_add(length as u64);
        if stop.is_none_or(|stop| stop > info.n_samples) {
            return Err(Error::range(
                &header.path,
                format!(
                    "samples {start}..{} of channel {:?} asked, it has {}",
                    start.saturating_add(length as u64),
                    info.name,
                    info.n_samples
                ),
            ));
        }
    }
    Ok(())
}

/// Says which labels occur more than once.
pub(crate) fn push_duplicates(channels: &[Channel], diagnostics: &mut Vec<Diagnostic>) {
    let mut names: Vec<&str> = channels.iter().map(|c| c.name.as_str()).collect();
    names.sort_unstable();
    let mut doubled: Vec<&str> = names
        .windows(2)
        .filter(|w| w[0] == w[1])
        .map(|w| w[0])
        .collect();
    doubled.dedup();
    if !doubled.is_empty() {
        diagnostics.push(Diagnostic::new(
            "duplicate-label",
            Severity::Warning,
            format!(
                "labels that occur more than once: {}; kept as they are",
                doubled.join(", ")
            ),
        ));
    }
}
