//! Buffers that are filled again. The system clears new memory page by page; a training step asks
//! for the same buffers as the one before it.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Values that wait in buffers to be used again, at most (1 GiB).
const MOST: usize = 1 << 28;

/// Values whose buffer waits for the next that asks for as many when it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(Vec<f32>);

/// Buffers that wait, the latest last, and how many values they hold.
static WAITING: Mutex<(Vec<Vec<f32>>, usize)> = Mutex::new((Vec::new(), 0));

fn waiting() -> MutexGuard<'static, (Vec<Vec<f32>>, usize)> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scratch {
    /// `n` values, which may be anything.
    pub(crate) fn any(n: usize) -> Self {
        let mut waiting = waiting();
        if let Some(i) = waiting.0.iter().rposition(|b| b.len() == n) {
            waiting.1 -= n;
            return Self(waiting.0.swap_remove(i));
        }
        drop(waiting);
        Self(vec![0.0; n])
    }

    /// `n` zeros.
    pub(crate) fn zeros(n: usize) -> Self {
        let mut all = Self::any(n);
        all.fill(0.0);
        all
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        let mut waiting = waiting();
        waiting.1 += buffer.len();
        waiting.0.push(buffer);
        // The oldest is of a size that is no longer asked for.
        while waiting.1 > MOST {
            let oldest = waiting.0.remove(0);
            waiting.1 -= oldest.len();
        }
    }
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

impl AsRef<[f32]> for Scratch {
    fn as_ref(&self) -> &[f32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_to_who_asks_for_its_size() {
        // A size that nothing else asks for.
        let n = 1_234_567;
        let address = {
            let mut first = Scratch::any(n);
            first.fill(3.0);
            first.as_ptr()
        };
        assert_eq!(Scratch::any(n - 1).len(), n - 1);
        let again = Scratch::zeros(n);
        assert_eq!(again.as_ptr(), address);
        assert!(again.iter().all(|x| *x == 0.0));
        drop(again);
        drop(Scratch(vec![0.0; MOST]));
        let waiting = waiting();
        assert_eq!(waiting.1, waiting.0.iter().map(Vec::len).sum::<usize>());
        assert!(waiting.1 <= MOST);
    }
}
