// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The partition table: Talos's worked example, damage, and what sgdisk says.

mod common;

use std::io::Cursor;

use common::{SIZE_BYTES, image, plan, tool};
use fw_image::gpt::{ATTRIBUTE_LEGACY_BIOS_BOOTABLE, Geometry, GptError, Image, Table};
use fw_image::guid::Guid;
use fw_image::lba::Lba;

/// The worked example of talos-contracts 3.2: N = 20480 and 1,306,525,696 bytes.
#[test]
fn worked_example() {
    let layout = plan().check().unwrap();
    let geometry = layout.table().geometry;
    assert_eq!(geometry.disk_sectors(), 2_551_808);
    assert_eq!(geometry.entries(), Lba(20_482));
    assert_eq!(geometry.first_usable(), Lba(22_528));
    assert_eq!(geometry.last_usable(), Lba(2_551_774));
    assert_eq!(geometry.last(), Lba(2_551_807));
    let places: Vec<_> = layout
        .table()
        .partitions
        .iter()
        .map(|p| (p.name.as_str(), p.first.0, p.last.0, p.attributes))
        .collect();
    assert_eq!(
        places,
        [
            ("EFI", 22_528, 227_327, 0),
            ("BIOS", 227_328, 229_375, ATTRIBUTE_LEGACY_BIOS_BOOTABLE),
            ("BOOT", 229_376, 2_277_375, 0),
            ("META", 2_277_376, 2_279_423, 0),
        ]
    );
}

#[test]
fn without_an_offset_the_first_partition_starts_at_2048() {
    let geometry = Geometry::new(2_551_808, 0).unwrap();
    assert_eq!((geometry.entries(), geometry.first_usable()), (Lba(2), Lba(2_048)));
}

#[test]
fn both_copies_read_back_as_written() {
    let layout = plan().check().unwrap();
    let (_folder, mut file, _) = image(&layout);
    let read = Image::read(&mut file).unwrap();
    assert_eq!(read.problems(), [""; 0]);
    for copy in [read.primary.as_ref().unwrap(), read.backup.as_ref().unwrap()] {
        let partitions: Vec<_> = copy.partitions.iter().map(|(_, p)| p.clone()).collect();
        assert_eq!(partitions, layout.table().partitions);
        assert_eq!(copy.header.disk_guid, Guid::from_label("talos-image-disk"));
    }
    assert_eq!(read.primary.as_ref().unwrap().header.entries, Lba(20_482));
    assert_eq!(read.backup.as_ref().unwrap().header.entries, Lba(2_551_775));
    // Boot flag, start CHS, type, end CHS, first sector, length: the bytes of Talos's library.
    assert_eq!(read.mbr.entry, [0, 0, 2, 0, 0xEE, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, 0xFF, 0xEF, 0x26, 0]);
    assert_eq!(read.partition("META").unwrap().size_sectors(), 2_048);
}

/// A small disk in memory, to be damaged.
fn small() -> Vec<u8> {
    let geometry = Geometry::new(40_960, 20_480).unwrap();
    let mut table = Table { disk_guid: Guid::from_label("disk"), geometry, partitions: Vec::new() };
    for name in ["EFI", "META"] {
        let (first, last) = table.next_place(1 << 20);
        let partition = fw_image::gpt::Partition {
            name: name.to_owned(),
            type_guid: Guid::LINUX_DATA,
            guid: Guid::from_label(name),
            first,
            last,
            attributes: 0,
        };
        table.partitions.push(partition);
    }
    let mut disk = vec![0; 40_960 * 512];
    for (at, bytes) in table.encode().unwrap() {
        let at = at.bytes() as usize;
        disk[at..at + bytes.len()].copy_from_slice(&bytes);
    }
    disk
}

fn problems(disk: Vec<u8>) -> Vec<String> {
    Image::read(&mut Cursor::new(disk)).unwrap().problems()
}

#[test]
fn damage_is_named() {
    let cases: [(usize, &str); 6] = [
        (510, "the protective MBR has no 55 AA signature"),
        (512, "primary copy: no GPT header at LBA 1"),
        (512 + 40, "primary copy: GPT header at LBA 1: wrong CRC-32"),
        (20_482 * 512, "primary copy: GPT entries at LBA 20482: wrong CRC-32"),
        (40_959 * 512 + 60, "backup copy: GPT header at LBA 40959: wrong CRC-32"),
        (40_927 * 512 + 1, "backup copy: GPT entries at LBA 40927: wrong CRC-32"),
    ];
    assert_eq!(problems(small()), [""; 0]);
    for (at, expected) in cases {
        let mut disk = small();
        disk[at] ^= 0xff;
        assert_eq!(problems(disk), [expected], "byte {at}");
    }
}

#[test]
fn copies_that_differ_are_named() {
    let mut disk = small();
    // A backup of another disk of the same size: sound in itself.
    let mut table = Image::read(&mut Cursor::new(small())).unwrap();
    let partitions = table.primary.as_mut().unwrap().partitions.drain(..1).map(|(_, p)| p).collect();
    let geometry = Geometry::new(40_960, 20_480).unwrap();
    let other = Table { disk_guid: Guid::from_label("other"), geometry, partitions };
    let [_, _, (at, backup)] = other.encode().unwrap();
    disk[at.bytes() as usize..].copy_from_slice(&backup);
    let found = problems(disk);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("the copies differ in the disk GUID: "), "{found:?}");
    assert!(found[1].starts_with("the copies differ in the CRC-32 of the entries: "), "{found:?}");
}

#[test]
fn tables_that_cannot_be_are_refused() {
    assert_eq!(
        Geometry::new(20_000, 20_480),
        Err(GptError::DiskTooSmall { disk_sectors: 20_000, offset_sectors: 20_480 })
    );
    assert!(Geometry::new(0, 0).is_err());
    assert!(Geometry::new(u64::MAX, u64::MAX).is_err());

    let sound = plan().check().unwrap().table().clone();
    let refused = |change: fn(&mut Table)| {
        let mut table = sound.clone();
        change(&mut table);
        table.check().unwrap_err()
    };
    let long = "x".repeat(37);
    assert_eq!(refused(|t| t.partitions[0].name = "x".repeat(37)), GptError::Name(long));
    assert_eq!(refused(|t| t.partitions[3].type_guid = Guid::NIL), GptError::NilType("META".to_owned()));
    assert_eq!(refused(|t| t.partitions[1].last = Lba(1)), GptError::Empty("BIOS".to_owned()));
    let duplicate = |what| GptError::Duplicate { name: "META".to_owned(), what };
    assert_eq!(refused(|t| t.partitions[3].guid = t.partitions[0].guid), duplicate("GUID"));
    let many = refused(|t| t.partitions = vec![t.partitions[0].clone(); 129]);
    assert_eq!(many, GptError::TooMany(129));
}

/// sgdisk is the judge of what other tools will see.
#[test]
fn sgdisk_agrees() {
    let layout = plan().check().unwrap();
    let (_folder, _, path) = image(&layout);
    let verify = tool("sgdisk", "gdisk", &["--verify", "--print", path.to_str().unwrap()]);
    assert!(verify.contains("No problems found"), "{verify}");
    assert!(
        verify.contains("Main partition table begins at sector 20482 and ends at sector 20513"),
        "{verify}"
    );
    assert!(verify.contains("First usable sector is 22528, last usable sector is 2551774"), "{verify}");
    let bios = tool("sgdisk", "gdisk", &["--info=2", path.to_str().unwrap()]);
    for line in [
        "Partition GUID code: 21686148-6449-6E6F-744E-656564454649 (BIOS boot partition)".to_owned(),
        format!("Partition unique GUID: {}", Guid::from_label("BIOS")),
        "First sector: 227328 (at 111.0 MiB)".to_owned(),
        "Last sector: 229375 (at 112.0 MiB)".to_owned(),
        "Attribute flags: 0000000000000004".to_owned(),
        "Partition name: 'BIOS'".to_owned(),
    ] {
        assert!(bios.contains(&line), "`{line}` is not in\n{bios}");
    }
    assert_eq!(std::fs::metadata(&path).unwrap().len(), SIZE_BYTES);
}
