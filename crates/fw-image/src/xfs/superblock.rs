// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The superblock: geometry, identity and feature bits.

use std::io::{Read, Seek};

use super::{Spec, XfsError, array, be16, be32, be64, checksum, read_at};
use crate::guid::Guid;

/// finobt, reflink, inobtcount (`XFS_SB_FEAT_RO_COMPAT_*`); rmapbt would be bit 1.
pub const FEATURES_RO_COMPAT: u32 = 1 | 1 << 2 | 1 << 3;
/// ftype, sparse inodes, bigtime (`XFS_SB_FEAT_INCOMPAT_*`). nrext64 would be bit 5, and is what GRUB
/// before 2.12 cannot read; parent pointers and exchange-range, bits 6 and 7, GRUB 2.12 cannot.
pub const FEATURES_INCOMPAT: u32 = 1 | 1 << 1 | 1 << 3;

const MAGIC: &[u8] = b"XFSB";
const CRC_AT: usize = 224;
const SUPERBLOCK_BYTES: usize = 512;

/// What this crate needs of a superblock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Superblock {
    /// UUID of the file system.
    pub uuid: Guid,
    /// Label.
    pub label: String,
    /// Size of the file system.
    pub size_bytes: u64,
    /// Feature bits that a reader may ignore but a writer must know.
    pub features_ro_compat: u32,
    /// Feature bits that everybody must know.
    pub features_incompat: u32,
    /// Feature bits of the log.
    pub features_log_incompat: u32,
    pub(super) block_bytes: u64,
    pub(super) block_log: u32,
    pub(super) ag_blocks: u64,
    pub(super) ag_block_log: u32,
    pub(super) ag_count: u64,
    pub(super) sector_bytes: u64,
    pub(super) inode_bytes: usize,
    pub(super) inodes_per_block_log: u32,
    pub(super) directory_block_log: u32,
    pub(super) root_inode: u64,
}

impl Superblock {
    /// Reads and verifies the first superblock.
    ///
    /// # Errors
    /// [`XfsError::NotXfs`] for anything but a sound v5 superblock.
    pub fn read<R: Read + Seek>(image: &mut R) -> Result<Superblock, XfsError> {
        let sb = read_at(image, 0, SUPERBLOCK_BYTES)?;
        let not = |why: String| Err(XfsError::NotXfs(why));
        if &sb[..4] != MAGIC {
            return not("no `XFSB` at its start".to_owned());
        }
        let version = be16(&sb, 100)? & 0xf;
        let sector_bytes = be16(&sb, 102)?;
        if version != 5 || usize::from(sector_bytes) != SUPERBLOCK_BYTES {
            return not(format!("version {version} with sectors of {sector_bytes} bytes"));
        }
        if checksum(&sb, CRC_AT) != u32::from_le_bytes(array(&sb, CRC_AT)?) {
            return not("wrong CRC-32C of the superblock".to_owned());
        }
        let label = sb[108..120].split(|&b| b == 0).next().unwrap_or_default();
        let superblock = Superblock {
            uuid: Guid::from_bytes(array(&sb, 32)?),
            label: String::from_utf8_lossy(label).into_owned(),
            size_bytes: u64::from(be32(&sb, 4)?).saturating_mul(be64(&sb, 8)?),
            features_ro_compat: be32(&sb, 212)?,
            features_incompat: be32(&sb, 216)?,
            features_log_incompat: be32(&sb, 220)?,
            block_bytes: u64::from(be32(&sb, 4)?),
            block_log: u32::from(sb[120]),
            ag_blocks: u64::from(be32(&sb, 84)?),
            ag_block_log: u32::from(sb[124]),
            ag_count: u64::from(be32(&sb, 88)?),
            sector_bytes: u64::from(sector_bytes),
            inode_bytes: usize::from(be16(&sb, 104)?),
            inodes_per_block_log: u32::from(sb[123]),
            directory_block_log: u32::from(sb[192]),
            root_inode: be64(&sb, 56)?,
        };
        superblock.check_geometry()?;
        Ok(superblock)
    }

    /// The logarithms must agree with the sizes: everything else is computed from them.
    fn check_geometry(&self) -> Result<(), XfsError> {
        let block_ok = (9..=16).contains(&self.block_log) && self.block_bytes == 1 << self.block_log;
        let inode_ok = (256..=2048).contains(&self.inode_bytes)
            && self.inodes_per_block_log <= 8
            && (self.inode_bytes as u64) << self.inodes_per_block_log == self.block_bytes;
        let ag_ok = self.ag_block_log <= 32 && self.ag_blocks <= 1 << self.ag_block_log && self.ag_count > 0;
        if block_ok && inode_ok && ag_ok && self.directory_block_log <= 4 {
            Ok(())
        } else {
            Err(XfsError::NotXfs("sizes of its superblock that contradict each other".to_owned()))
        }
    }

    /// Whether this is the file system that `spec` asks for, with exactly the features of [`mkfs_args`]
    /// (which GRUB 2.12 can read): a newer mkfs.xfs may turn on more by itself.
    ///
    /// [`mkfs_args`]: super::mkfs_args
    ///
    /// # Errors
    /// [`XfsError::Differs`].
    pub fn check(&self, spec: &Spec) -> Result<(), XfsError> {
        let hex = |bits: u32| format!("{bits:#x}");
        let pairs = [
            ("UUID", self.uuid.to_string(), spec.uuid.to_string()),
            ("label", self.label.clone(), spec.label.clone()),
            ("size in bytes", self.size_bytes.to_string(), spec.size_bytes.to_string()),
            ("read-only-compatible features", hex(self.features_ro_compat), hex(FEATURES_RO_COMPAT)),
            ("incompatible features", hex(self.features_incompat), hex(FEATURES_INCOMPAT)),
            ("log features", hex(self.features_log_incompat), hex(0)),
        ];
        match pairs.into_iter().find(|(_, found, wanted)| found != wanted) {
            Some((what, found, wanted)) => Err(XfsError::Differs { what, found, wanted }),
            None => Ok(()),
        }
    }

    /// Byte of a block, given by allocation group and number in it.
    pub(super) fn ag_block_at(&self, ag: u64, block: u64) -> Result<u64, XfsError> {
        if ag >= self.ag_count || block >= self.ag_blocks {
            return Err(XfsError::Damaged(format!("block {block} of allocation group {ag} does not exist")));
        }
        let number = ag.checked_mul(self.ag_blocks).and_then(|first| first.checked_add(block));
        let at = number.and_then(|number| number.checked_mul(self.block_bytes));
        at.filter(|at| *at < self.size_bytes)
            .ok_or_else(|| XfsError::Damaged(format!("block {block} of group {ag} lies behind its end")))
    }

    /// Byte of a block, given by its number in the file system.
    pub(super) fn block_at(&self, block: u64) -> Result<u64, XfsError> {
        self.ag_block_at(block >> self.ag_block_log, block & ((1 << self.ag_block_log) - 1))
    }

    /// Byte of an inode, given by its number in the file system.
    pub(super) fn inode_at(&self, inode: u64) -> Result<u64, XfsError> {
        let in_block = inode & ((1 << self.inodes_per_block_log) - 1);
        Ok(self.block_at(inode >> self.inodes_per_block_log)? + in_block * self.inode_bytes as u64)
    }
}
