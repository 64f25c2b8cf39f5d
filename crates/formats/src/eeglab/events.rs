//! The events of a data set: annotations, and the boundaries where data were cut out.

use crate::error::Result;
use crate::recording::{Annotation, Diagnostic, Severity};

use super::fields::{Cell, Fields};

/// Most events that are read.
const MOST: u64 = 1 << 22;
/// The code of a boundary where event types are numbers (EEGLAB's `option_boundary99`).
const BOUNDARY_CODE: f64 = -99.0;

/// What the events say.
#[derive(Default)]
pub(super) struct Events {
    pub(super) annotations: Vec<Annotation>,
    /// Samples (from 0, within the data, none at the very start) at which data go on after a cut.
    pub(super) cuts: Vec<u64>,
}

/// Reads the field `event`. Latencies count samples from 1 and may lie between two samples;
/// an event's onset keeps the fraction, and a cut before sample k is at latency k + 0.5.
///
/// # Errors
/// [`crate::Error::Tree`].
pub(super) fn read(
    fields: &Fields<'_>,
    sfreq: f64,
    points: u64,
    notes: &mut Vec<Diagnostic>,
) -> Result<Events> {
    let mut out = Events::default();
    let Some(event) = fields
        .get("event")?
        .filter(|e| !e.is_empty() && !e.fields.is_empty())
    else {
        return Ok(out);
    };
    let types = fields.column(&event, "type", MOST)?;
    let latencies = fields.column(&event, "latency", MOST)?;
    let durations = fields.column(&event, "duration", MOST)?;
    let (mut unplaced, mut beyond) = (0u64, 0u64);
    for (i, latency) in latencies.iter().enumerate() {
        let Some(latency) = latency.number().filter(|l| l.is_finite()) else {
            unplaced += 1;
            continue;
        };
        let kind = types.get(i).unwrap_or(&Cell::Nothing);
        let sample = latency - 1.0;
        beyond += u64::from(sample >= points as f64 || sample < -1.0);
        if boundary(kind) {
            let at = sample.ceil();
            if at > 0.0 && at < points as f64 {
                out.cuts.push(at as u64);
            }
        }
        let duration = durations.get(i).and_then(Cell::number);
        out.annotations.push(Annotation {
            onset: sample / sfreq,
            duration: duration.filter(|d| d.is_finite()).map(|d| d / sfreq),
            text: kind.text().unwrap_or_default(),
            channel: None,
        });
    }
    out.annotations.sort_by(|a, b| a.onset.total_cmp(&b.onset));
    out.cuts.sort_unstable();
    out.cuts.dedup();
    let mut push = |count: u64, code, what: &str| {
        if count > 0 {
            let message = format!("{count} events {what}");
            notes.push(Diagnostic::new(code, Severity::Warning, message));
        }
    };
    push(unplaced, "bad-marker", "have no latency; left out");
    push(beyond, "marker-beyond-end", "lie outside the samples; kept");
    push(
        event.len().saturating_sub(MOST),
        "too-many-annotations",
        "are too many; left out",
    );
    if latencies.is_empty() {
        push(event.len(), "bad-marker", "have no latency; left out");
    }
    if !out.cuts.is_empty() {
        notes.push(Diagnostic::new(
            "segments",
            Severity::Note,
            format!(
                "{} boundary events within the data: stretches that were cut out; each side is a \
                 run of its own, onsets count the samples that are left",
                out.cuts.len()
            ),
        ));
    }
    Ok(out)
}

fn boundary(kind: &Cell) -> bool {
    match kind {
        Cell::Text(text) => text.eq_ignore_ascii_case("boundary"),
        Cell::Number(x) => *x == BOUNDARY_CODE,
        Cell::Nothing => false,
    }
}
