//! Side-cars of data sets, the small files beside the recordings, as tables of text.
//!
//! Owns their grammars and their text encodings. Knows nothing of data sets or SQL, and
//! gives numbers as text: whoever reads the table casts.
//!
//! [`read`] opens a file, [`parse`] takes bytes that are already there. A line that cannot be
//! read is left out and becomes a [`Note`]; a file that is not of the format is an [`Error`].
//!
//! ```
//! use mmpipe_sidecars::{Format, parse};
//! let table = parse("x.rec".as_ref(), b"13,90.4,91.4,6\n13,oops\n", Format::TuhRec)?;
//! assert_eq!(table.columns, ["pair", "start", "stop", "code", "label"]);
//! assert_eq!(table.rows[0][4].as_deref(), Some("bckg"));
//! assert_eq!(table.notes[0].line, 2);
//! # Ok::<(), mmpipe_sidecars::Error>(())
//! ```
//!
//! # Bounds
//! Files above 256 MiB are refused before they are read. A table holds at most
//! 65,536 + 4 cells for every byte of its file, and 16 bytes of text a byte plus 1 MiB (a
//! dotted key or a channel list may repeat); one that needs more is refused. A workbook is
//! compressed: it may unpack to 256 MiB.

mod cap;
mod chbmit;
mod clock;
mod delimited;
mod error;
mod format;
mod hmc;
mod json;
mod lines;
mod table;
mod text;
mod textgrid;
mod tuh;
mod wfdb;
mod xlsx;
mod yaml;

use std::path::Path;

pub use error::{At, Error, Result};
pub use format::Format;
pub use json::flatten;
pub use table::{Note, Table};
pub use text::{decode, read_text};

/// Larger files are no side-cars; they are refused before they are read.
pub const MOST_BYTES: u64 = 256 << 20;

/// Reads a side-car.
///
/// # Errors
/// [`Error::Io`], [`Error::TooLarge`], or [`Error::Content`] with the line and what was
/// expected.
pub fn read(path: &Path, format: Format) -> Result<Table> {
    parse(path, &text::read_bytes(path)?, format)
}

/// Reads a side-car from its bytes; `path` is named in errors only.
///
/// # Errors
/// [`Error::TooLarge`], or [`Error::Content`] with the line and what was expected.
pub fn parse(path: &Path, bytes: &[u8], format: Format) -> Result<Table> {
    text::check_size(path, bytes.len() as u64)?;
    let parsed = match format {
        Format::Xlsx => xlsx::parse(bytes),
        Format::WfdbAnnotations => wfdb::parse(bytes),
        text => parse_text(&decode(bytes), text),
    };
    parsed.map_err(|bad| bad.at_path(path))
}

fn parse_text(text: &str, format: Format) -> std::result::Result<Table, error::Bad> {
    match format {
        Format::Csv => delimited::parse(text, b','),
        Format::Tsv => delimited::parse(text, b'\t'),
        Format::JsonRows => json::rows(text),
        Format::JsonTree => json::tree(text),
        Format::Lines => lines::parse(text),
        Format::Yaml => yaml::parse(text),
        Format::Textgrid => textgrid::parse(text),
        Format::TuhRec => tuh::rec(text),
        Format::TuhLab => tuh::lab(text),
        Format::TuhCsv => tuh::csv(text),
        Format::TuhTse => tuh::tse(text),
        Format::ChbmitSummary => chbmit::parse(text),
        Format::CapScoring => cap::parse(text),
        Format::HmcScoring => hmc::parse(text),
        Format::Xlsx | Format::WfdbAnnotations => Err(error::Bad::file(
            "binary",
            "expected a text format, found a binary one",
        )),
    }
}
