// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Linux: exclusive opening, direct I/O, hole punching.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{Advice, FallocateFlags, OFlags, fadvise, fallocate};

use super::{Kind, Medium, Route};
use crate::buffer::{ALIGN_BYTES, Buffer};

/// A block device or regular file that is open for writing, and for nobody else.
#[derive(Debug)]
pub struct Disk {
    file: File,
    kind: Kind,
    size_bytes: u64,
    block_bytes: usize,
    route: Route,
}

impl Disk {
    /// Opens it. A block device is taken exclusively: the kernel then refuses to mount it, and refuses us when
    /// it, or a partition of it, is mounted, swapped to or part of another device.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] when somebody has it, and whatever opening gives.
    pub fn open(path: &Path, kind: Kind) -> io::Result<Disk> {
        let open = |flags: OFlags| {
            let bits = i32::try_from(flags.bits()).map_err(io::Error::other)?;
            OpenOptions::new().read(true).write(true).custom_flags(bits).open(path)
        };
        let exclusive = match kind {
            Kind::Block => OFlags::EXCL,
            Kind::File => OFlags::empty(),
        };
        let (mut file, route) = match open(exclusive | OFlags::DIRECT) {
            Ok(file) => (file, Route::Direct),
            // A file system without direct I/O (tmpfs before Linux 6.5, some FUSE ones).
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => (open(exclusive)?, Route::Cached),
            Err(e) => return Err(e),
        };
        let size_bytes = file.seek(SeekFrom::End(0))?;
        let block_bytes = match kind {
            Kind::Block => rustix::fs::ioctl_blksszget(&file)? as usize,
            Kind::File => {
                file.try_lock().map_err(io::Error::from)?;
                ALIGN_BYTES
            }
        };
        let mut disk = Disk { file, kind, size_bytes, block_bytes, route };
        if route == Route::Direct && !disk.direct_works() {
            disk.file = open(exclusive)?;
            disk.route = Route::Cached;
            if kind == Kind::File {
                disk.file.try_lock().map_err(io::Error::from)?;
            }
        }
        Ok(disk)
    }

    /// Whether its I/O is direct.
    #[must_use]
    pub fn route(&self) -> Route {
        self.route
    }

    /// Some targets accept the flag and refuse the reads; a file of odd size has an end that is not aligned.
    fn direct_works(&self) -> bool {
        let whole = self.size_bytes.is_multiple_of(self.block_bytes as u64);
        whole && self.file.read_at(&mut Buffer::zeroed(ALIGN_BYTES), 0).is_ok()
    }

    /// Makes the kernel read the new partition table. Done by udev, too, where it runs; a refusal harms nobody.
    ///
    /// # Errors
    /// The kernel's.
    pub fn reread_table(&self) -> io::Result<()> {
        if self.kind == Kind::File {
            return Ok(());
        }
        /// `BLKRRPART`, `_IO(0x12, 95)` of Linux's `include/uapi/linux/fs.h`.
        const BLKRRPART: rustix::ioctl::Opcode = rustix::ioctl::opcode::none(0x12, 95);
        #[expect(unsafe_code, reason = "no safe wrapper of this ioctl exists")]
        // SAFETY: BLKRRPART takes no argument and touches no memory of ours.
        unsafe {
            match rustix::ioctl::ioctl(&self.file, rustix::ioctl::NoArg::<BLKRRPART>::new()) {
                // A device that has no partitions at all: a loop device without `--partscan`.
                Ok(()) | Err(rustix::io::Errno::INVAL) => Ok(()),
                Err(e) => Err(e.into()),
            }
        }
    }
}

impl Medium for Disk {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    fn write_at(&self, bytes: &[u8], offset_bytes: u64) -> io::Result<usize> {
        self.file.write_at(bytes, offset_bytes)
    }

    fn read_at(&self, bytes: &mut [u8], offset_bytes: u64) -> io::Result<usize> {
        self.file.read_at(bytes, offset_bytes)
    }

    /// Punching a hole is the one form of discard for which Linux promises zeros (`blkdev_fallocate`): it unmaps
    /// where the device can tell zeros from nothing, and refuses where it cannot.
    fn discard(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(fallocate(&self.file, flags, offset_bytes, length_bytes)?)
    }

    fn settle(&self, offset_bytes: u64, length_bytes: u64) -> io::Result<()> {
        if self.route == Route::Cached {
            self.file.sync_data()?;
            fadvise(&self.file, offset_bytes, std::num::NonZero::new(length_bytes), Advice::DontNeed)?;
        }
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}
