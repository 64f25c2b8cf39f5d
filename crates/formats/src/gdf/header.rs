//! Fixed header (256 bytes) and channel headers (256 bytes a channel) of GDF 1.x and 2.x, after
//! A. Schlögl, "GDF: a general data format for biosignals" (arXiv:cs/0608052).
//!
//! The two generations differ in the date (text; fixed-point days), the length of the header
//! (bytes; blocks of 256), the digital limits (integers; floats), the unit (text; code) and the
//! filters (text; numbers). From 2.21 on a record's duration is one float, before it is a ratio.

use std::path::Path;

use crate::error::{Error, Result};
use crate::recording::{Diagnostic, Severity};
use crate::{text, units};

use super::number::Number;
use super::{date, tags, units as codes};

/// Longest record duration that is believed, seconds.
const LONGEST: f64 = 1e9;

/// What the headers say.
pub(super) struct Fields {
    pub(super) version: f64,
    pub(super) patient: String,
    pub(super) recording: String,
    pub(super) start: Option<String>,
    /// Where the first data record starts.
    pub(super) header_bytes: u64,
    /// Promised number of data records; `None` for -1.
    pub(super) records: Option<u64>,
    /// Seconds a data record.
    pub(super) duration: f64,
    pub(super) signals: Vec<Signal>,
    /// Texts of the event codes that the file itself defines (GDF 2, header 3), by code.
    pub(super) descriptions: Vec<String>,
}

/// One channel.
pub(super) struct Signal {
    pub(super) label: String,
    pub(super) transducer: String,
    pub(super) unit: String,
    pub(super) prefilter: String,
    pub(super) physical: (f64, f64),
    pub(super) digital: (f64, f64),
    /// False when the values are digital ones for want of a usable range.
    pub(super) calibrated: bool,
    /// Samples a record; 0 for a sparse channel, whose samples are events.
    pub(super) samples: u32,
    pub(super) number: Number,
}

impl Fields {
    pub(super) fn is_v1(&self) -> bool {
        self.version < 1.9
    }
}

/// Little-endian fields of one file, so that every error names it.
struct Reader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn array<const W: usize>(&self, at: u64) -> Result<[u8; W]> {
        usize::try_from(at)
            .ok()
            .and_then(|at| self.bytes.get(at..)?.first_chunk::<W>())
            .copied()
            .ok_or_else(|| self.error("header", at, "the file ends within the header".to_owned()))
    }

    fn text(&self, at: u64, width: usize) -> String {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        self.bytes
            .get(start..start.saturating_add(width))
            .map(text::field)
            .unwrap_or_default()
    }

    fn u32(&self, at: u64) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array(at)?))
    }

    fn f32(&self, at: u64) -> Result<f32> {
        Ok(f32::from_le_bytes(self.array(at)?))
    }

    fn f64(&self, at: u64) -> Result<f64> {
        Ok(f64::from_le_bytes(self.array(at)?))
    }

    fn i64(&self, at: u64) -> Result<i64> {
        Ok(i64::from_le_bytes(self.array(at)?))
    }

    fn error(&self, field: impl Into<String>, at: u64, message: String) -> Error {
        Error::header(self.path, field, at, message)
    }
}

/// Parses the headers.
///
/// # Errors
/// [`Error::Header`] with field and offset for every value that cannot be true;
/// [`Error::Unsupported`] for other versions and for number types that are not read here.
pub(super) fn parse(
    path: &Path,
    bytes: &[u8],
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Fields> {
    let r = Reader { path, bytes };
    let len = bytes.len() as u64;
    if len < 256 {
        let message = format!("expected 256 bytes at least, the file ends after {len}");
        return Err(r.error("header", len, message));
    }
    let raw = r.text(3, 5);
    let version: f64 = raw.parse().map_err(|_| {
        let message = format!("expected a number such as 1.25 or 2.20, found {raw:?}");
        r.error("version", 4, message)
    })?;
    if !(1.0..3.0).contains(&version) {
        return Err(Error::Unsupported {
            path: path.to_path_buf(),
            what: format!("GDF {raw} (1.x and 2.x are read)"),
        });
    }
    let v1 = version < 1.9;
    let n = if v1 {
        u64::from(r.u32(252)?)
    } else {
        u64::from(u16::from_le_bytes(r.array(252)?))
    };
    if n == 0 {
        let message = "expected 1 or more, found 0".to_owned();
        return Err(r.error("number of channels", 252, message));
    }
    let least = 256 * (n + 1);
    if len < least {
        let message = format!("{n} channels need {least} bytes, the file ends after {len}");
        return Err(r.error("header", len, message));
    }
    let header_bytes = if v1 {
        u64::try_from(r.i64(184)?).unwrap_or(0)
    } else {
        256 * u64::from(u16::from_le_bytes(r.array(184)?))
    };
    if header_bytes < least || header_bytes > len {
        let message = format!(
            "expected {least} at least for {n} channels and at most the {len} of the file, \
             found {header_bytes}"
        );
        return Err(r.error("length of the header", 184, message));
    }
    let records = match r.i64(236)? {
        -1 => None,
        count => Some(u64::try_from(count).map_err(|_| {
            let message = format!("expected -1 (unknown) or more, found {count}");
            r.error("number of data records", 236, message)
        })?),
    };
    let duration = duration(&r, version, diagnostics)?;
    let signals = (0..n)
        .map(|i| signal(&r, n, i, v1, diagnostics))
        .collect::<Result<Vec<_>>>()?;
    let descriptions = if v1 {
        Vec::new()
    } else {
        let header3 = bytes.get(least as usize..header_bytes as usize);
        tags::descriptions(header3.unwrap_or_default(), diagnostics)
    };
    Ok(Fields {
        version,
        patient: r.text(8, if v1 { 80 } else { 66 }),
        recording: r.text(88, if v1 { 80 } else { 64 }),
        start: if v1 {
            date::from_text(&r.text(168, 16), diagnostics)
        } else {
            date::from_days(u64::from_le_bytes(r.array(168)?), diagnostics)
        },
        header_bytes,
        records,
        duration,
        signals,
        descriptions,
    })
}

/// Seconds a record: a ratio of two integers up to 2.20, a float from 2.21 on. The generations
/// were mixed up by writers, so the other reading is taken where only that one makes sense.
fn duration(r: &Reader<'_>, version: f64, diagnostics: &mut Vec<Diagnostic>) -> Result<f64> {
    let believed = |x: &f64| (1e-9..LONGEST).contains(x);
    let (top, bottom) = (r.u32(244)?, r.u32(248)?);
    let ratio = Some(f64::from(top) / f64::from(bottom)).filter(believed);
    let single = Some(r.f64(244)?).filter(believed);
    let (first, second, other) = if version < 2.205 {
        (ratio, single, "a float")
    } else {
        (single, ratio, "a ratio")
    };
    if let Some(found) = first {
        return Ok(found);
    }
    if let (Some(found), false) = (second, version < 1.9) {
        diagnostics.push(Diagnostic::new(
            "record-duration-type",
            Severity::Warning,
            format!("the record duration makes sense only as {other}: {found} s"),
        ));
        return Ok(found);
    }
    if top == 0 || bottom == 0 {
        diagnostics.push(Diagnostic::new(
            "record-duration-zero",
            Severity::Warning,
            "the header gives data records of no duration; 1 s is assumed, so rates may be wrong",
        ));
        return Ok(1.0);
    }
    let message = format!("expected seconds, found the ratio {top}/{bottom}");
    Err(r.error("duration of a data record", 244, message))
}

fn signal(
    r: &Reader<'_>,
    n: u64,
    i: u64,
    v1: bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Signal> {
    // Column `offset` of the channel headers, `width` bytes a channel.
    let at = |offset: u64, width: u64| 256 + offset * n + width * i;
    let label = r.text(at(0, 16), 16);
    let named = |field: &str| format!("{field} of channel {} ({label:?})", i + 1);
    let code = r.u32(at(220, 4))?;
    let number = Number::from_code(code).ok_or_else(|| Error::Unsupported {
        path: r.path.to_path_buf(),
        what: named(&format!("number type {code}")),
    })?;
    let physical = (r.f64(at(104, 8))?, r.f64(at(112, 8))?);
    let digital = if v1 {
        (r.i64(at(120, 8))? as f64, r.i64(at(128, 8))? as f64)
    } else {
        (r.f64(at(120, 8))?, r.f64(at(128, 8))?)
    };
    let identity = physical == digital && physical.0 < physical.1;
    let finite = |range: (f64, f64)| range.0.is_finite() && range.1.is_finite();
    if !identity {
        if !finite(physical) {
            let message = format!("expected finite numbers, found {physical:?}");
            return Err(r.error(named("physical minimum or maximum"), at(104, 8), message));
        }
        if !finite(digital) {
            let message = format!("expected finite numbers, found {digital:?}");
            return Err(r.error(named("digital minimum or maximum"), at(120, 8), message));
        }
    }
    // Without any range there is nothing to scale by; a range on one side only is a mistake.
    let calibrated = physical.0 != physical.1;
    if calibrated && digital.0 >= digital.1 {
        let message = format!(
            "expected less than the digital maximum {}, found {}",
            digital.1, digital.0
        );
        return Err(r.error(named("digital minimum"), at(120, 8), message));
    }
    if !calibrated {
        diagnostics.push(Diagnostic::new(
            "uncalibrated",
            Severity::Warning,
            format!(
                "{}: minimum and maximum are both {}; its values are the stored ones, without \
                 a unit",
                named("physical range"),
                physical.0
            ),
        ));
    }
    let unit = if v1 {
        units::normalise(&r.text(at(96, 8), 8))
    } else {
        let code = u16::from_le_bytes(r.array(at(102, 2))?);
        // The six characters are obsolete and often empty.
        codes::name(code).unwrap_or_else(|| units::normalise(&r.text(at(96, 6), 6)))
    };
    Ok(Signal {
        transducer: r.text(at(16, 80), 80),
        prefilter: if v1 {
            r.text(at(136, 80), 80)
        } else {
            filters(r.f32(at(208, 4))?, r.f32(at(204, 4))?, r.f32(at(212, 4))?)
        },
        unit,
        physical,
        digital,
        calibrated,
        samples: r.u32(at(216, 4))?,
        number,
        label,
    })
}

/// High-pass, low-pass and notch in the words that EDF uses; what is unknown is left out.
fn filters(high: f32, low: f32, notch: f32) -> String {
    [("HP", high), ("LP", low), ("N", notch)]
        .iter()
        .filter(|(_, hz)| hz.is_finite() && *hz > 0.0 && *hz < 1e6)
        .map(|(name, hz)| format!("{name}:{hz}Hz"))
        .collect::<Vec<_>>()
        .join(" ")
}
