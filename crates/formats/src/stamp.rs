//! What tells one state of a file from another.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A file as it is now, however its path is spelt: what was read of it holds for as long as its
/// stamp is the same. A file that was replaced has another size, time or inode.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Stamp {
    path: PathBuf,
    bytes: u64,
    modified: Option<SystemTime>,
    inode: u64,
}

impl Stamp {
    /// That of a file.
    ///
    /// # Errors
    /// The system's, where the file cannot be looked at.
    pub fn of(path: &Path) -> std::io::Result<Stamp> {
        let path = path.canonicalize()?;
        let meta = std::fs::metadata(&path)?;
        #[cfg(unix)]
        let inode = std::os::unix::fs::MetadataExt::ino(&meta);
        #[cfg(not(unix))]
        let inode = 0;
        Ok(Stamp {
            path,
            bytes: meta.len(),
            modified: meta.modified().ok(),
            inode,
        })
    }

    /// The file's canonical path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
