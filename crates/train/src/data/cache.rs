//! A bounded memory of what was computed once.
//!
//! Nothing is thrown out: passes visit examples in random order, where keeping whatever came first
//! hits as often as any other choice of the same size, and never thrashes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, RwLock};

/// Values by key until `budget` bytes are used.
pub(crate) struct Cache<K, V: ?Sized> {
    budget: usize,
    inner: RwLock<(HashMap<K, Arc<V>>, usize)>,
}

impl<K: Eq + Hash + Copy, V: ?Sized> Cache<K, V> {
    pub(crate) fn new(budget: usize) -> Self {
        Self {
            budget,
            inner: RwLock::new((HashMap::new(), 0)),
        }
    }

    /// The value of `key`, made by `make` when it is not there. Two threads may make the same value;
    /// both get the same bytes because `make` is a pure function of `key`.
    pub(crate) fn get_or<E>(
        &self,
        key: K,
        bytes: impl Fn(&V) -> usize,
        make: impl FnOnce() -> Result<Arc<V>, E>,
    ) -> Result<Arc<V>, E> {
        if self.budget > 0
            && let Ok(inner) = self.inner.read()
            && let Some(value) = inner.0.get(&key)
        {
            return Ok(value.clone());
        }
        let value = make()?;
        let size = bytes(&value);
        // A thread that panicked while it held the lock leaves a cache that is merely not filled.
        if let Ok(mut inner) = self.inner.write()
            && inner.1.saturating_add(size) <= self.budget
            && inner.0.insert(key, value.clone()).is_none()
        {
            inner.1 += size;
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_within_its_budget() {
        let cache: Cache<u32, [u8]> = Cache::new(10);
        let made = std::cell::Cell::new(0);
        let get = |key: u32| {
            let make = || {
                made.set(made.get() + 1);
                Ok::<_, ()>(Arc::from(vec![key as u8; 4]))
            };
            cache.get_or(key, |v| v.len(), make).unwrap()
        };
        for round in 0..2 {
            for key in 0..3 {
                assert_eq!(get(key)[0], key as u8, "round {round}");
            }
        }
        // Two of three fit: 3 misses, then 1.
        assert_eq!(made.get(), 4);
    }
}
