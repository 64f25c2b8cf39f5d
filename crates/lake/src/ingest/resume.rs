//! What earlier ingests left: the rows of `recordings` and `stimuli` of one data set and
//! recipe, what of it still holds, and what must go.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use mmpipe_corpora::Scan;
use mmpipe_signal::recipe::Recipe;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::operators::shard_path;
use super::plan::Plan;
use super::rows::{self, OK, RecordingRow, VERSION};
use super::sounds;
use super::stimuli::{self, StimulusRow};
use super::work::Work;
use crate::lake::{path_value, write_table_file};
use crate::{Error, Lake, Result, commit, schema};

/// Rows by path.
pub(crate) struct Earlier {
    dataset: String,
    recipe: String,
    recordings: BTreeMap<String, RecordingRow>,
    pub(crate) stimuli: BTreeMap<String, StimulusRow>,
}

impl Earlier {
    /// Reads the rows of a data set and recipe; none is no error.
    pub(crate) fn load(lake: &Lake, dataset: &str, recipe: &str) -> Result<Self> {
        let file = |table: &str| -> Result<PathBuf> {
            Ok(lake
                .partition_dir(table, &[("dataset", dataset)])?
                .join(format!("{}.parquet", path_value(recipe))))
        };
        let mut recordings = BTreeMap::new();
        for batch in read(&file("recordings")?)? {
            recordings.extend(
                rows::from_batch(&batch)?
                    .into_iter()
                    .map(|r| (r.path.clone(), r)),
            );
        }
        let mut stimuli = BTreeMap::new();
        for batch in read(&file("stimuli")?)? {
            stimuli.extend(
                stimuli::from_batch(&batch)?
                    .into_iter()
                    .map(|r| (r.path.clone(), r)),
            );
        }
        Ok(Earlier {
            dataset: dataset.into(),
            recipe: recipe.into(),
            recordings,
            stimuli,
        })
    }

    fn folders(&self, lake: &Lake) -> Result<[PathBuf; 4]> {
        let both = [
            ("recipe", self.recipe.as_str()),
            ("dataset", self.dataset.as_str()),
        ];
        let eeg = lake
            .root()
            .join("eeg")
            .join(format!("recipe={}", path_value(both[0].1)));
        Ok([
            eeg.join(format!("dataset={}", path_value(both[1].1))),
            lake.partition_dir("audio", &both)?,
            lake.partition_dir("recordings", &both[1..])?,
            lake.partition_dir("stimuli", &both[1..])?,
        ])
    }

    /// Removes what writers that died left behind.
    pub(crate) fn sweep(&self, lake: &Lake) -> Result<()> {
        for folder in self.folders(lake)? {
            commit::sweep(&folder)?;
        }
        Ok(())
    }

    /// The row of an earlier ingest that would be written again now if the raw bytes are the same.
    pub(crate) fn candidate(
        &self,
        lake: &Lake,
        work: &Work,
        recipe: &Recipe,
    ) -> Option<&RecordingRow> {
        let row = self.recordings.get(&work.path)?;
        let same = row.status == OK
            && row.recording_id == work.recording_id
            && row.recipe_hash == recipe.hash()
            && row.version == VERSION
            && row.plan_hash == work.plan_hash;
        let there = row.epochs == 0
            || shard_path(
                lake.root(),
                &recipe.name,
                &work.dataset,
                &work.subject,
                &work.recording_id,
            )
            .is_file();
        (same && there).then_some(row)
    }

    /// Takes over a row of this ingest.
    pub(crate) fn put(&mut self, row: RecordingRow) {
        self.recordings.insert(row.path.clone(), row);
    }

    /// Writes table `recordings`.
    pub(crate) fn save(&self, lake: &Lake) -> Result<()> {
        let rows: Vec<RecordingRow> = self.recordings.values().cloned().collect();
        self.write(lake, "recordings", rows::to_batch(&rows)?)
    }

    /// Writes table `stimuli`.
    pub(crate) fn save_stimuli(&self, lake: &Lake) -> Result<()> {
        let rows: Vec<StimulusRow> = self.stimuli.values().cloned().collect();
        self.write(lake, "stimuli", stimuli::to_batch(&rows)?)
    }

    fn write(&self, lake: &Lake, table: &str, batch: RecordBatch) -> Result<()> {
        let partition = [("dataset", self.dataset.as_str())];
        write_table_file(
            lake,
            schema::table(table)?,
            &partition,
            &path_value(&self.recipe),
            &[batch],
        )
        .map(drop)
    }

    /// Says which recordings have the same raw bytes. Parts of one file do, and are not meant.
    pub(crate) fn repeated(&self) -> Vec<String> {
        let mut by_hash: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for row in self.recordings.values().filter(|r| r.status == OK) {
            if let Some(sha256) = &row.sha256 {
                by_hash.entry(sha256).or_default().push(&row.path);
            }
        }
        let file = |path: &str| {
            path.rsplit_once('#')
                .map_or(path, |(file, _)| file)
                .to_owned()
        };
        by_hash
            .into_values()
            .filter(|paths| paths.iter().map(|p| file(p)).collect::<BTreeSet<_>>().len() > 1)
            .map(|paths| {
                format!(
                    "identical-files: {} have the same bytes (SHA-256); each is in the lake",
                    paths.join(", ")
                )
            })
            .collect()
    }

    /// Removes what the raw folder no longer has: rows of files that are gone or that the
    /// manifest no longer takes as recordings, and shards without a row. Recordings that this
    /// ingest was told to leave alone (a filter on subjects) stay. `current` are the recordings
    /// of this ingest. Returns the paths removed.
    pub(crate) fn remove_orphans(
        &mut self,
        lake: &Lake,
        raw: &Path,
        plan: &Plan,
        current: &BTreeSet<String>,
        scan: &Scan,
    ) -> Result<Vec<String>> {
        let refused = unmatched(scan);
        let gone: Vec<String> = self
            .recordings
            .keys()
            .filter(|path| !current.contains(path.as_str()))
            .filter(|path| refused.contains(*path) || !raw_exists(raw, scan, path))
            .cloned()
            .collect();
        for path in &gone {
            self.recordings.remove(path);
        }
        let [eeg, audio, _, _] = self.folders(lake)?;
        let mut expected: BTreeSet<PathBuf> = BTreeSet::new();
        for row in self
            .recordings
            .values()
            .filter(|r| r.status == OK && r.epochs > 0)
        {
            let subject = row.subject.as_deref().unwrap_or_default();
            expected.insert(shard_path(
                lake.root(),
                &self.recipe,
                &self.dataset,
                subject,
                &row.recording_id,
            ));
        }
        remove_others(&eeg, &expected)?;

        let before = self.stimuli.len();
        self.stimuli
            .retain(|path, _| plan.sounds.contains_key(path) || raw_exists(raw, scan, path));
        let expected = self
            .stimuli
            .values()
            .filter(|s| s.status == OK)
            .map(|s| sounds::audio_path(lake.root(), &self.recipe, &self.dataset, &s.path))
            .collect();
        remove_others(&audio, &expected)?;
        if self.stimuli.len() != before {
            self.save_stimuli(lake)?;
        }
        Ok(gone)
    }
}

/// Whether a raw file is there, in the folder or in an archive; a part of one is `file#part`, or
/// `file#part#ch2`.
fn raw_exists(raw: &Path, scan: &Scan, path: &str) -> bool {
    let there = |path: &str| scan.places.contains_key(path) || raw.join(path).exists();
    let mut parts = path.match_indices('#').filter_map(|(at, _)| path.get(..at));
    there(path) || parts.any(there)
}

/// Files that no rule of the manifest takes. A file that a filter leaves out has a subject.
fn unmatched(scan: &Scan) -> BTreeSet<String> {
    use arrow::array::{Array, AsArray};
    let mut out = BTreeSet::new();
    let Some(files) = scan.table("files") else {
        return out;
    };
    let column = |name: &str| {
        files
            .column_by_name(name)
            .and_then(|c| c.as_string_opt::<i32>())
    };
    if let (Some(path), Some(subject), Some(status)) =
        (column("path"), column("subject"), column("status"))
    {
        for i in 0..files.num_rows() {
            if status.value(i) == "ignored" && subject.is_null(i) {
                out.insert(path.value(i).to_string());
            }
        }
    }
    out
}

fn remove_others(folder: &Path, expected: &BTreeSet<PathBuf>) -> Result<()> {
    for path in commit::files_below(folder, ".parquet")? {
        if !expected.contains(&path) {
            commit::remove(&path)?;
        }
    }
    Ok(())
}

/// All rows of a small table's file; a missing file has none.
fn read(path: &Path) -> Result<Vec<RecordBatch>> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("open", path)(e)),
    };
    let broken = |e: String| Error::Layout {
        path: path.to_path_buf(),
        message: format!("cannot be read ({e}); remove it and ingest again"),
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|b| b.build())
        .map_err(|e| broken(e.to_string()))?;
    reader
        .map(|b| b.map_err(|e| broken(e.to_string())))
        .collect()
}
