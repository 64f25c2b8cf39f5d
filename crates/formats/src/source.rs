//! A file mapped into memory. The only module with `unsafe`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use memmap2::{Mmap, UncheckedAdvice};

use crate::error::{Error, Result};

/// A read-only mapping of a whole, non-empty, regular file.
pub(crate) struct Source {
    path: PathBuf,
    map: Mmap,
}

impl Source {
    /// Opens and maps a file.
    ///
    /// # Errors
    /// Folder or special file, empty file, or what the system says (absent, not permitted).
    pub(crate) fn open(path: &Path) -> Result<Source> {
        let file = File::open(path).map_err(|e| Error::io(path, "open", e))?;
        let meta = file.metadata().map_err(|e| Error::io(path, "stat", e))?;
        if meta.is_dir() {
            return Err(Error::NotAFile {
                path: path.to_path_buf(),
                found: "a folder",
            });
        }
        if !meta.is_file() {
            return Err(Error::NotAFile {
                path: path.to_path_buf(),
                found: "a special file",
            });
        }
        if meta.len() == 0 {
            return Err(Error::Empty {
                path: path.to_path_buf(),
            });
        }
        // SAFETY: the mapping is read-only and private to this value. Rust requires that the
        // bytes do not change while a `&[u8]` to them lives. Nothing in this process writes
        // to input files. Another process could: a changed byte then only changes sample
        // values (every parse is bounds-checked on the slice and no byte is read twice under
        // an assumption of equality); a *shortened* file raises SIGBUS, which ends the
        // process. Raw recordings are archives; this is documented on `open`.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| Error::io(path, "map", e))?;
        Ok(Source {
            path: path.to_path_buf(),
            map,
        })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Lets the system take the pages back that were read.
    pub(crate) fn release(&self) {
        // SAFETY: the advice throws away changes that were never written to a file. A read-only
        // mapping has none: its pages come from the file again, with the same bytes, and slices
        // that live across the call stay valid.
        let advised = unsafe { self.map.unchecked_advise(UncheckedAdvice::DontNeed) };
        // Advice that is not taken costs memory and nothing else.
        let _ = advised;
    }
}

/// A seekable reader over a mapped file, for decoders that want one.
pub(crate) struct Reader {
    source: Source,
    at: u64,
}

impl Reader {
    pub(crate) fn new(source: Source) -> Reader {
        Reader { source, at: 0 }
    }

    pub(crate) fn len(&self) -> u64 {
        self.source.bytes().len() as u64
    }
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let bytes = self.source.bytes();
        let from = usize::try_from(self.at)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let n = out.len().min(bytes.len() - from);
        out[..n].copy_from_slice(&bytes[from..from + n]);
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len().checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = target.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
