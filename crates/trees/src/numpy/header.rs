//! The header of an `.npy` stream: a magic, a version, and a Python dictionary as text.
//!
//! Source: NumPy Enhancement Proposal 1 and `numpy.lib.format`, versions 1.0 to 3.0.

use crate::numbers::Number;
use crate::tree::Class;

/// The first six bytes.
pub(crate) const MAGIC: &[u8] = b"\x93NUMPY";

/// What each element is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One number, shown as a class.
    Number(Number, Class),
    /// A real number, then an imaginary one.
    Complex(Number, Class),
    /// So many bytes of text, padded with NUL.
    Bytes(usize),
    /// So many UTF-32 code points, padded with NUL.
    Points(usize),
}

impl Kind {
    /// Bytes that one element takes.
    pub(super) fn size(self) -> usize {
        match self {
            Kind::Number(n, _) => n.size(),
            Kind::Complex(n, _) => 2 * n.size(),
            Kind::Bytes(n) => n,
            Kind::Points(n) => n.saturating_mul(4),
        }
    }
}

/// A parsed header.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) big: bool,
    pub(super) fortran: bool,
    pub(super) dims: Vec<u64>,
    /// Where the data start.
    pub(super) data: usize,
    /// How many bytes they take.
    pub(super) bytes: usize,
}

/// Why a header was not read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The bytes at hand end within the header.
    Short,
    /// It is not as the format says: field, offset, message.
    Bad(&'static str, usize, String),
    /// It is, but the type is not read.
    Unsupported(String),
}

impl Header {
    /// Parses the header of a stream of `total` bytes, of which the first are at hand.
    pub(super) fn parse(bytes: &[u8], total: u64) -> Result<Header, Fault> {
        let bad = |field, at, message: String| Err(Fault::Bad(field, at, message));
        let start = bytes.first_chunk::<8>().ok_or(Fault::Short)?;
        if !start.starts_with(MAGIC) {
            return bad("magic", 0, "expected \\x93NUMPY".to_owned());
        }
        let (length, text_at) = match start[6] {
            1 => {
                let two = bytes.get(8..).and_then(<[u8]>::first_chunk::<2>);
                (u32::from(u16::from_le_bytes(*two.ok_or(Fault::Short)?)), 10)
            }
            2 | 3 => {
                let four = bytes.get(8..).and_then(<[u8]>::first_chunk::<4>);
                (u32::from_le_bytes(*four.ok_or(Fault::Short)?), 12)
            }
            other => return bad("version", 6, format!("expected 1 to 3, found {other}")),
        };
        let data = text_at + length as usize;
        if data as u64 > total {
            let message = format!(
                "{length} bytes are claimed, {} are there",
                total - text_at as u64
            );
            return bad("header length", 8, message);
        }
        let text = bytes.get(text_at..data).ok_or(Fault::Short)?;
        let text = String::from_utf8_lossy(text);
        let dict = match dictionary(&text) {
            Ok(dict) => dict,
            Err(Literal::Bad(at, message)) => {
                return bad("header", text_at + at, message.to_owned());
            }
            Err(Literal::Structured) => {
                return Err(Fault::Unsupported("a structured dtype".to_owned()));
            }
        };
        let (kind, big) = descr(&dict.descr)?;
        let n = dict.shape.iter().try_fold(1u64, |n, d| n.checked_mul(*d));
        let bytes = n.and_then(|n| n.checked_mul(kind.size() as u64));
        let there = total - data as u64;
        let Some(bytes) = bytes.filter(|b| *b <= there) else {
            let message = format!(
                "shape {:?} of {:?} does not fit into the {there} bytes of data",
                dict.shape, dict.descr
            );
            return bad("shape", text_at, message);
        };
        Ok(Header {
            kind,
            big,
            fortran: dict.fortran,
            dims: dict.shape,
            data,
            bytes: bytes as usize,
        })
    }
}

fn descr(text: &str) -> Result<(Kind, bool), Fault> {
    let unsupported = || Err(Fault::Unsupported(format!("dtype {text:?}")));
    let mut rest = text;
    let mut big = false;
    if let Some(after) = text.strip_prefix(['<', '>', '|', '=']) {
        big = text.starts_with('>');
        rest = after;
    }
    let mut chars = rest.chars();
    let letter = chars.next().unwrap_or(' ');
    let Ok(size) = chars.as_str().parse::<u32>() else {
        return unsupported();
    };
    let number = match (letter, size) {
        ('b', 1) => (Number::U8, Class::Bool),
        ('i', 1) => (Number::I8, Class::Int(8)),
        ('i', 2) => (Number::I16, Class::Int(16)),
        ('i', 4) => (Number::I32, Class::Int(32)),
        ('i', 8) => (Number::I64, Class::Int(64)),
        ('u', 1) => (Number::U8, Class::UInt(8)),
        ('u', 2) => (Number::U16, Class::UInt(16)),
        ('u', 4) => (Number::U32, Class::UInt(32)),
        ('u', 8) => (Number::U64, Class::UInt(64)),
        ('f', 2) => (Number::F16, Class::OtherFloat),
        ('f', 4) => (Number::F32, Class::F32),
        ('f', 8) => (Number::F64, Class::F64),
        ('c', 8) => return Ok((Kind::Complex(Number::F32, Class::F32), big)),
        ('c', 16) => return Ok((Kind::Complex(Number::F64, Class::F64), big)),
        ('S' | 'a', n) => return Ok((Kind::Bytes(n as usize), big)),
        ('U', n) => return Ok((Kind::Points(n as usize), big)),
        _ => return unsupported(),
    };
    Ok((Kind::Number(number.0, number.1), big))
}

struct Dict {
    descr: String,
    fortran: bool,
    shape: Vec<u64>,
}

enum Literal {
    Bad(usize, &'static str),
    Structured,
}

/// `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }` in any order of keys.
fn dictionary(text: &str) -> Result<Dict, Literal> {
    let mut at = Cursor { text, at: 0 };
    let (mut descr, mut fortran, mut shape) = (None, None, None);
    at.expect('{')?;
    loop {
        if at.take('}') {
            break;
        }
        let key = at.string()?;
        at.expect(':')?;
        match key {
            "descr" if at.peek() == Some('[') => return Err(Literal::Structured),
            "descr" => descr = Some(at.string()?.to_owned()),
            "fortran_order" => fortran = Some(at.truth()?),
            "shape" => shape = Some(at.tuple()?),
            _ => return Err(at.bad("a key other than descr, fortran_order and shape")),
        }
        if !at.take(',') {
            at.expect('}')?;
            break;
        }
    }
    match (descr, fortran, shape) {
        (Some(descr), Some(fortran), Some(shape)) => Ok(Dict {
            descr,
            fortran,
            shape,
        }),
        _ => Err(at.bad("descr, fortran_order or shape is missing")),
    }
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn bad(&self, message: &'static str) -> Literal {
        Literal::Bad(self.at, message)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&mut self) -> Option<char> {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
        self.rest().chars().next()
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn expect(&mut self, c: char) -> Result<(), Literal> {
        match self.take(c) {
            true => Ok(()),
            false => Err(self.bad("expected a Python dictionary")),
        }
    }

    fn string(&mut self) -> Result<&'a str, Literal> {
        let quote = match self.peek() {
            Some(c @ ('\'' | '"')) => c,
            _ => return Err(self.bad("expected a quoted string")),
        };
        self.at += 1;
        let rest = self.rest();
        let Some((found, _)) = rest.split_once(quote) else {
            return Err(self.bad("a string is not closed"));
        };
        self.at += found.len() + 1;
        Ok(found)
    }

    fn truth(&mut self) -> Result<bool, Literal> {
        self.peek();
        for (word, value) in [("True", true), ("False", false)] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.bad("expected True or False"))
    }

    fn tuple(&mut self) -> Result<Vec<u64>, Literal> {
        self.expect('(')?;
        let mut numbers = Vec::new();
        while !self.take(')') {
            let rest = self.rest();
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number = rest.get(..digits).unwrap_or_default().parse::<u64>();
            let number = number.map_err(|_| self.bad("expected a size"))?;
            self.at += digits;
            // Python 2 wrote long integers so.
            self.take('L');
            numbers.push(number);
            // NumPy itself has at most 64 dimensions.
            if numbers.len() > 64 {
                return Err(self.bad("more than 64 dimensions"));
            }
            if !self.take(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dictionaries() {
        let good = "{'descr': '>c16', 'fortran_order': True, 'shape': (3L, 4), }   \n";
        let dict = dictionary(good).ok().unwrap();
        assert_eq!((dict.descr.as_str(), dict.fortran), (">c16", true));
        assert_eq!(dict.shape, [3, 4]);
        for bad in [
            "",
            "{",
            "{'descr': 3}",
            "{'descr': '<f8'}",
            "{'descr': '<f8', 'fortran_order': 1, 'shape': ()}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (1,2}",
            "{'descr: '<f8'}",
            "{'x': 1}",
        ] {
            assert!(matches!(dictionary(bad), Err(Literal::Bad(..))), "{bad}");
        }
        let structured = "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,)}";
        assert!(matches!(dictionary(structured), Err(Literal::Structured)));
    }

    #[test]
    fn types() {
        for text in ["<f16", "|O", "<M8[ns]", "|V8", "f", "", "<i3", "<é4"] {
            assert!(matches!(descr(text), Err(Fault::Unsupported(_))), "{text}");
        }
        assert!(matches!(
            descr("|u1"),
            Ok((Kind::Number(Number::U8, Class::UInt(8)), false))
        ));
    }
}
