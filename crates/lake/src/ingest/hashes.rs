//! SHA-256 of raw files, each computed once however many recordings or sounds lie in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use sha2::{Digest, Sha256};

use super::work::Work;
use crate::{Error, Result};

/// SHA-256 of files one after the other, in hexadecimal.
pub(crate) fn sha256<'a>(files: impl Iterator<Item = &'a Path>) -> Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    for path in files {
        let mut file = std::fs::File::open(path).map_err(Error::io("open", path))?;
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => hash.update(&buffer[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("read", path)(e)),
            }
        }
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// SHA-256 of files, each computed once: many sounds lie in one file.
#[derive(Debug, Default)]
pub(crate) struct Hashes(Mutex<HashMap<PathBuf, Arc<OnceLock<String>>>>);

impl Hashes {
    /// That of one file.
    pub(super) fn of(&self, file: &Path) -> Result<String> {
        let cell = {
            let mut cells = self.0.lock().unwrap_or_else(|e| e.into_inner());
            cells.entry(file.to_path_buf()).or_default().clone()
        };
        if let Some(known) = cell.get() {
            return Ok(known.clone());
        }
        let hash = sha256(std::iter::once(file))?;
        Ok(cell.get_or_init(|| hash).clone())
    }
}

/// Files that hold several recordings, below the raw folder.
pub(super) fn with_parts(works: &[Work]) -> BTreeSet<String> {
    let parts = works.iter().filter(|w| w.tree.is_some());
    parts.map(|w| w.raw_file().to_owned()).collect()
}

/// Hashes each file that holds several recordings once for all of them, as many at a time as there
/// are threads. One that cannot be read now has no hash, and is rejected when it is decoded.
pub(super) async fn of_files(
    raw: &Path,
    files: BTreeSet<String>,
    threads: usize,
) -> Result<BTreeMap<String, Option<String>>> {
    stream::iter(files)
        .map(|file| {
            let path = raw.join(&file);
            let hash =
                tokio::task::spawn_blocking(move || sha256(std::iter::once(path.as_path())).ok());
            hash.map(|hash| match hash {
                Ok(hash) => Ok((file, hash)),
                Err(e) => Err(Error::Empty(format!("a worker stopped: {e}"))),
            })
        })
        .buffered(threads)
        .try_collect()
        .await
}
