// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Counts what this thread allocates, and its processor time.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

/// The system's allocator with a counter for each thread.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn add(bytes: usize) {
    // A thread that ends has no counter any more.
    let _ = NOW.try_with(|now| {
        now.set(now.get().wrapping_add(bytes));
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
    });
}

fn sub(bytes: usize) {
    // Memory of another thread may be freed here.
    let _ = NOW.try_with(|now| now.set(now.get().saturating_sub(bytes)));
}

// SAFETY: every call goes on to the system's allocator unchanged; the counters are plain cells of the thread and
// allocate nothing.
#[expect(unsafe_code, reason = "an allocator that counts is the only way to see what a parser allocates")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promises about `layout` are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        sub(layout.size());
        // SAFETY: `at` came from the system's allocator with this layout.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        sub(layout.size());
        add(size);
        // SAFETY: `at` came from the system's allocator with this layout.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// From start to stop.
pub struct Watch {
    began: f64,
    base: usize,
}

/// Processor time of this thread: fields 14 and 15 of its `stat`, in hundredths of a second (proc_pid_stat(5)).
fn seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux");
    // The name, in parentheses, may have spaces.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).map(|t| t.parse::<u64>().expect("ticks")).sum();
    ticks as f64 / 100.0
}

impl Watch {
    /// From now on.
    pub fn start() -> Watch {
        let base = NOW.get();
        PEAK.set(base);
        Watch { began: seconds(), base }
    }

    /// Processor time in seconds, and the most that was allocated at one time beyond what was there before.
    pub fn stop(self) -> (f64, usize) {
        (seconds() - self.began, PEAK.get().saturating_sub(self.base))
    }
}
