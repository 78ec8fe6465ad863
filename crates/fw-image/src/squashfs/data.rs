// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Content of files: whole blocks, and the ends of files that share a block ("fragments").

use std::io::{self, Read};

use super::meta::{Cursor, Table};
use super::{Compression, Entry, Error, Squashfs};
use crate::bytes::le64;

/// Bit of a data block's length that says that it is not packed.
const STORED: u32 = 1 << 24;
/// Fragments in one block of their table, of 16 bytes each.
const FRAGMENTS_PER_BLOCK: u32 = 512;
/// What the xz decoder may use: blocks have at most 1 MiB.
const XZ_MEMORY_BYTES: u64 = 64 << 20;

impl Squashfs<'_> {
    /// The bytes of a file of [`Squashfs::list`].
    ///
    /// # Errors
    /// See [`Error`]; larger than `limit_bytes` is one.
    pub fn read(&mut self, entry: &Entry, limit_bytes: u64) -> Result<Vec<u8>, Error> {
        if entry.size_bytes > limit_bytes {
            let (path, size_bytes) = (entry.path.clone(), entry.size_bytes);
            return Err(Error::FileTooLarge { path, size_bytes, limit_bytes });
        }
        let size = entry.size_bytes as usize;
        let mut content = Vec::new();
        let mut at = entry.content.start;
        for &length in &entry.content.blocks {
            let want = (size - content.len()).min(self.block_bytes as usize);
            if length == 0 {
                content.resize(content.len() + want, 0);
                continue;
            }
            let block = self.block(at, length)?;
            if block.len() != want {
                return Err(Error::Damaged(format!("a block of `{}` has {} bytes", entry.path, block.len())));
            }
            content.extend(block);
            at += u64::from(length & !STORED);
        }
        if let Some((index, offset)) = entry.content.fragment {
            let want = size - content.len();
            let fragment = self.fragment(index)?;
            let piece =
                (offset as usize).checked_add(want).and_then(|end| fragment.get(offset as usize..end));
            let piece = piece.ok_or_else(|| Error::Damaged(format!("the end of `{}`", entry.path)))?;
            content.extend_from_slice(piece);
        }
        if content.len() != size {
            return Err(Error::Damaged(format!("`{}` has {} of {size} bytes", entry.path, content.len())));
        }
        Ok(content)
    }

    fn block(&self, at: u64, length: u32) -> Result<Vec<u8>, Error> {
        let stored = length & STORED != 0;
        let length = (length & !STORED) as usize;
        let packed = usize::try_from(at).ok().and_then(|at| self.bytes.get(at..at.checked_add(length)?));
        let packed = packed.ok_or_else(|| Error::Damaged(format!("data at {at:#x} lies past the end")))?;
        if stored {
            return Ok(packed.to_vec());
        }
        unpack(self.compression, packed, self.block_bytes as usize, at)
    }

    /// The last one is kept: neighbours in a list mostly share it.
    fn fragment(&mut self, index: u32) -> Result<&[u8], Error> {
        if self.fragment.as_ref().is_none_or(|(kept, _)| *kept != index) {
            let damaged = || Error::Damaged(format!("fragment {index} of {}", self.fragment_count));
            if index >= self.fragment_count {
                return Err(damaged());
            }
            // Absolute places of the table's blocks, 8 bytes each.
            let pointer_at = u64::from(index / FRAGMENTS_PER_BLOCK).checked_mul(8);
            let pointer_at = pointer_at.and_then(|p| p.checked_add(self.fragments_at)).ok_or_else(damaged)?;
            let pointer_at = usize::try_from(pointer_at).map_err(|_| damaged())?;
            let place = le64(self.bytes, pointer_at).ok_or_else(damaged)?;
            let mut table = Table::new(self.bytes, self.compression, place);
            let mut entry = Cursor::at(&mut table, u64::from(index % FRAGMENTS_PER_BLOCK) * 16);
            let (start, length) = (entry.u64()?, entry.u32()?);
            self.fragment = Some((index, self.block(start, length)?));
        }
        Ok(self.fragment.as_ref().map_or(&[], |(_, bytes)| bytes))
    }
}

/// Unpacks one block of at most `limit` bytes.
pub(super) fn unpack(
    compression: Compression,
    packed: &[u8],
    limit: usize,
    at: u64,
) -> Result<Vec<u8>, Error> {
    let result = match compression {
        Compression::Zstd => zstd::bulk::decompress(packed, limit),
        Compression::Gzip => read_limited(flate2::read::ZlibDecoder::new(packed), limit),
        Compression::Xz => liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_BYTES, 0)
            .map_err(io::Error::other)
            .and_then(|s| read_limited(liblzma::bufread::XzDecoder::new_stream(packed, s), limit)),
    };
    result.map_err(|source| Error::Block { at, source })
}

fn read_limited(decoder: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    decoder.take(limit as u64 + 1).read_to_end(&mut out)?;
    if out.len() > limit {
        return Err(io::Error::other(format!("more than {limit} bytes")));
    }
    Ok(out)
}
