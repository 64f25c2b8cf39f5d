//! Shared by the integration tests: where the real recordings are, and tables as text.

pub(crate) mod edf;

use std::path::{Path, PathBuf};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int32Type, Int64Type};
use arrow::record_batch::RecordBatch;
use mmpipe_corpora::Scan;

/// A folder of real recordings; says why and returns nothing where it is absent.
pub(crate) fn real(below: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/real")
        .join(below);
    if path.exists() {
        return Some(path);
    }
    eprintln!("skipped: {} is absent", path.display());
    None
}

/// One cell as text; null is `-`.
pub(crate) fn cell(batch: &RecordBatch, column: &str, row: usize) -> String {
    let Some(array) = batch.column_by_name(column) else {
        return format!("no column {column}");
    };
    if array.is_null(row) {
        return "-".into();
    }
    match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Float64 => format!("{}", array.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => format!("{:.4}", array.as_primitive::<Float32Type>().value(row)),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        other => panic!("{column}: {other}"),
    }
}

/// Columns of a table as lines, at most `most` rows that `keep` accepts.
pub(crate) fn lines(
    batch: &RecordBatch,
    columns: &[&str],
    most: usize,
    keep: impl Fn(usize) -> bool,
) -> String {
    (0..batch.num_rows())
        .filter(|&row| keep(row))
        .take(most)
        .map(|row| {
            let cells: Vec<String> = columns.iter().map(|c| cell(batch, c, row)).collect();
            cells.join(" | ") + "\n"
        })
        .collect()
}

/// The files, the channels of one file, its first events, and all diagnostics.
pub(crate) fn summary(scan: &Scan, files: &[&str], path: &str) -> String {
    let of = |table: &str| scan.table(table).unwrap().clone();
    let (f, e, c, d) = (of("files"), of("events"), of("channels"), of("diagnostics"));
    let here = |b: &RecordBatch, row| cell(b, "path", row) == path;
    let sizes: Vec<String> = scan
        .tables
        .iter()
        .map(|(name, b)| format!("{name} {}", b.num_rows()))
        .collect();
    format!(
        "{}: {}\n\nfiles\n{}\nchannels of {path}\n{}\nevents of {path}\n{}\ndiagnostics\n{}",
        scan.dataset,
        sizes.join(", "),
        lines(&f, files, usize::MAX, |_| true),
        lines(
            &c,
            &[
                "channel",
                "raw_name",
                "kind",
                "name",
                "to_microvolts",
                "keep",
                "reason"
            ],
            usize::MAX,
            |row| here(&c, row)
        ),
        lines(
            &e,
            &["onset", "duration", "value", "trial_type", "source"],
            6,
            |row| here(&e, row)
        ),
        lines(
            &d,
            &["path", "severity", "code", "message"],
            usize::MAX,
            |_| true
        ),
    )
}

/// Writes a text file and the folders above it.
pub(crate) fn put(root: &Path, below: &str, text: &str) {
    let path = root.join(below);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The value of `column` where `key` is `value`; panics when there is no such row.
pub(crate) fn look_up(scan: &Scan, table: &str, key: (&str, &str), column: &str) -> String {
    let batch = scan.table(table).unwrap();
    let row = (0..batch.num_rows())
        .find(|&row| cell(batch, key.0, row) == key.1)
        .unwrap_or_else(|| panic!("{table}: no row with {} = {}", key.0, key.1));
    cell(batch, column, row)
}

/// All values of a column.
pub(crate) fn column(scan: &Scan, table: &str, name: &str) -> Vec<String> {
    let batch = scan.table(table).unwrap();
    (0..batch.num_rows())
        .map(|row| cell(batch, name, row))
        .collect()
}
