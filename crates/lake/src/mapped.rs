//! Files mapped into memory: the crate's one place with `unsafe`.
#![allow(unsafe_code)]

use std::fs::File;
use std::path::Path;

use bytes::Bytes;
use memmap2::{Advice, Mmap};

use crate::{Error, Result};

/// Maps a whole file for reading. Cheap to clone and slice; unmapped with the last clone.
pub(crate) fn map(path: &Path) -> Result<Bytes> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    // SAFETY: the mapping is read-only, and files of the lake are never changed in place: a new
    // version is a new file renamed over the old one (crate::commit), which leaves this mapping
    // on the old one. A foreign program that truncates the file while it is mapped would end
    // this process with a bus error; that risk is that of every mapped reader.
    let map = unsafe { Mmap::map(&file) }.map_err(Error::io("map", path))?;
    // Rows are read in random order: reading ahead would fetch neighbours for nothing. Only a
    // hint, so a system that refuses it does no harm.
    let _ = map.advise(Advice::Random);
    Ok(Bytes::from_owner(map))
}
