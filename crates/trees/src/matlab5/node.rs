//! The content of an array: where its numbers, characters or children lie.

use std::ops::Range;

use crate::numbers::Number;

use super::head::{
    Head, MX_CELL, MX_CHAR, MX_FUNCTION, MX_OBJECT, MX_OPAQUE, MX_SPARSE, MX_STRUCT, head,
};
use super::tag::{Fault, MI_MATRIX, Tag, bad, number, slice, tag, word};

/// A parsed array. `head.body` and all ranges count within the buffer that it lies in.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) head: Head,
    pub(super) body: Body,
}

/// Numbers of one storage type.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    pub(super) number: Number,
    pub(super) at: Range<usize>,
}

/// What an array holds.
#[derive(Debug)]
pub(super) enum Body {
    /// Real and imaginary part.
    Numbers(Stored, Option<Stored>),
    /// Characters of a storage type.
    Chars(u32, Range<usize>),
    /// Row numbers and column starts (32 bits each), then the values.
    Sparse {
        rows: Range<usize>,
        starts: Range<usize>,
        re: Stored,
        im: Option<Stored>,
    },
    /// Offsets of the children: a cell's elements, or a struct's fields, element by element.
    Children(Vec<usize>),
    /// The array that refers to an object of the subsystem.
    Object(usize),
    /// Not read.
    Other,
}

/// Parses the array at `at` of a whole buffer.
pub(super) fn node(bytes: &[u8], at: usize, big: bool) -> Result<Node, Fault> {
    let head = head(bytes, at, big, bytes.len())?;
    let body = body(bytes, &head, big)?;
    Ok(Node { head, body })
}

fn body(bytes: &[u8], head: &Head, big: bool) -> Result<Body, Fault> {
    let Some(len) = head.len() else {
        return bad(
            "dimensions",
            head.body,
            format!("{:?} are more than 64 bits of elements", head.dims),
        );
    };
    let mut at = head.body;
    if at == head.end {
        // An array of no bytes, or a writer that leaves the part out where there is nothing.
        return match head.class {
            MX_CELL | MX_STRUCT | MX_OBJECT => children(bytes, head, big, len),
            MX_CHAR if len == 0 => Ok(Body::Chars(1, at..at)),
            MX_FUNCTION | MX_OPAQUE | 18 => Ok(Body::Other),
            _ if len == 0 && head.class != MX_SPARSE => {
                let number = Number::U8;
                Ok(Body::Numbers(Stored { number, at: at..at }, None))
            }
            _ => bad("array's data", at, "there are none".to_owned()),
        };
    }
    match head.class {
        MX_CELL | MX_STRUCT | MX_OBJECT => children(bytes, head, big, len),
        MX_FUNCTION | 18 => Ok(Body::Other),
        MX_OPAQUE => Ok(Body::Object(at)),
        MX_CHAR => {
            let found = tag(bytes, at, big, head.end)?;
            Ok(Body::Chars(found.kind, found.data))
        }
        MX_SPARSE => sparse(bytes, head, big),
        _ => {
            let re = numbers(bytes, &mut at, head, big, Some(len), "real part")?;
            let im = match head.complex {
                true => Some(numbers(
                    bytes,
                    &mut at,
                    head,
                    big,
                    Some(len),
                    "imaginary part",
                )?),
                false => None,
            };
            Ok(Body::Numbers(re, im))
        }
    }
}

fn numbers(
    bytes: &[u8],
    at: &mut usize,
    head: &Head,
    big: bool,
    len: Option<u64>,
    field: &'static str,
) -> Result<Stored, Fault> {
    let found = tag(bytes, *at, big, head.end)?;
    let Some(number) = number(found.kind) else {
        return bad(
            field,
            *at,
            format!("expected a type of numbers, found {}", found.kind),
        );
    };
    let n = found.data.len() / number.size();
    let whole = found.data.len().is_multiple_of(number.size());
    if !whole || len.is_some_and(|len| len != n as u64) {
        return bad(
            field,
            *at,
            format!(
                "expected {} numbers ({:?}) of {} bytes, found {} bytes",
                len.unwrap_or(n as u64),
                head.dims,
                number.size(),
                found.data.len()
            ),
        );
    }
    slice(bytes, found.data.clone())?;
    *at = found.next;
    Ok(Stored {
        number,
        at: found.data,
    })
}

fn children(bytes: &[u8], head: &Head, big: bool, len: u64) -> Result<Body, Fault> {
    let each = match head.class {
        MX_CELL => 1,
        _ => head.fields.len() as u64,
    };
    let room = (head.end - head.body) as u64 / 8;
    let Some(n) = len.checked_mul(each).filter(|n| *n <= room) else {
        return bad(
            "dimensions",
            head.body,
            format!(
                "{:?} with {each} values an element do not fit into {} bytes",
                head.dims,
                head.end - head.body
            ),
        );
    };
    let mut offsets = Vec::with_capacity(n as usize);
    let mut at = head.body;
    for _ in 0..n {
        let child: Tag = tag(bytes, at, big, head.end)?;
        if child.kind != MI_MATRIX {
            return bad(
                "data type of a child",
                at,
                format!("expected 14 (miMATRIX), found {}", child.kind),
            );
        }
        offsets.push(at);
        at = child.next;
    }
    Ok(Body::Children(offsets))
}

fn sparse(bytes: &[u8], head: &Head, big: bool) -> Result<Body, Fault> {
    let &[m, n] = head.dims.as_slice() else {
        return bad(
            "dimensions of a sparse matrix",
            head.body,
            format!("expected two, found {:?}", head.dims),
        );
    };
    let mut at = head.body;
    let start = at;
    let mut indices = |field: &'static str| -> Result<Range<usize>, Fault> {
        let here = at;
        let stored = numbers(bytes, &mut at, head, big, None, field)?;
        if !matches!(stored.number, Number::I32 | Number::U32) {
            return bad(field, here, "expected 32-bit integers".to_owned());
        }
        Ok(stored.at)
    };
    let rows = indices("row numbers of a sparse matrix")?;
    let starts = indices("column starts of a sparse matrix")?;
    let columns = starts.len() as u64 / 4;
    if columns != n + 1 {
        return bad(
            "column starts of a sparse matrix",
            start,
            format!("expected {}, found {columns}", n + 1),
        );
    }
    let mut before = 0;
    for at in starts.clone().step_by(4) {
        let column_start = word(bytes, at, big)?;
        if column_start < before || column_start as usize > rows.len() / 4 {
            return bad(
                "column starts of a sparse matrix",
                at,
                format!(
                    "{column_start} after {before}, with {} row numbers",
                    rows.len() / 4
                ),
            );
        }
        before = column_start;
    }
    check_rows(bytes, &rows, &starts, m, big)?;
    let re = match logical_values(bytes, &mut at, head, big, before as usize)? {
        Some(bytes) => bytes,
        None => numbers(bytes, &mut at, head, big, None, "real part")?,
    };
    let im = match head.complex {
        true => Some(numbers(bytes, &mut at, head, big, None, "imaginary part")?),
        false => None,
    };
    for part in [Some(&re), im.as_ref()].into_iter().flatten() {
        let there = part.at.len() / part.number.size();
        if there < before as usize {
            return bad(
                "values of a sparse matrix",
                part.at.start,
                format!("expected {before}, found {there}"),
            );
        }
    }
    Ok(Body::Sparse {
        rows,
        starts,
        re,
        im,
    })
}

/// MATLAB writes the values of a logical sparse matrix as bytes under the type of doubles.
fn logical_values(
    bytes: &[u8],
    at: &mut usize,
    head: &Head,
    big: bool,
    n: usize,
) -> Result<Option<Stored>, Fault> {
    let found = tag(bytes, *at, big, head.end)?;
    if !head.logical || found.data.len() != n || found.kind != 9 {
        return Ok(None);
    }
    slice(bytes, found.data.clone())?;
    *at = found.next;
    Ok(Some(Stored {
        number: Number::U8,
        at: found.data,
    }))
}

/// Row numbers must be below `m` and rise within a column, so that they can be searched.
fn check_rows(
    bytes: &[u8],
    rows: &Range<usize>,
    starts: &Range<usize>,
    m: u64,
    big: bool,
) -> Result<(), Fault> {
    for at in starts
        .clone()
        .step_by(4)
        .take((starts.len() / 4).saturating_sub(1))
    {
        let (from, to) = (word(bytes, at, big)?, word(bytes, at + 4, big)?);
        let mut before = None;
        for k in from..to {
            let at = rows.start + 4 * k as usize;
            let row = word(bytes, at, big)?;
            if u64::from(row) >= m || before.is_some_and(|b| row <= b) {
                return bad(
                    "row numbers of a sparse matrix",
                    at,
                    format!("{row} after {before:?}, with {m} rows"),
                );
            }
            before = Some(row);
        }
    }
    Ok(())
}
