//! The mapped file: bounded reads at addresses, and the superblock.

use crate::error::{Error, Result};
use crate::source::Source;

/// The first eight bytes of every superblock.
pub(super) const SIGNATURE: [u8; 8] = *b"\x89HDF\r\n\x1a\n";

/// An open HDF5 file. Addresses count from `base`, where the superblock lies.
pub(super) struct File {
    source: Source,
    base: usize,
    /// Bytes of an address.
    pub(super) offset_size: usize,
    /// Bytes of a length.
    pub(super) length_size: usize,
    /// Address of the root group's object header.
    pub(super) root: u64,
}

/// Where the superblock is: at 0, 512, 1024, 2048, ... (a user block comes before it).
pub(crate) fn find_signature(bytes: &[u8]) -> Option<usize> {
    let mut at = 0usize;
    loop {
        let here = bytes.get(at..)?;
        if here.starts_with(&SIGNATURE) {
            return Some(at);
        }
        at = if at == 0 { 512 } else { at.checked_mul(2)? };
    }
}

impl File {
    pub(super) fn open(source: Source) -> Result<File> {
        let base = find_signature(source.bytes()).ok_or_else(|| Error::UnknownFormat {
            path: source.path().to_path_buf(),
            expected: "an HDF5 signature at byte 0, 512, 1024, ...",
            found: "none".to_owned(),
        })?;
        let mut file = File {
            source,
            base,
            offset_size: 8,
            length_size: 8,
            root: 0,
        };
        let (offset_size, length_size, root) = file.superblock()?;
        file.offset_size = offset_size;
        file.length_size = length_size;
        file.root = root;
        Ok(file)
    }

    fn superblock(&self) -> Result<(usize, usize, u64)> {
        let mut c = self.cursor(8, "superblock")?;
        let version = c.u8()?;
        let sizes = |c: &Cursor<'_>, o: u8, l: u8| {
            for size in [o, l] {
                if !matches!(size, 2 | 4 | 8) {
                    return Err(c.wrong(format!("size of offsets or lengths {size}, not 2, 4, 8")));
                }
            }
            Ok((usize::from(o), usize::from(l)))
        };
        match version {
            0 | 1 => {
                c.skip(4)?;
                let (o, l) = (c.u8()?, c.u8()?);
                let (o, l) = sizes(&c, o, l)?;
                c.skip(1 + 2 + 2 + 4 + if version == 1 { 4 } else { 0 })?;
                // Base, free space, end of file, driver; then the root's symbol table entry.
                c.skip(4 * o + o)?;
                let root = c.uint(o)?;
                Ok((o, l, root))
            }
            2 | 3 => {
                let (o, l) = (c.u8()?, c.u8()?);
                let (o, l) = sizes(&c, o, l)?;
                c.skip(1 + 3 * o)?;
                let root = c.uint(o)?;
                self.check(0, 12 + 4 * o, "superblock")?;
                Ok((o, l, root))
            }
            other => Err(Error::Unsupported {
                path: self.source.path().to_path_buf(),
                place: "file".to_owned(),
                what: format!("superblock version {other} (0 to 3 are read)"),
            }),
        }
    }

    pub(super) fn path(&self) -> &std::path::Path {
        self.source.path()
    }

    /// Bytes from the superblock to the end.
    pub(super) fn size(&self) -> usize {
        self.source.bytes().len().saturating_sub(self.base)
    }

    pub(super) fn user_block(&self) -> &[u8] {
        self.source.bytes().get(..self.base).unwrap_or_default()
    }

    /// `length` bytes at `address`.
    pub(super) fn bytes(&self, address: u64, length: u64, field: &'static str) -> Result<&[u8]> {
        let range = usize::try_from(address)
            .ok()
            .and_then(|a| a.checked_add(self.base))
            .and_then(|a| Some(a..a.checked_add(usize::try_from(length).ok()?)?));
        range
            .and_then(|r| self.source.bytes().get(r))
            .ok_or_else(|| {
                self.damaged(
                    field,
                    address,
                    format!(
                        "{length} bytes at address {address}, but the file has {} after its base",
                        self.size()
                    ),
                )
            })
    }

    /// A cursor from `address` to the end of the file.
    pub(super) fn cursor(&self, address: u64, field: &'static str) -> Result<Cursor<'_>> {
        let rest = (self.size() as u64).saturating_sub(address);
        let bytes = self.bytes(address, rest.max(1), field)?;
        Ok(Cursor {
            file: self,
            bytes,
            at: 0,
            start: address,
            field,
        })
    }

    /// A cursor over bytes that lie in the file at `start`.
    pub(super) fn over<'a>(
        &'a self,
        bytes: &'a [u8],
        start: u64,
        field: &'static str,
    ) -> Cursor<'a> {
        Cursor {
            file: self,
            bytes,
            at: 0,
            start,
            field,
        }
    }

    /// Checks the Jenkins checksum stored after `length` bytes at `address`.
    pub(super) fn check(&self, address: u64, length: usize, field: &'static str) -> Result<()> {
        let all = self.bytes(address, (length as u64).saturating_add(4), field)?;
        let (body, stored) = all.split_at_checked(length).unwrap_or_default();
        let stored = little(stored);
        let found = u64::from(super::checksum::lookup3(body));
        if stored != found && super::checksum::CHECKED {
            return Err(self.damaged(
                field,
                address,
                format!("checksum {found:#010x}, stored {stored:#010x}: the file is damaged"),
            ));
        }
        Ok(())
    }

    pub(super) fn damaged(
        &self,
        field: impl Into<String>,
        address: u64,
        message: impl Into<String>,
    ) -> Error {
        Error::Damaged {
            path: self.source.path().to_path_buf(),
            field: field.into(),
            offset: address.saturating_add(self.base as u64),
            message: message.into(),
        }
    }

    pub(super) fn unsupported(&self, what: impl Into<String>) -> Error {
        Error::Unsupported {
            path: self.source.path().to_path_buf(),
            place: "file".to_owned(),
            what: what.into(),
        }
    }
}

/// A little-endian number of at most eight bytes.
pub(super) fn little(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .take(8)
        .rev()
        .fold(0, |n, b| (n << 8) | u64::from(*b))
}

/// Walks over bytes of the file; every step is checked.
#[derive(Clone)]
pub(super) struct Cursor<'a> {
    pub(super) file: &'a File,
    bytes: &'a [u8],
    at: usize,
    start: u64,
    field: &'static str,
}

impl<'a> Cursor<'a> {
    /// Address of the next byte.
    pub(super) fn address(&self) -> u64 {
        self.start.saturating_add(self.at as u64)
    }

    /// Bytes walked over so far.
    pub(super) fn walked(&self) -> usize {
        self.at
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(super) fn wrong(&self, message: impl Into<String>) -> Error {
        self.file.damaged(self.field, self.address(), message)
    }

    pub(super) fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let end = self.at.checked_add(n);
        match end.and_then(|end| self.bytes.get(self.at..end)) {
            Some(bytes) => {
                self.at += n;
                Ok(bytes)
            }
            None => Err(self.wrong(format!("{n} bytes expected, {} are left", self.left()))),
        }
    }

    pub(super) fn skip(&mut self, n: usize) -> Result<()> {
        self.take(n).map(|_| ())
    }

    /// A number of `n` bytes (at most 8), low byte first.
    pub(super) fn uint(&mut self, n: usize) -> Result<u64> {
        if n > 8 {
            return Err(self.wrong(format!("a number of {n} bytes")));
        }
        self.take(n).map(little)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.uint(1).map(|n| n as u8)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.uint(2).map(|n| n as u16)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.uint(4).map(|n| n as u32)
    }

    /// An address; `None` when undefined (all bits set).
    pub(super) fn offset(&mut self) -> Result<Option<u64>> {
        let size = self.file.offset_size;
        let value = self.uint(size)?;
        let undefined = u64::MAX >> (64 - 8 * size);
        Ok((value != undefined).then_some(value))
    }

    /// A length.
    pub(super) fn length(&mut self) -> Result<u64> {
        self.uint(self.file.length_size)
    }

    pub(super) fn signature(&mut self, expected: &[u8; 4]) -> Result<()> {
        let found = self.take(4)?;
        if found == expected {
            return Ok(());
        }
        Err(self.wrong(format!(
            "signature {:?} expected, {:?} found",
            String::from_utf8_lossy(expected),
            String::from_utf8_lossy(found)
        )))
    }

    pub(super) fn version(&mut self, known: std::ops::RangeInclusive<u8>) -> Result<u8> {
        let version = self.u8()?;
        if known.contains(&version) {
            return Ok(version);
        }
        Err(self.wrong(format!(
            "version {version}; {} to {} are known",
            known.start(),
            known.end()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzzing: the length of a fixed array whose header names 2^64 - 1 elements.
    #[test]
    fn a_length_beyond_all_files_is_an_error() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/hdf5/earliest.h5");
        let file = File::open(Source::open(&path).unwrap()).unwrap();
        for (address, length) in [(8, usize::MAX), (u64::MAX, usize::MAX), (u64::MAX, 0)] {
            assert!(file.check(address, length, "fixed array").is_err());
        }
    }
}
