// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which file system a range begins with, by its magic numbers. Must not read more than its first 128 KiB.

use crate::source::{self, Source};

/// The furthest magic number, btrfs's, ends here.
const BEGIN_BYTES: u64 = 128 << 10;

/// Magic numbers: name, place, bytes. Places after each file system's own headers (`BTRFS_SUPER_INFO_OFFSET`,
/// `F2FS_SUPER_OFFSET`, ECMA-119 8.4, and so on).
const MAGICS: [(&str, usize, &[u8]); 13] = [
    ("xfs", 0, b"XFSB"),
    ("squashfs", 0, b"hsqs"),
    ("luks", 0, b"LUKS\xba\xbe"),
    ("ntfs", 3, b"NTFS    "),
    ("exfat", 3, b"EXFAT   "),
    ("f2fs", 1024, &[0x10, 0x20, 0xf5, 0xf2]),
    ("btrfs", 0x1_0040, b"_BHRfS_M"),
    ("iso9660", 0x8001, b"CD001"),
    ("swap", 4086, b"SWAPSPACE2"),
    ("lvm", 536, b"LVM2 001"),
    ("erofs", 1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
    ("android-boot", 0, b"ANDROID!"),
    ("rockchip-resource", 0, b"RSCE"),
];

/// The file system that begins at `offset`.
pub(crate) fn name(source: &dyn Source, offset: u64, length: u64) -> Option<&'static str> {
    let there = source.size_bytes().checked_sub(offset)?.min(length).min(BEGIN_BYTES);
    let begin = source::bytes(source, offset, there as usize).ok()?;
    let at = |place: usize, magic: &[u8]| begin.get(place..).is_some_and(|rest| rest.starts_with(magic));
    if let Some((name, ..)) = MAGICS.iter().find(|(_, place, magic)| at(*place, magic)) {
        return Some(name);
    }
    if at(1080, &[0x53, 0xef]) {
        // Extents (feature bit 0x40, incompatible) came with ext4, the journal (0x4, compatible) with ext3.
        let bits = |place: usize| begin.get(place).copied().unwrap_or_default();
        return Some(match (bits(1120) & 0x40 != 0, bits(1116) & 4 != 0) {
            (true, _) => "ext4",
            (false, true) => "ext3",
            (false, false) => "ext2",
        });
    }
    let fat = at(510, &[0x55, 0xaa]) && (at(54, b"FAT1") || at(82, b"FAT32"));
    if fat {
        return Some(if at(82, b"FAT32") { "fat32" } else { "fat16" });
    }
    (at(0, &fw_image::fdt::MAGIC.to_be_bytes())).then_some("device-tree or FIT")
}

/// Labels: file system, place, length (`struct xfs_dsb`, `struct ext4_super_block`, Microsoft's FAT specification).
const LABELS: [(&str, u64, usize); 6] = [
    ("xfs", 108, 12),
    ("ext2", 1144, 16),
    ("ext3", 1144, 16),
    ("ext4", 1144, 16),
    ("fat32", 71, 11),
    ("fat16", 43, 11),
];

/// The file system that begins at `offset` with its label, such as ``fat32 `CANON` ``.
pub(crate) fn labelled(source: &dyn Source, offset: u64, length: u64) -> Option<String> {
    let name = name(source, offset, length)?;
    let label = LABELS.iter().find(|(of, ..)| *of == name).and_then(|(_, place, length)| {
        let bytes = source::bytes(source, offset.checked_add(*place)?, *length).ok()?;
        let text = String::from_utf8_lossy(&bytes).trim_end_matches(['\0', ' ']).to_owned();
        (!text.is_empty() && !text.chars().any(char::is_control) && text != "NO NAME").then_some(text)
    });
    Some(label.map_or_else(|| name.to_owned(), |label| format!("{name} `{label}`")))
}

/// What [`zero_or_unknown`] says of a range that the medium does not give back.
pub(crate) const UNREADABLE: &str = "unreadable";

/// Whether a range is zero, as far as `left` bytes of reading can tell.
pub(crate) fn zero_or_unknown(source: &dyn Source, offset: u64, length: u64, left: &mut u64) -> &'static str {
    let end = offset.saturating_add(length).min(source.size_bytes());
    let mut at = offset;
    let mut buffer = vec![0; 64 << 10];
    while at < end {
        at = source.next_data(at).min(end);
        let block = &mut buffer[..((end - at).min(64 << 10)) as usize];
        if block.is_empty() {
            break;
        }
        if *left < block.len() as u64 {
            return "unread";
        }
        *left -= block.len() as u64;
        if source.read_at(at, block).is_err() {
            return UNREADABLE;
        }
        if block.iter().any(|b| *b != 0) {
            return "unknown";
        }
        at += block.len() as u64;
    }
    "zero"
}
