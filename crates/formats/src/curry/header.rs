//! The parameter file (.dap, .dpa, .dpo) and the labels (.rs3 or the same file) to values,
//! each error with its line.

use std::path::Path;

use crate::error::{Error, Result};
use crate::recording::{Diagnostic, Severity};
use crate::units;

use super::sections::{self, Value};

/// Most channels: bounds what a few bytes of header can make the reader allocate.
const MOST_CHANNELS: usize = 8192;
/// Identifies the compressed variant of .cdt.
const COMPRESSED: &str = "{2912E8D8-F5C8-4E25-A8E7-A1385967DA09}";

/// Everything used of a parameter file but the channels.
pub(super) struct Fields {
    /// Samples a trial; `None` when the file leaves it to the size of the data.
    pub(super) samples: Option<usize>,
    pub(super) channels: usize,
    pub(super) trials: usize,
    pub(super) sfreq: f64,
    pub(super) ascii: bool,
    pub(super) big_endian: bool,
    /// Channel after channel.
    pub(super) blocked: bool,
    pub(super) start: Option<String>,
    /// Time of the first sample of a trial, microseconds.
    pub(super) offset: f64,
}

/// One channel that is in the data file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Electrode {
    pub(super) name: String,
    pub(super) unit: String,
}

/// Parses a parameter file.
///
/// # Errors
/// [`Error::Text`] with line and key; [`Error::Unsupported`] for the compressed variant and
/// other number formats.
pub(super) fn parse(path: &Path, text: &str, notes: &mut Vec<Diagnostic>) -> Result<Fields> {
    let unsupported = |what: String| Error::Unsupported {
        path: path.to_path_buf(),
        what,
    };
    if sections::value(text, "", &["DataGuid"]).is_some_and(|v| v.text == COMPRESSED) {
        return Err(unsupported("compressed Curry data".into()));
    }
    let find = |keys: [&str; 2]| sections::value(text, "", &keys);
    let need = |keys: [&'static str; 2]| {
        find(keys).ok_or_else(|| wrong(path, 0, keys[0], "expected this key, found none".into()))
    };
    let count = |keys: [&'static str; 2], most: usize| -> Result<usize> {
        let v = need(keys)?;
        let n = v.text.parse::<usize>().ok();
        n.filter(|n| (1..=most).contains(n)).ok_or_else(|| {
            let message = format!("expected 1 to {most}, found {:?}", v.text);
            wrong(path, v.line, keys[0], message)
        })
    };
    let channels = count(["NumChannels", "NUM_CHANNELS"], MOST_CHANNELS)?;
    let trials = match find(["NumTrials", "NUM_TRIALS"]) {
        Some(v) if v.text != "0" => count(["NumTrials", "NUM_TRIALS"], u32::MAX as usize)?,
        _ => 1,
    };
    let samples = need(["NumSamples", "NUM_SAMPLES"])?;
    let samples = match samples.text.parse::<i64>() {
        // Acquisition that was cut off leaves -1.
        Ok(n) => usize::try_from(n).ok(),
        Err(_) => {
            let message = format!("expected a whole number, found {:?}", samples.text);
            return Err(wrong(path, samples.line, "NumSamples", message));
        }
    };
    let number = |keys: [&'static str; 2]| -> Result<Option<f64>> {
        let Some(v) = find(keys) else { return Ok(None) };
        let x = v.text.replace(',', ".").parse::<f64>().ok();
        let x = x.filter(|x| x.is_finite()).ok_or_else(|| {
            let message = format!("expected a number, found {:?}", v.text);
            wrong(path, v.line, keys[0], message)
        })?;
        Ok(Some(x))
    };
    let interval = number(["SampleTimeUsec", "SAMPLE_TIME_USEC"])?.filter(|us| *us != 0.0);
    let frequency = number(["SampleFreqHz", "SAMPLE_FREQ_HZ"])?.filter(|hz| *hz != 0.0);
    let sfreq = rate(path, interval, frequency, notes)?;
    let text_of = |keys| find(keys).map_or("", |v| v.text);
    let format = text_of(["DataFormat", "DATA_FORMAT"]).to_ascii_uppercase();
    let bytes = text_of(["DataByteOrder", "DATA_BYTE_ORDER"]).to_ascii_uppercase();
    let ascii = format == "ASCII" || bytes == "ASCII";
    if !ascii && !matches!(format.as_str(), "" | "FLOAT" | "RAW") {
        return Err(unsupported(format!(
            "DataFormat {format} (FLOAT and ASCII are)"
        )));
    }
    let blocked = match find(["DataSampOrder", "DATA_SAMP_ORDER"]) {
        None => false,
        Some(v) if matches!(v.text, "" | "SAMP") => false,
        Some(v) if v.text == "CHAN" => true,
        Some(v) => {
            let message = format!("expected SAMP or CHAN, found {:?}", v.text);
            return Err(wrong(path, v.line, "DataSampOrder", message));
        }
    };
    Ok(Fields {
        samples,
        channels,
        trials,
        sfreq,
        ascii,
        big_endian: bytes == "MOTOROLA",
        blocked,
        start: start(text),
        offset: number(["TriggerOffsetUsec", "TRIGGER_OFFSET_USEC"])?.unwrap_or(0.0),
    })
}

/// The interval counts when both are given, as in other readers.
fn rate(
    path: &Path,
    interval: Option<f64>,
    frequency: Option<f64>,
    notes: &mut Vec<Diagnostic>,
) -> Result<f64> {
    let sfreq = match (interval, frequency) {
        (Some(us), _) => 1e6 / us,
        (None, Some(hz)) => hz,
        (None, None) => f64::NAN,
    };
    if !(sfreq.is_finite() && sfreq > 0.0) {
        let message = format!(
            "expected a rate above 0, found SampleTimeUsec {interval:?}, SampleFreqHz {frequency:?}"
        );
        return Err(wrong(path, 0, "SampleFreqHz", message));
    }
    if let Some(hz) = frequency
        && (sfreq - hz).abs() > 1e-5 * hz.abs() + 1e-8
    {
        notes.push(Diagnostic::new(
            "rate-disagrees",
            Severity::Warning,
            format!("SampleFreqHz says {hz} Hz, SampleTimeUsec {sfreq} Hz; the latter is taken"),
        ));
    }
    Ok(sfreq)
}

fn start(text: &str) -> Option<String> {
    let number = |key: &str| sections::value(text, "", &[key])?.text.parse::<u32>().ok();
    let year = number("StartYear").filter(|y| (1..10_000).contains(y))?;
    let day = chrono::NaiveDate::from_ymd_opt(
        i32::try_from(year).ok()?,
        number("StartMonth")?,
        number("StartDay")?,
    )?;
    let milli = number("StartMillisec").unwrap_or(0);
    let time = day.and_hms_milli_opt(
        number("StartHour")?,
        number("StartMin")?,
        number("StartSec")?,
        milli,
    )?;
    let pattern = if milli == 0 {
        "%Y-%m-%dT%H:%M:%S"
    } else {
        "%Y-%m-%dT%H:%M:%S%.3f"
    };
    Some(time.format(pattern).to_string())
}

/// The channels in the order of the data file. `labels` is the text that has the LABELS lists,
/// `parameters` the one with the units and the places in the file.
///
/// # Errors
/// [`Error::Text`] when a CHAN_IN_FILE entry is no number.
pub(super) fn electrodes(
    path: &Path,
    parameters: &str,
    labels: &str,
    n: usize,
    notes: &mut Vec<Diagnostic>,
) -> Result<Vec<Electrode>> {
    let mut named = Vec::new();
    let mut places = Vec::new();
    for group in sections::groups(labels, "LABELS") {
        let unit = unit(parameters, group);
        let before = named.len();
        let rows = sections::list(labels, &format!("LABELS{group}"))
            .into_iter()
            .flatten();
        // Labels of electrodes that are not recorded come on top of the channels.
        let room = (2 * MOST_CHANNELS).saturating_sub(before);
        named.extend(rows.take(room).map(|v| Electrode {
            name: v.text.to_owned(),
            unit: unit.clone(),
        }));
        let rows = sections::list(parameters, &format!("CHAN_IN_FILE{group}"));
        for v in rows.into_iter().flatten().take(named.len() - before) {
            places.push(place(path, v)?);
        }
    }
    let mut out = match arranged(&named, &places, n) {
        Some(out) => out,
        None => {
            if !places.is_empty() {
                notes.push(Diagnostic::new(
                    "channel-order-unclear",
                    Severity::Warning,
                    "CHAN_IN_FILE does not give each channel one place; labels are taken in order",
                ));
            }
            named
        }
    };
    if out.len() != n {
        notes.push(Diagnostic::new(
            "labels-disagree",
            Severity::Warning,
            format!(
                "{n} channels, {} labels; {}",
                out.len(),
                if out.len() > n {
                    "the last are left out"
                } else {
                    "the others are EEG1, EEG2, ..."
                }
            ),
        ));
        out.truncate(n);
        let unit = unit(parameters, "");
        out.extend((out.len()..n).map(|i| Electrode {
            name: format!("EEG{}", i + 1),
            unit: unit.clone(),
        }));
    }
    Ok(out)
}

fn unit(parameters: &str, group: &str) -> String {
    let section = format!("DEVICE_PARAMETERS{group}");
    match sections::value(parameters, &section, &["DataUnit"]) {
        Some(v) => units::normalise(v.text),
        // Curry's own unit of EEG.
        None if group.is_empty() => "µV".to_owned(),
        None => String::new(),
    }
}

fn place(path: &Path, v: Value<'_>) -> Result<usize> {
    v.text.parse().map_err(|_| {
        let message = format!("expected a channel's number or 0, found {:?}", v.text);
        wrong(path, v.line, "CHAN_IN_FILE", message)
    })
}

/// Labels by their places 1 to `n`; `None` unless every place is taken once.
fn arranged(named: &[Electrode], places: &[usize], n: usize) -> Option<Vec<Electrode>> {
    if named.len() != places.len() || places.iter().filter(|p| **p > 0).count() != n {
        return None;
    }
    let mut out: Vec<Option<Electrode>> = vec![None; n];
    for (electrode, place) in named.iter().zip(places) {
        if let Some(i) = place.checked_sub(1) {
            let slot = out.get_mut(i)?;
            if slot.replace(electrode.clone()).is_some() {
                return None;
            }
        }
    }
    out.into_iter().collect()
}

fn wrong(path: &Path, line: usize, field: &str, message: String) -> Error {
    Error::Text {
        path: path.to_path_buf(),
        line,
        field: field.to_owned(),
        message,
    }
}
