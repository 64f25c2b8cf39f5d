//! Files that appear whole or not at all.
//!
//! A file is written under a temporary name in the folder where it will stay, synced, renamed
//! to its name, and the folder synced. A reader never sees part of a file; a process that dies
//! leaves at most a temporary file, which the next ingest removes and no reader lists.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Error, Result};

/// Ends every temporary name.
const SUFFIX: &str = ".mmpipe-tmp";

/// A file being written, invisible until [`Pending::commit`]; dropped, it is removed.
#[derive(Debug)]
pub(crate) struct Pending {
    target: PathBuf,
    temporary: PathBuf,
    done: bool,
}

impl Pending {
    /// Opens a temporary file beside `target`, making the folders that lead to it.
    pub(crate) fn create(target: &Path) -> Result<(Self, BufWriter<File>)> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let folder = folder_of(target);
        fs::create_dir_all(folder).map_err(Error::io("create folder", folder))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        // The process number and a counter keep two writers of one target apart.
        let temporary = folder.join(format!(
            ".{name}.{}-{}{SUFFIX}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .map_err(Error::io("create", &temporary))?;
        // Held until the file is closed: this is how a sweep tells a writer from a dead one.
        // A file system without locks says so, and a sweep there removes nothing.
        let _ = file.try_lock();
        let pending = Pending {
            target: target.to_path_buf(),
            temporary,
            done: false,
        };
        Ok((pending, BufWriter::with_capacity(1 << 20, file)))
    }

    /// Syncs `file` and gives it its name.
    pub(crate) fn commit(mut self, file: BufWriter<File>) -> Result<PathBuf> {
        let file = file
            .into_inner()
            .map_err(|e| Error::io("write", &self.target)(e.into_error()))?;
        file.sync_all().map_err(Error::io("sync", &self.target))?;
        drop(file);
        fs::rename(&self.temporary, &self.target).map_err(Error::io("rename to", &self.target))?;
        self.done = true;
        sync_folder(&self.target)?;
        Ok(self.target.clone())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            // Best effort: what stays is removed by the next ingest.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// The folder of a file; the working folder for a bare name.
fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Makes a rename or removal in the folder of `path` last through a power cut.
fn sync_folder(path: &Path) -> Result<()> {
    let folder = folder_of(path);
    match File::open(folder).and_then(|f| f.sync_all()) {
        Ok(()) => Ok(()),
        // Some file systems cannot sync a folder; the rename itself is still atomic.
        Err(e)
            if matches!(
                e.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput
            ) =>
        {
            Ok(())
        }
        Err(e) => Err(Error::io("sync folder", folder)(e)),
    }
}

/// Writes `bytes` to the file `target`, whole or not at all, making the folders that lead to it.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn write_bytes(target: &Path, bytes: &[u8]) -> Result<()> {
    let (pending, mut file) = Pending::create(target)?;
    file.write_all(bytes).map_err(Error::io("write", target))?;
    pending.commit(file).map(drop)
}

/// Removes a file; one that is not there is no error.
pub(crate) fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => sync_folder(path).map(|()| true),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Error::io("remove", path)(e)),
    }
}

/// Removes temporary files that writers left below `folder` when they died.
pub(crate) fn sweep(folder: &Path) -> Result<usize> {
    let mut removed = 0;
    for path in files_below(folder, SUFFIX)? {
        if abandoned(&path) {
            removed += usize::from(remove(&path)?);
        }
    }
    Ok(removed)
}

/// Removes what dead writers of the file `target` left beside it.
pub(crate) fn sweep_beside(target: &Path) -> Result<()> {
    let (folder, name) = (folder_of(target), target.file_name().unwrap_or_default());
    let start = format!(".{}.", name.to_string_lossy());
    for entry in fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let path = entry.map_err(Error::io("list", folder))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(&start) && name.ends_with(SUFFIX) && abandoned(&path) {
            remove(&path)?;
        }
    }
    Ok(())
}

/// Whether nobody holds the lock of a temporary file: its writer died.
fn abandoned(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_ok())
}

/// Files below `folder` whose name ends in `suffix`, sorted; a missing folder has none.
pub(crate) fn files_below(folder: &Path, suffix: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            Err(e) => return Err(Error::io("list", &folder)(e)),
        };
        for entry in entries {
            let entry = entry.map_err(Error::io("list", &folder))?;
            let kind = entry
                .file_type()
                .map_err(Error::io("inspect", &entry.path()))?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if entry.file_name().to_string_lossy().ends_with(suffix) {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_visible_before_commit_and_drop_cleans() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("a/b.parquet");
        let (pending, mut file) = Pending::create(&target).unwrap();
        file.write_all(b"half").unwrap();
        assert!(!target.exists());
        assert!(files_below(dir.path(), ".parquet").unwrap().is_empty());
        drop(pending);
        assert!(files_below(dir.path(), "").unwrap().is_empty());
        write_bytes(&target, b"whole").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"whole");
    }

    #[test]
    fn a_dead_writers_file_is_swept() {
        let dir = tempfile::tempdir().unwrap();
        let stale = dir.path().join(format!(".x.parquet.4294967295-0{SUFFIX}"));
        fs::write(&stale, b"half").unwrap();
        assert_eq!(sweep(dir.path()).unwrap(), 1);
        assert!(!stale.exists());
        fs::write(&stale, b"half").unwrap();
        sweep_beside(&dir.path().join("y.parquet")).unwrap();
        assert!(stale.exists());
        sweep_beside(&dir.path().join("x.parquet")).unwrap();
        assert!(!stale.exists());
    }
}
