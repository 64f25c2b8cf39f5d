//! MATLAB v7.3: HDF5 behind a user block of 512 bytes. Superblock 0, groups as symbol tables,
//! contiguous data sets, object references for cells and struct arrays.
//!
//! Sources: HDF5 File Format Specification 3.0, sections II.A, III.A to III.D, IV.A;
//! attributes `MATLAB_class`, `MATLAB_empty` and `MATLAB_int_decode` as MATLAB writes them.

use std::path::Path;

use crate::error::{Error, Result};

use super::mat73_parts::{Attribute, Type, attribute, dataspace, message, object};
use super::{Numbers, Value};

/// Bytes in front of the HDF5 file, which addresses do not count.
const USER_BLOCK: usize = 512;
/// Length of superblock 0 with 8-byte addresses.
const SUPERBLOCK: usize = 96;
/// Half of the names of a symbol node, and half of the children of a B-tree node: the library's
/// own choice.
const LEAF_K: usize = 4;
const INTERNAL_K: usize = 16;
const UNDEFINED: u64 = u64::MAX;

/// Writes variables to a file. Nothing is compressed or cut into chunks.
///
/// # Errors
/// [`Error::Io`]; [`Error::Range`] for dimensions that do not agree with the number of elements,
/// a name that is empty or holds `/`, or more than 256 names in a group.
pub fn write_mat73(path: &Path, variables: &[(&str, Value)]) -> Result<()> {
    let mut file = File {
        path,
        bytes: vec![0; SUPERBLOCK],
        references: Vec::new(),
    };
    let mut members = Vec::new();
    for (name, value) in variables {
        members.push(((*name).to_owned(), file.value(name, value)?));
    }
    if !file.references.is_empty() {
        let references = std::mem::take(&mut file.references);
        let group = file.group("#refs#", references, &[])?;
        members.push(("#refs#".to_owned(), group));
    }
    let root = file.group("", members, &[])?;
    let superblock = file.superblock(root);
    if let Some(start) = file.bytes.get_mut(..SUPERBLOCK) {
        start.copy_from_slice(&superblock);
    }
    let mut out = user_block();
    out.extend(file.bytes);
    std::fs::write(path, out).map_err(|e| Error::io(path, "write", e))
}

/// Text, subsystem offset, version 2.0 and byte order, as in level 5. Without a date, so that
/// files are reproducible.
fn user_block() -> Vec<u8> {
    let mut out = b"MATLAB 7.3 MAT-file, Platform: posix HDF5 schema 1.00 .".to_vec();
    out.resize(116, b' ');
    out.resize(124, 0);
    out.extend([0, 2, b'I', b'M']);
    out.resize(USER_BLOCK, 0);
    out
}

/// Address of a group's object header, B-tree and heap.
#[derive(Clone, Copy)]
struct Place {
    header: u64,
    /// B-tree and heap; groups only.
    inside: Option<(u64, u64)>,
}

struct File<'a> {
    path: &'a Path,
    /// What follows the user block; places in it are addresses.
    bytes: Vec<u8>,
    /// What cells and struct arrays refer to, by name in `#refs#`.
    references: Vec<(String, Place)>,
}

impl File<'_> {
    fn wrong(&self, place: &str, message: String) -> Error {
        Error::Range {
            path: self.path.to_path_buf(),
            place: place.to_owned(),
            message,
        }
    }

    /// Appends a block at a multiple of 8 and gives its address.
    fn put(&mut self, block: &[u8]) -> u64 {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(block);
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        at as u64
    }

    fn value(&mut self, place: &str, value: &Value) -> Result<Place> {
        match value {
            Value::Array(dims, numbers) => self.array(place, dims, numbers),
            Value::Text(text) => {
                let units: Vec<u16> = text.encode_utf16().collect();
                let dims = [u64::from(!units.is_empty()), units.len() as u64];
                let numbers = Numbers::U16(units);
                let marks = [
                    Attribute::Text("MATLAB_class", "char"),
                    Attribute::I32("MATLAB_int_decode", 2),
                ];
                self.data_set(place, &dims, Type::of(&numbers), &bytes(&numbers), &marks)
            }
            Value::Cell(dims, values) => {
                let refer = self.refer(place, values)?;
                let marks = [Attribute::Text("MATLAB_class", "cell")];
                self.data_set(place, dims, Type::Reference, &refer, &marks)
            }
            Value::Struct(dims, fields) => self.structure(place, dims, fields),
        }
    }

    fn array(&mut self, place: &str, dims: &[u64], numbers: &Numbers) -> Result<Place> {
        let class = match numbers {
            Numbers::F64(_) => "double",
            Numbers::F32(_) => "single",
            Numbers::I8(_) => "int8",
            Numbers::I16(_) => "int16",
            Numbers::I32(_) => "int32",
            Numbers::I64(_) => "int64",
            Numbers::U8(_) => "uint8",
            Numbers::U16(_) => "uint16",
            Numbers::U32(_) => "uint32",
            Numbers::U64(_) => "uint64",
            Numbers::Bool(_) => "logical",
        };
        let mut marks = vec![Attribute::Text("MATLAB_class", class)];
        if matches!(numbers, Numbers::Bool(_)) {
            marks.push(Attribute::I32("MATLAB_int_decode", 1));
        }
        self.data_set(place, dims, Type::of(numbers), &bytes(numbers), &marks)
    }

    /// One element is a group; of several each field is a data set of references.
    fn structure(
        &mut self,
        place: &str,
        dims: &[u64],
        fields: &[(String, Vec<Value>)],
    ) -> Result<Place> {
        let n = dims.iter().product::<u64>();
        let mut members = Vec::new();
        for (name, values) in fields {
            let below = format!("{place}.{name}");
            if values.len() as u64 != n {
                let message = format!("{} values for {n} elements", values.len());
                return Err(self.wrong(&below, message));
            }
            let made = match values.as_slice() {
                [one] => self.value(&below, one)?,
                several => {
                    let refer = self.refer(&below, several)?;
                    self.data_set(&below, dims, Type::Reference, &refer, &[])?
                }
            };
            members.push((name.clone(), made));
        }
        self.group(place, members, &[Attribute::Text("MATLAB_class", "struct")])
    }

    /// Writes values into `#refs#`; their addresses.
    fn refer(&mut self, place: &str, values: &[Value]) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(8 * values.len());
        for value in values {
            let made = self.value(place, value)?;
            let name = reference_name(self.references.len());
            self.references.push((name, made));
            out.extend(made.header.to_le_bytes());
        }
        Ok(out)
    }

    /// An array of MATLAB's dimensions: HDF5 counts them the other way round.
    fn data_set(
        &mut self,
        place: &str,
        dims: &[u64],
        kind: Type,
        data: &[u8],
        marks: &[Attribute<'_>],
    ) -> Result<Place> {
        let len = dims.iter().try_fold(1_u64, |n, d| n.checked_mul(*d));
        let found = (data.len() / kind.size()) as u64;
        if len != Some(found) || dims.len() < 2 {
            let message = format!("dimensions {dims:?} (two at least) for {found} elements");
            return Err(self.wrong(place, message));
        }
        let mut marks: Vec<Attribute<'_>> = marks.to_vec();
        // An empty array holds its dimensions instead.
        let (space, kind, data) = if found == 0 {
            marks.push(Attribute::U8("MATLAB_empty", 1));
            let sizes: Vec<u8> = dims.iter().flat_map(|d| d.to_le_bytes()).collect();
            (dataspace(&[dims.len() as u64]), Type::Int(8, false), sizes)
        } else {
            let dims: Vec<u64> = dims.iter().rev().copied().collect();
            (dataspace(&dims), kind, data.to_vec())
        };
        let at = self.put(&data);
        let mut layout = vec![3, 1];
        layout.extend(at.to_le_bytes());
        layout.extend((data.len() as u64).to_le_bytes());
        let mut messages = vec![
            message(1, &space),
            message(3, &kind.encode()),
            message(8, &layout),
        ];
        messages.extend(marks.iter().map(|m| message(12, &attribute(m))));
        let header = self.put(&object(&messages));
        Ok(Place {
            header,
            inside: None,
        })
    }

    /// A group of members with their names.
    fn group(
        &mut self,
        place: &str,
        mut members: Vec<(String, Place)>,
        marks: &[Attribute<'_>],
    ) -> Result<Place> {
        // By the bytes of the names, as the library looks for them.
        members.sort_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
        if members.len() > 4 * LEAF_K * INTERNAL_K {
            let message = format!("{} names in one group, at most 256", members.len());
            return Err(self.wrong(place, message));
        }
        let bad = |name: &str| name.is_empty() || name.contains(['/', '\0']);
        if let Some((name, _)) = members.iter().find(|(name, _)| bad(name)) {
            return Err(self.wrong(place, format!("{name:?} is no name")));
        }
        if let Some(pair) = members.windows(2).find(|p| p[0].0 == p[1].0) {
            return Err(self.wrong(place, format!("{:?} is there twice", pair[0].0)));
        }
        let (heap, offsets) = self.heap(members.iter().map(|(name, _)| name.as_str()));
        let tree = self.tree(&members, &offsets);
        let mut table = tree.to_le_bytes().to_vec();
        table.extend(heap.to_le_bytes());
        let mut messages = vec![message(0x11, &table)];
        messages.extend(marks.iter().map(|m| message(12, &attribute(m))));
        let header = self.put(&object(&messages));
        Ok(Place {
            header,
            inside: Some((tree, heap)),
        })
    }

    /// A local heap of names: its address, and the offset of each name.
    fn heap<'n>(&mut self, names: impl Iterator<Item = &'n str>) -> (u64, Vec<u64>) {
        // The empty name comes first: the lower bound of the B-tree.
        let mut data = vec![0; 8];
        let mut offsets = Vec::new();
        for name in names {
            offsets.push(data.len() as u64);
            data.extend(name.as_bytes());
            data.push(0);
            data.resize(data.len().next_multiple_of(8), 0);
        }
        let at = self.put(&data);
        let mut heap = b"HEAP\0\0\0\0".to_vec();
        // Its length, no free block, where it is.
        for number in [data.len() as u64, 1, at] {
            heap.extend(number.to_le_bytes());
        }
        (self.put(&heap), offsets)
    }

    /// Symbol nodes of the members and the B-tree over them: the tree's address.
    fn tree(&mut self, members: &[(String, Place)], offsets: &[u64]) -> u64 {
        let each = 2 * LEAF_K;
        let mut keys = vec![0_u64];
        let mut children = Vec::new();
        for (members, offsets) in members.chunks(each).zip(offsets.chunks(each)) {
            let mut node = b"SNOD\x01\0".to_vec();
            node.extend((members.len() as u16).to_le_bytes());
            for ((_, made), offset) in members.iter().zip(offsets) {
                entry(*offset, made, &mut node);
            }
            node.resize(8 + 40 * each, 0);
            children.push(self.put(&node));
            keys.extend(offsets.last());
        }
        let mut tree = b"TREE\0\0".to_vec();
        tree.extend((children.len() as u16).to_le_bytes());
        tree.extend(UNDEFINED.to_le_bytes().repeat(2));
        let mut keys = keys.into_iter();
        tree.extend(keys.next().unwrap_or(0).to_le_bytes());
        for (child, key) in children.iter().zip(keys) {
            tree.extend(child.to_le_bytes());
            tree.extend(key.to_le_bytes());
        }
        tree.resize(24 + 8 * (4 * INTERNAL_K + 1), 0);
        self.put(&tree)
    }

    fn superblock(&self, root: Place) -> Vec<u8> {
        // Signature; versions of superblock, free space, root group and shared headers; sizes of
        // addresses and lengths.
        let mut out = b"\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0".to_vec();
        out.extend((LEAF_K as u16).to_le_bytes());
        out.extend((INTERNAL_K as u16).to_le_bytes());
        out.extend([0; 4]);
        out.extend((USER_BLOCK as u64).to_le_bytes());
        out.extend(UNDEFINED.to_le_bytes());
        // The end of the file counts the user block.
        out.extend(((USER_BLOCK + self.bytes.len()) as u64).to_le_bytes());
        out.extend(UNDEFINED.to_le_bytes());
        entry(0, &root, &mut out);
        out
    }
}

/// An entry of a symbol table: 40 bytes. Groups cache where their names are.
fn entry(name: u64, made: &Place, out: &mut Vec<u8>) {
    out.extend(name.to_le_bytes());
    out.extend(made.header.to_le_bytes());
    out.extend(u64::from(made.inside.is_some()).to_le_bytes());
    let (tree, heap) = made.inside.unwrap_or((0, 0));
    out.extend(tree.to_le_bytes());
    out.extend(heap.to_le_bytes());
}

/// Names in `#refs#` as MATLAB gives them: a, b, ..., z, aa, ab, ...
fn reference_name(mut k: usize) -> String {
    let mut name = Vec::new();
    loop {
        name.insert(0, b'a' + (k % 26) as u8);
        if k < 26 {
            break;
        }
        k = k / 26 - 1;
    }
    name.into_iter().map(char::from).collect()
}

fn bytes(numbers: &Numbers) -> Vec<u8> {
    let mut out = Vec::new();
    (0..numbers.len()).for_each(|k| numbers.push(k, &mut out));
    out
}
