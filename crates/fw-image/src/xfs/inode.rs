// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which inodes there are: the inode B+tree of every allocation group.

use std::io::{Read, Seek};

use super::{Superblock, XfsError, array, be16, be32, be64, checksum, read_at};

/// Inodes that one record of the tree stands for.
const CHUNK_INODES: u64 = 64;
/// Inodes that one bit of a record's hole mask stands for.
const HOLE_INODES: u64 = 4;
/// Header of a short-form B+tree block with CRC; its CRC is in the last 4 bytes.
const TREE_HEADER_BYTES: usize = 56;
const NO_BLOCK: u32 = u32::MAX;

/// Byte offsets of the inode core (`struct xfs_dinode`).
pub(super) mod core {
    pub const MODE: usize = 2;
    pub const FORMAT: usize = 5;
    pub const ATIME: usize = 32;
    pub const MTIME: usize = 40;
    pub const CTIME: usize = 48;
    pub const SIZE: usize = 56;
    pub const EXTENTS: usize = 76;
    pub const GENERATION: usize = 92;
    pub const CRC: usize = 100;
    pub const FLAGS2: usize = 120;
    pub const CRTIME: usize = 144;
    pub const NUMBER: usize = 152;
    /// End of the core, start of the data fork.
    pub const END: usize = 176;
}

/// Reads an inode and verifies magic, version and CRC.
pub(super) fn read<R: Read + Seek>(image: &mut R, sb: &Superblock, number: u64) -> Result<Vec<u8>, XfsError> {
    let inode = read_at(image, sb.inode_at(number)?, sb.inode_bytes)?;
    let sound = inode.starts_with(b"IN")
        && inode[4] == 3
        && checksum(&inode, core::CRC) == u32::from_le_bytes(array(&inode, core::CRC)?)
        && be64(&inode, core::NUMBER)? == number;
    if sound { Ok(inode) } else { Err(XfsError::Damaged(format!("inode {number}"))) }
}

/// The numbers of all inodes that exist on disk, used and free ones.
pub(super) fn numbers<R: Read + Seek>(image: &mut R, sb: &Superblock) -> Result<Vec<u64>, XfsError> {
    let mut numbers = Vec::new();
    for ag in 0..sb.ag_count {
        ag_numbers(image, sb, ag, &mut numbers)?;
    }
    Ok(numbers)
}

fn ag_numbers<R: Read + Seek>(
    image: &mut R,
    sb: &Superblock,
    ag: u64,
    out: &mut Vec<u64>,
) -> Result<(), XfsError> {
    let agi = read_at(image, sb.ag_block_at(ag, 0)? + 2 * sb.sector_bytes, sb.sector_bytes as usize)?;
    if !agi.starts_with(b"XAGI") {
        return Err(XfsError::Damaged(format!("allocation group {ag} has no inode header")));
    }
    let (mut block, levels) = (be32(&agi, 20)?, be32(&agi, 24)?);
    // Down along the first pointers, then along the leaves.
    for _ in 1..levels.min(16) {
        let node = tree_block(image, sb, ag, block)?;
        let most_records = (node.len() - TREE_HEADER_BYTES) / 8; // a key and a pointer of 4 bytes each
        block = be32(&node, TREE_HEADER_BYTES + 4 * most_records)?;
    }
    for _ in 0..sb.ag_blocks {
        if block == NO_BLOCK {
            return Ok(());
        }
        let leaf = tree_block(image, sb, ag, block)?;
        for record in 0..usize::from(be16(&leaf, 6)?) {
            chunk_numbers(&leaf, TREE_HEADER_BYTES + 16 * record, |number| {
                out.push(ag << (sb.ag_block_log + sb.inodes_per_block_log) | number);
            })?;
        }
        block = be32(&leaf, 12)?;
    }
    Err(XfsError::Damaged(format!("the inode tree of allocation group {ag} has no end")))
}

/// One record: first inode, hole mask (a set bit says that 4 inodes do not exist), counts, free mask.
fn chunk_numbers(leaf: &[u8], at: usize, mut found: impl FnMut(u64)) -> Result<(), XfsError> {
    let (start, holes) = (be32(leaf, at)?, be16(leaf, at + 4)?);
    for i in (0..CHUNK_INODES).filter(|i| holes >> (i / HOLE_INODES) & 1 == 0) {
        found(u64::from(start) + i);
    }
    Ok(())
}

fn tree_block<R: Read + Seek>(
    image: &mut R,
    sb: &Superblock,
    ag: u64,
    block: u32,
) -> Result<Vec<u8>, XfsError> {
    let bytes = read_at(image, sb.ag_block_at(ag, u64::from(block))?, sb.block_bytes as usize)?;
    let crc_at = TREE_HEADER_BYTES - 4;
    if !bytes.starts_with(b"IAB3") || checksum(&bytes, crc_at) != u32::from_le_bytes(array(&bytes, crc_at)?) {
        return Err(XfsError::Damaged(format!("block {block} of allocation group {ag} is no inode tree")));
    }
    Ok(bytes)
}
