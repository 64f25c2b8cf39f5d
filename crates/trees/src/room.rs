//! Large buffers that are filled again. The system clears new memory page by page, which takes as
//! long as the decompression of what is put there; corpora of compressed files are read one file
//! after the other, each of which needs what the one before it held.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::inflate::OVERALL;

/// Bytes that wait to be used again, at most, and in how many buffers.
const KEPT: usize = 128 << 20;
const MOST: usize = 8;
/// Smaller buffers are left to the allocator, which keeps such itself.
const LEAST: usize = 1 << 20;

/// Bytes whose buffer comes from the ones that wait, and waits again when it is dropped.
pub(crate) struct Room(Vec<u8>);

/// The oldest first.
static WAITING: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

fn waiting() -> MutexGuard<'static, Vec<Vec<u8>>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Room {
    /// A buffer for `bytes` bytes with anything in it, or an empty one where none that waits has
    /// a size like that.
    pub(crate) fn of(bytes: usize) -> Room {
        if bytes < LEAST {
            return Room(Vec::new());
        }
        let mut waiting = waiting();
        let fits = |v: &Vec<u8>| v.capacity() >= bytes && v.capacity() / 2 <= bytes;
        match waiting.iter().position(fits) {
            Some(k) => Room(waiting.swap_remove(k)),
            None => Room(Vec::new()),
        }
    }

    /// What was made elsewhere.
    pub(crate) fn from(bytes: Vec<u8>) -> Room {
        Room(bytes)
    }
}

/// Bytes of the buffer behind a lock. Whoever fills it keeps the lock: while that goes on, what is
/// claimed counts, as far as any may be inflated.
pub(crate) fn held<T>(
    lock: &Mutex<T>,
    room: impl FnOnce(&T) -> Option<&Arc<Room>>,
    claimed: u64,
) -> u64 {
    let bytes = |inner: &T| room(inner).map_or(0, |room| room.len() as u64);
    match lock.try_lock() {
        Ok(inner) => bytes(&inner),
        Err(TryLockError::Poisoned(inner)) => bytes(inner.get_ref()),
        Err(TryLockError::WouldBlock) => claimed.min(OVERALL),
    }
}

impl Deref for Room {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        if buffer.capacity() < LEAST || buffer.capacity() > KEPT {
            return;
        }
        let mut waiting = waiting();
        waiting.push(buffer);
        let held = |w: &[Vec<u8>]| w.iter().map(Vec::capacity).sum::<usize>();
        while waiting.len() > MOST || held(&waiting) > KEPT {
            waiting.remove(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_known_also_while_it_is_filled() {
        let bytes = |n: usize| Some(Arc::new(Room::from(vec![0; n])));
        let lock = Mutex::new(None);
        let ask = |claimed| held(&lock, Option::as_ref, claimed);
        assert_eq!(ask(9), 0);
        let mut filling = lock.lock().unwrap();
        assert_eq!((ask(9), ask(u64::MAX)), (9, OVERALL));
        *filling = bytes(7);
        drop(filling);
        assert_eq!(ask(9), 7);
    }

    #[test]
    fn buffers_come_back_and_no_more_wait_than_may() {
        // Sizes that no other test of this program asks for.
        let size = 5 << 20;
        let address = {
            let room = Room::from(vec![1; size]);
            room.as_ptr()
        };
        assert!(Room::of(size / 4).is_empty());
        let again = Room::of(size - 9);
        assert_eq!((again.as_ptr(), again.capacity()), (address, size));
        drop(again);
        for _ in 0..2 * MOST {
            drop(Room::from(vec![0; KEPT / 4]));
        }
        drop(Room::from(vec![0; KEPT + 1]));
        let waiting = waiting();
        assert!(waiting.len() <= MOST);
        assert!(waiting.iter().map(Vec::capacity).sum::<usize>() <= KEPT);
    }
}
