//! GDF 1.x and 2.x by blocks from a mapped file. Owns header, events, calibration, missing
//! samples and the runs between gaps; knows nothing of electrodes or of what a code means.
//!
//! - Rates and number types may differ by channel; 1- to 8-byte integers (24-bit ones too) and
//!   both floats are read, bit-packed and 128-bit types are not.
//! - A sample at or beyond the digital limits of a signed integer channel is an overflow and
//!   read as NaN, as BioSig does by default; MNE gives the limit's value. Unsigned channels
//!   (counters, triggers) have no overflow, and a digital range below four steps is taken for a
//!   scale. Floats are missing when they are NaN or infinite, whatever the limits.
//! - Gap samples between runs have addresses like any other (sample counts and onsets are
//!   MNE's) and belong to no run; see [`gaps`] for what a gap is. They are looked for when runs
//!   are asked for first, not when a file is opened.
//! - Onsets are (position − 1) / the event table's rate; MNE divides by the signals' rate.

mod date;
mod events;
mod gaps;
mod header;
mod layout;
mod number;
mod tags;
mod units;

pub(crate) use date::to_days;
pub(crate) use units::code as unit_code;

use std::ops::Range;
use std::sync::OnceLock;

use crate::damage;
use crate::error::{Error, Result};
use crate::recording::{
    Channel, Container, Diagnostic, Header, Recording, Run, Severity, check_request,
    push_duplicates,
};
use crate::source::Source;
use crate::text;

use header::Fields;
use layout::Layout;
use number::{Float, Place, decode};

/// Bytes of records that are decoded together: they stay in the first cache while one channel
/// after the other is taken out of them.
const BLOCK_BYTES: usize = 32 << 10;

/// An open GDF file.
pub(crate) struct Gdf {
    source: Source,
    header: Header,
    layout: Layout,
    /// Seconds a sample of the fastest channels.
    tick: f64,
    /// Stretches between gaps, in samples of the fastest channels; found when first asked for.
    runs: OnceLock<Vec<Range<u64>>>,
}

impl Gdf {
    /// Reads headers and events; samples stay where they are.
    pub(crate) fn open(source: Source) -> Result<Gdf> {
        let path = source.path();
        let bytes = source.bytes();
        let mut diagnostics = Vec::new();
        let fields = header::parse(path, bytes, &mut diagnostics)?;
        let n = fields.signals.len() as u64;
        let mut layout = Layout::new(&fields).ok_or_else(|| {
            let message = "the data record is larger than can be addressed";
            Error::header(path, "samples a record", 256 + 216 * n, message)
        })?;
        let fastest = layout.fastest();
        if fastest == 0 {
            return Err(Error::Unsupported {
                path: path.to_path_buf(),
                what: "a file of sparse channels only (0 samples a record)".to_owned(),
            });
        }
        let sparse = fields.signals.len() - layout.columns.len();
        if sparse > 0 {
            diagnostics.push(Diagnostic::new(
                "sparse-channel",
                Severity::Warning,
                format!("{sparse} channels have no samples in the records; left out"),
            ));
        }
        let end = size(&fields, &mut layout, bytes.len(), &mut diagnostics);
        let data = bytes.get(layout.data..end.unwrap_or(bytes.len()));
        push_damage(data.unwrap_or_default(), &mut diagnostics);
        let sfreq = fastest as f64 / fields.duration;
        let labels: Vec<&str> = fields.signals.iter().map(|s| s.label.as_str()).collect();
        let annotations = match end.and_then(|end| bytes.get(end..)) {
            Some(table) => events::read(
                table,
                &events::Context {
                    version: fields.version,
                    sfreq,
                    labels: &labels,
                    descriptions: &fields.descriptions,
                    sparse: sparse > 0,
                    budget: bytes.len(),
                },
                &mut diagnostics,
            ),
            None => Vec::new(),
        };
        let channels = channels(&fields, &layout);
        push_duplicates(&channels, &mut diagnostics);
        // Worst first, file order among equals.
        diagnostics.sort_by_key(|d| std::cmp::Reverse(d.severity));
        let header = Header {
            container: if fields.is_v1() {
                Container::Gdf1
            } else {
                Container::Gdf2
            },
            path: path.to_path_buf(),
            bytes: bytes.len() as u64,
            files: vec![path.to_path_buf()],
            start: fields.start,
            patient: text::some(fields.patient),
            recording: text::some(fields.recording),
            channels,
            annotations,
            seconds: layout.records as f64 * fields.duration,
            diagnostics,
        };
        Ok(Gdf {
            source,
            header,
            layout,
            tick: 1.0 / sfreq,
            runs: OnceLock::new(),
        })
    }

    /// Some records at a time, so that the file is read once and in order; within them, channel
    /// by channel.
    fn read<T: Float>(&self, channels: &[usize], start: u64, out: &mut [&mut [T]]) -> Result<()> {
        check_request(&self.header, channels, start, out.iter().map(|o| o.len()))?;
        // Requested columns with their ranges of records, checked above to exist.
        let wanted = channels
            .iter()
            .zip(out.iter())
            .filter(|(_, o)| !o.is_empty())
            .filter_map(|(&c, o)| {
                let n = self.layout.columns.get(c)?.samples as u64;
                Some((start / n, (start + o.len() as u64).div_ceil(n)))
            });
        let (first, stop) = wanted.fold((u64::MAX, 0), |a, w| (a.0.min(w.0), a.1.max(w.1)));
        let step = (BLOCK_BYTES / self.layout.record_bytes.max(1)).max(1) as u64;
        let mut block = first;
        while block < stop {
            let records = block..stop.min(block + step);
            block = records.end;
            let bytes = self.layout.bytes(self.source.bytes(), records.clone());
            let Some(bytes) = bytes else {
                return Err(Error::range(
                    self.source.path(),
                    format!("records {records:?} lie beyond the end of the file"),
                ));
            };
            for (&channel, dst) in channels.iter().zip(out.iter_mut()) {
                self.read_block(channel, start, records.clone(), bytes, dst);
            }
        }
        Ok(())
    }

    /// The part of one channel's request that lies in a range of records.
    fn read_block<T: Float>(
        &self,
        channel: usize,
        start: u64,
        records: Range<u64>,
        bytes: &[u8],
        dst: &mut [T],
    ) {
        let Some(column) = self.layout.columns.get(channel) else {
            return;
        };
        let n = column.samples as u64;
        let from = (records.start * n).max(start);
        let to = (records.end * n).min(start + dst.len() as u64);
        if from >= to {
            return;
        }
        // Whole records before the first sample that is wanted.
        let before = (from / n - records.start) as usize * self.layout.record_bytes;
        let place = Place {
            records: bytes.get(before..).unwrap_or_default(),
            stride: self.layout.record_bytes,
            at: column.at,
            samples: column.samples,
            skip: (from % n) as usize,
        };
        let range = (from - start) as usize..(to - start) as usize;
        if let Some(dst) = dst.get_mut(range) {
            decode(column.number, place, column.scale, dst);
        }
    }
}

impl Recording for Gdf {
    fn header(&self) -> &Header {
        &self.header
    }

    fn release(&self) {
        self.source.release();
    }

    fn runs(&self, channel: usize) -> Vec<Run> {
        let Some(column) = self.layout.columns.get(channel) else {
            return Vec::new();
        };
        let fastest = self.layout.fastest() as u64;
        let runs = self.runs.get_or_init(|| {
            let gaps = gaps::find(self.source.bytes(), &self.layout);
            gaps::between(&gaps, self.layout.records * fastest)
        });
        // A slower channel has the samples that lie wholly within the run.
        let n = u128::from(column.samples as u64);
        let to_own = |k: u64, up: bool| {
            let product = u128::from(k) * n + if up { u128::from(fastest) - 1 } else { 0 };
            (product / u128::from(fastest)) as u64
        };
        runs.iter()
            .map(|run| {
                let start = to_own(run.start, true);
                Run {
                    onset: start as f64 * self.tick * fastest as f64 / n as f64,
                    samples: start..to_own(run.end, false).max(start),
                }
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
    let with_samples = fields.signals.iter().filter(|s| s.samples > 0);
    with_samples
        .map(|s| Channel {
            name: s.label.clone(),
            unit: if s.calibrated {
                s.unit.clone()
            } else {
                String::new()
            },
            sfreq: f64::from(s.samples) / fields.duration,
            n_samples: u64::from(s.samples).saturating_mul(layout.records),
            physical_min: Some(s.physical.0),
            physical_max: Some(s.physical.1),
            digital_min: Some(s.digital.0),
            digital_max: Some(s.digital.1),
            prefilter: text::some(s.prefilter.clone()),
            transducer: text::some(s.transducer.clone()),
        })
        .collect()
}

/// Sets the whole records of the file; returns where the event table starts, if it is known.
fn size(
    fields: &Fields,
    layout: &mut Layout,
    len: usize,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<usize> {
    let data = len.saturating_sub(layout.data) as u64;
    let record = layout.record_bytes.max(1) as u64;
    let (whole, rest) = (data / record, data % record);
    let mut push = |code, severity, message: String| {
        diagnostics.push(Diagnostic::new(code, severity, message));
    };
    let Some(promised) = fields.records else {
        push(
            "record-count-unknown",
            Severity::Warning,
            format!(
                "the header gives -1 records (not closed properly); {whole} whole records of \
                 {record} bytes found by the file's size, no event table is looked for"
            ),
        );
        if rest > 0 {
            push(
                "truncated",
                Severity::Warning,
                format!("the last record ends after {rest} of {record} bytes; left out"),
            );
        }
        layout.records = whole;
        return None;
    };
    layout.records = promised.min(whole);
    if whole < promised {
        push(
            "truncated",
            if whole == 0 {
                Severity::Damaged
            } else {
                Severity::Warning
            },
            format!(
                "{promised} records promised, {whole} whole ones found; {rest} bytes of one more \
                 are left out and there is no event table"
            ),
        );
        return None;
    }
    if promised == 0 {
        push(
            "no-records",
            Severity::Warning,
            "the file holds no data record".to_owned(),
        );
    }
    layout
        .data
        .checked_add(layout.record_bytes * promised as usize)
}

/// A text-mode copy of binary data.
fn push_damage(data: &[u8], diagnostics: &mut Vec<Diagnostic>) {
    if let Some(pairs) = damage::rewritten_line_ends(data) {
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
