// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Small file systems and disks, byte by byte: what `mkfs` would refuse to make is what readers must survive.

use fw_image::crc::crc32c;
use fw_image::gpt::{Geometry, Partition, Table};
use fw_image::guid::Guid;
use fw_image::lba::Lba;
use image_inspect::source::FileSource;

use crate::seeds::medium;

/// Size of [`disk`].
pub const DISK_BYTES: u64 = 64 << 20;

/// A disk of 64 MiB: partitions by name, type, first MiB and content, each of 8 MiB or more; then bytes at places.
pub fn disk(partitions: &[(&str, Guid, u64, &[u8])], pieces: &[(u64, &[u8])]) -> FileSource {
    let entry = |(name, type_guid, mib, content): &(&str, Guid, u64, &[u8])| Partition {
        name: (*name).to_owned(),
        type_guid: *type_guid,
        guid: Guid::from_label(&format!("{name}{mib}")),
        first: Lba(mib * 2048),
        last: Lba((mib + (content.len() as u64).div_ceil(1 << 20).max(8)) * 2048 - 1),
        attributes: 0,
    };
    let table = Table {
        disk_guid: Guid::from_label("disk"),
        geometry: Geometry::new(DISK_BYTES / 512, 0).expect("room"),
        partitions: partitions.iter().map(entry).collect(),
    };
    let encoded = table.encode().expect("a good table");
    let mut all: Vec<(u64, &[u8])> = encoded.iter().map(|(at, b)| (at.bytes(), b.as_slice())).collect();
    all.extend(partitions.iter().map(|(_, _, mib, content)| (mib << 20, *content)));
    all.extend(pieces);
    medium(DISK_BYTES, &all)
}

/// Block of [`Xfs`].
pub const XFS_BLOCK_BYTES: usize = 4096;

/// An xfs of one allocation group, whose inodes are set one by one.
pub struct Xfs {
    /// Its bytes.
    pub image: Vec<u8>,
}

impl Xfs {
    /// The inode of the root directory.
    pub const ROOT: u64 = 64;

    /// With so many blocks, a power of two.
    pub fn new(blocks: usize) -> Xfs {
        let mut image = vec![0; blocks * XFS_BLOCK_BYTES];
        let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"XFSB");
        put(4, &(XFS_BLOCK_BYTES as u32).to_be_bytes());
        put(8, &(blocks as u64).to_be_bytes());
        put(56, &Xfs::ROOT.to_be_bytes());
        put(84, &(blocks as u32).to_be_bytes());
        put(88, &1_u32.to_be_bytes());
        put(100, &5_u16.to_be_bytes());
        put(102, &512_u16.to_be_bytes());
        put(104, &512_u16.to_be_bytes());
        put(120, &[12, 9, 9, 3, blocks.ilog2() as u8]);
        put(216, &0xb_u32.to_be_bytes());
        let mut xfs = Xfs { image };
        xfs.seal(0, 224, 512);
        xfs
    }

    fn seal(&mut self, at: usize, crc_at: usize, length: usize) {
        let bytes = &mut self.image[at..at + length];
        let crc = crc32c(&[&bytes[..crc_at], &[0; 4], &bytes[crc_at + 4..]]);
        bytes[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
    }

    fn inode(&mut self, number: u64, mode: u16, format: u8, size: u64, extents: u32, fork: &[u8]) {
        let at = number as usize * 512;
        let mut put = |from: usize, bytes: &[u8]| {
            self.image[at + from..at + from + bytes.len()].copy_from_slice(bytes);
        };
        put(0, b"IN");
        put(2, &mode.to_be_bytes());
        put(4, &[3, format]);
        put(56, &size.to_be_bytes());
        put(76, &extents.to_be_bytes());
        put(152, &number.to_be_bytes());
        put(176, fork);
        self.seal(at, 100, 512);
    }

    /// A directory inside of its inode.
    pub fn directory(&mut self, number: u64, entries: &[(&str, u64)]) {
        let mut fork = vec![entries.len() as u8, 0, 0, 0, 0, 0];
        for (name, inode) in entries {
            fork.extend([name.len() as u8, 0, 0]);
            fork.extend(name.as_bytes());
            fork.push(0);
            fork.extend((*inode as u32).to_be_bytes());
        }
        self.inode(number, 0o040_755, 1, fork.len() as u64, 0, &fork);
    }

    /// A directory in blocks.
    pub fn directory_at(&mut self, number: u64, block: u64, blocks: u64) {
        self.extent(number, 0o040_755, blocks << 12, block, blocks);
    }

    /// A file in blocks.
    pub fn file_at(&mut self, number: u64, size: u64, block: u64, blocks: u64) {
        self.extent(number, 0o100_644, size, block, blocks);
    }

    fn extent(&mut self, number: u64, mode: u16, size: u64, block: u64, blocks: u64) {
        let bits = u128::from(block) << 21 | u128::from(blocks);
        self.inode(number, mode, 2, size, 1, &bits.to_be_bytes());
    }

    /// A directory's block of nothing but names for one inode.
    pub fn names(&mut self, block: u64, names: &[String], inode: u64) {
        let mut bytes = b"XDD3".to_vec();
        bytes.resize(64, 0);
        for name in names {
            let start = bytes.len();
            bytes.extend(inode.to_be_bytes());
            bytes.push(name.len() as u8);
            bytes.extend(name.as_bytes());
            bytes.resize(start + (8 + 1 + name.len() + 1 + 2).next_multiple_of(8), 0);
        }
        let left = XFS_BLOCK_BYTES - bytes.len();
        if left > 0 {
            bytes.extend([0xff, 0xff]);
            bytes.extend((left as u16).to_be_bytes());
        }
        bytes.resize(XFS_BLOCK_BYTES, 0);
        self.image[block as usize * XFS_BLOCK_BYTES..][..XFS_BLOCK_BYTES].copy_from_slice(&bytes);
    }
}

/// BOOT as Talos lays it out, with this as `grub/grub.cfg`.
pub fn boot(config: &[u8]) -> Vec<u8> {
    let mut xfs = Xfs::new(1024);
    xfs.directory(Xfs::ROOT, &[("grub", 65)]);
    xfs.directory(65, &[("grub.cfg", 66)]);
    xfs.file_at(66, config.len() as u64, 100, (config.len() as u64).div_ceil(4096).max(1));
    xfs.image[100 * XFS_BLOCK_BYTES..][..config.len()].copy_from_slice(config);
    xfs.image
}

/// A squashfs whose root directory has `names` names, all for one symbolic link with a target of `target` bytes.
pub fn squashfs_of_links(names: usize, target: usize) -> Vec<u8> {
    let stored = |content: &[u8]| -> (Vec<u8>, Vec<usize>) {
        let (mut out, mut starts) = (Vec::new(), Vec::new());
        for block in content.chunks(8192) {
            starts.push(out.len());
            out.extend((0x8000 | block.len() as u16).to_le_bytes());
            out.extend(block);
        }
        (out, starts)
    };
    // Names of eight digits, 256 behind each header.
    let mut listing = Vec::new();
    for first in (0..names).step_by(256) {
        let count = (names - first).min(256);
        for word in [count as u32 - 1, 0, 1] {
            listing.extend(word.to_le_bytes());
        }
        for i in first..first + count {
            // The link's inode lies behind the directory's, 40 bytes.
            listing.extend([40, 0, 0, 0, 3, 0, 7, 0]);
            listing.extend(format!("{i:08}").as_bytes());
        }
    }
    // An extended directory, then the link.
    let mut inodes = vec![8, 0, 0xed, 1];
    inodes.resize(20, 0);
    inodes.extend((listing.len() as u32 + 3).to_le_bytes());
    inodes.resize(40, 0);
    inodes.extend([3, 0, 0xff, 1]);
    inodes.resize(60, 0);
    inodes.extend((target as u32).to_le_bytes());
    inodes.resize(64 + target, b'x');
    let ((inodes, _), (listing, _)) = (stored(&inodes), stored(&listing));
    let (inodes_at, listing_at) = (96, 96 + inodes.len());
    let total = listing_at + listing.len();
    let mut image = vec![0; 96];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"hsqs");
    put(12, &131_072_u32.to_le_bytes());
    put(20, &6_u16.to_le_bytes());
    put(28, &4_u16.to_le_bytes());
    put(40, &(total as u64).to_le_bytes());
    put(64, &(inodes_at as u64).to_le_bytes());
    put(72, &(listing_at as u64).to_le_bytes());
    [image, inodes, listing].concat()
}
