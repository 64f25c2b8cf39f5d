//! EEGLAB data sets: .set (MATLAB v5, a struct `EEG`) with the samples inside or in a .fdt.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use mmpipe_trees::write::{Value, write_mat5};

use super::NewRecording;
use crate::error::{Error, Result};
use crate::units;

/// Where the samples go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Into the .set itself.
    Inside,
    /// Into a .fdt of the same name.
    Beside,
}

/// Writes `path` (which must end in .set): one continuous data set, 32-bit floats in µV.
/// Annotations become events; one called "boundary" says that data were cut out before its
/// onset.
///
/// # Errors
/// [`Error::Write`] when rates or lengths differ between signals, the rate is no number above
/// 0, or a unit is no voltage; [`Error::Tree`] and [`Error::Io`] when a file cannot be written.
pub fn write(path: &Path, recording: &NewRecording<'_>, place: Place) -> Result<()> {
    let refuse = |field: &str, message: String| Error::Write {
        path: path.to_path_buf(),
        field: field.to_owned(),
        message,
    };
    let stem = super::stem(path, "set")?;
    let (sfreq, points) = super::one_rate(path, recording)?;
    let mut factors = Vec::new();
    for s in &recording.signals {
        let factor = units::microvolts(&units::normalise(s.unit));
        factors.push(factor.ok_or_else(|| {
            refuse(
                s.name,
                format!("expected a voltage, found the unit {:?}", s.unit),
            )
        })?);
    }
    let n = recording.signals.len();
    let mut samples = Vec::with_capacity(n * points);
    for t in 0..points {
        for (s, factor) in recording.signals.iter().zip(&factors) {
            samples.push((s.samples.get(t).copied().unwrap_or(f64::NAN) * factor) as f32);
        }
    }
    let fdt = path.with_extension("fdt");
    let data = match place {
        Place::Inside => Value::array(&[n as u64, points as u64], samples),
        Place::Beside => {
            let io = |e| Error::io(&fdt, "write", e);
            let mut out = BufWriter::new(File::create(&fdt).map_err(io)?);
            for x in samples {
                out.write_all(&x.to_le_bytes()).map_err(io)?;
            }
            out.flush().map_err(io)?;
            Value::text(format!("{stem}.fdt"))
        }
    };
    let datfile = match place {
        Place::Inside => Value::text(""),
        Place::Beside => Value::text(format!("{stem}.fdt")),
    };
    let channel = |s: &super::NewSignal<'_>| {
        vec![
            ("labels", Value::text(s.name)),
            ("type", Value::text(s.transducer)),
        ]
    };
    let event = |a: &crate::Annotation| {
        vec![
            ("type", Value::text(a.text.as_str())),
            ("latency", Value::scalar(a.onset * sfreq + 1.0)),
            ("duration", Value::scalar(a.duration.unwrap_or(0.0) * sfreq)),
        ]
    };
    let eeg = Value::record([
        ("setname", Value::text(stem)),
        ("nbchan", Value::scalar(n as f64)),
        ("trials", Value::scalar(1.0)),
        ("pnts", Value::scalar(points as f64)),
        ("srate", Value::scalar(sfreq)),
        ("xmin", Value::scalar(0.0)),
        (
            "xmax",
            Value::scalar(points.saturating_sub(1) as f64 / sfreq),
        ),
        ("data", data),
        ("datfile", datfile),
        (
            "chanlocs",
            Value::records(recording.signals.iter().map(channel)),
        ),
        (
            "event",
            Value::records(recording.annotations.iter().map(event)),
        ),
    ]);
    write_mat5(path, &[("EEG", eeg)], true).map_err(|source| Error::Tree { source })
}
