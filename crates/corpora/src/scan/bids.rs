//! BIDS-EEG: which side-cars belong to a recording, and what they say.
//!
//! The inheritance principle: a side-car applies to every recording below its folder whose
//! entities include its own. Of JSON files all apply, the nearer overriding the farther; of
//! TSV files only the nearest does. Where a side-car and the file disagree on what the file
//! itself states (rate, length, unit), the file wins and a diagnostic says so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::classify::{File, Status};
use super::note::Note;
use super::side_car::{self, Cells};
use super::tables::TextTable;
use crate::Result;
use crate::manifest::Format;

mod positions;

pub(super) use positions::Positions;

/// The name in dataset_description.json, else the folder's, as a data set name.
pub(super) fn dataset_name(root: &Path) -> String {
    let described = side_car::read_text(&root.join("dataset_description.json"))
        .ok()
        .and_then(|text| serde_json::from_str::<Value>(&text).ok())
        .and_then(|v| v.get("Name").and_then(Value::as_str).map(str::to_owned));
    let folder = || {
        let real = root.canonicalize().ok()?;
        Some(real.file_name()?.to_string_lossy().into_owned())
    };
    described
        .map(|n| clean(&n))
        .filter(|n| !n.is_empty())
        .or_else(|| folder().map(|n| clean(&n)))
        .filter(|n| !n.is_empty())
        .unwrap_or_else(|| "BIDS".into())
}

/// Letters, digits, `-`, `_` and `.`; other runs become one `-`.
fn clean(name: &str) -> String {
    let mut out = String::new();
    for c in name.trim().chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-') {
            out.push(c);
        } else if !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_matches(['-', '.']).to_owned()
}

/// A side-car's name taken apart.
#[derive(Debug)]
struct Meta {
    path: String,
    full: PathBuf,
    folder: String,
    entities: BTreeMap<String, String>,
    suffix: String,
    extension: String,
}

/// Entities, suffix and extension of a file name such as `sub-01_task-x_eeg.json`.
fn take_apart(name: &str) -> Option<(BTreeMap<String, String>, String, String)> {
    let (stem, extension) = name.split_once('.')?;
    let mut parts: Vec<&str> = stem.split('_').collect();
    let suffix = parts.pop()?;
    let mut entities = BTreeMap::new();
    for part in parts {
        let (key, value) = part.split_once('-')?;
        entities.insert(key.to_owned(), value.to_owned());
    }
    Some((entities, suffix.to_owned(), extension.to_lowercase()))
}

fn folder_and_name(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Whether `folder` is `inner` or above it.
fn holds(folder: &str, inner: &str) -> bool {
    folder.is_empty()
        || folder == inner
        || inner
            .strip_prefix(folder)
            .is_some_and(|r| r.starts_with('/'))
}

/// All side-cars of a folder.
#[derive(Debug)]
pub(super) struct Index {
    metas: Vec<Meta>,
}

/// What the side-cars say of one recording.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// eeg.json, merged.
    pub(super) eeg: Map<String, Value>,
    /// events.json, merged.
    pub(super) events_json: Map<String, Value>,
    /// Rows of events.tsv; `None` where there is none.
    pub(super) events: Option<Vec<Cells>>,
    /// Rows of channels.tsv by `name`.
    pub(super) channels: BTreeMap<String, BTreeMap<String, String>>,
    /// Measured electrode positions.
    pub(super) positions: Positions,
    /// What is worth knowing, about the recording or a side-car.
    pub(super) notes: Vec<Note>,
    /// Side-cars that cannot be read, with the reason.
    pub(super) broken: Vec<(String, String)>,
}

impl Index {
    /// Takes the side-cars among `files`.
    pub(super) fn new(files: &[File]) -> Self {
        let metas = files
            .iter()
            .filter(|f| f.status == Status::SideCar)
            .filter_map(|f| {
                let (folder, name) = folder_and_name(&f.path);
                let (entities, suffix, extension) = take_apart(name)?;
                Some(Meta {
                    path: f.path.clone(),
                    full: f.full.clone(),
                    folder: folder.to_owned(),
                    entities,
                    suffix,
                    extension,
                })
            })
            .collect();
        Self { metas }
    }

    /// Side-cars that apply to a recording, farthest first. The entity `space` is a choice of
    /// coordinates, not of recordings, and is left out of the comparison.
    fn applying<'a>(&'a self, recording: &str, suffix: &str, extension: &str) -> Vec<&'a Meta> {
        let (folder, name) = folder_and_name(recording);
        let Some((entities, _, _)) = take_apart(name) else {
            return Vec::new();
        };
        let mut metas: Vec<&Meta> = self
            .metas
            .iter()
            .filter(|m| m.suffix == suffix && m.extension == extension)
            .filter(|m| holds(&m.folder, folder))
            .filter(|m| {
                m.entities
                    .iter()
                    .all(|(k, v)| k == "space" || entities.get(k) == Some(v))
            })
            .collect();
        metas.sort_by_key(|m| (m.nearness(), m.path.clone()));
        metas
    }

    /// What all side-cars say of the recording at `path`.
    pub(super) fn extras(&self, path: &str) -> Extras {
        let mut extras = Extras::default();
        extras.eeg = self.json(path, "eeg", &mut extras);
        extras.events_json = self.json(path, "events", &mut extras);
        extras.events = self.tsv(path, "events", &mut extras);
        for row in self.tsv(path, "channels", &mut extras).unwrap_or_default() {
            let row: BTreeMap<String, String> =
                row.into_iter().filter_map(|(k, v)| Some((k, v?))).collect();
            if let Some(name) = row.get("name") {
                extras.channels.entry(name.clone()).or_insert(row);
            }
        }
        extras.positions = self.positions(path, &mut extras);
        extras
    }

    /// The merged JSON side-cars of a suffix.
    fn json(&self, path: &str, suffix: &str, extras: &mut Extras) -> Map<String, Value> {
        let mut merged = Map::new();
        for meta in self.applying(path, suffix, "json") {
            merged.extend(read_object(meta, extras));
        }
        merged
    }

    /// The nearest TSV side-car of a suffix.
    fn tsv(&self, path: &str, suffix: &str, extras: &mut Extras) -> Option<Vec<Cells>> {
        let metas = self.applying(path, suffix, "tsv");
        let nearest = metas.last()?;
        let equal: Vec<&&Meta> = metas
            .iter()
            .filter(|m| m.nearness() == nearest.nearness())
            .collect();
        let chosen = equal.first().copied().unwrap_or(nearest);
        if equal.len() > 1 {
            extras.notes.push(Note::warning(
                path,
                "side-car-ambiguous",
                format!(
                    "{} files {suffix}.tsv apply equally; {} is used",
                    equal.len(),
                    chosen.path
                ),
            ));
        }
        match side_car::read_cells(&chosen.full, &chosen.path, Format::Tsv, &mut extras.notes) {
            Ok(rows) => Some(rows),
            Err(why) => {
                extras.broken.push((chosen.path.clone(), why));
                None
            }
        }
    }

    /// Every trial_type of every events.tsv: how often, and its longest duration.
    pub(super) fn trial_types(&self) -> Result<(String, arrow::record_batch::RecordBatch)> {
        let mut types: BTreeMap<String, (i64, Option<f64>)> = BTreeMap::new();
        for meta in &self.metas {
            if meta.suffix != "events" || meta.extension != "tsv" {
                continue;
            }
            // What is wrong with a file is reported with the recording it belongs to.
            let rows = side_car::read_cells(&meta.full, &meta.path, Format::Tsv, &mut Vec::new());
            for row in rows.unwrap_or_default() {
                let cell = |name: &str| {
                    let (_, value) = row.iter().find(|(c, _)| c == name)?;
                    value.as_deref()
                };
                let Some(kind) = cell("trial_type") else {
                    continue;
                };
                let duration = cell("duration").and_then(|d| d.parse::<f64>().ok());
                let entry = types.entry(kind.to_owned()).or_default();
                entry.0 += 1;
                entry.1 = match (entry.1, duration) {
                    (Some(a), Some(b)) => Some(a.max(b)),
                    (a, b) => a.or(b),
                };
            }
        }
        super::tables::Columns::new("trial_types", types.len())
            .text("trial_type", types.keys().map(Some))
            .i64("events", types.values().map(|(n, _)| Some(*n)))
            .f64("longest", types.values().map(|(_, d)| *d))
            .finish()
    }

    /// The tables `participants`, `scans` and `sessions`.
    pub(super) fn people(
        &self,
        broken: &mut Vec<(String, String)>,
        notes: &mut Vec<Note>,
    ) -> Vec<(String, TextTable)> {
        let mut tables = vec![
            (
                "participants".to_owned(),
                TextTable::with_columns(&["subject", "participant_id"]),
            ),
            (
                "scans".to_owned(),
                TextTable::with_columns(&["path", "filename", "acq_time"]),
            ),
            (
                "sessions".to_owned(),
                TextTable::with_columns(&["subject", "session", "session_id"]),
            ),
        ];
        for meta in &self.metas {
            let Some((_, table)) = tables
                .iter_mut()
                .find(|(name, _)| *name == meta.suffix && meta.extension == "tsv")
            else {
                continue;
            };
            let rows = match side_car::read_cells(&meta.full, &meta.path, Format::Tsv, notes) {
                Ok(rows) => rows,
                Err(why) => {
                    broken.push((meta.path.clone(), why));
                    continue;
                }
            };
            for row in rows {
                let bare = |name: &str, prefix: &str| {
                    let (_, value) = row.iter().find(|(c, _)| c == name)?;
                    let value = value.as_deref()?;
                    Some(value.strip_prefix(prefix).unwrap_or(value).to_owned())
                };
                let key: Cells = match meta.suffix.as_str() {
                    "participants" => vec![("subject".into(), bare("participant_id", "sub-"))],
                    "scans" => {
                        let path = bare("filename", "").map(|f| match meta.folder.as_str() {
                            "" => f,
                            folder => format!("{folder}/{f}"),
                        });
                        vec![("path".into(), path)]
                    }
                    _ => vec![
                        ("subject".into(), meta.entities.get("sub").cloned()),
                        ("session".into(), bare("session_id", "ses-")),
                    ],
                };
                let own = key.iter().map(|(c, _)| c.clone()).collect::<Vec<_>>();
                let rest = row.into_iter().filter(|(c, _)| !own.contains(c));
                table.push(key.into_iter().chain(rest));
            }
        }
        tables
    }
}

impl Meta {
    /// Depth of the folder, then number of entities: larger is nearer.
    fn nearness(&self) -> (usize, usize) {
        let depth = match self.folder.as_str() {
            "" => 0,
            folder => 1 + folder.matches('/').count(),
        };
        let entities = self.entities.keys().filter(|k| *k != "space").count();
        (depth, entities)
    }
}

/// A JSON side-car's object; what is wrong with it goes to `extras`.
fn read_object(meta: &Meta, extras: &mut Extras) -> Map<String, Value> {
    let parsed = side_car::read_text(&meta.full)
        .and_then(|text| serde_json::from_str::<Value>(&text).map_err(|e| e.to_string()));
    match parsed {
        Ok(Value::Object(object)) => object,
        Ok(_) => {
            let why = "expected a JSON object".to_owned();
            extras.broken.push((meta.path.clone(), why));
            Map::new()
        }
        Err(why) => {
            extras.broken.push((meta.path.clone(), why));
            Map::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_apart() {
        let (e, suffix, ext) = take_apart("sub-01_ses-a_task-x_eeg.json").unwrap();
        assert_eq!(e["ses"], "a");
        assert_eq!((suffix.as_str(), ext.as_str()), ("eeg", "json"));
        assert!(take_apart("sub01_eeg.json").is_none());
        assert_eq!(clean(" My (first) set! "), "My-first-set");
    }

    #[test]
    fn folders_hold_what_is_below() {
        assert!(holds("", "a/b"));
        assert!(holds("a", "a/b"));
        assert!(!holds("a", "ab/c"));
    }
}
