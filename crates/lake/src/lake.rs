//! The lake as a folder: its marker file, its tables' folders, whole-partition writes.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::prelude::SessionContext;

use crate::schema::{self, Table};
use crate::shard::ShardWriter;
use crate::{Error, Result, commit, session};

/// Version of the folder layout, in `mmpipe-lake.json`.
pub const FORMAT_VERSION: u32 = 2;

const MARKER: &str = "mmpipe-lake.json";

/// A folder of tables. Cheap to clone; holds no file open.
#[derive(Debug, Clone)]
pub struct Lake {
    root: PathBuf,
}

impl Lake {
    /// Opens the lake at `root`, making an empty one when there is none.
    ///
    /// # Errors
    /// [`Error::FormatVersion`] and [`Error::Marker`] for a lake that this version cannot
    /// read, [`Error::Io`] when the folder cannot be made or is a file.
    pub fn create_or_open(root: &Path) -> Result<Lake> {
        match Lake::open(root) {
            Err(Error::NotALake(_)) => {}
            other => return other,
        }
        fs::create_dir_all(root).map_err(Error::io("create lake folder", root))?;
        let text = format!("{{\n  \"format_version\": {FORMAT_VERSION}\n}}\n");
        let marker = root.join(MARKER);
        commit::sweep_beside(&marker)?;
        commit::write_bytes(&marker, text.as_bytes())?;
        Lake::open(root)
    }

    /// Opens the lake at `root`.
    ///
    /// # Errors
    /// [`Error::NotALake`] when the folder or its marker is missing, otherwise as
    /// [`Lake::create_or_open`].
    pub fn open(root: &Path) -> Result<Lake> {
        let marker = root.join(MARKER);
        let text = match fs::read_to_string(&marker) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NotALake(root.to_path_buf()));
            }
            Err(e) => return Err(Error::io("read", &marker)(e)),
        };
        let bad = |message: String| Error::Marker {
            path: marker.clone(),
            message,
        };
        let value: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| bad(e.to_string()))?;
        let found = value
            .get("format_version")
            .ok_or_else(|| bad("the key is missing".into()))?;
        if found.as_u64() != Some(u64::from(FORMAT_VERSION)) {
            return Err(Error::FormatVersion {
                path: marker,
                found: found.to_string(),
                known: FORMAT_VERSION,
            });
        }
        // Absolute, because the query engine addresses files by URL.
        let root = fs::canonicalize(root).map_err(Error::io("resolve", root))?;
        Ok(Lake { root })
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The Arrow schema of a table as this lake holds it.
    ///
    /// # Errors
    /// [`Error::UnknownTable`].
    pub fn schema(&self, table: &str) -> Result<SchemaRef> {
        schema::table(table)?.arrow(self.times()?)
    }

    /// A fresh session with every table, view and function of the lake.
    ///
    /// # Errors
    /// [`Error::Query`] when a table cannot be registered.
    pub async fn context(&self) -> Result<SessionContext> {
        session::context(self)
    }

    /// Runs one query and collects its rows.
    ///
    /// # Errors
    /// [`Error::Query`] with the planner's or the reader's message.
    pub async fn query(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        Ok(self.context().await?.sql(sql).await?.collect().await?)
    }

    /// The folder of one partition of a table.
    ///
    /// # Errors
    /// [`Error::Partition`] when the keys are not the table's, [`Error::UnknownTable`].
    pub fn partition_dir(&self, table: &str, partition: &[(&str, &str)]) -> Result<PathBuf> {
        let described = schema::table(table)?;
        let keys: Vec<&str> = partition.iter().map(|(k, _)| *k).collect();
        if keys.iter().ne(described.partition.iter()) {
            return Err(Error::Partition {
                table: table.into(),
                expected: described.partition.join(", "),
                found: keys.join(", "),
            });
        }
        Ok(partition.iter().fold(self.root.join(table), |dir, (k, v)| {
            dir.join(format!("{k}={}", path_value(v)))
        }))
    }

    /// Samples an epoch in this lake: the width of the first shard found, else
    /// [`schema::DEFAULT_TIMES`].
    fn times(&self) -> Result<usize> {
        let Some(path) = first_shard(&self.root.join("eeg"))? else {
            return Ok(schema::DEFAULT_TIMES);
        };
        let file = fs::File::open(&path).map_err(Error::io("open", &path))?;
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file)
            .map_err(|e| Error::Layout {
            path: path.clone(),
            message: format!("not a readable Parquet file: {e}"),
        })?;
        match reader
            .schema()
            .field_with_name("eeg")
            .map(|f| f.data_type().clone())
        {
            Ok(DataType::List(item)) => match item.data_type() {
                DataType::FixedSizeList(_, n) => Ok(*n as usize),
                other => Err(Error::Layout {
                    path,
                    message: format!("expected lists of fixed-size lists in eeg, found {other}"),
                }),
            },
            other => Err(Error::Layout {
                path,
                message: format!("expected a list in column eeg, found {other:?}"),
            }),
        }
    }
}

/// The first `.parquet` file below a folder, by name, without listing all of them.
fn first_shard(folder: &Path) -> Result<Option<PathBuf>> {
    let mut names = match fs::read_dir(folder) {
        Ok(entries) => entries
            .map(|e| e.map(|e| e.path()))
            .collect::<std::io::Result<Vec<_>>>()
            .map_err(Error::io("list", folder))?,
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(Error::io("list", folder)(e)),
    };
    names.sort();
    for path in names {
        if path.extension().is_some_and(|e| e == "parquet") && path.is_file() {
            return Ok(Some(path));
        }
        if path.is_dir()
            && let Some(found) = first_shard(&path)?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A value as it stands in a folder or file name: letters, digits, `.`, `_`, `-` and `@` stay;
/// anything else becomes `_` and a hash of the whole value is added, so that two values never
/// share a name. The value itself is in the rows.
pub(crate) fn path_value(value: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    let plain = !value.is_empty()
        && value.len() <= 100
        && !value.starts_with('.')
        && value.chars().all(safe);
    if plain {
        return value.to_string();
    }
    let text: String = value
        .chars()
        .take(60)
        .map(|c| if safe(c) { c } else { '_' })
        .collect();
    let hash = xxhash_rust::xxh3::xxh3_64(value.as_bytes());
    format!("{}-{:08x}", text.trim_start_matches('.'), hash >> 32)
}

/// Replaces one partition of a table by `batches`, atomically. Columns are matched by name and
/// cast where that loses nothing by type; a nullable column may be left out. For the small
/// tables (`splits`, `predictions`, `recordings`, `stimuli`): one file a partition.
///
/// # Errors
/// [`Error::Column`] when the rows do not fit the table, [`Error::Partition`] when the keys
/// are not the table's, [`Error::Io`] when the file cannot be written.
pub fn write_table(
    lake: &Lake,
    table: &str,
    partition: &[(&str, &str)],
    batches: &[RecordBatch],
) -> Result<PathBuf> {
    let described = schema::table(table)?;
    write_table_file(lake, described, partition, "part-0", batches)
}

/// As [`write_table`], to the file `name` of the partition.
pub(crate) fn write_table_file(
    lake: &Lake,
    table: &Table,
    partition: &[(&str, &str)],
    name: &str,
    batches: &[RecordBatch],
) -> Result<PathBuf> {
    let path = lake
        .partition_dir(&table.name, partition)?
        .join(format!("{name}.parquet"));
    let schema = table.arrow(lake.times()?)?;
    let conformed = batches
        .iter()
        .map(|b| conform(table, &schema, b))
        .collect::<Result<Vec<_>>>()?;
    let batch = concat_batches(&schema, &conformed)?;
    check_partition(table, &batch, partition)?;
    let mut writer = ShardWriter::create(&path, table, schema, 0, Vec::new())?;
    writer.write(&batch)?;
    writer.commit()
}

/// Removes one partition of a table. Returns whether there was one.
///
/// # Errors
/// [`Error::Partition`], [`Error::UnknownTable`], [`Error::Io`].
pub fn remove_partition(lake: &Lake, table: &str, partition: &[(&str, &str)]) -> Result<bool> {
    let dir = lake.partition_dir(table, partition)?;
    match fs::remove_dir_all(&dir) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io("remove", &dir)(e)),
    }
}

/// Brings a batch to the columns of a table.
fn conform(table: &Table, schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let wrong = |column: &str, message: String| Error::Column {
        table: table.name.clone(),
        column: column.into(),
        message,
    };
    if let Some(extra) = batch
        .schema()
        .fields()
        .iter()
        .find(|f| schema.field_with_name(f.name()).is_err())
    {
        return Err(wrong(extra.name(), "the table has no such column".into()));
    }
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = match batch.column_by_name(field.name()) {
            None if field.is_nullable() => new_null_array(field.data_type(), batch.num_rows()),
            None => {
                return Err(wrong(
                    field.name(),
                    "expected, but not among the rows' columns".into(),
                ));
            }
            Some(column) if column.data_type() == field.data_type() => column.clone(),
            Some(column) => {
                let cast = cast(column, field.data_type()).map_err(|e| {
                    wrong(
                        field.name(),
                        format!(
                            "expected {}, found {}: {e}",
                            field.data_type(),
                            column.data_type()
                        ),
                    )
                })?;
                // A cast that does not fit gives null: loss, not conversion.
                if cast.logical_null_count() != column.logical_null_count() {
                    return Err(wrong(
                        field.name(),
                        format!("a value does not fit {}", field.data_type()),
                    ));
                }
                cast
            }
        };
        if !field.is_nullable() && column.logical_null_count() > 0 {
            return Err(wrong(
                field.name(),
                format!(
                    "{} nulls in a column without nulls",
                    column.logical_null_count()
                ),
            ));
        }
        columns.push(column);
    }
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// The partition's values must be what its rows say.
fn check_partition(table: &Table, batch: &RecordBatch, partition: &[(&str, &str)]) -> Result<()> {
    for (key, value) in partition {
        let Some(column) = batch
            .column_by_name(key)
            .and_then(|c| c.as_string_opt::<i32>())
        else {
            continue;
        };
        if let Some(other) = column.iter().find(|v| *v != Some(*value)) {
            return Err(Error::Column {
                table: table.name.clone(),
                column: (*key).into(),
                message: format!(
                    "expected {value:?} in every row of this partition, found {other:?}"
                ),
            });
        }
    }
    Ok(())
}
