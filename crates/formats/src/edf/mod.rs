//! EDF, EDF+, BDF and BDF+ by blocks from a mapped file. Owns header, annotations, gaps,
//! damage and calibration; knows nothing of electrodes.

mod date;
pub(crate) mod decode;
mod header;
mod layout;
mod size;
mod tal;
mod timeline;

use std::path::Path;

use crate::damage;
use crate::error::{Error, Result};
use crate::recording::{
    Channel, Diagnostic, Header, Recording, Run, Severity, check_request, push_duplicates,
};
use crate::source::Source;
use crate::{text, units};

use decode::{Calibration, Float};
use header::Fields;
use layout::Layout;
use timeline::Timeline;

/// Bytes of records that are decoded together.
const BLOCK_BYTES: usize = 256 << 10;

/// An open EDF or BDF file.
pub(crate) struct Edf {
    source: Source,
    header: Header,
    layout: Layout,
    calibration: Vec<Calibration>,
    /// First record of each run, and its onset in seconds.
    runs: Vec<(u64, f64)>,
    bdf: bool,
}

impl Edf {
    /// Reads header and annotations; samples stay where they are.
    pub(crate) fn open(source: Source, bdf: bool) -> Result<Edf> {
        let path = source.path();
        let bytes = source.bytes();
        let mut diagnostics = Vec::new();
        let mut fields = header::parse(path, bytes, bdf, &mut diagnostics)?;
        wrong_extension(path, bdf, &mut diagnostics);
        if fields.duration == 0.0 && fields.signals.iter().any(|s| !s.annotations) {
            diagnostics.push(Diagnostic::new(
                "record-duration-zero",
                Severity::Warning,
                "the header gives data records of 0 s; 1 s is assumed, so rates may be wrong",
            ));
            fields.duration = 1.0;
        }
        let mut layout = Layout::new(&fields).ok_or_else(|| {
            Error::header(
                path,
                "samples in a data record",
                256 + 216 * fields.signals.len() as u64,
                "the data record is larger than can be addressed",
            )
        })?;
        layout.records = size::records(&fields, &layout, bytes.len() as u64, &mut diagnostics);
        let channels = channels(&fields, &layout);
        push_duplicates(&channels, &mut diagnostics);
        push_dummies(&channels, &mut diagnostics);
        let names: Vec<String> = channels.iter().map(|c| c.name.clone()).collect();
        let timeline = if layout.annotation_signals.is_empty() {
            if fields.is_plus() {
                diagnostics.push(Diagnostic::new(
                    "no-annotation-signal",
                    Severity::Warning,
                    format!(
                        "{} without an annotation signal; read as contiguous",
                        fields.container
                    ),
                ));
            }
            Timeline {
                annotations: Vec::new(),
                runs: vec![(0, 0.0)],
                first_onset: 0.0,
                broken: 0,
            }
        } else {
            timeline::read(
                &source,
                &layout,
                fields.is_discontinuous(),
                &names,
                &mut diagnostics,
            )
        };
        push_damage(
            bytes,
            &layout,
            &timeline,
            fields.is_plus(),
            &mut diagnostics,
        );
        // Worst first, file order among equals.
        diagnostics.sort_by_key(|d| std::cmp::Reverse(d.severity));
        let calibration = fields
            .signals
            .iter()
            .filter(|s| !s.annotations)
            .map(calibrate)
            .collect();
        let header = Header {
            container: fields.container,
            path: path.to_path_buf(),
            bytes: bytes.len() as u64,
            files: vec![path.to_path_buf()],
            start: fields
                .start
                .map(|start| with_fraction(start, timeline.first_onset)),
            patient: text::some(fields.patient),
            recording: text::some(fields.recording),
            channels,
            annotations: timeline.annotations,
            seconds: layout.records as f64 * layout.duration,
            diagnostics,
        };
        Ok(Edf {
            source,
            header,
            layout,
            calibration,
            runs: timeline.runs,
            bdf,
        })
    }

    /// Record by record, so that the file is read once and in order; within a record, signal
    /// by signal.
    fn read<T: Float>(&self, channels: &[usize], start: u64, out: &mut [&mut [T]]) -> Result<()> {
        check_request(&self.header, channels, start, out.iter().map(|o| o.len()))?;
        // Requested columns with their sample ranges, checked above to exist.
        let wanted: Vec<_> = channels
            .iter()
            .zip(out.iter())
            .filter(|(_, o)| !o.is_empty())
            .filter_map(|(&c, o)| Some((*self.layout.signals.get(c)?, start + o.len() as u64)))
            .collect();
        let first = wanted
            .iter()
            .map(|(c, _)| start / c.samples as u64)
            .min()
            .unwrap_or(0);
        let stop = wanted
            .iter()
            .map(|(c, end)| end.div_ceil(c.samples as u64))
            .max()
            .unwrap_or(0);
        // A few records at a time: their bytes stay in the second cache while one signal after
        // the other is taken out of them in stretches longer than a page.
        let step = (BLOCK_BYTES / self.layout.record_bytes.max(1)).max(1) as u64;
        for block in (first..stop).step_by(step as usize) {
            for (&channel, dst) in channels.iter().zip(out.iter_mut()) {
                self.read_block(channel, start, block..stop.min(block + step), dst)?;
            }
        }
        Ok(())
    }

    /// The part of one channel's request that lies in a range of records.
    fn read_block<T: Float>(
        &self,
        channel: usize,
        start: u64,
        records: std::ops::Range<u64>,
        dst: &mut [T],
    ) -> Result<()> {
        let (Some(column), Some(&calibration)) = (
            self.layout.signals.get(channel),
            self.calibration.get(channel),
        ) else {
            return Ok(());
        };
        let width = if self.bdf { 3 } else { 2 };
        let n = column.samples as u64;
        for record in records {
            let from = (record * n).max(start);
            let to = ((record + 1) * n).min(start + dst.len() as u64);
            if from >= to {
                continue;
            }
            let Some(field) = self.layout.bytes(self.source.bytes(), record, column) else {
                return Err(Error::range(
                    self.source.path(),
                    format!("record {record} lies beyond the end of the file"),
                ));
            };
            let skip = (from - record * n) as usize * width;
            let src = &field[skip..skip + (to - from) as usize * width];
            let dst = &mut dst[(from - start) as usize..(to - start) as usize];
            if self.bdf {
                T::from_i24(src, calibration, dst);
            } else {
                T::from_i16(src, calibration, dst);
            }
        }
        Ok(())
    }
}

impl Recording for Edf {
    fn header(&self) -> &Header {
        &self.header
    }

    fn release(&self) {
        self.source.release();
    }

    fn runs(&self, channel: usize) -> Vec<Run> {
        let Some(column) = self.layout.signals.get(channel) else {
            return Vec::new();
        };
        let n = column.samples as u64;
        let ends = self
            .runs
            .iter()
            .skip(1)
            .map(|r| r.0)
            .chain([self.layout.records]);
        self.runs
            .iter()
            .zip(ends)
            .filter(|((first, _), end)| first < end)
            .map(|(&(first, onset), end)| Run {
                onset,
                samples: first * n..end * n,
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

fn channels(fields: &Fields, layout: &Layout) -> Vec<Channel> {
    let ordinary = fields.signals.iter().filter(|s| !s.annotations);
    ordinary
        .map(|s| Channel {
            name: s.label.clone(),
            unit: if s.range.calibrated {
                units::normalise(&s.dimension)
            } else {
                String::new()
            },
            sfreq: s.samples as f64 / fields.duration,
            n_samples: s.samples.saturating_mul(layout.records),
            physical_min: Some(s.range.physical.0),
            physical_max: Some(s.range.physical.1),
            digital_min: Some(s.range.digital.0),
            digital_max: Some(s.range.digital.1),
            prefilter: text::some(s.prefilter.clone()),
            transducer: text::some(s.transducer.clone()),
        })
        .collect()
}

/// The line through the two points of the header, as the specification defines it.
fn calibrate(signal: &header::Signal) -> Calibration {
    let (physical, digital) = (signal.range.physical, signal.range.digital);
    let gain = (physical.1 - physical.0) / (digital.1 - digital.0);
    Calibration {
        gain,
        offset: physical.0 - digital.0 * gain,
    }
}

/// EDF+ may start a fraction of a second after the header's whole second.
fn with_fraction(start: String, fraction: f64) -> String {
    if fraction > 0.0 && fraction < 1.0 {
        let digits = format!("{fraction:.6}");
        format!(
            "{start}{}",
            digits.trim_start_matches('0').trim_end_matches('0')
        )
    } else {
        start
    }
}

fn wrong_extension(path: &Path, bdf: bool, diagnostics: &mut Vec<Diagnostic>) {
    let (is, expected) = if bdf { ("BDF", "bdf") } else { ("EDF", "edf") };
    let extension = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    if !extension.eq_ignore_ascii_case(expected) && !extension.eq_ignore_ascii_case("rec") {
        diagnostics.push(Diagnostic::new(
            "extension-disagrees",
            Severity::Warning,
            format!("the content is {is}, the name ends in {extension:?}; read as {is}"),
        ));
    }
}

fn push_dummies(channels: &[Channel], diagnostics: &mut Vec<Diagnostic>) {
    let dummies = channels
        .iter()
        .filter(|c| header::is_dummy(&c.name))
        .count();
    if dummies > 0 {
        diagnostics.push(Diagnostic::new(
            "dummy-channel",
            Severity::Note,
            format!("{dummies} channels are labelled \"-\", \".\" or not at all"),
        ));
    }
}

/// Transfer damage, told from truncation by what the bytes themselves say.
fn push_damage(
    bytes: &[u8],
    layout: &Layout,
    timeline: &Timeline,
    plus: bool,
    diagnostics: &mut Vec<Diagnostic>,
) {
    // One unreadable time may be a writer's slip; many mean that records are shifted.
    let shifted = timeline.broken > 1.max(layout.records / 100);
    if timeline.broken > 0 {
        let severity = if shifted {
            Severity::Damaged
        } else {
            Severity::Warning
        };
        diagnostics.push(Diagnostic::new(
            "timekeeping-broken",
            severity,
            format!(
                "{} of {} records do not start their annotations with a time; the bytes are {}",
                timeline.broken,
                layout.records,
                if shifted {
                    "shifted or overwritten: fetch the file again"
                } else {
                    "suspect"
                }
            ),
        ));
    }
    // Intact times in every record prove that nothing was inserted.
    let proven = plus && !layout.annotation_signals.is_empty() && timeline.broken == 0;
    if !proven
        && let Some(pairs) = damage::rewritten_line_ends(&bytes[layout.data.min(bytes.len())..])
    {
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
