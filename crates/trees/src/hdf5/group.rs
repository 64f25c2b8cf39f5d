//! Groups of both kinds: names and where their objects are.

use super::btree;
use super::file::{Cursor, File};
use super::header::{Message, kind};
use super::heap::{Fractal, Local};
use crate::error::Result;

/// Most members of one group.
const MOST: usize = 1 << 22;

/// What a name leads to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Link {
    /// Address of an object header.
    Hard(u64),
    /// A path in this file.
    Soft(String),
    /// Another file, which is not opened.
    External,
}

/// Whether the messages are a group's.
pub(super) fn is_group(messages: &[Message<'_>]) -> bool {
    let group = [kind::SYMBOL_TABLE, kind::LINK_INFO, kind::LINK];
    messages.iter().any(|m| group.contains(&m.kind))
        || !messages.iter().any(|m| m.kind == kind::DATATYPE)
}

/// The members of a group, in the order of their names.
pub(super) fn members(file: &File, messages: &[Message<'_>]) -> Result<Vec<(String, Link)>> {
    let mut out = Vec::new();
    for message in messages {
        match message.kind {
            kind::SYMBOL_TABLE => table(file, message, &mut out)?,
            kind::LINK => link(&mut message.cursor(file, "link"), &mut out)?,
            kind::LINK_INFO => dense(file, message, &mut out)?,
            _ => {}
        }
    }
    out.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(out)
}

fn push(c: &Cursor<'_>, out: &mut Vec<(String, Link)>, name: String, link: Link) -> Result<()> {
    if out.len() >= MOST {
        return Err(c.wrong(format!("more than {MOST} members")));
    }
    out.push((name, link));
    Ok(())
}

fn table(file: &File, message: &Message<'_>, out: &mut Vec<(String, Link)>) -> Result<()> {
    let mut c = message.cursor(file, "symbol table");
    let tree = c.offset()?;
    let heap = c.offset()?;
    let (Some(tree), Some(heap)) = (tree, heap) else {
        return Err(c.wrong("undefined address of the group's tree or heap"));
    };
    let heap = Local::open(file, heap)?;
    let mut seen = std::collections::HashSet::new();
    btree::walk1(file, tree, 0, file.length_size, &mut |_, child| {
        let mut c = file.cursor(child, "symbol table node")?;
        if !seen.insert(child) {
            return Err(c.wrong("the group has this node twice"));
        }
        c.signature(b"SNOD")?;
        c.version(1..=1)?;
        c.skip(1)?;
        let entries = c.u16()?;
        for _ in 0..entries {
            let name = heap.text(c.uint(file.offset_size)?)?;
            let object = c.offset()?;
            let cached = c.u32()?;
            c.skip(4)?;
            let mut scratch = c.clone();
            c.skip(16)?;
            let link = match (cached, object) {
                (2, _) => Link::Soft(heap.text(u64::from(scratch.u32()?))?),
                (_, Some(address)) => Link::Hard(address),
                (_, None) => return Err(c.wrong(format!("undefined address of {name:?}"))),
            };
            push(&c, out, name, link)?;
        }
        Ok(())
    })
}

fn link(c: &mut Cursor<'_>, out: &mut Vec<(String, Link)>) -> Result<()> {
    c.version(1..=1)?;
    let flags = c.u8()?;
    let what = if flags & 8 != 0 { c.u8()? } else { 0 };
    c.skip(if flags & 4 != 0 { 8 } else { 0 })?;
    c.skip(if flags & 0x10 != 0 { 1 } else { 0 })?;
    let length = c.uint(1 << (flags & 3))?;
    let length = usize::try_from(length).map_err(|_| c.wrong("length of a name"))?;
    let name = String::from_utf8_lossy(c.take(length)?).into_owned();
    let link = match what {
        0 => {
            let address = c.offset()?;
            Link::Hard(address.ok_or_else(|| c.wrong(format!("undefined address of {name:?}")))?)
        }
        1 => {
            let length = usize::from(c.u16()?);
            Link::Soft(String::from_utf8_lossy(c.take(length)?).into_owned())
        }
        _ => Link::External,
    };
    push(c, out, name, link)
}

fn dense(file: &File, message: &Message<'_>, out: &mut Vec<(String, Link)>) -> Result<()> {
    let mut c = message.cursor(file, "link info");
    c.version(0..=0)?;
    let flags = c.u8()?;
    c.skip(if flags & 1 != 0 { 8 } else { 0 })?;
    let (heap, tree) = (c.offset()?, c.offset()?);
    let (Some(heap), Some(tree)) = (heap, tree) else {
        return Ok(());
    };
    let heap = Fractal::open(file, heap)?;
    btree::walk2(file, tree, 5, &mut |mut record, length| {
        record.skip(4)?;
        let at = record.address();
        // The identifier lies in the file; take it from there so that it outlives the record.
        let id = file.bytes(at, length.saturating_sub(4) as u64, "heap identifier")?;
        link(&mut heap.object(id, at)?, out)
    })
}
