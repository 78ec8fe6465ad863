// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Finds the key of a LUKS2 volume: header, key slot, digest. What is encrypted with the key is the kernel's work.
//!
//! After the LUKS2 on-disk format specification 1.1. Only what Talos and `cryptsetup` make by default is known; anything
//! else is refused by name. Nothing here opens a device: the caller hands in the header's bytes, and decrypts the area
//! of the key slot.

mod header;
mod unlock;

pub use header::{Area, Header, Segment};

/// A volume for the self-test to open: `fixtures/make-luks2.py` says what is in it.
pub const FIXTURE: &[u8] = include_bytes!("../../fixtures/luks2.img");
pub use unlock::unlock;

/// Why a volume stays closed.
#[derive(Debug, thiserror::Error)]
pub enum Luks2Error {
    /// Neither magic number of a header.
    #[error("no LUKS2 header")]
    Absent,
    /// The header does not match its checksum.
    #[error("the header does not match its checksum")]
    Checksum,
    /// The header says something that cannot be.
    #[error("the header is damaged: {0}")]
    Damaged(String),
    /// The header says something that is not known here.
    #[error("{0} is not known here")]
    Unknown(String),
    /// No key slot opens with it.
    #[error("no key slot opens with this passphrase")]
    Passphrase,
    /// The area of the key slot could not be decrypted.
    #[error("the key slot's area: {0}")]
    Area(#[from] std::io::Error),
}
