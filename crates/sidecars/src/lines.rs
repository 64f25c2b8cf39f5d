//! Plain text, a row a line.

use crate::error::Bad;
use crate::format::Format;
use crate::table::{Builder, Table};
use crate::text;

pub(crate) fn parse(text: &str) -> Result<Table, Bad> {
    let mut out = Builder::of(Format::Lines, text.len());
    for (number, line) in text::lines(text) {
        out.row(vec![Some(number.to_string()), Some(line.to_owned())])?;
    }
    out.finish()
}
