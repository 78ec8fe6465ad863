// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is on a medium, in a few lines: its partitions with their file systems, and a Rockchip loader. For the
//! question "is this the right one?"; nothing here judges.

use std::io::{self, Read, Seek, SeekFrom};

use fw_image::{gpt, idblock, lba::Lba};

/// Where the boot ROM looks for the ID block.
const IDBLOCK: Lba = Lba(64);
/// Where SPL looks for the FIT.
const FIT: Lba = Lba(16384);
/// Header and payloads: DDR blob and SPL are below this together.
const IDBLOCK_BYTES: usize = 1 << 20;
/// Magic of a flattened device tree, which a FIT is.
const FDT_MAGIC: [u8; 4] = [0xd0, 0x0d, 0xfe, 0xed];

/// One line per partition, loader and other thing found. Empty for a medium without anything known.
///
/// # Errors
/// The medium cannot be read.
pub fn lines<R: Read + Seek>(medium: &mut R) -> io::Result<Vec<String>> {
    let mut lines = Vec::new();
    let table = gpt::Image::read(medium)?;
    match table.table() {
        Some(copy) => {
            for (number, p) in &copy.partitions {
                let what = file_system(medium, p.first)?.unwrap_or_else(|| "no known file system".to_owned());
                lines.push(format!(
                    "partition {number} `{}`, {}: {what}",
                    p.name,
                    size(p.size_sectors() * 512)
                ));
            }
            if lines.is_empty() {
                lines.push("a partition table (GPT) without partitions".to_owned());
            }
        }
        None => match file_system(medium, Lba(0))? {
            Some(what) => lines.push(format!("no partition table; {what}")),
            None if table.mbr.signature == [0x55, 0xaa] => lines.push("an MBR partition table".to_owned()),
            None => {}
        },
    }
    lines.extend(loader(medium)?);
    Ok(lines)
}

fn loader<R: Read + Seek>(medium: &mut R) -> io::Result<Option<String>> {
    let block = read_up_to(medium, IDBLOCK.bytes(), IDBLOCK_BYTES)?;
    let what = match idblock::verify(&block) {
        Ok(_) => "a Rockchip loader at sector 64, its hashes right",
        Err(idblock::Error::Magic { .. } | idblock::Error::Truncated { .. }) => return Ok(None),
        Err(idblock::Error::Version1) => "a Rockchip loader for an older SoC at sector 64",
        Err(_) => "a damaged Rockchip loader at sector 64",
    };
    let fit = read_up_to(medium, FIT.bytes(), 4)? == FDT_MAGIC;
    Ok(Some(format!("{what}, {} at sector 16384", if fit { "a FIT" } else { "no FIT" })))
}

/// By magic numbers, with the label where it is easy to find.
fn file_system<R: Read + Seek>(medium: &mut R, at: Lba) -> io::Result<Option<String>> {
    let Some(start) = at.checked_bytes() else { return Ok(None) };
    let bytes = read_up_to(medium, start, 4096)?;
    let is = |offset: usize, magic: &[u8]| bytes.get(offset..offset + magic.len()) == Some(magic);
    let label = |offset: usize, length: usize| {
        let text = bytes.get(offset..offset + length).unwrap_or_default();
        let text = String::from_utf8_lossy(text);
        let text = text.trim_end_matches(['\0', ' ']).to_owned();
        let printable = !text.is_empty() && text.chars().all(|c| !c.is_control());
        if printable { format!(" `{text}`") } else { String::new() }
    };
    Ok(if is(0, b"XFSB") {
        Some(format!("xfs{}", label(108, 12)))
    } else if is(1080, &[0x53, 0xef]) {
        Some(format!("ext2/3/4{}", label(1144, 16)))
    } else if is(82, b"FAT32") {
        Some(format!("FAT32{}", label(71, 11)))
    } else if is(54, b"FAT") {
        Some(format!("FAT{}", label(43, 11)))
    } else if is(3, b"EXFAT") {
        Some("exFAT".to_owned())
    } else if is(3, b"NTFS") {
        Some("NTFS".to_owned())
    } else if is(0, b"LUKS\xba\xbe") {
        Some("LUKS (encrypted)".to_owned())
    } else if is(536, b"LVM2") || is(512, b"LABELONE") {
        Some("LVM".to_owned())
    } else {
        None
    })
}

fn read_up_to<R: Read + Seek>(medium: &mut R, at: u64, length: usize) -> io::Result<Vec<u8>> {
    medium.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    medium.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Decimal, as on the package: `31.9 GB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fw_image::gpt::{Geometry, Partition, Table};
    use fw_image::guid::Guid;
    use std::io::Cursor;

    #[test]
    fn partitions_file_systems_and_loader_are_named() {
        let mut table = Table {
            disk_guid: Guid::from_label("disk"),
            geometry: Geometry::new(24 * 2048, 0).expect("geometry"),
            partitions: Vec::new(),
        };
        for name in ["EFI", "BOOT", "META"] {
            let ((first, last), guid) = (table.next_place(1 << 20), Guid::from_label(name));
            table.partitions.push(Partition {
                name: name.to_owned(),
                type_guid: guid,
                guid,
                first,
                last,
                attributes: 0,
            });
        }
        let mut disk = vec![0; 24 << 20];
        for (at, bytes) in table.encode().expect("encoded") {
            disk[at.bytes() as usize..][..bytes.len()].copy_from_slice(&bytes);
        }
        disk[(1 << 20) + 71..][..16].copy_from_slice(b"BOOTCARD   FAT32");
        disk[2 << 20..][..4].copy_from_slice(b"XFSB");
        let found = lines(&mut Cursor::new(&disk)).expect("read");
        assert_eq!(
            found,
            [
                "partition 1 `EFI`, 1.0 MB: FAT32 `BOOTCARD`",
                "partition 2 `BOOT`, 1.0 MB: xfs",
                "partition 3 `META`, 1.0 MB: no known file system",
            ]
        );
        disk[64 * 512..][..4].copy_from_slice(b"RKNS");
        let found = lines(&mut Cursor::new(&disk)).expect("read");
        assert_eq!(found[3], "a damaged Rockchip loader at sector 64, no FIT at sector 16384");
    }

    #[test]
    fn an_empty_or_tiny_medium_has_nothing_and_hostile_ones_do_no_harm() {
        assert!(lines(&mut Cursor::new(vec![0; 2 << 20])).expect("read").is_empty());
        assert!(lines(&mut Cursor::new(vec![0; 100])).is_err());
        // Noise, with the magic numbers in it.
        let mut noise: Vec<u8> =
            (0..1_u32 << 16).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        noise[512..520].copy_from_slice(b"EFI PART");
        noise[64 * 512..][..4].copy_from_slice(b"RKNS");
        lines(&mut Cursor::new(noise)).expect("no panic");
    }
}
