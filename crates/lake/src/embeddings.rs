//! Vectors that frozen sound encoders gave of the lake's sounds: table `audio_embeddings`.
//!
//! Owns which segments have a vector of an encoder ([`EmbeddingStore`]), which lack one
//! ([`EmbeddingStore::missing`]), and the files, one an encoder and sound ([`write_embeddings`]). Does
//! not own the encoders: whoever has one gives its name, its identity and its vectors.
//!
//! A row counts where its sound is still the one that was heard: the identity of the sound
//! ([`AudioStore`]) is in the row. Rows of other sounds and other encoders are passed over, and go
//! when the file is written again.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, Float64Array, Int32Array,
    RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Schema};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::audio_store::{AudioStore, Shard};
use crate::lake::path_value;
use crate::page::{SampleColumn, key_columns};
use crate::shard::ShardWriter;
use crate::{Error, Result, commit, schema};

/// The table.
const TABLE: &str = "audio_embeddings";

/// A segment of a sound: `stimulus_id` and `segment` of table `audio`.
pub type Segment = (String, i32);

/// A frozen sound encoder, as the table names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoder {
    /// wav2vec2, hubert.
    pub name: String,
    /// Identity of shape and weights.
    pub hash: String,
    /// Values of a vector.
    pub width: usize,
}

/// The vectors of one encoder of the sounds of one recipe, with their files mapped. Reading takes
/// `&self` and may be done from many threads.
#[derive(Debug)]
pub struct EmbeddingStore {
    encoder_hash: String,
    files: Vec<(SampleColumn, usize)>,
    /// By stimulus_id and segment: file and row.
    places: HashMap<String, HashMap<i32, (usize, usize)>>,
}

/// Segments of one sound file that lack a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which of the sound files of the [`AudioStore`].
    shard: usize,
    /// Data set.
    pub dataset: String,
    /// In the order of the sound's file.
    pub segments: Vec<Segment>,
}

impl EmbeddingStore {
    /// Opens what `encoder_hash` gave of the sounds of `audio`.
    ///
    /// # Errors
    /// [`Error::Layout`] for a file that this version did not write.
    pub fn open(audio: &AudioStore, encoder_hash: &str) -> Result<EmbeddingStore> {
        let mut store = EmbeddingStore {
            encoder_hash: encoder_hash.to_owned(),
            files: Vec::new(),
            places: HashMap::new(),
        };
        for shard in audio.shards() {
            let path = place(audio, shard, encoder_hash);
            if path.is_file() {
                store.add(&path, shard)?;
            }
        }
        Ok(store)
    }

    fn add(&mut self, path: &Path, shard: &Shard) -> Result<()> {
        let mut row = 0;
        for batch in key_columns(path, &["stimulus_id", "segment", "sound_hash"])? {
            let id = texts(&batch, "stimulus_id")?;
            let segment = numbers(&batch, "segment")?;
            let sound = texts(&batch, "sound_hash")?;
            for i in 0..batch.num_rows() {
                if sound.value(i) == shard.sound_hash {
                    let of = self.places.entry(id.value(i).to_owned()).or_default();
                    of.insert(segment.value(i), (self.files.len(), row));
                }
                row += 1;
            }
        }
        let width = width(path)?;
        self.files
            .push((SampleColumn::open(path, "vector")?, width));
        Ok(())
    }

    /// Number of segments that have a vector.
    pub fn len(&self) -> usize {
        self.places.values().map(HashMap::len).sum()
    }

    /// Whether no segment has one.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    fn place(&self, stimulus_id: &str, segment: i32) -> Option<(usize, usize)> {
        self.places.get(stimulus_id)?.get(&segment).copied()
    }

    /// The vector of a segment; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Layout`] for a damaged file.
    pub fn read(&self, stimulus_id: &str, segment: i32) -> Result<Option<Vec<f32>>> {
        let Some((file, row)) = self.place(stimulus_id, segment) else {
            return Ok(None);
        };
        let Some((column, width)) = self.files.get(file) else {
            return Ok(None);
        };
        let mut vector = vec![0.0; *width];
        column.read(row, &mut vector)?;
        Ok(Some(vector))
    }

    /// The segments of the sounds of `datasets` that lack a vector, one entry a sound file that has
    /// such, in the order of the store; of `wanted` alone where it is given.
    pub fn missing(
        &self,
        audio: &AudioStore,
        datasets: &[String],
        wanted: Option<&HashSet<Segment>>,
    ) -> Vec<Missing> {
        let mut all = Vec::new();
        for (at, shard) in audio.shards().iter().enumerate() {
            if !datasets.contains(&shard.dataset) {
                continue;
            }
            let lacks = |s: &&Segment| {
                self.place(&s.0, s.1).is_none() && wanted.is_none_or(|w| w.contains(*s))
            };
            let segments: Vec<Segment> = shard.segments.iter().filter(lacks).cloned().collect();
            if !segments.is_empty() {
                all.push(Missing {
                    shard: at,
                    dataset: shard.dataset.clone(),
                    segments,
                });
            }
        }
        all
    }
}

/// Writes the vectors of `of`, in the order of its segments, together with those that `known` has of
/// the same sound file: whole or not at all, in the place of the file that was there.
///
/// # Errors
/// [`Error::Column`] for vectors that do not fit, [`Error::Io`] where the file cannot be written.
pub fn write_embeddings(
    audio: &AudioStore,
    known: &EmbeddingStore,
    encoder: &Encoder,
    of: &Missing,
    vectors: &[Vec<f32>],
) -> Result<PathBuf> {
    let wrong = |message: String| Error::Column {
        table: TABLE.into(),
        column: "vector".into(),
        message,
    };
    let gone = || Error::NotFound("a sound file went away; ingest its data set again".into());
    let shard = audio.shards().get(of.shard).ok_or_else(gone)?;
    if known.encoder_hash != encoder.hash || vectors.len() != of.segments.len() {
        return Err(wrong(format!(
            "expected {} vectors of the encoder {}, found {} of {}",
            of.segments.len(),
            known.encoder_hash,
            vectors.len(),
            encoder.hash
        )));
    }
    let mut rows: Vec<(&Segment, Vec<f32>)> = Vec::with_capacity(shard.segments.len());
    for (segment, vector) in of.segments.iter().zip(vectors) {
        rows.push((segment, vector.clone()));
    }
    let new: HashSet<&Segment> = of.segments.iter().collect();
    for segment in shard.segments.iter().filter(|s| !new.contains(s)) {
        if let Some(vector) = known.read(&segment.0, segment.1)? {
            rows.push((segment, vector));
        }
    }
    rows.sort_by(|a, b| a.0.cmp(b.0));
    if let Some((segment, odd)) = rows.iter().find(|(_, v)| v.len() != encoder.width) {
        return Err(wrong(format!(
            "segment {} of {}: expected {} values, found {}",
            segment.1,
            segment.0,
            encoder.width,
            odd.len()
        )));
    }
    let path = place(audio, shard, &encoder.hash);
    let batch = batch(audio, shard, encoder, &rows)?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io("create folder", folder))?;
        commit::sweep_beside(&path)?;
    }
    let table = schema::table(TABLE)?;
    let mut writer = ShardWriter::create(&path, table, batch.schema(), encoder.width, Vec::new())?;
    writer.write(&batch)?;
    writer.commit()
}

/// Removes the files of `encoder_hash` of sounds of `datasets` that are no longer in the lake. Gives
/// their number.
///
/// # Errors
/// [`Error::Io`].
pub fn remove_orphans(
    audio: &AudioStore,
    encoder_hash: &str,
    datasets: &[String],
) -> Result<usize> {
    let shards = audio.shards();
    let expected: HashSet<PathBuf> = shards
        .iter()
        .map(|s| place(audio, s, encoder_hash))
        .collect();
    let mut removed = 0;
    for dataset in datasets {
        let folder = folder(audio, dataset, encoder_hash);
        for path in commit::files_below(&folder, ".parquet")? {
            if !expected.contains(&path) {
                removed += usize::from(commit::remove(&path)?);
            }
        }
    }
    Ok(removed)
}

/// Folder of one encoder's vectors of a data set.
fn folder(audio: &AudioStore, dataset: &str, encoder_hash: &str) -> PathBuf {
    audio
        .root()
        .join(TABLE)
        .join(format!("encoder_hash={}", path_value(encoder_hash)))
        .join(format!("recipe={}", path_value(audio.recipe())))
        .join(format!("dataset={}", path_value(dataset)))
}

/// Where the vectors of a sound file lie: under the name of its segments.
fn place(audio: &AudioStore, shard: &Shard, encoder_hash: &str) -> PathBuf {
    let name = shard.path.file_name().unwrap_or_default();
    folder(audio, &shard.dataset, encoder_hash).join(name)
}

fn batch(
    audio: &AudioStore,
    shard: &Shard,
    encoder: &Encoder,
    rows: &[(&Segment, Vec<f32>)],
) -> Result<RecordBatch> {
    let mut facts: HashMap<Segment, (f64, f64)> = HashMap::new();
    for batch in key_columns(&shard.path, &["stimulus_id", "segment", "onset", "sfreq"])? {
        let (id, segment) = (texts(&batch, "stimulus_id")?, numbers(&batch, "segment")?);
        let (onset, sfreq) = (floats(&batch, "onset")?, floats(&batch, "sfreq")?);
        for i in 0..batch.num_rows() {
            let key = (id.value(i).to_owned(), segment.value(i));
            facts.insert(key, (onset.value(i), sfreq.value(i)));
        }
    }
    let mut found = Vec::with_capacity(rows.len());
    for (segment, _) in rows {
        let fact = facts.get(*segment).copied();
        found.push(fact.ok_or_else(|| {
            Error::NotFound(format!(
                "segment {} of sound {:?} went away; ingest its data set again",
                segment.1, segment.0
            ))
        })?);
    }
    let text = |value: &str| -> ArrayRef { Arc::new(StringArray::from(vec![value; rows.len()])) };
    let width = i32::try_from(encoder.width).map_err(|e| Error::Schema {
        table: TABLE.into(),
        message: format!("vectors of {} values: {e}", encoder.width),
    })?;
    let item = Arc::new(Field::new("item", DataType::Float32, false));
    let values: Vec<f32> = rows.iter().flat_map(|(_, v)| v.iter().copied()).collect();
    let vectors = FixedSizeListArray::try_new(
        item.clone(),
        width,
        Arc::new(Float32Array::from(values)),
        None,
    )?;
    let ids: Vec<&str> = rows.iter().map(|(s, _)| s.0.as_str()).collect();
    let segments: Vec<i32> = rows.iter().map(|(s, _)| s.1).collect();
    let (onsets, rates): (Vec<f64>, Vec<f64>) = found.into_iter().unzip();
    let table = schema::table(TABLE)?.arrow(schema::DEFAULT_TIMES)?;
    let mut fields = Vec::with_capacity(table.fields().len());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(table.fields().len());
    for field in table.fields() {
        let column: ArrayRef = match field.name().as_str() {
            "stimulus_id" => Arc::new(StringArray::from(ids.clone())),
            "segment" => Arc::new(Int32Array::from(segments.clone())),
            "onset" => Arc::new(Float64Array::from(onsets.clone())),
            "sfreq" => Arc::new(Float64Array::from(rates.clone())),
            "sound_hash" => text(&shard.sound_hash),
            "encoder" => text(&encoder.name),
            "encoder_hash" => text(&encoder.hash),
            "vector" => Arc::new(vectors.clone()),
            "dataset" => text(&shard.dataset),
            "recipe" => text(audio.recipe()),
            other => {
                return Err(Error::Schema {
                    table: TABLE.into(),
                    message: format!("column {other} is not one that this program writes"),
                });
            }
        };
        fields.push(Field::new(
            field.name(),
            column.data_type().clone(),
            field.is_nullable(),
        ));
        columns.push(column);
    }
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

/// Values of the vectors of a file.
fn width(path: &Path) -> Result<usize> {
    let wrong = |message: String| Error::Layout {
        path: path.to_path_buf(),
        message,
    };
    let file = File::open(path).map_err(Error::io("open", path))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|e| wrong(format!("not a readable Parquet file: {e}")))?;
    match reader
        .schema()
        .field_with_name("vector")
        .map(Field::data_type)
    {
        Ok(DataType::FixedSizeList(_, n)) => {
            usize::try_from(*n).map_err(|e| wrong(format!("vectors of {n} values: {e}")))
        }
        other => Err(wrong(format!(
            "expected fixed-size lists in column vector, found {other:?}; remove the file, and `mmpipe embed` makes it again"
        ))),
    }
}

fn bad(column: &str) -> Error {
    Error::Column {
        table: TABLE.into(),
        column: column.into(),
        message: "is not of the type in the schema".into(),
    }
}

fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray> {
    let column = batch.column_by_name(name);
    column
        .and_then(|c| c.as_string_opt::<i32>())
        .ok_or_else(|| bad(name))
}

fn numbers<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Int32Array> {
    let column = batch.column_by_name(name);
    column
        .and_then(|c| c.as_primitive_opt::<Int32Type>())
        .ok_or_else(|| bad(name))
}

fn floats<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a Float64Array> {
    let column = batch.column_by_name(name);
    column
        .and_then(|c| c.as_primitive_opt::<Float64Type>())
        .ok_or_else(|| bad(name))
}
