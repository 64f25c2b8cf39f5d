//! Writers: what the product itself makes (simulations, exports). EDF goes through `edf-rs`.

pub mod brainvision;
pub mod curry;
pub mod edf;
pub mod eeglab;
pub mod gdf;
pub mod wav;

use std::path::Path;

use crate::Annotation;
use crate::error::{Error, Result};

/// A recording to be written as EDF+ or BrainVision.
#[derive(Debug, Clone)]
pub struct NewRecording<'a> {
    /// Start of the recording.
    pub start: Start,
    /// Patient identification ("X" parts are filled in); use a code, never a name.
    pub patient: &'a str,
    /// Recording identification, free text.
    pub recording: &'a str,
    /// The signals.
    pub signals: Vec<NewSignal<'a>>,
    /// Annotations; onsets in seconds from the first sample.
    pub annotations: &'a [Annotation],
}

/// One signal to be written.
#[derive(Debug, Clone)]
pub struct NewSignal<'a> {
    /// Label.
    pub name: &'a str,
    /// Unit of `samples`, e.g. "uV" or "µV".
    pub unit: &'a str,
    /// Sampling frequency, Hz.
    pub sfreq: f64,
    /// Filters, e.g. "HP:0.1Hz LP:75Hz".
    pub prefilter: &'a str,
    /// Electrode type.
    pub transducer: &'a str,
    /// Range that the 16-bit formats map to their integers; `None` takes the largest
    /// absolute value of the samples, rounded up.
    pub physical_range: Option<(f64, f64)>,
    /// The samples, in `unit`.
    pub samples: &'a [f64],
}

/// Local time at which a recording starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Year, 1985 to 2084 (what EDF can hold).
    pub year: u16,
    /// Month 1 to 12.
    pub month: u8,
    /// Day 1 to 31.
    pub day: u8,
    /// Hour 0 to 23.
    pub hour: u8,
    /// Minute.
    pub minute: u8,
    /// Second.
    pub second: u8,
}

impl Default for Start {
    /// 2000-01-01 00:00:00, a date that says "none".
    fn default() -> Self {
        Start {
            year: 2000,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
        }
    }
}

/// The name of a file that must end in `.extension`, without that end.
fn stem<'a>(path: &'a Path, extension: &str) -> Result<&'a str> {
    let stem = path.file_stem().and_then(|s| s.to_str());
    let stem = stem.filter(|s| !s.is_empty() && path.extension().is_some_and(|e| e == extension));
    stem.ok_or_else(|| Error::Write {
        path: path.to_path_buf(),
        field: "file name".to_owned(),
        message: format!("expected a name in UTF-8 that ends in .{extension}"),
    })
}

/// The one rate and length of all signals, which have no line break in their texts.
fn one_rate(path: &Path, recording: &NewRecording<'_>) -> Result<(f64, usize)> {
    let refuse = |field: &str, message: String| Error::Write {
        path: path.to_path_buf(),
        field: field.to_owned(),
        message,
    };
    let first = recording.signals.first();
    let first = first.ok_or_else(|| refuse("signals", "expected 1 or more, found none".into()))?;
    let (sfreq, points) = (first.sfreq, first.samples.len());
    if !(sfreq.is_finite() && sfreq > 0.0) {
        return Err(refuse(
            "sfreq",
            format!("expected Hz above 0, found {sfreq}"),
        ));
    }
    for s in &recording.signals {
        if s.sfreq != sfreq || s.samples.len() != points {
            let message = format!(
                "expected one rate and length, {points} samples at {sfreq} Hz, found {} at {} Hz",
                s.samples.len(),
                s.sfreq
            );
            return Err(refuse(s.name, message));
        }
        if [s.name, s.unit].iter().any(|t| t.contains(['\n', '\r'])) {
            return Err(refuse(s.name, "line breaks are not allowed".into()));
        }
    }
    Ok((sfreq, points))
}

/// Samples to integers of -32767 to 32767 over a physical range.
fn quantise(path: &Path, signal: &NewSignal<'_>, range: (f64, f64)) -> Result<Vec<i16>> {
    let scale = 65_534.0 / (range.1 - range.0);
    let one = |(i, &x): (usize, &f64)| {
        let digital = ((x - range.0) * scale - 32_767.0).round();
        if digital.abs() <= 32_767.0 {
            Ok(digital as i16)
        } else {
            Err(Error::Write {
                path: path.to_path_buf(),
                field: format!("sample {i} of {:?}", signal.name),
                message: format!("expected {} to {}, found {x}", range.0, range.1),
            })
        }
    };
    signal.samples.iter().enumerate().map(one).collect()
}
