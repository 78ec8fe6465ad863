// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `.xz` files whose bytes do not depend on the number of threads, quick on images that are mostly holes.
//!
//! The input is cut into blocks of [`BLOCK_BYTES`], each compressed on its own (LZMA2 from liblzma), so
//! threads cannot change the result. A block of zeros is compressed once and repeated; a block that is
//! compressed data already is stored as it is. Format: "The .xz File Format" 1.2.1, cited by section.

mod block;
mod read;
mod write;

use std::io;

pub use read::{decompress, decompress_bounded};
pub use write::compress;

/// Uncompressed bytes of every block but the last. Also the dictionary size.
pub const BLOCK_BYTES: usize = 1 << 20;

/// liblzma's preset for blocks that do compress.
const PRESET: u32 = 6;

/// Stream flags (section 2.1.1.2): check type 4, CRC-64, which the `xz` tool uses too.
const STREAM_FLAGS: [u8; 2] = [0x00, 0x04];
const HEADER_MAGIC: [u8; 6] = [0xFD, b'7', b'z', b'X', b'Z', 0x00];
const FOOTER_MAGIC: [u8; 2] = *b"YZ";

/// Why compressing or decompressing failed.
#[derive(Debug, thiserror::Error)]
pub enum XzError {
    /// The input could not be read; for decompressing, this includes damaged or truncated data.
    #[error("xz input: {0}")]
    Input(io::Error),
    /// The output could not be written.
    #[error("xz output: {0}")]
    Output(io::Error),
    /// liblzma failed, for instance for want of memory.
    #[error("xz coder: {0}")]
    Coder(#[from] liblzma::stream::Error),
    /// More raw data than the caller takes.
    #[error("it unpacks to more than {0} bytes")]
    TooLarge(u64),
}

/// Sizes and digests of both sides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Size of the raw data.
    pub raw_bytes: u64,
    /// SHA-256 of the raw data, in hex.
    pub raw_sha256: String,
    /// Size of the `.xz` file.
    pub xz_bytes: u64,
    /// SHA-256 of the `.xz` file, in hex.
    pub xz_sha256: String,
}
