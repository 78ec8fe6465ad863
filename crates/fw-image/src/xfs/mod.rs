// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The BOOT partition: xfs (v5, with checksums) made by mkfs.xfs, then freed of the clock.
//!
//! mkfs.xfs is run by the caller with [`mkfs_args`] and a [`prototype`]. It writes the present time into
//! every inode; [`settle`] sets all inode times to a fixed one and recomputes the inodes' CRC-32C. Nothing
//! else in such an image depends on the time of the run (two images of mkfs.xfs 6.1 were compared byte for
//! byte: only mtime, ctime, crtime and CRC differ). [`Xfs`] lists and reads files, for tests and `inspect`.
//!
//! Structures: the kernel's fs/xfs/libxfs/xfs_format.h and xfs_da_format.h. All numbers are big-endian but
//! the CRCs.

mod inode;
mod mkfs;
mod settle;
mod superblock;
mod walk;

use std::io::{self, Read, Seek, SeekFrom};

pub use mkfs::{PrototypeFile, Spec, mkfs_args, prototype};
pub use settle::{Settled, settle};
pub use superblock::{FEATURES_INCOMPAT, FEATURES_RO_COMPAT, Superblock};
pub use walk::{Entry, EntryKind, Xfs};

/// Why an image cannot be made, settled or read.
#[derive(Debug, thiserror::Error)]
pub enum XfsError {
    /// The image could not be read or written.
    #[error("xfs image: {0}")]
    Io(#[from] io::Error),
    /// Not an xfs v5.
    #[error("not an xfs image with checksums: {0}")]
    NotXfs(String),
    /// A structure is not as the format says.
    #[error("xfs image is damaged: {0}")]
    Damaged(String),
    /// mkfs.xfs made something else than it was asked for.
    #[error("xfs image has {what} {found}, not {wanted}")]
    Differs {
        /// The property.
        what: &'static str,
        /// What the image has.
        found: String,
        /// What was asked for.
        wanted: String,
    },
    /// A layout this reader does not know.
    #[error("xfs: {0} is not supported by this reader")]
    Unsupported(String),
    /// No file of that path.
    #[error("xfs image has no file `{0}`")]
    NotFound(String),
    /// A path or mode that a prototype cannot express.
    #[error("xfs prototype: `{path}` {why}")]
    Prototype {
        /// The path.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

fn read_at<R: Read + Seek>(image: &mut R, at_bytes: u64, length_bytes: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length_bytes];
    image.seek(SeekFrom::Start(at_bytes))?;
    image.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], XfsError> {
    let found = bytes.get(at..).and_then(|rest| rest.first_chunk());
    found.copied().ok_or_else(|| XfsError::Damaged(format!("a structure ends before its byte {at}")))
}

fn be16(bytes: &[u8], at: usize) -> Result<u16, XfsError> {
    array(bytes, at).map(u16::from_be_bytes)
}

fn be32(bytes: &[u8], at: usize) -> Result<u32, XfsError> {
    array(bytes, at).map(u32::from_be_bytes)
}

fn be64(bytes: &[u8], at: usize) -> Result<u64, XfsError> {
    array(bytes, at).map(u64::from_be_bytes)
}

/// CRC-32C of a structure whose own CRC field, at `crc_at`, counts as zero.
fn checksum(bytes: &[u8], crc_at: usize) -> u32 {
    crate::crc::crc32c(&[&bytes[..crc_at], &[0; 4], &bytes[crc_at + 4..]])
}
