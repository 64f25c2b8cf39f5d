//! Brain Vision Data Exchange, version 1.0: .vhdr, .eeg and .vmrk, multiplexed, little-endian.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::{NewRecording, quantise};
use crate::error::{Error, Result};
use crate::units;

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sample {
    /// INT_16 with one resolution a channel: a 32767th of the signal's physical range, or of
    /// its largest absolute sample.
    Int16,
    /// IEEE_FLOAT_32, resolution 1.
    Float32,
}

/// Writes `path` (which must end in .vhdr) and the .eeg and .vmrk of the same name beside it.
/// An annotation "Type/Description" becomes a marker of that type, another one a "Comment".
///
/// # Errors
/// [`Error::Write`] when rates or lengths differ between signals, a value does not fit or a
/// text has a line break; [`Error::Io`] when the system refuses.
pub fn write(path: &Path, recording: &NewRecording<'_>, sample: Sample) -> Result<()> {
    let refuse = |field: &str, message: String| Error::Write {
        path: path.to_path_buf(),
        field: field.to_owned(),
        message,
    };
    let stem = super::stem(path, "vhdr")?;
    let (sfreq, points) = super::one_rate(path, recording)?;
    let texts = recording.signals.iter().map(|s| s.transducer);
    let marks = recording.annotations.iter().map(|a| a.text.as_str());
    if let Some(text) = texts.chain(marks).find(|t| t.contains(['\n', '\r'])) {
        return Err(refuse(
            "text",
            format!("line breaks are not allowed, found {text:?}"),
        ));
    }
    let ranges: Vec<(f64, f64)> = recording.signals.iter().map(symmetric).collect();
    let resolution = |range: &(f64, f64)| match sample {
        Sample::Int16 => range.1 / 32_767.0,
        Sample::Float32 => 1.0,
    };

    let eeg = path.with_extension("eeg");
    let mut out = create(&eeg)?;
    let io = |e| Error::io(&eeg, "write", e);
    match sample {
        Sample::Int16 => {
            let digital = recording
                .signals
                .iter()
                .zip(&ranges)
                .map(|(s, r)| quantise(path, s, *r))
                .collect::<Result<Vec<_>>>()?;
            for t in 0..points {
                for d in &digital {
                    out.write_all(&d[t].to_le_bytes()).map_err(io)?;
                }
            }
        }
        Sample::Float32 => {
            for t in 0..points {
                for s in &recording.signals {
                    out.write_all(&(s.samples[t] as f32).to_le_bytes())
                        .map_err(io)?;
                }
            }
        }
    }
    out.flush().map_err(io)?;

    text(
        &path.with_extension("vmrk"),
        &markers(recording, stem, sfreq),
    )?;
    let mut head = format!(
        "Brain Vision Data Exchange Header File Version 1.0\r\n\r\n[Common Infos]\r\n\
         Codepage=UTF-8\r\nDataFile={stem}.eeg\r\nMarkerFile={stem}.vmrk\r\nDataFormat=BINARY\r\n\
         DataOrientation=MULTIPLEXED\r\nNumberOfChannels={}\r\nSamplingInterval={}\r\n\r\n\
         [Binary Infos]\r\nBinaryFormat={}\r\n\r\n[Channel Infos]\r\n",
        recording.signals.len(),
        1e6 / sfreq,
        match sample {
            Sample::Int16 => "INT_16",
            Sample::Float32 => "IEEE_FLOAT_32",
        }
    );
    for (i, (s, r)) in recording.signals.iter().zip(&ranges).enumerate() {
        let unit = units::normalise(s.unit);
        // Writing to a String cannot fail.
        let _ = write!(
            head,
            "Ch{}={},{},{},{unit}\r\n",
            i + 1,
            escape(s.name),
            escape(s.transducer),
            resolution(r)
        );
    }
    text(path, &head)
}

/// Zero stays zero: the range is widened to be symmetric.
fn symmetric(s: &super::NewSignal<'_>) -> (f64, f64) {
    let limit = match s.physical_range {
        Some((low, high)) => low.abs().max(high.abs()),
        None => s.samples.iter().fold(0.0f64, |m, x| m.max(x.abs())),
    };
    if limit > 0.0 {
        (-limit, limit)
    } else {
        (-1.0, 1.0)
    }
}

fn markers(recording: &NewRecording<'_>, stem: &str, sfreq: f64) -> String {
    let s = recording.start;
    let mut out = format!(
        "Brain Vision Data Exchange Marker File, Version 1.0\r\n\r\n[Common Infos]\r\n\
         Codepage=UTF-8\r\nDataFile={stem}.eeg\r\n\r\n[Marker Infos]\r\n\
         Mk1=New Segment,,1,1,0,{:04}{:02}{:02}{:02}{:02}{:02}000000\r\n",
        s.year, s.month, s.day, s.hour, s.minute, s.second
    );
    for (i, a) in recording.annotations.iter().enumerate() {
        let (kind, description) = a.text.split_once('/').unwrap_or(("Comment", &a.text));
        let channel = a
            .channel
            .as_ref()
            .and_then(|c| recording.signals.iter().position(|s| s.name == c))
            .map_or(0, |c| c + 1);
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            "Mk{}={},{},{},{},{channel}\r\n",
            i + 2,
            escape(kind),
            escape(description),
            (a.onset * sfreq).round().max(0.0) as u64 + 1,
            (a.duration.unwrap_or(0.0) * sfreq).round().max(1.0) as u64,
        );
    }
    out
}

fn escape(text: &str) -> String {
    text.replace(',', "\\1")
}

fn create(path: &Path) -> Result<BufWriter<File>> {
    Ok(BufWriter::new(
        File::create(path).map_err(|e| Error::io(path, "create", e))?,
    ))
}

fn text(path: &Path, content: &str) -> Result<()> {
    std::fs::write(path, content).map_err(|e| Error::io(path, "write", e))
}
