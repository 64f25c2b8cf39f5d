//! Chunks that were decompressed lately, and the buffers of those that are done with.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes kept. Readers walk through a recording a few channels and samples at a time; the
/// chunks that lie across the channels they walk stay here. One chunk stays whatever its size.
const CAPACITY: usize = 64 << 20;
/// Bytes kept of chunks of which every element has been given: blocks may overlap a little, but
/// a reader seldom comes back.
const SPENT: usize = 4 << 20;
/// Buffers kept to be filled again: new memory costs as much as the decompression.
const SPARE: usize = 4;

/// Address of the data set's header, number of the chunk.
type Key = (u64, u64);

struct Entry {
    when: u64,
    /// Elements that have not been given yet.
    left: u64,
    bytes: Arc<Vec<u8>>,
}

#[derive(Default)]
struct Inner {
    chunks: HashMap<Key, Entry>,
    /// Keys by when they were last used: of chunks with elements left, and of spent ones.
    used: BTreeMap<u64, Key>,
    spent: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
    spent_bytes: usize,
    spare: Vec<Vec<u8>>,
}

impl Inner {
    fn queue(&mut self, left: u64) -> &mut BTreeMap<u64, Key> {
        match left {
            0 => &mut self.spent,
            _ => &mut self.used,
        }
    }

    /// Takes a chunk out, and keeps its buffer where nobody else holds it.
    fn evict(&mut self, key: Key) {
        let Some(entry) = self.chunks.remove(&key) else {
            return;
        };
        self.queue(entry.left).remove(&entry.when);
        self.bytes -= entry.bytes.len();
        if entry.left == 0 {
            self.spent_bytes -= entry.bytes.len();
        }
        if let Ok(buffer) = Arc::try_unwrap(entry.bytes)
            && self.spare.len() < SPARE
            && buffer.capacity() <= SPENT
        {
            self.spare.push(buffer);
        }
    }
}

/// Spent chunks go first, then the least recently used.
#[derive(Default)]
pub(super) struct Cache(Mutex<Inner>);

impl Cache {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves at worst a stale order of use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A chunk, of which `given` elements are about to be given.
    pub(super) fn get(&self, key: Key, given: u64) -> Option<Arc<Vec<u8>>> {
        let inner = &mut *self.inner();
        inner.clock += 1;
        let now = inner.clock;
        let entry = inner.chunks.get_mut(&key)?;
        let (before, when) = (entry.left, entry.when);
        entry.left = before.saturating_sub(given);
        entry.when = now;
        let (left, bytes) = (entry.left, Arc::clone(&entry.bytes));
        if before > 0 && left == 0 {
            inner.spent_bytes += bytes.len();
        }
        inner.queue(before).remove(&when);
        inner.queue(left).insert(now, key);
        Some(bytes)
    }

    /// Keeps a chunk with `left` elements that have not been given.
    pub(super) fn put(&self, key: Key, bytes: Arc<Vec<u8>>, left: u64) {
        let inner = &mut *self.inner();
        inner.evict(key);
        inner.clock += 1;
        let when = inner.clock;
        inner.bytes += bytes.len();
        if left == 0 {
            inner.spent_bytes += bytes.len();
        }
        inner.queue(left).insert(when, key);
        inner.chunks.insert(key, Entry { when, left, bytes });
        while inner.chunks.len() > 1 {
            let oldest = if inner.spent_bytes > SPENT {
                inner.spent.first_key_value()
            } else if inner.bytes > CAPACITY {
                let spent = inner.spent.first_key_value();
                spent.or_else(|| inner.used.first_key_value())
            } else {
                return;
            };
            match oldest.map(|(_, key)| *key) {
                Some(key) => inner.evict(key),
                None => return,
            }
        }
    }

    /// Bytes kept.
    pub(super) fn held(&self) -> u64 {
        self.inner().bytes as u64
    }

    /// A buffer with anything in it, to be filled.
    pub(super) fn spare(&self) -> Vec<u8> {
        self.inner().spare.pop().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = Cache::default();
        let third = || Arc::new(vec![0u8; CAPACITY / 3]);
        for i in 0..3 {
            cache.put((0, i), third(), 9);
        }
        assert!(cache.get((0, 0), 1).is_some());
        cache.put((0, 3), third(), 9);
        assert!(cache.get((0, 1), 1).is_none());
        assert!(cache.get((0, 0), 1).is_some());
        cache.put((1, 0), Arc::new(vec![0u8; 2 * CAPACITY]), 9);
        assert!(cache.get((1, 0), 1).is_some() && cache.get((0, 0), 1).is_none());
        let inner = cache.inner();
        assert_eq!(inner.chunks.len(), inner.used.len() + inner.spent.len());
    }

    #[test]
    fn spent_chunks_make_room_and_their_buffers_are_used_again() {
        let cache = Cache::default();
        let half = || Arc::new(vec![7u8; SPENT / 2]);
        for i in 0..3 {
            cache.put((0, i), half(), 10);
            assert!(cache.get((0, i), 4).is_some() && cache.get((0, i), 6).is_some());
        }
        assert!(cache.spare().is_empty());
        cache.put((0, 3), half(), 10);
        // The first of three spent ones is beyond what is kept of such.
        assert!(cache.get((0, 0), 0).is_none() && cache.get((0, 1), 0).is_some());
        assert_eq!(cache.spare().len(), SPENT / 2);
        assert!(cache.spare().is_empty());
        // One that is still held elsewhere is not filled again.
        let held = cache.get((0, 2), 0);
        cache.put((0, 4), half(), 0);
        cache.put((0, 5), half(), 0);
        assert!(cache.get((0, 2), 0).is_none() && held.is_some());
        let inner = cache.inner();
        assert_eq!(inner.chunks.len(), inner.used.len() + inner.spent.len());
        assert_eq!(inner.bytes, inner.chunks.len() * SPENT / 2);
    }
}
