//! Segments of sound by key.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float32Type, Int32Type};
use xxhash_rust::xxh3::xxh3_128;

use crate::ingest::audio_path;
use crate::page::{SampleColumn, key_columns};
use crate::{Error, Lake, Result};

/// All stored segments of one recipe, with their files mapped. Reading takes `&self` and may be
/// done from many threads.
#[derive(Debug)]
pub struct AudioStore {
    root: PathBuf,
    recipe: String,
    shards: Vec<Shard>,
    /// By stimulus_id and segment: file, row, peak.
    places: HashMap<String, HashMap<i32, (usize, usize, f32)>>,
}

/// The segments of one sound.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) path: PathBuf,
    pub(crate) dataset: String,
    /// Identity of the sound: raw bytes, recipe, code, and where in its file it lies.
    pub(crate) sound_hash: String,
    /// stimulus_id and segment of each row.
    pub(crate) segments: Vec<(String, i32)>,
    samples: SampleColumn,
}

impl AudioStore {
    /// Opens the sounds of `recipe`.
    ///
    /// # Errors
    /// [`Error::Query`] or [`Error::Layout`] when a table cannot be read.
    pub async fn open(lake: &Lake, recipe: &str) -> Result<AudioStore> {
        let recipe_text = recipe.replace('\'', "''");
        let sql = format!(
            "SELECT dataset, path, coalesce(sha256, '') || '/' || recipe_hash || '/' || version || '/' || coalesce(tree, '') AS identity \
             FROM stimuli WHERE status = 'ok' AND kind = 'sound' AND recipe = '{recipe_text}' ORDER BY dataset, path"
        );
        let mut sounds = Vec::new();
        for batch in lake.query(&sql).await? {
            let text = |name: &str| {
                batch
                    .column_by_name(name)
                    .and_then(|c| c.as_string_opt::<i32>())
                    .cloned()
            };
            if let (Some(dataset), Some(path), Some(identity)) =
                (text("dataset"), text("path"), text("identity"))
            {
                sounds.extend((0..batch.num_rows()).map(|i| {
                    let dataset = dataset.value(i);
                    let file = audio_path(lake.root(), recipe, dataset, path.value(i));
                    let hash = xxh3_128(identity.value(i).as_bytes());
                    (file, dataset.to_owned(), format!("{hash:032x}"))
                }));
            }
        }
        let mut store = AudioStore {
            root: lake.root().to_path_buf(),
            recipe: recipe.to_owned(),
            shards: Vec::new(),
            places: HashMap::new(),
        };
        tokio::task::spawn_blocking(move || {
            for (path, dataset, sound_hash) in sounds {
                store.add(path, dataset, sound_hash)?;
            }
            Ok(store)
        })
        .await
        .map_err(|e| Error::NotFound(format!("a worker stopped: {e}")))?
    }

    fn add(&mut self, path: PathBuf, dataset: String, sound_hash: String) -> Result<()> {
        let bad = |name: &str| Error::Column {
            table: "audio".into(),
            column: name.into(),
            message: "is not of the type in schemas/audio.toml".into(),
        };
        let mut keys = Vec::new();
        for batch in key_columns(&path, &["stimulus_id", "segment", "peak"])? {
            let id = batch
                .column_by_name("stimulus_id")
                .and_then(|c| c.as_string_opt::<i32>())
                .ok_or_else(|| bad("stimulus_id"))?;
            let segment = batch
                .column_by_name("segment")
                .and_then(|c| c.as_primitive_opt::<Int32Type>())
                .ok_or_else(|| bad("segment"))?;
            let peak = batch
                .column_by_name("peak")
                .and_then(|c| c.as_primitive_opt::<Float32Type>())
                .ok_or_else(|| bad("peak"))?;
            for i in 0..id.len() {
                let segments = self.places.entry(id.value(i).to_string()).or_default();
                let place = (self.shards.len(), keys.len(), peak.value(i));
                segments.insert(segment.value(i), place);
                keys.push((id.value(i).to_string(), segment.value(i)));
            }
        }
        self.shards.push(Shard {
            samples: SampleColumn::open(&path, "samples")?,
            path,
            dataset,
            sound_hash,
            segments: keys,
        });
        Ok(())
    }

    /// The recipe.
    pub fn recipe(&self) -> &str {
        &self.recipe
    }

    /// The lake's folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The sounds, by data set and path.
    pub(crate) fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// Number of sounds of a data set, and of their segments.
    pub fn size(&self, dataset: &str) -> (usize, usize) {
        let of = || self.shards.iter().filter(|s| s.dataset == dataset);
        (of().count(), of().map(|s| s.segments.len()).sum())
    }

    /// Number of segments under a key. They are numbered from 0, except that a grid which starts
    /// before its sound lacks the numbers that would lie there.
    pub fn segments(&self, stimulus_id: &str) -> usize {
        self.places.get(stimulus_id).map_or(0, HashMap::len)
    }

    /// Copies a segment (mono, 16 kHz, divided by its peak) to `out`, which has its number of
    /// samples, and returns the peak by which it was divided.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such segment, [`Error::Layout`] when the file is
    /// damaged or `out` is of another size.
    pub fn read(&self, stimulus_id: &str, segment: i32, out: &mut [f32]) -> Result<f32> {
        let place = self.places.get(stimulus_id).and_then(|s| s.get(&segment));
        let Some(&(shard, row, peak)) = place else {
            return Err(Error::NotFound(format!(
                "segment {segment} of sound {stimulus_id:?} is not in the lake; ingest its data set again"
            )));
        };
        let shard = self
            .shards
            .get(shard)
            .ok_or_else(|| Error::NotFound(stimulus_id.to_string()))?;
        shard.samples.read(row, out)?;
        Ok(peak)
    }
}
