//! B-trees of both versions, walked whole: nodes are visited once, so circles end in an error.

use std::collections::HashSet;

use super::file::{Cursor, File};
use crate::error::Result;

/// How deep a tree may be.
const DEEPEST: u32 = 32;

/// Version 1. Gives each leaf's entries to `entry`: a cursor at the key, which is `key` bytes
/// long and followed by the child's address.
pub(super) fn walk1(
    file: &File,
    root: u64,
    kind: u8,
    key: usize,
    entry: &mut dyn FnMut(Cursor<'_>, u64) -> Result<()>,
) -> Result<()> {
    let mut seen = HashSet::new();
    node1(file, root, kind, key, None, &mut seen, entry)
}

fn node1(
    file: &File,
    address: u64,
    kind: u8,
    key: usize,
    expected: Option<u8>,
    seen: &mut HashSet<u64>,
    entry: &mut dyn FnMut(Cursor<'_>, u64) -> Result<()>,
) -> Result<()> {
    let mut c = file.cursor(address, "B-tree node")?;
    if !seen.insert(address) {
        return Err(c.wrong("the tree visits this node twice"));
    }
    c.signature(b"TREE")?;
    let found = c.u8()?;
    if found != kind {
        return Err(c.wrong(format!("node type {found}, expected {kind}")));
    }
    let level = c.u8()?;
    if expected.is_some_and(|e| e != level) || u32::from(level) > DEEPEST {
        return Err(c.wrong(format!("level {level}, expected one below its parent's")));
    }
    let entries = c.u16()?;
    c.skip(2 * file.offset_size)?;
    for _ in 0..entries {
        let at = c.clone();
        c.skip(key)?;
        let Some(child) = c.offset()? else {
            return Err(c.wrong("undefined address of a child"));
        };
        if level == 0 {
            entry(at, child)?;
        } else {
            node1(file, child, kind, key, Some(level - 1), seen, entry)?;
        }
    }
    Ok(())
}

struct Shape {
    kind: u8,
    node: u64,
    record: usize,
    /// Bytes of a count of records in a child.
    count: usize,
    /// Bytes of a count of all records below, for nodes whose children are at depth 0, 1, ...
    totals: Vec<usize>,
}

/// Bytes that hold any number up to `most`.
fn width(most: u64) -> usize {
    (64 - most.max(1).leading_zeros() as usize - 1) / 8 + 1
}

/// Version 2. Gives each record to `record`; its length is the second argument.
pub(super) fn walk2(
    file: &File,
    header: u64,
    kind: u8,
    record: &mut dyn FnMut(Cursor<'_>, usize) -> Result<()>,
) -> Result<()> {
    let mut c = file.cursor(header, "B-tree header")?;
    c.signature(b"BTHD")?;
    c.version(0..=0)?;
    let found = c.u8()?;
    if found != kind {
        return Err(c.wrong(format!("record type {found}, expected {kind}")));
    }
    let node = u64::from(c.u32()?);
    let size = usize::from(c.u16()?);
    let depth = u32::from(c.u16()?);
    c.skip(2)?;
    let root = c.offset()?;
    let records = u64::from(c.u16()?);
    c.length()?;
    file.check(header, c.walked(), "B-tree header")?;
    if size == 0 || depth > DEEPEST || node < 10 + size as u64 {
        return Err(c.wrong(format!(
            "records of {size} bytes, nodes of {node}, depth {depth}"
        )));
    }
    let Some(root) = root else { return Ok(()) };
    let leaf = (node - 10) / size as u64;
    let mut shape = Shape {
        kind,
        node,
        record: size,
        count: width(leaf),
        totals: vec![0],
    };
    let mut total = leaf;
    for level in 1..=depth as usize {
        let below = shape.totals.get(level - 1).copied().unwrap_or_default();
        let pointer = (file.offset_size + shape.count + below) as u64;
        let most = node.saturating_sub(10 + pointer) / (size as u64 + pointer);
        total = most
            .saturating_add(1)
            .saturating_mul(total)
            .saturating_add(most);
        shape.totals.push(width(total));
    }
    let mut seen = HashSet::new();
    node2(
        file,
        root,
        records,
        depth as usize,
        &shape,
        &mut seen,
        record,
    )
}

fn node2(
    file: &File,
    address: u64,
    records: u64,
    depth: usize,
    shape: &Shape,
    seen: &mut HashSet<u64>,
    record: &mut dyn FnMut(Cursor<'_>, usize) -> Result<()>,
) -> Result<()> {
    let mut c = file.cursor(address, "B-tree node")?;
    if !seen.insert(address) {
        return Err(c.wrong("the tree visits this node twice"));
    }
    c.signature(if depth == 0 { b"BTLF" } else { b"BTIN" })?;
    c.version(0..=0)?;
    let found = c.u8()?;
    if found != shape.kind {
        return Err(c.wrong(format!("record type {found}, expected {}", shape.kind)));
    }
    if records.saturating_mul(shape.record as u64) > shape.node {
        return Err(c.wrong(format!("{records} records in {} bytes", shape.node)));
    }
    let body = c.clone();
    c.skip(records as usize * shape.record)?;
    let mut children = Vec::new();
    if depth > 0 {
        let total = shape.totals.get(depth - 1).copied().unwrap_or_default();
        for _ in 0..=records {
            let child = c.offset()?;
            let count = c.uint(shape.count)?;
            c.uint(total)?;
            let child = child.ok_or_else(|| c.wrong("undefined address of a child"))?;
            children.push((child, count));
        }
    }
    file.check(address, c.walked(), "B-tree node")?;
    let mut body = body;
    let mut children = children.into_iter();
    for turn in 0..=records {
        if let Some((child, count)) = children.next() {
            node2(file, child, count, depth - 1, shape, seen, record)?;
        }
        if turn < records {
            record(body.clone(), shape.record)?;
            body.skip(shape.record)?;
        }
    }
    Ok(())
}
