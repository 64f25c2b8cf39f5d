//! The work list: what one recording is to become, small enough to travel to another process.
//!
//! Encoded with prost, so that numbers arrive bit for bit; the derive stands in for a `.proto`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BinaryArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use prost::Message;

use super::cut::Bounds;
use crate::{Error, Result};

/// One recording to ingest.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct Work {
    #[prost(string, tag = "1")]
    pub(crate) recording_id: String,
    #[prost(string, tag = "2")]
    pub(crate) dataset: String,
    #[prost(string, tag = "3")]
    pub(crate) subject: String,
    #[prost(string, optional, tag = "4")]
    pub(crate) session: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub(crate) run: Option<String>,
    /// Relative to the raw folder.
    #[prost(string, tag = "6")]
    pub(crate) path: String,
    #[prost(int64, tag = "7")]
    pub(crate) bytes: i64,
    /// Known when an earlier ingest made it necessary to look.
    #[prost(string, optional, tag = "8")]
    pub(crate) sha256: Option<String>,
    #[prost(string, tag = "9")]
    pub(crate) plan_hash: String,
    #[prost(message, repeated, tag = "10")]
    pub(crate) channels: Vec<WorkChannel>,
    #[prost(message, repeated, tag = "11")]
    pub(crate) trials: Vec<WorkTrial>,
    /// Labels over the recording, for trials without one of their own.
    #[prost(message, repeated, tag = "12")]
    pub(crate) intervals: Vec<WorkInterval>,
    /// Names of the classes in `intervals`.
    #[prost(message, repeated, tag = "13")]
    pub(crate) label_names: Vec<WorkLabel>,
    /// The file that is read where it is not `path`: one that the recording is a part of, below
    /// the raw folder, or one that an archive was unpacked to, absolute.
    #[prost(string, optional, tag = "14")]
    pub(crate) file: Option<String>,
    /// Where in the file the recording is: a `TreeSpec` as JSON.
    #[prost(string, optional, tag = "15")]
    pub(crate) tree: Option<String>,
}

/// A stretch of the recording that has a label.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct WorkInterval {
    /// s from the start of the recording.
    #[prost(double, tag = "1")]
    pub(crate) start: f64,
    #[prost(double, tag = "2")]
    pub(crate) stop: f64,
    #[prost(int32, tag = "3")]
    pub(crate) label: i32,
    /// Decides between labels that cover equal shares.
    #[prost(double, tag = "4")]
    pub(crate) weight: f64,
}

/// The name of a class.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WorkLabel {
    #[prost(int32, tag = "1")]
    pub(crate) label: i32,
    #[prost(string, tag = "2")]
    pub(crate) name: String,
}

/// One channel of the raw file and what becomes of it.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WorkChannel {
    #[prost(uint32, tag = "1")]
    pub(crate) index: u32,
    #[prost(string, tag = "2")]
    pub(crate) raw_name: String,
    #[prost(string, tag = "3")]
    pub(crate) kind: String,
    #[prost(string, optional, tag = "4")]
    pub(crate) name: Option<String>,
    #[prost(string, optional, tag = "5")]
    pub(crate) unit: Option<String>,
    /// Factor to µV; present for kept channels.
    #[prost(double, optional, tag = "6")]
    pub(crate) to_microvolts: Option<f64>,
    #[prost(double, tag = "7")]
    pub(crate) sfreq: f64,
    /// Why it is not kept; a channel without a reason is kept.
    #[prost(string, optional, tag = "8")]
    pub(crate) reason: Option<String>,
    /// mm between the electrode and the place of its name, where a layout gave the name.
    #[prost(double, optional, tag = "9")]
    pub(crate) distance: Option<f64>,
}

/// One trial.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WorkTrial {
    #[prost(int32, tag = "1")]
    pub(crate) trial: i32,
    /// s from the start of the recording; absent = its start.
    #[prost(double, optional, tag = "2")]
    pub(crate) start: Option<f64>,
    /// s; absent = the end of the recording.
    #[prost(double, optional, tag = "3")]
    pub(crate) stop: Option<f64>,
    #[prost(int32, optional, tag = "4")]
    pub(crate) label: Option<i32>,
    #[prost(string, optional, tag = "5")]
    pub(crate) label_name: Option<String>,
    #[prost(string, optional, tag = "6")]
    pub(crate) task: Option<String>,
    #[prost(string, optional, tag = "7")]
    pub(crate) auditory_type: Option<String>,
    #[prost(string, optional, tag = "8")]
    pub(crate) content_id: Option<String>,
    #[prost(string, optional, tag = "9")]
    pub(crate) drop_reason: Option<String>,
    #[prost(message, repeated, tag = "10")]
    pub(crate) streams: Vec<WorkStream>,
    /// Whether the publisher rejected it.
    #[prost(bool, optional, tag = "11")]
    pub(crate) rejected: Option<bool>,
    /// The epochs that all of `streams` fill; absent where there are none.
    #[prost(message, optional, tag = "12")]
    pub(crate) heard: Option<WorkHeard>,
}

/// Epochs `from..until` of a trial.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct WorkHeard {
    #[prost(int64, tag = "1")]
    pub(crate) from: i64,
    #[prost(int64, tag = "2")]
    pub(crate) until: i64,
}

impl WorkTrial {
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds {
            start: self.start,
            stop: self.stop,
            drop_reason: self.drop_reason.clone(),
            heard: self.heard.map(|h| h.from..h.until),
        }
    }
}

/// One sound heard in a trial.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct WorkStream {
    #[prost(string, tag = "1")]
    pub(crate) stimulus_id: String,
    #[prost(string, tag = "2")]
    pub(crate) role: String,
    /// Sample of the sound, at the recipe's audio rate, that sounds at the trial's start.
    #[prost(int64, tag = "3")]
    pub(crate) offset: i64,
    /// Length of the sound in samples at that rate.
    #[prost(int64, tag = "4")]
    pub(crate) length: i64,
    /// Seconds of the EEG's clock a second of the sound's.
    #[prost(double, tag = "5")]
    pub(crate) rate: f64,
    /// left, right or centre.
    #[prost(string, optional, tag = "6")]
    pub(crate) side: Option<String>,
}

impl Work {
    /// Hash of everything that shapes the shard, except the raw bytes and the recipe.
    pub(crate) fn hash(&self) -> String {
        let bare = Work {
            sha256: None,
            plan_hash: String::new(),
            // Where the bytes lie does not matter.
            file: None,
            bytes: 0,
            ..self.clone()
        };
        format!("{:016x}", xxhash_rust::xxh3::xxh3_64(&bare.encode_to_vec()))
    }

    /// Channels that go into `eeg`, in file order.
    pub(crate) fn kept(&self) -> impl Iterator<Item = &WorkChannel> {
        self.channels.iter().filter(|c| c.reason.is_none())
    }

    /// The name of a class of `intervals`.
    pub(crate) fn label_name(&self, label: i32) -> Option<&str> {
        let found = self.label_names.iter().find(|l| l.label == label)?;
        Some(found.name.as_str())
    }

    /// The file that is read, to be joined to the raw folder.
    pub(crate) fn raw_file(&self) -> &str {
        self.file.as_deref().unwrap_or(&self.path)
    }

    /// For messages and keys: dataset/subject/session/run, empty where there is none.
    pub(crate) fn place(&self) -> String {
        let text = |s: &Option<String>| s.clone().unwrap_or_default();
        format!(
            "{}/{}/{}/{}",
            self.dataset,
            self.subject,
            text(&self.session),
            text(&self.run)
        )
    }

    /// Key of an epoch: xxh3 of dataset/subject/session/run/trial/epoch.
    pub(crate) fn epoch_id(&self, trial: i32, epoch: i32) -> u64 {
        xxhash_rust::xxh3::xxh3_64(format!("{}/{trial}/{epoch}", self.place()).as_bytes())
    }
}

/// The order in which `threads` threads take up recordings, as places in `works`. Largest files
/// first, so that the last thread to finish has little left, but before them those that `is_open`
/// says are open already. Recordings of one file follow each other, and as many such files as there
/// are threads take turns: each is inflated by one thread, for which the others would wait.
pub(crate) fn order(works: &[Work], threads: usize, is_open: impl Fn(&str) -> bool) -> Vec<usize> {
    let mut files: BTreeMap<(bool, &str, usize), Vec<usize>> = BTreeMap::new();
    for (i, work) in works.iter().enumerate() {
        let alone = work.tree.is_none();
        let key = (alone, work.raw_file(), if alone { i } else { 0 });
        files.entry(key).or_default().push(i);
    }
    let mut files: Vec<((bool, i64), Vec<usize>)> = files
        .into_iter()
        .map(|((alone, file, _), recordings)| {
            let sizes = recordings.iter().filter_map(|&i| works.get(i));
            let bytes = sizes.map(|w| w.bytes).max().unwrap_or(0);
            ((alone || !is_open(file), -bytes), recordings)
        })
        .collect();
    files.sort();
    let mut order = Vec::with_capacity(works.len());
    for beside in files.chunks(threads.max(1)) {
        let most = beside.iter().map(|(_, r)| r.len()).max().unwrap_or(0);
        let turn = |k| beside.iter().filter_map(move |(_, r)| r.get(k));
        order.extend((0..most).flat_map(turn));
    }
    order
}

/// Columns of the work list: readable ones beside the encoded [`Work`].
pub(crate) fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("recording_id", DataType::Utf8, false),
        Field::new("path", DataType::Utf8, false),
        Field::new("bytes", DataType::Int64, false),
        Field::new("work", DataType::Binary, false),
    ]))
}

/// A work list of one row.
pub(crate) fn encode(work: &Work) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from(vec![work.recording_id.as_str()])),
        Arc::new(StringArray::from(vec![work.path.as_str()])),
        Arc::new(Int64Array::from(vec![work.bytes])),
        Arc::new(BinaryArray::from(vec![work.encode_to_vec().as_slice()])),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

/// The recordings of a piece of the work list.
pub(crate) fn decode(batch: &RecordBatch) -> Result<Vec<Work>> {
    let bad = |message: String| Error::Column {
        table: "work list".into(),
        column: "work".into(),
        message,
    };
    let column = batch
        .column_by_name("work")
        .and_then(|c| c.as_binary_opt::<i32>())
        .ok_or_else(|| bad("expected a binary column".into()))?;
    column
        .iter()
        .map(|bytes| Work::decode(bytes.unwrap_or_default()).map_err(|e| bad(e.to_string())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recordings_of_files_take_turns() {
        let work = |path: &str, file: Option<&str>, bytes| Work {
            path: path.into(),
            bytes,
            file: file.map(str::to_owned),
            tree: file.map(|_| String::new()),
            ..Default::default()
        };
        let works = [
            work("a#1", Some("a"), 5),
            work("a#2", Some("a"), 5),
            work("a#3", Some("a"), 5),
            work("b#1", Some("b"), 7),
            work("c#1", Some("c"), 6),
            work("c#2", Some("c"), 6),
            work("d", None, 9),
            work("e", None, 4),
        ];
        let paths = |threads| -> String {
            let order = order(&works, threads, |file| file == "a");
            let mut seen = order.clone();
            seen.sort();
            assert_eq!(seen, (0..works.len()).collect::<Vec<_>>());
            let paths: Vec<&str> = order.iter().map(|&i| works[i].path.as_str()).collect();
            paths.join(" ")
        };
        assert_eq!(paths(1), "a#1 a#2 a#3 d b#1 c#1 c#2 e");
        assert_eq!(paths(2), "a#1 d a#2 a#3 b#1 c#1 c#2 e");
        assert_eq!(paths(0), paths(1));
    }

    #[test]
    fn work_survives_the_list_and_hashes_what_matters() {
        let work = Work {
            recording_id: "r".into(),
            dataset: "D".into(),
            subject: "1".into(),
            path: "a/b.edf".into(),
            trials: vec![WorkTrial {
                trial: 3,
                start: Some(0.1 + 0.2),
                ..Default::default()
            }],
            ..Default::default()
        };
        assert_eq!(decode(&encode(&work).unwrap()).unwrap(), vec![work.clone()]);
        assert_eq!(
            work.epoch_id(3, 4),
            xxhash_rust::xxh3::xxh3_64(b"D/1///3/4")
        );
        let hashed = Work {
            sha256: Some("x".into()),
            bytes: 9,
            ..work.clone()
        };
        assert_eq!(hashed.hash(), work.hash());
        let moved = Work {
            run: Some("2".into()),
            ..work.clone()
        };
        assert_ne!(moved.hash(), work.hash());
    }
}
