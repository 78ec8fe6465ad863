// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A disk image as a plan: partitions and raw regions with their owners, checked as a whole before the
//! first byte is written.
//!
//! A [`Plan`] cannot be written; only the [`Layout`] that [`Plan::check`] returns can. What a region
//! contains is the caller's business.

mod sparse;
mod write;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub use sparse::{HOLE_BYTES, copy_sparse};
pub(crate) use sparse::{is_zero, read_full, write_nonzero};
pub use write::{WriteError, Written};

use crate::gpt::{self, GptError, Partition, Table};
use crate::guid::Guid;
use crate::lba::{Lba, SECTOR_BYTES, sectors_for};

/// What goes into a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Zeros, written as a hole.
    Zero,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A file, copied with its holes. Its size is fixed when the plan is made; a change until the write
    /// is an error.
    File {
        /// The file.
        path: PathBuf,
        /// Its size.
        length_bytes: u64,
    },
}

impl Content {
    /// The file at `path` with its present size.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub fn file(path: &Path) -> io::Result<Content> {
        let length_bytes = fs::metadata(path)?.len();
        Ok(Content::File { path: path.to_owned(), length_bytes })
    }

    /// Size, `None` for [`Content::Zero`], which has the size of its region.
    pub fn length_bytes(&self) -> Option<u64> {
        match self {
            Content::Zero => None,
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::File { length_bytes, .. } => Some(*length_bytes),
        }
    }
}

/// Where a partition starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Where Talos's allocator would put it: aligned to 1 MiB, right behind the one before.
    Next,
    /// At this sector.
    At(Lba),
}

/// A partition of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionPlan {
    /// Name in the table.
    pub name: String,
    /// Who makes the content: a stage, or `xtask`.
    pub owner: String,
    /// Type GUID.
    pub type_guid: Guid,
    /// GUID of the partition.
    pub guid: Guid,
    /// Attribute bits.
    pub attributes: u64,
    /// Where it starts.
    pub start: Start,
    /// Size; rounded up to 1 MiB with [`Start::Next`], to a sector otherwise.
    pub size_bytes: u64,
    /// What is in it; may be shorter than the partition.
    pub content: Content,
}

/// A region outside every partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawPlan {
    /// Name in the map.
    pub name: String,
    /// Who makes the content.
    pub owner: String,
    /// First sector.
    pub start: Lba,
    /// First sector it must not touch, beside everything else in the image.
    pub limit: Lba,
    /// What is in it.
    pub content: Content,
}

/// A whole disk image, not yet checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Size of the image.
    pub size_bytes: u64,
    /// GUID of the disk.
    pub disk_guid: Guid,
    /// Sectors to skip before the primary entry array (Talos's overlay offset).
    pub offset_sectors: u64,
    /// Partitions in table order.
    pub partitions: Vec<PartitionPlan>,
    /// Regions outside the partitions.
    pub raw: Vec<RawPlan>,
}

/// Why a plan is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The image is not a whole number of sectors.
    #[error("the image size of {0} bytes is not a multiple of {SECTOR_BYTES}")]
    Size(u64),
    /// The partitions do not make a sound table.
    #[error(transparent)]
    Gpt(#[from] GptError),
    /// A region other than a zero one has no byte.
    #[error("region `{name}` of `{owner}` is empty: its content has zero bytes")]
    ZeroLength {
        /// The region.
        name: String,
        /// Its owner.
        owner: String,
    },
    /// A raw region has no content of its own and thus no size.
    #[error("region `{0}` has no size: only a partition may be all zero")]
    NoSize(String),
    /// The content is longer than the partition.
    #[error("the content of partition `{name}` has {content_bytes} bytes, the partition {size_bytes}")]
    TooLong {
        /// The partition.
        name: String,
        /// Size of the content.
        content_bytes: u64,
        /// Size of the partition.
        size_bytes: u64,
    },
    /// A raw region passes its limit.
    #[error("region `{name}` ({start}, {length_bytes} bytes) ends at {end}, past its limit {limit}")]
    PastLimit {
        /// The region.
        name: String,
        /// First sector.
        start: Lba,
        /// Size.
        length_bytes: u64,
        /// First sector after it.
        end: Lba,
        /// The limit.
        limit: Lba,
    },
    /// A region ends after the image.
    #[error("region `{name}` ends at byte {end_bytes}, past the end of the image ({size_bytes} bytes)")]
    PastEnd {
        /// The region.
        name: String,
        /// First byte after it.
        end_bytes: u64,
        /// Size of the image.
        size_bytes: u64,
    },
    /// Two regions share bytes.
    #[error("regions `{a}` of `{a_owner}` and `{b}` of `{b_owner}` overlap at {at}")]
    Overlap {
        /// The one that starts first.
        a: String,
        /// Its owner.
        a_owner: String,
        /// The other.
        b: String,
        /// Its owner.
        b_owner: String,
        /// First shared sector.
        at: Lba,
    },
    /// Two regions have one name.
    #[error("two regions have the name `{0}`")]
    DuplicateName(String),
}

/// What a region of a layout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A part of the partition table.
    Table,
    /// A raw region.
    Raw,
    /// A partition.
    Partition,
}

/// A region with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Name: of the partition, of the raw region, or `gpt-primary`, `gpt-entries`, `gpt-backup`.
    pub name: String,
    /// Who makes the content; `xtask` for the table.
    pub owner: String,
    /// What it is.
    pub kind: Kind,
    /// First sector.
    pub start: Lba,
    /// Size: of the partition, of the raw content, of the table's part.
    pub length_bytes: u64,
    content: Content,
}

impl Region {
    /// First sector after the region.
    pub fn end(&self) -> Lba {
        self.start.plus(sectors_for(self.length_bytes))
    }
}

/// A plan that holds: every region with its place, none touching another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    size_bytes: u64,
    table: Table,
    regions: Vec<Region>,
}

impl Plan {
    /// Places the partitions and checks every rule. Nothing is read or written.
    ///
    /// # Errors
    /// The first rule of [`PlanError`] that is broken.
    pub fn check(&self) -> Result<Layout, PlanError> {
        if !self.size_bytes.is_multiple_of(SECTOR_BYTES) {
            return Err(PlanError::Size(self.size_bytes));
        }
        let geometry = gpt::Geometry::new(self.size_bytes / SECTOR_BYTES, self.offset_sectors)?;
        let mut table = Table { disk_guid: self.disk_guid, geometry, partitions: Vec::new() };
        let mut regions = Vec::new();
        for plan in &self.raw {
            regions.push(plan.place()?);
        }
        for plan in &self.partitions {
            let (partition, region) = plan.place(&table)?;
            table.partitions.push(partition);
            regions.push(region);
        }
        let names = ["gpt-primary", "gpt-entries", "gpt-backup"];
        for (name, (start, bytes)) in names.into_iter().zip(table.encode()?) {
            let length_bytes = bytes.len() as u64;
            let (name, owner) = (name.to_owned(), "xtask".to_owned());
            regions.push(Region {
                name,
                owner,
                kind: Kind::Table,
                start,
                length_bytes,
                content: Content::Bytes(bytes),
            });
        }
        regions.sort_by_key(|r| r.start);
        check_regions(&regions, self.size_bytes)?;
        Ok(Layout { size_bytes: self.size_bytes, table, regions })
    }
}

impl RawPlan {
    fn place(&self) -> Result<Region, PlanError> {
        let length_bytes = self.content.length_bytes().ok_or_else(|| PlanError::NoSize(self.name.clone()))?;
        let (name, owner, start) = (self.name.clone(), self.owner.clone(), self.start);
        if length_bytes == 0 {
            return Err(PlanError::ZeroLength { name, owner });
        }
        let end = start.plus(sectors_for(length_bytes));
        if end > self.limit {
            return Err(PlanError::PastLimit { name, start, length_bytes, end, limit: self.limit });
        }
        Ok(Region { name, owner, kind: Kind::Raw, start, length_bytes, content: self.content.clone() })
    }
}

impl PartitionPlan {
    fn place(&self, table: &Table) -> Result<(Partition, Region), PlanError> {
        let (name, owner) = (self.name.clone(), self.owner.clone());
        let (first, last) = match self.start {
            Start::Next => table.next_place(self.size_bytes),
            Start::At(first) => (first, Lba(first.plus(sectors_for(self.size_bytes)).0.saturating_sub(1))),
        };
        let partition = Partition {
            name: name.clone(),
            type_guid: self.type_guid,
            guid: self.guid,
            first,
            last,
            attributes: self.attributes,
        };
        let size_bytes = partition.size_sectors().saturating_mul(SECTOR_BYTES);
        match self.content.length_bytes() {
            Some(0) => return Err(PlanError::ZeroLength { name, owner }),
            Some(content_bytes) if content_bytes > size_bytes => {
                return Err(PlanError::TooLong { name, content_bytes, size_bytes });
            }
            _ => {}
        }
        let content = self.content.clone();
        let region =
            Region { name, owner, kind: Kind::Partition, start: first, length_bytes: size_bytes, content };
        Ok((partition, region))
    }
}

/// `regions` sorted by start.
fn check_regions(regions: &[Region], size_bytes: u64) -> Result<(), PlanError> {
    for (i, region) in regions.iter().enumerate() {
        if regions[..i].iter().any(|r| r.name == region.name) {
            return Err(PlanError::DuplicateName(region.name.clone()));
        }
        let end_bytes = region.start.bytes().saturating_add(region.length_bytes);
        if end_bytes > size_bytes {
            return Err(PlanError::PastEnd { name: region.name.clone(), end_bytes, size_bytes });
        }
    }
    // Sorted by start, so if any two overlap then so do two neighbours.
    for pair in regions.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        if b.start < a.end() {
            return Err(PlanError::Overlap {
                a: a.name.clone(),
                a_owner: a.owner.clone(),
                b: b.name.clone(),
                b_owner: b.owner.clone(),
                at: b.start,
            });
        }
    }
    Ok(())
}

impl Layout {
    /// Size of the image.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The partition table.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// All regions, sorted by start.
    pub fn regions(&self) -> &[Region] {
        &self.regions
    }
}
