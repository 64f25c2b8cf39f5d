//! EDF+C through `edf-rs`, the library that writes every EDF file of the product.
//!
//! What `edf-rs` 0.2 leaves to its caller is done here: choosing a record duration that every
//! rate divides, physical ranges that fit eight characters, room for the annotation lists (it
//! panics when they do not fit), and refusing negative onsets (it writes two signs).

use std::path::Path;

use chrono::{NaiveDate, NaiveTime};
use edf_rs::EDFSpecifications;
use edf_rs::error::edf_error::EDFError;
use edf_rs::file::EDFFile;
use edf_rs::headers::annotation_list::AnnotationList;
use edf_rs::headers::patient::PatientId;
use edf_rs::headers::recording::RecordingId;
use edf_rs::headers::signal_header::SignalHeader;
use edf_rs::record::Samples;

use super::{NewRecording, NewSignal, quantise};
use crate::Annotation;
use crate::error::{Error, Result};

/// Record durations that are tried, seconds: one second first, as readers like it.
const DURATIONS: [f64; 16] = [
    1.0, 0.5, 0.25, 0.2, 0.125, 0.1, 0.05, 0.04, 0.02, 0.01, 2.0, 4.0, 5.0, 10.0, 20.0, 30.0,
];

/// Largest data record that the EDF specification recommends, bytes.
const RECORD_BYTES: usize = 61_440;

/// Writes an EDF+C file with 16-bit samples. Signals may have different rates; all must last
/// equally long, a whole number of one of the record durations 0.01 s to 30 s. An existing
/// file is replaced once the new one is complete.
///
/// # Errors
/// [`Error::Write`] with the field that does not fit; [`Error::Io`] when the system refuses.
pub fn write(path: &Path, recording: &NewRecording<'_>) -> Result<()> {
    let plan = Plan::new(path, recording)?;
    // `edf-rs` refuses to replace a file.
    let name = path
        .file_name()
        .map(|n| n.to_string_lossy().into_owned())
        .unwrap_or_default();
    let partial = path.with_file_name(format!(".{name}.partial"));
    if partial.exists() {
        std::fs::remove_file(&partial).map_err(|e| Error::io(&partial, "remove", e))?;
    }
    let written = save(path, &partial, recording, &plan);
    if let Err(error) = written {
        // The error of the save is the one to tell.
        drop(std::fs::remove_file(&partial));
        return Err(error);
    }
    std::fs::rename(&partial, path).map_err(|e| Error::io(path, "rename", e))
}

fn refuse(path: &Path, field: impl Into<String>, message: impl Into<String>) -> Error {
    Error::Write {
        path: path.to_path_buf(),
        field: field.into(),
        message: message.into(),
    }
}

fn library(path: &Path, field: &str) -> impl Fn(EDFError) -> Error {
    move |error| match error {
        EDFError::FileWriteError(e) | EDFError::FileReadError(e) => Error::io(path, "write", e),
        other => refuse(path, field, format!("edf-rs says {other:?}")),
    }
}

/// What the header will say, decided before anything is written.
struct Plan {
    duration: f64,
    records: usize,
    /// Samples a record and physical range of every signal.
    signals: Vec<(usize, (f64, f64))>,
    /// Annotation lists of every record.
    lists: Vec<Vec<AnnotationList>>,
    /// Bytes of the longest record's lists.
    list_bytes: usize,
}

impl Plan {
    fn new(path: &Path, recording: &NewRecording<'_>) -> Result<Plan> {
        if recording.signals.is_empty() || recording.signals.len() > 9998 {
            let n = recording.signals.len();
            return Err(refuse(
                path,
                "signals",
                format!("expected 1 to 9998, found {n}"),
            ));
        }
        let (duration, records) = duration(path, &recording.signals)?;
        let signals = recording
            .signals
            .iter()
            .map(|s| {
                check_texts(path, s)?;
                Ok((s.samples.len() / records, range(path, s)?))
            })
            .collect::<Result<Vec<_>>>()?;
        let lists = lists(path, recording.annotations, duration, records)?;
        let list_bytes = lists
            .iter()
            .map(|lists| lists.iter().map(|l| l.serialize().len()).sum::<usize>())
            .max()
            .unwrap_or(0);
        Ok(Plan {
            duration,
            records,
            signals,
            lists,
            list_bytes,
        })
    }
}

/// A record duration in which every signal has a whole number of samples and fills a whole
/// number of records.
fn duration(path: &Path, signals: &[NewSignal<'_>]) -> Result<(f64, usize)> {
    let fit = |d: f64| -> Option<(usize, usize)> {
        let mut records = None;
        let mut bytes = 0;
        for s in signals {
            let samples = s.sfreq * d;
            let whole = samples.round();
            if !(s.sfreq > 0.0 && whole >= 1.0 && (samples - whole).abs() < 1e-9 * whole) {
                return None;
            }
            let whole = whole as usize;
            if s.samples.is_empty() || !s.samples.len().is_multiple_of(whole) {
                return None;
            }
            let n = s.samples.len() / whole;
            if *records.get_or_insert(n) != n {
                return None;
            }
            bytes += 2 * whole;
        }
        Some((records?, bytes))
    };
    let fitting = || {
        DURATIONS
            .iter()
            .filter_map(|&d| fit(d).map(|(n, bytes)| (d, n, bytes)))
    };
    fitting()
        .find(|(_, _, bytes)| *bytes <= RECORD_BYTES)
        .or_else(|| fitting().next())
        .map(|(d, n, _)| (d, n))
        .ok_or_else(|| {
            let rates: Vec<_> = signals
                .iter()
                .map(|s| format!("{}/{} Hz", s.samples.len(), s.sfreq))
                .take(8)
                .collect();
            refuse(
                path,
                "samples",
                format!(
                    "no record duration of 0.01 to 30 s divides all signals evenly ({}); cut \
                     all to a whole number of seconds",
                    rates.join(", ")
                ),
            )
        })
}

fn check_texts(path: &Path, s: &NewSignal<'_>) -> Result<()> {
    let unit = ascii_unit(s.unit);
    for (field, text, width) in [
        ("label", s.name, 16),
        ("transducer", s.transducer, 80),
        ("physical dimension", unit.as_str(), 8),
        ("prefilter", s.prefilter, 80),
    ] {
        if text.len() > width || !text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
            return Err(refuse(
                path,
                format!("{field} of {:?}", s.name),
                format!("expected at most {width} printable ASCII characters, found {text:?}"),
            ));
        }
    }
    Ok(())
}

/// EDF headers are ASCII: the micro sign is written "u".
fn ascii_unit(unit: &str) -> String {
    unit.replace(['\u{b5}', '\u{3bc}'], "u")
}

/// The signal's range, or the smallest symmetric one that holds its samples and fits eight
/// characters with its sign.
fn range(path: &Path, s: &NewSignal<'_>) -> Result<(f64, f64)> {
    let field = || format!("physical range of {:?}", s.name);
    if let Some((low, high)) = s.physical_range {
        let fits = |x: f64| x.is_finite() && x.to_string().len() <= 8;
        if !(low < high && fits(low) && fits(high)) {
            return Err(refuse(
                path,
                field(),
                format!(
                    "expected two growing numbers of at most 8 characters, found {low} and {high}"
                ),
            ));
        }
        return Ok((low, high));
    }
    let largest = s.samples.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    if largest == 0.0 {
        return Ok((-1.0, 1.0));
    }
    (0..=5)
        .rev()
        .map(|digits| {
            let scale = 10f64.powi(digits);
            (largest * scale).ceil() / scale
        })
        .find(|limit| limit.is_finite() && *limit >= largest && limit.to_string().len() <= 7)
        .map(|limit| (-limit, limit))
        .ok_or_else(|| {
            refuse(
                path,
                field(),
                format!("{largest} {} does not fit; use a larger unit", s.unit),
            )
        })
}

/// A time for every record, and every annotation in the record of its onset.
fn lists(
    path: &Path,
    annotations: &[Annotation],
    duration: f64,
    records: usize,
) -> Result<Vec<Vec<AnnotationList>>> {
    // Microseconds are kept; the shortest text that reads back as the same number is written.
    let micro = |x: f64| (x * 1e6).round() / 1e6;
    let mut lists: Vec<Vec<AnnotationList>> = (0..records)
        .map(|r| vec![AnnotationList::new_time_keeping(micro(r as f64 * duration))])
        .collect();
    for a in annotations {
        let field = || format!("annotation {:?} at {} s", a.text, a.onset);
        if !(a.onset.is_finite() && a.onset >= 0.0) {
            return Err(refuse(path, field(), "expected an onset of 0 s or more"));
        }
        if a.text.is_empty() {
            return Err(refuse(
                path,
                field(),
                "an empty text would be read as a time stamp",
            ));
        }
        let text = match &a.channel {
            Some(channel) => format!("{}@@{channel}", a.text),
            None => a.text.clone(),
        };
        let list =
            AnnotationList::new(micro(a.onset), micro(a.duration.unwrap_or(0.0)), vec![text])
                .map_err(|_| refuse(path, field(), "control characters are not allowed"))?;
        let record = ((a.onset / duration) as usize).min(records - 1);
        if let Some(slot) = lists.get_mut(record) {
            slot.push(list);
        }
    }
    Ok(lists)
}

fn save(path: &Path, partial: &Path, recording: &NewRecording<'_>, plan: &Plan) -> Result<()> {
    let start = recording.start;
    let date = NaiveDate::from_ymd_opt(i32::from(start.year), start.month.into(), start.day.into())
        .filter(|_| (1985..=2084).contains(&start.year))
        .ok_or_else(|| {
            refuse(
                path,
                "start",
                format!("{start:?} is no date of 1985 to 2084"),
            )
        })?;
    let time = NaiveTime::from_hms_opt(start.hour.into(), start.minute.into(), start.second.into())
        .ok_or_else(|| refuse(path, "start", format!("{start:?} is no time of day")))?;
    let text = |t: &str| (!t.is_empty()).then(|| t.to_owned());
    let mut file = EDFFile::new(partial).map_err(library(path, "file"))?;
    file.header
        .with_specification(EDFSpecifications::EDFPlus)
        .with_is_continuous(true)
        .with_patient_id(PatientId {
            code: text(recording.patient),
            ..PatientId::default()
        })
        .with_recording_id(RecordingId {
            startdate: Some(date),
            equipment: text(recording.recording),
            ..RecordingId::default()
        })
        .with_start_date(date)
        .with_start_time(time)
        .with_record_duration(plan.duration);
    for (i, (s, (samples, range))) in recording.signals.iter().zip(&plan.signals).enumerate() {
        let mut header = SignalHeader::new();
        header
            .with_label(s.name.to_owned())
            .with_transducer(s.transducer.to_owned())
            .with_physical_dimension(ascii_unit(s.unit))
            .with_physical_range(range.0, range.1)
            .with_digital_range(-32_767, 32_767)
            .with_prefilter(s.prefilter.to_owned())
            .with_samples_count(*samples);
        file.insert_signal(i, header)
            .map_err(library(path, s.name))?;
    }
    let mut lists = SignalHeader::new_annotation(0, EDFSpecifications::EDFPlus);
    lists.with_samples_count(plan.list_bytes.div_ceil(2).max(1));
    file.insert_signal(recording.signals.len(), lists)
        .map_err(library(path, "annotations"))?;
    let digital = recording
        .signals
        .iter()
        .zip(&plan.signals)
        .map(|(s, (_, range))| quantise(path, s, *range))
        .collect::<Result<Vec<Vec<i16>>>>()?;
    for (r, lists) in plan.lists.iter().enumerate().take(plan.records) {
        let mut record = file.header.create_record();
        record.raw_signal_samples = digital
            .iter()
            .zip(&plan.signals)
            .map(|(d, (n, _))| Samples::Values16Bit(d[r * n..(r + 1) * n].to_vec()))
            .collect();
        record.annotations = vec![lists.clone()];
        file.append_record(record)
            .map_err(library(path, "record"))?;
    }
    file.save().map_err(library(path, "header"))
}
