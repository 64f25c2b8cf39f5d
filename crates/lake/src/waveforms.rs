//! The bytes of a waveform column: one PLAIN page a row, in memory until its row group is written.
//!
//! Where a value stands in its list (Parquet's repetition and definition levels) follows from the
//! shape of a row alone, and rows of a shard have one shape or a few. The general writer works the
//! levels out and packs them for every value of every row, which took longer than filtering the
//! signal; here it does so once a shape, and what it made comes before each row's values, which stay
//! where they are until they are written. The files are the same, byte for byte.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Float32Array, ListArray, RecordBatch,
};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Float32Type, Schema};
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, PageType};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, OffsetIndexBuilder, PageEncodingStats};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::{FileReader, Length, SerializedFileReader};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;

use crate::pieces::Pieces;
use crate::{Error, Result};

/// A column of lists of f32, or of lists of fixed-size lists of f32.
#[derive(Debug, Clone)]
pub(crate) struct Waveforms {
    field: FieldRef,
}

impl Waveforms {
    /// None where the column is of another kind.
    pub(crate) fn of(field: &Field) -> Option<Self> {
        let fits = match field.data_type() {
            DataType::List(item) => match item.data_type() {
                DataType::Float32 => true,
                DataType::FixedSizeList(item, _) => item.data_type() == &DataType::Float32,
                _ => false,
            },
            DataType::FixedSizeList(item, _) => item.data_type() == &DataType::Float32,
            _ => false,
        };
        fits.then(|| Waveforms {
            field: Arc::new(field.clone()),
        })
    }

    /// Starts a column chunk.
    pub(crate) fn begin(&self, described: ColumnDescPtr) -> Chunk {
        Chunk {
            field: self.field.clone(),
            described,
            shapes: BTreeMap::new(),
            out: Pieces::default(),
            index: OffsetIndexBuilder::new(),
            rows: 0,
            levels: 0,
        }
    }
}

/// The column's part of a row group.
pub(crate) struct Chunk {
    field: FieldRef,
    described: ColumnDescPtr,
    /// By the number of items of a row's outer list.
    shapes: BTreeMap<usize, Head>,
    out: Pieces,
    index: OffsetIndexBuilder,
    rows: u64,
    levels: i64,
}

/// What comes before a row's values in the file: the header of its page, and the levels.
struct Head {
    bytes: Bytes,
    /// Values that the levels are of.
    count: u32,
}

impl Chunk {
    /// Adds rows, whose values are kept where they are.
    ///
    /// # Errors
    /// [`Error::Column`] for nulls.
    pub(crate) fn write(&mut self, column: &ArrayRef) -> Result<()> {
        for (items, values) in row_values(column)? {
            let head = match self.shapes.entry(items) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => new.insert(Head::of(&self.field, items)?),
            };
            let (Ok(at), Ok(size)) = (
                i64::try_from(self.out.len()),
                i32::try_from(head.bytes.len() + size_of_val(&*values)),
            ) else {
                return Err(self.wrong("a page of more than 2 GB".into()));
            };
            self.out.push(head.bytes.clone());
            self.out.push_values(values);
            self.index.append_row_count(1);
            self.index.append_offset_and_size(at, size);
            self.rows += 1;
            self.levels += i64::from(head.count);
        }
        Ok(())
    }

    fn wrong(&self, message: String) -> Error {
        wrong(self.field.name(), message)
    }

    /// The chunk's bytes, and what the footer says of them.
    pub(crate) fn close(self) -> std::result::Result<(Pieces, ColumnCloseResult), ParquetError> {
        let bytes = self.out;
        let size = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let pages = PageEncodingStats {
            page_type: PageType::DATA_PAGE,
            encoding: Encoding::PLAIN,
            count: i32::try_from(self.rows).unwrap_or(i32::MAX),
        };
        let metadata = ColumnChunkMetaData::builder(self.described)
            .set_compression(Compression::UNCOMPRESSED)
            .set_encodings(vec![Encoding::PLAIN, Encoding::RLE])
            .set_page_encoding_stats(vec![pages])
            .set_total_compressed_size(size)
            .set_total_uncompressed_size(size)
            .set_num_values(self.levels)
            .set_data_page_offset(0)
            .build()?;
        let closed = ColumnCloseResult {
            bytes_written: size.unsigned_abs(),
            rows_written: self.rows,
            metadata,
            bloom_filter: None,
            column_index: None,
            offset_index: Some(self.index.build()),
        };
        Ok((bytes, closed))
    }
}

impl Head {
    /// That of a row of `items` items, out of a page that the general writer makes of such a row.
    fn of(field: &FieldRef, items: usize) -> Result<Head> {
        let column = zeros(field, items)?;
        let (_, values) = row_values(&column)?.pop().unwrap_or_default();
        let size = size_of_val(&*values);
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_compression(Compression::UNCOMPRESSED)
            .set_statistics_enabled(EnabledStatistics::None)
            .set_data_page_size_limit(usize::MAX)
            .set_data_page_row_count_limit(usize::MAX)
            .build();
        let schema = Arc::new(Schema::new(vec![field.clone()]));
        let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))?;
        writer.write(&RecordBatch::try_new(schema, vec![column.clone()])?)?;
        let file = SerializedFileReader::new(Bytes::from(writer.into_inner()?))?;
        let mut pages = file.get_row_group(0)?.get_column_page_reader(0)?;
        let (first, second) = (pages.get_next_page()?, pages.get_next_page()?);
        let (
            Some(Page::DataPage {
                buf, num_values, ..
            }),
            None,
        ) = (first, second)
        else {
            return Err(wrong(field.name(), "expected one page for one row".into()));
        };
        let page = Page::DataPage {
            buf: buf.clone(),
            num_values,
            encoding: Encoding::PLAIN,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        // The header says sizes and counts alone, so it is that of every row of this shape.
        let mut out = TrackedWrite::new(Vec::new());
        SerializedPageWriter::new(&mut out).write_page(CompressedPage::new(page, buf.len()))?;
        let bytes = Bytes::from(out.into_inner()?);
        match bytes.len().checked_sub(size) {
            Some(head) if buf.len() >= size => Ok(Head {
                bytes: Bytes::copy_from_slice(&bytes.slice(..head)),
                count: num_values,
            }),
            _ => Err(wrong(
                field.name(),
                format!("expected {size} bytes in a page, found {}", buf.len()),
            )),
        }
    }
}

/// One row of `items` items, all zeros.
fn zeros(field: &FieldRef, items: usize) -> Result<ArrayRef> {
    let values = |n: usize| -> ArrayRef { Arc::new(Float32Array::from(vec![0.0; n])) };
    let fixed = |item: &FieldRef, width: i32, n: usize| -> Result<ArrayRef> {
        let wide = usize::try_from(width).unwrap_or(0);
        let array = FixedSizeListArray::try_new(item.clone(), width, values(n * wide), None)?;
        Ok(Arc::new(array))
    };
    match field.data_type() {
        DataType::FixedSizeList(item, width) => fixed(item, *width, 1),
        DataType::List(item) => {
            let inner = match item.data_type() {
                DataType::FixedSizeList(inner, width) => fixed(inner, *width, items)?,
                _ => values(items),
            };
            let offsets = OffsetBuffer::from_lengths([items]);
            Ok(Arc::new(ListArray::try_new(
                item.clone(),
                offsets,
                inner,
                None,
            )?))
        }
        other => Err(wrong(
            field.name(),
            format!("expected lists, found {other}"),
        )),
    }
}

/// The rows of a waveform column: the items of the outer list, and the values in order, shared.
///
/// # Errors
/// [`Error::Column`] for nulls, and for a column of another kind.
pub(crate) fn row_values(column: &ArrayRef) -> Result<Vec<(usize, ScalarBuffer<f32>)>> {
    let fault = |message: &str| wrong("of waveforms", message.into());
    if column.null_count() > 0 {
        return Err(fault("expected no nulls"));
    }
    let (offsets, items): (Vec<usize>, &ArrayRef) = match column.data_type() {
        DataType::FixedSizeList(_, width) => {
            let width = usize::try_from(*width).unwrap_or(0);
            let list = column.as_fixed_size_list();
            let offsets = (0..=list.len()).map(|i| i * width).collect();
            (offsets, list.values())
        }
        DataType::List(_) => {
            let list = column.as_list::<i32>();
            let offsets = list.offsets().iter();
            let offsets = offsets.map(|o| usize::try_from(*o).unwrap_or(0)).collect();
            (offsets, list.values())
        }
        other => return Err(fault(&format!("expected lists, found {other}"))),
    };
    let (values, width) = match items.as_fixed_size_list_opt() {
        Some(inner) if items.null_count() == 0 => (
            inner.values(),
            usize::try_from(inner.value_length()).unwrap_or(0),
        ),
        Some(_) => return Err(fault("expected no nulls")),
        None => (items, 1),
    };
    let values = match values.as_primitive_opt::<Float32Type>() {
        Some(floats) if floats.null_count() == 0 => floats.values(),
        _ => return Err(fault("expected f32 without nulls")),
    };
    offsets
        .windows(2)
        .map(|bounds| {
            let &[start, end] = bounds else {
                return Err(fault("expected bounds"));
            };
            let (at, len) = (start * width, (end - start) * width);
            if values.get(at..at + len).is_none() {
                return Err(fault("expected offsets within the values"));
            }
            Ok((end - start, values.slice(at, len)))
        })
        .collect()
}

fn wrong(column: &str, message: String) -> Error {
    Error::Column {
        table: "shard".into(),
        column: column.into(),
        message,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A column of rows with these many items, of values that differ, and the values.
    pub(crate) fn column(field: &FieldRef, items: &[usize]) -> (ArrayRef, Vec<Vec<f32>>) {
        let DataType::List(item) = field.data_type() else {
            panic!("{field}")
        };
        let width = match item.data_type() {
            DataType::FixedSizeList(_, width) => *width as usize,
            _ => 1,
        };
        let mut rows = Vec::new();
        for (i, n) in items.iter().enumerate() {
            rows.push((0..n * width).map(|k| (i * 100_000 + k) as f32).collect());
        }
        let values: ArrayRef = Arc::new(Float32Array::from(rows.concat()));
        let inner: ArrayRef = match item.data_type() {
            DataType::FixedSizeList(inner, width) => {
                Arc::new(FixedSizeListArray::new(inner.clone(), *width, values, None))
            }
            _ => values,
        };
        let offsets = OffsetBuffer::from_lengths(items.iter().copied());
        (
            Arc::new(ListArray::new(item.clone(), offsets, inner, None)),
            rows,
        )
    }

    fn lists(inner: DataType) -> FieldRef {
        Arc::new(Field::new(
            "x",
            DataType::List(Arc::new(Field::new("item", inner, false))),
            false,
        ))
    }

    fn fixed(width: i32) -> DataType {
        DataType::FixedSizeList(
            Arc::new(Field::new("item", DataType::Float32, false)),
            width,
        )
    }

    #[test]
    fn rows_of_slices_are_their_own() {
        for (field, width) in [(lists(DataType::Float32), 1), (lists(fixed(3)), 3)] {
            let (all, rows) = column(&field, &[2, 0, 5, 1]);
            let found = row_values(&all).unwrap();
            assert_eq!(found.len(), 4);
            let part = all.slice(1, 2);
            let found = row_values(&part).unwrap();
            assert_eq!((found[0].0, found[0].1.len()), (0, 0));
            assert_eq!((found[1].0, found[1].1.len()), (5, 5 * width));
            assert_eq!(found[1].1[..], rows[2]);
        }
        let plain: ArrayRef = Arc::new(FixedSizeListArray::new(
            Arc::new(Field::new("item", DataType::Float32, false)),
            2,
            Arc::new(Float32Array::from(vec![1.0, 2.0, 3.0, 4.0])),
            None,
        ));
        let found = row_values(&plain.slice(1, 1)).unwrap();
        assert_eq!((found[0].0, &found[0].1[..]), (2, &[3.0, 4.0][..]));
    }

    #[test]
    fn nulls_and_other_kinds_are_refused() {
        let with_null: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>([
            Some([Some(1.0)]),
            None,
        ]));
        assert!(row_values(&with_null).is_err());
        let inside: ArrayRef =
            Arc::new(ListArray::from_iter_primitive::<Float32Type, _, _>([Some(
                [Some(1.0), None],
            )]));
        assert!(row_values(&inside).is_err());
        let numbers: ArrayRef = Arc::new(Float32Array::from(vec![1.0]));
        assert!(row_values(&numbers).is_err());
        assert!(Waveforms::of(&Field::new("x", DataType::Float32, false)).is_none());
        assert!(Waveforms::of(&lists(DataType::Float64)).is_none());
    }
}
