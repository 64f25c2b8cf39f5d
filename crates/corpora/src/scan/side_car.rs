//! Side-cars: small text files that become tables.

use std::path::Path;

use serde_json::Value;

use super::tables::TextTable;
use crate::manifest::Format;

/// Larger files are no side-cars; they are refused before they are read.
const MOST_BYTES: u64 = 256 << 20;

/// Named cells of one row.
pub(super) type Cells = Vec<(String, Option<String>)>;

/// Reads a text file: UTF-8 with or without a byte-order mark, UTF-16 with one, else Latin-1.
///
/// # Errors
/// What is wrong, without the path.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    let bytes = std::fs::metadata(path).map_err(|e| e.to_string())?.len();
    if bytes > MOST_BYTES {
        return Err(format!(
            "{bytes} bytes: expected a side-car of at most {MOST_BYTES}"
        ));
    }
    let raw = std::fs::read(path).map_err(|e| e.to_string())?;
    Ok(decode(&raw))
}

fn decode(raw: &[u8]) -> String {
    let utf16 = |raw: &[u8], read: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = raw
            .chunks_exact(2)
            .map(|pair| read([pair[0], pair[1]]))
            .collect();
        String::from_utf16_lossy(&units)
    };
    match raw {
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => match std::str::from_utf8(raw) {
            Ok(text) => text.to_owned(),
            Err(_) => raw.iter().map(|&b| char::from(b)).collect(),
        },
    }
}

/// Reads a side-car into rows.
///
/// # Errors
/// What is wrong and where, without the path.
pub(super) fn read(path: &Path, format: Format) -> Result<Vec<Cells>, String> {
    parse(&read_text(path)?, format)
}

/// Parses a side-car's text into rows.
pub(super) fn parse(text: &str, format: Format) -> Result<Vec<Cells>, String> {
    match format {
        Format::Csv => delimited(text, b','),
        Format::Tsv => delimited(text, b'\t'),
        Format::JsonRows => json_rows(text),
        Format::JsonTree => json_tree(text),
        Format::Lines => Ok(text
            .lines()
            .enumerate()
            .map(|(i, line)| {
                vec![
                    ("line".to_owned(), Some((i + 1).to_string())),
                    ("text".to_owned(), Some(line.to_owned())),
                ]
            })
            .collect()),
    }
}

/// A header line and rows. BIDS writes tables without quoting, so in TSV a quote is a character.
fn delimited(text: &str, delimiter: u8) -> Result<Vec<Cells>, String> {
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(delimiter != b'\t')
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let header: Vec<String> = reader
        .headers()
        .map_err(|e| e.to_string())?
        .iter()
        .map(str::to_owned)
        .collect();
    for (i, column) in header.iter().enumerate() {
        if header[..i].contains(column) {
            return Err(format!("line 1: column `{column}` is there twice"));
        }
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| e.to_string())?;
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() > header.len() {
            return Err(format!(
                "line {line}: expected {} fields as in the header, found {}",
                header.len(),
                record.len()
            ));
        }
        let cells = header.iter().enumerate().map(|(i, column)| {
            let value = record
                .get(i)
                .filter(|v| !(v.is_empty() || delimiter == b'\t' && *v == "n/a"));
            (column.clone(), value.map(str::to_owned))
        });
        rows.push(cells.collect());
    }
    Ok(rows)
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

fn json_rows(text: &str) -> Result<Vec<Cells>, String> {
    let Value::Array(items) = json(text)? else {
        return Err("expected a JSON array of objects".into());
    };
    items
        .iter()
        .enumerate()
        .map(|(i, item)| {
            let Value::Object(object) = item else {
                return Err(format!("item {i}: expected an object"));
            };
            Ok(object.iter().map(|(k, v)| (k.clone(), scalar(v))).collect())
        })
        .collect()
}

fn json_tree(text: &str) -> Result<Vec<Cells>, String> {
    let mut leaves = Vec::new();
    flatten("", &json(text)?, &mut leaves);
    Ok(leaves
        .into_iter()
        .map(|(key, value)| vec![("key".to_owned(), Some(key)), ("value".to_owned(), value)])
        .collect())
}

/// The leaves of a JSON value with dotted keys; lists are numbered from 0.
pub(super) fn flatten(key: &str, value: &Value, out: &mut Vec<(String, Option<String>)>) {
    let join = |part: &str| match key {
        "" => part.to_owned(),
        key => format!("{key}.{part}"),
    };
    match value {
        Value::Object(object) => {
            for (k, v) in object {
                flatten(&join(k), v, out);
            }
        }
        Value::Array(items) => {
            for (i, v) in items.iter().enumerate() {
                flatten(&join(&i.to_string()), v, out);
            }
        }
        leaf => out.push((key.to_owned(), scalar(leaf))),
    }
}

/// A JSON leaf as text; deeper values as JSON.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Adds the rows of one side-car to its table, with the side-car's path and named groups.
pub(super) fn add(
    table: &mut TextTable,
    path: &str,
    groups: &std::collections::BTreeMap<String, String>,
    rows: Vec<Cells>,
) {
    for cells in rows {
        let own = |name: &str| cells.iter().any(|(c, _)| c == name);
        let mut row: Cells = Vec::new();
        if !own("path") {
            row.push(("path".into(), Some(path.to_owned())));
        }
        for (name, value) in groups {
            if !own(name) {
                row.push((name.clone(), Some(value.clone())));
            }
        }
        row.extend(cells);
        table.push(row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_in_any_encoding() {
        assert_eq!(decode(b"\xEF\xBB\xBFname"), "name");
        assert_eq!(decode("µV".as_bytes()), "µV");
        assert_eq!(decode(b"\xB5V"), "µV");
        assert_eq!(decode(b"\xFF\xFEa\0b\0"), "ab");
    }

    #[test]
    fn tsv_keeps_quotes_and_knows_na() {
        let rows = parse("a\tb\n\"x\tn/a\n\ty\n", Format::Tsv).unwrap();
        assert_eq!(
            rows,
            vec![
                vec![("a".into(), Some("\"x".into())), ("b".into(), None)],
                vec![("a".into(), None), ("b".into(), Some("y".into()))],
            ]
        );
        let e = parse("a\tb\n1\t2\t3\n", Format::Tsv).unwrap_err();
        assert!(e.contains("line 2") && e.contains("found 3"), "{e}");
        assert!(parse("a\ta\n", Format::Tsv).unwrap_err().contains("twice"));
    }

    #[test]
    fn json_becomes_rows_or_leaves() {
        let leaves = parse(r#"{"a": {"b": [1, "x"]}, "c": null}"#, Format::JsonTree).unwrap();
        let keys: Vec<_> = leaves.iter().map(|r| r[0].1.clone().unwrap()).collect();
        assert_eq!(keys, ["a.b.0", "a.b.1", "c"]);
        assert!(parse("{}", Format::JsonRows).is_err());
        assert!(parse("{", Format::JsonTree).unwrap_err().contains("line 1"));
    }
}
