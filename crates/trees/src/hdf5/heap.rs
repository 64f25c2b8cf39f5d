//! Heaps: local (names of old groups), global (variable-length values) and fractal (links and
//! attributes of new, large groups).

use std::collections::HashMap;

use super::file::{Cursor, File};
use crate::error::Result;

/// The NUL-terminated text at `at` in the local heap at `address`.
pub(super) struct Local<'a> {
    file: &'a File,
    data: &'a [u8],
    address: u64,
}

impl<'a> Local<'a> {
    pub(super) fn open(file: &'a File, address: u64) -> Result<Local<'a>> {
        let mut c = file.cursor(address, "local heap")?;
        c.signature(b"HEAP")?;
        c.version(0..=0)?;
        c.skip(3)?;
        let size = c.length()?;
        c.length()?;
        let at = c
            .offset()?
            .ok_or_else(|| c.wrong("undefined address of the data"))?;
        Ok(Local {
            file,
            data: file.bytes(at, size, "local heap")?,
            address: at,
        })
    }

    pub(super) fn text(&self, at: u64) -> Result<String> {
        let bytes = usize::try_from(at).ok().and_then(|at| self.data.get(at..));
        let end = bytes.and_then(|b| b.iter().position(|b| *b == 0).and_then(|n| b.get(..n)));
        end.map(|b| String::from_utf8_lossy(b).into_owned())
            .ok_or_else(|| {
                let message = format!("no text at {at} of {} bytes", self.data.len());
                self.file.damaged("local heap", self.address, message)
            })
    }
}

/// The objects of the global heap collection at `address`, by their numbers.
pub(super) fn collection(file: &File, address: u64) -> Result<HashMap<u64, &[u8]>> {
    let mut c = file.cursor(address, "global heap")?;
    c.signature(b"GCOL")?;
    c.version(1..=1)?;
    c.skip(3)?;
    let size = c.length()?;
    let head = c.walked() as u64;
    let start = c.address();
    let body = size
        .checked_sub(head)
        .ok_or_else(|| c.wrong(format!("a collection of {size} bytes")))?;
    let mut c = file.over(
        file.bytes(start, body, "global heap")?,
        start,
        "global heap",
    );
    let mut out = HashMap::new();
    while c.left() >= 8 + file.length_size {
        let number = c.u16()?;
        c.skip(6)?;
        let size = c.length()?;
        if number == 0 {
            break;
        }
        let size = usize::try_from(size).map_err(|_| c.wrong(format!("{size} bytes")))?;
        out.insert(u64::from(number), c.take(size)?);
        c.skip(((8 - size % 8) % 8).min(c.left()))?;
    }
    Ok(out)
}

/// Reads variable-length values; the collection used last is kept.
#[derive(Default)]
pub(super) struct Global<'a> {
    address: Option<u64>,
    objects: HashMap<u64, &'a [u8]>,
}

impl<'a> Global<'a> {
    /// The count of elements and their bytes for the stored descriptor of one value.
    pub(super) fn value(&mut self, file: &'a File, stored: &[u8]) -> Result<(usize, &'a [u8])> {
        let mut c = file.over(stored, 0, "variable-length value");
        let count = c.u32()? as usize;
        let address = c.uint(file.offset_size)?;
        let number = u64::from(c.u32()?);
        if count == 0 || address == 0 {
            return Ok((0, &[]));
        }
        if self.address != Some(address) {
            self.objects = collection(file, address)?;
            self.address = Some(address);
        }
        match self.objects.get(&number) {
            Some(bytes) => Ok((count, bytes)),
            None => Err(file.damaged("global heap", address, format!("no object {number}"))),
        }
    }
}

/// A fractal heap's header.
pub(super) struct Fractal<'a> {
    file: &'a File,
    address: u64,
    max_direct: u64,
    start: u64,
    width: u64,
    offset_bytes: usize,
    length_bytes: usize,
    root: Option<u64>,
    rows: u64,
    first_bits: u32,
    huge: bool,
}

impl<'a> Fractal<'a> {
    pub(super) fn open(file: &'a File, address: u64) -> Result<Fractal<'a>> {
        let mut c = file.cursor(address, "fractal heap")?;
        c.signature(b"FRHP")?;
        c.version(0..=0)?;
        c.skip(2)?;
        if c.u16()? != 0 {
            return Err(file.unsupported("a filtered fractal heap"));
        }
        c.skip(1)?;
        let most = c.u32()?;
        c.length()?;
        let huge = c.offset()?.is_some();
        c.length()?;
        c.offset()?;
        c.skip(8 * file.length_size)?;
        let width = u64::from(c.u16()?);
        let start = c.length()?;
        let max_direct = c.length()?;
        let bits = u32::from(c.u16()?);
        c.skip(2)?;
        let root = c.offset()?;
        let rows = u64::from(c.u16()?);
        file.check(address, c.walked(), "fractal heap")?;
        let sane = width.is_power_of_two()
            && start.is_power_of_two()
            && max_direct.is_power_of_two()
            && max_direct >= start
            && (1..=64).contains(&bits)
            && rows <= 64;
        if !sane {
            let what = format!("width {width}, blocks of {start} to {max_direct}, {bits} bits");
            return Err(c.wrong(what));
        }
        let direct = (max_direct.trailing_zeros() as usize).div_ceil(8);
        let length = (32 - most.max(1).leading_zeros() as usize - 1) / 8 + 1;
        Ok(Fractal {
            file,
            address,
            max_direct,
            start,
            width,
            offset_bytes: (bits as usize).div_ceil(8),
            length_bytes: direct.min(length),
            root,
            rows,
            first_bits: start.trailing_zeros() + width.trailing_zeros(),
            huge,
        })
    }

    /// The object with this heap identifier, and where it is.
    pub(super) fn object(&self, id: &'a [u8], at: u64) -> Result<Cursor<'a>> {
        const FIELD: &str = "fractal heap object";
        let mut c = self.file.over(id, at, FIELD);
        let flags = c.u8()?;
        match (flags >> 4) & 3 {
            0 => {
                let offset = c.uint(self.offset_bytes)?;
                let length = c.uint(self.length_bytes)?;
                let address = self.managed(offset, length)?;
                let bytes = self.file.bytes(address, length, FIELD)?;
                Ok(self.file.over(bytes, address, FIELD))
            }
            2 if id.len() <= 18 => {
                let length = usize::from(flags & 15) + 1;
                let start = c.address();
                Ok(self.file.over(c.take(length)?, start, FIELD))
            }
            1 if self.huge => Err(self.file.unsupported("a huge object of a fractal heap")),
            other => Err(c.wrong(format!("heap identifier of type {other}"))),
        }
    }

    fn row_size(&self, row: u64) -> Option<u64> {
        let shift = u32::try_from(row.saturating_sub(1)).ok()?;
        1u64.checked_shl(shift)?.checked_mul(self.start)
    }

    fn managed(&self, offset: u64, length: u64) -> Result<u64> {
        let lost = |what: &str| {
            let message = format!("object at {offset} of {length} bytes: {what}");
            self.file.damaged("fractal heap", self.address, message)
        };
        let mut block = self.root.ok_or_else(|| lost("the heap is empty"))?;
        let mut rows = self.rows;
        let mut within = offset;
        // Each level's blocks are smaller, so 64 levels are more than there can be.
        for _ in 0..64 {
            if rows == 0 {
                let mut c = self.file.cursor(block, "fractal heap block")?;
                c.signature(b"FHDB")?;
                return block.checked_add(within).ok_or_else(|| lost("beyond 2^64"));
            }
            let mut c = self.file.cursor(block, "fractal heap block")?;
            c.signature(b"FHIB")?;
            c.version(0..=0)?;
            c.skip(self.file.offset_size + self.offset_bytes)?;
            let mut found = None;
            'rows: for row in 0..rows {
                let size = self
                    .row_size(row)
                    .ok_or_else(|| lost("blocks beyond 2^64"))?;
                let whole = size.saturating_mul(self.width);
                if within < whole {
                    c.skip((within / size) as usize * self.file.offset_size)?;
                    found = Some((c.offset()?, size));
                    within %= size;
                    break 'rows;
                }
                within -= whole;
                c.skip(self.width as usize * self.file.offset_size)?;
            }
            let (child, size) = found.ok_or_else(|| lost("beyond the heap"))?;
            block = child.ok_or_else(|| lost("in a block that does not exist"))?;
            rows = if size <= self.max_direct {
                0
            } else {
                let bits = u64::from(size.trailing_zeros().saturating_sub(self.first_bits)) + 1;
                bits.min(64)
            };
            if rows == 0 && within.saturating_add(length) > size {
                return Err(lost("it leaves its block"));
            }
        }
        Err(lost("blocks nested too deep"))
    }
}
