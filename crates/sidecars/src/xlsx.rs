//! Excel workbooks.
//!
//! Cells are read one after the other: a sheet whose two corners are used is not a thousand
//! million cells here. The archive is unpacked once without keeping it, to be sure of its size.

use std::collections::{HashMap, HashSet};
use std::io::{Cursor, Read};

use calamine::{DataRef, ExcelDateTime, Reader as _, SheetType, Xlsx};

use crate::error::Bad;
use crate::format::Format;
use crate::table::{Builder, Table, short};

/// The most that a workbook may unpack to.
const MOST_UNPACKED: u64 = 256 << 20;
/// The most parts of a workbook.
const MOST_PARTS: usize = 65_536;

/// The cells of a row: column in the sheet, value.
type Cells = Vec<(u32, Option<String>)>;

pub(crate) fn parse(bytes: &[u8]) -> Result<Table, Bad> {
    let unpacked = unpacked_size(bytes)?;
    let bad = |e: calamine::XlsxError| {
        Bad::file(
            "xlsx",
            format!("expected an Excel workbook: {}", short(&e.to_string())),
        )
    };
    let mut book: Xlsx<Cursor<&[u8]>> = Xlsx::new(Cursor::new(bytes)).map_err(bad)?;
    let sheets = book.sheets_metadata().to_vec();
    let mut out = Builder::of(Format::Xlsx, unpacked);
    let mut names = HashMap::new();
    for (i, &name) in Format::Xlsx.columns().iter().enumerate() {
        names.insert(name.to_owned(), i);
    }
    for meta in sheets {
        if meta.typ != SheetType::WorkSheet {
            let message = format!("sheet `{}` holds no cells; left out", short(&meta.name));
            out.note(0, "xlsx-sheet", message);
            continue;
        }
        let mut cells = book.worksheet_cells_reader(&meta.name).map_err(bad)?;
        let mut sheet = Sheet {
            out: &mut out,
            names: &mut names,
            name: &meta.name,
            places: None,
            held: 0,
        };
        let mut row: Option<(u32, Cells)> = None;
        while let Some(cell) = cells.next_cell().map_err(bad)? {
            let (at, column) = cell.get_position();
            let value = sheet.value(at, column, cell.get_value())?;
            match &mut row {
                Some((now, held)) if *now == at => held.push((column, value)),
                _ => {
                    if let Some((now, held)) = row.replace((at, vec![(column, value)])) {
                        sheet.row(now, held)?;
                    }
                }
            }
        }
        if let Some((now, held)) = row {
            sheet.row(now, held)?;
        }
    }
    out.finish()
}

/// Unpacks every part without keeping it; sizes that the archive states are not believed.
fn unpacked_size(bytes: &[u8]) -> Result<usize, Bad> {
    let bad = |e: String| Bad::file("xlsx-zip", format!("expected an Excel workbook (zip): {e}"));
    if !bytes.starts_with(b"PK") {
        return Err(bad("the first two bytes are not `PK`".into()));
    }
    let mut archive = zip::ZipArchive::new(Cursor::new(bytes)).map_err(|e| bad(e.to_string()))?;
    if archive.len() > MOST_PARTS {
        return Err(bad(format!("{} parts", archive.len())));
    }
    let mut left = MOST_UNPACKED;
    for i in 0..archive.len() {
        let part = archive.by_index(i).map_err(|e| bad(e.to_string()))?;
        let size = std::io::copy(&mut part.take(left + 1), &mut std::io::sink())
            .map_err(|e| bad(e.to_string()))?;
        left = left.checked_sub(size).ok_or_else(|| {
            let message = format!("expected a workbook of at most {MOST_UNPACKED} bytes unpacked");
            Bad::file("xlsx-bomb", message)
        })?;
    }
    Ok((MOST_UNPACKED - left) as usize)
}

struct Sheet<'a> {
    out: &'a mut Builder,
    /// Columns of the table by name, over all sheets.
    names: &'a mut HashMap<String, usize>,
    name: &'a str,
    /// Columns of the table by column of this sheet, once its header is read.
    places: Option<HashMap<u32, usize>>,
    /// Bytes of text in the row that is being gathered.
    held: usize,
}

impl Sheet<'_> {
    /// A cell as text. Rows and columns are counted from 0 here, and from 1 in messages.
    fn value(&mut self, row: u32, column: u32, value: &DataRef<'_>) -> Result<Option<String>, Bad> {
        // One long shared text may stand in every cell of a row.
        if let DataRef::SharedString(text) = value {
            self.held = self.held.saturating_add(text.len());
            self.out.has_room(self.held)?;
        }
        let text = match value {
            DataRef::Empty => return Ok(None),
            DataRef::Int(n) => n.to_string(),
            DataRef::Float(n) => n.to_string(),
            DataRef::String(text) => text.clone(),
            DataRef::SharedString(text) => (*text).to_owned(),
            DataRef::Bool(b) => b.to_string(),
            DataRef::DateTime(t) => date(t),
            DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => text.clone(),
            DataRef::Error(e) => {
                let message = format!(
                    "sheet `{}`, row {}, column {}: {e}; null",
                    short(self.name),
                    u64::from(row) + 1,
                    u64::from(column) + 1
                );
                self.out.note(0, "xlsx-error", message);
                return Ok(None);
            }
        };
        Ok(Some(text).filter(|t| !t.is_empty()))
    }

    /// The first row with a value names the columns, the others are rows.
    fn row(&mut self, at: u32, cells: Cells) -> Result<(), Bad> {
        self.held = 0;
        if cells.iter().all(|(_, value)| value.is_none()) {
            return Ok(());
        }
        let row = u64::from(at) + 1;
        let Some(places) = &self.places else {
            self.header(cells);
            return Ok(());
        };
        let mut line = vec![None; self.out.columns().len()];
        if let [sheet, number, ..] = line.as_mut_slice() {
            *sheet = Some(self.name.to_owned());
            *number = Some(row.to_string());
        }
        for (column, value) in cells {
            let Some(value) = value else { continue };
            match places.get(&column).and_then(|&i| line.get_mut(i)) {
                Some(cell) => *cell = Some(value),
                None => {
                    let message = format!(
                        "sheet `{}`, row {row}, column {}: `{}` has no name in the header; left out",
                        short(self.name),
                        u64::from(column) + 1,
                        short(&value)
                    );
                    self.out.note(0, "xlsx-no-name", message);
                }
            }
        }
        self.out.row(line)
    }

    fn header(&mut self, cells: Cells) {
        let mut places = HashMap::new();
        let mut used: HashSet<usize> = (0..Format::Xlsx.columns().len()).collect();
        // The number that a repeated name last got, so that many of one name stay cheap.
        let mut counts: HashMap<String, usize> = HashMap::new();
        for (column, value) in cells {
            let Some(name) = value.map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()) else {
                continue;
            };
            let mut unique = name.clone();
            let count = counts.entry(name.clone()).or_insert(1);
            while self.names.get(&unique).is_some_and(|i| used.contains(i)) {
                *count += 1;
                unique = format!("{name}_{count}");
            }
            if unique != name {
                let message = format!(
                    "sheet `{}`: column `{}` is there already; it is called `{}`",
                    short(self.name),
                    short(&name),
                    short(&unique)
                );
                self.out.note(0, "xlsx-twice", message);
            }
            let index = match self.names.get(&unique) {
                Some(&index) => index,
                None => {
                    let index = self.out.add_column(unique.clone());
                    self.names.insert(unique, index);
                    index
                }
            };
            used.insert(index);
            places.insert(column, index);
        }
        self.places = Some(places);
    }
}

/// A date, a time of the day or a duration in ISO 8601 (durations as hours:minutes:seconds).
fn date(t: &ExcelDateTime) -> String {
    let value = t.as_f64();
    if !(0.0..1e9).contains(&value) {
        return value.to_string();
    }
    let (year, month, day, hour, minute, second, milli) = t.to_ymd_hms_milli();
    let clock = |hour: u64| {
        let part = match milli {
            0 => String::new(),
            milli => format!(".{milli:03}"),
        };
        format!("{hour:02}:{minute:02}:{second:02}{part}")
    };
    if t.is_duration() {
        // Whole days are hours of the duration; rounding to milliseconds may reach the next.
        let days = ((value * 86_400_000.0).round() / 86_400_000.0).floor() as u64;
        clock(days * 24 + u64::from(hour))
    } else if value < 1.0 {
        clock(u64::from(hour))
    } else if (hour, minute, second, milli) == (0, 0, 0, 0) {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{year:04}-{month:02}-{day:02}T{}", clock(u64::from(hour)))
    }
}
