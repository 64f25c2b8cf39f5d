//! Bytes to text, and lines.

use std::path::Path;

use crate::MOST_BYTES;
use crate::error::{Error, Result};

/// Reads a text file: UTF-8 with or without a byte-order mark, UTF-16, else Latin-1.
///
/// # Errors
/// [`Error::Io`] or [`Error::TooLarge`].
pub fn read_text(path: &Path) -> Result<String> {
    Ok(decode(&read_bytes(path)?))
}

/// The whole file, its size checked first.
pub(crate) fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    use std::io::Read;
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    check_size(path, size)?;
    // The file may grow while it is read.
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    check_size(path, bytes.len() as u64)?;
    Ok(bytes)
}

pub(crate) fn check_size(path: &Path, bytes: u64) -> Result<()> {
    if bytes > MOST_BYTES {
        return Err(Error::TooLarge {
            path: path.to_owned(),
            bytes,
            most: MOST_BYTES,
        });
    }
    Ok(())
}

/// Text in UTF-8 or UTF-16 (with a byte-order mark, or when the first two characters are
/// ASCII), else Latin-1. What is no character in UTF-16, or after a mark of UTF-8, becomes
/// U+FFFD.
pub fn decode(raw: &[u8]) -> String {
    match raw {
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8_lossy(rest).into_owned(),
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [1..=127, 0, 1..=127, 0, ..] => utf16(raw, u16::from_le_bytes),
        [0, 1..=127, 0, 1..=127, ..] => utf16(raw, u16::from_be_bytes),
        _ => match std::str::from_utf8(raw) {
            Ok(text) => text.to_owned(),
            Err(_) => latin1(raw),
        },
    }
}

/// Every byte is the character of its number.
pub(crate) fn latin1(raw: &[u8]) -> String {
    raw.iter().map(|&b| char::from(b)).collect()
}

fn utf16(raw: &[u8], read: fn([u8; 2]) -> u16) -> String {
    let pairs = raw.chunks_exact(2);
    let odd = !pairs.remainder().is_empty();
    let units = pairs.map(|pair| read([pair[0], pair[1]]));
    let mut text: String = char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect();
    if odd {
        text.push(char::REPLACEMENT_CHARACTER);
    }
    text
}

/// Lines with their numbers from 1, ended by `\n`, `\r\n` or `\r`.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (u64, &str)> {
    let mut rest = Some(text).filter(|t| !t.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = text.find(['\r', '\n']) else {
            rest = None;
            return Some(text);
        };
        let after = if text[end..].starts_with("\r\n") {
            2
        } else {
            1
        };
        rest = Some(&text[end + after..]).filter(|t| !t.is_empty());
        Some(&text[..end])
    })
    .zip(1..)
    .map(|(line, number)| (number, line))
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
        assert_eq!(decode(b"\xFE\xFF\0a\0b"), "ab");
        assert_eq!(decode(b"a\0b\0\xB5\0"), "abµ");
        assert_eq!(decode(b"\0a\0b\0\xB5"), "abµ");
        assert_eq!(decode(b"\xFF\xFEa\0b"), "a\u{FFFD}");
        assert_eq!(decode(b"\xFF\xFE\x00\xD8"), "\u{FFFD}");
        assert_eq!(decode(b""), "");
    }

    #[test]
    fn lines_end_in_three_ways() {
        let all: Vec<_> = lines("a\nb\r\nc\rd\n\ne").collect();
        assert_eq!(
            all,
            [(1, "a"), (2, "b"), (3, "c"), (4, "d"), (5, ""), (6, "e")]
        );
        assert_eq!(lines("").count(), 0);
        assert_eq!(lines("a\n").count(), 1);
    }
}
