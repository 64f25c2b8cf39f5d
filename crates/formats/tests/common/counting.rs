//! An allocator that counts, for the bound on memory. The only `unsafe` of the tests.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes held by this thread since counting began, and their highest value.
    static COUNT: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

struct Counting;

fn add(bytes: isize) {
    // A thread that is ending has no count any more.
    let _ = COUNT.try_with(|c| {
        let (now, peak) = c.get();
        c.set((now + bytes, peak.max(now + bytes)));
    });
}

// SAFETY: every call goes to the system's allocator unchanged; the count is thread-local, holds
// no pointer and does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size() as isize);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new live at once while the bytes are copied.
        add(size as isize);
        add(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The most bytes that `work` held at once on this thread.
pub(crate) fn peak(work: impl FnOnce()) -> usize {
    COUNT.with(|c| c.set((0, 0)));
    work();
    COUNT.with(|c| c.get().1).max(0) as usize
}
