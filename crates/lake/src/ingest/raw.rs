//! Columns of a query's answer, by name and cast to the type that is needed.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options, concat_batches};
use arrow::datatypes::{DataType, Float64Type, Int64Type, SchemaRef};
use arrow::util::display::FormatOptions;

use crate::{Error, Result};

/// The answer of one query.
pub(crate) struct Rows {
    dataset: String,
    query: &'static str,
    batch: RecordBatch,
}

/// A column, or nothing where the query does not have it.
pub(crate) struct Values<T> {
    column: Option<ArrayRef>,
    read: fn(&ArrayRef, usize) -> Option<T>,
}

impl<T> Values<T> {
    /// The value in a row; `None` for null and for an absent column.
    pub(crate) fn get(&self, row: usize) -> Option<T> {
        let column = self.column.as_ref()?;
        (row < column.len() && column.is_valid(row))
            .then(|| (self.read)(column, row))
            .flatten()
    }
}

impl Rows {
    pub(crate) fn new(
        dataset: &str,
        query: &'static str,
        schema: SchemaRef,
        batches: &[RecordBatch],
    ) -> Result<Self> {
        Ok(Rows {
            dataset: dataset.into(),
            query,
            batch: concat_batches(&schema, batches)?,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.batch.num_rows()
    }

    /// Names of all columns.
    pub(crate) fn names(&self) -> Vec<String> {
        self.batch
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .collect()
    }

    /// An error of this query.
    pub(crate) fn wrong(&self, message: impl Into<String>) -> Error {
        Error::Manifest {
            dataset: self.dataset.clone(),
            query: self.query,
            message: message.into(),
        }
    }

    fn column(&self, name: &str, kind: &DataType, needed: bool) -> Result<Option<ArrayRef>> {
        let Some(column) = self.batch.column_by_name(name) else {
            if !needed {
                return Ok(None);
            }
            let schema = self.batch.schema();
            let found: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
            return Err(self.wrong(format!(
                "expected a column {name}, found {}",
                found.join(", ")
            )));
        };
        // Not `safe`: text that is no number is an error, not a null.
        let options = CastOptions {
            safe: false,
            format_options: FormatOptions::default(),
        };
        let cast = cast_with_options(column, kind, &options).map_err(|e| {
            self.wrong(format!(
                "column {name}: expected {kind}, found {}: {e}",
                column.data_type()
            ))
        })?;
        Ok(Some(cast))
    }

    pub(crate) fn text(&self, name: &str) -> Result<Values<String>> {
        Ok(Values {
            column: self.column(name, &DataType::Utf8, true)?,
            read: read_text,
        })
    }

    pub(crate) fn text_or_absent(&self, name: &str) -> Result<Values<String>> {
        Ok(Values {
            column: self.column(name, &DataType::Utf8, false)?,
            read: read_text,
        })
    }

    pub(crate) fn long(&self, name: &str) -> Result<Values<i64>> {
        Ok(Values {
            column: self.column(name, &DataType::Int64, true)?,
            read: read_long,
        })
    }

    pub(crate) fn long_or_absent(&self, name: &str) -> Result<Values<i64>> {
        Ok(Values {
            column: self.column(name, &DataType::Int64, false)?,
            read: read_long,
        })
    }

    pub(crate) fn double(&self, name: &str) -> Result<Values<f64>> {
        Ok(Values {
            column: self.column(name, &DataType::Float64, true)?,
            read: read_double,
        })
    }

    pub(crate) fn double_or_absent(&self, name: &str) -> Result<Values<f64>> {
        Ok(Values {
            column: self.column(name, &DataType::Float64, false)?,
            read: read_double,
        })
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Values<bool>> {
        Ok(Values {
            column: self.column(name, &DataType::Boolean, true)?,
            read: read_flag,
        })
    }

    pub(crate) fn flag_or_absent(&self, name: &str) -> Result<Values<bool>> {
        Ok(Values {
            column: self.column(name, &DataType::Boolean, false)?,
            read: read_flag,
        })
    }
}

fn read_text(column: &ArrayRef, row: usize) -> Option<String> {
    column
        .as_string_opt::<i32>()
        .map(|c| c.value(row).to_string())
}

fn read_long(column: &ArrayRef, row: usize) -> Option<i64> {
    column.as_primitive_opt::<Int64Type>().map(|c| c.value(row))
}

fn read_double(column: &ArrayRef, row: usize) -> Option<f64> {
    column
        .as_primitive_opt::<Float64Type>()
        .map(|c| c.value(row))
}

fn read_flag(column: &ArrayRef, row: usize) -> Option<bool> {
    column.as_boolean_opt().map(|c| c.value(row))
}
