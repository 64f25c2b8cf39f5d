//! Chunks that were decompressed lately.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes kept. Readers walk through a recording a few channels and samples at a time; the
/// chunks that lie across the channels they walk stay here. One chunk stays whatever its size.
const CAPACITY: usize = 64 << 20;

/// Address of the data set's header, number of the chunk.
type Key = (u64, u64);

#[derive(Default)]
struct Inner {
    chunks: HashMap<Key, (u64, Arc<Vec<u8>>)>,
    /// Keys by when they were last used.
    used: BTreeMap<u64, Key>,
    clock: u64,
    bytes: usize,
}

/// The least recently used go first.
#[derive(Default)]
pub(super) struct Cache(Mutex<Inner>);

impl Cache {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic elsewhere leaves at worst a stale order of use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, key: Key) -> Option<Arc<Vec<u8>>> {
        let inner = &mut *self.inner();
        inner.clock += 1;
        let (when, bytes) = inner.chunks.get_mut(&key)?;
        inner.used.remove(when);
        *when = inner.clock;
        inner.used.insert(inner.clock, key);
        Some(Arc::clone(bytes))
    }

    pub(super) fn put(&self, key: Key, bytes: Arc<Vec<u8>>) {
        let inner = &mut *self.inner();
        inner.clock += 1;
        inner.bytes += bytes.len();
        inner.used.insert(inner.clock, key);
        if let Some((when, old)) = inner.chunks.insert(key, (inner.clock, bytes)) {
            inner.used.remove(&when);
            inner.bytes -= old.len();
        }
        while inner.bytes > CAPACITY && inner.chunks.len() > 1 {
            let Some((_, oldest)) = inner.used.pop_first() else {
                return;
            };
            if let Some((_, old)) = inner.chunks.remove(&oldest) {
                inner.bytes -= old.len();
            }
        }
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
            cache.put((0, i), third());
        }
        assert!(cache.get((0, 0)).is_some());
        cache.put((0, 3), third());
        assert!(cache.get((0, 1)).is_none());
        assert!(cache.get((0, 0)).is_some());
        cache.put((1, 0), Arc::new(vec![0u8; 2 * CAPACITY]));
        assert!(cache.get((1, 0)).is_some() && cache.get((0, 0)).is_none());
        let inner = cache.inner();
        assert_eq!(inner.chunks.len(), inner.used.len());
    }
}
