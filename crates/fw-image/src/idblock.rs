// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The Rockchip ID block, version 2 (`RKNS`): what the RK3588 boot ROM reads at LBA 64.
//!
//! Layout after U-Boot's `mkimage -T rksd` (`tools/rkcommon.c`, `struct header0_info_v2` and
//! `struct image_entry`): a header of 2048 bytes, then the payloads, each padded to 2048 bytes.
//! All integers are little-endian, all offsets count 512-byte sectors from the start of the block.
//!
//! | Offset | Content |
//! | --- | --- |
//! | 0x000 | magic `RKNS` |
//! | 0x008 | bits 31:16 number of images, bits 15:0 offset of the header's hash in 4-byte units (384) |
//! | 0x00c | bits 3:0 hash type: 0 none, 1 SHA-256, 2 SHA-512 |
//! | 0x078 | four entries of 0x58 bytes: word 0 = length<<16 or start, address, flag, counter, 8 reserved, hash |
//! | 0x600 | SHA-256 over bytes 0 to 0x5ff |
//!
//! This module reads and judges; it must not build an ID block (binman does) and must not know where
//! on a disk it lies.

use sha2::{Digest, Sha256};

use crate::bytes::{array, le32};
use crate::hex;

/// First four bytes, `RK_MAGIC_V2` of `tools/rkcommon.c`.
pub const MAGIC: [u8; 4] = *b"RKNS";
/// Unit of every offset and length in the header.
pub const SECTOR_BYTES: usize = 512;
/// Length of the header; the first payload starts here (`RK_INIT_OFFSET`, 4 sectors).
pub const HEADER_BYTES: usize = 2048;

const VERSION_1_MAGIC_RC4: [u8; 4] = [0x3b, 0x8c, 0xdc, 0xfc];
const COUNT_OFFSET: usize = 0x08;
const HASH_TYPE_OFFSET: usize = 0x0c;
const ENTRIES_OFFSET: usize = 0x78;
const ENTRY_BYTES: usize = 0x58;
const ENTRY_LIMIT: usize = 4;
const ENTRY_HASH_OFFSET: usize = 0x18;
const HEADER_HASH_OFFSET: usize = 0x600;

/// Why an ID block was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fewer bytes than the header or an entry asks for.
    #[error("id block is truncated: {what} needs {need_bytes} bytes, there are {have_bytes}")]
    Truncated {
        /// Which part.
        what: String,
        /// Bytes from the start of the block that the part needs.
        need_bytes: usize,
        /// Bytes there are.
        have_bytes: usize,
    },
    /// The first four bytes are not `RKNS`.
    #[error("id block magic is `{found}`, not `RKNS` (524b4e53)")]
    Magic {
        /// The bytes found, in hexadecimal.
        found: String,
    },
    /// A version 1 header, RC4 scrambled, as older SoCs use it.
    #[error("id block is of version 1 (RC4); the RK3588 boot ROM wants version 2 (`RKNS`)")]
    Version1,
    /// The word at 0x008 does not describe one to four images with the hash at 0x600.
    #[error(
        "id block counts {images} images and puts its hash at {hash_offset_bytes:#x}; expected 1 to 4 and 0x600"
    )]
    Layout {
        /// Number of images named.
        images: usize,
        /// Byte offset of the hash named.
        hash_offset_bytes: usize,
    },
    /// The boot flag names a hash other than SHA-256.
    #[error("id block uses hash type {0}, only 1 (SHA-256) is known from `mkimage`")]
    HashType(u32),
    /// An entry without content, or one that starts inside the header or another entry.
    #[error("id block entry {index} is {why}")]
    Entry {
        /// Number of the entry, from 0.
        index: usize,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A SHA-256 does not match.
    #[error("id block: SHA-256 of {what} is {actual}, the header says {expected}")]
    Hash {
        /// Which part.
        what: String,
        /// Hexadecimal digest that stands in the header.
        expected: String,
        /// Hexadecimal digest of the bytes.
        actual: String,
    },
}

/// One image of the block. Entry 0 is the DDR blob, entry 1 the SPL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Position in the header, from 0.
    pub index: usize,
    /// First sector, from the start of the block.
    pub offset_sectors: u16,
    /// Length in sectors, padding included.
    pub size_sectors: u16,
    /// Load address; `mkimage` writes 0xffffffff (the boot ROM decides).
    pub address: u32,
    /// Running number, from 1.
    pub counter: u32,
    /// SHA-256 of the sectors.
    pub sha256: [u8; 32],
}

impl Entry {
    /// First byte, from the start of the block.
    pub fn offset_bytes(&self) -> usize {
        usize::from(self.offset_sectors) * SECTOR_BYTES
    }

    /// Length in bytes, padding included.
    pub fn size_bytes(&self) -> usize {
        usize::from(self.size_sectors) * SECTOR_BYTES
    }

    /// The payload with its padding, out of the bytes of the whole block.
    pub fn payload<'a>(&self, block: &'a [u8]) -> Result<&'a [u8], Error> {
        let end = self.offset_bytes() + self.size_bytes();
        block.get(self.offset_bytes()..end).ok_or_else(|| Error::Truncated {
            what: format!("entry {}", self.index),
            need_bytes: end,
            have_bytes: block.len(),
        })
    }
}

/// A parsed header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdBlock {
    /// The images, in boot order.
    pub entries: Vec<Entry>,
    /// SHA-256 over the header's first 0x600 bytes, as it stands at 0x600.
    pub header_sha256: [u8; 32],
}

impl IdBlock {
    /// Bytes from the start of the block to the end of its last payload.
    pub fn end_bytes(&self) -> usize {
        self.entries.iter().map(|e| e.offset_bytes() + e.size_bytes()).max().unwrap_or(HEADER_BYTES)
    }
}

/// Reads the header that `block` starts with. Hashes are read, not compared: see [`verify`].
pub fn parse(block: &[u8]) -> Result<IdBlock, Error> {
    let truncated = || Error::Truncated {
        what: "the header".to_owned(),
        need_bytes: HEADER_BYTES,
        have_bytes: block.len(),
    };
    let magic: [u8; 4] = array(block, 0).ok_or_else(truncated)?;
    if magic == VERSION_1_MAGIC_RC4 {
        return Err(Error::Version1);
    }
    if magic != MAGIC {
        return Err(Error::Magic { found: hex(&magic) });
    }
    let header = block.get(..HEADER_BYTES).ok_or_else(truncated)?;
    let count_word = le32(header, COUNT_OFFSET).ok_or_else(truncated)?;
    let images = (count_word >> 16) as usize;
    let hash_offset_bytes = (count_word & 0xffff) as usize * 4;
    if images == 0 || images > ENTRY_LIMIT || hash_offset_bytes != HEADER_HASH_OFFSET {
        return Err(Error::Layout { images, hash_offset_bytes });
    }
    let hash_type = le32(header, HASH_TYPE_OFFSET).ok_or_else(truncated)? & 0xf;
    if hash_type != 1 {
        return Err(Error::HashType(hash_type));
    }
    let mut entries: Vec<Entry> = Vec::with_capacity(images);
    let mut free_from_bytes = HEADER_BYTES;
    for index in 0..images {
        let at = ENTRIES_OFFSET + index * ENTRY_BYTES;
        let place = le32(header, at).ok_or_else(truncated)?;
        let entry = Entry {
            index,
            offset_sectors: (place & 0xffff) as u16,
            size_sectors: (place >> 16) as u16,
            address: le32(header, at + 4).ok_or_else(truncated)?,
            counter: le32(header, at + 12).ok_or_else(truncated)?,
            sha256: array(header, at + ENTRY_HASH_OFFSET).ok_or_else(truncated)?,
        };
        if entry.size_sectors == 0 {
            return Err(Error::Entry { index, why: "empty" });
        }
        if entry.offset_bytes() < free_from_bytes {
            return Err(Error::Entry { index, why: "placed over the header or an earlier entry" });
        }
        free_from_bytes = entry.offset_bytes() + entry.size_bytes();
        entries.push(entry);
    }
    let header_sha256 = array(header, HEADER_HASH_OFFSET).ok_or_else(truncated)?;
    Ok(IdBlock { entries, header_sha256 })
}

/// Reads the header and compares its own hash and that of every payload.
///
/// The boot ROM falls back to the next boot medium when one of them is wrong, silently.
pub fn verify(block: &[u8]) -> Result<IdBlock, Error> {
    let parsed = parse(block)?;
    compare("the header", &parsed.header_sha256, &block[..HEADER_HASH_OFFSET])?;
    for entry in &parsed.entries {
        compare(&format!("entry {}", entry.index), &entry.sha256, entry.payload(block)?)?;
    }
    Ok(parsed)
}

fn compare(what: &str, expected: &[u8; 32], bytes: &[u8]) -> Result<(), Error> {
    let actual: [u8; 32] = Sha256::digest(bytes).into();
    if actual == *expected {
        return Ok(());
    }
    Err(Error::Hash { what: what.to_owned(), expected: hex(expected), actual: hex(&actual) })
}

#[cfg(test)]
mod tests;
