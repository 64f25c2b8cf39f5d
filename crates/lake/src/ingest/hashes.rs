//! SHA-256 of raw files, each computed once however many recordings or sounds lie in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use mmpipe_formats::Stamp;
use sha2::{Digest, Sha256};

use super::ahead::Ahead;
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

/// SHA-256 of files, each computed once in each of its states: many sounds lie in one file.
#[derive(Debug, Default)]
pub(super) struct Hashes(Mutex<HashMap<Stamp, Arc<OnceLock<Option<String>>>>>);

impl Hashes {
    /// That of one file. Who asks while another thread computes it waits.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(super) fn of(&self, file: &Path) -> Result<String> {
        let cell = Stamp::of(file).ok().map(|stamp| {
            let mut cells = self.0.lock().unwrap_or_else(|e| e.into_inner());
            cells.entry(stamp).or_default().clone()
        });
        let compute = || sha256(std::iter::once(file));
        match cell.and_then(|cell| cell.get_or_init(|| compute().ok()).clone()) {
            Some(hash) => Ok(hash),
            // Once more, for the reason.
            None => compute(),
        }
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
    ahead: &Arc<Ahead>,
) -> Result<BTreeMap<String, Option<String>>> {
    stream::iter(files)
        .map(|file| {
            let (path, ahead) = (raw.join(&file), ahead.clone());
            let hash = tokio::task::spawn_blocking(move || ahead.hash(&path).ok());
            hash.map(|hash| match hash {
                Ok(hash) => Ok((file, hash)),
                Err(e) => Err(Error::Empty(format!("a worker stopped: {e}"))),
            })
        })
        .buffered(threads)
        .try_collect()
        .await
}
