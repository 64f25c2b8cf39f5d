//! The head of an array: flags, dimensions, name, field names. Parsed from a prefix where the
//! array is compressed.

use crate::tree::Class;

use super::tag::{Fault, MI_MATRIX, MI_UTF8, bad, slice, tag, word};

pub(super) const MX_CELL: u8 = 1;
pub(super) const MX_STRUCT: u8 = 2;
pub(super) const MX_OBJECT: u8 = 3;
pub(super) const MX_CHAR: u8 = 4;
pub(super) const MX_SPARSE: u8 = 5;
pub(super) const MX_FUNCTION: u8 = 16;
pub(super) const MX_OPAQUE: u8 = 17;

/// NumPy's and SciPy's limit too; MATLAB itself has none that files reach.
const MOST_DIMS: usize = 64;

/// What comes before an array's content.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) class: u8,
    pub(super) complex: bool,
    pub(super) logical: bool,
    pub(super) dims: Vec<u64>,
    pub(super) name: String,
    pub(super) fields: Vec<String>,
    /// Type system and class name of an opaque object, e.g. ("MCOS", "table").
    pub(super) object: Option<(String, String)>,
    /// Where the content starts.
    pub(super) body: usize,
    /// Where the array ends.
    pub(super) end: usize,
}

impl Head {
    /// Number of elements; `None` when it is beyond 64 bits.
    pub(super) fn len(&self) -> Option<u64> {
        self.dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d))
    }

    /// The class as the model has it; objects are opaque until they are looked into.
    pub(super) fn model(&self) -> Class {
        match self.class {
            MX_CELL => Class::Cell,
            MX_STRUCT | MX_OBJECT => Class::Struct,
            MX_CHAR => Class::Char,
            _ if self.logical => Class::Bool,
            MX_SPARSE | 6 => Class::F64,
            7 => Class::F32,
            8 => Class::Int(8),
            9 => Class::UInt(8),
            10 => Class::Int(16),
            11 => Class::UInt(16),
            12 => Class::Int(32),
            13 => Class::UInt(32),
            14 => Class::Int(64),
            15 => Class::UInt(64),
            _ => Class::Opaque,
        }
    }
}

/// Text of names: ASCII in practice, UTF-8 by some writers, else Latin-1.
pub(super) fn name_text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let bytes = bytes.get(..end).unwrap_or_default();
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|b| char::from(*b)).collect(),
    }
}

/// The head of the array whose tag is at `at`; the array must end by `limit`, which may lie
/// beyond `bytes` when those are a prefix.
pub(super) fn head(bytes: &[u8], at: usize, big: bool, limit: usize) -> Result<Head, Fault> {
    let outer = tag(bytes, at, big, limit)?;
    if outer.kind != MI_MATRIX {
        return bad(
            "array's data type",
            at,
            format!("expected 14 (miMATRIX), found {}", outer.kind),
        );
    }
    let end = outer.data.end;
    let mut head = Head {
        class: 6,
        complex: false,
        logical: false,
        dims: vec![0, 0],
        name: String::new(),
        fields: Vec::new(),
        object: None,
        body: outer.data.start,
        end,
    };
    if outer.data.is_empty() {
        return Ok(head);
    }
    let flags = tag(bytes, head.body, big, end)?;
    if !matches!(flags.kind, 5 | 6) || flags.data.len() != 8 {
        return bad(
            "array flags",
            head.body,
            format!(
                "expected 8 bytes of type 6 (miUINT32), found {} of type {}",
                flags.data.len(),
                flags.kind
            ),
        );
    }
    let bits = word(bytes, flags.data.start, big)?;
    head.class = (bits & 0xff) as u8;
    head.complex = bits & 0x800 != 0;
    head.logical = bits & 0x200 != 0;
    if !(1..=18).contains(&head.class) {
        return bad(
            "array class",
            flags.data.start,
            format!("expected 1 to 18, found {}", head.class),
        );
    }
    head.body = flags.next;
    if head.class == MX_OPAQUE {
        head.name = text(bytes, &mut head.body, big, end, "variable's name")?;
        let system = text(bytes, &mut head.body, big, end, "object's type system")?;
        let class = text(bytes, &mut head.body, big, end, "object's class name")?;
        head.object = Some((system, class));
        head.dims = vec![1, 1];
        return Ok(head);
    }
    head.dims = dims(bytes, &mut head.body, big, end)?;
    head.name = text(bytes, &mut head.body, big, end, "variable's name")?;
    if head.class == MX_OBJECT {
        text(bytes, &mut head.body, big, end, "object's class name")?;
    }
    if matches!(head.class, MX_STRUCT | MX_OBJECT) {
        head.fields = field_names(bytes, &mut head.body, big, end)?;
    }
    Ok(head)
}

fn dims(bytes: &[u8], at: &mut usize, big: bool, end: usize) -> Result<Vec<u64>, Fault> {
    let found = tag(bytes, *at, big, end)?;
    let n = found.data.len() / 4;
    if !matches!(found.kind, 5 | 6)
        || !found.data.len().is_multiple_of(4)
        || !(2..=MOST_DIMS).contains(&n)
    {
        return bad(
            "dimensions",
            *at,
            format!(
                "expected 2 to {MOST_DIMS} numbers of type 5 (miINT32), found {} bytes of type {}",
                found.data.len(),
                found.kind
            ),
        );
    }
    let mut dims = Vec::with_capacity(n);
    for k in 0..n {
        let at = found.data.start + 4 * k;
        let d = word(bytes, at, big)?;
        if found.kind == 5 && d > i32::MAX as u32 {
            return bad(
                "dimensions",
                at,
                format!("expected no negative number, found {}", d as i32),
            );
        }
        dims.push(u64::from(d));
    }
    *at = found.next;
    Ok(dims)
}

fn text(
    bytes: &[u8],
    at: &mut usize,
    big: bool,
    end: usize,
    field: &'static str,
) -> Result<String, Fault> {
    let found = tag(bytes, *at, big, end)?;
    if !matches!(found.kind, 1 | 2 | MI_UTF8) {
        return bad(
            field,
            *at,
            format!("expected type 1 (miINT8), found {}", found.kind),
        );
    }
    *at = found.next;
    Ok(name_text(slice(bytes, found.data)?))
}

fn field_names(bytes: &[u8], at: &mut usize, big: bool, end: usize) -> Result<Vec<String>, Fault> {
    let found = tag(bytes, *at, big, end)?;
    if !matches!(found.kind, 5 | 6) || found.data.len() != 4 {
        return bad(
            "field name length",
            *at,
            format!(
                "expected one number of type 5 (miINT32), found {} bytes of type {}",
                found.data.len(),
                found.kind
            ),
        );
    }
    let each = word(bytes, found.data.start, big)? as usize;
    *at = found.next;
    let names = tag(bytes, *at, big, end)?;
    if !matches!(names.kind, 1 | 2 | MI_UTF8) {
        return bad(
            "field names",
            *at,
            format!("expected type 1 (miINT8), found {}", names.kind),
        );
    }
    if names.data.is_empty() {
        *at = names.next;
        return Ok(Vec::new());
    }
    // A name takes 8 bytes at least in every known writer; 2 are asked for here so that the
    // list stays within a fixed multiple of the file.
    if each < 2 || !names.data.len().is_multiple_of(each) {
        return bad(
            "field name length",
            found.data.start,
            format!(
                "{} bytes of names cannot be divided into names of {each}",
                names.data.len()
            ),
        );
    }
    let list = slice(bytes, names.data)?;
    *at = names.next;
    Ok(list.chunks_exact(each).map(name_text).collect())
}
