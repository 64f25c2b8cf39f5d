//! The two operators of the ingest plan, both interior: each works on the partitions of its
//! input, one recording a partition, and leaves the choice of what runs where to whoever
//! executes the plan.
//!
//! - [`EpochsExec`]: work list in; out come rows with either an `epoch` (a row of table `eeg`)
//!   or, after the last epoch, the `recording` (its row of table `recordings`).
//! - [`WriteShardsExec`]: those rows in; one Parquet file a recording on disk; out come the
//!   `recordings` rows. A file appears when its recording is complete, never before.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StructArray, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType,
};
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
    ReplaceChildrenOptions,
};
use futures::StreamExt;
use mmpipe_signal::recipe::Recipe;
use parquet::file::metadata::KeyValue;
use tokio::sync::Semaphore;

use super::rows::{self, RecordingRow};
use super::{decode, work};
use crate::lake::path_value;
use crate::shard::ShardWriter;
use crate::{commit, schema};

/// Batches that may wait between decoding and writing.
const AHEAD: usize = 2;

/// Properties of an operator that keeps its input's partitions and has this schema.
fn properties(schema: SchemaRef, input: &Arc<dyn ExecutionPlan>) -> Arc<PlanProperties> {
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new(schema),
        datafusion::physical_plan::Partitioning::UnknownPartitioning(
            input.output_partitioning().partition_count(),
        ),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

fn one_child(
    name: &str,
    mut children: Vec<Arc<dyn ExecutionPlan>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    match (children.pop(), children.is_empty()) {
        (Some(child), true) => Ok(child),
        _ => Err(DataFusionError::Internal(format!("{name} has one child"))),
    }
}

/// A blocking task that panicked or was cancelled.
fn lost(e: impl fmt::Display) -> DataFusionError {
    DataFusionError::Execution(format!("a worker stopped: {e}"))
}

/// What the two operators answer alike: each has one child, and is made anew over another.
macro_rules! interior {
    ($name:ident) => {
        fn name(&self) -> &str {
            stringify!($name)
        }

        fn properties(&self) -> &Arc<PlanProperties> {
            &self.properties
        }

        fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
            vec![&self.input]
        }

        fn benefits_from_input_partitioning(&self) -> Vec<bool> {
            vec![false]
        }

        fn apply_expressions(
            &self,
            _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
        ) -> Result<TreeNodeRecursion> {
            Ok(TreeNodeRecursion::Continue)
        }

        fn replace_children(
            self: Arc<Self>,
            children: Vec<Arc<dyn ExecutionPlan>>,
            _: ReplaceChildrenOptions,
        ) -> Result<Arc<dyn ExecutionPlan>> {
            let child = one_child(self.name(), children)?;
            Ok(Arc::new(self.over(child)?))
        }

        fn with_new_children(
            self: Arc<Self>,
            children: Vec<Arc<dyn ExecutionPlan>>,
        ) -> Result<Arc<dyn ExecutionPlan>> {
            self.replace_children(
                children,
                ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
            )
        }
    };
}

/// Recordings to epochs.
#[derive(Debug)]
pub(crate) struct EpochsExec {
    input: Arc<dyn ExecutionPlan>,
    /// The raw folder.
    pub(crate) raw: PathBuf,
    /// The preprocessing.
    pub(crate) recipe: Arc<Recipe>,
    /// How many recordings may be decoded at one time; without it, all that are executed.
    permits: Option<Arc<Semaphore>>,
    properties: Arc<PlanProperties>,
}

impl EpochsExec {
    /// An operator over a work list.
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        raw: PathBuf,
        recipe: Arc<Recipe>,
    ) -> crate::Result<Self> {
        let schema = output_schema(recipe.epoch_samples())?;
        let properties = properties(schema, &input);
        Ok(EpochsExec {
            input,
            raw,
            recipe,
            permits: None,
            properties,
        })
    }

    /// The same, decoding only where there is a permit: what was decoded may be on its way to the
    /// disk meanwhile, without a core.
    pub(crate) fn limited(self, permits: Arc<Semaphore>) -> Self {
        EpochsExec {
            permits: Some(permits),
            ..self
        }
    }

    fn over(&self, child: Arc<dyn ExecutionPlan>) -> crate::Result<Self> {
        let over = EpochsExec::new(child, self.raw.clone(), self.recipe.clone())?;
        Ok(EpochsExec {
            permits: self.permits.clone(),
            ..over
        })
    }
}

/// `epoch` and `recording`, exactly one of them present in a row.
fn output_schema(times: usize) -> crate::Result<SchemaRef> {
    let column = |name: &str, table: &str| -> crate::Result<Field> {
        let fields = schema::table(table)?.arrow(times)?.fields().clone();
        Ok(Field::new(name, DataType::Struct(fields), true))
    };
    Ok(Arc::new(Schema::new(vec![
        column("epoch", "eeg")?,
        column("recording", "recordings")?,
    ])))
}

/// Puts rows of one of the two tables into the operator's columns.
fn wrap(schema: &SchemaRef, column: usize, rows: &RecordBatch) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(i, field)| -> ArrayRef {
            if i == column {
                Arc::new(StructArray::from(rows.clone()))
            } else {
                new_null_array(field.data_type(), rows.num_rows())
            }
        })
        .collect();
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

impl DisplayAs for EpochsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "EpochsExec: recipe={}, raw={}",
            self.recipe.name,
            self.raw.display()
        )
    }
}

impl ExecutionPlan for EpochsExec {
    interior!(EpochsExec);

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let schema = self.schema();
        let (raw, recipe) = (self.raw.clone(), self.recipe.clone());
        let permits = self.permits.clone();
        let mut list = self.input.execute(partition, context)?;
        let mut builder = RecordBatchReceiverStream::builder(schema.clone(), AHEAD);
        let out = builder.tx();
        builder.spawn(async move {
            while let Some(batch) = list.next().await {
                for work in work::decode(&batch?)? {
                    let planned = RecordingRow::planned(&work, &recipe);
                    let (raw, recipe) = (raw.clone(), recipe.clone());
                    let (to, columns) = (out.clone(), schema.clone());
                    // One that is closed lets everyone through, as none does.
                    let permit = match &permits {
                        Some(permits) => permits.acquire().await.ok(),
                        None => None,
                    };
                    let done = tokio::task::spawn_blocking(move || {
                        let mut emit = |rows: RecordBatch| -> crate::Result<()> {
                            let rows = wrap(&columns, 0, &rows)?;
                            to.blocking_send(Ok(rows))
                                .map_err(|_| crate::Error::Empty("the ingest was stopped".into()))
                        };
                        decode::recording(&work, &raw, &recipe, &mut emit)
                    })
                    .await;
                    drop(permit);
                    let row = match done {
                        Ok(row) => row,
                        // A reader that panics on a file costs that file.
                        Err(e) if e.is_panic() => {
                            let mut row = planned;
                            row.reject("the reader failed on this file (a defect of mmpipe; please report it)".into());
                            row
                        }
                        Err(e) => return Err(lost(e)),
                    };
                    let row = wrap(&schema, 1, &rows::to_batch(&[row])?)?;
                    if out.send(Ok(row)).await.is_err() {
                        return Ok(()); // nobody listens any more
                    }
                }
            }
            Ok(())
        });
        Ok(builder.build())
    }
}

/// Epochs to one Parquet file a recording.
#[derive(Debug)]
pub(crate) struct WriteShardsExec {
    input: Arc<dyn ExecutionPlan>,
    /// The lake's folder.
    pub(crate) lake: PathBuf,
    /// The preprocessing, written into every file.
    pub(crate) recipe: Arc<Recipe>,
    properties: Arc<PlanProperties>,
}

impl WriteShardsExec {
    /// An operator over the rows of [`EpochsExec`].
    pub(crate) fn new(
        input: Arc<dyn ExecutionPlan>,
        lake: PathBuf,
        recipe: Arc<Recipe>,
    ) -> crate::Result<Self> {
        let schema = schema::table("recordings")?.arrow(recipe.epoch_samples())?;
        let properties = properties(schema, &input);
        Ok(WriteShardsExec {
            input,
            lake,
            recipe,
            properties,
        })
    }

    fn over(&self, child: Arc<dyn ExecutionPlan>) -> crate::Result<Self> {
        WriteShardsExec::new(child, self.lake.clone(), self.recipe.clone())
    }
}

impl DisplayAs for WriteShardsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "WriteShardsExec: recipe={}, lake={}",
            self.recipe.name,
            self.lake.display()
        )
    }
}

impl ExecutionPlan for WriteShardsExec {
    interior!(WriteShardsExec);

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let mut input = self.input.execute(partition, context)?;
        let mut shard = Shard::new(self.lake.clone(), self.recipe.clone());
        let mut builder = RecordBatchReceiverStream::builder(self.schema(), 1);
        let out = builder.tx();
        builder.spawn(async move {
            while let Some(batch) = input.next().await {
                let batch = batch?;
                // Writing blocks; the shard travels to a thread that may.
                let (back, row) = tokio::task::spawn_blocking(move || {
                    let row = shard.take(&batch);
                    (shard, row)
                })
                .await
                .map_err(lost)?;
                shard = back;
                if let Some(row) = row?
                    && out.send(Ok(row)).await.is_err()
                {
                    return Ok(()); // nobody listens any more
                }
            }
            Ok(())
        });
        Ok(builder.build())
    }
}

/// The file being written by one partition.
struct Shard {
    lake: PathBuf,
    recipe: Arc<Recipe>,
    writer: Option<ShardWriter>,
}

/// Where the shard of a recording lies.
pub(crate) fn shard_path(
    lake: &Path,
    recipe: &str,
    dataset: &str,
    subject: &str,
    recording_id: &str,
) -> PathBuf {
    lake.join("eeg")
        .join(format!("recipe={}", path_value(recipe)))
        .join(format!("dataset={}", path_value(dataset)))
        .join(format!("subject={}", path_value(subject)))
        .join(format!("{recording_id}.parquet"))
}

impl Shard {
    fn new(lake: PathBuf, recipe: Arc<Recipe>) -> Self {
        Shard {
            lake,
            recipe,
            writer: None,
        }
    }

    /// Takes a batch; returns the recording's row when that completes it.
    fn take(&mut self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let part = |i: usize| {
            batch
                .columns()
                .get(i)
                .and_then(|c| c.as_struct_opt())
                .ok_or_else(|| {
                    DataFusionError::Internal("expected the columns epoch and recording".into())
                })
        };
        let (epochs, recording) = (part(0)?, part(1)?);
        if epochs.len() > epochs.null_count() {
            self.append(&RecordBatch::from(epochs))?;
            return Ok(None);
        }
        let row = RecordBatch::try_new(self.row_schema()?, recording.columns().to_vec())?;
        let rows = rows::from_batch(&row)?;
        for row in &rows {
            self.finish(row)?;
        }
        Ok(Some(row))
    }

    fn row_schema(&self) -> Result<SchemaRef> {
        Ok(schema::table("recordings")?.arrow(self.recipe.epoch_samples())?)
    }

    fn append(&mut self, epochs: &RecordBatch) -> Result<()> {
        let table = schema::table("eeg")?;
        if self.writer.is_none() {
            let text = |name: &str| {
                epochs
                    .column_by_name(name)
                    .and_then(|c| c.as_string_opt::<i32>())
                    .filter(|c| !c.is_empty())
                    .map(|c| c.value(0).to_string())
                    .unwrap_or_default()
            };
            let path = shard_path(
                &self.lake,
                &self.recipe.name,
                &text("dataset"),
                &text("subject"),
                &text("recording_id"),
            );
            let channels = epochs
                .column_by_name("ch_names")
                .and_then(|c| c.as_list_opt::<i32>())
                .filter(|c| !c.is_empty())
                .map_or(0, |c| c.value(0).len());
            let notes = vec![
                KeyValue::new(
                    "mmpipe.format_version".into(),
                    crate::FORMAT_VERSION.to_string(),
                ),
                KeyValue::new("mmpipe.recipe".into(), recipe_text(&self.recipe)?),
                KeyValue::new("mmpipe.recipe_hash".into(), self.recipe.hash()),
                KeyValue::new("mmpipe.version".into(), rows::VERSION.to_string()),
            ];
            let schema = table.arrow(self.recipe.epoch_samples())?;
            let levels = channels * self.recipe.epoch_samples();
            self.writer = Some(ShardWriter::create(&path, table, schema, levels, notes)?);
        }
        if let Some(writer) = &mut self.writer {
            writer.write(epochs)?;
        }
        Ok(())
    }

    fn finish(&mut self, row: &RecordingRow) -> Result<()> {
        match self.writer.take() {
            Some(writer) if row.status == rows::OK => drop(writer.commit()?),
            // Nothing to show: what an earlier ingest wrote no longer holds.
            other => {
                drop(other);
                let subject = row.subject.as_deref().unwrap_or_default();
                commit::remove(&shard_path(
                    &self.lake,
                    &row.recipe,
                    &row.dataset,
                    subject,
                    &row.recording_id,
                ))?;
            }
        }
        Ok(())
    }
}

/// A recipe as the text from which it can be read again.
pub(crate) fn recipe_text(recipe: &Recipe) -> crate::Result<String> {
    toml::to_string(recipe).map_err(|e| crate::Error::Schema {
        table: "recipe".into(),
        message: e.to_string(),
    })
}
