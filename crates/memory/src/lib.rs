//! The allocator of all programs, and how long it keeps memory that is free.
//!
//! Owns: the choice of mimalloc, and its one setting. The only module of the programs with
//! `unsafe`. Does not own: what is allocated, or any bound on it.
//!
//! Work comes in rounds, a recording or a training step, and each needs what the one before gave
//! back. A round often takes longer than the second after which mimalloc returns free memory to the
//! system, which then clears the same pages for every round anew; a virtual machine's host may take
//! them back besides. Of an ingest of 8 s (20 recordings of `tests/peers/ingest_kul.py`) the system
//! took 2.3 to 4.3 s, and 1.3 s where nothing was returned; of 108 s of two cores in steps of
//! wav2vec 2.0 (`wav2vec2_step 8 32000 3`) 26 s, and 7 to 13 s.

use std::ffi::{c_int, c_long};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of `mi_option_t` in mimalloc.h, of versions 2 and 3 alike; the crate
/// has no name for it.
const PURGE_DELAY: c_int = 15;

/// ms; mimalloc's own is 1000. Longer than a recording or a step takes, and not for ever: a shell
/// that waits for its user gives memory back.
const KEPT_FOR: c_long = 60_000;

unsafe extern "C" {
    fn mi_option_set(option: c_int, value: c_long);
}

/// Keeps free memory longer than mimalloc does by itself. The first thing that a program does.
pub fn keep() {
    // SAFETY: mimalloc is linked as the global allocator above. The function takes two numbers by
    // value, checks the first against the options there are, and stores the second.
    unsafe { mi_option_set(PURGE_DELAY, KEPT_FOR) };
}

#[cfg(test)]
mod tests {
    use super::*;

    unsafe extern "C" {
        fn mi_option_get(option: c_int) -> c_long;
    }

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: as above; it only reads.
        let found = || unsafe { mi_option_get(PURGE_DELAY) };
        // Nobody else is at 1000 ms, which says that the number names the delay.
        assert_eq!(found(), 1000);
        keep();
        assert_eq!(found(), KEPT_FOR);
    }
}
