//! The messages of HDF5 object headers that [`super::mat73`] writes.

use super::Numbers;

/// A data type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    /// Bytes, and whether it has a sign.
    Int(usize, bool),
    F32,
    F64,
    /// The address of an object.
    Reference,
    /// ASCII of so many bytes.
    Text(usize),
}

impl Type {
    pub(super) fn of(numbers: &Numbers) -> Type {
        match numbers {
            Numbers::F64(_) => Type::F64,
            Numbers::F32(_) => Type::F32,
            Numbers::I8(_) => Type::Int(1, true),
            Numbers::I16(_) => Type::Int(2, true),
            Numbers::I32(_) => Type::Int(4, true),
            Numbers::I64(_) => Type::Int(8, true),
            Numbers::U8(_) | Numbers::Bool(_) => Type::Int(1, false),
            Numbers::U16(_) => Type::Int(2, false),
            Numbers::U32(_) => Type::Int(4, false),
            Numbers::U64(_) => Type::Int(8, false),
        }
    }

    pub(super) fn size(self) -> usize {
        match self {
            Type::Int(n, _) | Type::Text(n) => n,
            Type::F32 => 4,
            Type::F64 | Type::Reference => 8,
        }
    }

    /// Version 1: class, three bytes of flags, size, properties (section IV.A.2.d).
    pub(super) fn encode(self) -> Vec<u8> {
        let (class, flags, properties): (u8, [u8; 3], Vec<u8>) = match self {
            Type::Int(n, signed) => {
                let bits = (8 * n as u16).to_le_bytes();
                (
                    0,
                    [u8::from(signed) << 3, 0, 0],
                    vec![0, 0, bits[0], bits[1]],
                )
            }
            // The leading bit of the mantissa is implied; where the sign is; then bits, place and
            // length of exponent and mantissa, and the bias.
            Type::F32 => (
                1,
                [0x20, 31, 0],
                vec![0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0],
            ),
            Type::F64 => (
                1,
                [0x20, 63, 0],
                vec![0, 0, 64, 0, 52, 11, 0, 52, 0xff, 3, 0, 0],
            ),
            Type::Text(_) => (3, [0; 3], Vec::new()),
            Type::Reference => (7, [0; 3], Vec::new()),
        };
        let mut out = vec![0x10 | class];
        out.extend(flags);
        out.extend((self.size() as u32).to_le_bytes());
        out.extend(properties);
        out
    }
}

/// An attribute of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribute<'a> {
    Text(&'a str, &'a str),
    I32(&'a str, i32),
    U8(&'a str, u8),
}

/// Version 1 of a dataspace (section IV.A.2.b); no dimensions: one value.
pub(super) fn dataspace(dims: &[u64]) -> Vec<u8> {
    let mut out = vec![1, dims.len() as u8, 0, 0, 0, 0, 0, 0];
    for d in dims {
        out.extend(d.to_le_bytes());
    }
    out
}

/// Version 1 of an attribute (section IV.A.2.m): each part filled up to a multiple of 8.
pub(super) fn attribute(attribute: &Attribute<'_>) -> Vec<u8> {
    let (name, kind, data) = match attribute {
        Attribute::Text(name, text) => (*name, Type::Text(text.len()), text.as_bytes().to_vec()),
        Attribute::I32(name, x) => (*name, Type::Int(4, true), x.to_le_bytes().to_vec()),
        Attribute::U8(name, x) => (*name, Type::Int(1, false), vec![*x]),
    };
    let mut name = name.as_bytes().to_vec();
    name.push(0);
    let (kind, space) = (kind.encode(), dataspace(&[]));
    let mut out = vec![1, 0];
    for part in [&name, &kind, &space] {
        out.extend((part.len() as u16).to_le_bytes());
    }
    for part in [name, kind, space] {
        out.extend(part);
        out.resize(out.len().next_multiple_of(8), 0);
    }
    out.extend(data);
    out
}

/// A message of an object header, filled up to a multiple of 8.
pub(super) fn message(kind: u16, data: &[u8]) -> Vec<u8> {
    let size = data.len().next_multiple_of(8);
    let mut out = kind.to_le_bytes().to_vec();
    out.extend((size as u16).to_le_bytes());
    out.extend([0; 4]);
    out.extend_from_slice(data);
    out.resize(8 + size, 0);
    out
}

/// Version 1 of an object header, referred to once (section IV.A.1.a).
pub(super) fn object(messages: &[Vec<u8>]) -> Vec<u8> {
    let size: usize = messages.iter().map(Vec::len).sum();
    let mut out = vec![1, 0];
    out.extend((messages.len() as u16).to_le_bytes());
    out.extend(1_u32.to_le_bytes());
    out.extend((size as u32).to_le_bytes());
    out.extend([0; 4]);
    messages.iter().for_each(|m| out.extend(m));
    out
}
