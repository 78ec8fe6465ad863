// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Writes a disk image to a medium and proves that it is there.
//!
//! Every byte of the image counts, its zeros too: an old partition table, file system journal or loader in a
//! range that the image leaves empty would be found by somebody later. So nothing is skipped: a block of zeros is
//! given back to the medium (which then reads as zeros), or read and overwritten where it is not zero.
//!
//! The first MiB, with partition table and ID block, is cleared first and written last: a medium on which writing
//! was interrupted has neither, and no boot ROM mistakes it for a complete one.
//!
//! This crate draws nothing, asks nothing and starts no process. [`device`] says what a disk is and whether it may
//! be written, [`image`] what is to be written, [`write`](mod@write) does it on anything that is a [`medium::Medium`].

pub mod buffer;
pub mod device;
pub mod image;
pub mod journal;
pub mod medium;
pub mod plan;
pub mod progress;
pub mod size;
pub mod verify;
pub mod write;

/// What is read, written, read back and counted at once. SD cards erase in units of 4 MiB at most, and take
/// writes of this size at full speed.
pub const CHUNK_BYTES: usize = 1 << 20;
