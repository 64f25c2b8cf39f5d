//! WFDB annotations in MIT format: words of 16 bits, low byte first, six bits of code above
//! ten bits of value. "annot(5)" in the WFDB Applications Guide.

mod symbols;

use std::collections::HashMap;

use crate::error::{At, Bad};
use crate::format::Format;
use crate::table::{Builder, Table};
use crate::text::decode;

/// Codes that are no annotations but say something about one.
const SKIP: u16 = 59;
const NUM: u16 = 60;
const SUB: u16 = 61;
const CHN: u16 = 62;
const AUX: u16 = 63;
/// The last code of an annotation; the codes up to [`SKIP`] are not in use.
const LAST: u16 = 49;
/// A comment; with sample 0 and "## " it describes the file.
const NOTE: u16 = 22;

/// An annotation whose modifiers are still being read.
struct Annotation {
    byte: u64,
    sample: i64,
    code: u16,
    subtype: i8,
    aux: Option<String>,
}

struct Reader {
    out: Builder,
    /// `chan` and `num` hold from where they are set.
    chan: u8,
    num: i8,
    fs: Option<String>,
    own: HashMap<u16, String>,
    defining: bool,
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Table, Bad> {
    let mut reader = Reader {
        out: Builder::of(Format::WfdbAnnotations, bytes.len()),
        chan: 0,
        num: 0,
        fs: None,
        own: HashMap::new(),
        defining: false,
    };
    reader.all(bytes)?;
    let fs = reader.fs;
    let mut table = reader.out.finish()?;
    for row in &mut table.rows {
        if let Some(cell) = row.last_mut() {
            cell.clone_from(&fs);
        }
    }
    Ok(table)
}

impl Reader {
    fn all(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        let word = |at: usize| {
            let pair = bytes.get(at..at.checked_add(2)?)?;
            Some(u16::from_le_bytes(pair.try_into().ok()?))
        };
        let mut at = 0usize;
        let mut sample = 0i64;
        let mut open: Option<Annotation> = None;
        loop {
            let Some(now) = word(at) else {
                self.close(open)?;
                return self.no_end(at, bytes.len());
            };
            let (code, value) = (now >> 10, now & 0x3ff);
            let here = at as u64;
            at += 2;
            match code {
                0 if value == 0 => {
                    self.close(open)?;
                    if bytes.len() > at {
                        let message = format!(
                            "{} bytes after the end word at byte {here}; left out",
                            bytes.len() - at
                        );
                        self.out.note(0, "wfdb-rest", message);
                    }
                    return Ok(());
                }
                SKIP => {
                    self.close(open.take())?;
                    // The high half comes first.
                    let (Some(high), Some(low)) = (word(at), word(at + 2)) else {
                        return self.no_end(at, bytes.len());
                    };
                    at += 4;
                    let step = (u32::from(high) << 16 | u32::from(low)).cast_signed();
                    sample += i64::from(step);
                }
                NUM => self.num = (value as u8).cast_signed(),
                CHN => self.chan = value as u8,
                SUB => match &mut open {
                    Some(a) => a.subtype = (value as u8).cast_signed(),
                    None => self.stray(here, "SUB"),
                },
                AUX => {
                    let length = usize::from(value);
                    let Some(text) = bytes.get(at..at + length) else {
                        self.close(open)?;
                        return self.no_end(at, bytes.len());
                    };
                    at += length + length % 2;
                    match &mut open {
                        Some(a) => a.aux = Some(aux(text)),
                        None => self.stray(here, "AUX"),
                    }
                }
                code if code > LAST => {
                    let message = format!(
                        "expected an annotation code up to {LAST} or from {SKIP}, found {code}: not an annotation file in MIT format"
                    );
                    return Err(Bad::new(At::Byte(here), "wfdb-code", message));
                }
                code => {
                    self.close(open.take())?;
                    sample += i64::from(value);
                    open = Some(Annotation {
                        byte: here,
                        sample,
                        code,
                        subtype: 0,
                        aux: None,
                    });
                }
            }
        }
    }

    fn stray(&mut self, byte: u64, what: &str) {
        let message = format!("byte {byte}: {what} before any annotation; left out");
        self.out.note(0, "wfdb-stray", message);
    }

    /// The bytes end before the end word. Without any annotation there is no file to speak of.
    fn no_end(&mut self, at: usize, size: usize) -> Result<(), Bad> {
        let message = format!(
            "expected the end word, found the end of the file after {size} bytes; it is cut short"
        );
        if self.out.rows().is_empty() {
            return Err(Bad::new(At::Byte(at as u64), "wfdb-end", message));
        }
        self.out.note(0, "wfdb-end", message);
        Ok(())
    }

    /// Writes an annotation, unless it describes the file.
    fn close(&mut self, open: Option<Annotation>) -> Result<(), Bad> {
        let Some(a) = open else { return Ok(()) };
        // Code 0 with a value only moves the time.
        if a.code == 0 || self.describes(&a) {
            return Ok(());
        }
        if a.sample < 0 {
            let message = format!(
                "byte {}: sample {} is before the first; left out",
                a.byte, a.sample
            );
            self.out.note(0, "wfdb-sample", message);
            return Ok(());
        }
        let symbol = self.own.get(&a.code).cloned();
        let symbol = symbol.or_else(|| symbols::of(a.code).map(str::to_owned));
        if symbol.is_none() {
            let message = format!("byte {}: code {} has no symbol; null", a.byte, a.code);
            self.out.note(0, "wfdb-symbol", message);
        }
        self.out.row(vec![
            Some(a.sample.to_string()),
            symbol,
            Some(a.subtype.to_string()),
            Some(self.chan.to_string()),
            Some(self.num.to_string()),
            a.aux,
        ])
    }

    /// Comments at sample 0: the time resolution, and symbols of the file's own.
    fn describes(&mut self, a: &Annotation) -> bool {
        let Some(aux) = a.aux.as_deref().filter(|_| a.code == NOTE && a.sample == 0) else {
            return false;
        };
        if let Some(rate) = aux.strip_prefix("## time resolution:") {
            let rate = rate.trim();
            if crate::clock::number(rate).is_none_or(|r| r <= 0.0) {
                return false;
            }
            self.fs = Some(rate.to_owned());
            return true;
        }
        match aux {
            "## annotation type definitions" => self.defining = true,
            "## end of definitions" => self.defining = false,
            line if self.defining => {
                let mut words = line.split_whitespace();
                let code = words.next().and_then(|w| w.parse().ok());
                match (code, words.next()) {
                    (Some(code), Some(symbol)) if code <= LAST => {
                        self.own.insert(code, symbol.to_owned());
                    }
                    _ => return false,
                }
            }
            _ => return false,
        }
        true
    }
}

/// Text of an annotation, without the NULs that some writers pad it with.
fn aux(raw: &[u8]) -> String {
    let end = raw.iter().rposition(|&b| b != 0).map_or(0, |i| i + 1);
    let raw = raw.get(..end).unwrap_or_default();
    match std::str::from_utf8(raw) {
        Ok(text) => text.to_owned(),
        Err(_) => decode(raw),
    }
}
