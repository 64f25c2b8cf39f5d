//! The lake's tables as data: `schemas/*.toml`, parsed to Arrow schemas.
//!
//! A type is `u64`, `i32`, `i64`, `f32`, `f64`, `utf8`, `bool`, `list<T>`, `fixed<T>` or
//! `struct<name: T, ...>`; a `?` after it makes it nullable. `fixed<T>` is a fixed-size list
//! whose length is the recipe's samples an epoch and so is given when the schema is asked for.

use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use serde::Deserialize;

use crate::{Error, Result};

/// Samples an epoch of the recipe `mindmix` (2 s at 200 Hz): the width of `eeg` in a lake
/// that has no epoch yet.
pub const DEFAULT_TIMES: usize = 400;

/// A table as its schema file describes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Name in SQL and of its folder.
    pub name: String,
    /// Version of the table's columns.
    pub version: u32,
    /// Columns whose values name the folders, outermost first.
    pub partition: Vec<String>,
    /// Columns in order.
    pub columns: Vec<Column>,
}

/// A column of a [`Table`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Name.
    pub name: String,
    /// Type, in the notation of this module.
    #[serde(rename = "type")]
    pub kind: String,
    /// Meaning and unit.
    pub doc: String,
    /// Whether it holds waveforms: stored plain, one page a row, without dictionary or statistics.
    #[serde(default)]
    pub samples: bool,
}

const SOURCES: [&str; 7] = [
    include_str!("../../../schemas/eeg.toml"),
    include_str!("../../../schemas/recordings.toml"),
    include_str!("../../../schemas/stimuli.toml"),
    include_str!("../../../schemas/audio.toml"),
    include_str!("../../../schemas/audio_embeddings.toml"),
    include_str!("../../../schemas/splits.toml"),
    include_str!("../../../schemas/predictions.toml"),
];

/// All tables, in the order in which they are listed.
///
/// # Errors
/// [`Error::Schema`] when an embedded schema file is wrong, which a test rules out.
pub fn tables() -> Result<&'static [Table]> {
    static TABLES: OnceLock<std::result::Result<Vec<Table>, String>> = OnceLock::new();
    TABLES
        .get_or_init(|| {
            SOURCES
                .iter()
                .map(|text| toml::from_str(text).map_err(|e| e.to_string()))
                .collect()
        })
        .as_deref()
        .map_err(|message| Error::Schema {
            table: "(embedded)".into(),
            message: message.clone(),
        })
}

/// The table called `name`.
///
/// # Errors
/// [`Error::UnknownTable`].
pub fn table(name: &str) -> Result<&'static Table> {
    tables()?
        .iter()
        .find(|t| t.name == name)
        .ok_or_else(|| Error::UnknownTable(name.to_string()))
}

impl Table {
    /// The Arrow schema; `times` is the length of `fixed<T>`.
    ///
    /// # Errors
    /// [`Error::Schema`] when a type cannot be parsed.
    pub fn arrow(&self, times: usize) -> Result<SchemaRef> {
        let fields = self
            .columns
            .iter()
            .map(|c| {
                parse_field(&c.name, &c.kind, times).map_err(|message| Error::Schema {
                    table: self.name.clone(),
                    message: format!("column {}: {message}", c.name),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(Schema::new(fields)))
    }

    /// Names of the waveform columns.
    pub fn sample_columns(&self) -> impl Iterator<Item = &str> {
        self.columns
            .iter()
            .filter(|c| c.samples)
            .map(|c| c.name.as_str())
    }
}

type Parsed<T> = std::result::Result<T, String>;

fn parse_field(name: &str, text: &str, times: usize) -> Parsed<Field> {
    let mut p = Parser {
        rest: text.trim(),
        times,
    };
    let (kind, nullable) = p.nullable_type()?;
    if !p.rest.is_empty() {
        return Err(format!(
            "expected the end of type {text:?}, found {:?}",
            p.rest
        ));
    }
    Ok(Field::new(name, kind, nullable))
}

struct Parser<'a> {
    rest: &'a str,
    times: usize,
}

impl Parser<'_> {
    fn word(&mut self) -> String {
        self.rest = self.rest.trim_start();
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_string()
    }

    fn eat(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: char) -> Parsed<()> {
        if self.eat(token) {
            Ok(())
        } else {
            Err(format!("expected {token:?} before {:?}", self.rest))
        }
    }

    fn nullable_type(&mut self) -> Parsed<(DataType, bool)> {
        let word = self.word();
        let kind = match word.as_str() {
            "u64" => DataType::UInt64,
            "i32" => DataType::Int32,
            "i64" => DataType::Int64,
            "f32" => DataType::Float32,
            "f64" => DataType::Float64,
            "utf8" => DataType::Utf8,
            "bool" => DataType::Boolean,
            "list" | "fixed" => {
                self.expect('<')?;
                let (item, nullable) = self.nullable_type()?;
                self.expect('>')?;
                let field = Arc::new(Field::new("item", item, nullable));
                if word == "list" {
                    DataType::List(field)
                } else {
                    let n = i32::try_from(self.times).map_err(|e| e.to_string())?;
                    DataType::FixedSizeList(field, n)
                }
            }
            "struct" => {
                self.expect('<')?;
                let mut fields = Vec::new();
                loop {
                    let name = self.word();
                    self.expect(':')?;
                    let (kind, nullable) = self.nullable_type()?;
                    fields.push(Field::new(name, kind, nullable));
                    if !self.eat(',') {
                        break;
                    }
                }
                self.expect('>')?;
                DataType::Struct(Fields::from(fields))
            }
            other => return Err(format!("unknown type {other:?}")),
        };
        let nullable = self.eat('?');
        Ok((kind, nullable))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_schema_parses_and_names_its_partitions() {
        for t in tables().unwrap() {
            let schema = t.arrow(DEFAULT_TIMES).unwrap();
            for key in &t.partition {
                assert_eq!(
                    schema.field_with_name(key).unwrap().data_type(),
                    &DataType::Utf8,
                    "{}.{key}",
                    t.name
                );
            }
            assert!(t.columns.iter().all(|c| !c.doc.is_empty()));
        }
    }

    #[test]
    fn eeg_is_a_list_of_fixed_lists_without_nulls() {
        let schema = table("eeg").unwrap().arrow(400).unwrap();
        let inner = Arc::new(Field::new("item", DataType::Float32, false));
        let row = Arc::new(Field::new(
            "item",
            DataType::FixedSizeList(inner, 400),
            false,
        ));
        assert_eq!(
            schema.field_with_name("eeg").unwrap(),
            &Field::new("eeg", DataType::List(row), false)
        );
    }

    #[test]
    fn wrong_types_are_refused() {
        for bad in [
            "",
            "u9",
            "list<f32",
            "list<>",
            "struct<a f32>",
            "f32??",
            "list<f32> x",
        ] {
            assert!(parse_field("x", bad, 4).is_err(), "{bad}");
        }
    }
}
