//! A file mapped into memory. The only module with `unsafe`.

use std::fs::File;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

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
    /// [`Error::UnknownFormat`] for a folder, a special or an empty file, else what the system
    /// says.
    pub(crate) fn open(path: &Path) -> Result<Source> {
        let file = File::open(path).map_err(|e| Error::io(path, "open", e))?;
        let meta = file.metadata().map_err(|e| Error::io(path, "stat", e))?;
        let odd = if meta.is_dir() {
            Some("a folder")
        } else if !meta.is_file() {
            Some("a special file")
        } else if meta.len() == 0 {
            Some("an empty file (0 bytes)")
        } else {
            None
        };
        if let Some(found) = odd {
            return Err(Error::UnknownFormat {
                path: path.to_path_buf(),
                expected: "a file of arrays",
                found: found.to_owned(),
            });
        }
        // SAFETY: the mapping is read-only and private to this value, and nothing in this
        // process writes to input files. Another process could: a changed byte changes values
        // only (every parse is bounds-checked on the slice), a *shortened* file raises SIGBUS,
        // which ends the process. Raw data are archives; this is documented on `open`.
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
}
