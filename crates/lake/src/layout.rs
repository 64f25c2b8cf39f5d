//! How a table lies in Parquet. The measurement behind it is in the crate's README.
//!
//! Waveform columns: PLAIN, uncompressed, no dictionary, no statistics, one data page a row,
//! so that the offset index leads a random reader to exactly one row. All other columns: zstd,
//! dictionary and statistics, in pages of usual size. Row groups are cut by bytes because a
//! row of `eeg` is about 100 kB.
//!
//! Owns the settings. Does not own the writing (`crate::shard`, `crate::waveforms`) or the reading
//! (`crate::page`).

use arrow::datatypes::{DataType, Field, SchemaRef};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

pub use crate::page::SampleColumn;

use crate::schema::Table;

/// Bytes at which a row group ends.
pub const ROW_GROUP_BYTES: usize = 64 << 20;

/// Written as `created_by`: constant, so that equal input gives equal bytes.
const CREATED_BY: &str = concat!("mmpipe-lake version ", env!("CARGO_PKG_VERSION"));

/// The writer settings of `table`; `levels` is the number of samples in one row of its
/// waveform column (rows must not be shorter), 0 for a table without one.
pub(crate) fn properties(
    table: &Table,
    schema: &SchemaRef,
    levels: usize,
    notes: Vec<KeyValue>,
) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_created_by(CREATED_BY.into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(None)
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_key_value_metadata((!notes.is_empty()).then_some(notes));
    if levels > 0 {
        // A page is closed between mini-batches, and a mini-batch is at least this many
        // levels rounded up to whole rows: never more than a row's levels, or two rows
        // would share a page.
        builder = builder.set_write_batch_size(levels);
    }
    for name in table.sample_columns() {
        let Ok(field) = schema.field_with_name(name) else {
            continue;
        };
        let path = leaf_path(field);
        builder = builder
            .set_column_encoding(path.clone(), Encoding::PLAIN)
            .set_column_compression(path.clone(), Compression::UNCOMPRESSED)
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
            .set_column_data_page_size_limit(path, 1);
    }
    builder.build()
}

/// Path of the one leaf below a column of nested lists.
pub(crate) fn leaf_path(field: &Field) -> ColumnPath {
    let mut parts = vec![field.name().clone()];
    let mut kind = field.data_type();
    while let DataType::List(item) | DataType::FixedSizeList(item, _) = kind {
        parts.push("list".into());
        parts.push(item.name().clone());
        kind = item.data_type();
    }
    ColumnPath::new(parts)
}
