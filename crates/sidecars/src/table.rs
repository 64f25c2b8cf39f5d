//! The table that every format becomes, and its bounds.

use crate::error::Bad;
use crate::format::Format;

/// A side-car as text cells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Column names, all different.
    pub columns: Vec<String>,
    /// Rows, each as long as `columns`; `None` is null.
    pub rows: Vec<Vec<Option<String>>>,
    /// What was left out or is doubtful, in the order of the file.
    pub notes: Vec<Note>,
}

impl Table {
    /// The values of a column.
    pub fn column(&self, name: &str) -> Option<impl Iterator<Item = Option<&str>>> {
        let index = self.columns.iter().position(|c| c == name)?;
        Some(
            self.rows
                .iter()
                .map(move |row| row.get(index).and_then(Option::as_deref)),
        )
    }
}

/// Something about a line that the reader of the table should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The line, from 1; 0 for the file as a whole and for binary files.
    pub line: u64,
    /// A short name, stable for tests and reports.
    pub code: &'static str,
    /// What was expected, what was found, and what became of the line.
    pub message: String,
}

/// The cells that any table may have, whatever the size of its file.
const FREE_CELLS: usize = 1 << 16;
/// The most cells for a byte of the file.
const CELLS_A_BYTE: usize = 4;
/// The text that any table may have.
const FREE_TEXT: usize = 1 << 20;
/// The most text for a byte of the file.
const TEXT_A_BYTE: usize = 16;

/// A table being made, within the bounds that its file's size sets.
pub(crate) struct Builder {
    table: Table,
    cells: usize,
    text: usize,
}

impl Builder {
    /// A table of a file (or its unpacked content) of `bytes` bytes.
    pub(crate) fn new(columns: Vec<String>, bytes: usize) -> Self {
        Self {
            table: Table {
                columns,
                ..Table::default()
            },
            cells: FREE_CELLS.saturating_add(bytes.saturating_mul(CELLS_A_BYTE)),
            text: FREE_TEXT.saturating_add(bytes.saturating_mul(TEXT_A_BYTE)),
        }
    }

    /// A table with the fixed columns of `format`.
    pub(crate) fn of(format: Format, bytes: usize) -> Self {
        let columns = format.columns().iter().map(|&c| c.to_owned()).collect();
        Self::new(columns, bytes)
    }

    /// The columns so far.
    pub(crate) fn columns(&self) -> &[String] {
        &self.table.columns
    }

    /// Adds a column; rows that are there get a null when the table is finished.
    pub(crate) fn add_column(&mut self, name: String) -> usize {
        self.table.columns.push(name);
        self.table.columns.len() - 1
    }

    /// Adds a row, filled up with nulls.
    pub(crate) fn row(&mut self, mut row: Vec<Option<String>>) -> Result<(), Bad> {
        let width = self.table.columns.len();
        let text = row.iter().flatten().map(String::len).sum();
        match (self.cells.checked_sub(width), self.text.checked_sub(text)) {
            (Some(cells), Some(more)) => {
                self.cells = cells;
                self.text = more;
            }
            _ => return Err(too_big(self.table.rows.len() + 1)),
        }
        row.resize(width, None);
        self.table.rows.push(row);
        Ok(())
    }

    /// Whether a row with `text` bytes of text still fits.
    pub(crate) fn has_room(&self, text: usize) -> Result<(), Bad> {
        match self.text.checked_sub(text) {
            Some(_) => Ok(()),
            None => Err(too_big(self.table.rows.len() + 1)),
        }
    }

    /// Adds a note.
    pub(crate) fn note(&mut self, line: u64, code: &'static str, message: impl Into<String>) {
        self.table.notes.push(Note {
            line,
            code,
            message: message.into(),
        });
    }

    /// The rows so far.
    pub(crate) fn rows(&self) -> &[Vec<Option<String>>] {
        &self.table.rows
    }

    /// The table, every row as long as the columns.
    pub(crate) fn finish(mut self) -> Result<Table, Bad> {
        let width = self.table.columns.len();
        for (i, row) in self.table.rows.iter_mut().enumerate() {
            let more = width.saturating_sub(row.len());
            match self.cells.checked_sub(more) {
                Some(cells) => self.cells = cells,
                None => return Err(too_big(i + 1)),
            }
            row.resize(width, None);
        }
        Ok(self.table)
    }
}

fn too_big(row: usize) -> Bad {
    Bad::file(
        "table-size",
        format!(
            "row {row}: expected at most {CELLS_A_BYTE} cells and {TEXT_A_BYTE} bytes of text \
             for a byte of the file; it repeats itself too much"
        ),
    )
}

/// At most `most` characters of `text`, for messages.
pub(crate) fn short(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_long_as_the_columns() {
        let mut out = Builder::new(vec!["a".into()], 0);
        out.row(vec![Some("1".into())]).unwrap();
        out.add_column("b".into());
        let table = out.finish().unwrap();
        assert_eq!(table.rows, [vec![Some("1".into()), None]]);
        assert_eq!(table.column("b").unwrap().collect::<Vec<_>>(), [None]);
        assert!(table.column("c").is_none());
    }

    #[test]
    fn a_table_has_bounds() {
        let mut out = Builder::new(vec!["a".into(); 40_000], 0);
        out.row(Vec::new()).unwrap();
        assert!(out.row(Vec::new()).is_err());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(short("µ"), "µ");
        assert_eq!(short(&"µ".repeat(90)), format!("{}...", "µ".repeat(80)));
    }
}
