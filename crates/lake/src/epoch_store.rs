//! Epochs by number, in any order: what a training loader reads.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, UInt64Type};
use rayon::prelude::*;

use crate::ingest::shard_path;
use crate::page::{SampleColumn, key_columns};
use crate::{Error, Lake, Result};

/// A sound under an epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRef {
    /// Key of table `audio`.
    pub stimulus_id: String,
    /// Segment under that key.
    pub segment: i32,
    /// attended, unattended, target, candidate or heard.
    pub role: String,
    /// left, right or centre: where it was played.
    pub side: Option<String>,
}

/// What is known of an epoch besides its samples. The fields are the columns of table `eeg`.
#[derive(Debug, Clone, PartialEq)]
pub struct EpochMeta {
    /// Key.
    pub epoch_id: u64,
    /// Data set.
    pub dataset: String,
    /// Subject label.
    pub subject: String,
    /// Session label.
    pub session: Option<String>,
    /// Run label.
    pub run: Option<String>,
    /// Trial within the recording.
    pub trial: i32,
    /// Epoch within the trial.
    pub epoch: i32,
    /// s from the start of the recording.
    pub onset: f64,
    /// Samples a second.
    pub sfreq: f64,
    /// Class index.
    pub label: Option<i32>,
    /// Class name.
    pub label_name: Option<String>,
    /// Kind of sound heard.
    pub auditory_type: Option<String>,
    /// Story, piece or clip.
    pub content_id: Option<String>,
    /// Canonical names, in the order of the rows; shared between epochs of one montage.
    pub ch_names: Arc<[String]>,
    /// µV, one a channel: `samples * ch_std + ch_mean` undoes the z-score.
    pub ch_mean: Vec<f32>,
    /// µV, one a channel; 0 for a flat one.
    pub ch_std: Vec<f32>,
    /// Sounds under the epoch.
    pub streams: Vec<StreamRef>,
    /// Preprocessing recipe.
    pub recipe: String,
    /// Key of table `recordings`.
    pub recording_id: String,
}

/// Epochs chosen by SQL or by key, with their shards mapped. Reading takes `&self` and may be
/// done from many threads.
#[derive(Debug)]
pub struct EpochStore {
    meta: Vec<EpochMeta>,
    /// Shard and row of each epoch.
    place: Vec<(usize, usize)>,
    shards: Vec<SampleColumn>,
    n_times: usize,
}

impl EpochStore {
    /// The epochs for which `condition` holds, a SQL expression over table `eeg` (`"true"` for
    /// all), in order of dataset, subject, recording, trial and epoch.
    ///
    /// # Errors
    /// [`Error::Query`] when the condition is no SQL, [`Error::NotFound`] when a shard is gone,
    /// [`Error::Layout`] when one cannot be read.
    pub async fn open(lake: &Lake, condition: &str) -> Result<EpochStore> {
        let sql = format!(
            "SELECT epoch_id, dataset, subject, session, run, trial, epoch, onset, sfreq, ch_names, ch_mean, ch_std, label, label_name, \
             auditory_type, content_id, stimuli, recipe, recording_id FROM eeg WHERE {condition} \
             ORDER BY dataset, subject, recipe, recording_id, trial, epoch"
        );
        let batches = lake.query(&sql).await?;
        let mut montages: HashMap<Vec<String>, Arc<[String]>> = HashMap::new();
        let mut meta = Vec::new();
        for batch in &batches {
            read_meta(batch, &mut montages, &mut meta)?;
        }
        let times = n_times(lake)?;
        let root = lake.root().to_path_buf();
        tokio::task::spawn_blocking(move || EpochStore::locate(root, meta, times))
            .await
            .map_err(|e| Error::NotFound(format!("a worker stopped: {e}")))?
    }

    /// The epochs with these keys, in this order; `recipe` names which preprocessing of them.
    ///
    /// # Errors
    /// [`Error::NotFound`] when a key is not in the lake, otherwise as [`EpochStore::open`].
    pub async fn open_ids(lake: &Lake, recipe: &str, ids: &[u64]) -> Result<EpochStore> {
        let recipe_text = recipe.replace('\'', "''");
        let all = EpochStore::open(lake, &format!("recipe = '{recipe_text}'")).await?;
        let at: HashMap<u64, usize> = all
            .meta
            .iter()
            .enumerate()
            .map(|(i, m)| (m.epoch_id, i))
            .collect();
        let order = ids
            .iter()
            .map(|id| at.get(id).copied().ok_or_else(|| Error::NotFound(format!("epoch {id} is not in the lake under recipe {recipe}; ingest its data set again"))))
            .collect::<Result<Vec<usize>>>()?;
        let meta = order
            .iter()
            .filter_map(|&i| all.meta.get(i).cloned())
            .collect();
        let place = order
            .iter()
            .filter_map(|&i| all.place.get(i).copied())
            .collect();
        Ok(EpochStore { meta, place, ..all })
    }

    /// Opens the shards and finds each epoch's row.
    fn locate(root: PathBuf, meta: Vec<EpochMeta>, n_times: usize) -> Result<EpochStore> {
        let mut index: HashMap<(&str, &str, &str, &str), usize> = HashMap::new();
        let mut paths = Vec::new();
        let mut shard_of = Vec::with_capacity(meta.len());
        for m in &meta {
            let key = (
                m.recipe.as_str(),
                m.dataset.as_str(),
                m.subject.as_str(),
                m.recording_id.as_str(),
            );
            let shard = *index.entry(key).or_insert_with(|| {
                paths.push(shard_path(&root, key.0, key.1, key.2, key.3));
                paths.len() - 1
            });
            shard_of.push(shard);
        }
        let opened = paths
            .par_iter()
            .map(|path| {
                let mut rows = HashMap::new();
                for batch in key_columns(path, &["epoch_id"])? {
                    let ids = column(&batch, "epoch_id")?;
                    let ids = ids
                        .as_primitive_opt::<UInt64Type>()
                        .ok_or_else(|| bad("epoch_id"))?;
                    for &id in ids.values() {
                        rows.insert(id, rows.len());
                    }
                }
                Ok((SampleColumn::open(path, "eeg")?, rows))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut place = Vec::with_capacity(meta.len());
        for (m, &shard) in meta.iter().zip(&shard_of) {
            let row = opened
                .get(shard)
                .and_then(|(_, rows)| rows.get(&m.epoch_id))
                .ok_or_else(|| {
                    Error::NotFound(format!(
                        "epoch {} left its shard while it was opened; is an ingest running?",
                        m.epoch_id
                    ))
                })?;
            place.push((shard, *row));
        }
        let shards = opened.into_iter().map(|(s, _)| s).collect();
        Ok(EpochStore {
            meta,
            place,
            shards,
            n_times,
        })
    }

    /// Number of epochs.
    pub fn len(&self) -> usize {
        self.meta.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.meta.is_empty()
    }

    /// All that is known of epoch `i` besides its samples.
    ///
    /// # Panics
    /// When `i` is not below [`EpochStore::len`].
    pub fn meta(&self, i: usize) -> &EpochMeta {
        &self.meta[i]
    }

    /// Samples in time of every epoch.
    pub fn n_times(&self) -> usize {
        self.n_times
    }

    /// Copies epoch `i`, channels × time row by row, to `out`, which has
    /// `ch_names.len() × n_times` places. Touches one page of the shard.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a number that does not exist, [`Error::Layout`] when the shard
    /// is damaged or `out` is of another size.
    pub fn read(&self, i: usize, out: &mut [f32]) -> Result<()> {
        let place = self
            .place
            .get(i)
            .and_then(|&(shard, row)| Some((self.shards.get(shard)?, row)));
        let (shard, row) =
            place.ok_or_else(|| Error::NotFound(format!("epoch number {i} of {}", self.len())))?;
        shard.read(row, out)
    }
}

fn n_times(lake: &Lake) -> Result<usize> {
    let schema = lake.schema("eeg")?;
    match schema.field_with_name("eeg")?.data_type() {
        DataType::List(item) => match item.data_type() {
            DataType::FixedSizeList(_, n) => usize::try_from(*n).map_err(|_| bad("eeg")),
            _ => Err(bad("eeg")),
        },
        _ => Err(bad("eeg")),
    }
}

fn bad(name: &str) -> Error {
    Error::Column {
        table: "eeg".into(),
        column: name.into(),
        message: "is not of the type in schemas/eeg.toml".into(),
    }
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef> {
    batch.column_by_name(name).ok_or_else(|| bad(name))
}

fn read_meta(
    batch: &RecordBatch,
    montages: &mut HashMap<Vec<String>, Arc<[String]>>,
    out: &mut Vec<EpochMeta>,
) -> Result<()> {
    let text = |name: &str| {
        column(batch, name)?
            .as_string_opt::<i32>()
            .ok_or_else(|| bad(name))
    };
    let int = |name: &str| {
        column(batch, name)?
            .as_primitive_opt::<Int32Type>()
            .ok_or_else(|| bad(name))
    };
    let double = |name: &str| {
        column(batch, name)?
            .as_primitive_opt::<Float64Type>()
            .ok_or_else(|| bad(name))
    };
    let list = |name: &str| {
        column(batch, name)?
            .as_list_opt::<i32>()
            .ok_or_else(|| bad(name))
    };
    let id = column(batch, "epoch_id")?
        .as_primitive_opt::<UInt64Type>()
        .ok_or_else(|| bad("epoch_id"))?;
    let (dataset, subject, session, run) = (
        text("dataset")?,
        text("subject")?,
        text("session")?,
        text("run")?,
    );
    let (trial, epoch, label) = (int("trial")?, int("epoch")?, int("label")?);
    let (onset, sfreq) = (double("onset")?, double("sfreq")?);
    let (label_name, auditory_type, content, recipe, recording) = (
        text("label_name")?,
        text("auditory_type")?,
        text("content_id")?,
        text("recipe")?,
        text("recording_id")?,
    );
    let (names, stimuli) = (list("ch_names")?, list("stimuli")?);
    let (means, stds) = (list("ch_mean")?, list("ch_std")?);
    let floats = |name: &str, a: &ArrayRef| {
        a.as_primitive_opt::<Float32Type>()
            .map(|f| f.values().to_vec())
            .ok_or_else(|| bad(name))
    };
    let maybe =
        |a: &arrow::array::StringArray, i: usize| a.is_valid(i).then(|| a.value(i).to_string());
    for i in 0..batch.num_rows() {
        let row = names.value(i);
        let row = row.as_string_opt::<i32>().ok_or_else(|| bad("ch_names"))?;
        let row: Vec<String> = row.iter().flatten().map(str::to_string).collect();
        let ch_names = montages
            .entry(row)
            .or_insert_with_key(|names| names.clone().into())
            .clone();
        let sounds = stimuli.value(i);
        let sounds = sounds.as_struct_opt().ok_or_else(|| bad("stimuli"))?;
        let field = |name: &str| sounds.column_by_name(name).ok_or_else(|| bad("stimuli"));
        let ids = field("stimulus_id")?
            .as_string_opt::<i32>()
            .ok_or_else(|| bad("stimuli"))?;
        let segments = field("segment")?
            .as_primitive_opt::<Int32Type>()
            .ok_or_else(|| bad("stimuli"))?;
        let roles = field("role")?
            .as_string_opt::<i32>()
            .ok_or_else(|| bad("stimuli"))?;
        let sides = field("side")?
            .as_string_opt::<i32>()
            .ok_or_else(|| bad("stimuli"))?;
        let streams = (0..sounds.len())
            .map(|k| StreamRef {
                stimulus_id: ids.value(k).into(),
                segment: segments.value(k),
                role: roles.value(k).into(),
                side: maybe(sides, k),
            })
            .collect();
        out.push(EpochMeta {
            epoch_id: id.value(i),
            dataset: dataset.value(i).into(),
            subject: subject.value(i).into(),
            session: maybe(session, i),
            run: maybe(run, i),
            trial: trial.value(i),
            epoch: epoch.value(i),
            onset: onset.value(i),
            sfreq: sfreq.value(i),
            label: label.is_valid(i).then(|| label.value(i)),
            label_name: maybe(label_name, i),
            auditory_type: maybe(auditory_type, i),
            content_id: maybe(content, i),
            ch_names,
            ch_mean: floats("ch_mean", &means.value(i))?,
            ch_std: floats("ch_std", &stds.value(i))?,
            streams,
            recipe: recipe.value(i).into(),
            recording_id: recording.value(i).into(),
        });
    }
    Ok(())
}
