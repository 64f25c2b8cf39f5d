//! Side-cars: small files that become tables. The crate `sidecars` reads them.

use std::collections::BTreeMap;
use std::path::Path;

use mmpipe_sidecars::{Format, Table};

use super::note::{Note, without_path};
use super::tables::TextTable;

/// Notes of one code on one file that are written out; the others are counted.
const MOST_NOTES: usize = 20;

/// Named cells of one row.
pub(super) type Cells = Vec<(String, Option<String>)>;

/// Reads a text file in any of the usual encodings.
///
/// # Errors
/// What is wrong, without the path.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    mmpipe_sidecars::read_text(path).map_err(|e| without_path(path, &e))
}

/// Reads a side-car; what its reader noted becomes diagnostics of `name`.
///
/// # Errors
/// What is wrong and where, without the path.
pub(super) fn read(
    path: &Path,
    name: &str,
    format: Format,
    notes: &mut Vec<Note>,
) -> Result<Table, String> {
    let mut table = mmpipe_sidecars::read(path, format).map_err(|e| without_path(path, &e))?;
    let mut counts: BTreeMap<&'static str, usize> = BTreeMap::new();
    for note in std::mem::take(&mut table.notes) {
        let count = counts.entry(note.code).or_default();
        *count += 1;
        if *count > MOST_NOTES {
            continue;
        }
        let message = match note.line {
            0 => note.message,
            line => format!("line {line}: {}", note.message),
        };
        notes.push(Note::warning(name, note.code, message));
    }
    for (code, count) in counts {
        if count > MOST_NOTES {
            let message = format!("and {} more such notes", count - MOST_NOTES);
            notes.push(Note::warning(name, code, message));
        }
    }
    Ok(table)
}

/// Reads a side-car as named cells, for tables whose columns have a meaning here.
///
/// # Errors
/// As [`read`].
pub(super) fn read_cells(
    path: &Path,
    name: &str,
    format: Format,
    notes: &mut Vec<Note>,
) -> Result<Vec<Cells>, String> {
    let table = read(path, name, format, notes)?;
    let columns = table.columns;
    let named = |row: Vec<Option<String>>| columns.iter().cloned().zip(row).collect();
    Ok(table.rows.into_iter().map(named).collect())
}

/// Adds the rows of one side-car to its table, with the side-car's path and named groups,
/// which stand behind columns of the same name that the side-car has itself.
pub(super) fn add(
    table: &mut TextTable,
    path: &str,
    groups: &BTreeMap<String, String>,
    read: Table,
) {
    let own: Vec<usize> = read.columns.iter().map(|c| table.column(c)).collect();
    let mut ours: Vec<(usize, &str)> = Vec::new();
    let named = groups.iter().map(|(c, v)| (c.as_str(), v.as_str()));
    for (column, value) in std::iter::once(("path", path)).chain(named) {
        let index = table.column(column);
        if !own.contains(&index) {
            ours.push((index, value));
        }
    }
    for row in read.rows {
        let ours = ours.iter().map(|&(i, v)| (i, v.to_owned()));
        let cells = own.iter().zip(row).filter_map(|(&i, v)| Some((i, v?)));
        table.row(ours.chain(cells));
    }
}
