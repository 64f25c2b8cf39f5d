//! The subsystem: where MATLAB keeps the properties of its objects. Read far enough for `string`
//! and `table`; every other class stays opaque.
//!
//! A file's subsystem is a nameless array of bytes that is itself a stream of arrays. Its struct
//! has a field `MCOS` whose cell array starts with tables of names, classes, objects and
//! properties (32-bit words, in the first cell) and goes on with the properties' values.

use super::head::MX_OPAQUE;
use super::node::{Body, Node, Stored, node};
use super::tag::{Fault, word};
use crate::numbers::Number;

/// The first word of an array that refers to an object.
pub(super) const MAGIC: u32 = 0xdd00_0000;

/// The decoded tables.
#[derive(Debug)]
pub(super) struct Subsystem {
    /// The stream, in which all offsets count.
    pub(super) bytes: Vec<u8>,
    big: bool,
    /// The range of the first cell's bytes.
    tables: (usize, usize),
    /// Offsets of the cells.
    cells: Vec<usize>,
}

/// A reference to an array of objects of one class.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) dims: Vec<u64>,
    pub(super) first: u32,
}

fn told(fault: Fault) -> String {
    match fault {
        Fault::Short => "the subsystem ends early".to_owned(),
        Fault::Bad { field, message, .. } => format!("{field}: {message}"),
    }
}

impl Subsystem {
    /// Parses the content of the nameless array.
    ///
    /// # Errors
    /// A message.
    pub(super) fn parse(bytes: Vec<u8>, big: bool) -> Result<Subsystem, String> {
        let order: &[u8] = if big { b"MI" } else { b"IM" };
        if bytes.get(2..4) != Some(order) {
            return Err("the subsystem's byte order is not the file's".to_owned());
        }
        let top = node(&bytes, 8, big).map_err(told)?;
        let Body::Children(fields) = &top.body else {
            return Err("the subsystem is no struct".to_owned());
        };
        let mcos = top.head.fields.iter().position(|f| f == "MCOS");
        let Some(&at) = mcos.and_then(|k| fields.get(k)) else {
            return Err("the subsystem has no part for MCOS objects".to_owned());
        };
        let wrapper = node(&bytes, at, big).map_err(told)?;
        let Body::Object(at) = wrapper.body else {
            return Err("the subsystem's MCOS part is no object".to_owned());
        };
        let Body::Children(cells) = node(&bytes, at, big).map_err(told)?.body else {
            return Err("the subsystem's MCOS part holds no cell array".to_owned());
        };
        let first = cells.first().ok_or("the subsystem has no tables")?;
        let tables = match node(&bytes, *first, big).map_err(told)?.body {
            Body::Numbers(
                Stored {
                    number: Number::U8,
                    at,
                },
                None,
            ) => (at.start, at.end),
            _ => return Err("the subsystem's tables are no bytes".to_owned()),
        };
        Ok(Subsystem {
            bytes,
            big,
            tables,
            cells,
        })
    }

    /// Word `k` of the tables.
    fn at(&self, k: usize) -> Result<u32, String> {
        let at = k.checked_mul(4).and_then(|b| b.checked_add(self.tables.0));
        let at = at.filter(|at| at.saturating_add(4) <= self.tables.1);
        let at = at.ok_or("the subsystem's tables end early")?;
        word(&self.bytes, at, self.big).map_err(told)
    }

    /// First and last word (exclusive) of table `k`, from 1.
    fn table(&self, k: usize) -> Result<(usize, usize), String> {
        let (from, to) = (self.at(1 + k)? as usize, self.at(2 + k)? as usize);
        if from > to || to > self.tables.1 - self.tables.0 || from % 4 != 0 {
            return Err(format!("table {k} of the subsystem lies at {from} to {to}"));
        }
        Ok((from / 4, to / 4))
    }

    /// Name `k`, from 1.
    fn name(&self, k: u32) -> Result<&[u8], String> {
        let names = self.bytes.get(self.tables.0..self.tables.1);
        let names = names.and_then(|t| t.get(40..)).unwrap_or_default();
        let at = (k as usize).checked_sub(1);
        at.and_then(|k| names.split(|b| *b == 0).nth(k))
            .ok_or_else(|| format!("the subsystem has no name {k}"))
    }

    /// The offset of the value of property `name` of an object (numbered from 1).
    ///
    /// # Errors
    /// A message; `Ok(None)` when it has no such property of its own.
    pub(super) fn property(&self, object: u32, name: &str) -> Result<Option<usize>, String> {
        let (from, to) = self.table(3)?;
        let entry = from.saturating_add((object as usize).saturating_mul(6));
        if object == 0 || entry.saturating_add(6) > to {
            return Err(format!("the subsystem has no object {object}"));
        }
        let (saved, normal) = (self.at(entry + 3)?, self.at(entry + 4)?);
        let (table, id) = if saved != 0 { (2, saved) } else { (4, normal) };
        let (mut at, to) = self.table(table)?;
        for _ in 0..id {
            at = self.block_end(at, to)?;
        }
        let end = self.block_end(at, to)?;
        let count = self.at(at)? as usize;
        for k in 0..count {
            let entry = at + 1 + 3 * k;
            if entry + 3 > end {
                break;
            }
            // Kind 1 is a value among the cells; 0 (enumeration) and 2 (attribute) are not.
            if self.at(entry + 1)? == 1 && self.name(self.at(entry)?)? == name.as_bytes() {
                let cell = self.at(entry + 2)? as usize;
                let offset = self.cells.get(cell.saturating_add(2));
                return match offset {
                    Some(offset) => Ok(Some(*offset)),
                    None => Err(format!("the subsystem has no value {cell}")),
                };
            }
        }
        Ok(None)
    }

    /// The word after a block of properties: a count, then three words each, padded to 8 bytes.
    fn block_end(&self, at: usize, to: usize) -> Result<usize, String> {
        let words = (self.at(at)? as usize).saturating_mul(3).saturating_add(1);
        let end = at.saturating_add(words.next_multiple_of(2));
        if end > to {
            return Err("a block of properties runs past its table".to_owned());
        }
        Ok(end)
    }

    /// The name of a class, numbered from 1.
    fn class(&self, id: u32) -> Result<&[u8], String> {
        let (from, to) = self.table(1)?;
        let entry = from.saturating_add((id as usize).saturating_mul(4));
        if id == 0 || entry.saturating_add(4) > to {
            return Err(format!("the subsystem has no class {id}"));
        }
        self.name(self.at(entry + 1)?)
    }

    /// What an array of words refers to, and its class; `None` when it is no reference.
    pub(super) fn reference(&self, words: &[u32]) -> Result<Option<(Reference, &[u8])>, String> {
        let [MAGIC, n, rest @ ..] = words else {
            return Ok(None);
        };
        let Some((dims, rest)) = rest.split_at_checked(*n as usize) else {
            return Ok(None);
        };
        let count = dims
            .iter()
            .try_fold(1u64, |n, d| n.checked_mul(u64::from(*d)));
        let [ids @ .., class] = rest else {
            return Ok(None);
        };
        if count != Some(ids.len() as u64) || ids.is_empty() {
            return Ok(None);
        }
        Ok(Some((
            Reference {
                dims: dims.iter().map(|d| u64::from(*d)).collect(),
                first: ids.first().copied().unwrap_or(0),
            },
            self.class(*class)?,
        )))
    }

    /// Decodes the saved form of a string array: version, dimensions, lengths, UTF-16 text.
    /// Missing strings become empty ones.
    pub(super) fn strings(&self, value: usize) -> Result<(Vec<u64>, Vec<String>), String> {
        let value: Node = node(&self.bytes, value, self.big).map_err(told)?;
        let Body::Numbers(stored, None) = value.body else {
            return Err("a string's saved form is no array of numbers".to_owned());
        };
        let words = self.bytes.get(stored.at).unwrap_or_default();
        if stored.number != Number::U64 {
            return match words.is_empty() {
                true => Ok((vec![0, 0], Vec::new())),
                false => Err("a string's saved form is not of 64-bit words".to_owned()),
            };
        }
        let (words, _) = words.as_chunks::<8>();
        let number = |k: usize| -> Result<u64, String> {
            let word = *words.get(k).ok_or("a string's saved form ends early")?;
            Ok(if self.big {
                u64::from_be_bytes(word)
            } else {
                u64::from_le_bytes(word)
            })
        };
        if words.is_empty() {
            return Ok((vec![0, 0], Vec::new()));
        }
        if number(0)? != 1 {
            return Err(format!(
                "version {} of saved strings is not known",
                number(0)?
            ));
        }
        let rank = number(1)?.min(words.len() as u64) as usize;
        let dims = (0..rank)
            .map(|k| number(2 + k))
            .collect::<Result<Vec<u64>, String>>()?;
        let count = dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d));
        let count = count.filter(|n| *n <= words.len() as u64);
        let count = count.ok_or("a string's saved form ends early")? as usize;
        let mut units = words
            .get(2 + rank + count..)
            .unwrap_or_default()
            .as_flattened();
        let mut texts = Vec::with_capacity(count);
        for k in 0..count {
            let length = match number(2 + rank + k)? {
                u64::MAX => 0,
                n => usize::try_from(n).unwrap_or(usize::MAX),
            };
            let split = length
                .checked_mul(2)
                .and_then(|n| units.split_at_checked(n));
            let (text, rest) = split.ok_or("a string's saved form ends early")?;
            let text = text.as_chunks::<2>().0.iter();
            let text: Vec<u16> = text
                .map(|b| {
                    if self.big {
                        u16::from_be_bytes(*b)
                    } else {
                        u16::from_le_bytes(*b)
                    }
                })
                .collect();
            texts.push(String::from_utf16_lossy(&text));
            units = rest;
        }
        Ok((dims, texts))
    }

    /// The words of an array that may refer to an object: 32-bit numbers that start as such.
    pub(super) fn words(bytes: &[u8], node: &Node, big: bool) -> Option<Vec<u32>> {
        let Body::Numbers(stored, None) = &node.body else {
            return None;
        };
        if stored.number != Number::U32 || node.head.class == MX_OPAQUE {
            return None;
        }
        let data = bytes.get(stored.at.clone())?;
        let (words, _) = data.as_chunks::<4>();
        let value = |b: &[u8; 4]| {
            if big {
                u32::from_be_bytes(*b)
            } else {
                u32::from_le_bytes(*b)
            }
        };
        if words.first().map(value) != Some(MAGIC) {
            return None;
        }
        Some(words.iter().map(value).collect())
    }
}
