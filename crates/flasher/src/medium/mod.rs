// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can be written to: a block device or a regular file, and in tests a double that fails on purpose.

#[cfg(not(target_os = "macos"))]
mod linux;
#[cfg(target_os = "macos")]
mod macos;

use std::io;

#[cfg(not(target_os = "macos"))]
pub use linux::Disk;
#[cfg(target_os = "macos")]
pub use macos::Disk;

/// Random access to a medium. Offsets, lengths and memory of all calls are multiples of
/// [`block_bytes`](Medium::block_bytes), except at the end of a medium that is none itself.
pub trait Medium: Sync {
    /// Its size.
    fn size_bytes(&self) -> u64;
    /// Its logical block.
    fn block_bytes(&self) -> usize;
    /// Writes some of `bytes`, and says how many.
    ///
    /// # Errors
    /// The medium's.
    fn write_at(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<usize>;
    /// Reads some bytes, and says how many; 0 only at the end.
    ///
    /// # Errors
    /// The medium's.
    fn read_at(&self, bytes: &mut [u8], offset_bytes: u64) -> io::Result<usize>;
    /// Gives a range back to the medium, which must read as zeros afterwards.
    ///
    /// # Errors
    /// [`io::ErrorKind::Unsupported`] where the medium cannot promise zeros.
    fn discard(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()>;
    /// Sees to it that the next read of the range comes from the medium and not from memory.
    ///
    /// # Errors
    /// The medium's.
    fn settle(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()>;
    /// Waits until everything is on the medium.
    ///
    /// # Errors
    /// The medium's.
    fn flush(&self) -> io::Result<()>;
}

/// Whether reads and writes go around the system's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// They do.
    Direct,
    /// They do not: reading back needs a flush first.
    Cached,
}

/// What a [`Disk`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A block device.
    Block,
    /// A regular file, such as the disk of a virtual machine.
    File,
}
