//! The folder that a data set is brought to: parts, receipts, the lock, and the one step that puts
//! a checked file in its place.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::path::{OWN, RelPath};
use crate::plan::Here;
use crate::{Error, Result};

/// That a file was checked, and how it looked then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Receipt {
    pub(crate) path: String,
    pub(crate) size: u64,
    /// Time of the last change: seconds and nanoseconds since 1970.
    modified: (u64, u32),
    /// The checksum that was found.
    pub(crate) digest: String,
}

/// What a part is a part of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartNote {
    pub(crate) path: String,
    pub(crate) size: Option<u64>,
    /// The checksum that is wanted.
    pub(crate) digest: Option<String>,
    /// A strong ETag or a date, to ask for the rest of the same file.
    pub(crate) validator: Option<String>,
    /// Bytes that were synced to the disk. Those after them may be lost or zero after a power
    /// failure, which a checksum finds; where there is none they are not believed.
    #[serde(default)]
    pub(crate) synced: u64,
}

/// A folder of data with our own folder in it.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    receipts: HashMap<String, Receipt>,
    /// Open for more receipts, and locked, when this run writes.
    log: Option<Mutex<File>>,
    _lock: Option<File>,
}

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    |source| Error::Io { path, source }
}

impl Folder {
    /// To look at; nothing is written.
    pub(crate) fn look(root: &Path) -> Folder {
        let receipts = fs::read_to_string(root.join(OWN).join("receipts.jsonl"));
        Folder {
            root: root.to_owned(),
            receipts: read_receipts(&receipts.unwrap_or_default()),
            log: None,
            _lock: None,
        }
    }

    /// To write to; it is made where it is not there, and ours alone until it is dropped.
    pub(crate) fn open(root: &Path) -> Result<Folder> {
        let own = root.join(OWN);
        let parts = own.join("parts");
        fs::create_dir_all(&parts).map_err(io(&parts))?;
        let lock_path = own.join("lock");
        let lock = File::create(&lock_path).map_err(io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked(root.to_owned())),
            Err(TryLockError::Error(e)) => return Err(io(&lock_path)(e)),
        }
        let path = own.join("receipts.jsonl");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(io(&path)(e)),
        };
        let mut log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(io(&path))?;
        // A line that a crash has cut must not swallow the next one.
        if !text.is_empty() && !text.ends_with('\n') {
            log.write_all(b"\n").map_err(io(&path))?;
        }
        Ok(Folder {
            root: root.to_owned(),
            receipts: read_receipts(&text),
            log: Some(Mutex::new(log)),
            _lock: Some(lock),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What is there of a file, without reading it.
    pub(crate) fn here(&self, path: &RelPath, size: Option<u64>, digest: Option<Digest>) -> Here {
        let full = path.below(&self.root);
        if let Ok(meta) = fs::metadata(&full)
            && meta.is_file()
            && size.is_none_or(|s| s == meta.len())
        {
            return match self.receipt(path, digest) {
                Some(_) => Here::Checked,
                None if size.is_some() => Here::Unchecked,
                None => Here::Absent,
            };
        }
        match fs::metadata(self.part(path)) {
            Ok(meta) if meta.len() > 0 => Here::Part(meta.len()),
            _ => Here::Absent,
        }
    }

    /// The receipt of a file that has not changed since, for the checksum that is wanted.
    pub(crate) fn receipt(&self, path: &RelPath, digest: Option<Digest>) -> Option<&Receipt> {
        let receipt = self.receipts.get(path.as_str())?;
        let meta = fs::metadata(path.below(&self.root)).ok()?;
        let same = meta.len() == receipt.size
            && modified(&meta) == Some(receipt.modified)
            && digest.is_none_or(|d| d.to_string() == receipt.digest);
        same.then_some(receipt)
    }

    /// Where the part of a file lies. The name is made of a hash, so that no name of a listing can
    /// stand in another's way.
    pub(crate) fn part(&self, path: &RelPath) -> PathBuf {
        let hash = Sha256::digest(path.as_str().as_bytes());
        let name: String = hash.iter().take(12).map(|b| format!("{b:02x}")).collect();
        self.root
            .join(OWN)
            .join("parts")
            .join(format!("{name}.part"))
    }

    fn note_path(&self, path: &RelPath) -> PathBuf {
        self.part(path).with_extension("json")
    }

    /// What the part of a file is a part of.
    pub(crate) fn note(&self, path: &RelPath) -> Option<PartNote> {
        let text = fs::read_to_string(self.note_path(path)).ok()?;
        let note: PartNote = serde_json::from_str(&text).ok()?;
        (note.path == path.as_str()).then_some(note)
    }

    /// Writes that down.
    pub(crate) fn write_note(&self, path: &RelPath, note: &PartNote) -> std::io::Result<()> {
        fs::write(self.note_path(path), serde_json::to_string(note)?)
    }

    /// Puts a synced part in its place: after this the name is there, and whole.
    pub(crate) fn place(&self, path: &RelPath) -> std::io::Result<()> {
        let full = path.below(&self.root);
        let parent = full.parent().unwrap_or(&self.root);
        fs::create_dir_all(parent)?;
        fs::rename(self.part(path), &full)?;
        sync_folder(parent)?;
        match fs::remove_file(self.note_path(path)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// Writes down that a file in its place was checked.
    pub(crate) fn record(&self, path: &RelPath, digest: Digest) -> std::io::Result<()> {
        let meta = fs::metadata(path.below(&self.root))?;
        let Some(modified) = modified(&meta) else {
            return Ok(());
        };
        let receipt = Receipt {
            path: path.as_str().to_owned(),
            size: meta.len(),
            modified,
            digest: digest.to_string(),
        };
        let mut line = serde_json::to_string(&receipt)?;
        line.push('\n');
        if let Some(log) = &self.log {
            let mut log = log
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            log.write_all(line.as_bytes())?;
        }
        Ok(())
    }
}

/// The last receipt of each file; a line that is broken is as none.
fn read_receipts(text: &str) -> HashMap<String, Receipt> {
    let read = |line: &str| serde_json::from_str::<Receipt>(line).ok();
    let all = text.lines().filter_map(read);
    all.map(|r| (r.path.clone(), r)).collect()
}

fn modified(meta: &fs::Metadata) -> Option<(u64, u32)> {
    let since = meta.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((since.as_secs(), since.subsec_nanos()))
}

/// Makes a rename last.
#[cfg(unix)]
fn sync_folder(path: &Path) -> std::io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_holds_as_long_as_the_file_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = RelPath::new("a/b.edf").unwrap();
        let digest = Digest::from_hex("1d1184d4a026fba9d79d16b9a26cd3bb").unwrap();
        {
            let folder = Folder::open(dir.path()).unwrap();
            assert_eq!(folder.here(&path, Some(3), None), Here::Absent);
            fs::write(folder.part(&path), b"abc").unwrap();
            assert_eq!(folder.here(&path, Some(3), None), Here::Part(3));
            folder.place(&path).unwrap();
            assert_eq!(folder.here(&path, Some(3), None), Here::Unchecked);
            folder.record(&path, digest).unwrap();
            assert!(matches!(Folder::open(dir.path()), Err(Error::Locked(_))));
        }
        // A cut line after it, as a crash leaves.
        let log = dir.path().join(OWN).join("receipts.jsonl");
        let mut text = fs::read_to_string(&log).unwrap();
        text.push_str("{\"path\":\"a/");
        fs::write(&log, text).unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert_eq!(folder.here(&path, Some(3), Some(digest)), Here::Checked);
        assert_eq!(folder.here(&path, Some(4), Some(digest)), Here::Absent);
        let other = Digest::from_hex("2d1184d4a026fba9d79d16b9a26cd3bb").unwrap();
        assert_eq!(folder.here(&path, Some(3), Some(other)), Here::Unchecked);
        fs::write(dir.path().join("a/b.edf"), b"xyz").unwrap();
        assert_eq!(folder.here(&path, Some(3), Some(digest)), Here::Unchecked);
    }
}
