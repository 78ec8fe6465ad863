// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where a run is, shared by its threads, whoever draws, and whoever must say in what state the medium is.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// What happens right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Nothing was written yet.
    Untouched,
    /// The first MiB and the end are being cleared.
    Clearing,
    /// Old content is given back to the medium.
    Discarding,
    /// Everything but the first MiB is being written.
    Body,
    /// The first MiB is being written.
    Head,
    /// All is written and was read back.
    Complete,
}

const PHASES: [Phase; 6] =
    [Phase::Untouched, Phase::Clearing, Phase::Discarding, Phase::Body, Phase::Head, Phase::Complete];

/// Counters of one run. Bytes, but for the last.
#[derive(Debug, Default)]
pub struct Progress {
    phase: AtomicU8,
    /// Size of the image.
    pub total_bytes: AtomicU64,
    /// Handled: written, or found to be there.
    pub written_bytes: AtomicU64,
    /// Read back from the medium and equal.
    pub verified_bytes: AtomicU64,
    /// Found on the medium as the image has it, so not written.
    pub kept_bytes: AtomicU64,
    /// Given back to the medium.
    pub discarded_bytes: AtomicU64,
    /// Chunks that had to be written twice.
    pub rewritten_chunks: AtomicU64,
    stop: AtomicBool,
}

impl Progress {
    /// What happens right now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        PHASES[usize::from(self.phase.load(Ordering::Acquire))]
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub(crate) fn add(counter: &AtomicU64, bytes: u64) {
        counter.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Asks the run to end after the chunk it is at.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether it was asked to.
    #[must_use]
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// In what state the medium is, exactly, in one sentence per line.
    #[must_use]
    pub fn state(&self, medium: &str) -> Vec<String> {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed) >> 20;
        let (total, written, verified) =
            (load(&self.total_bytes), load(&self.written_bytes), load(&self.verified_bytes));
        let passed_over = "neither partition table nor loader are on it, so the boot ROM passes over it";
        match self.phase() {
            Phase::Untouched => vec![format!("`{medium}` is as it was: nothing was written to it")],
            Phase::Clearing => vec![
                format!("the first MiB of `{medium}` may be cleared, and its last"),
                // Either this run is the first, or an earlier one was interrupted.
                "what it held is lost; of the image it has no more than an interrupted run left there"
                    .to_owned(),
            ],
            Phase::Discarding => vec![
                format!("`{medium}` is being emptied: {passed_over}"),
                "what it held is lost; nothing of the image is on it".to_owned(),
            ],
            Phase::Body => vec![
                format!("`{medium}` holds a part of the image: {passed_over}"),
                format!("{written} of {total} MiB are written, {verified} MiB were read back and are right"),
            ],
            Phase::Head => vec![
                format!("`{medium}` holds all of the image but, maybe, its first MiB"),
                "do not boot from it: partition table or loader may be cut".to_owned(),
            ],
            Phase::Complete => {
                vec![format!("`{medium}` holds the image: all of it was read back and is right")]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_its_own_state() {
        let progress = Progress::default();
        let mut states = Vec::new();
        for phase in PHASES {
            progress.enter(phase);
            assert_eq!(progress.phase(), phase);
            states.push(progress.state("/dev/sdx").join(" "));
        }
        states.dedup();
        assert_eq!(states.len(), PHASES.len());
        assert!(states[0].contains("nothing was written") && states[5].contains("is right"));
    }
}
