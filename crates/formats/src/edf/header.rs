//! The fixed-width header of EDF and BDF (<https://www.edfplus.info/specs/edf.html>,
//! <https://www.biosemi.com/faq/file_format.htm>): fields to values, each with its offset.

use std::path::Path;

use crate::error::{Error, Result};
use crate::recording::{Container, Diagnostic, Severity};
use crate::text;

/// Everything in the header of an EDF or BDF file.
pub(super) struct Fields {
    pub(super) container: Container,
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
}

/// One column of the signal headers.
pub(super) struct Signal {
    pub(super) label: String,
    pub(super) transducer: String,
    pub(super) dimension: String,
    pub(super) prefilter: String,
    pub(super) samples: u64,
    pub(super) range: Range,
    pub(super) annotations: bool,
}

/// Physical and digital range.
pub(super) struct Range {
    pub(super) physical: (f64, f64),
    pub(super) digital: (f64, f64),
    /// False when the values are digital ones for want of a usable range.
    pub(super) calibrated: bool,
}

impl Fields {
    pub(super) fn is_bdf(&self) -> bool {
        matches!(
            self.container,
            Container::Bdf | Container::BdfPlusC | Container::BdfPlusD
        )
    }

    pub(super) fn is_plus(&self) -> bool {
        !matches!(self.container, Container::Edf | Container::Bdf)
    }

    pub(super) fn is_discontinuous(&self) -> bool {
        matches!(self.container, Container::EdfPlusD | Container::BdfPlusD)
    }
}

/// Reads fields of one file, so that every error names it.
struct Reader<'a> {
    path: &'a Path,
    bytes: &'a [u8],
}

impl Reader<'_> {
    fn text(&self, offset: u64, width: usize) -> String {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        self.bytes
            .get(start..start.saturating_add(width))
            .map(text::field)
            .unwrap_or_default()
    }

    fn error(&self, field: &str, offset: u64, message: String) -> Error {
        Error::header(self.path, field, offset, message)
    }

    fn integer(&self, field: &str, offset: u64, width: usize) -> Result<i64> {
        let raw = self.text(offset, width);
        raw.trim_start_matches('+').parse().map_err(|_| {
            self.error(
                field,
                offset,
                format!("expected a whole number, found {raw:?}"),
            )
        })
    }

    fn real(&self, field: &str, offset: u64, width: usize) -> Result<f64> {
        let raw = self.text(offset, width);
        // Some writers use the decimal comma of their locale.
        match raw.replace(',', ".").parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(self.error(
                field,
                offset,
                format!("expected a finite number, found {raw:?}"),
            )),
        }
    }
}

/// Parses the header.
///
/// # Errors
/// [`Error::Header`] with field and offset for every value that cannot be true.
pub(super) fn parse(
    path: &Path,
    bytes: &[u8],
    bdf: bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Fields> {
    let r = Reader { path, bytes };
    let len = bytes.len() as u64;
    if len < 256 {
        return Err(r.error(
            "header",
            len,
            format!("expected 256 bytes at least, the file ends after {len}; fetch it again"),
        ));
    }
    let count = r.integer("number of signals", 252, 4)?;
    let n = match u64::try_from(count) {
        Ok(n @ 1..) => n,
        _ => {
            return Err(r.error(
                "number of signals",
                252,
                format!("expected 1 to 9999, found {count}"),
            ));
        }
    };
    let expected = 256 * (n + 1);
    if len < expected {
        return Err(r.error(
            "header",
            len,
            format!("{n} signals need a header of {expected} bytes, the file ends after {len}"),
        ));
    }
    let header_bytes = r.integer("number of bytes in header", 184, 8)?;
    if header_bytes != expected as i64 {
        return Err(r.error(
            "number of bytes in header",
            184,
            format!("expected {expected} for {n} signals, found {header_bytes}"),
        ));
    }
    let records = match r.integer("number of data records", 236, 8)? {
        -1 => None,
        count if count < 0 => {
            return Err(r.error(
                "number of data records",
                236,
                format!("expected -1 (unknown) or more, found {count}"),
            ));
        }
        count => Some(count as u64),
    };
    let duration = r.real("duration of a data record", 244, 8)?;
    if duration < 0.0 {
        return Err(r.error(
            "duration of a data record",
            244,
            format!("expected seconds, 0 or more, found {duration}"),
        ));
    }
    let signals = (0..n)
        .map(|i| signal(&r, n, i, bdf, diagnostics))
        .collect::<Result<Vec<_>>>()?;
    let recording = r.text(88, 80);
    if bytes[..expected as usize]
        .iter()
        .skip(1)
        .any(|b| !b.is_ascii())
    {
        diagnostics.push(Diagnostic::new(
            "header-not-ascii",
            Severity::Note,
            "the header holds bytes beyond ASCII; read as UTF-8, else as Latin-1",
        ));
    }
    Ok(Fields {
        container: container(bdf, &r.text(192, 44), diagnostics),
        patient: r.text(8, 80),
        start: super::date::start(&r.text(168, 8), &r.text(176, 8), &recording, diagnostics),
        recording,
        header_bytes: expected,
        records,
        duration,
        signals,
    })
}

/// The container that magic and reserved field together announce.
fn container(bdf: bool, reserved: &str, diagnostics: &mut Vec<Diagnostic>) -> Container {
    let plus = reserved.get(..5).unwrap_or(reserved);
    if matches!(
        (bdf, plus),
        (true, "EDF+C" | "EDF+D") | (false, "BDF+C" | "BDF+D")
    ) {
        diagnostics.push(Diagnostic::new(
            "reserved-disagrees",
            Severity::Note,
            format!(
                "the reserved field says {plus}, the version field {}; the latter decides the \
                 width of a sample",
                if bdf { "BDF" } else { "EDF" }
            ),
        ));
    }
    match (bdf, plus) {
        (false, "EDF+C" | "BDF+C") => Container::EdfPlusC,
        (false, "EDF+D" | "BDF+D") => Container::EdfPlusD,
        (false, _) => Container::Edf,
        (true, "EDF+C" | "BDF+C") => Container::BdfPlusC,
        (true, "EDF+D" | "BDF+D") => Container::BdfPlusD,
        (true, _) => Container::Bdf,
    }
}

fn signal(
    r: &Reader<'_>,
    n: u64,
    i: u64,
    bdf: bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Signal> {
    // Column `c` of width `w` starts at 256 + n · (widths before it).
    let at = |before: u64, width: u64| 256 + n * before + i * width;
    let label = r.text(at(0, 16), 16);
    let annotations = label == "EDF Annotations" || label == "BDF Annotations";
    let samples_at = at(216, 8);
    let samples = r.integer(
        &format!("samples in a data record of signal {i}"),
        samples_at,
        8,
    )?;
    let samples = match u64::try_from(samples) {
        Ok(samples @ 1..) => samples,
        _ => {
            return Err(r.error(
                &format!("samples in a data record of signal {i} {label:?}"),
                samples_at,
                format!("expected 1 or more, found {samples}"),
            ));
        }
    };
    let range = if annotations {
        // Never used; some writers leave nonsense here.
        Range {
            physical: (-1.0, 1.0),
            digital: (-1.0, 1.0),
            calibrated: false,
        }
    } else {
        range(r, &at, i, &label, bdf, diagnostics)?
    };
    Ok(Signal {
        transducer: r.text(at(16, 80), 80),
        dimension: r.text(at(96, 8), 8),
        prefilter: r.text(at(136, 80), 80),
        label,
        samples,
        range,
        annotations,
    })
}

/// Whether a column has no electrode: "-" and "." are how CHB-MIT and others say so.
pub(super) fn is_dummy(label: &str) -> bool {
    matches!(label, "" | "-" | ".")
}

fn range(
    r: &Reader<'_>,
    at: &dyn Fn(u64, u64) -> u64,
    i: u64,
    label: &str,
    bdf: bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Range> {
    let name = |what: &str| format!("{what} of signal {i} {label:?}");
    let dummy = is_dummy(label);
    let full = if bdf { 8_388_608.0 } else { 32_768.0 };
    let read = || -> Result<Range> {
        let physical = (
            r.real(&name("physical minimum"), at(104, 8), 8)?,
            r.real(&name("physical maximum"), at(112, 8), 8)?,
        );
        let digital = (
            r.real(&name("digital minimum"), at(120, 8), 8)?,
            r.real(&name("digital maximum"), at(128, 8), 8)?,
        );
        if digital.0 >= digital.1 {
            return Err(r.error(
                &name("digital minimum"),
                at(120, 8),
                format!(
                    "expected less than the digital maximum {}, found {}",
                    digital.1, digital.0
                ),
            ));
        }
        Ok(Range {
            physical,
            digital,
            calibrated: true,
        })
    };
    let identity = || Range {
        physical: (-full, full - 1.0),
        digital: (-full, full - 1.0),
        calibrated: false,
    };
    match read() {
        Ok(range) if range.physical.0 == range.physical.1 => {
            diagnostics.push(Diagnostic::new(
                "uncalibrated",
                if dummy {
                    Severity::Note
                } else {
                    Severity::Warning
                },
                format!(
                    "signal {i} {label:?}: physical minimum and maximum are both {}; its digital \
                     values are given as they are, without a unit",
                    range.physical.0
                ),
            ));
            Ok(identity())
        }
        Ok(range) => Ok(range),
        Err(error) if dummy => {
            diagnostics.push(Diagnostic::new(
                "uncalibrated",
                Severity::Note,
                format!("dummy signal {i} {label:?} has no usable range ({error}); digital values"),
            ));
            Ok(identity())
        }
        Err(error) => Err(error),
    }
}
