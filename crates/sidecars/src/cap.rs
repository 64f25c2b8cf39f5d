//! Scorings of CAP Sleep, as RemLogic exports them: some lines about the patient, then a
//! TAB-separated table.
//!
//! The table begins at the line that starts with "Sleep Stage", at no fixed place; columns go
//! by their names; clocks have `:` or `.` and roll over at midnight. The recording date is
//! not to be relied on (day and month change places, years are off), so clocks are all there is.

use crate::clock::{number, seconds};
use crate::error::Bad;
use crate::format::Format;
use crate::table::{Builder, Table, short};
use crate::text::lines;

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Where the columns are in a row.
struct Columns {
    stage: usize,
    position: Option<usize>,
    time: usize,
    event: usize,
    duration: Option<usize>,
    location: Option<usize>,
    /// The number of fields that every row must have.
    needed: usize,
    width: usize,
}

pub(crate) fn parse(text: &str) -> Result<Table, Bad> {
    let mut rest = lines(text);
    let mut date = None;
    let columns = loop {
        let Some((at, line)) = rest.next() else {
            return Err(Bad::file(
                "cap-header",
                "expected a line that starts with `Sleep Stage`, found none",
            ));
        };
        if line.trim_start().starts_with("Sleep Stage") {
            break header(at, line)?;
        }
        if let Some(value) = line.trim_start().strip_prefix("Recording Date") {
            let value = value.trim_start_matches([':', '\t', ' ']).trim();
            date = Some(value.to_owned()).filter(|v| !v.is_empty());
        }
    };
    let mut out = Builder::of(Format::CapScoring, text.len());
    // The clock of the row before, and seconds since the first row.
    let mut now: Option<(i64, i64)> = None;
    for (at, line) in rest.filter(|(_, line)| !line.trim().is_empty()) {
        let row = match Row::read(line, &columns) {
            Ok(row) => row,
            Err((code, message)) => {
                out.note(at, code, format!("{message}; left out"));
                continue;
            }
        };
        let running = match now {
            None => 0,
            Some((clock, running)) => {
                // The way round the clock that is shorter: over midnight, or back a little.
                let step = (row.clock - clock + DAY / 2).rem_euclid(DAY) - DAY / 2;
                if step < 0 {
                    let message = format!("{} s earlier than the row before; kept", -step);
                    out.note(at, "cap-order", message);
                }
                running + step
            }
        };
        now = Some((row.clock, running));
        out.row(row.cells(running, date.clone()))?;
    }
    out.finish()
}

fn header(at: u64, line: &str) -> Result<Columns, Bad> {
    let names: Vec<&str> = line.split('\t').map(str::trim).collect();
    let find = |prefix: &str| names.iter().position(|name| name.starts_with(prefix));
    let need = |prefix: &str| {
        find(prefix).ok_or_else(|| {
            let message = format!(
                "expected a column `{prefix}`, found `{}`",
                short(line.trim())
            );
            Bad::line(at, "cap-column", message)
        })
    };
    let (stage, time, event) = (need("Sleep Stage")?, need("Time")?, need("Event")?);
    let duration = find("Duration");
    Ok(Columns {
        stage,
        position: find("Position"),
        time,
        event,
        duration,
        location: find("Location"),
        needed: stage.max(time).max(event).max(duration.unwrap_or(0)) + 1,
        width: names.len(),
    })
}

struct Row<'a> {
    stage: &'a str,
    position: &'a str,
    time: &'a str,
    clock: i64,
    event: &'a str,
    duration: &'a str,
    location: &'a str,
}

impl<'a> Row<'a> {
    fn read(line: &'a str, columns: &Columns) -> Result<Self, (&'static str, String)> {
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        let extra = fields.iter().skip(columns.width).any(|f| !f.is_empty());
        if fields.len() < columns.needed || extra {
            let message = format!("expected {} fields, found {}", columns.width, fields.len());
            return Err(("cap-fields", message));
        }
        let get = |i: Option<usize>| i.and_then(|i| fields.get(i)).copied().unwrap_or_default();
        let time = get(Some(columns.time));
        let Some(clock) = seconds(time, 23) else {
            let message = format!("expected a clock time, found `{}`", short(time));
            return Err(("cap-time", message));
        };
        let event = get(Some(columns.event));
        if event.is_empty() {
            return Err(("cap-event", "expected an event, found none".to_owned()));
        }
        let duration = get(columns.duration);
        if !duration.is_empty() && number(duration).is_none_or(|d| d < 0.0) {
            let message = format!(
                "expected a duration in seconds, found `{}`",
                short(duration)
            );
            return Err(("cap-duration", message));
        }
        Ok(Self {
            stage: get(Some(columns.stage)),
            position: get(columns.position),
            time,
            clock: i64::from(clock),
            event,
            duration,
            location: get(columns.location),
        })
    }

    fn cells(&self, running: i64, date: Option<String>) -> Vec<Option<String>> {
        let text = |t: &str| Some(t.to_owned()).filter(|t| !t.is_empty());
        vec![
            text(self.stage),
            text(self.position),
            text(self.time),
            Some(self.clock.to_string()),
            Some(running.to_string()),
            text(self.event),
            text(self.duration),
            text(self.location),
            date,
        ]
    }
}
