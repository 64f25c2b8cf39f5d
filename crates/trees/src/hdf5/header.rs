//! Object headers, versions 1 and 2: the list of messages of one object.

use super::file::{Cursor, File};
use crate::error::Result;

/// Kinds of messages used here (specification IV.A.2).
pub(super) mod kind {
    pub(in crate::hdf5) const DATASPACE: u16 = 0x01;
    pub(in crate::hdf5) const LINK_INFO: u16 = 0x02;
    pub(in crate::hdf5) const DATATYPE: u16 = 0x03;
    pub(in crate::hdf5) const FILL_OLD: u16 = 0x04;
    pub(in crate::hdf5) const FILL: u16 = 0x05;
    pub(in crate::hdf5) const LINK: u16 = 0x06;
    pub(in crate::hdf5) const EXTERNAL: u16 = 0x07;
    pub(in crate::hdf5) const LAYOUT: u16 = 0x08;
    pub(in crate::hdf5) const FILTERS: u16 = 0x0b;
    pub(in crate::hdf5) const ATTRIBUTE: u16 = 0x0c;
    pub(in crate::hdf5) const CONTINUATION: u16 = 0x10;
    pub(in crate::hdf5) const SYMBOL_TABLE: u16 = 0x11;
    pub(in crate::hdf5) const ATTRIBUTE_INFO: u16 = 0x15;
}

/// Most messages and most blocks of one header.
const MOST_MESSAGES: usize = 1 << 20;
const MOST_BLOCKS: usize = 1 << 14;

/// One message: what it is and its bytes.
#[derive(Clone)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    /// Bit 1: the body is stored elsewhere and this says where.
    pub(super) flags: u8,
    pub(super) data: &'a [u8],
    pub(super) address: u64,
}

impl<'a> Message<'a> {
    pub(super) fn cursor(&self, file: &'a File, field: &'static str) -> Cursor<'a> {
        file.over(self.data, self.address, field)
    }
}

/// The messages of the object at `address`; shared ones are replaced by what they point to.
pub(super) fn messages(file: &File, address: u64) -> Result<Vec<Message<'_>>> {
    let mut all = unresolved(file, address)?;
    for message in &mut all {
        if message.flags & 2 != 0 && matches!(message.kind, kind::DATATYPE | kind::DATASPACE) {
            let c = message.cursor(file, "shared message");
            let kind = message.kind;
            *message = shared(c, kind)?;
        }
    }
    Ok(all)
}

/// What a shared message at the cursor points to: a message of another object.
pub(super) fn shared(mut c: Cursor<'_>, kind: u16) -> Result<Message<'_>> {
    let version = c.version(1..=3)?;
    let place = c.u8()?;
    if version == 1 {
        c.skip(6)?;
    }
    if version == 3 && place == 1 {
        return Err(c.file.unsupported("a shared message heap (SOHM)"));
    }
    let file = c.file;
    let address = c
        .offset()?
        .ok_or_else(|| c.wrong("undefined address of a shared message"))?;
    unresolved(file, address)?
        .into_iter()
        .find(|m| m.kind == kind && m.flags & 2 == 0)
        .ok_or_else(|| {
            file.damaged(
                "shared message",
                address,
                format!("the object there has no message of type {kind}"),
            )
        })
}

fn unresolved(file: &File, address: u64) -> Result<Vec<Message<'_>>> {
    let mut c = file.cursor(address, "object header")?;
    let mut out = Vec::new();
    // Blocks still to be read: cursor over the messages.
    let mut blocks: Vec<Cursor<'_>> = Vec::new();
    let mut creation_order = false;
    let modern = c.clone().take(4).is_ok_and(|s| s == b"OHDR");
    if modern {
        c.skip(4)?;
        c.version(2..=2)?;
        let flags = c.u8()?;
        creation_order = flags & 4 != 0;
        c.skip(if flags & 0x20 != 0 { 16 } else { 0 })?;
        c.skip(if flags & 0x10 != 0 { 4 } else { 0 })?;
        let size = c.uint(1 << (flags & 3))?;
        let size = usize::try_from(size).map_err(|_| c.wrong("size of the first block"))?;
        let prefix = c.walked();
        let start = c.address();
        let body = c.take(size)?;
        file.check(address, prefix.saturating_add(size), "object header")?;
        blocks.push(file.over(body, start, "object header"));
    } else {
        c.version(1..=1)?;
        c.skip(1 + 2 + 4)?;
        let size = c.u32()? as usize;
        c.skip(4)?;
        let start = c.address();
        blocks.push(file.over(c.take(size)?, start, "object header"));
    }
    let mut read = 0;
    let mut seen = std::collections::HashSet::new();
    while let Some(c) = blocks.get(read).cloned() {
        read += 1;
        let mut c = c;
        let head = match (modern, creation_order) {
            (true, true) => 6,
            (true, false) => 4,
            (false, _) => 8,
        };
        // What is left below a message's head is a gap.
        while c.left() >= head {
            let (kind, size, flags);
            if modern {
                kind = u16::from(c.u8()?);
                size = c.u16()?;
                flags = c.u8()?;
                c.skip(if creation_order { 2 } else { 0 })?;
            } else {
                kind = c.u16()?;
                size = c.u16()?;
                flags = c.u8()?;
                c.skip(3)?;
            }
            let at = c.address();
            let data = c.take(usize::from(size))?;
            if kind == kind::CONTINUATION {
                let mut d = file.over(data, at, "object header continuation");
                let next = d
                    .offset()?
                    .ok_or_else(|| d.wrong("undefined address of a continuation block"))?;
                let length = d.length()?;
                if !seen.insert(next) || blocks.len() >= MOST_BLOCKS {
                    return Err(d.wrong("the continuation blocks run in a circle"));
                }
                blocks.push(continuation(file, next, length, modern)?);
            } else {
                out.push(Message {
                    kind,
                    flags,
                    data,
                    address: at,
                });
            }
            if out.len() > MOST_MESSAGES {
                return Err(c.wrong(format!("more than {MOST_MESSAGES} messages")));
            }
        }
    }
    Ok(out)
}

fn continuation(file: &File, address: u64, length: u64, modern: bool) -> Result<Cursor<'_>> {
    const FIELD: &str = "object header continuation";
    let bytes = file.bytes(address, length, FIELD)?;
    if !modern {
        return Ok(file.over(bytes, address, FIELD));
    }
    let mut c = file.over(bytes, address, FIELD);
    c.signature(b"OCHK")?;
    let body = c.left().checked_sub(4);
    let body = body.ok_or_else(|| c.wrong("too short for its checksum"))?;
    file.check(address, body + 4, FIELD)?;
    Ok(file.over(c.take(body)?, address.saturating_add(4), FIELD))
}
