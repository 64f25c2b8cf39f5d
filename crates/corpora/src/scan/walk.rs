//! Every file of a raw folder, in a fixed order.
//!
//! Links are safe: one that leaves the raw folder or leads to a folder is listed and not
//! followed, so no file is met twice and no loop is entered.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::{Error, Result};

/// A file, or a folder that is not entered.
#[derive(Debug)]
pub(super) struct Found {
    /// Path below the raw folder, `/` as separator.
    pub(super) path: String,
    /// Where it is.
    pub(super) full: PathBuf,
    /// Size; 0 where it cannot be known.
    pub(super) bytes: u64,
    /// Why it cannot be used, whatever it is.
    pub(super) problem: Option<String>,
}

/// Lists the raw folder of `dataset`, sorted by path.
pub(super) fn walk(root: &Path, dataset: &str) -> Result<Vec<Found>> {
    let meta = match std::fs::metadata(root) {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::RawMissing {
                path: root.to_owned(),
                dataset: dataset.to_owned(),
            });
        }
        Err(source) => {
            return Err(Error::Io {
                path: root.to_owned(),
                source,
            });
        }
    };
    if !meta.is_dir() {
        return Err(Error::RawNotAFolder {
            path: root.to_owned(),
            dataset: dataset.to_owned(),
        });
    }
    let io = |source| Error::Io {
        path: root.to_owned(),
        source,
    };
    let real_root = root.canonicalize().map_err(io)?;
    std::fs::read_dir(root).map_err(io)?;

    let mut all = Vec::new();
    let mut entries = WalkDir::new(root).min_depth(1).into_iter();
    while let Some(entry) = entries.next() {
        match entry {
            Ok(entry) => {
                let full = entry.path().to_owned();
                let (path, clean) = relative(root, &full);
                if entry.file_type().is_dir() {
                    if entry.file_name().to_string_lossy().starts_with('.') {
                        entries.skip_current_dir();
                        all.push(Found {
                            path: format!("{path}/"),
                            full,
                            bytes: 0,
                            problem: Some("hidden folder, not entered".into()),
                        });
                    }
                    continue;
                }
                let (bytes, mut problem) = if entry.path_is_symlink() {
                    follow(&full, &real_root)
                } else if entry.file_type().is_file() {
                    match entry.metadata() {
                        Ok(meta) => (meta.len(), None),
                        Err(e) => (0, Some(format!("cannot be read: {e}"))),
                    }
                } else {
                    (0, Some("neither a file nor a folder".into()))
                };
                if !clean {
                    problem = Some("its name is not UTF-8: rename it".into());
                }
                all.push(Found {
                    path,
                    full,
                    bytes,
                    problem,
                });
            }
            Err(e) => {
                let full = e.path().unwrap_or(root).to_owned();
                let (path, _) = relative(root, &full);
                let why = e
                    .io_error()
                    .map_or_else(|| e.to_string(), ToString::to_string);
                all.push(Found {
                    path,
                    full,
                    bytes: 0,
                    problem: Some(format!("cannot be read: {why}")),
                });
            }
        }
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all)
}

/// The path below `root` with `/`, and whether it is exact (all of it UTF-8).
fn relative(root: &Path, full: &Path) -> (String, bool) {
    let below = full.strip_prefix(root).unwrap_or(full);
    let mut clean = true;
    let parts: Vec<String> = below
        .components()
        .map(|c| {
            let part = c.as_os_str();
            clean &= part.to_str().is_some();
            part.to_string_lossy().into_owned()
        })
        .collect();
    (parts.join("/"), clean)
}

/// Size of what a link leads to, or why it is not followed.
fn follow(link: &Path, real_root: &Path) -> (u64, Option<String>) {
    let Ok(target) = link.canonicalize() else {
        return (
            0,
            Some("link to a file that is not there (not downloaded yet?)".into()),
        );
    };
    if !target.starts_with(real_root) {
        return (0, Some("link that leaves the raw folder".into()));
    }
    match std::fs::metadata(&target) {
        Ok(meta) if meta.is_dir() => (0, Some("link to a folder, not entered".into())),
        Ok(meta) => (meta.len(), None),
        Err(e) => (0, Some(format!("cannot be read: {e}"))),
    }
}
