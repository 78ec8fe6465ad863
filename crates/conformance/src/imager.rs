// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Compares an image of ours with one that Talos's imager made of the same parts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use fw_build::key::sha256_bytes;
use fw_build::{Failure, Result};
use fw_image::xfs::EntryKind;
use fw_image::{fat, lba};

use crate::inputs::{boot, partition};

/// What an image is, fact by fact.
pub type Facts = BTreeMap<String, String>;

/// Reads the facts of a raw image whose table has the overlay's offset.
///
/// # Errors
/// It cannot be read, or has not the partitions of a GRUB image.
pub fn facts(raw: &Path, offset_sectors: u64) -> Result<Facts> {
    let mut file = fs_err::File::open(raw)?.into_parts().0;
    let size = file.seek(SeekFrom::End(0))?;
    let mut facts = Facts::new();
    let mut fact = |name: String, value: String| facts.insert(name, value);
    fact("disk: bytes".to_owned(), size.to_string());
    let sectors = size / lba::SECTOR_BYTES;
    for (name, first, count) in [
        ("protective MBR", 0, 1),
        ("primary header", 1, 1),
        ("primary entries", 2 + offset_sectors, 32),
        ("backup entries", sectors - 33, 32),
        ("backup header", sectors - 1, 1),
        ("loader", 64, offset_sectors - 64),
    ] {
        file.seek(SeekFrom::Start(first * lba::SECTOR_BYTES))?;
        let mut bytes = Vec::new();
        (&file).take(count * lba::SECTOR_BYTES).read_to_end(&mut bytes)?;
        fact(format!("disk: {name}"), sha256_bytes(&bytes));
    }
    for name in ["BIOS", "META"] {
        let mut bytes = Vec::new();
        partition(&file, name)?.read_to_end(&mut bytes)?;
        fact(name.to_owned(), sha256_bytes(&bytes));
    }
    let mut sector = [0; 512];
    partition(&file, "EFI")?.read_exact(&mut sector)?;
    // Volume serial number and label of FAT32 (Microsoft's FAT specification, BS_VolID and BS_VolLab).
    fact("EFI: volume number".to_owned(), fw_image::hex(&sector[67..71]));
    fact("EFI: label".to_owned(), String::from_utf8_lossy(&sector[71..82]).trim().to_owned());
    for (path, _) in fat::list(partition(&file, "EFI")?)? {
        let bytes = fat::read(partition(&file, "EFI")?, &path)?;
        fact(format!("EFI: {path}"), sha256_bytes(&bytes));
    }
    boot_facts(&file, &mut fact)?;
    Ok(facts)
}

fn boot_facts(file: &File, fact: &mut dyn FnMut(String, String) -> Option<String>) -> Result<()> {
    let mut xfs = boot(file)?;
    let wrong = |e: fw_image::xfs::XfsError| Failure::new("BOOT cannot be read").why(e);
    fact("BOOT: superblock".to_owned(), format!("{:?}", xfs.superblock()));
    for entry in xfs.list().map_err(wrong)? {
        fact(format!("BOOT: mode of {}", entry.path), format!("{:?} {:o}", entry.kind, entry.mode));
        if entry.kind == EntryKind::File {
            let bytes = xfs.read(&entry.path).map_err(wrong)?;
            fact(format!("BOOT: {}", entry.path), sha256_bytes(&bytes));
        }
    }
    Ok(())
}
