//! Rows of `stimuli` as values, and to and from Arrow.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use serde::Serialize;

use super::grid::Grid;
use crate::{Error, Result, schema};

/// Status of a sound that is not on disk.
pub(crate) const MISSING: &str = "missing";

/// Kind of what has segments in table `audio`.
pub(crate) const SOUND: &str = "sound";

/// Kind of what cannot be heard.
pub(crate) const ENVELOPE: &str = "envelope";

/// A row of `stimuli`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StimulusRow {
    /// Key of table `audio`.
    pub stimulus_id: String,
    /// Data set.
    pub dataset: String,
    /// Relative to the raw folder, with `#ch2` or `#part` for a part of a file.
    pub path: String,
    /// Of the file; `None` when it cannot be read.
    pub sha256: Option<String>,
    /// Story, piece or clip.
    pub content_id: Option<String>,
    /// `sound`, or `envelope`, which has no segments in table `audio`.
    pub kind: String,
    /// For an array of a file of named arrays: which and how it lies, as JSON.
    pub tree: Option<String>,
    /// Length in s.
    pub seconds: Option<f64>,
    /// Rate of the file, Hz.
    pub sfreq: Option<f64>,
    /// Who speaks or plays.
    pub speaker: Option<String>,
    /// Of the speaker.
    pub gender: Option<String>,
    /// Side on which it was played, where that never changes.
    pub side: Option<String>,
    /// Preprocessing recipe.
    pub recipe: String,
    /// Hash of its values.
    pub recipe_hash: String,
    /// Version of the code.
    pub version: String,
    /// The stored grids of segments.
    pub grids: Vec<Grid>,
    /// `ok`, `rejected` or `missing`.
    pub status: String,
    /// Why it has no segments, or notes on a sound that has.
    pub reason: Option<String>,
}

fn wrong(name: &str) -> Error {
    Error::Column {
        table: "stimuli".into(),
        column: name.into(),
        message: "is not of the type in schemas/stimuli.toml".into(),
    }
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
    let DataType::List(item) = schema.field_with_name("grids")?.data_type() else {
        return Err(wrong("grids"));
    };
    let DataType::Struct(fields) = item.data_type() else {
        return Err(wrong("grids"));
    };
    let grids: Vec<Grid> = rows.iter().flat_map(|r| r.grids.iter().copied()).collect();
    let values: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(grids.iter().map(|g| g.start))),
        Arc::new(Float64Array::from_iter_values(grids.iter().map(|g| g.rate))),
    ];
    let entries = StructArray::try_new_with_length(fields.clone(), values, None, grids.len())?;
    let lists = ListArray::try_new(
        item.clone(),
        OffsetBuffer::from_lengths(rows.iter().map(|r| r.grids.len())),
        Arc::new(entries),
        None,
    )?;
    let columns: Vec<ArrayRef> = vec![
        text(|r| &r.stimulus_id),
        text(|r| &r.dataset),
        text(|r| &r.path),
        maybe(|r| r.sha256.as_deref()),
        maybe(|r| r.content_id.as_deref()),
        text(|r| &r.kind),
        maybe(|r| r.tree.as_deref()),
        Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.seconds))),
        Arc::new(Float64Array::from_iter(rows.iter().map(|r| r.sfreq))),
        maybe(|r| r.speaker.as_deref()),
        maybe(|r| r.gender.as_deref()),
        maybe(|r| r.side.as_deref()),
        text(|r| &r.recipe),
        text(|r| &r.recipe_hash),
        text(|r| &r.version),
        Arc::new(lists),
        text(|r| &r.status),
        maybe(|r| r.reason.as_deref()),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// Columns of text.
const TEXTS: [&str; 15] = [
    "stimulus_id",
    "dataset",
    "path",
    "sha256",
    "content_id",
    "kind",
    "tree",
    "speaker",
    "gender",
    "side",
    "recipe",
    "recipe_hash",
    "version",
    "status",
    "reason",
];

/// The rows of a batch of table `stimuli`.
pub(crate) fn from_batch(batch: &RecordBatch) -> Result<Vec<StimulusRow>> {
    let mut texts: BTreeMap<&str, StringArray> = BTreeMap::new();
    for name in TEXTS {
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
    let grids = batch
        .column_by_name("grids")
        .and_then(|c| c.as_list_opt::<i32>())
        .ok_or_else(|| wrong("grids"))?;
    (0..batch.num_rows())
        .map(|i| {
            Ok(StimulusRow {
                stimulus_id: must("stimulus_id", i),
                dataset: must("dataset", i),
                path: must("path", i),
                sha256: get("sha256", i),
                content_id: get("content_id", i),
                kind: must("kind", i),
                tree: get("tree", i),
                seconds: seconds.is_valid(i).then(|| seconds.value(i)),
                sfreq: sfreq.is_valid(i).then(|| sfreq.value(i)),
                speaker: get("speaker", i),
                gender: get("gender", i),
                side: get("side", i),
                recipe: must("recipe", i),
                recipe_hash: must("recipe_hash", i),
                version: must("version", i),
                grids: grids_of(&grids.value(i))?,
                status: must("status", i),
                reason: get("reason", i),
            })
        })
        .collect()
}

fn grids_of(entries: &ArrayRef) -> Result<Vec<Grid>> {
    let field = |name: &str| entries.as_struct_opt()?.column_by_name(name);
    let starts = field("start")
        .and_then(|c| c.as_primitive_opt::<Int64Type>())
        .ok_or_else(|| wrong("grids"))?;
    let rates = field("rate")
        .and_then(|c| c.as_primitive_opt::<Float64Type>())
        .ok_or_else(|| wrong("grids"))?;
    let both = starts.values().iter().zip(rates.values());
    Ok(both.map(|(&start, &rate)| Grid { start, rate }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_survive_arrow() {
        let row = StimulusRow {
            stimulus_id: "D/a.wav#ch2".into(),
            dataset: "D".into(),
            path: "a.wav#ch2".into(),
            sha256: Some("00".into()),
            content_id: None,
            kind: SOUND.into(),
            tree: Some("{}".into()),
            seconds: Some(12.0),
            sfreq: Some(44_100.0),
            speaker: Some("Ann".into()),
            gender: Some("female".into()),
            side: None,
            recipe: "mindmix".into(),
            recipe_hash: "1".into(),
            version: "2".into(),
            grids: vec![
                Grid {
                    start: 0,
                    rate: 1.0,
                },
                Grid {
                    start: -8000,
                    rate: 1.000_025,
                },
            ],
            status: "ok".into(),
            reason: None,
        };
        let missing = StimulusRow {
            grids: Vec::new(),
            status: MISSING.into(),
            seconds: None,
            ..row.clone()
        };
        let rows = vec![row, missing];
        assert_eq!(from_batch(&to_batch(&rows).unwrap()).unwrap(), rows);
    }
}
