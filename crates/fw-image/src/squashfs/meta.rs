// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Metadata: inodes and names, in blocks of 8 KiB that are packed one by one. Must not know what is in them.

use std::collections::HashMap;

use super::data::unpack;
use super::{Compression, Error};
use crate::bytes::array;

/// Unpacked bytes of a block.
const BLOCK_BYTES: usize = 8192;
/// Bit of a block's length that says that it is not packed.
const STORED: u16 = 0x8000;
/// Names and inodes of Talos's root file system are one megabyte.
const BUDGET_BYTES: usize = 64 << 20;

/// One of the tables, unpacked as it is read.
#[derive(Debug)]
pub(super) struct Table<'a> {
    bytes: &'a [u8],
    compression: Compression,
    start: u64,
    /// Unpacked blocks and where the next one begins, by their place from the start of the table.
    blocks: HashMap<u64, (Vec<u8>, u64)>,
    unpacked_bytes: usize,
}

impl<'a> Table<'a> {
    pub(super) fn new(bytes: &'a [u8], compression: Compression, start: u64) -> Table<'a> {
        Table { bytes, compression, start, blocks: HashMap::new(), unpacked_bytes: 0 }
    }

    /// The block that begins `place` bytes behind the table's start, and the place of the next one.
    pub(super) fn block(&mut self, place: u64) -> Result<(&[u8], u64), Error> {
        if !self.blocks.contains_key(&place) {
            let at = self.start.saturating_add(place);
            let short = || Error::Damaged(format!("metadata at {at:#x} lies past the end"));
            let here = usize::try_from(at).map_err(|_| short())?;
            let header = array(self.bytes, here).map(u16::from_le_bytes).ok_or_else(short)?;
            let length = usize::from(header & !STORED);
            let packed = self.bytes.get(here + 2..here + 2 + length).ok_or_else(short)?;
            let block = if header & STORED != 0 {
                packed.to_vec()
            } else {
                unpack(self.compression, packed, BLOCK_BYTES, at)?
            };
            if block.is_empty() || block.len() > BLOCK_BYTES {
                return Err(Error::Damaged(format!("metadata at {at:#x} has {} bytes", block.len())));
            }
            self.unpacked_bytes += block.len();
            if self.unpacked_bytes > BUDGET_BYTES {
                return Err(Error::TooLarge(BUDGET_BYTES));
            }
            self.blocks.insert(place, (block, place + 2 + length as u64));
        }
        let (block, next) = &self.blocks[&place];
        Ok((block, *next))
    }
}

/// Reads on from a place in a table.
pub(super) struct Cursor<'t, 'a> {
    table: &'t mut Table<'a>,
    place: u64,
    offset: usize,
    read_bytes: usize,
}

impl<'t, 'a> Cursor<'t, 'a> {
    /// At a reference: the block's place above the lowest 16 bits, the byte in it below.
    pub(super) fn at(table: &'t mut Table<'a>, reference: u64) -> Cursor<'t, 'a> {
        Cursor { table, place: reference >> 16, offset: (reference & 0xffff) as usize, read_bytes: 0 }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<Vec<u8>, Error> {
        // A cursor never reads more than all that may be unpacked: blocks that follow each other in a ring end here.
        self.read_bytes += count;
        if self.read_bytes > BUDGET_BYTES {
            return Err(Error::TooLarge(BUDGET_BYTES));
        }
        let mut out = Vec::with_capacity(count);
        while out.len() < count {
            let (block, next) = self.table.block(self.place)?;
            let rest = block.get(self.offset..).unwrap_or_default();
            let take = rest.len().min(count - out.len());
            out.extend_from_slice(&rest[..take]);
            self.offset += take;
            if self.offset >= block.len() {
                if self.offset > block.len() {
                    return Err(Error::Damaged("a reference points behind its block".to_owned()));
                }
                (self.place, self.offset) = (next, 0);
            }
        }
        Ok(out)
    }

    pub(super) fn skip(&mut self, count: usize) -> Result<(), Error> {
        self.bytes(count).map(drop)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        self.number().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        self.number().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Error> {
        self.number().map(u64::from_le_bytes)
    }

    fn number<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.bytes(N)?;
        array(&bytes, 0).ok_or_else(|| Error::Damaged("a number is cut".to_owned()))
    }
}
