// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The tree into sectors: boot sector, allocation tables, directories and files, each file in one piece.

use std::io::{Seek, SeekFrom, Write};

use super::tree::{Directory, ENTRY_BYTES, Node, Target, push_entries, push_short};
use super::{FatError, MIN_CLUSTERS, Spec};
use crate::lba::{Lba, SECTOR_BYTES};

/// Sectors before the first allocation table: the usual number for FAT32.
const RESERVED_SECTORS: u64 = 32;
const TABLES: u64 = 2;
const INFO_SECTOR: u64 = 1;
/// Copies of boot and information sector start here.
const BACKUP_SECTOR: u64 = 6;
/// The first cluster with data, and that of the root directory.
const ROOT_CLUSTER: u32 = 2;
const MEDIA: u8 = 0xF8;
const END_OF_CHAIN: u32 = 0x0FFF_FFFF;
/// Clusters are numbered with 28 bits, the last few of which have meanings.
const MAX_CLUSTERS: u64 = 0x0FFF_FFF5;

/// Sizes that follow from the size of the file system.
struct Geometry {
    sectors: u64,
    table_sectors: u64,
    clusters: u64,
}

impl Geometry {
    fn new(size_bytes: u64) -> Result<Geometry, FatError> {
        let sectors = size_bytes / SECTOR_BYTES;
        if !size_bytes.is_multiple_of(SECTOR_BYTES) || sectors > MAX_CLUSTERS {
            return Err(FatError::Size(size_bytes));
        }
        let too_small = || FatError::TooSmall(size_bytes);
        let room = sectors.checked_sub(RESERVED_SECTORS).ok_or_else(too_small)?;
        // Smallest table with 4 bytes for each cluster and for the two numbers before the first.
        let table_sectors = (4 * (room + 2)).div_ceil(SECTOR_BYTES + 4 * TABLES);
        let clusters = room.saturating_sub(TABLES * table_sectors);
        if clusters < u64::from(MIN_CLUSTERS) {
            return Err(too_small());
        }
        Ok(Geometry { sectors, table_sectors, clusters })
    }

    /// First byte of a cluster.
    fn cluster_at(&self, cluster: u32) -> u64 {
        Lba(RESERVED_SECTORS + TABLES * self.table_sectors + u64::from(cluster - ROOT_CLUSTER)).bytes()
    }
}

/// Content that gets a run of clusters.
struct Run<'a> {
    cluster: u32,
    bytes: std::borrow::Cow<'a, [u8]>,
}

/// Makes the file system in `image`, whose first `size_bytes` bytes must be zero (a fresh sparse file).
/// The order of `files` does not matter.
///
/// # Errors
/// See [`FatError`]. Only after [`FatError::Io`] has anything been written.
pub fn build<T: Write + Seek>(image: &mut T, spec: &Spec, files: &[(&str, &[u8])]) -> Result<(), FatError> {
    let geometry = Geometry::new(spec.size_bytes)?;
    let label = label_bytes(&spec.label)?;
    let hidden_sectors =
        u32::try_from(spec.partition_start.0).map_err(|_| FatError::Start(spec.partition_start))?;
    let mut root = Directory::default();
    for (path, bytes) in files {
        root.add(path, bytes)?;
    }
    let needed = directory_clusters(&root, 1) + clusters_below(&root);
    if needed > geometry.clusters {
        return Err(FatError::Full { needed, available: geometry.clusters });
    }

    let mut runs = Vec::new();
    let mut next = ROOT_CLUSTER;
    place(&root, Place::Root(&label), &mut next, &mut runs);
    let boot = boot_sector(&geometry, spec, &label, hidden_sectors);
    let info = info_sector(geometry.clusters - needed, next);
    for start in [0, BACKUP_SECTOR] {
        write_at(image, Lba(start).bytes(), &boot)?;
        write_at(image, Lba(start + INFO_SECTOR).bytes(), &info)?;
    }
    let table = allocation_table(&runs);
    for i in 0..TABLES {
        write_at(image, Lba(RESERVED_SECTORS + i * geometry.table_sectors).bytes(), &table)?;
    }
    for run in &runs {
        write_at(image, geometry.cluster_at(run.cluster), &run.bytes)?;
    }
    Ok(image.flush()?)
}

fn write_at<T: Write + Seek>(image: &mut T, at_bytes: u64, bytes: &[u8]) -> Result<(), FatError> {
    image.seek(SeekFrom::Start(at_bytes))?;
    Ok(image.write_all(bytes)?)
}

fn label_bytes(label: &str) -> Result<[u8; 11], FatError> {
    let allowed = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    if label.is_empty() || label.len() > 11 || !label.bytes().all(allowed) {
        return Err(FatError::Label(label.to_owned()));
    }
    let mut bytes = [b' '; 11];
    bytes[..label.len()].copy_from_slice(label.as_bytes());
    Ok(bytes)
}

fn clusters_for(bytes: u64) -> u64 {
    bytes.div_ceil(SECTOR_BYTES)
}

/// Clusters of a directory itself; `extra_entries` are its label, or its `.` and `..`.
fn directory_clusters(directory: &Directory<'_>, extra_entries: usize) -> u64 {
    clusters_for(((directory.entry_count() + extra_entries) * ENTRY_BYTES) as u64).max(1)
}

fn clusters_below(directory: &Directory<'_>) -> u64 {
    let of_node = |node: &Node<'_>| match node {
        Node::File(bytes) => clusters_for(bytes.len() as u64),
        Node::Directory(child) => directory_clusters(child, 2) + clusters_below(child),
    };
    directory.children.values().map(|(_, node)| of_node(node)).sum()
}

/// Where a directory hangs.
enum Place<'a> {
    Root(&'a [u8; 11]),
    /// Cluster of the parent; 0 stands for the root in a `..` entry.
    Below(u32),
}

/// Gives clusters to a directory and everything below it, and collects what goes there. All fit: the
/// caller has counted.
fn place<'a>(directory: &Directory<'a>, at: Place<'_>, next: &mut u32, runs: &mut Vec<Run<'a>>) -> u32 {
    let own = *next;
    let mut entries = Vec::new();
    let parent_of_children = match at {
        Place::Root(label) => {
            *next += directory_clusters(directory, 1) as u32;
            push_short(&mut entries, label, Target::Volume);
            0
        }
        Place::Below(parent) => {
            *next += directory_clusters(directory, 2) as u32;
            push_short(&mut entries, b".          ", Target::Directory { cluster: own });
            push_short(&mut entries, b"..         ", Target::Directory { cluster: parent });
            own
        }
    };
    let index = runs.len();
    runs.push(Run { cluster: own, bytes: Vec::new().into() }); // filled in when the children are placed
    for ((name, short), (_, node)) in directory.short_names().iter().zip(directory.children.values()) {
        let target = match node {
            Node::Directory(child) => {
                Target::Directory { cluster: place(child, Place::Below(parent_of_children), next, runs) }
            }
            Node::File([]) => Target::File { cluster: 0, size_bytes: 0 },
            Node::File(bytes) => {
                let cluster = *next;
                runs.push(Run { cluster, bytes: (*bytes).into() });
                *next += clusters_for(bytes.len() as u64) as u32;
                Target::File { cluster, size_bytes: bytes.len() as u32 }
            }
        };
        push_entries(&mut entries, name, short, target);
    }
    runs[index].bytes = entries.into();
    own
}

fn allocation_table(runs: &[Run<'_>]) -> Vec<u8> {
    // The first two numbers: the media byte, and flags that say "cleanly unmounted, no errors".
    let mut table = vec![0x0FFF_FF00 | u32::from(MEDIA), END_OF_CHAIN];
    let mut sorted: Vec<&Run<'_>> = runs.iter().collect();
    sorted.sort_by_key(|run| run.cluster);
    for run in sorted {
        let count = clusters_for(run.bytes.len() as u64).max(1) as u32;
        table.extend((1..count).map(|i| run.cluster + i));
        table.push(END_OF_CHAIN);
    }
    table.iter().flat_map(|entry| entry.to_le_bytes()).collect()
}

fn boot_sector(geometry: &Geometry, spec: &Spec, label: &[u8; 11], hidden_sectors: u32) -> Vec<u8> {
    let mut b = vec![0; SECTOR_BYTES as usize];
    let mut put = |at: usize, bytes: &[u8]| b[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0xEB, 0x58, 0x90]); // jump to byte 90
    put(3, b"fw-image");
    put(11, &(SECTOR_BYTES as u16).to_le_bytes());
    put(13, &[1]); // sectors per cluster
    put(14, &(RESERVED_SECTORS as u16).to_le_bytes());
    put(16, &[TABLES as u8]);
    put(21, &[MEDIA]);
    put(24, &63_u16.to_le_bytes()); // sectors per track and heads: of BIOS calls only
    put(26, &255_u16.to_le_bytes());
    put(28, &hidden_sectors.to_le_bytes());
    put(32, &(geometry.sectors as u32).to_le_bytes());
    put(36, &(geometry.table_sectors as u32).to_le_bytes());
    put(44, &ROOT_CLUSTER.to_le_bytes());
    put(48, &(INFO_SECTOR as u16).to_le_bytes());
    put(50, &(BACKUP_SECTOR as u16).to_le_bytes());
    put(64, &[0x80, 0, 0x29]); // fixed disk; the three fields below are there
    put(67, &spec.volume_id.to_le_bytes());
    put(71, label);
    put(82, b"FAT32   ");
    put(90, &[0xF4, 0xEB, 0xFD]); // x86: halt for ever
    put(510, &[0x55, 0xAA]);
    b
}

fn info_sector(free_clusters: u64, next_free: u32) -> Vec<u8> {
    let mut b = vec![0; SECTOR_BYTES as usize];
    let mut put = |at: usize, value: u32| b[at..at + 4].copy_from_slice(&value.to_le_bytes());
    put(0, 0x4161_5252);
    put(484, 0x6141_7272);
    put(488, free_clusters as u32);
    put(492, next_free);
    put(508, 0xAA55_0000);
    b
}
