// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The partition table, both copies.

use std::io::{Read, Seek};

use fw_build::board::{Disk, PartitionKind};
use fw_build::{Failure, Result};
use fw_image::gpt::{self, Partition};
use fw_image::guid::Guid;
use fw_image::lba::{MIB, SECTOR_BYTES};

/// Reads the table and compares it with the board file.
///
/// # Errors
/// Names everything that is wrong.
pub fn check<R: Read + Seek>(disk: &Disk, raw: &mut R) -> Result<Vec<Partition>> {
    let image = gpt::Image::read(raw)?;
    let mut problems = image.problems();
    if image.disk_sectors * SECTOR_BYTES != disk.size_bytes {
        problems.push(format!("the disk has {} sectors", image.disk_sectors));
    }
    let (Ok(primary), Ok(backup)) = (&image.primary, &image.backup) else {
        return Err(problems.into_iter().fold(Failure::new("partition table"), Failure::why));
    };
    if primary.header.entries.0 != 2 + disk.offset_sectors {
        problems.push(format!("the entry array is at LBA {}", primary.header.entries.0));
    }
    let partitions: Vec<Partition> = primary.partitions.iter().map(|(_, p)| p.clone()).collect();
    if backup.partitions != primary.partitions {
        problems.push("the two copies list other partitions".to_owned());
    }
    if partitions.len() != disk.partitions.len() {
        problems.push(format!("{} partitions instead of {}", partitions.len(), disk.partitions.len()));
    }
    for (found, wanted) in partitions.iter().zip(&disk.partitions) {
        let (type_guid, attributes) = match wanted.kind {
            PartitionKind::Efi => (Guid::EFI_SYSTEM, 0),
            // Attribute bit 2, legacy BIOS bootable: Talos sets it on arm64, too.
            PartitionKind::Bios => (Guid::BIOS_BOOT, 1 << 2),
            PartitionKind::Linux => (Guid::LINUX_DATA, 0),
        };
        let facts =
            (found.name.as_str(), found.size_sectors() * SECTOR_BYTES, found.type_guid, found.attributes);
        let expected = (wanted.name.as_str(), wanted.size_mib * MIB, type_guid, attributes);
        if facts != expected {
            problems.push(format!("partition {facts:?} instead of {expected:?}"));
        }
    }
    if problems.is_empty() {
        return Ok(partitions);
    }
    Err(problems.into_iter().fold(Failure::new("partition table"), Failure::why))
}
