//! How results are printed: aligned text tables, JSON, numbers, error chains.

use std::io::{self, Write};

use anyhow::Result;
use serde::Serialize;

/// Writes one value as indented JSON, with a newline, to standard output.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Writes text to standard output; a closed pipe is an error and not a panic.
pub(crate) fn text(text: &str) -> Result<()> {
    io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}

/// Writes one line to standard output.
pub(crate) fn line(line: impl AsRef<str>) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_ref().as_bytes())?;
    out.write_all(b"\n")?;
    Ok(())
}

/// Whether the reader of standard output went away, as `| head` does; that is no failure.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause
            .downcast_ref::<io::Error>()
            .is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|e| e.io_error_kind() == Some(io::ErrorKind::BrokenPipe))
    })
}

/// An error with its causes on one line each; a cause that its parent already quotes is left out.
pub(crate) fn error_chain(error: &anyhow::Error) -> String {
    let mut shown = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !shown.contains(&cause) {
            shown.push_str("\n  caused by: ");
            shown.push_str(&cause);
        }
    }
    shown
}

/// An aligned text table; columns of numbers are flushed right.
#[derive(Debug, Default)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these column names.
    pub(crate) fn new<S: Into<String>>(header: impl IntoIterator<Item = S>) -> Self {
        Table {
            header: header.into_iter().map(Into::into).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; missing cells are blank.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }
}

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let columns = self.header.len();
        let width = |text: &str| text.chars().count();
        let mut widths: Vec<usize> = self.header.iter().map(|h| width(h)).collect();
        let mut numeric = vec![!self.rows.is_empty(); columns];
        for row in &self.rows {
            for (c, cell) in row.iter().enumerate().take(columns) {
                widths[c] = widths[c].max(width(cell));
                numeric[c] &= is_number(cell);
            }
        }
        let mut write = |cells: &[String]| -> std::fmt::Result {
            let mut line = String::new();
            for c in 0..columns {
                let cell = cells.get(c).map_or("", String::as_str);
                let pad = " ".repeat(widths[c] - width(cell));
                if c > 0 {
                    line.push_str("  ");
                }
                if numeric[c] {
                    line.push_str(&pad);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&pad);
                }
            }
            writeln!(f, "{}", line.trim_end())
        };
        write(&self.header)?;
        let rule: Vec<String> = widths.iter().map(|w| "-".repeat(*w)).collect();
        write(&rule)?;
        for row in &self.rows {
            write(row)?;
        }
        Ok(())
    }
}

/// Whether a cell is flushed right: a number, with or without a sign, or nothing.
fn is_number(cell: &str) -> bool {
    let digits = cell.strip_prefix('-').unwrap_or(cell);
    digits.is_empty() || digits.starts_with(|c: char| c.is_ascii_digit())
}

/// Bytes with a binary prefix, as in `4.2 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{n} B")
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// Seconds as `1 h 02 min 03 s`, with a tenth of a second below a minute.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "unknown".into();
    }
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let s = seconds.round() as u64;
    match s / 3600 {
        0 => format!("{} min {:02} s", s / 60, s % 60),
        h => format!("{h} h {:02} min {:02} s", s / 60 % 60, s % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_flushed_right_and_text_left() {
        let mut table = Table::new(["name", "n"]);
        table.row(["rest", "910"]);
        table.row(["arithmetic", "31"]);
        assert_eq!(
            table.to_string(),
            "name          n\n----------  ---\nrest        910\narithmetic   31\n"
        );
    }

    #[test]
    fn durations_and_bytes_read_well() {
        assert_eq!(duration(59.94), "59.9 s");
        assert_eq!(duration(3723.0), "1 h 02 min 03 s");
        assert_eq!(duration(f64::NAN), "unknown");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(5 << 20), "5.0 MiB");
    }

    #[test]
    fn a_cause_already_quoted_is_not_repeated() {
        let inner = anyhow::anyhow!("no such file");
        assert_eq!(
            error_chain(&inner.context("cannot read a.edf")),
            "cannot read a.edf\n  caused by: no such file"
        );
        let inner = anyhow::anyhow!("no such file");
        assert_eq!(
            error_chain(&inner.context("cannot read a.edf: no such file")),
            "cannot read a.edf: no such file"
        );
    }
}
