//! A scan from the first file to the last table.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::record_batch::RecordBatch;
use mmpipe_formats::{Header, Severity};
use rayon::prelude::*;

use super::bids::{Extras, Index};
use super::channels::{self, Row};
use super::classify::{self, File, Status};
use super::side_car::{self, Cells};
use super::tables::{Columns, TextTable};
use super::{Filter, Scan, walk};
use crate::manifest::{Action, FileKind, FileRule, Layout, Manifest, SideCar};
use crate::{Error, Result, registry};

/// One row of the table `diagnostics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Note {
    path: String,
    severity: &'static str,
    code: String,
    message: String,
}

impl Note {
    /// Worth knowing; nothing is lost.
    pub(super) fn note(path: &str, code: &str, message: String) -> Self {
        Self::new(path, "note", code, message)
    }

    /// Something was left out or contradicts.
    pub(super) fn warning(path: &str, code: &str, message: String) -> Self {
        Self::new(path, "warning", code, message)
    }

    fn new(path: &str, severity: &'static str, code: &str, message: String) -> Self {
        Self {
            path: path.to_owned(),
            severity,
            code: code.to_owned(),
            message,
        }
    }
}

/// A recording after it was opened.
struct Opened {
    header: Header,
    rows: Vec<Row>,
    extras: Option<Extras>,
}

/// One row of the table `events`.
struct Event {
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

/// Scans `raw` with the rules of `manifest`.
pub(super) fn scan(manifest: &Manifest, raw: &Path, filter: &Filter) -> Result<Scan> {
    let (rules, side_cars) = rules(manifest)?;
    let found = walk::walk(raw, &manifest.name)?;
    let mut files = classify::classify(found, &rules, &manifest.faults, filter);
    check_signals(manifest, &rules, raw, &files, filter)?;

    let index = (manifest.layout == Layout::Bids).then(|| Index::new(&files));
    let results: Vec<Option<(Result<Opened, String>, Vec<Note>)>> = files
        .par_iter()
        .map(|file| {
            file.is_open().then(|| {
                let mut notes = Vec::new();
                let opened = open(file, manifest, index.as_ref(), &mut notes);
                (opened, notes)
            })
        })
        .collect();

    let mut notes = Vec::new();
    let mut opened: Vec<Option<Opened>> = Vec::with_capacity(files.len());
    let mut broken: Vec<(String, String)> = Vec::new();
    for (file, result) in files.iter_mut().zip(results) {
        for fault in &manifest.faults {
            if file.kind.is_some() && fault.pattern.is_match(&file.path) {
                let message = format!("{} ({})", fault.fault, fault.source);
                notes.push(Note::note(&file.path, "known-fault", message));
            }
        }
        let Some((result, more)) = result else {
            opened.push(None);
            continue;
        };
        notes.extend(more);
        match result {
            Ok(mut recording) => {
                if let Some(extras) = &mut recording.extras {
                    notes.append(&mut extras.notes);
                    broken.append(&mut extras.broken);
                }
                opened.push(Some(recording));
            }
            Err(why) => {
                file.status = Status::Rejected;
                file.reason = Some(why);
                opened.push(None);
            }
        }
    }
    name_parts(raw, &mut files, &opened);

    let mut events = recording_events(&files, &opened, &mut notes);
    events.extend(annotation_files(&mut files));
    let mut tables = Vec::new();
    for side_car in side_cars {
        tables.push(side_car_table(side_car, &files, &mut broken, &mut notes)?);
    }
    if let Some(index) = &index {
        for (name, table) in index.people(&mut broken) {
            tables.push(table.finish(&name)?);
        }
        tables.push(json_table("eeg_json", &files, &opened, |e| &e.eeg)?);
        tables.push(json_table("events_json", &files, &opened, |e| {
            &e.events_json
        })?);
        tables.push(index.trial_types()?);
    }
    broken.sort();
    broken.dedup();
    for (path, why) in broken {
        if let Some(file) = files.iter_mut().find(|f| f.path == path) {
            file.status = Status::Rejected;
            file.reason = Some(why.clone());
        }
        notes.push(Note::warning(&path, "side-car-unreadable", why));
    }
    notes.sort_by(|a, b| (&a.path, &a.code, &a.message).cmp(&(&b.path, &b.code, &b.message)));
    notes.dedup();

    let mut all = vec![
        files_table(&rules, &files, &opened)?,
        events_table(&events)?,
        channels_table(&files, &opened)?,
        notes_table(&notes)?,
    ];
    all.extend(tables);
    Ok(Scan {
        dataset: manifest.name.clone(),
        tables: all,
        trials_sql: manifest.trials.sql.trim().to_owned(),
        streams_sql: manifest.streams.as_ref().map(|q| q.sql.trim().to_owned()),
        stimuli_sql: manifest.stimuli.as_ref().map(|q| q.sql.trim().to_owned()),
        labels: manifest.labels.clone(),
    })
}

/// The manifest's rules; for BIDS those of `_bids.toml` follow.
fn rules(manifest: &Manifest) -> Result<(Vec<FileRule>, Vec<SideCar>)> {
    let mut rules = manifest.files.clone();
    let mut side_cars = manifest.side_cars.clone();
    if manifest.layout == Layout::Bids {
        let general = registry::bids()?;
        rules.extend(general.files);
        for side_car in general.side_cars {
            if side_cars.iter().all(|s| s.table != side_car.table) {
                side_cars.push(side_car);
            }
        }
    }
    Ok((rules, side_cars))
}

/// Errors that concern the folder as a whole.
fn check_signals(
    manifest: &Manifest,
    rules: &[FileRule],
    raw: &Path,
    files: &[File],
    filter: &Filter,
) -> Result<()> {
    let signals: Vec<&File> = files
        .iter()
        .filter(|f| f.kind == Some(FileKind::Signal))
        .collect();
    if signals.is_empty() {
        let expected: Vec<&str> = rules
            .iter()
            .filter(|r| r.kind == FileKind::Signal)
            .map(|r| r.example.as_deref().unwrap_or(r.pattern.as_str()))
            .collect();
        let found: Vec<&str> = files.iter().take(3).map(|f| f.path.as_str()).collect();
        return Err(Error::NothingMatches {
            path: raw.to_owned(),
            dataset: manifest.name.clone(),
            expected: expected.join(" or "),
            found: match files.len() {
                0 => "no file".to_owned(),
                n => format!("{n} files, such as {}", found.join(", ")),
            },
        });
    }
    let Some(asked) = &filter.subjects else {
        return Ok(());
    };
    let unknown: Vec<&str> = asked
        .iter()
        .map(String::as_str)
        .filter(|a| {
            !signals
                .iter()
                .any(|f| f.subject().is_some_and(|s| classify::same_subject(a, s)))
        })
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let mut subjects: Vec<&str> = signals.iter().filter_map(|f| f.subject()).collect();
    subjects.dedup();
    let shown = subjects.len().min(8);
    let mut found = subjects[..shown].join(", ");
    if subjects.len() > shown {
        found.push_str(&format!(" and {} more", subjects.len() - shown));
    }
    Err(Error::UnknownSubjects {
        path: raw.to_owned(),
        asked: unknown.join(", "),
        found,
    })
}

/// Opens a recording and judges its channels.
fn open(
    file: &File,
    manifest: &Manifest,
    index: Option<&Index>,
    notes: &mut Vec<Note>,
) -> Result<Opened, String> {
    let header = header(file)?;
    for d in &header.diagnostics {
        let severity = match d.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Damaged => "damaged",
        };
        notes.push(Note::new(&file.path, severity, d.code, d.message.clone()));
    }
    if let Some(d) = header
        .diagnostics
        .iter()
        .find(|d| d.severity == Severity::Damaged)
    {
        return Err(format!("damaged: {}", d.message));
    }
    let extras = index.map(|i| i.extras(&file.path));
    let unit = manifest
        .faults
        .iter()
        .find(|f| f.action == Action::Unit && f.pattern.is_match(&file.path))
        .and_then(|f| f.unit.as_deref());
    let rows = channels::rows(
        &file.path,
        &header,
        &manifest.channels,
        unit,
        extras.as_ref(),
        notes,
    )?;
    if header.seconds <= 0.0 {
        return Err("the file holds no samples".into());
    }
    if let Some(extras) = &extras {
        compare(&file.path, &header, &rows, extras, notes);
    }
    Ok(Opened {
        header,
        rows,
        extras,
    })
}

/// The header of a file, or why there is none, without the path in front.
fn header(file: &File) -> Result<Header, String> {
    match mmpipe_formats::open(&file.full) {
        Ok(recording) => Ok(recording.header().clone()),
        Err(e) => {
            let text = e.to_string();
            let path = format!("{}: ", file.full.display());
            Err(text.strip_prefix(&path).unwrap_or(&text).to_owned())
        }
    }
}

/// Where eeg.json contradicts the file, the file wins; this says so.
fn compare(path: &str, header: &Header, rows: &[Row], extras: &Extras, notes: &mut Vec<Note>) {
    let number = |key: &str| extras.eeg.get(key).and_then(serde_json::Value::as_f64);
    if let (Some(said), Some(is)) = (number("SamplingFrequency"), channels::sfreq(rows))
        && (said - is).abs() > 1e-3 * is
    {
        notes.push(Note::warning(
            path,
            "sampling-frequency-differs",
            format!("eeg.json says {said} Hz, the file {is} Hz; the file is right"),
        ));
    }
    if let Some(said) = number("RecordingDuration")
        && (said - header.seconds).abs() > 1.0
    {
        notes.push(Note::warning(
            path,
            "duration-differs",
            format!(
                "eeg.json says {said} s, the file {} s; the file is right",
                header.seconds
            ),
        ));
    }
}

/// Says of files that no rule matches but a recording reads that they are parts of it.
fn name_parts(raw: &Path, files: &mut [File], opened: &[Option<Opened>]) {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    for (file, recording) in files.iter().zip(opened) {
        for part in recording.iter().flat_map(|r| &r.header.files) {
            if let Ok(below) = part.strip_prefix(raw) {
                let below: Vec<_> = below.iter().map(|c| c.to_string_lossy()).collect();
                parts.insert(below.join("/"), file.path.clone());
            }
        }
    }
    for file in files.iter_mut().filter(|f| f.kind.is_none()) {
        if let Some(whole) = parts.get(&file.path) {
            file.status = Status::SideCar;
            file.reason = Some(format!("part of {whole}"));
        }
    }
}

/// Annotations of the recordings and rows of their events.tsv.
fn recording_events(
    files: &[File],
    opened: &[Option<Opened>],
    notes: &mut Vec<Note>,
) -> Vec<Event> {
    let mut events = Vec::new();
    for (file, recording) in files.iter().zip(opened) {
        let Some(recording) = recording else { continue };
        events.extend(annotations(&recording.header, &file.path));
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

/// Events of files that hold nothing but annotations, under the path of their recording.
fn annotation_files(files: &mut [File]) -> Vec<Event> {
    let mut events = Vec::new();
    for file in files
        .iter_mut()
        .filter(|f| f.kind == Some(FileKind::Annotations) && f.status == Status::SideCar)
    {
        let Some(of) = file.of.clone() else { continue };
        match header(file) {
            Ok(header) => {
                events.extend(annotations(&header, &of));
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

/// All files of a side-car rule as one table.
fn side_car_table(
    rule: SideCar,
    files: &[File],
    broken: &mut Vec<(String, String)>,
    notes: &mut Vec<Note>,
) -> Result<(String, RecordBatch)> {
    let mut columns = vec!["path".to_owned()];
    columns.extend(rule.columns.iter().cloned());
    let mut table = TextTable::with_columns(&columns);
    for file in files.iter().filter(|f| f.status == Status::SideCar) {
        let Some(groups) = rule.pattern.groups(&file.path) else {
            continue;
        };
        match side_car::read(&file.full, rule.format) {
            Ok(rows) => {
                let missing: Vec<&str> = rule
                    .columns
                    .iter()
                    .filter(|c| {
                        rows.first()
                            .is_some_and(|row| !row.iter().any(|(name, _)| name == *c))
                    })
                    .map(String::as_str)
                    .collect();
                if !missing.is_empty() {
                    let message = format!("columns missing: {}; null instead", missing.join(", "));
                    notes.push(Note::warning(&file.path, "columns-missing", message));
                }
                side_car::add(&mut table, &file.path, &groups, rows);
            }
            Err(why) => broken.push((file.path.clone(), why)),
        }
    }
    table.finish(&rule.table)
}

/// The JSON side-cars of all recordings, one row a leaf.
fn json_table(
    name: &str,
    files: &[File],
    opened: &[Option<Opened>],
    pick: fn(&Extras) -> &serde_json::Map<String, serde_json::Value>,
) -> Result<(String, RecordBatch)> {
    let mut table = TextTable::with_columns(&["path", "key", "value"]);
    for (file, recording) in files.iter().zip(opened) {
        let Some(extras) = recording.as_ref().and_then(|r| r.extras.as_ref()) else {
            continue;
        };
        let mut leaves = Vec::new();
        for (key, value) in pick(extras) {
            side_car::flatten(key, value, &mut leaves);
        }
        for (key, value) in leaves {
            table.push([
                ("path", Some(file.path.clone())),
                ("key", Some(key)),
                ("value", value),
            ]);
        }
    }
    table.finish(name)
}

fn files_table(
    rules: &[FileRule],
    files: &[File],
    opened: &[Option<Opened>],
) -> Result<(String, RecordBatch)> {
    let mut groups = vec!["subject", "session", "run"];
    for rule in rules {
        for name in rule
            .pattern
            .group_names()
            .chain(rule.set.keys().map(String::as_str))
        {
            if !groups.contains(&name) {
                groups.push(name);
            }
        }
    }
    let mut table = Columns::new("files", files.len()).text("path", each(files, |f| &f.path));
    for name in groups {
        table = table.text(name, files.iter().map(|f| f.groups.get(name)));
    }
    let headers = || opened.iter().map(|o| o.as_ref().map(|o| &o.header));
    table
        .text(
            "container",
            headers().map(|h| h.map(|h| h.container.to_string())),
        )
        .i64(
            "bytes",
            files
                .iter()
                .zip(headers())
                .map(|(f, h)| i64::try_from(h.map_or(f.bytes, |h| h.bytes)).ok()),
        )
        .f64(
            "sfreq",
            opened
                .iter()
                .map(|o| o.as_ref().and_then(|o| channels::sfreq(&o.rows))),
        )
        .i32(
            "n_channels",
            headers().map(|h| i32::try_from(h?.channels.len()).ok()),
        )
        .f64("seconds", headers().map(|h| h.map(|h| h.seconds)))
        .text("status", files.iter().map(|f| Some(f.status.as_str())))
        .text("reason", files.iter().map(|f| f.reason.as_ref()))
        .finish()
}

fn each<'a, T>(
    items: &'a [T],
    get: impl Fn(&'a T) -> &'a String + 'a,
) -> impl Iterator<Item = Option<&'a String>> {
    items.iter().map(move |i| Some(get(i)))
}

fn events_table(events: &[Event]) -> Result<(String, RecordBatch)> {
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

fn channels_table(files: &[File], opened: &[Option<Opened>]) -> Result<(String, RecordBatch)> {
    let rows: Vec<(&str, usize, &Row, Option<&str>)> = files
        .iter()
        .zip(opened)
        .filter_map(|(file, o)| Some((file, o.as_ref()?)))
        .flat_map(|(file, o)| {
            let system = o
                .extras
                .as_ref()
                .and_then(|e| e.positions.system.as_deref());
            o.rows
                .iter()
                .enumerate()
                .map(move |(i, row)| (file.path.as_str(), i, row, system))
        })
        .collect();
    let axis = |k: usize| {
        rows.iter()
            .map(move |(_, _, r, _)| r.position.and_then(|p| p.get(k).copied()))
    };
    Columns::new("channels", rows.len())
        .text("path", rows.iter().map(|(path, ..)| Some(*path)))
        .i32(
            "channel",
            rows.iter().map(|(_, i, ..)| i32::try_from(*i).ok()),
        )
        .text("raw_name", each(&rows, |(_, _, r, _)| &r.raw_name))
        .text("kind", each(&rows, |(_, _, r, _)| &r.kind))
        .text("name", rows.iter().map(|(_, _, r, _)| r.name.as_ref()))
        .text("unit", each(&rows, |(_, _, r, _)| &r.unit))
        .f64(
            "to_microvolts",
            rows.iter().map(|(_, _, r, _)| r.to_microvolts),
        )
        .f64("sfreq", rows.iter().map(|(_, _, r, _)| Some(r.sfreq)))
        .bool("keep", rows.iter().map(|(_, _, r, _)| Some(r.keep)))
        .text("reason", rows.iter().map(|(_, _, r, _)| r.reason.as_ref()))
        .f32("x", axis(0))
        .f32("y", axis(1))
        .f32("z", axis(2))
        .text(
            "coordinate_system",
            rows.iter().map(|(_, _, r, system)| r.position.and(*system)),
        )
        .finish()
}

fn notes_table(notes: &[Note]) -> Result<(String, RecordBatch)> {
    Columns::new("diagnostics", notes.len())
        .text("path", each(notes, |n| &n.path))
        .text("severity", notes.iter().map(|n| Some(n.severity)))
        .text("code", each(notes, |n| &n.code))
        .text("message", each(notes, |n| &n.message))
        .finish()
}
