// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The tree of files to be stored, and the directory entries of its names.

use std::collections::{BTreeMap, BTreeSet};

use super::FatError;

/// Bytes of a directory entry.
pub(super) const ENTRY_BYTES: usize = 32;
/// UTF-16 units of a name in one long-name entry.
const LONG_UNITS: usize = 13;

const ATTRIBUTE_VOLUME: u8 = 0x08;
const ATTRIBUTE_DIRECTORY: u8 = 0x10;
const ATTRIBUTE_ARCHIVE: u8 = 0x20;
const ATTRIBUTE_LONG_NAME: u8 = 0x0F;

/// 1980-01-01, the first date that FAT knows; its time of day is 0.
const DATE: u16 = 1 << 5 | 1;

/// A name in upper case, which is how FAT compares: sorted by it, the image does not depend on the order
/// in which files were given.
type Folded = String;

pub(super) enum Node<'a> {
    File(&'a [u8]),
    Directory(Directory<'a>),
}

#[derive(Default)]
pub(super) struct Directory<'a> {
    pub children: BTreeMap<Folded, (&'a str, Node<'a>)>,
}

/// What an entry stands for.
#[derive(Clone, Copy)]
pub(super) enum Target {
    Volume,
    Directory { cluster: u32 },
    File { cluster: u32, size_bytes: u32 },
}

impl<'a> Directory<'a> {
    /// Adds a file, and the directories above it.
    pub fn add(&mut self, path: &'a str, bytes: &'a [u8]) -> Result<(), FatError> {
        let duplicate = || FatError::Duplicate(path.to_owned());
        let (mut directory, mut rest) = (self, path);
        loop {
            let (name, below) = match rest.split_once('/') {
                Some((name, below)) => (name, Some(below)),
                None => (rest, None),
            };
            if !name_allowed(name) {
                return Err(FatError::Path(path.to_owned()));
            }
            let folded = name.to_ascii_uppercase();
            let Some(below) = below else {
                let former = directory.children.insert(folded, (name, Node::File(bytes)));
                return if former.is_some() { Err(duplicate()) } else { Ok(()) };
            };
            let new = || (name, Node::Directory(Directory::default()));
            match directory.children.entry(folded).or_insert_with(new) {
                (_, Node::Directory(child)) => (directory, rest) = (child, below),
                (_, Node::File(_)) => return Err(duplicate()),
            }
        }
    }

    /// Names with their short names, in entry order.
    pub fn short_names(&self) -> Vec<(&'a str, [u8; 11])> {
        let mut taken = BTreeSet::new();
        // Names that are short as they stand keep that name, so they choose first.
        let fixed = self.children.keys().filter_map(|folded| plain_short_name(folded));
        taken.extend(fixed);
        let mut names = Vec::with_capacity(self.children.len());
        for (folded, (name, _)) in &self.children {
            let short = plain_short_name(folded).unwrap_or_else(|| numbered_short_name(folded, &mut taken));
            names.push((*name, short));
        }
        names
    }

    /// Number of entries of the directory's children, long-name entries included.
    pub fn entry_count(&self) -> usize {
        self.short_names().iter().map(|(name, short)| 1 + long_entries(name, short)).sum()
    }
}

fn name_allowed(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'+' | b'.');
    !name.is_empty()
        && name.len() <= 255
        && name.bytes().all(allowed)
        && !name.starts_with('.')
        && !name.ends_with('.')
}

/// The 8.3 form of a name that has one without loss.
fn plain_short_name(folded: &str) -> Option<[u8; 11]> {
    let (base, extension) = folded.rsplit_once('.').unwrap_or((folded, ""));
    let fits = base.len() <= 8 && extension.len() <= 3 && !base.contains('.') && !folded.contains('+');
    fits.then(|| short_name(base, extension))
}

/// `BASENA~1EXT`, with the first number that is free.
fn numbered_short_name(folded: &str, taken: &mut BTreeSet<[u8; 11]>) -> [u8; 11] {
    let (base, extension) = folded.rsplit_once('.').unwrap_or((folded, ""));
    let plain = |text: &str| text.replace('.', "").replace('+', "_");
    let (base, extension) = (plain(base), plain(extension));
    // Every name takes one, so among that many plus one there is a free number.
    let candidates = (1..=taken.len() + 1).map(|number| {
        let tail = format!("~{number}");
        let kept = base.len().min(8 - tail.len().min(8));
        short_name(&(base[..kept].to_owned() + &tail), &extension[..extension.len().min(3)])
    });
    let free =
        candidates.into_iter().find(|c| !taken.contains(c)).unwrap_or_else(|| unreachable!("one is free"));
    taken.insert(free);
    free
}

fn short_name(base: &str, extension: &str) -> [u8; 11] {
    let mut name = [b' '; 11];
    name[..base.len()].copy_from_slice(base.as_bytes());
    name[8..8 + extension.len()].copy_from_slice(extension.as_bytes());
    name
}

/// Whether the short name, printed, is the name itself.
fn is_short(name: &str, short: &[u8; 11]) -> bool {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    let (base, extension) = (text(&short[..8]), text(&short[8..]));
    name == if extension.is_empty() { base } else { format!("{base}.{extension}") }
}

fn long_entries(name: &str, short: &[u8; 11]) -> usize {
    if is_short(name, short) { 0 } else { name.encode_utf16().count().div_ceil(LONG_UNITS) }
}

/// Appends the entries of one child: long-name entries, last part first, then the short one.
pub(super) fn push_entries(out: &mut Vec<u8>, name: &str, short: &[u8; 11], target: Target) {
    let checksum = short.iter().fold(0_u8, |sum, &b| sum.rotate_right(1).wrapping_add(b));
    let units: Vec<u16> = name.encode_utf16().collect();
    let parts = long_entries(name, short);
    for part in (0..parts).rev() {
        let last = if part + 1 == parts { 0x40 } else { 0 };
        // After the name a zero, then ones.
        let unit = |i| {
            units.get(part * LONG_UNITS + i).copied().unwrap_or(match part * LONG_UNITS + i {
                at if at == units.len() => 0,
                _ => 0xFFFF,
            })
        };
        let mut entry = [0; ENTRY_BYTES];
        entry[0] = (part + 1) as u8 | last;
        entry[11] = ATTRIBUTE_LONG_NAME;
        entry[13] = checksum;
        let places = (1..11).step_by(2).chain((14..26).step_by(2)).chain([28, 30]);
        for (i, at) in places.enumerate() {
            entry[at..at + 2].copy_from_slice(&unit(i).to_le_bytes());
        }
        out.extend_from_slice(&entry);
    }
    push_short(out, short, target);
}

/// Appends one short entry.
pub(super) fn push_short(out: &mut Vec<u8>, short: &[u8; 11], target: Target) {
    let (attributes, cluster, size_bytes) = match target {
        Target::Volume => (ATTRIBUTE_VOLUME, 0, 0),
        Target::Directory { cluster } => (ATTRIBUTE_DIRECTORY, cluster, 0),
        Target::File { cluster, size_bytes } => (ATTRIBUTE_ARCHIVE, cluster, size_bytes),
    };
    let mut entry = [0; ENTRY_BYTES];
    entry[..11].copy_from_slice(short);
    entry[11] = attributes;
    for at in [16, 18, 24] {
        entry[at..at + 2].copy_from_slice(&DATE.to_le_bytes()); // created, read, written
    }
    entry[20..22].copy_from_slice(&((cluster >> 16) as u16).to_le_bytes());
    entry[26..28].copy_from_slice(&(cluster as u16).to_le_bytes());
    entry[28..32].copy_from_slice(&size_bytes.to_le_bytes());
    out.extend_from_slice(&entry);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short_names(names: &[&str]) -> Vec<String> {
        let mut directory = Directory::default();
        for name in names {
            directory.children.insert(name.to_ascii_uppercase(), (name, Node::File(&[])));
        }
        directory.short_names().iter().map(|(_, short)| String::from_utf8_lossy(short).into_owned()).collect()
    }

    #[test]
    fn short_names_are_unique() {
        let names = short_names(&[
            "rk3588s-a.dtb",
            "rk3588s-b.dtb",
            "rk3588",
            "x.y.z",
            "a+b",
            "a.html",
            "BOOTAA64.EFI",
        ]);
        assert_eq!(
            names,
            [
                "A_B~1      ",
                "A~1     HTM",
                "BOOTAA64EFI",
                "RK3588     ",
                "RK3588~1DTB",
                "RK3588~2DTB",
                "XY~1    Z  "
            ]
        );
    }

    #[test]
    fn only_other_names_need_long_entries() {
        let count = |name: &str, short: &[u8; 11]| long_entries(name, short);
        assert_eq!(count("BOOTAA64.EFI", b"BOOTAA64EFI"), 0);
        assert_eq!(count("EFI", b"EFI        "), 0);
        assert_eq!(count("dtb", b"DTB        "), 1);
        assert_eq!(count("rk3588s-nanopi-m6.dtb", b"RK3588~1DTB"), 2);
    }
}
