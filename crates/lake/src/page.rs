//! One row of a waveform column: one page of a mapped shard.
//!
//! The column is PLAIN and uncompressed with one data page a row (see [`crate::layout`]), so the
//! offset index leads to a page whose body is the levels and then the row's samples, contiguous
//! and little-endian. Reading a row copies them out and touches nothing else. A file that is
//! laid out otherwise (rewritten by another program, say) is read through Arrow instead: slower,
//! with the same result.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::Float32Type;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
    RowSelector,
};
use parquet::basic::{Compression, Encoding, Type};
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader,
};
use parquet::file::page_index::offset_index::PageLocation;
use parquet::file::serialized_reader::SerializedPageReader;

use crate::{Error, Result, mapped};

/// A waveform column of one shard, mapped, open for reading rows in any order from any thread.
#[derive(Debug)]
pub struct SampleColumn {
    path: PathBuf,
    column: String,
    file: Arc<Bytes>,
    door: Door,
    max_rep: i16,
    max_def: i16,
}

/// How rows are reached.
#[derive(Debug)]
enum Door {
    /// One page a row.
    Pages(Vec<Group>),
    /// The file is laid out otherwise.
    Arrow(Box<ArrowReaderMetadata>),
}

#[derive(Debug)]
struct Group {
    first_row: usize,
    chunk: ColumnChunkMetaData,
    pages: Vec<PageLocation>,
}

impl SampleColumn {
    /// Opens column `column` of the shard at `path`.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Layout`] when it is no Parquet file or has no such column.
    pub fn open(path: &Path, column: &str) -> Result<Self> {
        let file = mapped::map(path)?;
        let wrong = |message: String| Error::Layout {
            path: path.to_path_buf(),
            message,
        };
        let metadata = ParquetMetaDataReader::new()
            .with_offset_index_policy(PageIndexPolicy::Optional)
            .with_column_index_policy(PageIndexPolicy::Skip)
            .parse_and_finish(&file)
            .map_err(|e| wrong(format!("not a readable Parquet file: {e}")))?;
        let schema = metadata.file_metadata().schema_descr();
        let leaf = (0..schema.num_columns())
            .find(|&i| {
                schema
                    .column(i)
                    .path()
                    .parts()
                    .first()
                    .is_some_and(|p| p == column)
            })
            .ok_or_else(|| wrong(format!("expected a column {column}")))?;
        let described = schema.column(leaf);
        Ok(SampleColumn {
            path: path.to_path_buf(),
            column: column.into(),
            max_rep: described.max_rep_level(),
            max_def: described.max_def_level(),
            door: match page_per_row(&metadata, leaf) {
                Some(groups) => Door::Pages(groups),
                None => Door::Arrow(Box::new(ArrowReaderMetadata::try_new(
                    Arc::new(metadata),
                    ArrowReaderOptions::new(),
                )?)),
            },
            file: Arc::new(file),
        })
    }

    /// Whether a row is one page, read without Arrow.
    pub fn direct(&self) -> bool {
        matches!(self.door, Door::Pages(_))
    }

    /// Copies the samples of row `row` to `out`, which must have their number.
    ///
    /// # Errors
    /// [`Error::Layout`] when there is no such row, it has another number of samples, or the
    /// file is damaged.
    pub fn read(&self, row: usize, out: &mut [f32]) -> Result<()> {
        match &self.door {
            Door::Pages(groups) => self.read_page(groups, row, out),
            Door::Arrow(metadata) => self.read_arrow(metadata, row, out),
        }
    }

    fn wrong(&self, message: String) -> Error {
        Error::Layout {
            path: self.path.clone(),
            message: format!("column {}: {message}", self.column),
        }
    }

    fn read_page(&self, groups: &[Group], row: usize, out: &mut [f32]) -> Result<()> {
        let g = groups
            .partition_point(|g| g.first_row <= row)
            .wrapping_sub(1);
        let group = groups
            .get(g)
            .ok_or_else(|| self.wrong(format!("row {row} does not exist")))?;
        let page = row - group.first_row;
        let (Some(first), Some(wanted)) = (group.pages.first(), group.pages.get(page)) else {
            return Err(self.wrong(format!("row {row} does not exist")));
        };
        // The reader takes what lies before the first page it is given for a dictionary, so it
        // is given the chunk's first page too, to skip.
        let locations = if page == 0 {
            vec![first.clone()]
        } else {
            vec![first.clone(), wanted.clone()]
        };
        let mut reader = SerializedPageReader::new(
            self.file.clone(),
            &group.chunk,
            group.pages.len(),
            Some(locations),
        )?;
        if page > 0 {
            reader.skip_next_page()?;
        }
        let page = reader
            .get_next_page()?
            .ok_or_else(|| self.wrong(format!("row {row}: the page is missing")))?;
        let samples = self
            .samples(&page)
            .ok_or_else(|| self.wrong(format!("row {row}: expected a plain data page")))?;
        if samples.len() != size_of_val(out) {
            return Err(self.wrong(format!(
                "row {row}: expected {} samples, found {} bytes",
                out.len(),
                samples.len()
            )));
        }
        copy_le(samples, out);
        Ok(())
    }

    /// The bytes behind a page's levels; `None` when the page is of another kind.
    fn samples<'a>(&self, page: &'a Page) -> Option<&'a [u8]> {
        match page {
            Page::DataPage {
                buf,
                encoding: Encoding::PLAIN,
                ..
            } => {
                let mut rest: &[u8] = buf;
                for level in [self.max_rep, self.max_def] {
                    if level > 0 {
                        let (length, body) = rest.split_first_chunk::<4>()?;
                        rest = body.get(usize::try_from(u32::from_le_bytes(*length)).ok()?..)?;
                    }
                }
                Some(rest)
            }
            Page::DataPageV2 {
                buf,
                encoding: Encoding::PLAIN,
                rep_levels_byte_len,
                def_levels_byte_len,
                ..
            } => {
                let levels = rep_levels_byte_len.checked_add(*def_levels_byte_len)?;
                buf.get(usize::try_from(levels).ok()?..)
            }
            _ => None,
        }
    }

    fn read_arrow(
        &self,
        metadata: &ArrowReaderMetadata,
        row: usize,
        out: &mut [f32],
    ) -> Result<()> {
        let rows = metadata.metadata().file_metadata().num_rows();
        if i64::try_from(row).map_or(true, |row| row >= rows) {
            return Err(self.wrong(format!("row {row} does not exist")));
        }
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            Bytes::clone(&self.file),
            metadata.clone(),
        );
        let mask = ProjectionMask::columns(builder.parquet_schema(), [self.column.as_str()]);
        let selection = RowSelection::from(vec![RowSelector::skip(row), RowSelector::select(1)]);
        let mut reader = builder
            .with_projection(mask)
            .with_row_selection(selection)
            .build()?;
        let batch = reader
            .next()
            .transpose()?
            .ok_or_else(|| self.wrong(format!("row {row} does not exist")))?;
        let samples = batch
            .columns()
            .first()
            .and_then(flat)
            .ok_or_else(|| self.wrong("expected lists of f32 without nulls".into()))?;
        let samples = samples.as_primitive::<Float32Type>().values();
        if samples.len() != out.len() {
            return Err(self.wrong(format!(
                "row {row}: expected {} samples, found {}",
                out.len(),
                samples.len()
            )));
        }
        out.copy_from_slice(samples);
        Ok(())
    }
}

/// The pages of the leaf column, if every one holds exactly one row.
fn page_per_row(metadata: &ParquetMetaData, leaf: usize) -> Option<Vec<Group>> {
    let index = metadata.offset_index()?;
    let mut first_row = 0;
    let mut groups = Vec::with_capacity(metadata.num_row_groups());
    for (g, group) in metadata.row_groups().iter().enumerate() {
        let chunk = group.columns().get(leaf)?;
        let pages = index.get(g)?.get(leaf)?.page_locations();
        let rows = usize::try_from(group.num_rows()).ok()?;
        let one_each = pages.len() == rows
            && pages
                .iter()
                .enumerate()
                .all(|(i, p)| usize::try_from(p.first_row_index).is_ok_and(|r| r == i));
        // The first page of a chunk without a dictionary starts it.
        let starts = pages
            .first()
            .is_none_or(|p| u64::try_from(p.offset).is_ok_and(|o| o == chunk.byte_range().0));
        let plain = chunk
            .encodings()
            .all(|e| matches!(e, Encoding::PLAIN | Encoding::RLE));
        if !plain
            || chunk.compression() != Compression::UNCOMPRESSED
            || chunk.column_type() != Type::FLOAT
            || !one_each
            || !starts
        {
            return None;
        }
        groups.push(Group {
            first_row,
            chunk: chunk.clone(),
            pages: pages.clone(),
        });
        first_row += rows;
    }
    Some(groups)
}

fn copy_le(bytes: &[u8], out: &mut [f32]) {
    if cfg!(target_endian = "little") {
        bytemuck::cast_slice_mut::<f32, u8>(out).copy_from_slice(bytes);
    } else {
        for (to, from) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *to = f32::from_le_bytes(*from);
        }
    }
}

/// The innermost values below nested lists of one row.
fn flat(array: &ArrayRef) -> Option<ArrayRef> {
    let mut array = array.clone();
    loop {
        if array.null_count() > 0 {
            return None;
        }
        array = if let Some(list) = array.as_list_opt::<i32>() {
            let (start, end) = (*list.offsets().first()?, *list.offsets().last()?);
            list.values().slice(
                usize::try_from(start).ok()?,
                usize::try_from(end - start).ok()?,
            )
        } else if let Some(list) = array.as_fixed_size_list_opt() {
            list.values().clone()
        } else {
            return array
                .as_primitive_opt::<Float32Type>()
                .is_some()
                .then_some(array);
        };
    }
}

/// The columns `names` of a shard, whole, in row order: for keys, not for waveforms.
pub(crate) fn key_columns(path: &Path, names: &[&str]) -> Result<Vec<arrow::array::RecordBatch>> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let broken = |e: String| Error::Layout {
        path: path.to_path_buf(),
        message: format!("not a readable Parquet file: {e}"),
    };
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| broken(e.to_string()))?;
    let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
    let reader = builder
        .with_projection(mask)
        .build()
        .map_err(|e| broken(e.to_string()))?;
    reader
        .map(|b| b.map_err(|e| broken(e.to_string())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema;
    use arrow::array::{FixedSizeListArray, Float32Array, ListArray, RecordBatch};
    use arrow::buffer::OffsetBuffer;
    use arrow::datatypes::{Field, Schema};
    use parquet::arrow::ArrowWriter;
    use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};

    const TIMES: usize = 50;

    /// Row i has i % 3 + 1 channels of known samples.
    fn batch() -> (RecordBatch, Vec<Vec<f32>>) {
        let rows: Vec<Vec<f32>> = (0..11)
            .map(|i| {
                (0..(i % 3 + 1) * TIMES)
                    .map(|k| (i * 1000 + k) as f32)
                    .collect()
            })
            .collect();
        let kind = schema::table("eeg")
            .unwrap()
            .arrow(TIMES)
            .unwrap()
            .field_with_name("eeg")
            .unwrap()
            .clone();
        let arrow::datatypes::DataType::List(item) = kind.data_type().clone() else {
            panic!()
        };
        let inner = Arc::new(Field::new(
            "item",
            arrow::datatypes::DataType::Float32,
            false,
        ));
        let values = Arc::new(Float32Array::from(rows.concat()));
        let lists = FixedSizeListArray::new(inner, TIMES as i32, values, None);
        let lengths = rows.iter().map(|r| r.len() / TIMES);
        let list = ListArray::new(
            item,
            OffsetBuffer::from_lengths(lengths),
            Arc::new(lists),
            None,
        );
        (
            RecordBatch::try_new(Arc::new(Schema::new(vec![kind])), vec![Arc::new(list)]).unwrap(),
            rows,
        )
    }

    fn written(properties: WriterProperties) -> (tempfile::TempDir, SampleColumn, Vec<Vec<f32>>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        let (batch, rows) = batch();
        let mut writer = ArrowWriter::try_new(
            File::create(&path).unwrap(),
            batch.schema(),
            Some(properties),
        )
        .unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let column = SampleColumn::open(&path, "eeg").unwrap();
        (dir, column, rows)
    }

    fn plain() -> parquet::file::properties::WriterPropertiesBuilder {
        WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_write_batch_size(TIMES)
            .set_data_page_size_limit(1)
            .set_max_row_group_row_count(Some(4))
    }

    fn check(column: &SampleColumn, rows: &[Vec<f32>]) {
        for i in [10, 0, 3, 4, 7, 8, 1, 2, 5, 6, 9] {
            let mut out = vec![0.0; rows[i].len()];
            column.read(i, &mut out).unwrap();
            assert_eq!(out, rows[i], "row {i}");
            assert!(matches!(
                column.read(i, &mut out[1..]),
                Err(Error::Layout { .. })
            ));
        }
        assert!(matches!(
            column.read(11, &mut [0.0]),
            Err(Error::Layout { .. })
        ));
    }

    #[test]
    fn rows_come_from_their_pages_in_every_row_group_and_page_version() {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            let (_dir, column, rows) = written(plain().set_writer_version(version).build());
            assert!(column.direct());
            check(&column, &rows);
        }
    }

    #[test]
    fn a_file_laid_out_otherwise_reads_the_same() {
        let zstd = Compression::ZSTD(Default::default());
        for properties in [
            plain().set_compression(zstd).build(),
            plain().set_encoding(Encoding::BYTE_STREAM_SPLIT).build(),
            plain().set_data_page_size_limit(1 << 20).build(),
            plain().set_offset_index_disabled(true).build(),
        ] {
            let (_dir, column, rows) = written(properties);
            check(&column, &rows);
        }
    }

    #[test]
    fn a_damaged_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        assert!(matches!(
            SampleColumn::open(&path, "eeg"),
            Err(Error::Io { .. })
        ));
        std::fs::write(&path, b"PAR1 nothing of the kind PAR1").unwrap();
        assert!(matches!(
            SampleColumn::open(&path, "eeg"),
            Err(Error::Layout { .. })
        ));
    }
}
