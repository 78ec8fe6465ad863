// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask simulate --check`: what every image of this project must show on the model.
//!
//! [`runs`] boots the image on several boards, side by side, and keeps what was seen; the other modules judge it.
//! A judge is a function from what was seen to a line of findings, so that a test can show it something else.

pub mod clocks;
pub mod dram;
pub mod drivers;
pub mod handover;
pub mod identity;
pub mod loader;
pub mod order;
pub mod runs;

use fw_build::Result;
use fw_build::board::Board as BoardFile;

use self::runs::Seen;
use super::faults::subject::Subject;

/// One assertion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// What is asserted.
    pub what: String,
    /// What was seen, or why it is wrong.
    pub verdict: Result<String, String>,
}

/// An assertion that holds when `wrong` is empty.
pub fn judged(what: impl Into<String>, verdict: Result<String, String>) -> Judged {
    Judged { what: what.into(), verdict }
}

/// What the image should be.
pub struct Wanted<'a> {
    /// The board file.
    pub board: &'a BoardFile,
    /// The image in parts.
    pub subject: &'a Subject,
}

/// Boots the image on all boards and judges what was seen.
///
/// # Errors
/// The image lacks a part that the checks compare with.
pub fn run(wanted: &Wanted<'_>) -> Result<Vec<Judged>> {
    let seen = Seen::gather(wanted)?;
    let mut all = loader::judge(wanted, &seen.full);
    all.extend(dram::judge(&seen.memories));
    all.extend(identity::judge(&seen.full, &seen.again, &seen.other_chip));
    all.extend(clocks::judge(wanted, &seen.full));
    all.extend(order::judge(&seen.orders));
    all.extend(handover::judge(wanted, &seen.full)?);
    all.extend(drivers::judge(&seen.full, wanted.subject.partitions));
    Ok(all)
}
