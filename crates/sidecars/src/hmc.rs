//! Scorings of HMC, `SN001_sleepscoring.txt`: CSV whose header and values have leading spaces.

use crate::clock::{number, seconds};
use crate::error::Bad;
use crate::format::Format;
use crate::table::{Builder, Table, short};
use crate::text::lines;

/// The names in the file, in the order of [`Format::columns`].
const NAMES: [&str; 6] = [
    "Date",
    "Time",
    "Recording onset",
    "Duration",
    "Annotation",
    "Linked channel",
];

pub(crate) fn parse(text: &str) -> Result<Table, Bad> {
    let mut rest = lines(text).filter(|(_, line)| !line.trim().is_empty());
    let (at, header) = rest.next().unwrap_or((1, ""));
    let found: Vec<&str> = header.split(',').map(str::trim).collect();
    let bad = || {
        let message = format!("expected `{}`, found `{}`", NAMES.join(", "), short(header));
        Bad::line(at, "hmc-header", message)
    };
    let mut places = [0; NAMES.len()];
    for (place, name) in places.iter_mut().zip(NAMES) {
        *place = found.iter().position(|&f| f == name).ok_or_else(bad)?;
    }
    let mut out = Builder::of(Format::HmcScoring, text.len());
    for (at, line) in rest {
        match row(line, &places, found.len()) {
            Ok(cells) => out.row(cells)?,
            Err((code, message)) => out.note(at, code, format!("{message}; left out")),
        }
    }
    out.finish()
}

fn row(
    line: &str,
    places: &[usize; NAMES.len()],
    width: usize,
) -> Result<Vec<Option<String>>, (&'static str, String)> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    // The last field, a channel, is often empty and may be missing with its comma.
    if fields.len() > width || fields.len() + 1 < width {
        let message = format!("expected {width} fields, found {}", fields.len());
        return Err(("hmc-fields", message));
    }
    let cells = places.map(|place| fields.get(place).copied().unwrap_or_default());
    let [_, time, onset, duration, annotation, _] = cells;
    if !time.is_empty() && seconds(time, 23).is_none() {
        let message = format!("expected a clock time, found `{}`", short(time));
        return Err(("hmc-clock", message));
    }
    if number(onset).is_none() {
        let message = format!("expected an onset in seconds, found `{}`", short(onset));
        return Err(("hmc-onset", message));
    }
    if !duration.is_empty() && number(duration).is_none_or(|d| d < 0.0) {
        let message = format!(
            "expected a duration in seconds, found `{}`",
            short(duration)
        );
        return Err(("hmc-duration", message));
    }
    if annotation.is_empty() {
        let message = "expected an annotation, found none".to_owned();
        return Err(("hmc-annotation", message));
    }
    let cell = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
    Ok(cells.map(cell).to_vec())
}
