// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Partition tables: both copies of a GPT, or an MBR; and what lies in each partition.

use fw_image::gpt::{self, CopyError, TableCopy};
use fw_image::guid::Guid;
use fw_image::lba::{Lba, MIB, SECTOR_BYTES};

use crate::filesystem;
use crate::finding::Kind;
use crate::look::{Look, range};
use crate::report::{self, PartitionReport, RangeKind, TableReport};
use crate::source::{self, Cursor};

/// Type GUIDs that appear on such disks, in words.
const TYPES: [(Guid, &str); 3] =
    [(Guid::EFI_SYSTEM, "EFI system"), (Guid::BIOS_BOOT, "BIOS boot"), (Guid::LINUX_DATA, "Linux data")];

/// The primary entries of an MBR: number, type, first sector, sectors.
pub(crate) fn mbr_entries(head: &[u8]) -> impl Iterator<Item = (u32, u8, u64, u64)> + '_ {
    let word = |at: usize| {
        let bytes = head.get(at..at + 4).and_then(|b| b.try_into().ok());
        u64::from(bytes.map_or(0, u32::from_le_bytes))
    };
    (0..4).filter_map(move |i| {
        let at = 446 + 16 * i;
        let (status, kind) = (*head.get(at)?, *head.get(at + 4)?);
        let (first, sectors) = (word(at + 8), word(at + 12));
        let sound = status & 0x7f == 0 && kind != 0 && first > 0 && sectors > 0;
        sound.then_some((i as u32 + 1, kind, first, sectors))
    })
}

pub(crate) fn look(look: &mut Look<'_>) {
    let has_gpt = look.head.get(512..520) == Some(b"EFI PART");
    let protective = look.head.get(450) == Some(&0xee);
    let mut cursor = Cursor::new(look.source);
    match gpt::Image::read_worn(&mut cursor) {
        Ok(image) if has_gpt || protective || image.table().is_some() => gpt(look, &image),
        Ok(_) => mbr(look),
        Err(e) => {
            look.unreadable("partition table", 0, &e);
            mbr(look);
        }
    }
    contents(look);
}

fn mbr(look: &mut Look<'_>) {
    let entries: Vec<_> = mbr_entries(&look.head).collect();
    if entries.is_empty() || look.head.get(510..512) != Some(&[0x55, 0xaa]) {
        let detail = "neither a GPT nor an MBR";
        look.findings.add(Kind::TableMissing, "partition table", Some(0), detail);
        return;
    }
    look.claims.add(range(RangeKind::Table, "MBR", 0, SECTOR_BYTES, ""));
    for (number, kind, first, sectors) in entries {
        let (offset, length) = (first * SECTOR_BYTES, sectors * SECTOR_BYTES);
        partition(look, number, format!("p{number}"), format!("MBR type {kind:02x}"), offset, length);
    }
    look.report.table = Some(TableReport { kind: "mbr", copies: vec![], differences: vec![] });
    overlaps(look);
}

fn gpt(look: &mut Look<'_>, image: &gpt::Image) {
    const REGION: &str = "partition table";
    let last = Lba(image.disk_sectors - 1);
    let mut backup = (last, image.backup.clone());
    // On a medium that is larger than the image, the copy lies where the first one says.
    if let (Ok(primary), Err(_)) = (&image.primary, &image.backup) {
        let other = primary.header.other;
        if other != last
            && let Ok(Ok(copy)) = TableCopy::read_at(&mut Cursor::new(look.source), other)
        {
            backup = (other, Ok(copy));
        }
        if other.0 >= image.disk_sectors {
            let wanted = other.0.saturating_add(1);
            let detail = format!("the table wants {wanted} sectors, there are {}", image.disk_sectors);
            look.findings.add(Kind::Truncated, REGION, Some(look.source.size_bytes()), detail);
        }
    }
    let backup_at = Some(backup.0.bytes());
    for copy in [&image.primary, &backup.1] {
        if let Err(e @ CopyError::Unreadable(at, _)) = copy {
            look.unreadable(REGION, at.bytes(), e);
        }
    }
    match (&image.primary, &backup.1) {
        (Err(a), Err(b)) => {
            look.findings.add(Kind::TableDamaged, REGION, Some(SECTOR_BYTES), format!("{a}; {b}"));
        }
        (Err(e), _) => look.findings.add(Kind::TablePrimary, REGION, Some(SECTOR_BYTES), e.to_string()),
        (_, Err(e)) => look.findings.add(Kind::TableBackup, REGION, backup_at, e.to_string()),
        (Ok(_), Ok(_)) => {}
    }
    if backup.0 != last && backup.1.is_ok() {
        let detail = format!("it is at {}, the last sector is {}", backup.0, last.0);
        look.findings.add(Kind::TableBackupPlace, REGION, backup_at, detail);
    }
    mbr_of_gpt(look, image);
    let mut differences = Vec::new();
    if let (Ok(a), Ok(b)) = (&image.primary, &backup.1) {
        differences = differ(a, b);
        if let Some(first) = differences.first() {
            look.findings.add(Kind::TableCopies, REGION, backup_at, first.clone());
        }
    }
    let copies = [(Lba(1), &image.primary), (backup.0, &backup.1)];
    for (name, (at, copy)) in ["primary GPT", "backup GPT"].into_iter().zip(copies) {
        let Ok(copy) = copy else { continue };
        let h = &copy.header;
        // The protective MBR is a part of the first copy.
        let (start, sectors) = if at.0 == 1 { (Lba(0), 2) } else { (at, 1) };
        look.claims.add(range(
            RangeKind::Table,
            format!("{name} header"),
            start.bytes(),
            sectors * SECTOR_BYTES,
            "",
        ));
        let bytes = u64::from(h.entry_count) * u64::from(h.entry_bytes);
        let detail = format!("{} entries", h.entry_count);
        look.claims.add(range(RangeKind::Table, format!("{name} entries"), h.entries.bytes(), bytes, detail));
    }
    if let Ok(table) = image.primary.as_ref().or(backup.1.as_ref()) {
        let table = table.clone();
        partitions(look, &table);
    }
    let copies = copies.map(|(at, copy)| report::TableCopy {
        header_lba: at.0,
        entries_lba: copy.as_ref().ok().map(|c| c.header.entries.0),
        usable_lba: copy.as_ref().ok().map(|c| (c.header.first_usable.0, c.header.last_usable.0)),
        disk_guid: copy.as_ref().ok().map(|c| c.header.disk_guid.to_string()),
        damage: copy.as_ref().err().map(ToString::to_string),
    });
    look.report.table = Some(TableReport { kind: "gpt", copies: copies.to_vec(), differences });
}

fn mbr_of_gpt(look: &mut Look<'_>, image: &gpt::Image) {
    let entry = &image.mbr.entry;
    let length = u64::from(u32::from_le_bytes([entry[12], entry[13], entry[14], entry[15]]));
    // On a larger medium than the image it covers the image only; that is for the table to say.
    let wanted = image.primary.as_ref().map_or(image.disk_sectors - 1, |p| p.header.other.0.max(1));
    let mut problems = Vec::new();
    if image.mbr.signature != [0x55, 0xaa] {
        problems.push("no 55 AA at its end".to_owned());
    }
    if entry[4] != 0xee || entry[8..12] != [1, 0, 0, 0] {
        problems.push("its first entry is not of type EE at sector 1".to_owned());
    } else if ![wanted, image.disk_sectors - 1, u64::from(u32::MAX)].contains(&length) {
        problems.push(format!("it covers {length} sectors, not {wanted}"));
    }
    if !problems.is_empty() {
        look.findings.add(Kind::TableMbr, "partition table", Some(446), problems.join("; "));
    }
}

fn differ(a: &TableCopy, b: &TableCopy) -> Vec<String> {
    let (x, y) = (&a.header, &b.header);
    let mut all = Vec::new();
    let pairs = [
        ("first usable sector", x.first_usable.0.to_string(), y.first_usable.0.to_string()),
        ("last usable sector", x.last_usable.0.to_string(), y.last_usable.0.to_string()),
        ("disk GUID", x.disk_guid.to_string(), y.disk_guid.to_string()),
    ];
    for (what, left, right) in pairs {
        if left != right {
            all.push(format!("{what}: {left} and {right}"));
        }
    }
    if a.partitions != b.partitions {
        let name = |copy: &TableCopy| {
            let names: Vec<_> =
                copy.partitions.iter().take(8).map(|(n, p)| format!("{n} `{}`", p.name)).collect();
            names.join(", ")
        };
        all.push(format!("partitions: {} and {}", name(a), name(b)));
    }
    all
}

fn partitions(look: &mut Look<'_>, table: &TableCopy) {
    const REGION: &str = "partition table";
    let h = &table.header;
    let entries_at = Some(h.entries.bytes());
    for (i, (number, p)) in table.partitions.iter().enumerate() {
        let label = format!("{number} `{}`", p.name);
        if p.last < p.first || p.first < h.first_usable || p.last > h.last_usable {
            let detail = format!(
                "{label} is {} to {}, usable is {} to {}",
                p.first.0, p.last.0, h.first_usable.0, h.last_usable.0
            );
            look.findings.add(Kind::PartitionOutside, REGION, entries_at, detail);
        }
        if !p.name.is_empty() && table.partitions[..i].iter().any(|(_, o)| o.name == p.name) {
            look.findings.add(Kind::PartitionName, REGION, entries_at, format!("`{}` twice", p.name));
        }
        if p.last < p.first {
            continue;
        }
        let (offset, length) = (p.first.bytes(), p.size_sectors().saturating_mul(SECTOR_BYTES));
        let kind = TYPES.iter().find(|(guid, _)| *guid == p.type_guid);
        let kind = kind.map_or_else(|| p.type_guid.to_string(), |(_, words)| (*words).to_owned());
        partition(look, *number, p.name.clone(), kind, offset, length);
    }
    overlaps(look);
}

/// Partitions that lie over each other.
fn overlaps(look: &mut Look<'_>) {
    let mut sorted: Vec<_> =
        look.report.partitions.iter().map(|p| (p.offset_bytes, p.length_bytes, p.name.clone())).collect();
    sorted.sort();
    for pair in sorted.windows(2) {
        if pair[0].0.saturating_add(pair[0].1) > pair[1].0 {
            let detail = format!("`{}` and `{}`", pair[0].2, pair[1].2);
            look.findings.add(Kind::PartitionOverlap, pair[1].2.clone(), Some(pair[1].0), detail);
        }
    }
}

fn partition(look: &mut Look<'_>, number: u32, name: String, kind: String, offset: u64, length: u64) {
    let (end, size) = (offset.saturating_add(length), look.source.size_bytes());
    if end > size {
        let detail = format!("partition {number} `{name}` ends at byte {end}, the image at {size}");
        look.findings.add(Kind::Truncated, name.clone(), Some(size), detail);
    }
    look.report.partitions.push(PartitionReport {
        number,
        name,
        kind,
        offset_bytes: offset,
        length_bytes: length,
        filesystem: "unknown".to_owned(),
        label: None,
        not_listed: None,
        files: vec![],
    });
}

/// What is in each partition, by its first bytes; and whether the whole is one of Talos.
fn contents(look: &mut Look<'_>) {
    let names: Vec<&str> = look.report.partitions.iter().map(|p| p.name.as_str()).collect();
    look.talos = names.contains(&"META") || (names.contains(&"EFI") && names.contains(&"BOOT"));
    let mut left = look.options.scan_bytes;
    for i in 0..look.report.partitions.len() {
        let p = &look.report.partitions[i];
        let (offset, length) = (p.offset_bytes, p.length_bytes);
        let found = match filesystem::name(look.source, offset, length) {
            Some(name) => name,
            None => filesystem::zero_or_unknown(look.source, offset, length, &mut left),
        };
        look.report.partitions[i].filesystem = found.to_owned();
        if found == filesystem::UNREADABLE {
            let name = look.report.partitions[i].name.clone();
            look.unreadable(&name, offset, &"its first bytes cannot be read");
        }
    }
    if look.talos {
        let metas: Vec<_> = look.report.partitions.iter().filter(|p| p.name == "META").cloned().collect();
        for meta in metas.iter().filter(|m| m.length_bytes != MIB) {
            let detail = format!("it has {} bytes", meta.length_bytes);
            look.findings.add(Kind::MetaSize, "META", Some(meta.offset_bytes), detail);
        }
    }
    old_tables(look);
}

/// Headers of other tables in front of the partitions, which a tool may take for the right one.
fn old_tables(look: &mut Look<'_>) {
    let mine: Vec<u64> =
        look.report.table.iter().flat_map(|t| t.copies.iter().map(|c| c.header_lba)).collect();
    let first = look.report.partitions.iter().map(|p| p.offset_bytes).min().unwrap_or(0);
    for lba in 2..(look.head.len() as u64).min(first) / SECTOR_BYTES {
        if look.head[(lba * SECTOR_BYTES) as usize..].starts_with(b"EFI PART") && !mine.contains(&lba) {
            let detail = format!("sector {lba}");
            look.findings.add(Kind::OldTable, "gap", Some(lba * SECTOR_BYTES), detail);
        }
    }
}

/// The bytes of a partition, as far as they are there.
pub(crate) fn bytes_of(look: &Look<'_>, p: &PartitionReport, limit: u64) -> std::io::Result<Vec<u8>> {
    let there = look.source.size_bytes().saturating_sub(p.offset_bytes).min(p.length_bytes).min(limit);
    source::bytes(look.source, p.offset_bytes, there as usize)
}
