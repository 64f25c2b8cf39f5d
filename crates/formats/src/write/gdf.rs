//! GDF 1.25 and 2.20, for simulated raw data: number type and rate by channel, event tables of
//! modes 1 and 3, missing samples as NaN or as an overflow code.

use std::io::{BufWriter, Write};
use std::path::Path;

use chrono::NaiveDate;

use super::Start;
use crate::error::{Error, Result};
use crate::gdf::{to_days, unit_code};

/// A recording to be written as GDF.
#[derive(Debug, Clone)]
pub struct NewGdf<'a> {
    /// The generation.
    pub version: Version,
    /// Start of the recording, any year from 1 to 9999.
    pub start: Start,
    /// Patient field; use a code, never a name.
    pub patient: &'a str,
    /// Recording field.
    pub recording: &'a str,
    /// Seconds a data record as a ratio: (1, 250) gives one sample a record at 250 Hz, which is
    /// how BioSig writes.
    pub record: (u32, u32),
    /// The channels. All last equally long, a whole number of records.
    pub channels: Vec<NewChannel<'a>>,
    /// Columns of the event table.
    pub table: Table,
    /// Rate that event positions and durations count in, Hz; whole and below 2^24 in 1.25.
    pub event_sfreq: f64,
    /// Events, in the order in which they are written.
    pub events: &'a [Event],
}

/// The two generations that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// GDF 1.25.
    V1,
    /// GDF 2.20.
    V2,
}

/// Columns of an event table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// Mode 1: position and code.
    Plain,
    /// Mode 3: position, code, channel and duration.
    Extended,
}

/// One channel to be written.
#[derive(Debug, Clone)]
pub struct NewChannel<'a> {
    /// Label, at most 16 bytes.
    pub name: &'a str,
    /// Unit of `samples`: in 2.20 one that the standard's codes have ("µV", "mV", "mmHg", ""),
    /// in 1.25 at most 8 ASCII characters ("µV" becomes "uV").
    pub unit: &'a str,
    /// Sampling frequency, Hz.
    pub sfreq: f64,
    /// Number type.
    pub number: Number,
    /// Physical range of the header, in `unit`.
    pub physical: (f64, f64),
    /// The samples, in `unit`; NaN for missing ones.
    pub samples: &'a [f64],
}

/// How samples are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    /// 16-bit integers over a digital range that the physical range is mapped to. Values map to
    /// integers strictly within it; its minimum is the code of a missing sample.
    I16(i16, i16),
    /// 32-bit floats, stored as they are.
    F32,
    /// 64-bit floats, stored as they are.
    F64,
}

/// One event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Sample of the event, from 0 (the file counts from 1).
    pub sample: u32,
    /// Code.
    pub code: u16,
    /// Number of the channel it concerns, from 1; 0 for all.
    pub channel: u16,
    /// Samples that it lasts.
    pub duration: u32,
}

/// Writes a recording. An existing file is replaced once the new one is complete.
///
/// # Errors
/// [`Error::Write`] with the field that does not fit; [`Error::Io`] when the system refuses.
pub fn write(path: &Path, recording: &NewGdf<'_>) -> Result<()> {
    let plan = Plan::new(path, recording)?;
    let head = header(path, recording, &plan)?;
    let table = events(path, recording)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.partial"));
    let save = || {
        let mut out = BufWriter::new(std::fs::File::create(&partial)?);
        out.write_all(&head)?;
        for record in 0..plan.records {
            for (channel, n) in recording.channels.iter().zip(&plan.samples) {
                for &x in channel.samples.iter().skip(record * n).take(*n) {
                    sample(&mut out, channel, x)?;
                }
            }
        }
        out.write_all(&table)?;
        out.flush()?;
        std::fs::rename(&partial, path)
    };
    save().map_err(|error| {
        // The error of the save is the one to tell.
        drop(std::fs::remove_file(&partial));
        Error::io(path, "write", error)
    })
}

fn refuse(path: &Path, field: impl Into<String>, message: impl Into<String>) -> Error {
    Error::Write {
        path: path.to_path_buf(),
        field: field.into(),
        message: message.into(),
    }
}

/// Samples a record by channel and the number of records.
struct Plan {
    samples: Vec<usize>,
    records: usize,
}

impl Plan {
    fn new(path: &Path, recording: &NewGdf<'_>) -> Result<Plan> {
        let n = recording.channels.len();
        // The header's length in blocks is a 16-bit number in 2.20.
        if n == 0 || n > 65_534 {
            let message = format!("expected 1 to 65534, found {n}");
            return Err(refuse(path, "channels", message));
        }
        let (top, bottom) = recording.record;
        if top == 0 || bottom == 0 {
            let message = format!("expected two positive numbers, found {top}/{bottom}");
            return Err(refuse(path, "record duration", message));
        }
        let mut records = None;
        let mut samples = Vec::with_capacity(n);
        for c in &recording.channels {
            check(path, c)?;
            let per_record = c.sfreq * f64::from(top) / f64::from(bottom);
            let whole = per_record.round();
            let fits = whole >= 1.0 && whole <= f64::from(u32::MAX);
            if !fits || (per_record - whole).abs() > 1e-9 * whole {
                let message = format!("{} Hz gives {per_record} samples a record", c.sfreq);
                return Err(refuse(path, format!("rate of {:?}", c.name), message));
            }
            let whole = whole as usize;
            let found = c.samples.len() / whole;
            if c.samples.len() % whole != 0 || *records.get_or_insert(found) != found {
                let message = format!(
                    "{} samples are not as many records of {whole} as the first channel has",
                    c.samples.len()
                );
                return Err(refuse(path, format!("samples of {:?}", c.name), message));
            }
            samples.push(whole);
        }
        Ok(Plan {
            samples,
            records: records.unwrap_or(0),
        })
    }
}

fn check(path: &Path, c: &NewChannel<'_>) -> Result<()> {
    let field = |what: &str| format!("{what} of {:?}", c.name);
    let (low, high) = c.physical;
    if !(low < high && low.is_finite() && high.is_finite()) {
        let message = format!("expected two growing numbers, found {low} and {high}");
        return Err(refuse(path, field("physical range"), message));
    }
    if let Number::I16(min, max) = c.number {
        if i32::from(max) - i32::from(min) < 4 {
            let message = format!("expected four steps or more, found {min} to {max}");
            return Err(refuse(path, field("digital range"), message));
        }
        let outside = |x: f64| !x.is_nan() && digital(c, min, max, x).is_none();
        if let Some(k) = c.samples.iter().position(|&x| outside(x)) {
            let message = format!(
                "{} is not within {low} to {high}, whose ends mean overflow",
                c.samples.get(k).copied().unwrap_or_default()
            );
            return Err(refuse(path, field(&format!("sample {k}")), message));
        }
    }
    Ok(())
}

/// The integer of a value, strictly between the limits.
fn digital(c: &NewChannel<'_>, min: i16, max: i16, x: f64) -> Option<i16> {
    let steps = f64::from(max) - f64::from(min);
    let at = (x - c.physical.0) / (c.physical.1 - c.physical.0) * steps + f64::from(min);
    let at = at.round();
    (at > f64::from(min) && at < f64::from(max)).then_some(at as i16)
}

fn sample(out: &mut impl Write, c: &NewChannel<'_>, x: f64) -> std::io::Result<()> {
    match c.number {
        Number::I16(min, max) => {
            out.write_all(&digital(c, min, max, x).unwrap_or(min).to_le_bytes())
        }
        Number::F32 => out.write_all(&(x as f32).to_le_bytes()),
        Number::F64 => out.write_all(&x.to_le_bytes()),
    }
}

/// Text of a fixed width, filled with spaces in 1.25 and zeros in 2.20.
fn text(path: &Path, v: Version, field: &str, value: &str, width: usize) -> Result<Vec<u8>> {
    if value.len() > width || value.bytes().any(|b| b < 0x20) {
        let message = format!("expected at most {width} bytes of text, found {value:?}");
        return Err(refuse(path, field, message));
    }
    let mut out = value.as_bytes().to_vec();
    out.resize(width, if v == Version::V1 { b' ' } else { 0 });
    Ok(out)
}

fn header(path: &Path, recording: &NewGdf<'_>, plan: &Plan) -> Result<Vec<u8>> {
    let v = recording.version;
    let v1 = v == Version::V1;
    let s = recording.start;
    let date = NaiveDate::from_ymd_opt(i32::from(s.year), s.month.into(), s.day.into())
        .and_then(|d| d.and_hms_opt(s.hour.into(), s.minute.into(), s.second.into()))
        .filter(|_| (1..=9999).contains(&s.year))
        .ok_or_else(|| refuse(path, "start", format!("{s:?} is no date")))?;
    let n = recording.channels.len();
    let length = 256 * (n as u64 + 1);
    let mut out = if v1 { b"GDF 1.25" } else { b"GDF 2.20" }.to_vec();
    if v1 {
        out.extend(text(path, v, "patient", recording.patient, 80)?);
        out.extend(text(path, v, "recording", recording.recording, 80)?);
        out.extend(date.format("%Y%m%d%H%M%S00").to_string().into_bytes());
        out.extend(length.to_le_bytes());
        // Provider, laboratory and technician: unknown; 20 bytes reserved.
        out.extend([0; 44]);
    } else {
        out.extend(text(path, v, "patient", recording.patient, 66)?);
        // Reserved, habits, weight, height, sex: unknown.
        out.extend([0; 14]);
        out.extend(text(path, v, "recording", recording.recording, 64)?);
        // Place: unknown.
        out.extend([0; 16]);
        let days = to_days(date).ok_or_else(|| refuse(path, "start", "no such day"))?;
        out.extend(days.to_le_bytes());
        // Birthday: unknown.
        out.extend([0; 8]);
        out.extend(((length / 256) as u16).to_le_bytes());
        // Classification, equipment, reserved, head size, reference and ground: unknown.
        out.extend([0; 50]);
    }
    out.extend((plan.records as i64).to_le_bytes());
    out.extend(recording.record.0.to_le_bytes());
    out.extend(recording.record.1.to_le_bytes());
    out.extend((n as u32).to_le_bytes());
    channel_headers(path, recording, plan, &mut out)?;
    Ok(out)
}

fn channel_headers(
    path: &Path,
    recording: &NewGdf<'_>,
    plan: &Plan,
    out: &mut Vec<u8>,
) -> Result<()> {
    let v = recording.version;
    let v1 = v == Version::V1;
    let channels = &recording.channels;
    let n = channels.len();
    for c in channels {
        out.extend(text(path, v, "label", c.name, 16)?);
    }
    // Transducers.
    out.resize(out.len() + 80 * n, if v1 { b' ' } else { 0 });
    let plain: Vec<String> = channels
        .iter()
        .map(|c| c.unit.replace(['\u{b5}', '\u{3bc}'], "u"))
        .collect();
    if v1 {
        for unit in &plain {
            out.extend(text(path, v, "unit", unit, 8)?);
        }
    } else {
        // The six obsolete characters, as far as they go.
        out.resize(out.len() + 6 * n, 0);
        for c in channels {
            let code = unit_code(c.unit).ok_or_else(|| {
                let message = format!("{:?} has no code here", c.unit);
                refuse(path, format!("unit of {:?}", c.name), message)
            })?;
            out.extend(code.to_le_bytes());
        }
    }
    let digital = |c: &NewChannel<'_>| match c.number {
        Number::I16(min, max) => (f64::from(min), f64::from(max)),
        // The same range on both sides: values are stored as they are.
        Number::F32 | Number::F64 => c.physical,
    };
    channels
        .iter()
        .for_each(|c| out.extend(c.physical.0.to_le_bytes()));
    channels
        .iter()
        .for_each(|c| out.extend(c.physical.1.to_le_bytes()));
    for side in [0, 1] {
        for c in channels {
            let (min, max) = digital(c);
            let value = if side == 0 { min } else { max };
            if !v1 {
                out.extend(value.to_le_bytes());
            } else if value.fract() == 0.0 && value.abs() < 1e15 {
                out.extend((value as i64).to_le_bytes());
            } else {
                let message = format!("1.25 stores it as a digital limit too, found {value}");
                let field = format!("physical range of {:?}: whole numbers", c.name);
                return Err(refuse(path, field, message));
            }
        }
    }
    if v1 {
        out.resize(out.len() + 80 * n, b' ');
    } else {
        out.resize(out.len() + 68 * n, 0);
        // Low-pass, high-pass and notch: unknown.
        out.extend(f32::NAN.to_le_bytes().repeat(3 * n));
    }
    for samples in &plan.samples {
        out.extend((*samples as u32).to_le_bytes());
    }
    for c in channels {
        let code: u32 = match c.number {
            Number::I16(..) => 3,
            Number::F32 => 16,
            Number::F64 => 17,
        };
        out.extend(code.to_le_bytes());
    }
    out.resize(out.len() + 32 * n, 0);
    Ok(())
}

fn events(path: &Path, recording: &NewGdf<'_>) -> Result<Vec<u8>> {
    let v1 = recording.version == Version::V1;
    let rate = recording.event_sfreq;
    let n = recording.events.len();
    if n == 0 {
        return Ok(Vec::new());
    }
    let most = if v1 { u32::MAX as usize } else { (1 << 24) - 1 };
    if n > most {
        return Err(refuse(
            path,
            "events",
            format!("expected at most {most}, found {n}"),
        ));
    }
    let whole = rate.fract() == 0.0 && rate < f64::from(1 << 24);
    if !(rate > 0.0 && rate.is_finite()) || (v1 && !whole) {
        let message = format!("expected a positive number (whole in 1.25), found {rate}");
        return Err(refuse(path, "rate of the events", message));
    }
    if recording.table == Table::Plain
        && let Some(e) = recording
            .events
            .iter()
            .find(|e| e.channel > 0 || e.duration > 0)
    {
        let message = format!("mode 1 holds neither channel nor duration, found {e:?}");
        return Err(refuse(path, "events", message));
    }
    let mut out = vec![if recording.table == Table::Plain {
        1
    } else {
        3
    }];
    if v1 {
        out.extend(&(rate as u32).to_le_bytes()[..3]);
        out.extend((n as u32).to_le_bytes());
    } else {
        out.extend(&(n as u32).to_le_bytes()[..3]);
        out.extend((rate as f32).to_le_bytes());
    }
    for e in recording.events {
        let position = e
            .sample
            .checked_add(1)
            .ok_or_else(|| refuse(path, "events", format!("sample {} is too late", e.sample)))?;
        out.extend(position.to_le_bytes());
    }
    let events = recording.events;
    events.iter().for_each(|e| out.extend(e.code.to_le_bytes()));
    if recording.table == Table::Extended {
        events
            .iter()
            .for_each(|e| out.extend(e.channel.to_le_bytes()));
        events
            .iter()
            .for_each(|e| out.extend(e.duration.to_le_bytes()));
    }
    Ok(out)
}
