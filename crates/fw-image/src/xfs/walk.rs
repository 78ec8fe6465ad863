// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Read-only access: list of files, and content of a file.
//!
//! Knows short-form and block directories, leaf and node directories by their data blocks, and files of
//! up to some twenty extents (no extent tree): what mkfs.xfs makes from a prototype.

use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};

use super::inode::{self, core};
use super::{Superblock, XfsError, be16, be32, be64, read_at};

/// `S_IFMT`, and the two types of interest.
const MODE_TYPE: u16 = 0o170_000;
const MODE_DIRECTORY: u16 = 0o040_000;
const MODE_FILE: u16 = 0o100_000;

/// Data fork formats.
const FORMAT_LOCAL: u8 = 1;
const FORMAT_EXTENTS: u8 = 2;

/// Directory data lies below this offset, index blocks above (`XFS_DIR2_LEAF_OFFSET`).
const DIRECTORY_DATA_END_BYTES: u64 = 1 << 35;
/// Header of a directory block with CRC (`struct xfs_dir3_data_hdr`).
const DIRECTORY_HEADER_BYTES: usize = 64;
/// `XFS_DIR2_DATA_FREE_TAG`: what follows is not an entry.
const FREE_TAG: u16 = 0xffff;
/// Nested deeper, an image is damaged or not ours.
const MAX_DEPTH: usize = 32;
/// More files than a boot partition has.
const MAX_ENTRIES: usize = 100_000;
/// Larger files are not read: a damaged size must not fill the memory.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// A directory of [`MAX_ENTRIES`] long names.
const MAX_DIRECTORY_BYTES: u64 = 64 << 20;
/// All directories together: they may share their blocks.
const MAX_DIRECTORIES_BYTES: u64 = 256 << 20;
/// All paths together: one folder's path is a part of every path below it.
const MAX_PATHS_BYTES: usize = 32 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// Anything else.
    Other,
}

/// A directory entry with its inode's facts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Path without a leading `/`.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u16,
    /// Size.
    pub size_bytes: u64,
    /// Inode number.
    pub inode: u64,
}

/// A contiguous piece of a file, in blocks.
struct Extent {
    offset: u64,
    start: u64,
    count: u64,
    unwritten: bool,
}

/// An xfs image, for reading.
#[derive(Debug)]
pub struct Xfs<R> {
    image: R,
    superblock: Superblock,
}

impl<R: Read + Seek> Xfs<R> {
    /// Opens an image (a partition inside a disk image: see [`Window`](crate::window::Window)).
    ///
    /// # Errors
    /// [`XfsError::NotXfs`].
    pub fn open(mut image: R) -> Result<Xfs<R>, XfsError> {
        let superblock = Superblock::read(&mut image)?;
        Ok(Xfs { image, superblock })
    }

    /// The superblock.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// Everything below the root, sorted by path.
    ///
    /// # Errors
    /// A damaged image, or a layout this reader does not know.
    pub fn list(&mut self) -> Result<Vec<Entry>, XfsError> {
        let (mut entries, mut path_bytes, mut read_bytes) = (Vec::new(), 0, 0);
        let mut seen = HashSet::from([self.superblock.root_inode]);
        let mut todo = vec![(String::new(), self.superblock.root_inode, 0)];
        while let Some((prefix, directory, depth)) = todo.pop() {
            let (names, directory_bytes) = self.directory(directory)?;
            read_bytes += directory_bytes;
            if read_bytes > MAX_DIRECTORIES_BYTES {
                let why = format!("directories of more than {MAX_DIRECTORIES_BYTES} bytes");
                return Err(XfsError::Damaged(why));
            }
            for (name, number) in names {
                path_bytes += prefix.len() + name.len();
                if path_bytes > MAX_PATHS_BYTES {
                    return Err(XfsError::Damaged(format!("paths of more than {MAX_PATHS_BYTES} bytes")));
                }
                let entry = self.entry(format!("{prefix}{name}"), number)?;
                if entry.kind == EntryKind::Directory {
                    // A directory has one name.
                    if depth == MAX_DEPTH || !seen.insert(number) {
                        return Err(XfsError::Damaged(format!("the directory `{}` loops", entry.path)));
                    }
                    todo.push((format!("{}/", entry.path), number, depth + 1));
                }
                entries.push(entry);
                if entries.len() > MAX_ENTRIES {
                    return Err(XfsError::Damaged(format!("more than {MAX_ENTRIES} files")));
                }
            }
        }
        entries.sort();
        Ok(entries)
    }

    /// The bytes of the file at `path`.
    ///
    /// # Errors
    /// [`XfsError::NotFound`], a damaged image, or a layout this reader does not know.
    pub fn read(&mut self, path: &str) -> Result<Vec<u8>, XfsError> {
        let inode = self.file(path)?;
        self.content(&inode)
    }

    /// Where the bytes of the file at `path` lie, as (first byte in the image, length), in the order of the file.
    /// Holes are left out.
    ///
    /// # Errors
    /// As [`Xfs::read`].
    pub fn extents(&mut self, path: &str) -> Result<Vec<(u64, u64)>, XfsError> {
        let inode = self.file(path)?;
        let (sb, size_bytes) = (&self.superblock, be64(&inode, core::SIZE)?);
        let mut places = Vec::new();
        for extent in extents(&inode)?.iter().filter(|e| !e.unwritten) {
            let (start, end) = extent.bytes(sb, size_bytes)?;
            places.push((sb.block_at(extent.start)?, end - start));
        }
        Ok(places)
    }

    /// The inode of the file at `path`.
    fn file(&mut self, path: &str) -> Result<Vec<u8>, XfsError> {
        let not_found = || XfsError::NotFound(path.to_owned());
        let mut number = self.superblock.root_inode;
        for name in path.split('/') {
            let (entries, _) = self.directory(number)?;
            number = entries.into_iter().find(|(n, _)| n == name).ok_or_else(not_found)?.1;
        }
        if self.entry(path.to_owned(), number)?.kind != EntryKind::File {
            return Err(not_found());
        }
        inode::read(&mut self.image, &self.superblock, number)
    }

    fn entry(&mut self, path: String, number: u64) -> Result<Entry, XfsError> {
        let inode = inode::read(&mut self.image, &self.superblock, number)?;
        let mode = be16(&inode, core::MODE)?;
        let kind = match mode & MODE_TYPE {
            MODE_DIRECTORY => EntryKind::Directory,
            MODE_FILE => EntryKind::File,
            _ => EntryKind::Other,
        };
        Ok(Entry {
            path,
            kind,
            mode: mode & !MODE_TYPE,
            size_bytes: be64(&inode, core::SIZE)?,
            inode: number,
        })
    }

    fn content(&mut self, inode: &[u8]) -> Result<Vec<u8>, XfsError> {
        let sb = &self.superblock;
        let size_bytes = be64(inode, core::SIZE)?;
        // A file that is larger than its image would be all holes.
        let image_bytes = self.image.seek(SeekFrom::End(0))?;
        if size_bytes > sb.size_bytes.min(MAX_FILE_BYTES).min(image_bytes) {
            return Err(XfsError::Unsupported(format!("a file of {size_bytes} bytes")));
        }
        let mut content = vec![0; size_bytes as usize];
        for extent in extents(inode)?.iter().filter(|e| !e.unwritten) {
            let (start, end) = extent.bytes(sb, size_bytes)?;
            let piece = read_at(&mut self.image, sb.block_at(extent.start)?, (end - start) as usize)?;
            content[start as usize..end as usize].copy_from_slice(&piece);
        }
        Ok(content)
    }

    /// Names and inode numbers of a directory, without `.` and `..`; and how many bytes were read for them.
    fn directory(&mut self, number: u64) -> Result<(Vec<(String, u64)>, u64), XfsError> {
        let sb = &self.superblock;
        let inode = inode::read(&mut self.image, sb, number)?;
        if be16(&inode, core::MODE)? & MODE_TYPE != MODE_DIRECTORY {
            return Err(XfsError::Damaged(format!("inode {number} is no directory")));
        }
        if inode[core::FORMAT] == FORMAT_LOCAL {
            return Ok((short_form(&inode[core::END..])?, 0));
        }
        let mut entries = Vec::new();
        let mut read_bytes = 0;
        for extent in extents(&inode)?.iter().filter(|e| e.offset << sb.block_log < DIRECTORY_DATA_END_BYTES)
        {
            read_bytes += extent.count << sb.block_log;
            if read_bytes > MAX_DIRECTORY_BYTES {
                return Err(XfsError::Unsupported(format!("a directory of {read_bytes} bytes")));
            }
            let bytes = read_at(
                &mut self.image,
                sb.block_at(extent.start)?,
                (extent.count << sb.block_log) as usize,
            )?;
            for block in bytes.chunks_exact((sb.block_bytes << sb.directory_block_log) as usize) {
                directory_block(block, &mut entries)?;
            }
        }
        entries.retain(|(name, _)| name != "." && name != "..");
        Ok((entries, read_bytes))
    }
}

impl Extent {
    /// The extent's first byte in its file and the one behind its last, both cut at the file's size.
    fn bytes(&self, sb: &Superblock, size_bytes: u64) -> Result<(u64, u64), XfsError> {
        let place = |block: u64| block.checked_mul(sb.block_bytes).map(|at| at.min(size_bytes));
        place(self.offset)
            .zip(place(self.offset + self.count))
            .ok_or_else(|| XfsError::Damaged(format!("an extent at block {} of its file", self.offset)))
    }
}

/// Extents of the data fork: 128 bits each, of 1 (unwritten), 54 (offset), 52 (start), 21 (count) bits.
fn extents(inode: &[u8]) -> Result<Vec<Extent>, XfsError> {
    if inode[core::FORMAT] != FORMAT_EXTENTS {
        return Err(XfsError::Unsupported(format!("data fork format {}", inode[core::FORMAT])));
    }
    let extents: Vec<Extent> = (0..be32(inode, core::EXTENTS)? as usize)
        .map(|i| {
            let at = core::END + 16 * i;
            let bits = u128::from(be64(inode, at)?) << 64 | u128::from(be64(inode, at + 8)?);
            Ok(Extent {
                unwritten: bits >> 127 == 1,
                offset: (bits >> 73) as u64 & ((1 << 54) - 1),
                start: (bits >> 21) as u64 & ((1 << 52) - 1),
                count: bits as u64 & ((1 << 21) - 1),
            })
        })
        .collect::<Result<_, XfsError>>()?;
    // Each byte of a file once: the sum of all pieces is then no more than the file.
    if extents.windows(2).any(|pair| pair[1].offset < pair[0].offset + pair[0].count) {
        return Err(XfsError::Damaged("extents that overlap".to_owned()));
    }
    Ok(extents)
}

/// Entries inside the inode: counts, parent, then length, tag, name, type and number of each.
fn short_form(fork: &[u8]) -> Result<Vec<(String, u64)>, XfsError> {
    let wide = byte(fork, 1)? > 0; // at least one number needs 8 bytes: then all have 8
    let number_bytes = if wide { 8 } else { 4 };
    let mut at = 2 + number_bytes;
    (0..byte(fork, 0)?)
        .map(|_| {
            let name_at = at + 3;
            let number_at = name_at + usize::from(byte(fork, at)?) + 1;
            let name = name(fork, name_at, number_at - 1)?;
            at = number_at + number_bytes;
            let number = if wide { be64(fork, number_at)? } else { u64::from(be32(fork, number_at)?) };
            Ok((name, number))
        })
        .collect()
}

/// Entries of one directory block: number, length, name, type, padding, tag; each a multiple of 8 bytes.
fn directory_block(block: &[u8], entries: &mut Vec<(String, u64)>) -> Result<(), XfsError> {
    let end = match &block[..4] {
        b"XDD3" => block.len(),
        // A block directory has its index at the end: 8 bytes of counts, 8 for each entry before them.
        b"XDB3" => {
            let count = be32(block, block.len() - 8)? as usize;
            block.len().saturating_sub(8 + count.saturating_mul(8))
        }
        other => return Err(XfsError::Damaged(format!("directory block of type {other:02x?}"))),
    };
    let mut at = DIRECTORY_HEADER_BYTES;
    while at < end {
        if be16(block, at)? == FREE_TAG {
            // At least 8, so that a damaged length cannot stop the walk here for ever.
            at += usize::from(be16(block, at + 2)?).max(8);
            continue;
        }
        let length = usize::from(byte(block, at + 8)?);
        entries.push((name(block, at + 9, at + 9 + length)?, be64(block, at)?));
        at += (8 + 1 + length + 1 + 2).next_multiple_of(8);
    }
    Ok(())
}

fn byte(bytes: &[u8], at: usize) -> Result<u8, XfsError> {
    super::array::<1>(bytes, at).map(|[b]| b)
}

fn name(bytes: &[u8], start: usize, end: usize) -> Result<String, XfsError> {
    let name =
        bytes.get(start..end).ok_or_else(|| XfsError::Damaged("a name passes its directory".to_owned()))?;
    Ok(String::from_utf8_lossy(name).into_owned())
}
