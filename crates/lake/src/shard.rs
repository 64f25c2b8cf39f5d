//! Writes one Parquet file of a table. Owns where row groups end and that a file is invisible until it
//! is whole. Does not own how a table lies ([`crate::layout`]) or the bytes of waveform columns
//! ([`crate::waveforms`]).

use std::io::Write;
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::SerializedFileWriter;

use crate::commit::Pending;
use crate::layout::{ROW_GROUP_BYTES, properties};
use crate::schema::Table;
use crate::waveforms::{Chunk, Waveforms, row_values};
use crate::{Error, Result};

/// Rows that are added at one time to a table without waveforms, between two looks at how large its row
/// group has become.
const MOST_ROWS: usize = 1 << 16;

type Counted = std::io::BufWriter<std::fs::File>;

/// Writes one Parquet file of a table, invisible until it is finished.
pub(crate) struct ShardWriter {
    pending: Pending,
    file: SerializedFileWriter<Counted>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// The waveform columns, by their places in the schema.
    waveforms: Vec<(usize, Waveforms)>,
    group: Option<Group>,
    /// Bytes at which a row group ends.
    limit: usize,
    path: PathBuf,
}

/// A row group that is being made.
struct Group {
    leaves: Vec<Leaf>,
    rows: usize,
    /// Bytes of its waveforms, which decide where it ends where there are any.
    bytes: usize,
}

/// One column of Parquet.
enum Leaf {
    Arrow(Box<ArrowColumnWriter>),
    Waveforms(Box<Chunk>),
}

impl ShardWriter {
    /// Starts a file at `path`; `levels` as in [`properties`].
    pub(crate) fn create(
        path: &Path,
        table: &Table,
        schema: SchemaRef,
        levels: usize,
        notes: Vec<KeyValue>,
    ) -> Result<Self> {
        let (pending, file) = Pending::create(path)?;
        let properties = properties(table, &schema, levels, notes);
        let waveforms = table
            .sample_columns()
            .filter_map(|name| {
                let (place, field) = schema.column_with_name(name)?;
                Some((place, Waveforms::of(field)?))
            })
            .collect();
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties))?;
        let (file, factory) = writer.into_serialized_writer()?;
        Ok(ShardWriter {
            pending,
            file,
            factory,
            schema,
            waveforms,
            group: None,
            limit: ROW_GROUP_BYTES,
            path: path.to_path_buf(),
        })
    }

    /// Adds rows.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.schema_ref().fields() != self.schema.fields() {
            return Err(Error::Layout {
                path: self.path.clone(),
                message: "cannot write: the rows are of another schema".into(),
            });
        }
        let mut sizes = vec![0; batch.num_rows()];
        for (place, _) in &self.waveforms {
            for (size, (_, values)) in sizes.iter_mut().zip(row_values(batch.column(*place))?) {
                *size += size_of_val(&*values);
            }
        }
        let mut start = 0;
        while start < sizes.len() {
            let limit = self.limit;
            let group = self.group()?;
            let (rows, bytes) = fitting(&sizes[start..], group.bytes, group.rows, limit);
            if rows == 0 {
                self.flush()?;
                continue;
            }
            self.append(&batch.slice(start, rows), bytes)?;
            start += rows;
            if self.waveforms.is_empty() && self.encoded() >= limit {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// The row group that rows go to.
    fn group(&mut self) -> Result<&mut Group> {
        if self.group.is_none() {
            self.group = Some(self.begin()?);
        }
        self.group.as_mut().ok_or_else(|| Error::Layout {
            path: self.path.clone(),
            message: "cannot write: no row group was begun".into(),
        })
    }

    fn begin(&self) -> Result<Group> {
        let number = self.file.flushed_row_groups().len();
        let leaves = self.factory.create_column_writers(number)?;
        let described = self.file.schema_descr();
        let leaves = leaves.into_iter().enumerate().map(|(leaf, writer)| {
            let root = described.get_column_root_idx(leaf);
            match self.waveforms.iter().find(|(place, _)| *place == root) {
                Some((_, waveforms)) => {
                    Leaf::Waveforms(Box::new(waveforms.begin(described.column(leaf))))
                }
                None => Leaf::Arrow(Box::new(writer)),
            }
        });
        Ok(Group {
            leaves: leaves.collect(),
            rows: 0,
            bytes: 0,
        })
    }

    /// Adds rows that fit the row group.
    fn append(&mut self, batch: &RecordBatch, bytes: usize) -> Result<()> {
        let schema = self.schema.clone();
        let path = self.path.clone();
        let group = self.group()?;
        let mut leaves = group.leaves.iter_mut();
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            if is_waveforms(leaves.as_slice().first()) {
                if let Some(Leaf::Waveforms(chunk)) = leaves.next() {
                    chunk.write(column)?;
                }
                continue;
            }
            for levels in compute_leaves(field, column)? {
                if let Some(Leaf::Arrow(writer)) = leaves.next() {
                    writer.write(&levels).map_err(|e| explain(&path, e))?;
                }
            }
        }
        group.rows += batch.num_rows();
        group.bytes += bytes;
        Ok(())
    }

    /// Bytes that the row group will have, nearly.
    fn encoded(&self) -> usize {
        let leaves = self.group.iter().flat_map(|group| &group.leaves);
        let bytes = leaves.map(|leaf| match leaf {
            Leaf::Arrow(writer) => writer.get_estimated_total_bytes(),
            Leaf::Waveforms(_) => 0,
        });
        bytes.sum()
    }

    /// Writes the row group that was begun.
    fn flush(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else {
            return Ok(());
        };
        put(&mut self.file, group).map_err(|e| explain(&self.path, e))
    }

    /// Writes the footer, syncs and gives the file its name.
    pub(crate) fn commit(mut self) -> Result<PathBuf> {
        self.flush()?;
        let mut file = self.file.into_inner().map_err(|e| explain(&self.path, e))?;
        file.flush().map_err(Error::io("write", &self.path))?;
        self.pending.commit(file)
    }
}

fn is_waveforms(leaf: Option<&Leaf>) -> bool {
    matches!(leaf, Some(Leaf::Waveforms(_)))
}

/// How many of the rows of `sizes` bytes still go into a row group that ends at `limit`, and their
/// bytes: at least one into an empty one.
fn fitting(sizes: &[usize], held: usize, rows: usize, limit: usize) -> (usize, usize) {
    let (mut taken, mut bytes) = (0, 0);
    for size in sizes.iter().take(MOST_ROWS) {
        let first = rows + taken == 0;
        if !first && held + bytes + size > limit {
            break;
        }
        taken += 1;
        bytes += size;
    }
    (taken, bytes)
}

fn put(
    file: &mut SerializedFileWriter<Counted>,
    group: Group,
) -> std::result::Result<(), ParquetError> {
    let mut out = file.next_row_group()?;
    for leaf in group.leaves {
        match leaf {
            Leaf::Arrow(writer) => writer.close()?.append_to_row_group(&mut out)?,
            Leaf::Waveforms(chunk) => {
                let (bytes, closed) = chunk.close()?;
                out.append_column(&bytes, closed)?;
            }
        }
    }
    out.close()?;
    Ok(())
}

/// A full disk reaches us wrapped in a Parquet error without a path.
fn explain(path: &Path, e: ParquetError) -> Error {
    match e {
        ParquetError::External(e) => match e.downcast::<std::io::Error>() {
            Ok(io) => Error::io("write", path)(*io),
            Err(other) => Error::Parquet(ParquetError::External(other)),
        },
        e => Error::Layout {
            path: path.to_path_buf(),
            message: format!("cannot write: {e}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::SampleColumn;
    use crate::schema;
    use arrow::array::{Array, AsArray, StringArray, new_null_array};
    use arrow::datatypes::DataType;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use std::sync::Arc;

    const TIMES: usize = 50;

    /// Rows of `table` with as many items in their waveforms as `items`, all other columns null or,
    /// where they must not be, zero.
    fn batch(table: &str, items: &[usize]) -> (RecordBatch, Vec<Vec<f32>>) {
        let table = schema::table(table).unwrap();
        let schema = table.arrow(TIMES).unwrap();
        let names: Vec<&str> = table.sample_columns().collect();
        let mut rows = Vec::new();
        let columns = schema.fields().iter().map(|field| {
            if names.contains(&field.name().as_str()) {
                let (column, made) = crate::waveforms::tests::column(field, items);
                rows = made;
                return column;
            }
            match field.data_type() {
                DataType::Utf8 => Arc::new(StringArray::from(vec!["x"; items.len()])),
                kind if field.is_nullable() => new_null_array(kind, items.len()),
                DataType::List(_) | DataType::Struct(_) => empty(field.data_type(), items.len()),
                kind => {
                    let ones = arrow::array::Int64Array::from(vec![1; items.len()]);
                    arrow::compute::cast(&ones, kind).unwrap()
                }
            }
        });
        let columns: Vec<_> = columns.collect();
        (RecordBatch::try_new(schema.clone(), columns).unwrap(), rows)
    }

    fn empty(kind: &DataType, rows: usize) -> arrow::array::ArrayRef {
        let DataType::List(item) = kind else {
            panic!("{kind}")
        };
        Arc::new(arrow::array::ListArray::new(
            item.clone(),
            arrow::buffer::OffsetBuffer::from_lengths(vec![0; rows]),
            arrow::array::new_empty_array(item.data_type()),
            None,
        ))
    }

    /// A file, and the rows of its row groups.
    fn reader(path: &Path) -> (ParquetRecordBatchReaderBuilder<std::fs::File>, Vec<i64>) {
        let file = std::fs::File::open(path).unwrap();
        let read = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let groups = read.metadata().row_groups().iter();
        let groups = groups.map(|g| g.num_rows()).collect();
        (read, groups)
    }

    /// The file is, byte for byte, what Arrow's own writer makes with the same settings.
    #[test]
    fn files_are_those_of_the_general_writer() {
        let dir = tempfile::tempdir().unwrap();
        for (name, items) in [
            ("eeg", vec![3, 3, 3, 3]),
            ("eeg", vec![1]),
            ("eeg", vec![2, 255, 7, 1]),
            ("audio", vec![700, 700, 700]),
            ("recordings", vec![0, 0]),
        ] {
            let table = schema::table(name).unwrap();
            let (batch, _) = batch(name, &items);
            let least = items.iter().min().unwrap() * if name == "eeg" { TIMES } else { 1 };
            let note = vec![KeyValue::new("a".into(), "b".to_string())];
            let path = dir.path().join("ours.parquet");
            let mut ours =
                ShardWriter::create(&path, table, batch.schema(), least, note.clone()).unwrap();
            ours.write(&batch.slice(0, 1)).unwrap();
            ours.write(&batch.slice(1, items.len() - 1)).unwrap();
            ours.commit().unwrap();
            let properties = properties(table, &batch.schema(), least, note);
            let mut general =
                ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
            general.write(&batch).unwrap();
            let general = general.into_inner().unwrap();
            let ours = std::fs::read(&path).unwrap();
            assert!(ours == general, "{name} {items:?}");
        }
    }

    #[test]
    fn row_groups_end_before_they_are_full_and_rows_are_found_in_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        let table = schema::table("audio").unwrap();
        let length = (ROW_GROUP_BYTES / 4) / 5;
        let (batch, rows) = batch("audio", &[length; 7]);
        let mut writer =
            ShardWriter::create(&path, table, batch.schema(), length, Vec::new()).unwrap();
        writer.write(&batch.slice(0, 2)).unwrap();
        writer.write(&batch.slice(2, 5)).unwrap();
        writer.commit().unwrap();
        let (read, groups) = reader(&path);
        assert_eq!(groups, [5, 2]);
        let column = SampleColumn::open(&path, "samples").unwrap();
        assert!(column.direct());
        let mut out = vec![0.0; length];
        for (i, row) in rows.iter().enumerate() {
            column.read(i, &mut out).unwrap();
            assert!(out == *row, "row {i}");
        }
        let again: Vec<RecordBatch> = read.build().unwrap().map(|b| b.unwrap()).collect();
        let found: usize = again.iter().map(|b| b.num_rows()).sum();
        assert_eq!(found, 7);
        let first = again[0].column_by_name("samples").unwrap().as_list::<i32>();
        assert_eq!(first.value(0).len(), length);
    }

    #[test]
    fn a_row_larger_than_a_group_has_one_to_itself() {
        let fits = |sizes: &[usize], held, rows| fitting(sizes, held, rows, 100);
        assert_eq!(fits(&[101, 10], 0, 0), (1, 101));
        assert_eq!(fits(&[10, 101], 0, 0), (1, 10));
        assert_eq!(fits(&[10], 90, 3), (1, 10));
        assert_eq!(fits(&[10], 99, 3), (0, 0));
        assert_eq!(fits(&vec![0; 2 * MOST_ROWS], 0, 0), (MOST_ROWS, 0));
    }

    #[test]
    fn tables_without_waveforms_have_row_groups_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        let table = schema::table("splits").unwrap();
        let (one, _) = batch("splits", &[0]);
        let rows = 3 * MOST_ROWS + 5;
        let columns = one.columns().iter().zip(one.schema_ref().fields());
        let columns = columns.map(|(column, field)| -> arrow::array::ArrayRef {
            match field.name().as_str() {
                // Numbers that do not shrink.
                "epoch_id" => {
                    let odd = |i: u64| i.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                    let ids = (0..rows as u64).map(odd);
                    Arc::new(arrow::array::UInt64Array::from_iter_values(ids))
                }
                _ => {
                    let first = arrow::array::UInt32Array::from(vec![0; rows]);
                    arrow::compute::take(column, &first, None).unwrap()
                }
            }
        });
        let all = RecordBatch::try_new(one.schema(), columns.collect()).unwrap();
        let mut writer = ShardWriter::create(&path, table, all.schema(), 0, Vec::new()).unwrap();
        writer.limit = MOST_ROWS;
        writer.write(&all).unwrap();
        writer.commit().unwrap();
        let (read, groups) = reader(&path);
        assert_eq!(groups, [1 << 16, 1 << 16, 1 << 16, 5]);
        let schema = read.schema().clone();
        let again: Vec<RecordBatch> = read.build().unwrap().map(|b| b.unwrap()).collect();
        assert!(arrow::compute::concat_batches(&schema, &again).unwrap() == all);
    }

    #[test]
    fn rows_of_another_schema_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        let (eeg, _) = batch("eeg", &[1]);
        let (audio, _) = batch("audio", &[10]);
        let table = schema::table("eeg").unwrap();
        let mut writer =
            ShardWriter::create(&path, table, eeg.schema(), TIMES, Vec::new()).unwrap();
        let refused = writer.write(&audio).unwrap_err();
        assert!(refused.to_string().contains("another schema"));
        drop(writer);
        assert!(!path.exists());
    }
}
