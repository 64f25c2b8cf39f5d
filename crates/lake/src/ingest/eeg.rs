//! Rows of table `eeg` out of a recording's epochs.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int32Array, ListArray,
    RecordBatch, StringArray, StructArray, UInt64Array,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use mmpipe_signal::recipe::Recipe;

use super::conditioned::{Epochs, Kept, Summary};
use super::cut;
use super::labels::Covered;
use super::work::{Work, WorkTrial};
use crate::{Error, Result, schema};

/// Gives rows of `eeg` to `emit`, a batch for each part of the samples, which are not copied.
pub(super) fn batches(
    table: &Table,
    done: Epochs,
    labels: &[Option<Covered>],
    emit: &mut dyn FnMut(RecordBatch) -> Result<()>,
) -> Result<Summary> {
    let (rows, c) = (done.rows, table.channels.len());
    let mean = ScalarBuffer::from(done.mean);
    let std = ScalarBuffer::from(done.std);
    let epochs = done.summary.cut.epochs.chunks(rows);
    for (b, (epochs, samples)) in epochs.zip(done.samples).enumerate() {
        let start = b * rows * c;
        let values = ScalarBuffer::from(samples);
        let part = |x: &ScalarBuffer<f32>| x.slice(start, epochs.len() * c);
        let labels = labels.get(b * rows..).unwrap_or_default();
        emit(table.batch(epochs, labels, values, part(&mean), part(&std))?)?;
    }
    Ok(done.summary)
}

/// What the rows of one recording have in common.
pub(super) struct Table<'a> {
    work: &'a Work,
    recipe: &'a Recipe,
    channels: &'a [Kept],
    times: usize,
    schema: SchemaRef,
}

impl<'a> Table<'a> {
    /// The table of a recording with these channels.
    ///
    /// # Errors
    /// The schema of `eeg` cannot be read.
    pub(super) fn new(work: &'a Work, recipe: &'a Recipe, channels: &'a [Kept]) -> Result<Self> {
        let times = recipe.epoch_samples();
        Ok(Table {
            work,
            recipe,
            channels,
            times,
            schema: schema::table("eeg")?.arrow(times)?,
        })
    }

    /// Rows of epochs; `covered` are their labels over time and those of epochs to come,
    /// `samples` epoch × channel × time, `mean` and `std` epoch × channel.
    ///
    /// # Errors
    /// Columns that do not fit the schema.
    pub(super) fn batch(
        &self,
        epochs: &[cut::Epoch],
        covered: &[Option<Covered>],
        samples: ScalarBuffer<f32>,
        mean: ScalarBuffer<f32>,
        std: ScalarBuffer<f32>,
    ) -> Result<RecordBatch> {
        let n = epochs.len();
        let work = self.work;
        let trials: Vec<&WorkTrial> = epochs
            .iter()
            .filter_map(|e| work.trials.get(e.trial))
            .collect();
        let all = |text: &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, n)))
        };
        let all_or_null = |text: &Option<String>| -> ArrayRef {
            Arc::new(StringArray::from_iter(std::iter::repeat_n(
                text.as_deref(),
                n,
            )))
        };
        let by_trial = |f: fn(&WorkTrial) -> Option<&str>| -> ArrayRef {
            Arc::new(StringArray::from_iter(trials.iter().map(|t| f(t))))
        };

        let mut columns: BTreeMap<&str, ArrayRef> = BTreeMap::new();
        columns.insert(
            "epoch_id",
            Arc::new(UInt64Array::from_iter_values(
                epochs
                    .iter()
                    .zip(&trials)
                    .map(|(e, t)| work.epoch_id(t.trial, e.epoch)),
            )),
        );
        columns.insert("dataset", all(&work.dataset));
        columns.insert("subject", all(&work.subject));
        columns.insert("session", all_or_null(&work.session));
        columns.insert("run", all_or_null(&work.run));
        columns.insert(
            "trial",
            Arc::new(Int32Array::from_iter_values(trials.iter().map(|t| t.trial))),
        );
        columns.insert(
            "epoch",
            Arc::new(Int32Array::from_iter_values(epochs.iter().map(|e| e.epoch))),
        );
        columns.insert(
            "onset",
            Arc::new(Float64Array::from_iter_values(
                epochs.iter().map(|e| e.onset),
            )),
        );
        columns.insert(
            "sfreq",
            Arc::new(Float64Array::from_iter_values(std::iter::repeat_n(
                self.recipe.sfreq,
                n,
            ))),
        );
        let names: Vec<&str> = (0..n)
            .flat_map(|_| self.channels.iter().map(|c| c.name.as_str()))
            .collect();
        let names = StringArray::from_iter_values(names);
        columns.insert("ch_names", self.per_channel("ch_names", Arc::new(names))?);
        columns.insert("eeg", self.eeg(samples)?);
        columns.insert(
            "ch_mean",
            self.per_channel("ch_mean", Arc::new(Float32Array::new(mean, None)))?,
        );
        columns.insert(
            "ch_std",
            self.per_channel("ch_std", Arc::new(Float32Array::new(std, None)))?,
        );
        columns.insert("task", by_trial(|t| t.task.as_deref()));
        // A trial's own label holds for all of it, and epochs lie whole within one trial.
        let labels: Vec<(Option<i32>, Option<&str>, Option<f32>)> = trials
            .iter()
            .enumerate()
            .map(
                |(i, t)| match (t.label, covered.get(i).copied().flatten()) {
                    (Some(label), _) => (Some(label), t.label_name.as_deref(), Some(1.0)),
                    (None, Some(c)) => (Some(c.label), work.label_name(c.label), Some(c.share)),
                    (None, None) => (None, t.label_name.as_deref(), None),
                },
            )
            .collect();
        columns.insert(
            "label",
            Arc::new(Int32Array::from_iter(labels.iter().map(|l| l.0))),
        );
        columns.insert(
            "label_name",
            Arc::new(StringArray::from_iter(labels.iter().map(|l| l.1))),
        );
        columns.insert(
            "label_share",
            Arc::new(Float32Array::from_iter(labels.iter().map(|l| l.2))),
        );
        columns.insert(
            "rejected",
            Arc::new(BooleanArray::from_iter(trials.iter().map(|t| t.rejected))),
        );
        columns.insert("auditory_type", by_trial(|t| t.auditory_type.as_deref()));
        columns.insert("content_id", by_trial(|t| t.content_id.as_deref()));
        columns.insert("stimuli", self.stimuli(epochs, &trials)?);
        columns.insert("recipe", all(&self.recipe.name));
        columns.insert("recording_id", all(&work.recording_id));

        let ordered = self
            .schema
            .fields()
            .iter()
            .map(|f| {
                columns
                    .remove(f.name().as_str())
                    .ok_or_else(|| missing(f.name()))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(self.schema.clone(), ordered)?)
    }

    fn item(&self, column: &str) -> Result<FieldRef> {
        match self.schema.field_with_name(column)?.data_type() {
            DataType::List(item) => Ok(item.clone()),
            _ => Err(missing(column)),
        }
    }

    fn per_channel(&self, column: &str, values: ArrayRef) -> Result<ArrayRef> {
        let c = self.channels.len();
        let offsets = OffsetBuffer::from_repeated_length(c, values.len() / c.max(1));
        Ok(Arc::new(ListArray::try_new(
            self.item(column)?,
            offsets,
            values,
            None,
        )?))
    }

    fn eeg(&self, samples: ScalarBuffer<f32>) -> Result<ArrayRef> {
        let DataType::FixedSizeList(item, size) = self.item("eeg")?.data_type().clone() else {
            return Err(missing("eeg"));
        };
        let rows = samples.len() / (self.times * self.channels.len()).max(1);
        let lists = FixedSizeListArray::try_new(
            item,
            size,
            Arc::new(Float32Array::new(samples, None)),
            None,
        )?;
        let offsets = OffsetBuffer::from_repeated_length(self.channels.len(), rows);
        Ok(Arc::new(ListArray::try_new(
            self.item("eeg")?,
            offsets,
            Arc::new(lists),
            None,
        )?))
    }

    /// The segments of sound under each epoch; one that the sound does not fill is left out.
    fn stimuli(&self, epochs: &[cut::Epoch], trials: &[&WorkTrial]) -> Result<ArrayRef> {
        let item = self.item("stimuli")?;
        let DataType::Struct(fields) = item.data_type().clone() else {
            return Err(missing("stimuli"));
        };
        let (mut ids, mut segments, mut roles, mut sides, mut lengths) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (epoch, trial) in epochs.iter().zip(trials) {
            let before = ids.len();
            for stream in &trial.streams {
                if let Some((id, segment)) =
                    super::grid::segment_of(stream, epoch.epoch, &self.recipe.audio)
                {
                    ids.push(id);
                    segments.push(segment);
                    roles.push(stream.role.as_str());
                    sides.push(stream.side.as_deref());
                }
            }
            lengths.push(ids.len() - before);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(&ids)),
            Arc::new(Int32Array::from(segments)),
            Arc::new(StringArray::from_iter_values(&roles)),
            Arc::new(StringArray::from(sides)),
        ];
        let values = StructArray::try_new_with_length(fields, columns, None, ids.len())?;
        Ok(Arc::new(ListArray::try_new(
            item,
            OffsetBuffer::from_lengths(lengths),
            Arc::new(values),
            None,
        )?))
    }
}

fn missing(column: &str) -> Error {
    Error::Schema {
        table: "eeg".into(),
        message: format!("column {column} is not what the ingest writes"),
    }
}
