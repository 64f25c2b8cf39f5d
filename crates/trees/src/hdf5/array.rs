//! The two array indexes of chunks: fixed and extensible (specification VII.C and VII.D).

use super::file::{Cursor, File};
use crate::error::Result;

/// What one element says about a chunk.
pub(super) struct Element {
    pub(super) address: u64,
    /// Stored bytes and filter mask, when filtered.
    pub(super) stored: Option<(u64, u32)>,
}

/// Calls `take` with each element's number and value; undefined ones are left out.
struct Reader<'a, 'b> {
    file: &'a File,
    /// Bytes of an element, and of its size when filtered.
    size: usize,
    width: Option<usize>,
    take: &'b mut dyn FnMut(u64, Element),
}

impl<'a, 'b> Reader<'a, 'b> {
    fn new(
        c: &Cursor<'a>,
        size: usize,
        filtered: bool,
        take: &'b mut dyn FnMut(u64, Element),
    ) -> Result<Self> {
        let file = c.file;
        let width = size.checked_sub(file.offset_size + 4);
        let width = width.filter(|w| filtered && (1..=8).contains(w));
        if filtered != width.is_some() || !filtered && size != file.offset_size {
            return Err(c.wrong(format!("elements of {size} bytes")));
        }
        Ok(Reader {
            file,
            size,
            width,
            take,
        })
    }

    /// `count` elements at the cursor, the first with number `first`.
    fn run(&mut self, c: &mut Cursor<'_>, first: u64, count: u64) -> Result<()> {
        if count.saturating_mul(self.size as u64) > c.left() as u64 {
            return Err(c.wrong(format!("{count} elements, {} bytes are left", c.left())));
        }
        for i in 0..count {
            let address = c.offset()?;
            let stored = match self.width {
                Some(width) => Some((c.uint(width)?, c.u32()?)),
                None => None,
            };
            if let Some(address) = address {
                (self.take)(first.saturating_add(i), Element { address, stored });
            }
        }
        Ok(())
    }

    /// Elements in pages of `page`, each with its checksum; `ready` says which are written.
    fn pages(
        &mut self,
        c: &mut Cursor<'_>,
        first: u64,
        count: u64,
        page: u64,
        ready: &[u8],
    ) -> Result<()> {
        let mut done = 0;
        let mut number = 0usize;
        while done < count {
            let n = page.min(count - done);
            let length = n.saturating_mul(self.size as u64);
            // The first page is the highest bit.
            let bit = ready
                .get(number / 8)
                .is_some_and(|b| b >> (7 - number % 8) & 1 == 1);
            if bit {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                self.file
                    .check(c.address(), length, "page of chunk addresses")?;
                self.run(&mut c.clone(), first.saturating_add(done), n)?;
            }
            let step = usize::try_from(length.saturating_add(4)).unwrap_or(usize::MAX);
            c.skip(step)?;
            done += n;
            number += 1;
        }
        Ok(())
    }
}

/// Reads a fixed array whose header is at `address`.
pub(super) fn fixed(
    file: &File,
    address: u64,
    filtered: bool,
    take: &mut dyn FnMut(u64, Element),
) -> Result<()> {
    let mut c = file.cursor(address, "fixed array")?;
    c.signature(b"FAHD")?;
    c.version(0..=0)?;
    c.skip(1)?;
    let size = usize::from(c.u8()?);
    let bits = u32::from(c.u8()?);
    let count = c.length()?;
    let block = c.offset()?;
    file.check(address, c.walked(), "fixed array")?;
    let mut reader = Reader::new(&c, size, filtered, take)?;
    let Some(block) = block else { return Ok(()) };
    let mut c = file.cursor(block, "fixed array data block")?;
    c.signature(b"FADB")?;
    c.version(0..=0)?;
    c.skip(1 + file.offset_size)?;
    let page = 1u64.checked_shl(bits).unwrap_or(u64::MAX);
    if count <= page {
        let end = (count as usize).saturating_mul(size);
        file.check(
            block,
            c.walked().saturating_add(end),
            "fixed array data block",
        )?;
        return reader.run(&mut c, 0, count);
    }
    let bitmap = usize::try_from(count.div_ceil(page).div_ceil(8)).unwrap_or(usize::MAX);
    let ready = c.take(bitmap)?;
    file.check(block, c.walked(), "fixed array data block")?;
    c.skip(4)?;
    reader.pages(&mut c, 0, count, page, ready)
}

struct Growth {
    /// Elements in the index block, in the smallest data block, and in a page.
    index: u64,
    block: u64,
    page: u64,
    /// Bytes of an element's number.
    number: usize,
}

/// Reads an extensible array whose header is at `address`.
pub(super) fn extensible(
    file: &File,
    address: u64,
    filtered: bool,
    take: &mut dyn FnMut(u64, Element),
) -> Result<()> {
    let mut c = file.cursor(address, "extensible array")?;
    c.signature(b"EAHD")?;
    c.version(0..=0)?;
    c.skip(1)?;
    let size = usize::from(c.u8()?);
    let bits = u32::from(c.u8()?);
    let index = u64::from(c.u8()?);
    let block = u64::from(c.u8()?);
    let pointers = u64::from(c.u8()?);
    let page_bits = u32::from(c.u8()?);
    c.skip(4 * file.length_size)?;
    let used = c.length()?;
    c.length()?;
    let at = c.offset()?;
    file.check(address, c.walked(), "extensible array")?;
    let sane = block.is_power_of_two()
        && pointers.is_power_of_two()
        && (1..=64).contains(&bits)
        && page_bits < 32
        && block.trailing_zeros() <= bits;
    if !sane {
        return Err(c.wrong(format!(
            "{block} elements, {pointers} pointers, {bits} bits"
        )));
    }
    let mut reader = Reader::new(&c, size, filtered, take)?;
    let Some(at) = at else { return Ok(()) };
    let growth = Growth {
        index,
        block,
        page: 1 << page_bits,
        number: bits.div_ceil(8) as usize,
    };
    let mut c = file.cursor(at, "extensible array index block")?;
    c.signature(b"EAIB")?;
    c.version(0..=0)?;
    c.skip(1 + file.offset_size)?;
    reader.run(&mut c, 0, growth.index)?;
    let mut first = growth.index;
    let supers = 1 + bits - block.trailing_zeros();
    // The first super blocks' data blocks hang on the index block itself.
    let inline = 2 * pointers.trailing_zeros();
    for level in 0..supers {
        if first >= used {
            break;
        }
        let blocks = 1u64 << (level / 2).min(62);
        let elements = growth
            .block
            .saturating_mul(1 << (level.div_ceil(2)).min(62));
        if level < inline {
            for _ in 0..blocks {
                let block = c.offset()?;
                data_block(&mut reader, block, first, elements, &growth, None)?;
                first = first.saturating_add(elements);
            }
            continue;
        }
        let Some(at) = c.offset()? else {
            first = first.saturating_add(blocks.saturating_mul(elements));
            continue;
        };
        let mut s = file.cursor(at, "extensible array super block")?;
        s.signature(b"EASB")?;
        s.version(0..=0)?;
        s.skip(1 + file.offset_size + growth.number)?;
        let paged = elements > growth.page;
        let bitmap = if paged {
            (elements / growth.page).div_ceil(8)
        } else {
            0
        };
        let whole = usize::try_from(blocks.saturating_mul(bitmap)).unwrap_or(usize::MAX);
        let ready = s.take(whole)?;
        for i in 0..blocks {
            if first >= used {
                break;
            }
            let block = s.offset()?;
            let from = i.saturating_mul(bitmap) as usize;
            let ready = ready.get(from..from.saturating_add(bitmap as usize));
            data_block(&mut reader, block, first, elements, &growth, ready)?;
            first = first.saturating_add(elements);
        }
    }
    Ok(())
}

fn data_block(
    reader: &mut Reader<'_, '_>,
    block: Option<u64>,
    first: u64,
    elements: u64,
    growth: &Growth,
    ready: Option<&[u8]>,
) -> Result<()> {
    let Some(block) = block else { return Ok(()) };
    let file = reader.file;
    let mut c = file.cursor(block, "extensible array data block")?;
    c.signature(b"EADB")?;
    c.version(0..=0)?;
    c.skip(1 + file.offset_size + growth.number)?;
    if elements <= growth.page {
        return reader.run(&mut c, first, elements);
    }
    c.skip(4)?;
    reader.pages(
        &mut c,
        first,
        elements,
        growth.page,
        ready.unwrap_or_default(),
    )
}
