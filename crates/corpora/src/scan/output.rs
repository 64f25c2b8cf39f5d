//! The tables `files`, `channels`, `diagnostics` and those of the side-cars.

use arrow::record_batch::RecordBatch;

use super::bids::Extras;
use super::channels::{self, Row};
use super::classify::{File, Status};
use super::note::Note;
use super::run::Opened;
use super::side_car;
use super::tables::{Columns, TextTable, each};
use crate::Result;
use crate::manifest::{FileRule, Manifest, SideCar};

/// All files of a side-car rule as one table.
pub(super) fn side_car_table(
    rule: SideCar,
    files: &[File],
    broken: &mut Vec<(String, String)>,
    notes: &mut Vec<Note>,
) -> Result<(String, RecordBatch)> {
    // Every column that is known before a file is read, so that queries run without any file.
    let mut table = TextTable::with_columns(&["path"]);
    let known = rule.columns.iter().map(String::as_str);
    let known = known.chain(rule.format.columns().iter().copied());
    for column in known.chain(rule.pattern.group_names()) {
        table.column(column);
    }
    for file in files.iter().filter(|f| f.status == Status::SideCar) {
        let Some(groups) = rule.pattern.groups(&file.path) else {
            continue;
        };
        match side_car::read(&file.full, &file.path, rule.format, notes) {
            Ok(read) => {
                let missing: Vec<&str> = rule
                    .columns
                    .iter()
                    .filter(|c| !read.columns.contains(c))
                    .map(String::as_str)
                    .collect();
                if !missing.is_empty() && !read.rows.is_empty() {
                    let message = format!("columns missing: {}; null instead", missing.join(", "));
                    notes.push(Note::warning(&file.path, "columns-missing", message));
                }
                side_car::add(&mut table, &file.path, &groups, read);
            }
            Err(why) => broken.push((file.path.clone(), why)),
        }
    }
    table.finish(&rule.table)
}

/// The JSON side-cars of all recordings, one row a leaf.
pub(super) fn json_table(
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
            mmpipe_sidecars::flatten(key, value, &mut leaves);
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

/// The table `files`: every file, named groups as columns.
pub(super) fn files_table(
    manifest: &Manifest,
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
    let parts = manifest.parts.iter().flat_map(|p| p.set.keys());
    let sounds = manifest.sounds.iter().flat_map(|s| s.set.keys());
    for name in parts.chain(sounds) {
        if !groups.contains(&name.as_str()) {
            groups.push(name);
        }
    }
    let mut table = Columns::new("files", files.len()).text("path", each(files, |f| &f.path));
    for name in groups {
        table = table.text(name, files.iter().map(|f| f.groups.get(name)));
    }
    let headers = || opened.iter().map(|o| o.as_ref().map(|o| &o.header));
    // What is known of a recording by its header is known of a sound inside a file, too.
    let either = || {
        let sounds = files.iter().map(|f| f.sound.as_ref());
        headers().zip(sounds)
    };
    table
        .text(
            "container",
            either().map(|(h, s)| {
                let header = h.map(|h| h.container.to_string());
                header.or_else(|| s.map(|s| s.container.clone()))
            }),
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
            opened.iter().zip(files).map(|(o, f)| {
                let eeg = o.as_ref().and_then(|o| channels::sfreq(&o.rows));
                eeg.or(f.sound.as_ref().map(|s| s.sfreq))
            }),
        )
        .i32(
            "n_channels",
            either().map(|(h, s)| {
                let channels = h.map(|h| h.channels.len()).or(s.map(|s| s.channels));
                i32::try_from(channels?).ok()
            }),
        )
        .f64(
            "seconds",
            either().map(|(h, s)| h.map(|h| h.seconds).or(s.map(|s| s.seconds))),
        )
        .text(
            "start_time",
            headers().map(|h| h.and_then(|h| h.start.as_ref())),
        )
        .text("status", files.iter().map(|f| Some(f.status.as_str())))
        .text("reason", files.iter().map(|f| f.reason.as_ref()))
        .finish()
}

/// The table `channels`.
pub(super) fn channels_table(
    files: &[File],
    opened: &[Option<Opened>],
) -> Result<(String, RecordBatch)> {
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
        .f32("distance", rows.iter().map(|(_, _, r, _)| r.distance))
        .text(
            "coordinate_system",
            rows.iter().map(|(_, _, r, system)| r.position.and(*system)),
        )
        .finish()
}

/// The table `diagnostics`.
pub(super) fn notes_table(notes: &[Note]) -> Result<(String, RecordBatch)> {
    Columns::new("diagnostics", notes.len())
        .text("path", each(notes, |n| &n.path))
        .text("severity", notes.iter().map(|n| Some(n.severity)))
        .text("code", each(notes, |n| &n.code))
        .text("message", each(notes, |n| &n.message))
        .finish()
}
