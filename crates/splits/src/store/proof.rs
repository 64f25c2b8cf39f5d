//! `audit.json`: written whole or not at all.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::StoredAudit;
use crate::{Error, Result};

/// Name of the file beside the split's table.
pub(super) const FILE: &str = "audit.json";
/// Version of its format.
pub(super) const FORMAT: u32 = 1;

/// Writes the proof: a temporary file, synced, renamed, and the folder synced.
pub(super) fn write(folder: &Path, proof: &StoredAudit) -> Result<()> {
    let path = folder.join(FILE);
    let mut text = serde_json::to_vec_pretty(proof).map_err(|e| Error::Stored {
        path: path.clone(),
        message: e.to_string(),
    })?;
    text.push(b'\n');
    let temporary = folder.join(format!(".{FILE}.{}.mmpipe-tmp", std::process::id()));
    let attempt = || -> std::io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(folder)?.sync_all()
    };
    attempt().map_err(|e| {
        // The first error is the one to report; a leftover is hidden and harmless.
        let _ = fs::remove_file(&temporary);
        Error::io("write", &path)(e)
    })
}

/// Removes the proof if there is one.
pub(super) fn remove(folder: &Path) -> Result<()> {
    let path = folder.join(FILE);
    match fs::remove_file(&path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io("remove", &path)(e)),
        _ => Ok(()),
    }
}

/// Reads the proof.
pub(super) fn read(folder: &Path) -> Result<StoredAudit> {
    let path = folder.join(FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            return Err(Error::Stored {
                path,
                message: "the split has no audit, so making it was interrupted; make it again"
                    .to_owned(),
            });
        }
        Err(e) => return Err(Error::io("read", &path)(e)),
    };
    let wrong = |message: String| Error::Stored {
        path: path.clone(),
        message,
    };
    let value: serde_json::Value = serde_json::from_slice(&text)
        .map_err(|e| wrong(format!("not JSON: {e}; make the split again")))?;
    // The version first: a newer format need not have these fields.
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(found) if found == u64::from(FORMAT) => {}
        found => {
            let found = found.map_or("none".to_owned(), |n| n.to_string());
            return Err(wrong(format!("expected format {FORMAT}, found {found}")));
        }
    }
    serde_json::from_value(value)
        .map_err(|e| wrong(format!("not an audit: {e}; make the split again")))
}
