//! Datatype messages, versions 1 to 5.

use super::file::{Cursor, File};
use super::header::Message;
use crate::error::Result;

/// How deep types may nest (a compound of arrays of enums ...).
const DEEPEST: usize = 16;
/// Most members of a compound.
const MOST_MEMBERS: usize = 4096;

/// Where the parts of a floating-point number are; bit 0 is the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FloatBits {
    pub(super) sign: u32,
    pub(super) exponent_at: u32,
    pub(super) exponent_bits: u32,
    pub(super) mantissa_at: u32,
    pub(super) mantissa_bits: u32,
    pub(super) bias: u32,
    /// Whether the mantissa's leading 1 is left out.
    pub(super) implied: bool,
}

/// What one element is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    Int {
        size: usize,
        signed: bool,
        big: bool,
        shift: u32,
        bits: u32,
    },
    Float {
        size: usize,
        big: bool,
        bits: FloatBits,
    },
    /// Fixed length; padded with blanks when `blanks`, else with or up to a NUL.
    Text {
        size: usize,
    },
    VlenText {
        size: usize,
    },
    Vlen {
        size: usize,
        element: Box<Type>,
    },
    Compound {
        size: usize,
        members: Vec<Member>,
    },
    /// Address of an object header.
    Reference {
        size: usize,
    },
    /// Integer with names; `truth` when these are FALSE and TRUE.
    Enum {
        base: Box<Type>,
        truth: bool,
    },
    Array {
        dims: Vec<u64>,
        element: Box<Type>,
    },
    /// Two numbers of the same type, real part first.
    Complex {
        base: Box<Type>,
    },
    /// Not read; `what` says why.
    Other {
        size: usize,
        what: &'static str,
    },
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) offset: usize,
    pub(super) kind: Type,
}

impl Type {
    /// Bytes of one element.
    pub(super) fn size(&self) -> usize {
        match self {
            Type::Int { size, .. }
            | Type::Float { size, .. }
            | Type::Text { size }
            | Type::VlenText { size }
            | Type::Vlen { size, .. }
            | Type::Compound { size, .. }
            | Type::Reference { size }
            | Type::Other { size, .. } => *size,
            Type::Enum { base, .. } => base.size(),
            Type::Array { dims, element } => dims.iter().fold(element.size(), |n, d| {
                n.saturating_mul(usize::try_from(*d).unwrap_or(usize::MAX))
            }),
            Type::Complex { base } => base.size().saturating_mul(2),
        }
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(
            self,
            Type::Int { .. } | Type::Float { .. } | Type::Enum { .. }
        )
    }
}

/// The type that a message describes.
pub(super) fn parse(file: &File, message: &Message<'_>) -> Result<Type> {
    read(&mut message.cursor(file, "datatype"), 0)
}

/// The type at the cursor, which is left behind it.
pub(super) fn read(c: &mut Cursor<'_>, depth: usize) -> Result<Type> {
    if depth > DEEPEST {
        return Err(c.wrong(format!("types nested more than {DEEPEST} deep")));
    }
    let first = c.u8()?;
    let (version, class) = (first >> 4, first & 15);
    if !(1..=5).contains(&version) {
        return Err(c.wrong(format!("version {version}; 1 to 5 are known")));
    }
    let flags = c.uint(3)? as u32;
    let size = c.u32()? as usize;
    if size == 0 && class != 3 {
        return Err(c.wrong("a type of 0 bytes"));
    }
    match class {
        0 | 4 => {
            let shift = u32::from(c.u16()?);
            let bits = u32::from(c.u16()?);
            if size > 8 || bits == 0 || shift + bits > 8 * size as u32 {
                let what = "an integer of more than 8 bytes or of odd bits";
                return Ok(Type::Other { size, what });
            }
            Ok(Type::Int {
                size,
                signed: class == 0 && flags & 8 != 0,
                big: flags & 1 != 0,
                shift,
                bits,
            })
        }
        1 => float(c, flags, size),
        2 => {
            c.skip(2)?;
            let what = "a time";
            Ok(Type::Other { size, what })
        }
        3 => Ok(Type::Text { size }),
        5 => {
            c.skip((flags & 0xff) as usize)?;
            let what = "an opaque type";
            Ok(Type::Other { size, what })
        }
        6 => compound(c, version, (flags & 0xffff) as usize, size, depth),
        7 => match flags & 15 {
            0 if size <= 8 => Ok(Type::Reference { size }),
            _ => Ok(Type::Other {
                size,
                what: "a reference that is not a plain object reference",
            }),
        },
        8 => enumeration(c, version, (flags & 0xffff) as usize, depth),
        9 => {
            let element = Box::new(read(c, depth + 1)?);
            Ok(match flags & 15 {
                1 => Type::VlenText { size },
                _ => Type::Vlen { size, element },
            })
        }
        10 => {
            let rank = c.u8()?;
            c.skip(if version < 3 { 3 } else { 0 })?;
            let mut dims = Vec::new();
            for _ in 0..rank {
                dims.push(u64::from(c.u32()?));
            }
            c.skip(if version < 3 { 4 * dims.len() } else { 0 })?;
            let element = Box::new(read(c, depth + 1)?);
            let whole = Type::Array { dims, element };
            if whole.size() != size {
                return Err(c.wrong(format!("an array of {} bytes in {size}", whole.size())));
            }
            Ok(whole)
        }
        11 => {
            let base = Box::new(read(c, depth + 1)?);
            if !base.is_number() || base.size().checked_mul(2) != Some(size) {
                return Err(c.wrong("a complex type that is not two numbers"));
            }
            Ok(Type::Complex { base })
        }
        other => Err(c.wrong(format!("class {other}; 0 to 11 are known"))),
    }
}

fn float(c: &mut Cursor<'_>, flags: u32, size: usize) -> Result<Type> {
    let shift = u32::from(c.u16()?);
    let precision = u32::from(c.u16()?);
    let exponent_at = u32::from(c.u8()?);
    let exponent_bits = u32::from(c.u8()?);
    let mantissa_at = u32::from(c.u8()?);
    let mantissa_bits = u32::from(c.u8()?);
    let bias = c.u32()?;
    let bits = FloatBits {
        sign: (flags >> 8) & 0xff,
        exponent_at,
        exponent_bits,
        mantissa_at,
        mantissa_bits,
        bias,
        implied: (flags >> 4) & 3 == 2,
    };
    let width = 8 * size as u64;
    let fits = |at: u32, n: u32| u64::from(at) + u64::from(n) <= width;
    if size > 16
        || flags & 0x40 != 0
        || exponent_bits == 0
        || exponent_bits > 30
        || mantissa_bits > 112
        || !fits(bits.sign, 1)
        || !fits(exponent_at, exponent_bits)
        || !fits(mantissa_at, mantissa_bits)
        || !fits(shift, precision)
    {
        let what = "a float of more than 16 bytes, of VAX order or of odd bits";
        return Ok(Type::Other { size, what });
    }
    Ok(Type::Float {
        size,
        big: flags & 1 != 0,
        bits,
    })
}

/// A NUL-terminated name; in old versions padded to a multiple of eight bytes.
fn name(c: &mut Cursor<'_>, padded: bool) -> Result<String> {
    let mut bytes = Vec::new();
    loop {
        match c.u8()? {
            0 => break,
            b => bytes.push(b),
        }
    }
    if padded {
        c.skip((8 - (bytes.len() + 1) % 8) % 8)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn compound(
    c: &mut Cursor<'_>,
    version: u8,
    count: usize,
    size: usize,
    depth: usize,
) -> Result<Type> {
    if count > MOST_MEMBERS {
        return Err(c.wrong(format!("{count} members; at most {MOST_MEMBERS} are read")));
    }
    let width = match size {
        _ if version < 3 => 4,
        0..0x100 => 1,
        0x100..0x1_0000 => 2,
        0x1_0000..0x100_0000 => 3,
        _ => 4,
    };
    let mut members = Vec::new();
    for _ in 0..count {
        let name = name(c, version < 3)?;
        let offset = c.uint(width)? as usize;
        let mut dims = Vec::new();
        if version == 1 {
            let rank = usize::from(c.u8()?);
            c.skip(3 + 4 + 4)?;
            for i in 0..4 {
                let dim = u64::from(c.u32()?);
                if i < rank {
                    dims.push(dim);
                }
            }
        }
        let mut kind = read(c, depth + 1)?;
        if !dims.is_empty() {
            let element = Box::new(kind);
            kind = Type::Array { dims, element };
        }
        if offset.checked_add(kind.size()).is_none_or(|end| end > size) {
            return Err(c.wrong(format!("member {name:?} ends beyond the {size} bytes")));
        }
        members.push(Member { name, offset, kind });
    }
    Ok(Type::Compound { size, members })
}

fn enumeration(c: &mut Cursor<'_>, version: u8, count: usize, depth: usize) -> Result<Type> {
    let base = Box::new(read(c, depth + 1)?);
    if !matches!(*base, Type::Int { .. }) {
        return Err(c.wrong("an enumeration whose base is no integer"));
    }
    let mut truth = count == 2;
    for expected in 0..count {
        let name = name(c, version < 3)?;
        truth &= name == ["FALSE", "TRUE"].get(expected).copied().unwrap_or_default();
    }
    for expected in 0..count {
        let bytes = c.take(base.size())?;
        truth &= bytes.iter().map(|b| u64::from(*b)).sum::<u64>() == expected as u64;
    }
    Ok(Type::Enum { base, truth })
}
