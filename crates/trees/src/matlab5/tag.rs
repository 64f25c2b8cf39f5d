//! Data elements: the 8-byte tag (or the 4-byte one of a small element) and what it bounds.

use std::ops::Range;

use crate::numbers::Number;

pub(super) const MI_MATRIX: u32 = 14;
pub(super) const MI_COMPRESSED: u32 = 15;
pub(super) const MI_UTF8: u32 = 16;
pub(super) const MI_UTF16: u32 = 17;
pub(super) const MI_UTF32: u32 = 18;

/// Why an element could not be parsed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The bytes at hand end first (there may be more in a compressed stream).
    Short,
    /// They cannot be what the format says.
    Bad {
        field: &'static str,
        at: usize,
        message: String,
    },
}

pub(super) fn bad<T>(field: &'static str, at: usize, message: String) -> Result<T, Fault> {
    Err(Fault::Bad { field, at, message })
}

/// Where an element's data lie and where the next element begins.
#[derive(Debug, Clone)]
pub(super) struct Tag {
    pub(super) kind: u32,
    pub(super) data: Range<usize>,
    pub(super) next: usize,
}

pub(super) fn word(bytes: &[u8], at: usize, big: bool) -> Result<u32, Fault> {
    let four = bytes.get(at..).and_then(<[u8]>::first_chunk::<4>);
    let four = *four.ok_or(Fault::Short)?;
    Ok(if big {
        u32::from_be_bytes(four)
    } else {
        u32::from_le_bytes(four)
    })
}

/// The tag at `at` of an element that must end by `limit`.
pub(super) fn tag(bytes: &[u8], at: usize, big: bool, limit: usize) -> Result<Tag, Fault> {
    if limit.saturating_sub(at) < 8 {
        return bad(
            "element tag",
            at,
            format!("expected 8 bytes, {} are left", limit.saturating_sub(at)),
        );
    }
    let first = word(bytes, at, big)?;
    if first >> 16 != 0 {
        let n = (first >> 16) as usize;
        if n > 4 {
            return bad(
                "small element's length",
                at,
                format!("expected at most 4 bytes, found {n}"),
            );
        }
        return Ok(Tag {
            kind: first & 0xffff,
            data: at + 4..at + 4 + n,
            next: at + 8,
        });
    }
    let n = word(bytes, at + 4, big)? as usize;
    let start = at + 8;
    let end = start + n;
    if end > limit {
        return bad(
            "element's length",
            at + 4,
            format!("{n} bytes are claimed, {} are there", limit - start),
        );
    }
    // Elements are aligned within the array, whose own start is a multiple of 8.
    let next = if first == MI_MATRIX || first == MI_COMPRESSED {
        end
    } else {
        (start + n.next_multiple_of(8)).min(limit)
    };
    Ok(Tag {
        kind: first,
        data: start..end,
        next,
    })
}

/// The storage type of a tag, when it is one of numbers.
pub(super) fn number(kind: u32) -> Option<Number> {
    Some(match kind {
        1 => Number::I8,
        2 => Number::U8,
        3 => Number::I16,
        4 => Number::U16,
        5 => Number::I32,
        6 => Number::U32,
        7 => Number::F32,
        9 => Number::F64,
        12 => Number::I64,
        13 => Number::U64,
        _ => return None,
    })
}

/// The bytes of a range, or [`Fault::Short`].
pub(super) fn slice(bytes: &[u8], range: Range<usize>) -> Result<&[u8], Fault> {
    bytes.get(range).ok_or(Fault::Short)
}
