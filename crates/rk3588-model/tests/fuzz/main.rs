// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Guests that were made to hurt the model: random accesses to every block, random commands to the cards, damaged
//! ID blocks, noise as SPL. None may panic, hang, take more memory than it was given, or write to a medium.
//!
//! Rounds have numbers from which everything follows, so a failure names its round. Each test goes through rounds for
//! `FW_TEST_FUZZ_SECONDS` (2 if not set).

mod bootrom;
mod bus;
mod cards;
mod random;

use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rk3588_model::storage::Disk;

use random::Random;

/// Rounds that run however slow the machine is: a test without rounds shows nothing.
const ROUNDS_AT_LEAST: u64 = 8;
const DEFAULT_SECONDS: f64 = 2.0;

/// Calls `round` until the time is over.
fn rounds(mut round: impl FnMut(&mut Random)) {
    let seconds = std::env::var("FW_TEST_FUZZ_SECONDS")
        .ok()
        .map_or(DEFAULT_SECONDS, |s| s.parse().expect("FW_TEST_FUZZ_SECONDS in seconds"));
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let mut number = 0;
    while number < ROUNDS_AT_LEAST || Instant::now() < end {
        let guard = Number(number);
        round(&mut Random::new(number));
        std::mem::forget(guard);
        number += 1;
    }
    println!("{number} rounds");
}

/// Names the round that panics.
struct Number(u64);

impl Drop for Number {
    fn drop(&mut self) {
        println!("round {}", self.0);
    }
}

/// A medium whose reads are counted. Nothing can write to it, as it has no way to.
struct Noise {
    length: u64,
    at: u64,
    read: Arc<AtomicU64>,
}

impl Read for Noise {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let now = out.len().min(self.length.saturating_sub(self.at) as usize);
        for (n, byte) in (self.at..).zip(&mut out[..now]) {
            *byte = (n ^ n >> 9) as u8;
        }
        self.at += now as u64;
        self.read.fetch_add(now as u64, Ordering::Relaxed);
        Ok(now)
    }
}

impl Seek for Noise {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        if let SeekFrom::Start(at) = to {
            self.at = at;
        }
        Ok(self.at)
    }
}

/// A medium of `length` bytes, and the bytes that were read of it.
fn medium(length: u64) -> (Disk, Arc<AtomicU64>) {
    let read = Arc::new(AtomicU64::new(0));
    (Disk::new(Noise { length, at: 0, read: Arc::clone(&read) }, length), read)
}
