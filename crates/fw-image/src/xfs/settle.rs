// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Fixed times for every inode.

use std::io::{Read, Seek, SeekFrom, Write};

use super::inode::{self, core};
use super::{Spec, Superblock, XfsError, be16, be64, checksum};

/// `XFS_DIFLAG2_BIGTIME`: the inode's times are nanoseconds since 1901-12-13 20:45:52, not two 32-bit
/// numbers.
const BIGTIME: u64 = 1 << 3;
const BIGTIME_EPOCH_SECONDS: u64 = 1 << 31;
const NANOSECONDS: u64 = 1_000_000_000;

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Inodes in use.
    pub used: usize,
    /// Inodes that exist and are free.
    pub free: usize,
}

/// Checks that the image is what `spec` asks for, then gives every used inode the times `time_seconds`
/// (since 1970) and generation 0, and every free one zeros there, with new checksums.
///
/// # Errors
/// See [`XfsError`]. All inodes are read and verified before the first is written.
pub fn settle<T: Read + Write + Seek>(
    image: &mut T,
    spec: &Spec,
    time_seconds: u32,
) -> Result<Settled, XfsError> {
    let sb = Superblock::read(image)?;
    sb.check(spec)?;
    let numbers = inode::numbers(image, &sb)?;
    let mut inodes = Vec::with_capacity(numbers.len());
    for number in numbers {
        inodes.push((sb.inode_at(number)?, inode::read(image, &sb, number)?));
    }
    let mut settled = Settled { used: 0, free: 0 };
    for (at_bytes, mut inode) in inodes {
        if be16(&inode, core::MODE)? == 0 {
            settled.free += 1;
            set_times(&mut inode, 0);
        } else {
            settled.used += 1;
            let time = encoded_time(be64(&inode, core::FLAGS2)?, time_seconds);
            set_times(&mut inode, time);
        }
        inode[core::GENERATION..core::GENERATION + 4].fill(0);
        let crc = checksum(&inode, core::CRC);
        inode[core::CRC..core::CRC + 4].copy_from_slice(&crc.to_le_bytes());
        image.seek(SeekFrom::Start(at_bytes))?;
        image.write_all(&inode)?;
    }
    image.flush()?;
    Ok(settled)
}

fn encoded_time(flags2: u64, seconds: u32) -> u64 {
    if flags2 & BIGTIME == 0 {
        u64::from(seconds) << 32 // seconds, then 32 bits of nanoseconds
    } else {
        (BIGTIME_EPOCH_SECONDS + u64::from(seconds)) * NANOSECONDS
    }
}

fn set_times(inode: &mut [u8], encoded: u64) {
    for at in [core::ATIME, core::MTIME, core::CTIME, core::CRTIME] {
        inode[at..at + 8].copy_from_slice(&encoded.to_be_bytes());
    }
}
