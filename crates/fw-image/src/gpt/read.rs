// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Both copies of a table read from a disk image, each checked on its own, and compared.

use std::io::{self, Read, Seek, SeekFrom};

use super::{HEADER_BYTES, Partition, REVISION, SIGNATURE};
use crate::crc::crc32;
use crate::guid::Guid;
use crate::lba::{Lba, SECTOR_BYTES};

/// A damaged header must not make us read gigabytes: no known tool writes more entries.
const MAX_ENTRIES: u32 = 1024;
const MAX_ENTRY_BYTES: u32 = 1024;

/// Why one copy of a table is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CopyError {
    /// The sector has no `EFI PART`.
    #[error("no GPT header at {0}")]
    NoSignature(Lba),
    /// Revision, header size or entry format is not one this reader knows.
    #[error("GPT header at {0}: {1} is not supported")]
    Unsupported(Lba, String),
    /// The header's CRC-32 does not match.
    #[error("GPT header at {0}: wrong CRC-32")]
    HeaderCrc(Lba),
    /// The entry array's CRC-32 does not match.
    #[error("GPT entries at {0}: wrong CRC-32")]
    EntriesCrc(Lba),
    /// The entry array is not inside the disk.
    #[error("GPT entries at {0} are not inside the disk")]
    EntriesOutside(Lba),
    /// The medium does not give it back.
    #[error("GPT copy with its header at {0} cannot be read: {1}")]
    Unreadable(Lba, String),
}

/// The one entry of the protective MBR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProtectiveMbr {
    /// The 16 bytes at offset 446.
    pub entry: [u8; 16],
    /// The two bytes at offset 510.
    pub signature: [u8; 2],
}

/// A header, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Sector of this header, as it says itself.
    pub own: Lba,
    /// Sector of the other header.
    pub other: Lba,
    /// First usable sector.
    pub first_usable: Lba,
    /// Last usable sector.
    pub last_usable: Lba,
    /// GUID of the disk.
    pub disk_guid: Guid,
    /// First sector of the entry array.
    pub entries: Lba,
    /// Number of entries.
    pub entry_count: u32,
    /// Bytes of an entry.
    pub entry_bytes: u32,
    /// CRC-32 of the entry array.
    pub entries_crc32: u32,
}

/// One copy: header and used entries, with their numbers from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableCopy {
    /// The header.
    pub header: Header,
    /// Entry number and partition.
    pub partitions: Vec<(u32, Partition)>,
}

/// What a disk image has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Size of the image in whole sectors.
    pub disk_sectors: u64,
    /// The protective MBR.
    pub mbr: ProtectiveMbr,
    /// The copy at LBA 1.
    pub primary: Result<TableCopy, CopyError>,
    /// The copy at the last sector.
    pub backup: Result<TableCopy, CopyError>,
}

impl Image {
    /// Reads MBR and both copies. A broken copy is no error here; see [`Image::problems`].
    ///
    /// # Errors
    /// I/O errors, and an image of fewer than two sectors.
    pub fn read<R: Read + Seek>(disk: &mut R) -> io::Result<Image> {
        Image::with(disk, read_copy)
    }

    /// As [`Image::read`]; a copy that the medium does not give back is [`CopyError::Unreadable`]. For whoever only
    /// looks: who goes on to write must not take a table that could not be read for one that is not there.
    ///
    /// # Errors
    /// The first sector cannot be read, and an image of fewer than two sectors.
    pub fn read_worn<R: Read + Seek>(disk: &mut R) -> io::Result<Image> {
        Image::with(disk, |disk, at, disk_sectors| {
            let copy = read_copy(disk, at, disk_sectors);
            Ok(copy.unwrap_or_else(|e| Err(CopyError::Unreadable(at, e.to_string()))))
        })
    }

    fn with<R: Read + Seek>(
        disk: &mut R,
        read_copy: impl Fn(&mut R, Lba, u64) -> io::Result<Result<TableCopy, CopyError>>,
    ) -> io::Result<Image> {
        let disk_sectors = disk.seek(SeekFrom::End(0))? / SECTOR_BYTES;
        if disk_sectors < 2 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "an image of fewer than two sectors"));
        }
        let sector = read_sectors(disk, Lba(0), SECTOR_BYTES as usize)?;
        let mbr = ProtectiveMbr { entry: array(&sector, 446), signature: array(&sector, 510) };
        let primary = read_copy(disk, Lba(1), disk_sectors)?;
        let backup = read_copy(disk, Lba(disk_sectors - 1), disk_sectors)?;
        Ok(Image { disk_sectors, mbr, primary, backup })
    }

    /// The copy to go by: the primary one if it is sound, else the backup.
    pub fn table(&self) -> Option<&TableCopy> {
        self.primary.as_ref().or(self.backup.as_ref()).ok()
    }

    /// The partition of that name in [`Image::table`].
    pub fn partition(&self, name: &str) -> Option<&Partition> {
        self.table()?.partitions.iter().map(|(_, p)| p).find(|p| p.name == name)
    }

    /// One line for each thing that is wrong; empty for a sound table.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.mbr.signature != [0x55, 0xAA] {
            problems.push("the protective MBR has no 55 AA signature".to_owned());
        }
        if self.mbr.entry[4] != 0xEE || self.mbr.entry[8..12] != [1, 0, 0, 0] {
            problems.push("the MBR's first entry is not of type EE at LBA 1".to_owned());
        }
        let length = u32::from_le_bytes(array(&self.mbr.entry, 12));
        if length != u32::try_from(self.disk_sectors - 1).unwrap_or(u32::MAX) {
            problems.push(format!("the MBR's entry has {length} sectors, the disk {}", self.disk_sectors));
        }
        for (what, copy) in [("primary", &self.primary), ("backup", &self.backup)] {
            match copy {
                Err(e) => problems.push(format!("{what} copy: {e}")),
                Ok(copy) => {
                    problems
                        .extend(copy.problems(self.disk_sectors).iter().map(|p| format!("{what} copy: {p}")));
                }
            }
        }
        if let (Ok(primary), Ok(backup)) = (&self.primary, &self.backup) {
            problems.extend(differences(primary, backup));
        }
        problems
    }
}

impl TableCopy {
    /// Reads the copy whose header lies at `at`: a backup copy may lie elsewhere than at the end of the medium.
    ///
    /// # Errors
    /// I/O errors; a broken copy is no error here.
    pub fn read_at<R: Read + Seek>(disk: &mut R, at: Lba) -> io::Result<Result<TableCopy, CopyError>> {
        let disk_sectors = disk.seek(SeekFrom::End(0))? / SECTOR_BYTES;
        if at.0 >= disk_sectors {
            return Ok(Err(CopyError::NoSignature(at)));
        }
        read_copy(disk, at, disk_sectors)
    }

    fn problems(&self, disk_sectors: u64) -> Vec<String> {
        let h = &self.header;
        let last = Lba(disk_sectors - 1);
        let mut problems = Vec::new();
        let other = if h.own == Lba(1) { last } else { Lba(1) };
        if h.other != other {
            problems.push(format!("it puts the other header at {}, not at {other}", h.other));
        }
        for (number, p) in &self.partitions {
            if p.last < p.first || p.first < h.first_usable || p.last > h.last_usable {
                let (first, last) = (p.first, p.last);
                problems.push(format!(
                    "partition {number} `{}` ({first} to {last}) is outside the usable range",
                    p.name
                ));
            }
        }
        let mut sorted: Vec<_> = self.partitions.iter().map(|(_, p)| p).collect();
        sorted.sort_by_key(|p| p.first);
        for pair in sorted.windows(2).filter(|pair| pair[1].first <= pair[0].last) {
            problems.push(format!("partitions `{}` and `{}` overlap", pair[0].name, pair[1].name));
        }
        problems
    }
}

/// What the two copies say differently, beside their places.
fn differences(primary: &TableCopy, backup: &TableCopy) -> Vec<String> {
    let (p, b) = (&primary.header, &backup.header);
    let fields = [
        ("first usable sector", p.first_usable.to_string(), b.first_usable.to_string()),
        ("last usable sector", p.last_usable.to_string(), b.last_usable.to_string()),
        ("disk GUID", p.disk_guid.to_string(), b.disk_guid.to_string()),
        ("number of entries", p.entry_count.to_string(), b.entry_count.to_string()),
        ("entry size", p.entry_bytes.to_string(), b.entry_bytes.to_string()),
        ("CRC-32 of the entries", format!("{:08x}", p.entries_crc32), format!("{:08x}", b.entries_crc32)),
    ];
    fields
        .into_iter()
        .filter(|(_, p, b)| p != b)
        .map(|(what, p, b)| format!("the copies differ in the {what}: {p} and {b}"))
        .collect()
}

fn read_copy<R: Read + Seek>(
    disk: &mut R,
    at: Lba,
    disk_sectors: u64,
) -> io::Result<Result<TableCopy, CopyError>> {
    let sector = read_sectors(disk, at, SECTOR_BYTES as usize)?;
    let header = match decode_header(&sector, at) {
        Ok(header) => header,
        Err(e) => return Ok(Err(e)),
    };
    let bytes = u64::from(header.entry_count) * u64::from(header.entry_bytes);
    if header
        .entries
        .checked_bytes()
        .is_none_or(|start| start.saturating_add(bytes) > disk_sectors * SECTOR_BYTES)
    {
        return Ok(Err(CopyError::EntriesOutside(header.entries)));
    }
    let entries = read_sectors(disk, header.entries, bytes as usize)?;
    if crc32(&entries) != header.entries_crc32 {
        return Ok(Err(CopyError::EntriesCrc(header.entries)));
    }
    let partitions = (1..)
        .zip(entries.chunks_exact(header.entry_bytes as usize))
        .filter(|(_, entry)| entry[..16] != [0; 16])
        .map(|(number, entry)| (number, decode_entry(entry)))
        .collect();
    Ok(Ok(TableCopy { header, partitions }))
}

fn decode_header(h: &[u8], at: Lba) -> Result<Header, CopyError> {
    if h[..8] != SIGNATURE[..] {
        return Err(CopyError::NoSignature(at));
    }
    let u32_at = |offset| u32::from_le_bytes(array(h, offset));
    let lba_at = |offset| Lba(u64::from_le_bytes(array(h, offset)));
    let unsupported = |what: String| Err(CopyError::Unsupported(at, what));
    if u32_at(8) != REVISION || u32_at(12) != HEADER_BYTES as u32 {
        return unsupported(format!("revision {:#x} with a header of {} bytes", u32_at(8), u32_at(12)));
    }
    let mut without_crc = h[..HEADER_BYTES].to_vec();
    without_crc[16..20].fill(0);
    if crc32(&without_crc) != u32_at(16) {
        return Err(CopyError::HeaderCrc(at));
    }
    if lba_at(24) != at {
        return unsupported(format!("a header that says it belongs at {}", lba_at(24)));
    }
    let (entry_count, entry_bytes) = (u32_at(80), u32_at(84));
    if entry_count > MAX_ENTRIES || !(128..=MAX_ENTRY_BYTES).contains(&entry_bytes) {
        return unsupported(format!("an array of {entry_count} entries of {entry_bytes} bytes"));
    }
    Ok(Header {
        own: at,
        other: lba_at(32),
        first_usable: lba_at(40),
        last_usable: lba_at(48),
        disk_guid: Guid::from_gpt_bytes(array(h, 56)),
        entries: lba_at(72),
        entry_count,
        entry_bytes,
        entries_crc32: u32_at(88),
    })
}

fn decode_entry(entry: &[u8]) -> Partition {
    let units =
        entry[56..128].chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]])).take_while(|&u| u != 0);
    Partition {
        name: char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect(),
        type_guid: Guid::from_gpt_bytes(array(entry, 0)),
        guid: Guid::from_gpt_bytes(array(entry, 16)),
        first: Lba(u64::from_le_bytes(array(entry, 32))),
        last: Lba(u64::from_le_bytes(array(entry, 40))),
        attributes: u64::from_le_bytes(array(entry, 48)),
    }
}

fn read_sectors<R: Read + Seek>(disk: &mut R, at: Lba, length_bytes: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length_bytes];
    disk.seek(SeekFrom::Start(at.bytes()))?;
    disk.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}
