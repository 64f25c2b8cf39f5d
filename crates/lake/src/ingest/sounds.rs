//! Sounds to table `audio`: each decoded once, mono at the recipe's rate, in segments.
//!
//! Segments follow each other from the start of the sound. A trial that starts elsewhere in it
//! than on that grid (to the nearest sample) needs segments of its own: they are stored under
//! `<stimulus_id>@<ms>`, where `<ms>` is where their grid starts. What does not fill a segment
//! at the end of a sound is not stored, and epochs there have no segment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float32Array, Float64Array, Int32Array, ListArray, RecordBatch,
    StringArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type};
use mmpipe_formats::audio;
use mmpipe_signal::audio::{peak_normalise, to_16k_mono};
use mmpipe_signal::recipe::{AudioNormalise, AudioRecipe, Recipe};
use serde::Serialize;

use super::plan::Sound;
use super::rows::{OK, REJECTED, VERSION};
use super::work::WorkStream;
use crate::lake::path_value;
use crate::layout::ShardWriter;
use crate::{Error, Result, commit, schema};

/// A row of `stimuli`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StimulusRow {
    /// Key of table `audio`.
    pub stimulus_id: String,
    /// Data set.
    pub dataset: String,
    /// Relative to the raw folder.
    pub path: String,
    /// Of the file; `None` when it cannot be read.
    pub sha256: Option<String>,
    /// Story, piece or clip.
    pub content_id: Option<String>,
    /// Length in s.
    pub seconds: Option<f64>,
    /// Rate of the file, Hz.
    pub sfreq: Option<f64>,
    /// Who speaks or plays.
    pub speaker: Option<String>,
    /// Side on which it was played.
    pub side: Option<String>,
    /// Preprocessing recipe.
    pub recipe: String,
    /// Hash of its values.
    pub recipe_hash: String,
    /// Version of the code.
    pub version: String,
    /// Starts of the stored grids, in samples.
    pub phases: Vec<i32>,
    /// `ok` or `rejected`.
    pub status: String,
    /// Why it was rejected.
    pub reason: Option<String>,
}

/// Key of a sound: unique in the lake.
pub(crate) fn stimulus_id(dataset: &str, path: &str) -> String {
    format!("{dataset}/{path}")
}

/// Samples of a segment.
pub(crate) fn segment_samples(audio: &AudioRecipe) -> i64 {
    (audio.segment_seconds * f64::from(audio.sfreq)).round() as i64
}

/// Key of the segments whose grid starts at `phase` samples.
pub(crate) fn phased_id(stimulus_id: &str, phase: i64, sfreq: u32) -> String {
    match phase {
        0 => stimulus_id.to_string(),
        // Exact: a sample of 16 kHz is 0.0625 ms.
        _ => format!("{stimulus_id}@{}", phase as f64 * 1000.0 / f64::from(sfreq)),
    }
}

/// The stored segment under epoch number `epoch` of a trial, if the sound fills it.
pub(crate) fn segment_of(
    stream: &WorkStream,
    epoch: i32,
    audio: &AudioRecipe,
) -> Option<(String, i32)> {
    let n = segment_samples(audio);
    let at = stream.offset + i64::from(epoch) * n;
    let (segment, phase) = (at.div_euclid(n), at.rem_euclid(n));
    if segment < 0 || at + n > stream.length {
        return None;
    }
    Some((
        phased_id(&stream.stimulus_id, phase, audio.sfreq),
        i32::try_from(segment).ok()?,
    ))
}

/// Where the segments of a sound lie.
pub(crate) fn audio_path(lake: &Path, recipe: &str, dataset: &str, path: &str) -> PathBuf {
    let hash = xxhash_rust::xxh3::xxh3_64(path.as_bytes());
    let name = path.rsplit('/').next().unwrap_or(path);
    lake.join("audio")
        .join(format!("recipe={}", path_value(recipe)))
        .join(format!("dataset={}", path_value(dataset)))
        .join(format!("{}-{:08x}.parquet", path_value(name), hash >> 32))
}

/// What is asked of one sound.
pub(crate) struct Request {
    pub(crate) lake: PathBuf,
    /// The sound's file.
    pub(crate) file: PathBuf,
    pub(crate) recipe: Arc<Recipe>,
    pub(crate) dataset: String,
    pub(crate) path: String,
    pub(crate) sound: Sound,
    pub(crate) phases: BTreeSet<i32>,
    pub(crate) earlier: Option<StimulusRow>,
}

/// Stores a sound's segments. Returns its row and whether it was there already. A sound that
/// cannot be read becomes a row with status `rejected`; a lake that cannot be written is an error.
pub(crate) fn store(request: Request) -> Result<(StimulusRow, bool)> {
    let Request {
        lake,
        file,
        recipe,
        dataset,
        path,
        sound,
        mut phases,
        earlier,
    } = request;
    let target = audio_path(&lake, &recipe.name, &dataset, &path);
    let mut row = StimulusRow {
        stimulus_id: stimulus_id(&dataset, &path),
        dataset,
        path,
        sha256: None,
        content_id: sound.content_id,
        seconds: None,
        sfreq: None,
        speaker: sound.speaker,
        side: sound.side,
        recipe: recipe.name.clone(),
        recipe_hash: recipe.hash(),
        version: VERSION.into(),
        phases: Vec::new(),
        status: OK.into(),
        reason: None,
    };
    let decoded = (|| -> Result<_> {
        row.sha256 = Some(super::decode::sha256(std::iter::once(file.as_path()))?);
        if let Some(old) = &earlier {
            let same = old.status == OK
                && old.sha256 == row.sha256
                && (&old.recipe_hash, &old.version) == (&row.recipe_hash, &row.version);
            if same {
                // Epochs of subjects that are not part of this ingest may use these.
                phases.extend(&old.phases);
                if phases.len() == old.phases.len() && target.is_file() {
                    return Ok(None);
                }
            }
        }
        let sound = audio::read(&file)?;
        if sound.samples.is_empty() {
            return Err(Error::Empty(format!(
                "{}: the sound has no samples",
                file.display()
            )));
        }
        let mono = to_16k_mono(&sound.samples, sound.sfreq)?;
        if mono.iter().any(|v| !v.is_finite()) {
            return Err(Error::Empty(format!(
                "{}: the sound holds values that are not finite",
                file.display()
            )));
        }
        Ok(Some((mono, sound.sfreq)))
    })();
    match decoded {
        Ok(None) => {
            // Metadata of the manifest may be newer than the row.
            let old = earlier.as_ref();
            row.phases = phases.into_iter().collect();
            row.seconds = old.and_then(|o| o.seconds);
            row.sfreq = old.and_then(|o| o.sfreq);
            Ok((row, true))
        }
        Ok(Some((mono, sfreq))) => {
            row.phases = phases.into_iter().collect();
            row.seconds = Some(mono.len() as f64 / f64::from(recipe.audio.sfreq));
            row.sfreq = Some(f64::from(sfreq));
            write(&target, &row, &mono, &recipe)?;
            Ok((row, false))
        }
        Err(e) => {
            row.status = REJECTED.into();
            row.reason = Some(e.to_string());
            commit::remove(&target)?;
            Ok((row, false))
        }
    }
}

fn write(target: &Path, row: &StimulusRow, mono: &[f32], recipe: &Recipe) -> Result<()> {
    let audio = &recipe.audio;
    let n = usize::try_from(segment_samples(audio)).unwrap_or(0).max(1);
    let table = schema::table("audio")?;
    let schema = table.arrow(schema::DEFAULT_TIMES)?;
    let mut writer = ShardWriter::create(target, table, schema.clone(), n, Vec::new())?;
    for &phase in &row.phases {
        let id = phased_id(&row.stimulus_id, i64::from(phase), audio.sfreq);
        let start = usize::try_from(phase).unwrap_or(0).min(mono.len());
        for (segment, samples) in mono[start..].chunks_exact(n).enumerate() {
            let mut samples = samples.to_vec();
            let peak = match audio.normalise {
                AudioNormalise::Peak => peak_normalise(&mut samples),
                _ => 1.0,
            };
            let DataType::List(item) = schema.field_with_name("samples")?.data_type() else {
                continue;
            };
            let samples = ListArray::try_new(
                item.clone(),
                OffsetBuffer::from_lengths([n]),
                Arc::new(Float32Array::from(samples)),
                None,
            )?;
            let onset = (start + segment * n) as f64 / f64::from(audio.sfreq);
            let columns: Vec<ArrayRef> = vec![
                Arc::new(StringArray::from(vec![id.as_str()])),
                Arc::new(Int32Array::from(vec![
                    i32::try_from(segment).unwrap_or(i32::MAX),
                ])),
                Arc::new(Float64Array::from(vec![onset])),
                Arc::new(Float32Array::from(vec![peak])),
                Arc::new(Float64Array::from(vec![f64::from(audio.sfreq)])),
                Arc::new(samples),
                Arc::new(StringArray::from(vec![row.dataset.as_str()])),
                Arc::new(StringArray::from(vec![row.recipe.as_str()])),
            ];
            writer.write(&RecordBatch::try_new(schema.clone(), columns)?)?;
        }
    }
    writer.commit().map(drop)
}

/// Rows as a batch of table `stimuli`.
pub(crate) fn to_batch(rows: &[StimulusRow]) -> Result<RecordBatch> {
    let schema = schema::table("stimuli")?.arrow(schema::DEFAULT_TIMES)?;
    let text = |f: fn(&StimulusRow) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(f)))
    };
    let maybe = |f: fn(&StimulusRow) -> Option<&str>| -> ArrayRef {
        Arc::new(StringArray::from_iter(rows.iter().map(f)))
    };
    let phases = Int32Array::from_iter_values(rows.iter().flat_map(|r| r.phases.iter().copied()));
    let item = Arc::new(Field::new("item", DataType::Int32, false));
    let offsets = OffsetBuffer::from_lengths(rows.iter().map(|r| r.phases.len()));
    let columns: Vec<ArrayRef> = vec![
        text(|r| &r.stimulus_id),
        text(|r| &r.dataset),
        text(|r| &r.path),
        maybe(|r| r.sha256.as_deref()),
        maybe(|r| r.content_id.as_deref()),
        Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.seconds))),
        Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.sfreq))),
        maybe(|r| r.speaker.as_deref()),
        maybe(|r| r.side.as_deref()),
        text(|r| &r.recipe),
        text(|r| &r.recipe_hash),
        text(|r| &r.version),
        Arc::new(ListArray::try_new(item, offsets, Arc::new(phases), None)?),
        text(|r| &r.status),
        maybe(|r| r.reason.as_deref()),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// The rows of a batch of table `stimuli`.
pub(crate) fn from_batch(batch: &RecordBatch) -> Result<Vec<StimulusRow>> {
    let wrong = |name: &str| Error::Column {
        table: "stimuli".into(),
        column: name.into(),
        message: "is not of the type in schemas/stimuli.toml".into(),
    };
    let mut texts: BTreeMap<&str, StringArray> = BTreeMap::new();
    for name in [
        "stimulus_id",
        "dataset",
        "path",
        "sha256",
        "content_id",
        "speaker",
        "side",
        "recipe",
        "recipe_hash",
        "version",
        "status",
        "reason",
    ] {
        let column = batch
            .column_by_name(name)
            .and_then(|c| c.as_string_opt::<i32>())
            .ok_or_else(|| wrong(name))?;
        texts.insert(name, column.clone());
    }
    let get = |name: &str, i: usize| {
        texts
            .get(name)
            .filter(|c| c.is_valid(i))
            .map(|c| c.value(i).to_string())
    };
    let must = |name: &str, i: usize| get(name, i).unwrap_or_default();
    let double = |name: &str| {
        batch
            .column_by_name(name)
            .and_then(|c| c.as_primitive_opt::<Float64Type>())
            .ok_or_else(|| wrong(name))
    };
    let (seconds, sfreq) = (double("seconds")?, double("sfreq")?);
    let phases = batch
        .column_by_name("phases")
        .and_then(|c| c.as_list_opt::<i32>())
        .ok_or_else(|| wrong("phases"))?;
    (0..batch.num_rows())
        .map(|i| {
            let phases = phases.value(i);
            Ok(StimulusRow {
                stimulus_id: must("stimulus_id", i),
                dataset: must("dataset", i),
                path: must("path", i),
                sha256: get("sha256", i),
                content_id: get("content_id", i),
                seconds: seconds.is_valid(i).then(|| seconds.value(i)),
                sfreq: sfreq.is_valid(i).then(|| sfreq.value(i)),
                speaker: get("speaker", i),
                side: get("side", i),
                recipe: must("recipe", i),
                recipe_hash: must("recipe_hash", i),
                version: must("version", i),
                phases: phases
                    .as_primitive_opt::<Int32Type>()
                    .ok_or_else(|| wrong("phases"))?
                    .values()
                    .to_vec(),
                status: must("status", i),
                reason: get("reason", i),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(offset: i64, length: i64) -> WorkStream {
        WorkStream {
            stimulus_id: "D/a.wav".into(),
            role: "heard".into(),
            offset,
            length,
        }
    }

    #[test]
    fn segments_follow_the_grid_of_the_sound_or_one_of_their_own() {
        let audio = Recipe::builtin("mindmix").unwrap().audio;
        let of = |offset, length, epoch| segment_of(&stream(offset, length), epoch, &audio);
        assert_eq!(of(0, 96_000, 0), Some(("D/a.wav".into(), 0)));
        assert_eq!(of(64_000, 960_000, 1), Some(("D/a.wav".into(), 3)));
        assert_eq!(of(8_000, 960_000, 0), Some(("D/a.wav@500".into(), 0)));
        assert_eq!(of(32_001, 960_000, 0), Some(("D/a.wav@0.0625".into(), 1)));
        // The sound starts half a second after the trial.
        assert_eq!(of(-8_000, 960_000, 0), None);
        assert_eq!(of(-8_000, 960_000, 1), Some(("D/a.wav@1500".into(), 0)));
        // The sound ends.
        assert_eq!(of(0, 95_999, 2), None);
        assert_eq!(of(0, 96_000, 2), Some(("D/a.wav".into(), 2)));
    }
}
