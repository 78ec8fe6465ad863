// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The EFI partition: a FAT32 file system with a given set of files, byte for byte the same for the same
//! set, and [`Volume`], a reader for whatever FAT there is.
//!
//! 512-byte sectors, media F8, and clusters of one sector: at 100 MiB that makes some 200,000 clusters,
//! where FAT32 begins at 65,525 (Microsoft's FAT specification 1.03, "FAT type determination"). With
//! 4 KiB clusters the same size would be a FAT16 in a FAT32's clothes, which firmware may misread.
//!
//! Written here and not by the fatfs crate, since that (0.3.6) gives the `.` and `..` entries long names,
//! which fsck.fat calls damage; fatfs reads, and so checks the writer.

mod read;
mod tree;
mod write;

use std::io::{self, Read, Seek, SeekFrom, Write};

use fatfs::{Dir, FileSystem, FsOptions, ReadWriteSeek};

pub use read::{Entry, MAX_DEPTH, MAX_ENTRIES, ReadError, Volume, Width};
pub use write::build;

use crate::guid::Guid;
use crate::lba::{Lba, SECTOR_BYTES};

/// Fewest clusters of a FAT32 (FAT specification 1.03).
pub const MIN_CLUSTERS: u32 = 65_525;

/// Why a file system cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum FatError {
    /// Size is not a whole number of sectors, or does not fit a FAT32 with clusters of one sector.
    #[error("a FAT32 of {0} bytes: the size must be a multiple of {SECTOR_BYTES} and at most 128 GiB")]
    Size(u64),
    /// Too small to be a FAT32.
    #[error("a FAT of {0} bytes has fewer than {MIN_CLUSTERS} clusters and would not be a FAT32")]
    TooSmall(u64),
    /// The label is not 1 to 11 characters of a kind that needs no code page.
    #[error("FAT label `{0}` must be 1 to 11 upper-case letters, digits, `-` or `_`")]
    Label(String),
    /// A path is not a plain relative path.
    #[error(
        "FAT path `{0}` must be relative, with `/` between names of letters, digits, `-`, `_`, `+` and inner dots"
    )]
    Path(String),
    /// Two paths are the same to FAT, which ignores case, or one is a directory of the other.
    #[error("FAT path `{0}` is given twice, perhaps in another case, or is a directory of another")]
    Duplicate(String),
    /// The files need more room than there is.
    #[error("the files need {needed} FAT clusters of {SECTOR_BYTES} bytes; there are {available}")]
    Full {
        /// Clusters needed.
        needed: u64,
        /// Clusters of the file system.
        available: u64,
    },
    /// The start of the partition does not fit its 32-bit field.
    #[error("a FAT partition that starts at {0} does not fit the format")]
    Start(Lba),
    /// The image could not be written.
    #[error("FAT image: {0}")]
    Io(#[from] io::Error),
}

/// What the file system is, beside its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Size of the file system.
    pub size_bytes: u64,
    /// Volume label; Talos looks for the partition name, but users see this one: `EFI`.
    pub label: String,
    /// Volume serial number, for instance from [`volume_id`].
    pub volume_id: u32,
    /// First sector of the partition, stored as "hidden sectors".
    pub partition_start: Lba,
}

/// A volume serial number that depends on the label only.
pub fn volume_id(label: &str) -> u32 {
    let [a, b, c, d, ..] = Guid::from_label(label).bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// All files of a FAT file system of our own with their sizes in bytes, sorted by path, by the fatfs library. `image` is
/// not changed (the library asks for a writer all the same). For images of others: [`Volume`].
///
/// # Errors
/// Not a FAT file system, or an I/O error.
pub fn list<T: Read + Write + Seek>(image: T) -> io::Result<Vec<(String, u64)>> {
    let mut files = Vec::new();
    walk(&open(image)?.root_dir(), "", &mut files)?;
    files.sort();
    Ok(files)
}

/// The bytes of one file.
///
/// # Errors
/// Not a FAT file system, no such file, or an I/O error.
pub fn read<T: Read + Write + Seek>(image: T, path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(image)?.root_dir().open_file(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn open<T: Read + Write + Seek>(mut image: T) -> io::Result<FileSystem<T>> {
    image.seek(SeekFrom::Start(0))?; // where the library insists on starting
    FileSystem::new(image, FsOptions::new())
}

fn walk<T: ReadWriteSeek>(dir: &Dir<'_, T>, prefix: &str, files: &mut Vec<(String, u64)>) -> io::Result<()> {
    for entry in dir.iter() {
        let entry = entry?;
        let name = entry.file_name();
        let path = format!("{prefix}{name}");
        if entry.is_file() {
            files.push((path, entry.len()));
        } else if entry.is_dir() && name != "." && name != ".." {
            walk(&entry.to_dir(), &format!("{path}/"), files)?;
        }
    }
    Ok(())
}
