// SPDX-License-Identifier: Apache-2.0 OR MIT
//! GUID partition table as Talos v1.10 writes it on a disk with an overlay offset.
//!
//! Facts: talos-contracts 3.2 (Talos's own rules) and UEFI 2.10, chapter 5. Whoever builds a table
//! gives the GUIDs; nothing here draws random numbers or knows what a partition is for.

mod read;
mod write;

pub use read::{CopyError, Header, Image, ProtectiveMbr, TableCopy};

use crate::guid::Guid;
use crate::lba::{Lba, MIB, SECTOR_BYTES};

/// Sectors of 1 MiB: Talos aligns the first usable LBA and every partition to it.
pub const ALIGNMENT_SECTORS: u64 = MIB / SECTOR_BYTES;
/// Number of entries in a table.
pub const ENTRY_COUNT: usize = 128;
/// Bytes of one entry.
pub const ENTRY_BYTES: usize = 128;
/// Sectors of an entry array.
pub const ENTRY_SECTORS: u64 = (ENTRY_COUNT * ENTRY_BYTES) as u64 / SECTOR_BYTES;
/// Attribute bit 2, "legacy BIOS bootable", the only one Talos sets (on BIOS).
pub const ATTRIBUTE_LEGACY_BIOS_BOOTABLE: u64 = 1 << 2;

const SIGNATURE: &[u8; 8] = b"EFI PART";
const REVISION: u32 = 0x0001_0000;
const HEADER_BYTES: usize = 92;
/// UTF-16 units of a name (UEFI 2.10, table 5.6).
const NAME_UNITS: usize = 36;

/// Why a table cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GptError {
    /// There is no room for both copies and one aligned partition.
    #[error(
        "a disk of {disk_sectors} sectors with a table offset of {offset_sectors} sectors has no usable sector"
    )]
    DiskTooSmall {
        /// Size of the disk in sectors.
        disk_sectors: u64,
        /// Offset of the primary entry array in sectors.
        offset_sectors: u64,
    },
    /// More than [`ENTRY_COUNT`] partitions.
    #[error("{0} partitions; a table has room for {ENTRY_COUNT}")]
    TooMany(usize),
    /// The name does not fit its 36 UTF-16 units, or is empty.
    #[error("partition name `{0}` must have 1 to 36 UTF-16 units")]
    Name(String),
    /// Two partitions have one name (Talos finds partitions by name) or one GUID.
    #[error("partition `{name}`: its {what} is used twice")]
    Duplicate {
        /// Name of the second partition.
        name: String,
        /// `name` or `GUID`.
        what: &'static str,
    },
    /// The type is the nil GUID, which marks an unused entry.
    #[error("partition `{0}` has the nil GUID as its type")]
    NilType(String),
    /// The partition has no sector.
    #[error("partition `{0}` is empty")]
    Empty(String),
    /// The partition reaches outside the usable range.
    #[error(
        "partition `{name}` ({first} to {last}) is outside the usable range ({first_usable} to {last_usable})"
    )]
    OutsideUsable {
        /// Name of the partition.
        name: String,
        /// Its first sector.
        first: Lba,
        /// Its last sector.
        last: Lba,
        /// First usable sector of the disk.
        first_usable: Lba,
        /// Last usable sector of the disk.
        last_usable: Lba,
    },
    /// Two partitions share sectors.
    #[error("partitions `{a}` and `{b}` overlap at {at}")]
    Overlap {
        /// The one that starts first.
        a: String,
        /// The other.
        b: String,
        /// First shared sector.
        at: Lba,
    },
}

/// Where the parts of a table lie on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    disk_sectors: u64,
    offset_sectors: u64,
}

impl Geometry {
    /// A geometry with at least one usable sector: size of the disk, and the overlay's
    /// `partitionOptions.offset`, which is the number of sectors to skip before the primary entry array.
    ///
    /// # Errors
    /// [`GptError::DiskTooSmall`].
    pub fn new(disk_sectors: u64, offset_sectors: u64) -> Result<Geometry, GptError> {
        let error = GptError::DiskTooSmall { disk_sectors, offset_sectors };
        let geometry = Geometry { disk_sectors, offset_sectors };
        let room_for_backup = disk_sectors > ENTRY_SECTORS + 2;
        if !room_for_backup || geometry.first_usable() > geometry.last_usable() {
            return Err(error);
        }
        Ok(geometry)
    }

    /// Size of the disk in sectors.
    pub fn disk_sectors(&self) -> u64 {
        self.disk_sectors
    }

    /// The primary entry array: LBA 2, moved by the offset.
    pub fn entries(&self) -> Lba {
        Lba(2).plus(self.offset_sectors)
    }

    /// First sector after the primary entry array that is a multiple of 1 MiB.
    pub fn first_usable(&self) -> Lba {
        self.entries().plus(ENTRY_SECTORS).align_up(ALIGNMENT_SECTORS)
    }

    /// The last sector of the disk, which holds the backup header.
    pub fn last(&self) -> Lba {
        Lba(self.disk_sectors - 1)
    }

    /// The backup entry array, right before the backup header.
    pub fn backup_entries(&self) -> Lba {
        Lba(self.last().0 - ENTRY_SECTORS)
    }

    /// The sector before the backup entry array.
    pub fn last_usable(&self) -> Lba {
        Lba(self.backup_entries().0 - 1)
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Name, which Talos calls the partition label.
    pub name: String,
    /// Type GUID.
    pub type_guid: Guid,
    /// GUID of this partition.
    pub guid: Guid,
    /// First sector.
    pub first: Lba,
    /// Last sector, inclusive.
    pub last: Lba,
    /// Attribute bits (UEFI 2.10, table 5.8).
    pub attributes: u64,
}

impl Partition {
    /// Size in sectors; 0 when the last sector lies before the first.
    pub fn size_sectors(&self) -> u64 {
        self.last.plus(1).0.saturating_sub(self.first.0)
    }
}

/// A table to be written: geometry, disk GUID and partitions in entry order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// GUID of the disk.
    pub disk_guid: Guid,
    /// Where the table lies.
    pub geometry: Geometry,
    /// Partitions; the first is entry 1.
    pub partitions: Vec<Partition>,
}

impl Table {
    /// The place Talos's allocator gives to the next partition of `size_bytes`: right behind the last
    /// one, start and size rounded up to 1 MiB. Returns first and last sector.
    pub fn next_place(&self, size_bytes: u64) -> (Lba, Lba) {
        let after_last = self.partitions.iter().map(|p| p.last.plus(1)).max();
        let first = after_last.unwrap_or(self.geometry.first_usable()).align_up(ALIGNMENT_SECTORS);
        let sectors = size_bytes.div_ceil(MIB).saturating_mul(ALIGNMENT_SECTORS);
        (first, Lba(first.0.saturating_add(sectors).saturating_sub(1)))
    }

    /// Everything that can be wrong with a table.
    ///
    /// # Errors
    /// The first rule of [`GptError`] that is broken.
    pub fn check(&self) -> Result<(), GptError> {
        let geometry = &self.geometry;
        if self.partitions.len() > ENTRY_COUNT {
            return Err(GptError::TooMany(self.partitions.len()));
        }
        for (i, p) in self.partitions.iter().enumerate() {
            let name = || p.name.clone();
            if p.name.is_empty() || p.name.encode_utf16().count() > NAME_UNITS {
                return Err(GptError::Name(name()));
            }
            if p.type_guid == Guid::NIL {
                return Err(GptError::NilType(name()));
            }
            if p.last < p.first {
                return Err(GptError::Empty(name()));
            }
            let (first_usable, last_usable) = (geometry.first_usable(), geometry.last_usable());
            if p.first < first_usable || p.last > last_usable {
                let (first, last) = (p.first, p.last);
                return Err(GptError::OutsideUsable { name: name(), first, last, first_usable, last_usable });
            }
            for other in &self.partitions[..i] {
                if other.name == p.name {
                    return Err(GptError::Duplicate { name: name(), what: "name" });
                }
                if other.guid == p.guid {
                    return Err(GptError::Duplicate { name: name(), what: "GUID" });
                }
                let at = p.first.max(other.first);
                if at <= p.last.min(other.last) {
                    let (a, b) = if other.first <= p.first { (other, p) } else { (p, other) };
                    return Err(GptError::Overlap { a: a.name.clone(), b: b.name.clone(), at });
                }
            }
        }
        Ok(())
    }
}
