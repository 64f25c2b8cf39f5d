//! A scan from the first file to the last table.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mmpipe_formats::tree::Hold;
use mmpipe_formats::{Header, Recording, Severity};
use rayon::prelude::*;

use super::bids::{Extras, Index};
use super::channels::{self, Row};
use super::classify::{self, File, Status};
use super::events::{annotation_files, events_table, recording_events};
use super::note::{Note, without_path};
use super::output::{channels_table, files_table, json_table, notes_table, side_car_table};
use super::triggers::{self, Pulse};
use super::{Coming, Filter, Raw, Scan, look, parts, sounds, tree_tables};
use crate::manifest::{Action, FileKind, FileRule, Layout, Manifest, Rates, SideCar};
use crate::{Error, Result, registry};

/// A recording after it was opened.
pub(super) struct Opened {
    pub(super) header: Header,
    pub(super) rows: Vec<Row>,
    pub(super) extras: Option<Extras>,
    /// Steps of trigger channels, with the channel's label.
    pub(super) triggers: Vec<(String, Pulse)>,
}

/// A recording or why it is rejected, and what is worth knowing either way.
pub(super) type Outcome = (Result<Opened, String>, Vec<Note>);

/// Scans `raw` with the rules of `manifest`; `told` hears of what will be read as a whole.
pub(super) fn scan(
    manifest: &Manifest,
    raw: &Raw,
    filter: &Filter,
    told: impl FnOnce(Coming),
) -> Result<Scan> {
    let open = Arc::new(Hold::new());
    let (rules, side_cars) = rules(manifest)?;
    let found = raw.files(&manifest.name)?;
    if let Some(need) = &manifest.mapping {
        return Err(Error::MappingNeeded {
            dataset: manifest.name.clone(),
            needs: need.needs.trim().to_owned(),
            path: raw.root().to_owned(),
            found: look::describe(&found),
        });
    }
    let files = classify::classify(found, &rules, &manifest.faults, filter);
    let mut notes = Vec::new();
    told(parts::coming(&files, manifest));
    let (files, mut early) = parts::split(files, manifest, filter);
    let mut files = sounds::split(files, manifest, filter, &mut notes);
    raw.account(&mut files, &mut notes);
    let (parts, sounds) = (parts::list(&files), sounds::list(&files));
    check_signals(manifest, &rules, raw.root(), &files, filter)?;

    let index = (manifest.layout == Layout::Bids).then(|| Index::new(&files));
    let before: Vec<Option<Outcome>> = files.iter().map(|f| early.opened(&f.path)).collect();
    let results: Vec<Option<Outcome>> = files
        .par_iter()
        .zip(before)
        .map(|(file, before)| {
            let now = || outcome(file, manifest, index.as_ref());
            file.is_open().then(|| before.unwrap_or_else(now))
        })
        .collect();

    let mut opened: Vec<Option<Opened>> = Vec::with_capacity(files.len());
    let mut broken: Vec<(String, String)> = Vec::new();
    for (file, result) in files.iter_mut().zip(results) {
        for fault in &manifest.faults {
            if file.kind.is_some() && fault.pattern.is_match(&file.path) {
                let message = format!("{} ({})", fault.fault, fault.source);
                notes.push(Note::remark(&file.path, "known-fault", message));
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
    name_parts(&mut files, &opened);

    let mut events = recording_events(&files, &opened, &mut notes);
    events.extend(annotation_files(&mut files, &opened, &mut notes));
    let mut tables = Vec::new();
    for side_car in side_cars {
        tables.push(side_car_table(side_car, &files, &mut broken, &mut notes)?);
    }
    for (k, rule) in manifest.tables.iter().enumerate() {
        let table = tree_tables::table(k, rule, &files, &mut early, &mut notes)?;
        tables.push(table);
    }
    if let Some(index) = &index {
        for (name, table) in index.people(&mut broken, &mut notes) {
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
        files_table(manifest, &rules, &files, &opened)?,
        events_table(&events)?,
        channels_table(&files, &opened)?,
        notes_table(&notes)?,
    ];
    all.extend(tables);
    Ok(Scan {
        dataset: manifest.name.clone(),
        tables: all,
        trials_sql: manifest.trials.sql.trim().to_owned(),
        intervals_sql: manifest.intervals.as_ref().map(|q| q.sql.trim().to_owned()),
        streams_sql: manifest.streams.as_ref().map(|q| q.sql.trim().to_owned()),
        stimuli_sql: manifest.stimuli.as_ref().map(|q| q.sql.trim().to_owned()),
        labels: manifest.labels.clone(),
        mixed_rates: manifest.channels.rates == Rates::Resample,
        parts,
        sounds,
        places: raw.places(),
        open: Some(open),
    })
}

/// The manifest's rules; for BIDS those of `_bids.toml` follow.
pub(super) fn rules(manifest: &Manifest) -> Result<(Vec<FileRule>, Vec<SideCar>)> {
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
        let wanted = || rules.iter().filter(|r| r.kind == FileKind::Signal);
        let mut expected: Vec<&str> = wanted().filter_map(|r| r.example.as_deref()).collect();
        if expected.is_empty() {
            expected = wanted().map(|r| r.pattern.as_str()).collect();
        }
        let found: Vec<&str> = files.iter().take(3).map(|f| f.path.as_str()).collect();
        let refused = files.iter().filter(|f| f.status == Status::Rejected);
        let refused = refused.filter_map(|f| Some((&f.path, f.reason.as_ref()?)));
        let refused: Vec<String> = refused
            .take(3)
            .map(|(p, why)| format!("; {p}: {why}"))
            .collect();
        return Err(Error::NothingMatches {
            path: raw.to_owned(),
            dataset: manifest.name.clone(),
            expected: expected.join(" or "),
            found: match files.len() {
                0 => "no file".to_owned(),
                1 => format!("one file, {}", found.join(", ")),
                n => format!("{n} files, such as {}", found.join(", ")),
            } + &refused.concat()
                + &released_otherwise(manifest, files)?,
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

/// Names the data sets of the same publication whose recordings these files are named like.
fn released_otherwise(manifest: &Manifest, files: &[File]) -> Result<String> {
    let stem = |name: &str| name.split(['-', '_']).next().map(str::to_lowercase);
    let others = registry::builtin()?.into_iter().filter(|other| {
        let named_so = other.name != manifest.name && stem(&other.name) == stem(&manifest.name);
        let signals = || other.files.iter().filter(|r| r.kind == FileKind::Signal);
        named_so && (files.iter()).any(|f| signals().any(|r| r.pattern.is_match(&f.path)))
    });
    let others: Vec<String> = others.map(|o| format!("--dataset {}", o.name)).collect();
    Ok(match others.is_empty() {
        true => String::new(),
        false => format!("; {} reads files of such names", others.join(" or ")),
    })
}

/// What comes of opening a recording.
pub(super) fn outcome(file: &File, manifest: &Manifest, index: Option<&Index>) -> Outcome {
    let mut notes = Vec::new();
    let opened = open_one(file, manifest, index, &mut notes);
    (opened, notes)
}

/// Opens a recording and judges its channels.
fn open_one(
    file: &File,
    manifest: &Manifest,
    index: Option<&Index>,
    notes: &mut Vec<Note>,
) -> Result<Opened, String> {
    let recording = recording(file)?;
    let header = recording.header().clone();
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
    let triggers = triggers::read(&file.path, recording.as_ref(), &manifest.triggers, notes);
    Ok(Opened {
        header,
        rows,
        extras,
        triggers,
    })
}

/// The header of a file, or why there is none, without the path in front.
pub(super) fn header(file: &File) -> Result<Header, String> {
    recording(file).map(|recording| recording.header().clone())
}

/// Opens a file or a part of one.
fn recording(file: &File) -> Result<Box<dyn Recording>, String> {
    match &file.part {
        Some((_, tree)) => parts::open(&file.full, tree),
        None => mmpipe_formats::open(&file.full).map_err(|e| without_path(&file.full, &e)),
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
fn name_parts(files: &mut [File], opened: &[Option<Opened>]) {
    let mut parts: BTreeMap<PathBuf, String> = BTreeMap::new();
    for (file, recording) in files.iter().zip(opened) {
        for part in recording.iter().flat_map(|r| &r.header.files) {
            parts.insert(part.clone(), file.path.clone());
        }
    }
    for file in files.iter_mut().filter(|f| f.kind.is_none()) {
        if let Some(whole) = parts.get(&file.full) {
            file.status = Status::SideCar;
            file.reason = Some(format!("part of {whole}"));
        }
    }
}
