//! The stamp of a finished unpack: which archive, and every member's size, CRC-32 and time as
//! written. Owns its form and when it counts.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Write};
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::names::STAMP;
use crate::{Collision, Kind, Refused, Result};

const VERSION: u32 = 1;

/// One member of the archive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) path: String,
    pub(crate) bytes: u64,
    /// As computed when it was unpacked.
    pub(crate) crc32: Option<u32>,
    /// The file's time of change as unpacked; None for one that was not wanted.
    pub(crate) modified_ns: Option<u64>,
}

/// The file `.unpacked.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stamp {
    version: u32,
    archive: String,
    archive_bytes: u64,
    archive_modified_ns: u64,
    pub(crate) kind: Kind,
    pub(crate) members: Vec<Row>,
    pub(crate) refused: Vec<Refused>,
    pub(crate) collisions: Vec<Collision>,
}

/// A file's time of change.
pub(crate) fn modified_ns(meta: &fs::Metadata) -> u64 {
    let since = meta.modified().ok();
    let since = since.and_then(|t| t.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |d| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

impl Stamp {
    /// A stamp about the archive as it is now.
    pub(crate) fn new(archive: &Path, kind: Kind) -> Result<Self> {
        let meta = fs::metadata(archive).map_err(Error::io("look at", archive))?;
        let name = archive.file_name().unwrap_or_default();
        Ok(Stamp {
            version: VERSION,
            archive: name.to_string_lossy().into_owned(),
            archive_bytes: meta.len(),
            archive_modified_ns: modified_ns(&meta),
            kind,
            members: Vec::new(),
            refused: Vec::new(),
            collisions: Vec::new(),
        })
    }

    /// The stamp in `folder`, when it is about the same archive. A stamp that cannot be read
    /// proves nothing and is as good as none.
    pub(crate) fn load(folder: &Path, now: &Stamp) -> Option<Self> {
        let file = File::open(folder.join(STAMP)).ok()?;
        let old: Stamp = serde_json::from_reader(BufReader::new(file)).ok()?;
        let same = old.version == now.version
            && old.archive == now.archive
            && old.archive_bytes == now.archive_bytes
            && old.archive_modified_ns == now.archive_modified_ns
            && old.kind == now.kind;
        same.then_some(old)
    }

    /// Writes it to `temporary`, then gives it its name.
    pub(crate) fn save(&self, folder: &Path, temporary: &Path) -> Result<()> {
        let fail = |e| Error::io("write", temporary)(e);
        let file = File::create(temporary).map_err(fail)?;
        let mut out = BufWriter::new(file);
        serde_json::to_writer(&mut out, self).map_err(|e| fail(e.into()))?;
        out.write_all(b"\n").map_err(fail)?;
        let file = out.into_inner().map_err(|e| fail(e.into_error()))?;
        file.sync_all().map_err(fail)?;
        let target = folder.join(STAMP);
        fs::rename(temporary, &target).map_err(Error::io("rename to", &target))
    }

    /// Takes the stamp away, before the folder changes.
    pub(crate) fn remove(folder: &Path) -> Result<()> {
        let path = folder.join(STAMP);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", &path)(e))
            }
            _ => Ok(()),
        }
    }
}
