//! Compumedics Neuroscan Curry: a data file and its texts, Curry 7 and before (.dat with .dap,
//! .rs3 and .ceo or .cef) and Curry 8 and later (.cdt with .cdt.dpa or .cdt.dpo and .cdt.ceo or
//! .cdt.cef). Owns finding the files, 32-bit floats and text data in both orders, and events.
//!
//! Not read: the compressed variant (refused), impedances, sensor positions, landmarks, HPI
//! coils. An epoched file (several trials) gives each trial a run of its own at the place where
//! it lies in the file, because the true times between trials are not in it.

mod events;
mod find;
mod header;
mod sections;

use std::path::Path;

use crate::damage;
use crate::error::{Error, Result};
use crate::frames::{Float, Frames, Order, Store};
use crate::recording::{
    Channel, Container, Diagnostic, Header, Recording, Run, Severity, check_request,
    push_duplicates,
};
use crate::source::Source;
use crate::text;

use header::Fields;

/// Extensions that belong to Curry alone.
pub(crate) const EXTENSIONS: &[&str] = &["cdt", "dap", "dpa", "dpo", "rs3", "ceo", "cef"];

/// Whether a .dat file has Curry's parameter file beside it.
pub(crate) fn beside(path: &Path) -> bool {
    ["dap", "DAP"]
        .iter()
        .any(|e| path.with_extension(e).is_file())
}

/// An open Curry recording.
pub(crate) struct Curry {
    header: Header,
    frames: Frames,
    /// Samples a trial; all of them when there is one trial.
    trial: usize,
}

impl Curry {
    /// Opens a recording by any of its files.
    pub(crate) fn open(path: &Path) -> Result<Curry> {
        let files = find::files(path)?;
        let mut notes = Vec::new();
        let parameters = Source::open(&files.parameters)?;
        let content = text::decode(parameters.bytes());
        let fields = header::parse(&files.parameters, &content, &mut notes)?;
        let mut bytes = parameters.bytes().len() as u64;
        let mut read = vec![files.parameters.clone()];
        let labels = optional(files.labels.as_deref(), "no-labels", &mut notes);
        let label_text = labels.as_ref().map(|s| text::decode(s.bytes()));
        let electrodes = header::electrodes(
            &files.parameters,
            &content,
            label_text.as_deref().unwrap_or(&content),
            fields.channels,
            &mut notes,
        )?;
        let (frames, data_bytes) = load(&files.data, &fields, &mut notes)?;
        bytes += data_bytes;
        read.insert(0, files.data.clone());
        let seconds = frames.points as f64 / fields.sfreq;
        let events = optional(files.events.as_deref(), "no-events", &mut notes);
        let annotations = match &events {
            None => Vec::new(),
            Some(source) => {
                let content = text::decode(source.bytes());
                events::parse(
                    source.bytes().len(),
                    &content,
                    fields.sfreq,
                    seconds,
                    &mut notes,
                )
            }
        };
        for source in [&labels, &events].into_iter().flatten() {
            bytes += source.bytes().len() as u64;
            read.push(source.path().to_path_buf());
        }
        let points = frames.points as u64;
        let channels: Vec<Channel> = electrodes
            .into_iter()
            .map(|e| Channel {
                name: e.name,
                unit: e.unit,
                sfreq: fields.sfreq,
                n_samples: points,
                physical_min: None,
                physical_max: None,
                digital_min: None,
                digital_max: None,
                prefilter: None,
                transducer: None,
            })
            .collect();
        push_duplicates(&channels, &mut notes);
        let trial = match fields.samples {
            Some(samples) if fields.trials > 1 && samples > 0 => {
                notes.push(epochs(&fields, samples));
                samples
            }
            _ => frames.points,
        };
        notes.sort_by_key(|d| std::cmp::Reverse(d.severity));
        Ok(Curry {
            header: Header {
                container: if files.seven {
                    Container::Curry7
                } else {
                    Container::Curry8
                },
                path: files.data,
                bytes,
                files: read,
                start: fields.start,
                patient: None,
                recording: None,
                channels,
                annotations,
                seconds,
                diagnostics: notes,
            },
            frames,
            trial,
        })
    }

    fn read<T: Float>(&self, channels: &[usize], start: u64, out: &mut [&mut [T]]) -> Result<()> {
        check_request(&self.header, channels, start, out.iter().map(|o| o.len()))?;
        self.frames.read(channels, start, out).ok_or_else(|| {
            Error::range(
                &self.header.path,
                "the data file is shorter than when it was opened",
            )
        })
    }
}

impl Recording for Curry {
    fn header(&self) -> &Header {
        &self.header
    }

    fn release(&self) {
        self.frames.release();
    }

    fn runs(&self, channel: usize) -> Vec<Run> {
        let Some(info) = self.header.channels.get(channel) else {
            return Vec::new();
        };
        (0..self.frames.points)
            .step_by(self.trial.max(1))
            .map(|from| Run {
                onset: from as f64 / info.sfreq,
                samples: from as u64
                    ..from.saturating_add(self.trial).min(self.frames.points) as u64,
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

fn epochs(fields: &Fields, samples: usize) -> Diagnostic {
    Diagnostic::new(
        "epochs",
        Severity::Note,
        format!(
            "{} trials of {samples} samples, the first {} s after the trigger: each is a run at \
             its place in the file; the time between them is unknown",
            fields.trials,
            fields.offset / 1e6
        ),
    )
}

/// A side file that may be absent; one that cannot be read is a diagnostic.
fn optional(
    path: Option<&Path>,
    code: &'static str,
    notes: &mut Vec<Diagnostic>,
) -> Option<Source> {
    match Source::open(path?) {
        Ok(source) => Some(source),
        Err(error) => {
            let message = format!("a side file cannot be read: {error}");
            notes.push(Diagnostic::new(code, Severity::Warning, message));
            None
        }
    }
}

/// Opens the data file; returns it with its bytes.
fn load(path: &Path, fields: &Fields, notes: &mut Vec<Diagnostic>) -> Result<(Frames, u64)> {
    let source = Source::open(path)?;
    let bytes = source.bytes().len();
    let n = fields.channels;
    let (store, held, rest) = if fields.ascii {
        let values = numbers(path, source.bytes())?;
        let (held, rest) = (values.len() / n, values.len() % n);
        (Store::Numbers(values), held, rest)
    } else {
        if let Some(pairs) = damage::rewritten_line_ends(source.bytes()) {
            let message = format!(
                "all {pairs} line feeds in the data follow a carriage return: a text-mode copy \
                 changed LF to CR LF and shifted the samples; fetch the file again in binary mode"
            );
            notes.push(Diagnostic::new(
                "line-ends-rewritten",
                Severity::Damaged,
                message,
            ));
        }
        let big_endian = fields.big_endian;
        let source = Some(source);
        let store = Store::Floats { source, big_endian };
        (store, bytes / (4 * n), bytes % (4 * n))
    };
    let promised = fields.samples.map(|s| s.saturating_mul(fields.trials));
    let points = promised.map_or(held, |p| p.min(held));
    // Channel after channel, another length puts every channel but the first elsewhere.
    let severity = if fields.blocked {
        Severity::Damaged
    } else {
        Severity::Warning
    };
    match promised {
        Some(p) if p > held => notes.push(Diagnostic::new(
            "truncated",
            severity,
            format!("the parameters promise {p} samples, the data file holds {held}"),
        )),
        Some(p) if p < held => notes.push(Diagnostic::new(
            "data-points-disagree",
            Severity::Warning,
            format!(
                "the parameters promise {p} samples, the data file holds {held}; the first are read"
            ),
        )),
        None => notes.push(Diagnostic::new(
            "sample-count-unknown",
            Severity::Note,
            format!("NumSamples is below 0; {held} follow from the data file's size"),
        )),
        _ if rest > 0 => notes.push(Diagnostic::new(
            "truncated",
            severity,
            format!("{rest} bytes or numbers after the last whole sample; left out"),
        )),
        _ => {}
    }
    let order = if fields.blocked {
        Order::Channels
    } else {
        Order::Points
    };
    let frames = Frames {
        store,
        order,
        n,
        points,
    };
    Ok((frames, bytes as u64))
}

/// The numbers of a text data file.
fn numbers(path: &Path, bytes: &[u8]) -> Result<Vec<f64>> {
    let content = text::decode(bytes);
    let count = content.split_whitespace().count();
    let mut values = Vec::with_capacity(count);
    for (i, line) in content.lines().enumerate() {
        for word in line.split_whitespace() {
            values.push(word.parse().map_err(|_| Error::Text {
                path: path.to_path_buf(),
                line: i + 1,
                field: "data".to_owned(),
                message: format!(
                    "expected a number, found {:?}",
                    word.chars().take(40).collect::<String>()
                ),
            })?);
        }
    }
    Ok(values)
}
