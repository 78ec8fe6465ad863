// SPDX-License-Identifier: Apache-2.0 OR MIT
//! macOS: the raw device `/dev/rdiskN`, which has no cache.
//!
//! Checked by the compiler only, never run on a Mac. So a call that a Mac may refuse without harm is named as such,
//! and any other refusal is an error.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::path::{Path, PathBuf};

use rustix::fs::{fcntl_fullfsync, fcntl_nocache, fsync};
use rustix::io::Errno;
use rustix::ioctl::{Getter, NoArg, Opcode, ioctl, opcode};

use super::{Kind, Medium, Route};
use crate::buffer::ALIGN_BYTES;

// Of `sys/disk.h` of macOS's SDK.
const DKIOCSYNCHRONIZECACHE: Opcode = opcode::none(b'd', 22);
const DKIOCGETBLOCKSIZE: Opcode = opcode::read::<u32>(b'd', 24);
const DKIOCGETBLOCKCOUNT: Opcode = opcode::read::<u64>(b'd', 25);

/// A disk or regular file that is open for writing.
#[derive(Debug)]
pub struct Disk {
    file: File,
    kind: Kind,
    size_bytes: u64,
    block_bytes: usize,
}

impl Disk {
    /// Opens it; of a disk `/dev/diskN` its raw device. The kernel refuses a disk of which something is mounted.
    ///
    /// # Errors
    /// [`io::ErrorKind::ResourceBusy`] when somebody has it, and whatever opening gives.
    pub fn open(path: &Path, kind: Kind) -> io::Result<Disk> {
        let path = match kind {
            Kind::Block => raw(path)?,
            Kind::File => path.to_owned(),
        };
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::ResourceBusy.into()),
            // Not every device node takes locks; that nothing is mounted the kernel has just said.
            Err(TryLockError::Error(e)) if kind == Kind::Block && is_unsupported(&e) => {}
            Err(TryLockError::Error(e)) => return Err(e),
        }
        fcntl_nocache(&file, true)?;
        let (size_bytes, block_bytes) = match kind {
            Kind::Block => {
                if !file.metadata()?.file_type().is_char_device() {
                    return Err(io::Error::other(format!("`{}` is no raw device", path.display())));
                }
                geometry(&file)?
            }
            Kind::File => (file.seek(SeekFrom::End(0))?, ALIGN_BYTES),
        };
        Ok(Disk { file, kind, size_bytes, block_bytes })
    }

    /// Whether its I/O is direct. That of files is not: `F_NOCACHE` does not keep pages out that are there already.
    #[must_use]
    pub fn route(&self) -> Route {
        match self.kind {
            Kind::Block => Route::Direct,
            Kind::File => Route::Cached,
        }
    }

    /// macOS looks at a disk by itself when its last writer closes it.
    ///
    /// # Errors
    /// None.
    pub fn reread_table(&self) -> io::Result<()> {
        Ok(())
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

    /// `DKIOCUNMAP` promises nothing about what is read afterwards.
    fn discard(&self, _offset_bytes: u64, _length_bytes: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn settle(&self, _offset_bytes: u64, _length_bytes: u64) -> io::Result<()> {
        match self.kind {
            Kind::Block => Ok(()),
            Kind::File => self.flush(),
        }
    }

    /// [`File::sync_all`] is `F_FULLFSYNC` alone, which is for files; device nodes have an ioctl for the same. A medium
    /// without a cache of its own knows neither, and has nothing to flush.
    fn flush(&self) -> io::Result<()> {
        fsync(&self.file)?;
        match fcntl_fullfsync(&self.file).map_err(io::Error::from) {
            Err(e) if self.kind == Kind::Block && is_unsupported(&e) => {}
            other => return other,
        }
        #[expect(unsafe_code, reason = "no safe wrapper of this ioctl exists")]
        // SAFETY: DKIOCSYNCHRONIZECACHE takes no argument and touches no memory of ours.
        let flushed = unsafe { ioctl(&self.file, NoArg::<DKIOCSYNCHRONIZECACHE>::new()) };
        match flushed.map_err(io::Error::from) {
            Err(e) if is_unsupported(&e) => Ok(()),
            other => other,
        }
    }
}

/// `/dev/rdisk4` of `/dev/disk4`.
fn raw(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if !crate::device::macos::is_whole(name) {
        return Err(io::Error::other(format!("`{}` is no whole disk", path.display())));
    }
    Ok(path.with_file_name(format!("r{name}")))
}

/// Size of the disk and of its block.
fn geometry(file: &File) -> io::Result<(u64, usize)> {
    #[expect(unsafe_code, reason = "no safe wrapper of these ioctls exists")]
    // SAFETY: `sys/disk.h` has these two write a `uint32_t` and a `uint64_t`, as the getters say.
    let (block, count) = unsafe {
        (
            ioctl(file, Getter::<DKIOCGETBLOCKSIZE, u32>::new())?,
            ioctl(file, Getter::<DKIOCGETBLOCKCOUNT, u64>::new())?,
        )
    };
    let size_bytes = count.checked_mul(u64::from(block));
    match (size_bytes, usize::try_from(block)) {
        // Everything is written in units of `ALIGN_BYTES` or more.
        (Some(size_bytes), Ok(block)) if block.is_power_of_two() && block <= ALIGN_BYTES => {
            Ok((size_bytes, block))
        }
        _ => Err(io::Error::other(format!("blocks of {block} bytes, {count} of them"))),
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    [Errno::NOTTY, Errno::NOTSUP, Errno::OPNOTSUPP, Errno::INVAL]
        .iter()
        .any(|e| error.raw_os_error() == Some(e.raw_os_error()))
}
