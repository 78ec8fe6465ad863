// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads FAT12, FAT16 and FAT32 that anybody made, damaged and hostile ones among them.
//!
//! Format: Microsoft's FAT specification 1.03. Every length is held against the image, every chain against the number
//! of clusters, every tree against [`MAX_ENTRIES`] and [`MAX_DEPTH`]: reading ends, in bounded memory, with files or
//! an error. Must not write and must not trust the allocation table's second copy.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};

/// More entries than any EFI partition or card has.
pub const MAX_ENTRIES: usize = 100_000;
/// Nested deeper, an image is damaged.
pub const MAX_DEPTH: usize = 32;
/// A table of 32 MiB is one of eight million clusters.
const MAX_TABLE_BYTES: u64 = 32 << 20;
/// A directory has at most 65,536 entries of 32 bytes.
const MAX_DIRECTORY_BYTES: u64 = 2 << 20;
/// All directories together: chains may share their clusters.
const MAX_DIRECTORIES_BYTES: u64 = 64 << 20;
/// All paths together: one folder's path is a part of every path below it.
const MAX_PATHS_BYTES: usize = 32 << 20;

const ENTRY_BYTES: usize = 32;
const ATTRIBUTE_VOLUME: u8 = 0x08;
const ATTRIBUTE_DIRECTORY: u8 = 0x10;
const ATTRIBUTE_LONG_NAME: u8 = 0x0f;

/// Why a FAT cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The image could not be read.
    #[error("FAT image: {0}")]
    Io(#[from] io::Error),
    /// The first sector is not one of a FAT.
    #[error("not a FAT file system: {0}")]
    NotFat(String),
    /// A structure is not as the format says.
    #[error("FAT file system is damaged: {0}")]
    Damaged(String),
    /// No such file.
    #[error("FAT file system has no file `{0}`")]
    NotFound(String),
    /// Larger than the caller takes.
    #[error("`{path}` has {size_bytes} bytes, more than the {limit_bytes} that are read")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        size_bytes: u64,
        /// The caller's limit.
        limit_bytes: u64,
    },
}

/// Width of the allocation table's entries, which the number of clusters decides (FAT specification 1.03, "FAT type
/// determination").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// 12 bits.
    Fat12,
    /// 16 bits.
    Fat16,
    /// 32 bits, of which 28 count.
    Fat32,
}

/// A file or directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Path without a leading `/`, names as they are stored.
    pub path: String,
    /// Whether it is a directory.
    pub directory: bool,
    /// Size in bytes; 0 for directories.
    pub size_bytes: u64,
    first_cluster: u32,
}

/// A FAT file system, for reading.
#[derive(Debug)]
pub struct Volume<R> {
    image: R,
    width: Width,
    cluster_bytes: u64,
    clusters: u32,
    data_at: u64,
    root: Root,
    table: Vec<u8>,
    size_bytes: u64,
    label: String,
}

#[derive(Debug, Clone, Copy)]
enum Root {
    /// FAT12 and FAT16: an array between table and clusters.
    Array { at: u64, length_bytes: u64 },
    /// FAT32: a chain.
    Chain(u32),
}

impl<R: Read + Seek> Volume<R> {
    /// Reads the first sector and the first copy of the allocation table.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn open(mut image: R) -> Result<Volume<R>, ReadError> {
        let image_bytes = image.seek(SeekFrom::End(0))?;
        let boot = read_at(&mut image, 0, 512)?;
        let not = |why: String| Err(ReadError::NotFat(why));
        if boot[510..512] != [0x55, 0xaa] {
            return not("no 55 AA at the end of its first sector".to_owned());
        }
        let (sector, per_cluster) = (u64::from(le16(&boot, 11)), u64::from(boot[13]));
        if ![512, 1024, 2048, 4096].contains(&sector) || !per_cluster.is_power_of_two() {
            return not(format!("sectors of {sector} bytes, {per_cluster} in a cluster"));
        }
        let (reserved, copies) = (u64::from(le16(&boot, 14)), u64::from(boot[16]));
        let root_entries = u64::from(le16(&boot, 17));
        let total = match u64::from(le16(&boot, 19)) {
            0 => u64::from(le32(&boot, 32)),
            small => small,
        };
        let table_sectors = match u64::from(le16(&boot, 22)) {
            0 => u64::from(le32(&boot, 36)),
            small => small,
        };
        if reserved == 0 || !(1..=2).contains(&copies) || table_sectors == 0 || total == 0 {
            return not(format!(
                "{copies} tables of {table_sectors} sectors after {reserved}, {total} in all"
            ));
        }
        let root_sectors = (root_entries * ENTRY_BYTES as u64).div_ceil(sector);
        let data_sector = reserved + copies * table_sectors + root_sectors;
        if data_sector >= total {
            return not(format!("no room for files in {total} sectors"));
        }
        if total * sector > image_bytes {
            return Err(ReadError::Damaged(format!(
                "it has {} bytes, of which only {image_bytes} are there",
                total * sector
            )));
        }
        let clusters = ((total - data_sector) / per_cluster) as u32;
        let width = match clusters {
            0..4085 => Width::Fat12,
            4085..65_525 => Width::Fat16,
            _ => Width::Fat32,
        };
        // Chains end at clusters that the table does not have, so a long table is read no further.
        let need = match width {
            Width::Fat12 => (u64::from(clusters) + 2) * 3 / 2 + 1,
            Width::Fat16 => (u64::from(clusters) + 2) * 2,
            Width::Fat32 => (u64::from(clusters) + 2) * 4,
        };
        if need > table_sectors * sector || need > MAX_TABLE_BYTES {
            return Err(ReadError::Damaged(format!("{clusters} clusters need a table of {need} bytes")));
        }
        let table = read_at(&mut image, reserved * sector, need as usize)?;
        let root = match width {
            Width::Fat32 => Root::Chain(le32(&boot, 44)),
            _ => Root::Array {
                at: (reserved + copies * table_sectors) * sector,
                length_bytes: root_entries * ENTRY_BYTES as u64,
            },
        };
        let label_at = if width == Width::Fat32 { 71 } else { 43 };
        let label = String::from_utf8_lossy(&boot[label_at..label_at + 11]).trim_end().to_owned();
        Ok(Volume {
            image,
            width,
            cluster_bytes: per_cluster * sector,
            clusters,
            data_at: data_sector * sector,
            root,
            table,
            size_bytes: total * sector,
            label,
        })
    }

    /// The width of the table's entries.
    pub fn width(&self) -> Width {
        self.width
    }

    /// The label in the first sector.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Size of the file system.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Everything below the root, sorted by path.
    ///
    /// # Errors
    /// See [`ReadError`].
    pub fn list(&mut self) -> Result<Vec<Entry>, ReadError> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        let root = match self.root {
            Root::Array { at, length_bytes } => {
                read_at(&mut self.image, at, length_bytes.min(MAX_DIRECTORY_BYTES) as usize)?
            }
            Root::Chain(first) => {
                seen.insert(first);
                self.directory(first)?
            }
        };
        let (mut read_bytes, mut path_bytes) = (root.len() as u64, 0);
        let mut todo = vec![(String::new(), root, 0)];
        while let Some((prefix, bytes, depth)) = todo.pop() {
            for entry in parse(&bytes, &prefix, MAX_PATHS_BYTES - path_bytes)? {
                if entries.len() == MAX_ENTRIES {
                    return Err(ReadError::Damaged(format!("more than {MAX_ENTRIES} files")));
                }
                path_bytes += entry.path.len();
                if entry.directory {
                    if depth == MAX_DEPTH || !seen.insert(entry.first_cluster) {
                        return Err(ReadError::Damaged(format!("the directory `{}` loops", entry.path)));
                    }
                    let bytes = self.directory(entry.first_cluster)?;
                    read_bytes += bytes.len() as u64;
                    if read_bytes > MAX_DIRECTORIES_BYTES {
                        let why = format!("directories of more than {MAX_DIRECTORIES_BYTES} bytes");
                        return Err(ReadError::Damaged(why));
                    }
                    todo.push((format!("{}/", entry.path), bytes, depth + 1));
                }
                entries.push(entry);
            }
        }
        entries.sort();
        Ok(entries)
    }

    /// The bytes of a file of [`Volume::list`].
    ///
    /// # Errors
    /// See [`ReadError`]; larger than `limit_bytes` is one.
    pub fn read(&mut self, entry: &Entry, limit_bytes: u64) -> Result<Vec<u8>, ReadError> {
        if entry.size_bytes > limit_bytes {
            let (path, size_bytes) = (entry.path.clone(), entry.size_bytes);
            return Err(ReadError::TooLarge { path, size_bytes, limit_bytes });
        }
        let mut content = Vec::new();
        for (at, length_bytes) in self.extents(entry)? {
            content.extend(read_at(&mut self.image, at, length_bytes as usize)?);
        }
        Ok(content)
    }

    /// Where a file's bytes lie, as (first byte in the image, length), in the order of the file.
    ///
    /// # Errors
    /// Its chain is damaged or shorter than the file.
    pub fn extents(&self, entry: &Entry) -> Result<Vec<(u64, u64)>, ReadError> {
        let mut extents: Vec<(u64, u64)> = Vec::new();
        let mut left = entry.size_bytes;
        let mut cluster = entry.first_cluster;
        // More clusters than there are: a chain that loops would end here.
        for _ in 0..=self.clusters {
            if left == 0 {
                return Ok(extents);
            }
            let at = self.cluster_at(cluster)?;
            let take = left.min(self.cluster_bytes);
            match extents.last_mut() {
                Some((start, length)) if *start + *length == at => *length += take,
                _ => extents.push((at, take)),
            }
            left -= take;
            cluster = self.next(cluster)?;
        }
        Err(ReadError::Damaged(format!("the chain of `{}` loops", entry.path)))
    }

    fn directory(&mut self, first: u32) -> Result<Vec<u8>, ReadError> {
        let (mut bytes, mut cluster) = (Vec::new(), first);
        while self.is_cluster(cluster) {
            if bytes.len() as u64 >= MAX_DIRECTORY_BYTES {
                return Err(ReadError::Damaged("a directory has no end".to_owned()));
            }
            let at = self.cluster_at(cluster)?;
            bytes.extend(read_at(&mut self.image, at, self.cluster_bytes as usize)?);
            cluster = self.next(cluster)?;
        }
        if bytes.is_empty() {
            return Err(ReadError::Damaged(format!("a directory begins at cluster {first}")));
        }
        Ok(bytes)
    }

    fn is_cluster(&self, cluster: u32) -> bool {
        cluster >= 2 && cluster - 2 < self.clusters
    }

    fn cluster_at(&self, cluster: u32) -> Result<u64, ReadError> {
        if !self.is_cluster(cluster) {
            return Err(ReadError::Damaged(format!("cluster {cluster} does not exist")));
        }
        Ok(self.data_at + u64::from(cluster - 2) * self.cluster_bytes)
    }

    /// The cluster after this one; a value that is no cluster ends the chain.
    fn next(&self, cluster: u32) -> Result<u32, ReadError> {
        let index = cluster as usize;
        let short = || ReadError::Damaged(format!("cluster {cluster} lies past the table"));
        let word = |at: usize, len: usize| self.table.get(at..at + len).ok_or_else(short);
        Ok(match self.width {
            Width::Fat12 => {
                let pair = le16(word(index + index / 2, 2)?, 0);
                u32::from(if index.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 })
            }
            Width::Fat16 => u32::from(le16(word(index * 2, 2)?, 0)),
            Width::Fat32 => le32(word(index * 4, 4)?, 0) & 0x0fff_ffff,
        })
    }
}

/// The entries of a directory, without volume labels, `.` and `..`. Their paths may have `left_bytes`.
fn parse(bytes: &[u8], prefix: &str, mut left_bytes: usize) -> Result<Vec<Entry>, ReadError> {
    let mut entries = Vec::new();
    // Pieces of a long name come before its entry, the last piece first.
    let mut long: Vec<u16> = Vec::new();
    for raw in bytes.chunks_exact(ENTRY_BYTES) {
        match raw[0] {
            0 => break,
            0xe5 => {
                long.clear();
                continue;
            }
            _ => {}
        }
        if raw[11] & 0x3f == ATTRIBUTE_LONG_NAME {
            let units = [&raw[1..11], &raw[14..26], &raw[28..32]].concat();
            let mut piece: Vec<u16> =
                units.as_chunks::<2>().0.iter().map(|u| u16::from_le_bytes(*u)).collect();
            piece.extend(&long);
            // 20 pieces of 13 units are the longest name.
            piece.truncate(260);
            long = piece;
            continue;
        }
        let name = name_of(raw, &std::mem::take(&mut long));
        if raw[11] & ATTRIBUTE_VOLUME != 0 || name == "." || name == ".." {
            continue;
        }
        if name.is_empty() || name.contains(['/', '\0']) {
            return Err(ReadError::Damaged(format!("a name `{}` in `{prefix}`", name.escape_debug())));
        }
        let more = || ReadError::Damaged(format!("paths of more than {MAX_PATHS_BYTES} bytes"));
        left_bytes = left_bytes.checked_sub(prefix.len() + name.len()).ok_or_else(more)?;
        let directory = raw[11] & ATTRIBUTE_DIRECTORY != 0;
        entries.push(Entry {
            path: format!("{prefix}{name}"),
            directory,
            size_bytes: if directory { 0 } else { u64::from(le32(raw, 28)) },
            first_cluster: u32::from(le16(raw, 20)) << 16 | u32::from(le16(raw, 26)),
        });
    }
    Ok(entries)
}

fn name_of(raw: &[u8], long: &[u16]) -> String {
    if !long.is_empty() {
        let units = long.iter().copied().take_while(|u| *u != 0);
        return char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let (base, extension) = (text(&raw[..8]), text(&raw[8..11]));
    // Bits 3 and 4 of byte 12: base and extension in lower case, as Windows NT and Linux write them.
    let lower = |s: String, bit: u8| if raw[12] & bit != 0 { s.to_lowercase() } else { s };
    let (base, extension) = (lower(base, 8), lower(extension, 16));
    if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

fn read_at<R: Read + Seek>(image: &mut R, at_bytes: u64, length_bytes: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length_bytes];
    image.seek(SeekFrom::Start(at_bytes))?;
    image.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// `at` is inside by construction: a boot sector of 512 bytes, an entry of 32, a word that was cut out.
fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from(le16(bytes, at)) | u32::from(le16(bytes, at + 2)) << 16
}
