//! Tables as text: each column is a variable of dimensions `[rows]`, and `table` is all of them
//! when all are numbers.
//!
//! The separator is the one of tab, `;` and `,` that occurs most in the first line. A leading
//! byte order mark and leading lines that start with `#` are skipped. The first row is a header
//! when it holds text and either no number, or text over a column of nothing but numbers. Empty
//! cells and `n/a`, `NA`, `NaN` are missing: NaN among numbers. Decimal commas are not read: such
//! a column is text.

use std::path::Path;

use csv::{ByteRecord, ReaderBuilder};

use crate::error::{Error, Result};
use crate::numbers::check_lanes;
use crate::source::Source;
use crate::tree::{Class, Container, Note, Tree, Var};

/// Handle of `table`; columns have their number.
const TABLE: u64 = u64::MAX;
const MOST_COLUMNS: usize = 1 << 20;

enum Column {
    Numbers(Vec<f64>),
    /// All cells one after the other, and where each ends.
    Text(String, Vec<usize>),
}

/// An open table.
pub(crate) struct Csv {
    source: Source,
    names: Vec<String>,
    columns: Vec<Column>,
    rows: u64,
    notes: Vec<Note>,
}

/// What a cell holds.
enum Cell {
    Missing,
    Number(f64),
    Text,
}

fn cell(bytes: &[u8]) -> Cell {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.trim(),
        Err(_) => return Cell::Text,
    };
    // Most cells by far are plain numbers: nothing else begins so.
    if text.starts_with(|c: char| matches!(c, '0'..='9' | '-' | '+' | '.'))
        && let Ok(number) = text.parse::<f64>()
    {
        return Cell::Number(number);
    }
    if text.is_empty()
        || ["n/a", "na", "nan"]
            .iter()
            .any(|m| text.eq_ignore_ascii_case(m))
    {
        return Cell::Missing;
    }
    match text.parse::<f64>() {
        Ok(number) => Cell::Number(number),
        Err(_) => Cell::Text,
    }
}

fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.trim().to_owned(),
        Err(_) => {
            let text: String = bytes.iter().map(|b| char::from(*b)).collect();
            text.trim().to_owned()
        }
    }
}

/// What a first pass learns: the first row, how many there are, and of each column its numbers,
/// the first row's too, or that it holds text below that row.
struct Survey {
    first: ByteRecord,
    columns: Vec<Option<Vec<f64>>>,
    rows: u64,
}

impl Csv {
    /// Reads a mapped table.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a row of another number of cells than the first, with its offset;
    /// [`Error::UnknownFormat`] for a file without rows or with binary data.
    pub(crate) fn open(source: Source) -> Result<Csv> {
        let mut notes = Vec::new();
        let (body, start) = skip_comments(source.bytes(), &mut notes);
        let separator = separator(body);
        let survey = survey(&source, body, start, separator)?;
        let header = is_header(&survey);
        let names = names(&survey.first, header, &mut notes);
        let skip = usize::from(header);
        let rows = survey.rows - skip as u64;
        let columns = survey.columns.into_iter().zip(&survey.first);
        let mut columns: Vec<Column> = columns
            .map(|(numbers, first)| match numbers {
                Some(mut numbers) if header || !matches!(cell(first), Cell::Text) => {
                    numbers.drain(..skip);
                    Column::Numbers(numbers)
                }
                _ => Column::Text(String::new(), Vec::with_capacity(rows as usize)),
            })
            .collect();
        if columns.iter().any(|c| matches!(c, Column::Text(..))) {
            let mut reader = reader(body, separator);
            let mut record = ByteRecord::new();
            let mut k = 0;
            while reader
                .read_byte_record(&mut record)
                .map_err(|e| odd(&source, start, &e))?
            {
                k += 1;
                if k <= skip {
                    continue;
                }
                for (column, bytes) in columns.iter_mut().zip(record.iter()) {
                    if let Column::Text(all, ends) = column {
                        all.push_str(&text(bytes));
                        ends.push(all.len());
                    }
                }
            }
        }
        Ok(Csv {
            source,
            names,
            columns,
            rows,
            notes,
        })
    }

    fn wrong(&self, of: &Var, expected: &'static str) -> Error {
        Error::Kind {
            path: self.source.path().to_path_buf(),
            place: of.place.clone(),
            expected,
            found: format!("{:?}", of.class),
        }
    }

    fn numeric(&self) -> Option<Vec<&[f64]>> {
        let columns = self.columns.iter().map(|c| match c {
            Column::Numbers(values) => Some(values.as_slice()),
            Column::Text(..) => None,
        });
        columns.collect()
    }
}

fn reader(body: &[u8], separator: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(body)
}

fn odd(source: &Source, start: usize, error: &csv::Error) -> Error {
    Error::Damaged {
        path: source.path().to_path_buf(),
        field: "row".to_owned(),
        offset: error.position().map_or(0, csv::Position::byte) + start as u64,
        message: error.to_string(),
    }
}

fn survey(source: &Source, body: &[u8], start: usize, separator: u8) -> Result<Survey> {
    let unknown = |found: String| Error::UnknownFormat {
        path: source.path().to_path_buf(),
        expected: "a table as text",
        found,
    };
    if let Some(at) = body.iter().position(|b| *b == 0) {
        return Err(unknown(format!("a zero byte at {}", at + start)));
    }
    let mut reader = reader(body, separator);
    let mut first = ByteRecord::new();
    if !reader
        .read_byte_record(&mut first)
        .map_err(|e| odd(source, start, &e))?
    {
        return Err(unknown("no rows".to_owned()));
    }
    if first.len() > MOST_COLUMNS {
        return Err(unknown(format!("{} columns", first.len())));
    }
    let number = |bytes: &[u8]| match cell(bytes) {
        Cell::Number(value) => Some(value),
        Cell::Missing => Some(f64::NAN),
        Cell::Text => None,
    };
    // A row takes a byte for each cell at least, which bounds how many there can be.
    let most = body.len() / first.len().max(1) + 1;
    let most = most.min(1 + body.iter().filter(|b| **b == b'\n').count());
    let start_of = |bytes: &[u8]| {
        let mut values = Vec::with_capacity(most);
        values.push(number(bytes).unwrap_or(f64::NAN));
        Some(values)
    };
    let mut columns: Vec<Option<Vec<f64>>> = first.iter().map(start_of).collect();
    let mut record = ByteRecord::new();
    let mut rows = 1;
    while reader
        .read_byte_record(&mut record)
        .map_err(|e| odd(source, start, &e))?
    {
        rows += 1;
        if record.len() != first.len() {
            let at = record.position();
            return Err(Error::Damaged {
                path: source.path().to_path_buf(),
                field: format!("line {}", at.map_or(0, csv::Position::line)),
                offset: at.map_or(0, csv::Position::byte) + start as u64,
                message: format!(
                    "expected {} cells as in the first row, found {}",
                    first.len(),
                    record.len()
                ),
            });
        }
        for (column, bytes) in columns.iter_mut().zip(record.iter()) {
            if let Some(values) = column {
                match number(bytes) {
                    Some(value) => values.push(value),
                    None => *column = None,
                }
            }
        }
    }
    Ok(Survey {
        first,
        columns,
        rows,
    })
}

fn skip_comments<'a>(bytes: &'a [u8], notes: &mut Vec<Note>) -> (&'a [u8], usize) {
    let mut at = if bytes.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let mut lines = 0;
    while let Some(rest) = bytes.get(at..).filter(|r| r.starts_with(b"#")) {
        lines += 1;
        at += rest
            .iter()
            .position(|b| *b == b'\n')
            .map_or(rest.len(), |n| n + 1);
    }
    if lines > 0 {
        notes.push(Note {
            code: "comment-lines-skipped",
            message: format!("{lines} leading lines that start with #"),
        });
    }
    (bytes.get(at..).unwrap_or_default(), at)
}

fn separator(body: &[u8]) -> u8 {
    let line = body
        .split(|b| *b == b'\n')
        .find(|l| !l.trim_ascii().is_empty());
    let mut counts = [(b'\t', 0u32), (b';', 0), (b',', 0)];
    let mut quoted = false;
    for b in line.unwrap_or_default() {
        quoted ^= *b == b'"';
        for (separator, n) in &mut counts {
            *n += u32::from(!quoted && b == separator);
        }
    }
    // Of equals the first wins: `max_by_key` would take the last.
    let best = counts.iter().rev().max_by_key(|(_, n)| *n);
    best.filter(|(_, n)| *n > 0).map_or(b',', |(s, _)| *s)
}

fn is_header(survey: &Survey) -> bool {
    let cells: Vec<Cell> = survey.first.iter().map(cell).collect();
    let any_text = cells.iter().any(|c| matches!(c, Cell::Text));
    let any_number = cells.iter().any(|c| matches!(c, Cell::Number(_)));
    let over_numbers = survey.rows > 1
        && cells
            .iter()
            .zip(&survey.columns)
            .any(|(c, column)| matches!(c, Cell::Text) && column.is_some());
    any_text && (!any_number || over_numbers)
}

fn names(first: &ByteRecord, header: bool, notes: &mut Vec<Note>) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(first.len());
    let mut taken = std::collections::HashSet::new();
    for (k, bytes) in first.iter().enumerate() {
        let given = if header { text(bytes) } else { String::new() };
        let mut name = match given.is_empty() {
            true => format!("column{}", k + 1),
            false => given.clone(),
        };
        if !taken.insert(name.clone()) {
            name = format!("{name}#{}", k + 1);
            notes.push(Note {
                code: "column-renamed",
                message: format!("column {} is a second {given:?}, called {name:?}", k + 1),
            });
            taken.insert(name.clone());
        }
        names.push(name);
    }
    names
}

impl Tree for Csv {
    fn path(&self) -> &Path {
        self.source.path()
    }

    fn container(&self) -> Container {
        Container::Csv
    }

    fn held(&self) -> u64 {
        let of = |column: &Column| match column {
            Column::Numbers(x) => size_of_val(x.as_slice()),
            Column::Text(text, ends) => text.len() + size_of_val(ends.as_slice()),
        };
        self.columns.iter().map(|c| of(c) as u64).sum()
    }

    fn notes(&self) -> &[Note] {
        &self.notes
    }

    fn variables(&self) -> Vec<Var> {
        let var = |place: String, class, dims, handle| Var {
            place,
            class,
            dims,
            fields: Vec::new(),
            complex: false,
            handle,
        };
        let columns = self.names.iter().zip(&self.columns).enumerate();
        let mut variables: Vec<Var> = columns
            .map(|(k, (name, column))| {
                let class = match column {
                    Column::Numbers(_) => Class::F64,
                    Column::Text(..) => Class::Text,
                };
                var(name.clone(), class, vec![self.rows], k as u64)
            })
            .collect();
        if self.numeric().is_some() && self.names.iter().all(|n| n != "table") {
            let dims = vec![self.rows, self.columns.len() as u64];
            variables.push(var("table".to_owned(), Class::F64, dims, TABLE));
        }
        variables
    }

    fn field(&self, of: &Var, _: u64, _: &str) -> Result<Option<Var>> {
        Err(self.wrong(of, "a struct"))
    }

    fn cell(&self, of: &Var, _: u64) -> Result<Var> {
        Err(self.wrong(of, "a cell array"))
    }

    fn read_f64(&self, of: &Var, first: &[u64], stride: u64, out: &mut [&mut [f64]]) -> Result<()> {
        let one;
        let columns = match of.handle {
            TABLE => self.numeric(),
            k => match usize::try_from(k).ok().and_then(|k| self.columns.get(k)) {
                Some(Column::Numbers(values)) => {
                    one = vec![values.as_slice()];
                    Some(one)
                }
                _ => None,
            },
        };
        let columns = columns.ok_or_else(|| self.wrong(of, "numbers"))?;
        let len = self.rows.saturating_mul(columns.len() as u64);
        check_lanes(self.path(), &of.place, len, first, stride, out)?;
        for (&first, lane) in first.iter().zip(out.iter_mut()) {
            for (i, y) in lane.iter_mut().enumerate() {
                let at = first + i as u64 * stride;
                let (row, column) = (at % self.rows, at / self.rows);
                let value = columns
                    .get(column as usize)
                    .and_then(|c| c.get(row as usize));
                *y = value.copied().unwrap_or(f64::NAN);
            }
        }
        Ok(())
    }

    fn read_imaginary(
        &self,
        of: &Var,
        first: &[u64],
        stride: u64,
        out: &mut [&mut [f64]],
    ) -> Result<()> {
        self.read_f64(of, first, stride, out)?;
        out.iter_mut().for_each(|lane| lane.fill(0.0));
        Ok(())
    }

    fn texts(&self, of: &Var) -> Result<Vec<String>> {
        let column = usize::try_from(of.handle)
            .ok()
            .and_then(|k| self.columns.get(k));
        let Some(Column::Text(all, ends)) = column else {
            return Err(self.wrong(of, "text"));
        };
        let mut from = 0;
        let mut texts = Vec::with_capacity(ends.len());
        for &end in ends {
            texts.push(all.get(from..end).unwrap_or_default().to_owned());
            from = end;
        }
        Ok(texts)
    }
}
