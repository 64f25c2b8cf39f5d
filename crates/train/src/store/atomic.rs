//! Whole files and folders, or nothing: temporary name, fsync, rename, fsync of the parent.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use crate::{Error, Result};

/// Write one file so that a reader sees the old or the new one.
pub(crate) fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::checkpoint(path, "expected the path of a file"));
    };
    fs::create_dir_all(parent).map_err(Error::io(parent))?;
    let tmp = parent.join(format!(".tmp-{}", name.to_string_lossy()));
    write_synced(&tmp, bytes)?;
    fs::rename(&tmp, path).map_err(Error::io(path))?;
    sync_dir(parent)
}

/// Write a folder of files so that a reader sees none or all of them.
pub(crate) fn write_dir(path: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::checkpoint(path, "expected the path of a folder"));
    };
    fs::create_dir_all(parent).map_err(Error::io(parent))?;
    let tmp = parent.join(format!(".tmp-{}", name.to_string_lossy()));
    remove_dir(&tmp)?;
    fs::create_dir(&tmp).map_err(Error::io(&tmp))?;
    for (name, bytes) in files {
        write_synced(&tmp.join(name), bytes)?;
    }
    sync_dir(&tmp)?;
    remove_dir(path)?;
    fs::rename(&tmp, path).map_err(Error::io(path))?;
    sync_dir(parent)
}

/// Remove a folder if it is there; it loses its name first.
pub(crate) fn remove_dir(path: &Path) -> Result<()> {
    if !path.exists() {
        return Ok(());
    }
    let mut name = std::ffi::OsString::from(".old-");
    name.push(path.file_name().unwrap_or_default());
    let old = path.with_file_name(name);
    if old.exists() {
        fs::remove_dir_all(&old).map_err(Error::io(&old))?;
    }
    fs::rename(path, &old).map_err(Error::io(path))?;
    fs::remove_dir_all(&old).map_err(Error::io(&old))
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(Error::io(path))?;
    file.write_all(bytes).map_err(Error::io(path))?;
    file.sync_all().map_err(Error::io(path))
}

/// Make names in `dir` durable. Systems that cannot open a folder are left to their own.
fn sync_dir(dir: &Path) -> Result<()> {
    match File::open(dir) {
        Ok(file) if cfg!(unix) => file.sync_all().map_err(Error::io(dir)),
        _ => Ok(()),
    }
}
