//! Comma- and tab-separated tables with a header line.

use crate::error::Bad;
use crate::table::{Builder, Table, short};

/// A header line and rows. BIDS writes tables without quoting, so in TSV a quote is a
/// character. A row that is too short keeps its cells, one that is too long is left out.
pub(crate) fn parse(text: &str, delimiter: u8) -> Result<Table, Bad> {
    let tab = delimiter == b'\t';
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(!tab)
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut record = csv::StringRecord::new();
    let more = |reader: &mut csv::Reader<&[u8]>, record: &mut csv::StringRecord| {
        reader
            .read_record(record)
            .map_err(|e| Bad::file("delimited", e.to_string()))
    };
    if !more(&mut reader, &mut record)? || record.iter().all(|f| f.trim().is_empty()) {
        return Err(Bad::line(
            1,
            "no-header",
            "expected a header line with the names of the columns, found none",
        ));
    }
    let mut out = Builder::new(header(&record)?, text.len());
    let width = record.len();
    let mut last = (0, 1);
    while more(&mut reader, &mut record)? {
        let (byte, line) = record
            .position()
            .map_or((0, 0), |p| (p.byte() as usize, p.line()));
        last = (byte, line);
        if record.iter().all(|f| f.trim().is_empty()) {
            continue;
        }
        let found = record.len();
        if found > width && record.iter().skip(width).any(|f| !f.trim().is_empty()) {
            let message =
                format!("expected {width} fields as in the header, found {found}; left out");
            out.note(line, "long-row", message);
            continue;
        }
        if found < width {
            let message = format!(
                "expected {width} fields as in the header, found {found}; the others are null"
            );
            out.note(line, "short-row", message);
        }
        let cell = |field: &str| {
            let field = field.trim();
            (!(field.is_empty() || tab && field == "n/a")).then(|| field.to_owned())
        };
        out.row(record.iter().take(width).map(cell).collect())?;
    }
    // The reader takes everything after a quote that nobody closes for one field.
    let (byte, line) = last;
    if !tab && open_quote(text.get(byte..).unwrap_or_default()) {
        return Err(Bad::line(
            line,
            "open-quote",
            "expected a closing quote before the end of the file, found none",
        ));
    }
    out.finish()
}

fn header(record: &csv::StringRecord) -> Result<Vec<String>, Bad> {
    let mut names: Vec<String> = Vec::with_capacity(record.len());
    let mut seen = std::collections::HashSet::new();
    for (i, name) in record.iter().enumerate() {
        let name = match name.trim() {
            "" => format!("column_{}", i + 1),
            name => name.to_owned(),
        };
        if !seen.insert(name.clone()) {
            return Err(Bad::line(
                1,
                "twice",
                format!("column `{}` is there twice", short(&name)),
            ));
        }
        names.push(name);
    }
    Ok(names)
}

/// Whether the last field of the records in `text` starts with a quote that stays open.
fn open_quote(text: &str) -> bool {
    let mut chars = text.chars().peekable();
    let (mut quoted, mut start) = (false, true);
    while let Some(c) = chars.next() {
        match (quoted, c) {
            (true, '"') if chars.peek() == Some(&'"') => {
                chars.next();
            }
            (true, '"') => quoted = false,
            (true, _) => {}
            (false, '"') if start => (quoted, start) = (true, false),
            (false, ',' | '\n' | '\r') => start = true,
            (false, _) => start = false,
        }
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(row: &[Option<&str>]) -> Vec<Option<String>> {
        row.iter().map(|c| c.map(str::to_owned)).collect()
    }

    #[test]
    fn tsv_keeps_quotes_and_knows_na() {
        let table = parse("a\tb\n\"x\tn/a\n\ty\n", b'\t').unwrap();
        assert_eq!(table.columns, ["a", "b"]);
        assert_eq!(
            table.rows,
            [cells(&[Some("\"x"), None]), cells(&[None, Some("y")])]
        );
        assert!(table.notes.is_empty());
    }

    #[test]
    fn csv_has_quotes_with_line_ends_in_them() {
        let table = parse("a, b ,\r\n\"x,\n\"\"y\"\"\", 1 ,2\r\n", b',').unwrap();
        assert_eq!(table.columns, ["a", "b", "column_3"]);
        assert_eq!(
            table.rows,
            [cells(&[Some("x,\n\"y\""), Some("1"), Some("2")])]
        );
    }

    #[test]
    fn rows_of_other_lengths_are_noted() {
        let table = parse("a,b\n1\n1,2,3\n4,5,\n", b',').unwrap();
        let rows = [cells(&[Some("1"), None]), cells(&[Some("4"), Some("5")])];
        assert_eq!(table.rows, rows);
        let notes: Vec<_> = table.notes.iter().map(|n| (n.line, n.code)).collect();
        assert_eq!(notes, [(2, "short-row"), (3, "long-row")]);
    }

    #[test]
    fn an_open_quote_does_not_swallow_the_rest() {
        assert!(parse("a,b\n1,\"2\n3,4\n", b',').is_err());
        assert!(parse("a,b\n1,2\"\n3,4\n", b',').is_ok());
        assert!(parse("a,b\n1,\"2\"\"\"\n", b',').is_ok());
    }
}
