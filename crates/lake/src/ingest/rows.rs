//! Rows of `recordings` as values, and to and from Arrow.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch,
    StringArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type};
use mmpipe_signal::recipe::Recipe;
use serde::Serialize;

use super::work::Work;
use crate::{Error, Result, schema};

/// Version of what the ingest writes: raised when the same input would give other bytes.
pub(crate) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "+ingest.3");

/// Status of an accepted recording.
pub(crate) const OK: &str = "ok";
/// Status of a refused one.
pub(crate) const REJECTED: &str = "rejected";

/// Time that is in no epoch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Dropped {
    /// Why.
    pub reason: String,
    /// Epochs that this would have been, where that can be said.
    pub epochs: i64,
    /// s.
    pub seconds: f64,
}

/// A channel of a raw file and what became of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChannelRow {
    /// Label in the file.
    pub raw_name: String,
    /// eeg, eog, trigger and so on.
    pub kind: String,
    /// Canonical 10-05 name.
    pub name: Option<String>,
    /// Unit in the file.
    pub unit: Option<String>,
    /// Why it is not in `eeg`.
    pub reason: Option<String>,
    /// mm between the electrode and the place of its name, where a layout gave the name.
    pub distance: Option<f64>,
}

/// Where a sound is in a channel that holds a copy of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Alignment {
    /// Trial within the recording.
    pub trial: i32,
    /// Label of the channel in the file.
    pub channel: String,
    /// The sound.
    pub stimulus_id: String,
    /// How much later than the trial says the sound is in the channel, ms.
    pub lag_ms: f64,
    /// Of the two envelopes at that lag.
    pub correlation: f64,
}

/// A row of `recordings`; the columns are described in `schemas/recordings.toml`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordingRow {
    /// Name of the shard in eeg.
    pub recording_id: String,
    /// Data set.
    pub dataset: String,
    /// Subject label; null for a file that could not be placed.
    pub subject: Option<String>,
    /// Session label.
    pub session: Option<String>,
    /// Run label.
    pub run: Option<String>,
    /// Relative to the raw folder, with / between parts.
    pub path: String,
    /// File format, as read.
    pub container: Option<String>,
    /// Size of the raw file.
    pub bytes: i64,
    /// Of the raw files, in the reader's order; null when unreadable.
    pub sha256: Option<String>,
    /// Samples a second of the EEG channels in the raw file.
    pub sfreq: Option<f64>,
    /// Channels kept.
    pub n_channels: Option<i32>,
    /// Recorded time, gaps left out.
    pub seconds: f64,
    /// Every channel of the file: its canonical name, or the reason why it is not in eeg.
    pub channels: Vec<ChannelRow>,
    /// Epochs written.
    pub epochs: i64,
    /// Time that is in no epoch, by reason; epochs × epoch length + these seconds = seconds.
    pub dropped: Vec<Dropped>,
    /// Where the sounds are in channels that hold a copy of them.
    pub alignment: Vec<Alignment>,
    /// Ok or rejected.
    pub status: String,
    /// Why it was rejected, or notes on an accepted file.
    pub reason: Option<String>,
    /// Preprocessing recipe.
    pub recipe: String,
    /// Hash of the recipe's values.
    pub recipe_hash: String,
    /// Version of the code that wrote the shard.
    pub version: String,
    /// Hash of the trials and channels asked for.
    pub plan_hash: String,
}

impl RecordingRow {
    /// What is known before the file is read.
    pub(crate) fn planned(work: &Work, recipe: &Recipe) -> Self {
        RecordingRow {
            recording_id: work.recording_id.clone(),
            dataset: work.dataset.clone(),
            subject: Some(work.subject.clone()),
            session: work.session.clone(),
            run: work.run.clone(),
            path: work.path.clone(),
            container: None,
            bytes: work.bytes,
            sha256: work.sha256.clone(),
            sfreq: None,
            n_channels: None,
            seconds: 0.0,
            channels: super::decode::channel_rows(work),
            epochs: 0,
            dropped: Vec::new(),
            alignment: Vec::new(),
            status: OK.into(),
            reason: None,
            recipe: recipe.name.clone(),
            recipe_hash: recipe.hash(),
            version: VERSION.into(),
            plan_hash: work.plan_hash.clone(),
        }
    }

    /// Marks the recording as refused: none of it is in `eeg`.
    pub(crate) fn reject(&mut self, reason: String) {
        self.status = REJECTED.into();
        self.reason = Some(reason.clone());
        self.epochs = 0;
        self.dropped = vec![Dropped {
            reason,
            epochs: 0,
            seconds: self.seconds,
        }];
    }

    /// Adds remarks to an accepted recording.
    pub(crate) fn note(&mut self, remarks: impl IntoIterator<Item = String>) {
        for remark in remarks {
            match &mut self.reason {
                Some(reason) => {
                    reason.push_str("; ");
                    reason.push_str(&remark);
                }
                none => *none = Some(remark),
            }
        }
    }
}

fn text<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    // Collected, because a flattened iterator has no exact size, which the builder wants.
    Arc::new(StringArray::from_iter_values(values.collect::<Vec<_>>()))
}

fn text_or_null<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

/// Rows as a batch of table `recordings`.
pub(crate) fn to_batch(rows: &[RecordingRow]) -> Result<RecordBatch> {
    let schema = schema::table("recordings")?.arrow(schema::DEFAULT_TIMES)?;
    let lists = |column: &str, lengths: Vec<usize>, values: Vec<ArrayRef>| -> Result<ArrayRef> {
        let DataType::List(item) = schema.field_with_name(column)?.data_type() else {
            return Err(wrong(column));
        };
        let DataType::Struct(fields) = item.data_type() else {
            return Err(wrong(column));
        };
        let total = lengths.iter().sum();
        let entries = StructArray::try_new_with_length(fields.clone(), values, None, total)?;
        Ok(Arc::new(ListArray::try_new(
            item.clone(),
            OffsetBuffer::from_lengths(lengths),
            Arc::new(entries),
            None,
        )?))
    };
    let channels = || rows.iter().flat_map(|r| &r.channels);
    let dropped = || rows.iter().flat_map(|r| &r.dropped);
    let alignment = || rows.iter().flat_map(|r| &r.alignment);
    let columns: Vec<ArrayRef> = vec![
        text(rows.iter().map(|r| r.recording_id.as_str())),
        text(rows.iter().map(|r| r.dataset.as_str())),
        text_or_null(rows.iter().map(|r| r.subject.as_deref())),
        text_or_null(rows.iter().map(|r| r.session.as_deref())),
        text_or_null(rows.iter().map(|r| r.run.as_deref())),
        text(rows.iter().map(|r| r.path.as_str())),
        text_or_null(rows.iter().map(|r| r.container.as_deref())),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.bytes))),
        text_or_null(rows.iter().map(|r| r.sha256.as_deref())),
        Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.sfreq))),
        Arc::new(Int32Array::from_iter(rows.iter().map(|r| r.n_channels))),
        Arc::new(Float64Array::from_iter_values(
            rows.iter().map(|r| r.seconds),
        )),
        lists(
            "channels",
            rows.iter().map(|r| r.channels.len()).collect(),
            vec![
                text(channels().map(|c| c.raw_name.as_str())),
                text(channels().map(|c| c.kind.as_str())),
                text_or_null(channels().map(|c| c.name.as_deref())),
                text_or_null(channels().map(|c| c.unit.as_deref())),
                text_or_null(channels().map(|c| c.reason.as_deref())),
                Arc::new(Float64Array::from_iter(channels().map(|c| c.distance))),
            ],
        )?,
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.epochs))),
        lists(
            "dropped",
            rows.iter().map(|r| r.dropped.len()).collect(),
            vec![
                text(dropped().map(|d| d.reason.as_str())),
                Arc::new(Int64Array::from_iter_values(dropped().map(|d| d.epochs))),
                Arc::new(Float64Array::from_iter_values(dropped().map(|d| d.seconds))),
            ],
        )?,
        lists(
            "alignment",
            rows.iter().map(|r| r.alignment.len()).collect(),
            vec![
                Arc::new(Int32Array::from_iter_values(alignment().map(|a| a.trial))),
                text(alignment().map(|a| a.channel.as_str())),
                text(alignment().map(|a| a.stimulus_id.as_str())),
                Arc::new(Float64Array::from_iter_values(
                    alignment().map(|a| a.lag_ms),
                )),
                Arc::new(Float64Array::from_iter_values(
                    alignment().map(|a| a.correlation),
                )),
            ],
        )?,
        text(rows.iter().map(|r| r.status.as_str())),
        text_or_null(rows.iter().map(|r| r.reason.as_deref())),
        text(rows.iter().map(|r| r.recipe.as_str())),
        text(rows.iter().map(|r| r.recipe_hash.as_str())),
        text(rows.iter().map(|r| r.version.as_str())),
        text(rows.iter().map(|r| r.plan_hash.as_str())),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn wrong(column: &str) -> Error {
    Error::Column {
        table: "recordings".into(),
        column: column.into(),
        message: "is not of the type in schemas/recordings.toml".into(),
    }
}

/// The rows of a batch of table `recordings`.
pub(crate) fn from_batch(batch: &RecordBatch) -> Result<Vec<RecordingRow>> {
    let column = |name: &str| batch.column_by_name(name).ok_or_else(|| wrong(name));
    let strings = |name: &str| -> Result<StringArray> {
        Ok(column(name)?
            .as_string_opt::<i32>()
            .ok_or_else(|| wrong(name))?
            .clone())
    };
    let get = |a: &StringArray, i: usize| a.is_valid(i).then(|| a.value(i).to_string());
    let must = |a: &StringArray, i: usize| get(a, i).unwrap_or_default();
    let longs = |name: &str| -> Result<Int64Array> {
        Ok(column(name)?
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(|| wrong(name))?
            .clone())
    };
    let doubles = |name: &str| -> Result<Float64Array> {
        Ok(column(name)?
            .as_primitive_opt::<Float64Type>()
            .ok_or_else(|| wrong(name))?
            .clone())
    };
    let lists = |name: &str| -> Result<ListArray> {
        Ok(column(name)?
            .as_list_opt::<i32>()
            .ok_or_else(|| wrong(name))?
            .clone())
    };
    let (ids, datasets, subjects, sessions, runs) = (
        strings("recording_id")?,
        strings("dataset")?,
        strings("subject")?,
        strings("session")?,
        strings("run")?,
    );
    let (paths, containers, hashes, states, reasons) = (
        strings("path")?,
        strings("container")?,
        strings("sha256")?,
        strings("status")?,
        strings("reason")?,
    );
    let (recipes, recipe_hashes, versions, plans) = (
        strings("recipe")?,
        strings("recipe_hash")?,
        strings("version")?,
        strings("plan_hash")?,
    );
    let (bytes, epochs, sfreq, seconds) = (
        longs("bytes")?,
        longs("epochs")?,
        doubles("sfreq")?,
        doubles("seconds")?,
    );
    let n_channels = column("n_channels")?
        .as_primitive_opt::<Int32Type>()
        .ok_or_else(|| wrong("n_channels"))?
        .clone();
    let (channels, dropped) = (lists("channels")?, lists("dropped")?);
    let alignment = lists("alignment")?;

    let field = |entries: &ArrayRef, name: &str| -> Result<ArrayRef> {
        entries
            .as_struct_opt()
            .and_then(|s| s.column_by_name(name))
            .cloned()
            .ok_or_else(|| wrong(name))
    };
    let strings_in = |entries: &ArrayRef, name: &str| -> Result<StringArray> {
        Ok(field(entries, name)?
            .as_string_opt::<i32>()
            .ok_or_else(|| wrong(name))?
            .clone())
    };
    let doubles_in = |entries: &ArrayRef, name: &str| -> Result<Float64Array> {
        Ok(field(entries, name)?
            .as_primitive_opt::<Float64Type>()
            .ok_or_else(|| wrong(name))?
            .clone())
    };
    let mut rows = Vec::with_capacity(batch.num_rows());
    for i in 0..batch.num_rows() {
        let entries = channels.value(i);
        let (raw, kind, name, unit, reason) = (
            strings_in(&entries, "raw_name")?,
            strings_in(&entries, "kind")?,
            strings_in(&entries, "name")?,
            strings_in(&entries, "unit")?,
            strings_in(&entries, "reason")?,
        );
        let distance = doubles_in(&entries, "distance")?;
        let channel_rows = (0..entries.len())
            .map(|k| ChannelRow {
                raw_name: must(&raw, k),
                kind: must(&kind, k),
                name: get(&name, k),
                unit: get(&unit, k),
                reason: get(&reason, k),
                distance: distance.is_valid(k).then(|| distance.value(k)),
            })
            .collect();
        let entries = dropped.value(i);
        let why = strings_in(&entries, "reason")?;
        let n = field(&entries, "epochs")?
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(|| wrong("epochs"))?
            .clone();
        let s = doubles_in(&entries, "seconds")?;
        let dropped_rows = (0..entries.len())
            .map(|k| Dropped {
                reason: must(&why, k),
                epochs: n.value(k),
                seconds: s.value(k),
            })
            .collect();
        let entries = alignment.value(i);
        let (copies, heard) = (
            strings_in(&entries, "channel")?,
            strings_in(&entries, "stimulus_id")?,
        );
        let (lag, correlation) = (
            doubles_in(&entries, "lag_ms")?,
            doubles_in(&entries, "correlation")?,
        );
        let trial = field(&entries, "trial")?
            .as_primitive_opt::<Int32Type>()
            .ok_or_else(|| wrong("trial"))?
            .clone();
        let alignment_rows = (0..entries.len())
            .map(|k| Alignment {
                trial: trial.value(k),
                channel: must(&copies, k),
                stimulus_id: must(&heard, k),
                lag_ms: lag.value(k),
                correlation: correlation.value(k),
            })
            .collect();
        rows.push(RecordingRow {
            recording_id: must(&ids, i),
            dataset: must(&datasets, i),
            subject: get(&subjects, i),
            session: get(&sessions, i),
            run: get(&runs, i),
            path: must(&paths, i),
            container: get(&containers, i),
            bytes: bytes.value(i),
            sha256: get(&hashes, i),
            sfreq: sfreq.is_valid(i).then(|| sfreq.value(i)),
            n_channels: n_channels.is_valid(i).then(|| n_channels.value(i)),
            seconds: seconds.value(i),
            channels: channel_rows,
            epochs: epochs.value(i),
            dropped: dropped_rows,
            alignment: alignment_rows,
            status: must(&states, i),
            reason: get(&reasons, i),
            recipe: must(&recipes, i),
            recipe_hash: must(&recipe_hashes, i),
            version: must(&versions, i),
            plan_hash: must(&plans, i),
        });
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_arrow() {
        let work = Work {
            recording_id: "r".into(),
            dataset: "D".into(),
            path: "p.edf".into(),
            subject: "1".into(),
            ..Default::default()
        };
        let recipe = Recipe::builtin("mindmix").unwrap();
        let mut a = RecordingRow::planned(&work, &recipe);
        a.channels = vec![ChannelRow {
            raw_name: "Fp1".into(),
            kind: "eeg".into(),
            name: Some("Fp1".into()),
            unit: None,
            reason: None,
            distance: Some(3.25),
        }];
        a.alignment = vec![Alignment {
            trial: 4,
            channel: "AUD".into(),
            stimulus_id: "D/a.wav".into(),
            lag_ms: -12.5,
            correlation: 0.75,
        }];
        a.dropped = vec![Dropped {
            reason: "x".into(),
            epochs: 2,
            seconds: 4.5,
        }];
        let mut b = RecordingRow::planned(&work, &recipe);
        b.reject("bad".into());
        b.subject = None;
        let rows = vec![a, b];
        assert_eq!(from_batch(&to_batch(&rows).unwrap()).unwrap(), rows);
    }
}
