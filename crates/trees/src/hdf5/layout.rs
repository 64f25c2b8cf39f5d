//! Dataspace, data layout, fill value and filter pipeline messages.

use super::file::File;
use super::header::Message;
use crate::error::Result;

/// Most dimensions (the format's own limit).
const MOST_DIMS: usize = 32;

/// Dimensions and how far each may grow (`None`: without limit).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Space {
    pub(super) dims: Vec<u64>,
    pub(super) most: Vec<Option<u64>>,
    /// A null dataspace holds nothing, unlike a scalar.
    pub(super) null: bool,
}

impl Space {
    pub(super) fn len(&self) -> u64 {
        if self.null {
            return 0;
        }
        self.dims.iter().fold(1, |n, d| n.saturating_mul(*d))
    }
}

pub(super) fn space(file: &File, message: &Message<'_>) -> Result<Space> {
    let mut c = message.cursor(file, "dataspace");
    let version = c.version(1..=2)?;
    let rank = usize::from(c.u8()?);
    let flags = c.u8()?;
    if rank > MOST_DIMS {
        return Err(c.wrong(format!("{rank} dimensions; the format allows {MOST_DIMS}")));
    }
    let mut null = false;
    if version == 1 {
        c.skip(5)?;
    } else {
        null = c.u8()? == 2;
    }
    let mut dims = Vec::new();
    for _ in 0..rank {
        dims.push(c.length()?);
    }
    let mut most = dims.iter().copied().map(Some).collect::<Vec<_>>();
    if flags & 1 != 0 {
        let unlimited = u64::MAX >> (64 - 8 * file.length_size);
        for slot in &mut most {
            let limit = c.length()?;
            *slot = (limit != unlimited).then_some(limit);
        }
    }
    if dims
        .iter()
        .try_fold(1u64, |n, d| n.checked_mul(*d))
        .is_none()
    {
        return Err(c.wrong(format!("more than 2^64 elements: {dims:?}")));
    }
    for (dim, most) in dims.iter().zip(&most) {
        if most.is_some_and(|m| m < *dim) {
            return Err(c.wrong(format!("dimensions {dims:?} above their limits")));
        }
    }
    Ok(Space { dims, most, null })
}

/// How the addresses of chunks are found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Index {
    BTree1,
    /// One chunk; its stored size and filter mask when filtered.
    Single(Option<(u64, u32)>),
    Implicit,
    FixedArray,
    ExtensibleArray,
    BTree2,
}

/// Where the data are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Layout {
    /// Address and length of bytes within the header.
    Compact(u64, u64),
    Contiguous(Option<u64>),
    Chunked {
        index: Index,
        address: Option<u64>,
        /// One for each dimension.
        chunk: Vec<u64>,
        /// Chunks that stick out of the data are stored unfiltered.
        edges_unfiltered: bool,
    },
}

pub(super) fn layout(file: &File, message: &Message<'_>) -> Result<Layout> {
    let mut c = message.cursor(file, "data layout");
    let version = c.version(1..=5)?;
    if version < 3 {
        let rank = usize::from(c.u8()?);
        let class = c.u8()?;
        c.skip(5)?;
        let address = if class == 0 { None } else { c.offset()? };
        let mut dims = Vec::new();
        for _ in 0..rank.min(MOST_DIMS + 1) {
            dims.push(u64::from(c.u32()?));
        }
        return match class {
            0 => {
                let size = c.u32()?;
                Ok(Layout::Compact(c.address(), u64::from(size)))
            }
            1 => Ok(Layout::Contiguous(address)),
            2 => {
                dims.pop();
                Ok(Layout::Chunked {
                    index: Index::BTree1,
                    address,
                    chunk: dims,
                    edges_unfiltered: false,
                })
            }
            other => Err(c.wrong(format!("class {other}; 0 to 2 are known"))),
        };
    }
    match c.u8()? {
        0 => {
            let size = c.u16()?;
            Ok(Layout::Compact(c.address(), u64::from(size)))
        }
        1 => Ok(Layout::Contiguous(c.offset()?)),
        2 if version == 3 => {
            let rank = usize::from(c.u8()?);
            let address = c.offset()?;
            let mut chunk = Vec::new();
            for _ in 0..rank.min(MOST_DIMS + 1) {
                chunk.push(u64::from(c.u32()?));
            }
            chunk.pop();
            Ok(Layout::Chunked {
                index: Index::BTree1,
                address,
                chunk,
                edges_unfiltered: false,
            })
        }
        2 => {
            let flags = c.u8()?;
            let rank = usize::from(c.u8()?);
            let width = usize::from(c.u8()?);
            let mut chunk = Vec::new();
            for _ in 0..rank.min(MOST_DIMS + 1) {
                chunk.push(c.uint(width)?);
            }
            chunk.pop();
            let index = match c.u8()? {
                1 if flags & 2 != 0 => Index::Single(Some((c.length()?, c.u32()?))),
                1 => Index::Single(None),
                2 => Index::Implicit,
                3 => {
                    c.skip(1)?;
                    Index::FixedArray
                }
                4 => {
                    c.skip(5)?;
                    Index::ExtensibleArray
                }
                5 => {
                    c.skip(6)?;
                    Index::BTree2
                }
                other => return Err(c.wrong(format!("chunk index {other}; 1 to 5 are known"))),
            };
            Ok(Layout::Chunked {
                index,
                address: c.offset()?,
                chunk,
                edges_unfiltered: flags & 1 != 0,
            })
        }
        3 => Err(file.unsupported("a virtual data set")),
        other => Err(c.wrong(format!("class {other}; 0 to 3 are known"))),
    }
}

/// The fill value's bytes, where one is set.
pub(super) fn fill<'a>(file: &'a File, message: &Message<'a>) -> Result<&'a [u8]> {
    let mut c = message.cursor(file, "fill value");
    if message.kind == super::header::kind::FILL_OLD {
        let size = c.u32()? as usize;
        return c.take(size);
    }
    let version = c.version(1..=3)?;
    if version == 3 {
        let flags = c.u8()?;
        if flags & 0x20 == 0 {
            return Ok(&[]);
        }
    } else {
        c.skip(2)?;
        let defined = c.u8()?;
        if version == 2 && defined == 0 {
            return Ok(&[]);
        }
    }
    // Some writers leave the size out of a version-1 message without a value.
    if c.left() < 4 {
        return Ok(&[]);
    }
    let size = c.u32()? as usize;
    c.take(size)
}

/// One filter: its identifier and parameters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filter {
    pub(super) id: u16,
    pub(super) optional: bool,
    pub(super) values: Vec<u32>,
}

pub(super) fn filters(file: &File, message: &Message<'_>) -> Result<Vec<Filter>> {
    let mut c = message.cursor(file, "filter pipeline");
    let version = c.version(1..=2)?;
    let count = c.u8()?;
    if count > 32 {
        return Err(c.wrong(format!("{count} filters; the format allows 32")));
    }
    c.skip(if version == 1 { 6 } else { 0 })?;
    let mut out = Vec::new();
    for _ in 0..count {
        let id = c.u16()?;
        let name = if version == 1 || id >= 256 {
            usize::from(c.u16()?)
        } else {
            0
        };
        let flags = c.u16()?;
        let n = usize::from(c.u16()?);
        // Version 1 pads the name to a multiple of eight bytes.
        c.skip(if version == 1 {
            name.div_ceil(8) * 8
        } else {
            name
        })?;
        let mut values = Vec::new();
        for _ in 0..n {
            values.push(c.u32()?);
        }
        c.skip(if version == 1 && n % 2 == 1 { 4 } else { 0 })?;
        out.push(Filter {
            id,
            optional: flags & 1 != 0,
            values,
        });
    }
    Ok(out)
}
