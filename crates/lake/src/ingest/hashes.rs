//! SHA-256 of raw files, each computed once however many recordings or sounds lie in it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use mmpipe_formats::Stamp;
use sha2::{Digest, Sha256};

use super::ahead::Ahead;
use super::work::Work;
use crate::{Error, Result};

/// Bytes that are read at a time.
const BUFFER: usize = 1 << 18;

/// Bytes of each of two files that are hashed in turns. A round of SHA-256 waits for the one before;
/// with as few bytes as this a core works on the rounds of both files at once, and two take 0.76 times
/// as long as one after the other (`cargo bench -p mmpipe-lake --bench hashes`).
const TURN: usize = 128;

/// SHA-256 of files one after the other, in hexadecimal.
pub(crate) fn sha256<'a>(files: impl Iterator<Item = &'a Path>) -> Result<String> {
    let mut hash = Sha256::new();
    for path in files {
        hash = Hashing::of(path, hash)?.finish()?;
    }
    Ok(hexadecimal(hash))
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// A file that is being hashed, behind what was before it.
struct Hashing<'a> {
    path: &'a Path,
    file: File,
    hash: Sha256,
    buffer: Vec<u8>,
    /// What of the buffer is not hashed yet.
    left: std::ops::Range<usize>,
    ended: bool,
}

impl<'a> Hashing<'a> {
    fn of(path: &'a Path, hash: Sha256) -> Result<Self> {
        Ok(Hashing {
            path,
            file: File::open(path).map_err(Error::io("open", path))?,
            hash,
            buffer: vec![0; BUFFER],
            left: 0..0,
            ended: false,
        })
    }

    /// Has something to hash in the buffer, unless the file is at its end.
    fn fill(&mut self) -> Result<()> {
        while self.left.is_empty() && !self.ended {
            match self.file.read(&mut self.buffer) {
                Ok(n) => (self.left, self.ended) = (0..n, n == 0),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("read", self.path)(e)),
            }
        }
        Ok(())
    }

    /// Hashes what is in the buffer.
    fn alone(&mut self) {
        let left = std::mem::take(&mut self.left);
        self.hash.update(&self.buffer[left]);
    }

    /// Hashes the file to its end.
    fn finish(mut self) -> Result<Sha256> {
        loop {
            self.fill()?;
            if self.ended {
                return Ok(self.hash);
            }
            self.alone();
        }
    }

    /// So many bytes are hashed; too few for a turn are at once.
    fn pass(&mut self, n: usize) {
        self.left.start += n;
        if self.left.len() < TURN {
            self.alone();
        }
    }

    /// Hashes another file to its end, and of this one as much meanwhile.
    fn beside(&mut self, other: &Path) -> Result<String> {
        let mut other = Hashing::of(other, Sha256::new())?;
        loop {
            other.fill()?;
            self.fill()?;
            if other.ended || self.ended {
                return other.finish().map(hexadecimal);
            }
            // Whole turns, so that both stay at the bounds of SHA-256's blocks.
            let n = self.left.len().min(other.left.len()) / TURN * TURN;
            let mine = &self.buffer[self.left.start..self.left.start + n];
            let theirs = &other.buffer[other.left.start..other.left.start + n];
            for (a, b) in mine.chunks(TURN).zip(theirs.chunks(TURN)) {
                self.hash.update(a);
                other.hash.update(b);
            }
            self.pass(n);
            other.pass(n);
        }
    }
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
        let compute = || sha256(std::iter::once(file));
        let cell = self.cell(file);
        match cell.and_then(|cell| cell.get_or_init(|| compute().ok()).clone()) {
            Some(hash) => Ok(hash),
            // Once more, for the reason.
            None => compute(),
        }
    }

    /// Computes that of a file, which [`Hashes::of`] waits for, and meanwhile those of others, as many
    /// as its length allows: this takes less time. What cannot be read is left to [`Hashes::of`].
    pub(super) fn prepare<'a>(&self, file: &Path, others: impl Iterator<Item = &'a Path>) {
        let Some(cell) = self.cell(file) else {
            return;
        };
        cell.get_or_init(|| {
            let mut hashing = Hashing::of(file, Sha256::new()).ok()?;
            for other in others {
                hashing.fill().ok()?;
                if hashing.ended {
                    break;
                }
                let Some(of_other) = self.cell(other) else {
                    continue;
                };
                // The same file, or one that is done.
                if Arc::ptr_eq(&cell, &of_other) || of_other.get().is_some() {
                    continue;
                }
                if let Ok(hash) = hashing.beside(other) {
                    // Who asked for it meanwhile has computed it, too.
                    let _ = of_other.set(Some(hash));
                }
            }
            hashing.finish().ok().map(hexadecimal)
        });
    }

    /// Where the hash of a file in its present state is kept.
    fn cell(&self, file: &Path) -> Option<Arc<OnceLock<Option<String>>>> {
        let stamp = Stamp::of(file).ok()?;
        let mut cells = self.0.lock().unwrap_or_else(|e| e.into_inner());
        Some(cells.entry(stamp).or_default().clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of so many bytes, of which no two have the same.
    fn file(folder: &Path, bytes: usize) -> std::path::PathBuf {
        let path = folder.join(format!("{bytes}.bin"));
        let body: Vec<u8> = (0..bytes).map(|i| ((i * i + bytes) % 251) as u8).collect();
        std::fs::write(&path, body).unwrap();
        path
    }

    #[test]
    fn files_side_by_side_have_the_hashes_they_have_alone() {
        let folder = tempfile::tempdir().unwrap();
        let sizes = [
            0,
            1,
            63,
            64,
            127,
            128,
            129,
            BUFFER - 1,
            BUFFER,
            BUFFER + 1,
            3 * BUFFER + 77,
        ];
        let files = sizes.map(|n| file(folder.path(), n));
        let gone = folder.path().join("gone.bin");
        let alone = |file: &Path| sha256(std::iter::once(file)).unwrap();
        for first in &files {
            let hashes = Hashes::default();
            // The file itself and one that is not there are among the others.
            let others = std::iter::once(&gone).chain(&files);
            hashes.prepare(first, others.map(|f| f.as_path()));
            let known = |file: &Path| hashes.cell(file).unwrap().get().cloned().flatten();
            assert_eq!(known(first), Some(alone(first)));
            let mut prepared = 0;
            for other in files.iter().filter(|other| *other != first) {
                prepared += usize::from(known(other).is_some());
                assert!(known(other).is_none_or(|hash| hash == alone(other)));
                assert_eq!(hashes.of(other).unwrap(), alone(other));
            }
            // Beside the longest there was time for all; beside the empty one for none.
            match std::fs::metadata(first).unwrap().len() {
                0 => assert_eq!(prepared, 0),
                n if n > 2 * BUFFER as u64 => assert_eq!(prepared, files.len() - 1),
                _ => {}
            }
        }
        // By `printf abc | sha256sum`.
        let abc = folder.path().join("abc");
        std::fs::write(&abc, "abc").unwrap();
        let long = &files[files.len() - 1];
        let hashes = Hashes::default();
        hashes.prepare(long, std::iter::once(abc.as_path()));
        assert_eq!(
            hashes.of(&abc).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(hashes.of(&gone).is_err());
    }
}
