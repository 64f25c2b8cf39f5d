//! The .vhdr file (Brain Vision Core Data Format 1.0 and 2.0) to values, each error with its line.

use std::path::Path;

use crate::error::{Error, Result};
use crate::units;

use super::ini::{self, Entry};

/// How one number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Int16,
    UInt16,
    Int32,
    Float32,
    Float64,
}

impl Number {
    pub(super) fn bytes(self) -> usize {
        match self {
            Number::Int16 | Number::UInt16 => 2,
            Number::Int32 | Number::Float32 => 4,
            Number::Float64 => 8,
        }
    }
}

/// How the data file is laid out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Storage {
    Binary {
        number: Number,
        big_endian: bool,
    },
    Ascii {
        decimal: char,
        skip_lines: usize,
        skip_columns: usize,
    },
}

/// Everything used of a .vhdr.
pub(super) struct Fields {
    pub(super) data_file: String,
    pub(super) marker_file: Option<String>,
    pub(super) vectorized: bool,
    pub(super) storage: Storage,
    /// Microseconds between samples.
    pub(super) interval: f64,
    pub(super) data_points: Option<u64>,
    pub(super) channels: Vec<Electrode>,
}

/// One channel line.
pub(super) struct Electrode {
    pub(super) name: String,
    pub(super) reference: String,
    pub(super) resolution: f64,
    pub(super) unit: String,
}

/// Parses a header file.
///
/// # Errors
/// [`Error::Text`] with line, section and key; [`Error::Unsupported`] for frequency-domain data.
pub(super) fn parse(path: &Path, text: &str) -> Result<Fields> {
    let all: Vec<Entry<'_>> = ini::entries(text).collect();
    let find = |section: &str, key: &str| {
        all.iter().find(|e| {
            e.section.eq_ignore_ascii_case(section)
                && e.key.eq_ignore_ascii_case(key)
                && !e.value.is_empty()
        })
    };
    let wrong = |line: usize, field: &str, message: String| Error::Text {
        path: path.to_path_buf(),
        line,
        field: field.to_owned(),
        message,
    };
    let need = |section: &str, key: &str| {
        find(section, key).ok_or_else(|| {
            wrong(
                0,
                &format!("[{section}] {key}"),
                "expected this key, found none".into(),
            )
        })
    };
    if let Some(kind) = find("Common Infos", "DataType")
        && !kind.value.eq_ignore_ascii_case("TIMEDOMAIN")
    {
        return Err(Error::Unsupported {
            path: path.to_path_buf(),
            what: format!("DataType {} (only TIMEDOMAIN is)", kind.value),
        });
    }
    let vectorized = match find("Common Infos", "DataOrientation") {
        None => false,
        Some(e) if e.value.eq_ignore_ascii_case("MULTIPLEXED") => false,
        Some(e) if e.value.eq_ignore_ascii_case("VECTORIZED") => true,
        Some(e) => {
            let message = format!("expected MULTIPLEXED or VECTORIZED, found {:?}", e.value);
            return Err(wrong(e.line, "[Common Infos] DataOrientation", message));
        }
    };
    let interval = need("Common Infos", "SamplingInterval")?;
    let microseconds = interval.value.replace(',', ".").parse::<f64>().ok();
    let microseconds = microseconds
        .filter(|us| us.is_finite() && *us > 0.0 && *us <= 1e12)
        .ok_or_else(|| {
            let message = format!("expected microseconds above 0, found {:?}", interval.value);
            wrong(interval.line, "[Common Infos] SamplingInterval", message)
        })?;
    let storage = match find("Common Infos", "DataFormat") {
        Some(e) if e.value.eq_ignore_ascii_case("ASCII") => ascii(&find, &wrong)?,
        Some(e) if !e.value.eq_ignore_ascii_case("BINARY") => {
            let message = format!("expected BINARY or ASCII, found {:?}", e.value);
            return Err(wrong(e.line, "[Common Infos] DataFormat", message));
        }
        _ => binary(need("Binary Infos", "BinaryFormat")?, &find, &wrong)?,
    };
    let count = need("Common Infos", "NumberOfChannels")?;
    let n = count
        .value
        .parse::<usize>()
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| {
            let message = format!("expected 1 or more, found {:?}", count.value);
            wrong(count.line, "[Common Infos] NumberOfChannels", message)
        })?;
    let data_points = match find("Common Infos", "DataPoints") {
        None => None,
        Some(e) => Some(e.value.parse::<u64>().map_err(|_| {
            let message = format!("expected a whole number, found {:?}", e.value);
            wrong(e.line, "[Common Infos] DataPoints", message)
        })?),
    };
    Ok(Fields {
        data_file: need("Common Infos", "DataFile")?.value.to_owned(),
        marker_file: find("Common Infos", "MarkerFile").map(|e| e.value.to_owned()),
        vectorized,
        storage,
        interval: microseconds,
        data_points,
        channels: channels(&all, n, count.line, &wrong)?,
    })
}

type Wrong<'a> = dyn Fn(usize, &str, String) -> Error + 'a;
type Find<'a, 'b> = dyn Fn(&str, &str) -> Option<&'b Entry<'b>> + 'a;

fn binary(format: &Entry<'_>, find: &Find<'_, '_>, wrong: &Wrong<'_>) -> Result<Storage> {
    let number = match format.value.to_ascii_uppercase().as_str() {
        "INT_16" => Number::Int16,
        "UINT_16" => Number::UInt16,
        "INT_32" => Number::Int32,
        "IEEE_FLOAT_32" => Number::Float32,
        "IEEE_FLOAT_64" => Number::Float64,
        other => {
            let message = format!(
                "expected INT_16, UINT_16, INT_32, IEEE_FLOAT_32 or IEEE_FLOAT_64, found {other:?}"
            );
            return Err(wrong(format.line, "[Binary Infos] BinaryFormat", message));
        }
    };
    let big_endian = find("Binary Infos", "UseBigEndianOrder")
        .is_some_and(|e| e.value.eq_ignore_ascii_case("YES"));
    Ok(Storage::Binary { number, big_endian })
}

fn ascii(find: &Find<'_, '_>, wrong: &Wrong<'_>) -> Result<Storage> {
    let whole = |key: &str| match find("ASCII Infos", key) {
        None => Ok(0),
        Some(e) => e.value.parse::<usize>().map_err(|_| {
            let message = format!("expected a whole number, found {:?}", e.value);
            wrong(e.line, &format!("[ASCII Infos] {key}"), message)
        }),
    };
    let decimal = match find("ASCII Infos", "DecimalSymbol") {
        None => '.',
        Some(e) if matches!(e.value, "." | ",") => e.value.chars().next().unwrap_or('.'),
        Some(e) => {
            let message = format!("expected . or a comma, found {:?}", e.value);
            return Err(wrong(e.line, "[ASCII Infos] DecimalSymbol", message));
        }
    };
    Ok(Storage::Ascii {
        decimal,
        skip_lines: whole("SkipLines")?,
        skip_columns: whole("SkipColumns")?,
    })
}

fn channels(
    all: &[Entry<'_>],
    n: usize,
    count_line: usize,
    wrong: &Wrong<'_>,
) -> Result<Vec<Electrode>> {
    let lines: Vec<(usize, &Entry<'_>)> = all
        .iter()
        .filter(|e| e.section.eq_ignore_ascii_case("Channel Infos"))
        .filter_map(|e| Some((ini::numbered(e.key, "Ch")?, e)))
        .collect();
    // Before anything of size n is made: n must be backed by as many lines.
    if lines.len() != n {
        let message = format!(
            "expected {n} lines in [Channel Infos], found {}",
            lines.len()
        );
        return Err(wrong(
            count_line,
            "[Common Infos] NumberOfChannels",
            message,
        ));
    }
    let mut out: Vec<Option<Electrode>> = Vec::new();
    out.resize_with(n, || None);
    for (number, entry) in lines {
        let field = format!("[Channel Infos] {}", entry.key);
        let slot = number
            .checked_sub(1)
            .and_then(|i| out.get_mut(i))
            .ok_or_else(|| {
                wrong(
                    entry.line,
                    &field,
                    format!("expected channel 1 to {n}, found {number}"),
                )
            })?;
        if slot.is_some() {
            return Err(wrong(
                entry.line,
                &field,
                format!("channel {number} occurs twice"),
            ));
        }
        let mut parts = entry.value.split(',');
        let name = ini::unescape(parts.next().unwrap_or_default());
        let reference = ini::unescape(parts.next().unwrap_or_default());
        let raw = parts.next().unwrap_or_default().trim();
        let resolution = match raw {
            "" => 1.0,
            raw => raw
                .parse::<f64>()
                .ok()
                .filter(|r| r.is_finite())
                .ok_or_else(|| {
                    wrong(
                        entry.line,
                        &field,
                        format!("expected a finite resolution, found {raw:?}"),
                    )
                })?,
        };
        // Version 1 headers have no unit: "resolution in microvolts".
        let unit = match parts.next().map(str::trim).unwrap_or_default() {
            "" => "µV".to_owned(),
            unit => units::normalise(unit),
        };
        *slot = Some(Electrode {
            name,
            reference,
            resolution,
            unit,
        });
    }
    // n lines, n slots, no slot twice: all are filled.
    Ok(out.into_iter().flatten().collect())
}
