//! Segments of sound by key.

use std::collections::HashMap;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float32Type, Int32Type};

use crate::ingest::audio_path;
use crate::page::{SampleColumn, key_columns};
use crate::{Error, Lake, Result};

/// All stored segments of one recipe, with their files mapped. Reading takes `&self` and may be
/// done from many threads.
#[derive(Debug)]
pub struct AudioStore {
    files: Vec<SampleColumn>,
    /// By stimulus_id and segment: file, row, peak.
    places: HashMap<String, HashMap<i32, (usize, usize, f32)>>,
}

impl AudioStore {
    /// Opens the sounds of `recipe`.
    ///
    /// # Errors
    /// [`Error::Query`] or [`Error::Layout`] when a table cannot be read.
    pub async fn open(lake: &Lake, recipe: &str) -> Result<AudioStore> {
        let recipe_text = recipe.replace('\'', "''");
        let sql = format!(
            "SELECT dataset, path FROM stimuli WHERE status = 'ok' AND kind = 'sound' AND recipe = '{recipe_text}' ORDER BY dataset, path"
        );
        let mut paths = Vec::new();
        for batch in lake.query(&sql).await? {
            let text = |name: &str| {
                batch
                    .column_by_name(name)
                    .and_then(|c| c.as_string_opt::<i32>())
                    .cloned()
            };
            if let (Some(dataset), Some(path)) = (text("dataset"), text("path")) {
                paths.extend(
                    (0..batch.num_rows())
                        .map(|i| audio_path(lake.root(), recipe, dataset.value(i), path.value(i))),
                );
            }
        }
        tokio::task::spawn_blocking(move || {
            let mut store = AudioStore {
                files: Vec::new(),
                places: HashMap::new(),
            };
            for path in paths {
                store.add(&path)?;
            }
            Ok(store)
        })
        .await
        .map_err(|e| Error::NotFound(format!("a worker stopped: {e}")))?
    }

    fn add(&mut self, path: &std::path::Path) -> Result<()> {
        let bad = |name: &str| Error::Column {
            table: "audio".into(),
            column: name.into(),
            message: "is not of the type in schemas/audio.toml".into(),
        };
        let mut row = 0;
        for batch in key_columns(path, &["stimulus_id", "segment", "peak"])? {
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
                segments.insert(segment.value(i), (self.files.len(), row, peak.value(i)));
                row += 1;
            }
        }
        self.files.push(SampleColumn::open(path, "samples")?);
        Ok(())
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
        let Some(&(file, row, peak)) = place else {
            return Err(Error::NotFound(format!(
                "segment {segment} of sound {stimulus_id:?} is not in the lake; ingest its data set again"
            )));
        };
        let file = self
            .files
            .get(file)
            .ok_or_else(|| Error::NotFound(stimulus_id.to_string()))?;
        file.read(row, out)?;
        Ok(peak)
    }
}
