// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads squashfs 4.0, the root file system inside an initramfs and of a system extension.
//!
//! Structures: the kernel's fs/squashfs/squashfs_fs.h. All numbers are little-endian. Everything that is unpacked counts
//! against a budget, every directory is entered once: a hostile image ends in an error. Must not follow symbolic
//! links, must not know owners or extended attributes.

mod data;
mod meta;

use std::collections::HashSet;
use std::io;

use crate::bytes::{le32, le64};
use meta::{Cursor, Table};

/// More files than a root file system has.
pub const MAX_ENTRIES: usize = 500_000;
/// More blocks than all files of a root file system have: 512 GiB of the usual size.
const MAX_BLOCKS: usize = 4 << 20;
/// Paths and link targets, all together: those of a root file system of half a million files.
const MAX_TEXT_BYTES: usize = 64 << 20;
/// Nested deeper, an image is damaged.
const MAX_DEPTH: usize = 64;
/// The largest block that the format allows (`SQUASHFS_FILE_MAX_SIZE`).
const MAX_BLOCK_BYTES: u32 = 1 << 20;

const MAGIC: &[u8] = b"hsqs";
const SUPERBLOCK_BYTES: usize = 96;
/// A fragment index that stands for none.
const NO_FRAGMENT: u32 = u32::MAX;

/// Why a squashfs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The first bytes are not those of a squashfs 4.0.
    #[error("not a squashfs 4.0: {0}")]
    NotSquashfs(String),
    /// A structure is not as the format says.
    #[error("squashfs is damaged: {0}")]
    Damaged(String),
    /// Packed in a way that is not read here.
    #[error("squashfs is packed with {0}, which is not read here")]
    Compression(&'static str),
    /// A block does not unpack.
    #[error("squashfs block at {at:#x} does not unpack: {source}")]
    Block {
        /// From the start of the image.
        at: u64,
        /// The cause.
        source: io::Error,
    },
    /// Unpacking was stopped.
    #[error("squashfs has more than {0} bytes of names and inodes")]
    TooLarge(usize),
    /// The file is larger than the caller takes.
    #[error("`{path}` has {size_bytes} bytes, more than the {limit_bytes} that are read")]
    FileTooLarge {
        /// The file.
        path: String,
        /// Its size.
        size_bytes: u64,
        /// The caller's limit.
        limit_bytes: u64,
    },
}

/// How blocks are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// zlib.
    Gzip,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link with its target.
    Link(String),
    /// A device, pipe or socket.
    Other,
}

/// A directory entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path without a leading `/`.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u16,
    /// Size of a file.
    pub size_bytes: u64,
    content: Content,
}

/// Where a file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Content {
    start: u64,
    blocks: Vec<u32>,
    fragment: Option<(u32, u32)>,
}

/// A squashfs in memory.
#[derive(Debug)]
pub struct Squashfs<'a> {
    bytes: &'a [u8],
    compression: Compression,
    block_bytes: u32,
    root: u64,
    inodes: Table<'a>,
    directories: Table<'a>,
    fragments_at: u64,
    fragment_count: u32,
    fragment: Option<(u32, Vec<u8>)>,
    listed_blocks: usize,
}

impl<'a> Squashfs<'a> {
    /// Reads the superblock.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(bytes: &'a [u8]) -> Result<Squashfs<'a>, Error> {
        let not = |why: &str| Error::NotSquashfs(why.to_owned());
        if !bytes.starts_with(MAGIC) || bytes.len() < SUPERBLOCK_BYTES {
            return Err(not("no `hsqs` at its start"));
        }
        let word = |at: usize| le32(bytes, at).ok_or_else(|| not("it ends early"));
        let long = |at: usize| le64(bytes, at).ok_or_else(|| not("it ends early"));
        let (block_bytes, version) = (word(12)?, word(28)?);
        if version != 4 || !block_bytes.is_power_of_two() || !(4096..=MAX_BLOCK_BYTES).contains(&block_bytes)
        {
            return Err(not(&format!("version {version:#x} with blocks of {block_bytes} bytes")));
        }
        let compression = match word(20)? & 0xffff {
            1 => Compression::Gzip,
            2 => return Err(Error::Compression("lzma")),
            3 => return Err(Error::Compression("lzo")),
            4 => Compression::Xz,
            5 => return Err(Error::Compression("lz4")),
            6 => Compression::Zstd,
            _ => return Err(Error::Compression("an unknown method")),
        };
        let used = long(40)?;
        let own = usize::try_from(used).ok().and_then(|end| bytes.get(..end));
        let bytes = own.ok_or_else(|| {
            Error::Damaged(format!("it has {used} bytes, of which only {} are there", bytes.len()))
        })?;
        Ok(Squashfs {
            bytes,
            compression,
            block_bytes,
            root: long(32)?,
            inodes: Table::new(bytes, compression, long(64)?),
            directories: Table::new(bytes, compression, long(72)?),
            fragments_at: long(80)?,
            fragment_count: word(16)?,
            fragment: None,
            listed_blocks: 0,
        })
    }

    /// How it is packed.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Bytes of the image that the superblock accounts for.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Everything below the root, sorted by path.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn list(&mut self) -> Result<Vec<Entry>, Error> {
        self.listed_blocks = 0;
        let (mut entries, mut text_bytes) = (Vec::new(), 0);
        let mut seen = HashSet::from([self.root]);
        let mut todo = vec![(String::new(), self.root, 0)];
        while let Some((prefix, reference, depth)) = todo.pop() {
            for (name, child) in self.directory(reference)? {
                let entry = self.inode(format!("{prefix}{name}"), child)?;
                // One inode may have every name, and one folder every file below it.
                let target_bytes = if let Kind::Link(target) = &entry.kind { target.len() } else { 0 };
                text_bytes += entry.path.len() + target_bytes;
                if text_bytes > MAX_TEXT_BYTES {
                    return Err(Error::TooLarge(MAX_TEXT_BYTES));
                }
                if entry.kind == Kind::Directory {
                    if depth == MAX_DEPTH || !seen.insert(child) {
                        return Err(Error::Damaged(format!("the directory `{}` loops", entry.path)));
                    }
                    todo.push((format!("{}/", entry.path), child, depth + 1));
                }
                entries.push(entry);
                if entries.len() > MAX_ENTRIES {
                    return Err(Error::Damaged(format!("more than {MAX_ENTRIES} files")));
                }
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    fn inode(&mut self, path: String, reference: u64) -> Result<Entry, Error> {
        let mut at = Cursor::at(&mut self.inodes, reference);
        let (kind, mode) = (at.u16()?, at.u16()? & 0o7777);
        at.skip(12)?;
        let mut entry = Entry { path, kind: Kind::Other, mode, size_bytes: 0, content: Content::default() };
        match kind {
            1 | 8 => entry.kind = Kind::Directory,
            2 | 9 => {
                entry.kind = Kind::File;
                let (start, size, fragment) = if kind == 2 {
                    let start = u64::from(at.u32()?);
                    let fragment = (at.u32()?, at.u32()?);
                    (start, u64::from(at.u32()?), fragment)
                } else {
                    let (start, size) = (at.u64()?, at.u64()?);
                    at.skip(12)?; // bytes of holes, number of links
                    let fragment = (at.u32()?, at.u32()?);
                    at.skip(4)?;
                    (start, size, fragment)
                };
                entry.size_bytes = size;
                entry.content.start = start;
                let whole = size / u64::from(self.block_bytes);
                let rest = size % u64::from(self.block_bytes);
                entry.content.fragment = (fragment.0 != NO_FRAGMENT).then_some(fragment);
                let count = whole + u64::from(rest > 0 && entry.content.fragment.is_none());
                // The inode table's budget ends a claim of 2^64 bytes, this one many such claims.
                for _ in 0..count {
                    self.listed_blocks += 1;
                    if self.listed_blocks > MAX_BLOCKS {
                        return Err(Error::Damaged(format!("files of more than {MAX_BLOCKS} blocks")));
                    }
                    entry.content.blocks.push(at.u32()?);
                }
            }
            3 | 10 => {
                at.skip(4)?;
                let length = at.u32()? as usize;
                if length > 65_536 {
                    return Err(Error::Damaged(format!("`{}` links to {length} bytes", entry.path)));
                }
                entry.kind = Kind::Link(String::from_utf8_lossy(&at.bytes(length)?).into_owned());
            }
            4..=7 | 11..=14 => {}
            other => return Err(Error::Damaged(format!("an inode of type {other}"))),
        }
        Ok(entry)
    }

    /// Names and inode references of a directory.
    fn directory(&mut self, reference: u64) -> Result<Vec<(String, u64)>, Error> {
        let mut at = Cursor::at(&mut self.inodes, reference);
        let kind = at.u16()?;
        at.skip(14)?;
        let (block, offset, size) = match kind {
            1 => {
                let block = at.u32()?;
                at.skip(4)?;
                let size = u32::from(at.u16()?);
                (block, at.u16()?, size)
            }
            8 => {
                at.skip(4)?;
                let (size, block) = (at.u32()?, at.u32()?);
                at.skip(4)?; // parent
                at.skip(2)?; // number of index entries
                (block, at.u16()?, size)
            }
            other => return Err(Error::Damaged(format!("an inode of type {other} as a directory"))),
        };
        // The size counts three bytes for `.` and `..`, which are not stored.
        let mut left = size.saturating_sub(3) as usize;
        let mut at = Cursor::at(&mut self.directories, u64::from(block) << 16 | u64::from(offset));
        let mut entries = Vec::new();
        while left >= 12 {
            let (count, start) = (at.u32()?, at.u32()?);
            at.skip(4)?;
            left -= 12;
            if count >= 256 {
                return Err(Error::Damaged(format!("{count} names behind one directory header")));
            }
            for _ in 0..=count {
                let offset = at.u16()?;
                at.skip(4)?; // inode number, type
                let length = usize::from(at.u16()?) + 1;
                if length > 256 || left < 8 + length {
                    return Err(Error::Damaged("a name passes its directory".to_owned()));
                }
                let name = String::from_utf8_lossy(&at.bytes(length)?).into_owned();
                if name.contains('/') || name == "." || name == ".." {
                    return Err(Error::Damaged(format!("a file is called `{}`", name.escape_debug())));
                }
                left -= 8 + length;
                entries.push((name, u64::from(start) << 16 | u64::from(offset)));
            }
            if entries.len() > MAX_ENTRIES {
                return Err(Error::Damaged(format!("more than {MAX_ENTRIES} files")));
            }
        }
        Ok(entries)
    }
}

/// Whether bytes begin as a squashfs does.
pub fn is_squashfs(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}
