//! Praat TextGrids, in the long and the short text format.
//!
//! Praat itself reads both alike: of the text it takes the numbers, quoted texts and flags
//! that stand free between white space, and passes over all else (`xmin =`, `intervals [1]:`).
//! "TextGrid file formats" in the Praat manual. The binary and the chronological formats are
//! not supported.

use crate::clock::number;
use crate::error::Bad;
use crate::format::Format;
use crate::table::{Builder, Table, short};

/// A free-standing piece of text.
enum Token<'a> {
    Number(&'a str),
    Text(String),
    Flag(&'a str),
}

struct Tokens<'a> {
    rest: &'a str,
    line: u64,
}

impl<'a> Tokens<'a> {
    /// The next piece that Praat would read, with its line.
    fn next(&mut self) -> Result<Option<(u64, Token<'a>)>, Bad> {
        loop {
            self.skip_space();
            let at = self.line;
            let Some(first) = self.rest.chars().next() else {
                return Ok(None);
            };
            match first {
                '"' => return Ok(Some((at, Token::Text(self.quoted()?)))),
                // A comment, to the end of the line.
                '!' => {
                    let end = self.rest.find(['\n', '\r']).unwrap_or(self.rest.len());
                    self.rest = &self.rest[end..];
                }
                _ => {
                    let end = self.rest.find(char::is_whitespace);
                    let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
                    self.rest = rest;
                    if number(word).is_some() {
                        return Ok(Some((at, Token::Number(word))));
                    }
                    if word.starts_with('<') && word.ends_with('>') {
                        return Ok(Some((at, Token::Flag(word))));
                    }
                }
            }
        }
    }

    fn skip_space(&mut self) {
        let rest = self.rest.trim_start();
        let space = self.rest.len() - rest.len();
        self.count(&self.rest[..space]);
        self.rest = rest;
    }

    fn count(&mut self, passed: &str) {
        let bytes = passed.as_bytes();
        let ends = |i: usize, &b: &u8| b == b'\n' || b == b'\r' && bytes.get(i + 1) != Some(&b'\n');
        self.line += bytes
            .iter()
            .enumerate()
            .filter(|(i, b)| ends(*i, b))
            .count() as u64;
    }

    /// A text in quotes, in which a quote is doubled; it may go over several lines.
    fn quoted(&mut self) -> Result<String, Bad> {
        let start = self.line;
        let inside = self.rest.strip_prefix('"').unwrap_or(self.rest);
        let mut text = String::new();
        let mut from = 0;
        while let Some(end) = inside[from..].find('"').map(|i| from + i) {
            text.push_str(&inside[from..end]);
            if !inside[end + 1..].starts_with('"') {
                self.count(&inside[..end]);
                self.rest = &inside[end + 1..];
                return Ok(text);
            }
            text.push('"');
            from = end + 2;
        }
        Err(Bad::line(
            start,
            "textgrid-quote",
            "expected a closing quote before the end of the file, found none",
        ))
    }

    fn number(&mut self, what: &str) -> Result<(&'a str, f64), Bad> {
        match self.next()? {
            Some((at, Token::Number(text))) => match number(text) {
                Some(value) => Ok((text, value)),
                None => Err(expected(at, what, text)),
            },
            Some((at, Token::Text(text))) => Err(expected(at, what, &format!("\"{text}\""))),
            Some((at, Token::Flag(text))) => Err(expected(at, what, text)),
            None => Err(self.end(what)),
        }
    }

    fn text(&mut self, what: &str) -> Result<String, Bad> {
        match self.next()? {
            Some((_, Token::Text(text))) => Ok(text),
            Some((at, Token::Number(text) | Token::Flag(text))) => Err(expected(at, what, text)),
            None => Err(self.end(what)),
        }
    }

    /// A count. It only says how often to go on: nothing is allocated for it.
    fn size(&mut self, what: &str) -> Result<u64, Bad> {
        let at = self.line;
        let (text, value) = self.number(what)?;
        if value.fract() != 0.0 || !(0.0..1e15).contains(&value) {
            return Err(expected(at, what, text));
        }
        Ok(value as u64)
    }

    fn end(&self, what: &str) -> Bad {
        let message = format!("expected {what}, found the end of the file");
        Bad::line(self.line, "textgrid-end", message)
    }
}

fn expected(at: u64, what: &str, found: &str) -> Bad {
    let message = format!("expected {what}, found {}", short(found));
    Bad::line(at, "textgrid-value", message)
}

pub(crate) fn parse(text: &str) -> Result<Table, Bad> {
    let mut tokens = Tokens {
        rest: text,
        line: 1,
    };
    let head = text.trim_start();
    if head.starts_with("ooBinaryFile") {
        return Err(Bad::file(
            "textgrid-binary",
            "binary TextGrids are not supported: save it as a text file",
        ));
    }
    if head.starts_with("\"Praat chronological") {
        return Err(Bad::line(
            1,
            "textgrid-chronological",
            "chronological TextGrids are not supported: save it as a text file",
        ));
    }
    let is_file = head.starts_with("File type") || head.starts_with('"');
    if !is_file || !tokens.text("a file type")?.starts_with("ooTextFile") {
        return Err(Bad::line(
            1,
            "textgrid-type",
            "expected `File type = \"ooTextFile\"`",
        ));
    }
    let class = tokens.text("the object class \"TextGrid\"")?;
    if class != "TextGrid" {
        return Err(expected(
            tokens.line,
            "the object class \"TextGrid\"",
            &class,
        ));
    }
    tokens.number("xmin")?;
    tokens.number("xmax")?;
    let mut out = Builder::of(Format::Textgrid, text.len());
    let tiers = match tokens.next()? {
        Some((_, Token::Flag("<exists>"))) => tokens.size("the number of tiers")?,
        Some((_, Token::Flag("<absent>"))) => 0,
        _ => {
            return Err(Bad::line(
                tokens.line,
                "textgrid-value",
                "expected <exists> or <absent>",
            ));
        }
    };
    for _ in 0..tiers {
        tier(&mut tokens, &mut out)?;
    }
    if let Some((at, _)) = tokens.next()? {
        let message = "more values after the last tier; left out";
        out.note(at, "textgrid-rest", message);
    }
    out.finish()
}

fn tier(tokens: &mut Tokens<'_>, out: &mut Builder) -> Result<(), Bad> {
    let class = tokens.text("the class of a tier")?;
    let kind = match class.as_str() {
        "IntervalTier" => "interval",
        "TextTier" => "point",
        other => {
            let what = "\"IntervalTier\" or \"TextTier\"";
            return Err(expected(tokens.line, what, other));
        }
    };
    let name = tokens.text("the name of a tier")?;
    tokens.number("the tier's xmin")?;
    tokens.number("the tier's xmax")?;
    let size = tokens.size("the number of intervals or points")?;
    for index in 1..=size {
        let (from, xmin) = tokens.number("a time")?;
        let at = tokens.line;
        let (to, xmax) = match kind {
            "interval" => tokens.number("xmax")?,
            _ => (from, xmin),
        };
        let text = tokens.text("a text")?;
        if xmin > xmax {
            let message = format!("expected xmax after xmin, found {from} to {to}; left out");
            out.note(at, "textgrid-order", message);
            continue;
        }
        out.row(vec![
            Some(name.clone()),
            Some(kind.to_owned()),
            Some(index.to_string()),
            Some(from.to_owned()),
            Some(to.to_owned()),
            Some(text),
        ])?;
    }
    Ok(())
}
