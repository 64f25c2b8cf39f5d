//! Events: annotations of the files, rows of events.tsv, and files of annotations alone.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use mmpipe_formats::Header;

use super::classify::{File, Status};
use super::note::Note;
use super::run::{Opened, header};
use super::side_car::Cells;
use super::tables::{Columns, TextTable, each};
use super::triggers::Pulse;
use crate::Result;
use crate::manifest::FileKind;

/// One row of the table `events`.
pub(super) struct Event {
    path: String,
    onset: Option<f64>,
    duration: Option<f64>,
    value: Option<String>,
    trial_type: Option<String>,
    channel: Option<String>,
    source: &'static str,
    extra: Cells,
}

/// Columns that `events` has whatever events.tsv holds.
const EVENT_COLUMNS: &[&str] = &[
    "path",
    "onset",
    "duration",
    "value",
    "trial_type",
    "channel",
    "source",
];

/// Annotations of the recordings and rows of their events.tsv.
pub(super) fn recording_events(
    files: &[File],
    opened: &[Option<Opened>],
    notes: &mut Vec<Note>,
) -> Vec<Event> {
    let mut events = Vec::new();
    for (file, recording) in files.iter().zip(opened) {
        let Some(recording) = recording else { continue };
        events.extend(annotations(&recording.header, &file.path));
        events.extend(recording.triggers.iter().map(|t| trigger(&file.path, t)));
        let rows = recording.extras.as_ref().and_then(|e| e.events.as_ref());
        for (i, row) in rows.into_iter().flatten().enumerate() {
            let cell = |name: &str| {
                let (_, value) = row.iter().find(|(c, _)| c == name)?;
                value.clone()
            };
            let mut number = |name: &str| {
                let text = cell(name)?;
                let value = text.parse::<f64>().ok().filter(|v| v.is_finite());
                if value.is_none() {
                    notes.push(Note::warning(
                        &file.path,
                        "event-not-a-number",
                        format!(
                            "events.tsv row {}: {name}: expected seconds, found `{text}`",
                            i + 1
                        ),
                    ));
                }
                value
            };
            let (onset, duration) = (number("onset"), number("duration"));
            events.push(Event {
                path: file.path.clone(),
                onset,
                duration,
                value: cell("value"),
                trial_type: cell("trial_type"),
                channel: cell("channel"),
                source: "events.tsv",
                extra: row
                    .iter()
                    .filter(|(c, _)| {
                        !EVENT_COLUMNS.contains(&c.as_str()) || c == "path" || c == "source"
                    })
                    .map(|(c, v)| match c.as_str() {
                        "path" | "source" => (format!("events_{c}"), v.clone()),
                        _ => (c.clone(), v.clone()),
                    })
                    .collect(),
            });
        }
    }
    events
}

/// Annotations of a header as events of `path`.
fn annotations<'a>(header: &'a Header, path: &'a str) -> impl Iterator<Item = Event> + 'a {
    header.annotations.iter().map(move |a| Event {
        path: path.to_owned(),
        onset: Some(a.onset),
        duration: a.duration,
        value: Some(a.text.clone()),
        trial_type: None,
        channel: a.channel.clone(),
        source: "file",
        extra: Vec::new(),
    })
}

/// A step of a trigger channel.
fn trigger(path: &str, (channel, pulse): &(String, Pulse)) -> Event {
    Event {
        path: path.to_owned(),
        onset: Some(pulse.onset),
        duration: pulse.duration,
        // Minus zero is zero; the fewest digits that read back the same.
        value: Some((pulse.value + 0.0).to_string()),
        trial_type: None,
        channel: Some(channel.clone()),
        source: "trigger",
        extra: vec![("sample".to_owned(), Some(pulse.sample.to_string()))],
    }
}

/// Events of files that hold nothing but annotations, under the path of their recording and from
/// its start.
pub(super) fn annotation_files(
    files: &mut [File],
    opened: &[Option<Opened>],
    notes: &mut Vec<Note>,
) -> Vec<Event> {
    let starts: BTreeMap<String, f64> = files
        .iter()
        .zip(opened)
        .filter_map(|(f, o)| Some((f.path.clone(), clock(&o.as_ref()?.header)?)))
        .collect();
    let mut events = Vec::new();
    for file in files
        .iter_mut()
        .filter(|f| f.kind == Some(FileKind::Annotations) && f.status == Status::SideCar)
    {
        let Some(of) = file.of.clone() else { continue };
        match header(file) {
            Ok(header) => {
                let later = match (starts.get(&of), clock(&header)) {
                    (Some(signals), Some(own)) => shorter_way(own - signals),
                    _ => 0.0,
                };
                if later != 0.0 {
                    let message = format!(
                        "starts {later} s after {of} by its clock; its onsets are moved by as much"
                    );
                    notes.push(Note::warning(
                        &file.path,
                        "annotations-start-differs",
                        message,
                    ));
                }
                events.extend(annotations(&header, &of).map(|mut event| {
                    event.onset = event.onset.map(|onset| onset + later);
                    event
                }));
                file.reason.get_or_insert(format!("annotations of {of}"));
            }
            Err(why) => {
                file.status = Status::Rejected;
                file.reason = Some(why);
            }
        }
    }
    events
}

/// The second of the day at which a file starts. Dates are often made up; clocks seldom are, but
/// midnight to the second is how one that is not known is written.
fn clock(header: &Header) -> Option<f64> {
    let (_, time) = header.start.as_deref()?.split_once('T')?;
    let mut parts = time.split(':').map(|part| part.parse::<f64>().ok());
    let mut next = || parts.next().flatten();
    let seconds = next()? * 3600.0 + next()? * 60.0 + next()?;
    (seconds > 0.0).then_some(seconds)
}

/// A difference of two clocks, s, as the shorter way round the day.
fn shorter_way(difference: f64) -> f64 {
    const DAY: f64 = 86_400.0;
    (difference + DAY / 2.0).rem_euclid(DAY) - DAY / 2.0
}

/// The table `events`.
pub(super) fn events_table(events: &[Event]) -> Result<(String, RecordBatch)> {
    let mut extra = TextTable::default();
    for event in events {
        extra.push(event.extra.iter().cloned());
    }
    let mut table = Columns::new("events", events.len())
        .text("path", each(events, |e| &e.path))
        .f64("onset", events.iter().map(|e| e.onset))
        .f64("duration", events.iter().map(|e| e.duration))
        .text("value", events.iter().map(|e| e.value.as_ref()))
        .text("trial_type", events.iter().map(|e| e.trial_type.as_ref()))
        .text("channel", events.iter().map(|e| e.channel.as_ref()))
        .text("source", events.iter().map(|e| Some(e.source)));
    for (index, column) in extra.columns().iter().enumerate() {
        table = table.text(column, extra.values(index));
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_differ_by_the_shorter_way_round() {
        assert_eq!(shorter_way(0.0), 0.0);
        assert_eq!(shorter_way(10.0), 10.0);
        assert_eq!(shorter_way(10.0 - 86_390.0), 20.0);
        assert_eq!(shorter_way(86_390.0 - 10.0), -20.0);
    }
}
