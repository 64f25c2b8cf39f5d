//! MATLAB objects of v7.3 files, which lie in the hidden group `#subsystem#`. Read far enough
//! for `string` and `table`.
//!
//! A variable holds 32-bit words: a magic number, dimensions, object numbers and the class. The
//! data set `MCOS` has references: the first to tables of names, classes, objects and
//! properties (bytes), those from the third on to the properties' values. The format is
//! undocumented; this follows what files of MATLAB R2014b to R2024b show.

use super::dataset::Dataset;
use super::datatype::Type;
use super::file::little;
use super::object::Body;
use super::reader::{Hdf5, bare};
use crate::error::Result;
use crate::tree::{Class, Tree};

const MAGIC: u64 = 0xdd00_0000;
/// Most words of a variable that refers to objects, most bytes of the tables, most columns.
const MOST_WORDS: u64 = 1 << 20;
const MOST_BYTES: u64 = 1 << 28;

/// The tables and the addresses of the values.
pub(super) struct Subsystem {
    tables: Vec<u8>,
    values: Vec<u64>,
}

/// An object that is read.
pub(super) enum Instance {
    /// Dimensions and texts.
    Strings(Vec<u64>, Vec<String>),
    /// Names and addresses of the columns.
    Table(Vec<String>, Vec<u64>),
}

type Told<T> = std::result::Result<T, String>;

impl Subsystem {
    fn word(&self, k: usize) -> Told<usize> {
        let bytes = self.tables.chunks_exact(4).nth(k);
        let bytes = bytes.ok_or("the subsystem's tables end early")?;
        Ok(little(bytes) as usize)
    }

    /// First and last word of table `k`, from 1.
    fn table(&self, k: usize) -> Told<(usize, usize)> {
        let (from, to) = (self.word(1 + k)?, self.word(2 + k)?);
        if from > to || to > self.tables.len() || from % 4 != 0 {
            return Err(format!("table {k} of the subsystem lies at {from} to {to}"));
        }
        Ok((from / 4, to / 4))
    }

    fn name(&self, k: usize) -> Told<&[u8]> {
        let names = self.tables.get(40..).unwrap_or_default();
        let name = k
            .checked_sub(1)
            .and_then(|k| names.split(|b| *b == 0).nth(k));
        name.ok_or_else(|| format!("the subsystem has no name {k}"))
    }

    fn class(&self, id: usize) -> Told<&[u8]> {
        let (from, to) = self.table(1)?;
        let entry = from.saturating_add(id.saturating_mul(4));
        if id == 0 || entry.saturating_add(4) > to {
            return Err(format!("the subsystem has no class {id}"));
        }
        self.name(self.word(entry + 1)?)
    }

    /// The word after a block of properties: a count, three words each, padded to 8 bytes.
    fn block_end(&self, at: usize, to: usize) -> Told<usize> {
        let words = self.word(at)?.saturating_mul(3).saturating_add(1);
        let end = at.saturating_add(words.next_multiple_of(2));
        if end > to {
            return Err("a block of properties runs past its table".to_owned());
        }
        Ok(end)
    }

    /// The address of the value of a property of an object (numbered from 1).
    fn property(&self, object: usize, name: &str) -> Told<u64> {
        let (from, to) = self.table(3)?;
        let entry = from.saturating_add(object.saturating_mul(6));
        if object == 0 || entry.saturating_add(6) > to {
            return Err(format!("the subsystem has no object {object}"));
        }
        let (saved, normal) = (self.word(entry + 3)?, self.word(entry + 4)?);
        let (table, id) = if saved != 0 { (2, saved) } else { (4, normal) };
        let (mut at, to) = self.table(table)?;
        for _ in 0..id {
            at = self.block_end(at, to)?;
        }
        self.block_end(at, to)?;
        for k in 0..self.word(at)? {
            let entry = at + 1 + 3 * k;
            // Kind 1 is a value among the references.
            if self.word(entry + 1)? == 1 && self.name(self.word(entry)?)? == name.as_bytes() {
                let value = self.word(entry + 2)?;
                let address = self.values.get(value.saturating_add(2)).copied();
                return address.ok_or_else(|| format!("the subsystem has no value {value}"));
            }
        }
        Err(format!("it has no property {name}"))
    }
}

impl Hdf5 {
    fn load_subsystem(&self) -> Result<Told<Subsystem>> {
        let root = self.object(self.file.root)?;
        let missing = || Ok(Err("the file has no subsystem of objects".to_owned()));
        let Some(group) = self.part_address(&root.body, "#subsystem#") else {
            return missing();
        };
        let group = self.object(group)?;
        let Some(mcos) = self.part_address(&group.body, "MCOS") else {
            return missing();
        };
        let mcos = self.object(mcos)?;
        let Body::Data(data) = &mcos.body else {
            return missing();
        };
        if !matches!(data.kind, Type::Reference { .. }) || data.len() > MOST_WORDS {
            return missing();
        }
        let size = data.kind.size();
        let bytes = data.raw(
            &self.file,
            &self.cache,
            0,
            data.len() as usize,
            &self.order(data),
        )?;
        let values: Vec<u64> = bytes.chunks_exact(size).map(little).collect();
        let Some(first) = values.first() else {
            return missing();
        };
        let tables = self.object(*first)?;
        let Body::Data(data) = &tables.body else {
            return missing();
        };
        if data.kind.size() != 1 || data.len() > MOST_BYTES {
            return Ok(Err("the subsystem's tables are no bytes".to_owned()));
        }
        let count = data.len() as usize;
        let tables = data.raw(&self.file, &self.cache, 0, count, &self.order(data))?;
        Ok(Ok(Subsystem { tables, values }))
    }

    fn part_address(&self, body: &Body, name: &str) -> Option<u64> {
        let Body::Group(members) = body else {
            return None;
        };
        members.iter().find_map(|(n, link)| match link {
            super::group::Link::Hard(address) if n == name => Some(*address),
            _ => None,
        })
    }

    /// What the words of a variable refer to, or why that is not read.
    pub(super) fn instance(&self, data: &Dataset) -> Result<Told<Instance>> {
        let subsystem = match self.subsystem.get() {
            Some(known) => known,
            None => {
                let loaded = self.load_subsystem()?;
                self.subsystem.get_or_init(|| loaded)
            }
        };
        let subsystem = match subsystem {
            Ok(subsystem) => subsystem,
            Err(reason) => return Ok(Err(reason.clone())),
        };
        let odd = || Ok(Err("its reference has an unknown form".to_owned()));
        if data.kind.size() != 4 || data.len() > MOST_WORDS {
            return odd();
        }
        let count = data.len() as usize;
        let bytes = data.raw(&self.file, &self.cache, 0, count, &self.order(data))?;
        let words: Vec<u64> = bytes.chunks_exact(4).map(little).collect();
        let [MAGIC, rank, rest @ ..] = words.as_slice() else {
            return odd();
        };
        let Some((_, ids)) = rest.split_at_checked(*rank as usize) else {
            return odd();
        };
        let [object, .., class] = ids else {
            return odd();
        };
        let (object, class) = (*object as usize, *class as usize);
        let class = match subsystem.class(class) {
            Ok(class) => class,
            Err(reason) => return Ok(Err(reason)),
        };
        match class {
            b"string" => match subsystem.property(object, "any") {
                Ok(address) => self.saved_strings(address),
                Err(reason) => Ok(Err(reason)),
            },
            b"table" => {
                let names = subsystem.property(object, "varnames");
                match (names, subsystem.property(object, "data")) {
                    (Ok(names), Ok(data)) => self.saved_table(names, data),
                    (Err(reason), _) | (_, Err(reason)) => Ok(Err(reason)),
                }
            }
            _ => Ok(Err("neither a string nor a table".to_owned())),
        }
    }

    fn saved_table(&self, names: u64, data: u64) -> Result<Told<Instance>> {
        let names = self.describe(names, "varnames".to_owned())?;
        let object = self.object(data)?;
        let (Class::Cell, Body::Data(data)) = (names.class, &object.body) else {
            return Ok(Err("its names or columns are no cell arrays".to_owned()));
        };
        let fits = matches!(data.kind, Type::Reference { .. }) && data.len() == names.len();
        if !fits || data.len() > MOST_WORDS {
            return Ok(Err("its names and columns differ in number".to_owned()));
        }
        let mut columns = Vec::new();
        for k in 0..data.len() {
            columns.push(self.reference(data, k)?.unwrap_or(0));
        }
        Ok(Ok(Instance::Table(self.texts(&names)?, columns)))
    }

    /// The saved form of a string array: version, dimensions, lengths, then UTF-16 text.
    /// Missing strings become empty ones.
    fn saved_strings(&self, address: u64) -> Result<Told<Instance>> {
        const SHORT: &str = "a string's saved form ends early";
        let object = self.object(address)?;
        let Body::Data(data) = &object.body else {
            return Ok(Err("a string's saved form is no array".to_owned()));
        };
        if object.mark.empty {
            let dims = bare(String::new(), Class::UInt(64), vec![data.len()], address);
            let dims = self.numbers(&dims, 64)?;
            let dims = dims.iter().map(|d| *d as u64).collect();
            return Ok(Ok(Instance::Strings(dims, Vec::new())));
        }
        if data.kind.size() != 8 || data.len() > MOST_BYTES {
            return Ok(Err(
                "a string's saved form is not of 64-bit words".to_owned()
            ));
        }
        let count = data.len() as usize;
        let bytes = data.raw(&self.file, &self.cache, 0, count, &self.order(data))?;
        let word = |k: usize| bytes.chunks_exact(8).nth(k).map(little);
        let (Some(1), Some(rank)) = (word(0), word(1)) else {
            return Ok(Err(
                "a string's saved form is of an unknown version".to_owned()
            ));
        };
        let rank = rank.min(64) as usize;
        let dims: Vec<u64> = (0..rank).filter_map(|k| word(2 + k)).collect();
        let total = dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d));
        let Some(total) = total.filter(|n| *n <= data.len() && dims.len() == rank) else {
            return Ok(Err(SHORT.to_owned()));
        };
        let start = 2 + rank + total as usize;
        let Some(mut units) = bytes.get(8 * start..) else {
            return Ok(Err(SHORT.to_owned()));
        };
        let lengths = bytes.get(8 * (2 + rank)..8 * start).unwrap_or_default();
        let mut texts = Vec::new();
        for length in lengths.chunks_exact(8).map(little) {
            let length = if length == u64::MAX { 0 } else { length };
            let split = usize::try_from(length).ok().and_then(|n| n.checked_mul(2));
            let Some((text, rest)) = split.and_then(|n| units.split_at_checked(n)) else {
                return Ok(Err(SHORT.to_owned()));
            };
            let text: Vec<u16> = text.chunks_exact(2).map(|b| little(b) as u16).collect();
            texts.push(String::from_utf16_lossy(&text));
            units = rest;
        }
        Ok(Ok(Instance::Strings(dims, texts)))
    }
}
