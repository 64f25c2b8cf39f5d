//! Rows to Arrow tables.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array};
use arrow::array::{RecordBatchOptions, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::record_batch::RecordBatch;

use crate::{Error, Result};

/// A table of nullable columns, put together column by column.
pub(super) struct Columns {
    table: String,
    rows: usize,
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
}

impl Columns {
    /// An empty table that will have `rows` rows.
    pub(super) fn new(table: &str, rows: usize) -> Self {
        Self {
            table: table.to_owned(),
            rows,
            fields: Vec::new(),
            arrays: Vec::new(),
        }
    }

    fn push(mut self, name: &str, kind: DataType, array: ArrayRef) -> Self {
        self.fields.push(Field::new(name, kind, true));
        self.arrays.push(array);
        self
    }

    /// A text column.
    pub(super) fn text<S: AsRef<str>>(
        self,
        name: &str,
        values: impl Iterator<Item = Option<S>>,
    ) -> Self {
        let array: StringArray = values.collect();
        self.push(name, DataType::Utf8, Arc::new(array))
    }

    /// A column of numbers.
    pub(super) fn f64(self, name: &str, values: impl Iterator<Item = Option<f64>>) -> Self {
        let array: Float64Array = values.collect();
        self.push(name, DataType::Float64, Arc::new(array))
    }

    /// A column of small numbers.
    pub(super) fn f32(self, name: &str, values: impl Iterator<Item = Option<f32>>) -> Self {
        let array: Float32Array = values.collect();
        self.push(name, DataType::Float32, Arc::new(array))
    }

    /// A column of integers.
    pub(super) fn i64(self, name: &str, values: impl Iterator<Item = Option<i64>>) -> Self {
        let array: Int64Array = values.collect();
        self.push(name, DataType::Int64, Arc::new(array))
    }

    /// A column of small integers.
    pub(super) fn i32(self, name: &str, values: impl Iterator<Item = Option<i32>>) -> Self {
        let array: Int32Array = values.collect();
        self.push(name, DataType::Int32, Arc::new(array))
    }

    /// A column of truth values.
    pub(super) fn bool(self, name: &str, values: impl Iterator<Item = Option<bool>>) -> Self {
        let array: BooleanArray = values.collect();
        self.push(name, DataType::Boolean, Arc::new(array))
    }

    /// The table.
    pub(super) fn finish(self) -> Result<(String, RecordBatch)> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let schema = Arc::new(Schema::new(self.fields));
        match RecordBatch::try_new_with_options(schema, self.arrays, &options) {
            Ok(batch) => Ok((self.table, batch)),
            Err(source) => Err(Error::Table {
                table: self.table,
                source,
            }),
        }
    }
}

/// Rows of text with columns that are found while reading.
#[derive(Debug, Default)]
pub(super) struct TextTable {
    columns: Vec<String>,
    rows: Vec<BTreeMap<usize, String>>,
}

impl TextTable {
    /// A table that has these columns even without rows.
    pub(super) fn with_columns<S: AsRef<str>>(columns: &[S]) -> Self {
        Self {
            columns: columns.iter().map(|c| c.as_ref().to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; a column met for the first time is added at the end.
    pub(super) fn push<S: Into<String>>(
        &mut self,
        cells: impl IntoIterator<Item = (S, Option<String>)>,
    ) {
        let mut row = BTreeMap::new();
        for (column, value) in cells {
            let index = self.column(&column.into());
            if let Some(value) = value {
                row.insert(index, value);
            }
        }
        self.rows.push(row);
    }

    /// The index of a column; one met for the first time is added at the end.
    pub(super) fn column(&mut self, name: &str) -> usize {
        if let Some(index) = self.columns.iter().position(|c| c == name) {
            return index;
        }
        self.columns.push(name.to_owned());
        self.columns.len() - 1
    }

    /// Adds a row of cells by the indices of their columns.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = (usize, String)>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The columns so far.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The values of column `index`.
    pub(super) fn values(&self, index: usize) -> impl Iterator<Item = Option<&str>> {
        self.rows
            .iter()
            .map(move |r| r.get(&index).map(String::as_str))
    }

    /// As an Arrow table.
    pub(super) fn finish(self, table: &str) -> Result<(String, RecordBatch)> {
        self.finish_counted(table, "")
    }

    /// As an Arrow table in which the column `counter` is whole numbers.
    pub(super) fn finish_counted(
        self,
        table: &str,
        counter: &str,
    ) -> Result<(String, RecordBatch)> {
        let mut out = Columns::new(table, self.rows.len());
        for (index, column) in self.columns.iter().enumerate() {
            let values = self.values(index);
            out = match column == counter {
                true => out.i64(column, values.map(|v| v?.parse().ok())),
                false => out.text(column, values),
            };
        }
        out.finish()
    }
}

/// A text column out of a field of every item.
pub(super) fn each<'a, T>(
    items: &'a [T],
    get: impl Fn(&'a T) -> &'a String + 'a,
) -> impl Iterator<Item = Option<&'a String>> {
    items.iter().map(move |i| Some(get(i)))
}
