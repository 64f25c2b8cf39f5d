//! Attributes, in the header and in a fractal heap.

use super::btree;
use super::datatype::{self, Type};
use super::file::{Cursor, File};
use super::header::{self, Message, kind};
use super::heap::Fractal;
use super::layout::{self, Space};
use crate::error::Result;

/// Most attributes looked at.
const MOST: usize = 1 << 16;

/// A small value with a name.
pub(super) struct Attribute<'a> {
    pub(super) name: String,
    pub(super) kind: Type,
    pub(super) space: Space,
    pub(super) data: &'a [u8],
}

/// The attributes whose names `wanted` accepts.
pub(super) fn attributes<'a>(
    file: &'a File,
    messages: &[Message<'a>],
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Vec<Attribute<'a>>> {
    let mut out = Vec::new();
    for message in messages {
        match message.kind {
            kind::ATTRIBUTE => {
                let mut c = message.cursor(file, "attribute");
                if message.flags & 2 != 0 {
                    let found = header::shared(c, kind::ATTRIBUTE)?;
                    c = found.cursor(file, "attribute");
                }
                out.extend(one(c, wanted)?);
            }
            kind::ATTRIBUTE_INFO => dense(file, message, wanted, &mut out)?,
            _ => {}
        }
    }
    Ok(out)
}

fn dense<'a>(
    file: &'a File,
    message: &Message<'a>,
    wanted: &dyn Fn(&str) -> bool,
    out: &mut Vec<Attribute<'a>>,
) -> Result<()> {
    let mut c = message.cursor(file, "attribute info");
    c.version(0..=0)?;
    let flags = c.u8()?;
    c.skip(if flags & 1 != 0 { 2 } else { 0 })?;
    let (heap, tree) = (c.offset()?, c.offset()?);
    let (Some(heap), Some(tree)) = (heap, tree) else {
        return Ok(());
    };
    let heap = Fractal::open(file, heap)?;
    let mut seen = 0;
    btree::walk2(file, tree, 8, &mut |mut record, _| {
        seen += 1;
        if seen > MOST {
            return Err(record.wrong(format!("more than {MOST} attributes")));
        }
        let at = record.address();
        record.skip(8)?;
        if record.u8()? & 2 != 0 {
            return Err(file.unsupported("a shared attribute"));
        }
        let id = file.bytes(at, 8, "heap identifier")?;
        out.extend(one(heap.object(id, at)?, wanted)?);
        Ok(())
    })
}

fn one<'a>(mut c: Cursor<'a>, wanted: &dyn Fn(&str) -> bool) -> Result<Option<Attribute<'a>>> {
    let file = c.file;
    let version = c.version(1..=3)?;
    let flags = c.u8()?;
    let sizes = [c.u16()?, c.u16()?, c.u16()?].map(usize::from);
    c.skip(if version == 3 { 1 } else { 0 })?;
    let part = |c: &mut Cursor<'a>, size: usize| -> Result<(&'a [u8], u64)> {
        let at = c.address();
        let bytes = c.take(size)?;
        c.skip(if version == 1 { (8 - size % 8) % 8 } else { 0 })?;
        Ok((bytes, at))
    };
    let [name, kind, space] = sizes;
    let (name, _) = part(&mut c, name)?;
    let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
    let name = String::from_utf8_lossy(name.get(..end).unwrap_or_default()).into_owned();
    if !wanted(&name) {
        return Ok(None);
    }
    let (bytes, at) = part(&mut c, kind)?;
    let kind = if version > 1 && flags & 1 != 0 {
        let shared = header::shared(file.over(bytes, at, "datatype"), kind::DATATYPE)?;
        datatype::parse(file, &shared)?
    } else {
        datatype::read(&mut file.over(bytes, at, "datatype"), 0)?
    };
    let (bytes, at) = part(&mut c, space)?;
    let message = if version > 1 && flags & 2 != 0 {
        header::shared(file.over(bytes, at, "dataspace"), kind::DATASPACE)?
    } else {
        Message {
            kind: kind::DATASPACE,
            flags: 0,
            data: bytes,
            address: at,
        }
    };
    let space = layout::space(file, &message)?;
    let size = space.len().saturating_mul(kind.size() as u64);
    let Some(size) = usize::try_from(size).ok().filter(|n| *n <= c.left()) else {
        return Err(c.wrong(format!("{name:?} of {size} bytes, {} are there", c.left())));
    };
    let data = c.take(size)?;
    Ok(Some(Attribute {
        name,
        kind,
        space,
        data,
    }))
}
