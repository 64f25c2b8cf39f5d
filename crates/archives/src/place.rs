//! The folder unpacked into: locked, written through temporary names, synced. Owns every touch
//! of the folder; knows nothing of archives.
//!
//! A member is written under a number in `.unpacking`, and a batch of members is synced before
//! any of it gets its name. A process that dies leaves numbered files there, which the next
//! call removes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use flate2::Crc;

use crate::Result;
use crate::error::{At, Error};
use crate::names::{LOCK, WORKSHOP};
use crate::stamp::{Row, modified_ns};

/// A batch is synced after this many members or bytes, while the next one is written.
const BATCH: usize = 64;
const BATCH_BYTES: u64 = 64 << 20;

/// The folder, held by this call alone.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) into: PathBuf,
    workshop: PathBuf,
    _lock: File,
    next: AtomicU64,
    /// Folders known to be real ones, to be synced at the end.
    folders: Mutex<BTreeSet<PathBuf>>,
}

impl Place {
    /// Makes and locks the folder; waits for another call that holds it.
    pub(crate) fn open(into: &Path) -> Result<Self> {
        fs::create_dir_all(into).map_err(Error::io("make folder", into))?;
        let path = into.join(LOCK);
        let lock = File::options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(Error::io("open", &path))?;
        match lock.lock() {
            Err(e) if e.kind() != io::ErrorKind::Unsupported => {
                return Err(Error::io("lock", &path)(e));
            }
            _ => {}
        }
        let workshop = into.join(WORKSHOP);
        let place = Place {
            into: into.to_path_buf(),
            workshop,
            _lock: lock,
            next: AtomicU64::new(0),
            folders: Mutex::default(),
        };
        place.sweep().map_err(Error::io("clear", &place.workshop))?;
        fs::create_dir(&place.workshop).map_err(Error::io("make folder", &place.workshop))?;
        Ok(place)
    }

    fn sweep(&self) -> io::Result<()> {
        match fs::symlink_metadata(&self.workshop) {
            Ok(meta) if meta.is_dir() => fs::remove_dir_all(&self.workshop),
            Ok(_) => fs::remove_file(&self.workshop),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// A temporary name, never given twice.
    pub(crate) fn temporary(&self) -> PathBuf {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        self.workshop.join(n.to_string())
    }

    /// True when the file system takes `a` and `A` for one name.
    pub(crate) fn folds_case(&self) -> bool {
        let probe = self.workshop.join("case");
        let made = File::create(&probe).is_ok();
        let folds = made && self.workshop.join("CASE").exists();
        let _ = fs::remove_file(&probe);
        folds
    }

    /// Bytes that an ordinary user may still write here; None where the system does not say.
    pub(crate) fn free(&self) -> Option<u64> {
        #[cfg(unix)]
        {
            let stat = rustix::fs::statvfs(&self.into).ok()?;
            Some(stat.f_bavail.saturating_mul(stat.f_frsize))
        }
        #[cfg(not(unix))]
        None
    }

    /// Makes the folders above `member`. A link in their place is an error: following it could
    /// lead anywhere.
    fn make_parents(&self, member: &str) -> Result<()> {
        let mut known = self.folders.lock().unwrap_or_else(|e| e.into_inner());
        known.insert(self.into.clone());
        for (i, _) in member.match_indices('/') {
            let folder = self.into.join(&member[..i]);
            if known.contains(&folder) {
                continue;
            }
            let found = match fs::symlink_metadata(&folder) {
                Ok(meta) if meta.is_dir() => Ok(()),
                Ok(_) => Err(io::Error::new(
                    io::ErrorKind::NotADirectory,
                    "a file or link lies where a folder must be",
                )),
                Err(e) if e.kind() == io::ErrorKind::NotFound => fs::create_dir(&folder),
                Err(e) => Err(e),
            };
            found.map_err(Error::io("make folder", &folder))?;
            known.insert(folder);
        }
        Ok(())
    }

    /// The file already at `member`, if it is one and has this size.
    fn there(&self, member: &str, bytes: u64) -> Option<fs::Metadata> {
        let meta = fs::symlink_metadata(self.into.join(member)).ok()?;
        (meta.is_file() && meta.len() == bytes).then_some(meta)
    }

    /// True when the stamp proves `member` to be in place.
    pub(crate) fn stamped(&self, row: &Row) -> bool {
        row.modified_ns.is_some_and(|ns| {
            self.there(&row.path, row.bytes)
                .is_some_and(|meta| modified_ns(&meta) == ns)
        })
    }

    /// True when a file of that size lies at `member`.
    pub(crate) fn sized(&self, member: &str, bytes: u64) -> bool {
        self.there(member, bytes).is_some()
    }

    /// The time of change of the file at `member` when it has this size and CRC-32.
    pub(crate) fn checked(&self, member: &str, bytes: u64, crc: u32) -> Option<u64> {
        let meta = self.there(member, bytes)?;
        let mut file = File::open(self.into.join(member)).ok()?;
        let mut sum = Crc::new();
        let mut buffer = vec![0; 1 << 17];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => sum.update(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        (sum.sum() == crc).then(|| modified_ns(&meta))
    }

    /// Gives `member` the contents of `target`, another member in place, as a hard link or else
    /// as a copy; its time of change.
    pub(crate) fn link(&self, member: &str, target: &str) -> Result<u64> {
        self.make_parents(member)?;
        let from = self.into.join(target);
        let (to, temporary) = (self.into.join(member), self.temporary());
        if fs::hard_link(&from, &temporary).is_err() {
            fs::copy(&from, &temporary).map_err(Error::io("copy", &from))?;
            let copy = File::open(&temporary).map_err(Error::io("open", &temporary))?;
            copy.sync_all().map_err(Error::io("sync", &temporary))?;
        }
        fs::rename(&temporary, &to).map_err(Error::io("rename to", &to))?;
        // Between two names of one file a rename does nothing, and leaves the first.
        let _ = fs::remove_file(&temporary);
        let meta = fs::symlink_metadata(&to).map_err(Error::io("look at", &to))?;
        Ok(modified_ns(&meta))
    }

    /// Syncs every folder that changed.
    pub(crate) fn sync_folders(&self) -> Result<()> {
        #[cfg(unix)]
        for folder in self
            .folders
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .iter()
        {
            File::open(folder)
                .and_then(|f| f.sync_all())
                .map_err(Error::io("sync", folder))?;
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What stays behind is swept by the next call.
        let _ = self.sweep();
    }
}

struct Pending {
    index: usize,
    file: File,
    temporary: PathBuf,
    target: PathBuf,
    crc: u32,
}

/// A member in place: its index, time of change, CRC-32.
pub(crate) type Landed = (usize, u64, u32);

/// A member to be written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Want<'a> {
    /// For the caller to know it by.
    pub(crate) index: usize,
    pub(crate) member: &'a str,
    /// Its size, where that is recorded.
    pub(crate) exact: Option<u64>,
    /// The most that may be written.
    pub(crate) most: u64,
    /// Its CRC-32, where that is recorded.
    pub(crate) crc: Option<u32>,
}

/// A batch that is being synced and named.
#[derive(Default)]
struct Batch {
    /// Those that have no name yet.
    pending: Vec<Pending>,
    landed: Vec<Landed>,
    fault: Option<Error>,
}

impl Batch {
    /// Syncs every file, then gives each its name.
    fn finish(mut self) -> Self {
        self.fault = self.name().err();
        self
    }

    fn name(&mut self) -> Result<()> {
        for p in &self.pending {
            p.file.sync_all().map_err(Error::io("sync", &p.temporary))?;
        }
        while let Some(p) = self.pending.first() {
            fs::rename(&p.temporary, &p.target).map_err(Error::io("rename to", &p.target))?;
            let meta = p.file.metadata().map_err(Error::io("look at", &p.target))?;
            self.landed.push((p.index, modified_ns(&meta), p.crc));
            self.pending.remove(0);
        }
        Ok(())
    }
}

/// Writes members, a batch at a time.
pub(crate) struct Sink<'a> {
    place: &'a Place,
    pending: Vec<Pending>,
    /// The batch before, on a thread of its own.
    before: Option<JoinHandle<Batch>>,
    bytes: u64,
    buffer: Vec<u8>,
    /// Members that have their names.
    pub(crate) landed: Vec<Landed>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(place: &'a Place) -> Self {
        Sink {
            place,
            pending: Vec::new(),
            before: None,
            bytes: 0,
            buffer: vec![0; 1 << 18],
            landed: Vec::new(),
        }
    }

    /// Writes what `body` gives; the size written.
    pub(crate) fn write(
        &mut self,
        at: At<'_>,
        want: &Want<'_>,
        body: &mut impl Read,
    ) -> Result<u64> {
        let Want {
            index,
            member,
            exact,
            most,
            crc,
        } = *want;
        self.place.make_parents(member)?;
        let temporary = self.place.temporary();
        let fail = |e| Error::io("write", &temporary)(e);
        let mut file = File::create_new(&temporary).map_err(fail)?;
        let mut sum = Crc::new();
        let mut written = 0u64;
        loop {
            let n = match body.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(at.stream(Some(member), written, e)),
            };
            written += n as u64;
            if exact.is_some_and(|exact| written > exact) {
                break;
            }
            if written > most {
                let what = format!("it unpacks to more than the {most} bytes that are left");
                return Err(at.over(Some(member), what));
            }
            sum.update(&self.buffer[..n]);
            file.write_all(&self.buffer[..n]).map_err(fail)?;
        }
        if let Some(exact) = exact
            && exact != written
        {
            let more = if written > exact { "more" } else { "no more" };
            let what = format!(
                "{exact} bytes stated, {more} than {} found",
                written.min(exact)
            );
            return Err(at.corrupt(Some(member), written, what));
        }
        if let Some(crc) = crc
            && crc != sum.sum()
        {
            return Err(at.checksum(Some(member), crc, sum.sum()));
        }
        self.pending.push(Pending {
            index,
            file,
            temporary,
            target: self.place.into.join(member),
            crc: sum.sum(),
        });
        self.bytes += written;
        if self.pending.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.hand_over()?;
        }
        Ok(written)
    }

    /// Waits for the batch before, then has this one synced and named on a thread of its own.
    fn hand_over(&mut self) -> Result<()> {
        self.settle()?;
        self.bytes = 0;
        if self.pending.is_empty() {
            return Ok(());
        }
        let batch = Batch {
            pending: std::mem::take(&mut self.pending),
            ..Batch::default()
        };
        self.before = Some(std::thread::spawn(|| batch.finish()));
        Ok(())
    }

    /// Waits for the batch before.
    fn settle(&mut self) -> Result<()> {
        let Some(before) = self.before.take() else {
            return Ok(());
        };
        let Ok(batch) = before.join() else {
            let what = io::Error::other("the thread that syncs files ended early");
            return Err(Error::io("sync", &self.place.into)(what));
        };
        self.landed.extend(batch.landed);
        let Some(fault) = batch.fault else {
            return Ok(());
        };
        self.pending.splice(0..0, batch.pending);
        Err(fault)
    }

    /// Syncs what is pending, then gives every file its name.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.hand_over()?;
        self.settle()
    }

    /// The first member that is written but could not get its name.
    pub(crate) fn unnamed(&self) -> Option<usize> {
        self.pending.first().map(|p| p.index)
    }
}

impl Drop for Sink<'_> {
    /// No file gets its name after the call has ended.
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            let _ = before.join();
        }
    }
}
