//! Brain Vision Data Exchange: a text header (.vhdr), a data file (.eeg, .dat), a marker file
//! (.vmrk). Owns finding the three, every number format and orientation, and the segments.
//!
//! A "New Segment" marker after the first says that the amplifier was stopped: the reader ends
//! a run there. How long the pause was is not used (the dates of the markers are the clock of a
//! computer), so onsets go on as if there were none, and sample counts and onsets agree with
//! MNE's.

mod data;
mod find;
mod header;
mod ini;
mod markers;

pub(crate) use find::header_beside;

use std::path::Path;

use crate::damage;
use crate::error::{Error, Result};
use crate::recording::{
    Channel, Container, Diagnostic, Header, Recording, Run, Severity, check_request,
    push_duplicates,
};
use crate::source::Source;
use crate::text;

use data::{Data, Target};
use header::{Fields, Storage};

/// An open BrainVision recording.
pub(crate) struct BrainVision {
    header: Header,
    data: Data,
    resolution: Vec<f64>,
    points: usize,
    /// First sample of each run.
    starts: Vec<u64>,
}

impl BrainVision {
    /// Opens a recording by its header file.
    pub(crate) fn open(source: Source) -> Result<BrainVision> {
        let path = source.path().to_path_buf();
        let content = text::decode(source.bytes());
        let content = content.strip_prefix('\u{feff}').unwrap_or(&content);
        let fields = header::parse(&path, content)?;
        let mut diagnostics = Vec::new();
        let data_path = find::named(
            &path,
            "DataFile",
            &fields.data_file,
            "eeg",
            &mut diagnostics,
        )?;
        let sfreq = 1e6 / fields.interval;
        let n = fields.channels.len();
        let (data, points, data_bytes) = load(&data_path, &fields, n, &mut diagnostics)?;
        let mut files = vec![path.clone(), data_path];
        let mut bytes = source.bytes().len() as u64 + data_bytes;
        let channels = channels(&fields, sfreq, points);
        push_duplicates(&channels, &mut diagnostics);
        let names: Vec<String> = channels.iter().map(|c| c.name.clone()).collect();
        let mut marks = markers::Markers::default();
        if let Some(name) = &fields.marker_file {
            match find::named(&path, "MarkerFile", name, "vmrk", &mut diagnostics)
                .and_then(|p| Source::open(&p))
            {
                Ok(file) => {
                    bytes += file.bytes().len() as u64;
                    files.push(file.path().to_path_buf());
                    marks = markers::parse(
                        file.bytes(),
                        sfreq,
                        points as u64,
                        &names,
                        &mut diagnostics,
                    );
                }
                Err(error) => diagnostics.push(Diagnostic::new(
                    "no-markers",
                    Severity::Warning,
                    format!("the marker file cannot be read: {error}"),
                )),
            }
        }
        if !marks.segments.is_empty() {
            diagnostics.push(Diagnostic::new(
                "segments",
                Severity::Note,
                format!(
                    "{} New Segment markers within the data: pauses of unknown length; each \
                     segment is a run of its own",
                    marks.segments.len()
                ),
            ));
        }
        diagnostics.sort_by_key(|d| std::cmp::Reverse(d.severity));
        let mut starts = vec![0];
        starts.extend(marks.segments);
        let header = Header {
            container: Container::BrainVision,
            path,
            bytes,
            files,
            start: marks.start,
            patient: None,
            recording: None,
            channels,
            annotations: marks.annotations,
            seconds: points as f64 / sfreq,
            diagnostics,
        };
        let resolution = fields.channels.iter().map(|c| c.resolution).collect();
        Ok(BrainVision {
            header,
            data,
            resolution,
            points,
            starts,
        })
    }

    fn read<T: data::Float>(
        &self,
        channels: &[usize],
        start: u64,
        out: &mut [&mut [T]],
    ) -> Result<()> {
        check_request(&self.header, channels, start, out.iter().map(|o| o.len()))?;
        let mut targets: Vec<Target<'_, '_, T>> = channels
            .iter()
            .zip(out.iter_mut())
            .map(|(&channel, out)| Target {
                channel,
                resolution: self.resolution.get(channel).copied().unwrap_or(1.0),
                out,
            })
            .collect();
        usize::try_from(start)
            .ok()
            .and_then(|start| {
                self.data
                    .read(self.header.channels.len(), self.points, start, &mut targets)
            })
            .ok_or_else(|| {
                Error::range(
                    &self.header.path,
                    "the data file is shorter than when it was opened",
                )
            })
    }
}

impl Recording for BrainVision {
    fn header(&self) -> &Header {
        &self.header
    }

    fn release(&self) {
        self.data.release();
    }

    fn runs(&self, channel: usize) -> Vec<Run> {
        let Some(info) = self.header.channels.get(channel) else {
            return Vec::new();
        };
        let ends = self
            .starts
            .iter()
            .skip(1)
            .copied()
            .chain([self.points as u64]);
        self.starts
            .iter()
            .zip(ends)
            .filter(|(start, end)| *start < end)
            .map(|(&start, end)| Run {
                onset: start as f64 / info.sfreq,
                samples: start..end,
            })
            .collect()
    }

    fn read_f64(&self, channels: &[usize], start: u64, out: &mut [&mut [f64]]) -> Result<()> {
        self.read(channels, start, out)
    }

    fn read_f32(&self, channels: &[usize], start: u64, out: &mut [&mut [f32]]) -> Result<()> {
        self.read(channels, start, out)
    }
}

fn channels(fields: &Fields, sfreq: f64, points: usize) -> Vec<Channel> {
    let channel = |c: &header::Electrode| Channel {
        name: c.name.clone(),
        unit: c.unit.clone(),
        sfreq,
        n_samples: points as u64,
        physical_min: None,
        physical_max: None,
        digital_min: None,
        digital_max: None,
        prefilter: None,
        transducer: text::some(c.reference.clone()),
    };
    fields.channels.iter().map(channel).collect()
}

/// Opens the data file; returns it with its points a channel and its bytes.
fn load(
    path: &Path,
    fields: &Fields,
    n: usize,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<(Data, usize, u64)> {
    let source = Source::open(path)?;
    let len = source.bytes().len();
    let (data, points) = match fields.storage {
        Storage::Ascii { .. } => {
            let content = text::decode(source.bytes());
            let (values, points) =
                data::ascii(path, &content, fields.storage, n, fields.vectorized)?;
            (Data::Text { values }, points)
        }
        Storage::Binary { number, big_endian } => {
            let frame = n.saturating_mul(number.bytes());
            push_binary_damage(source.bytes(), frame, fields.vectorized, diagnostics);
            let vectorized = fields.vectorized;
            (
                Data::Binary {
                    source: Some(source),
                    number,
                    big_endian,
                    vectorized,
                },
                len / frame,
            )
        }
    };
    if let Some(promised) = fields.data_points
        && promised != points as u64
    {
        // Vectorised data of another length puts every channel but the first elsewhere.
        let severity = if fields.vectorized {
            Severity::Damaged
        } else {
            Severity::Warning
        };
        diagnostics.push(Diagnostic::new(
            if promised > points as u64 {
                "truncated"
            } else {
                "data-points-disagree"
            },
            severity,
            format!("DataPoints promises {promised} points, the data file holds {points}"),
        ));
    }
    Ok((data, points, len as u64))
}

fn push_binary_damage(
    bytes: &[u8],
    frame: usize,
    vectorized: bool,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let rest = bytes.len() % frame;
    if rest > 0 {
        diagnostics.push(Diagnostic::new(
            "truncated",
            if vectorized {
                Severity::Damaged
            } else {
                Severity::Warning
            },
            format!("the data file ends with {rest} bytes of a frame of {frame}; left out"),
        ));
    }
    if let Some(pairs) = damage::rewritten_line_ends(bytes) {
        diagnostics.push(Diagnostic::new(
            "line-ends-rewritten",
            Severity::Damaged,
            format!(
                "all {pairs} line feeds in the data follow a carriage return: a text-mode copy \
                 changed LF to CR LF and shifted the samples; fetch the file again in binary mode"
            ),
        ));
    }
}
