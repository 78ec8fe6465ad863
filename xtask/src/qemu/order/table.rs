// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The table of the boot-order test: what lies in which slot, and what has to boot then. Data in
//! `boards/<board>.boot-order`: four words a line, `#` begins a comment.

use std::path::Path;

use fs_err as fs;
use fw_build::{Failure, Result};

/// A place for a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The card slot.
    Sd,
    /// M.2.
    Nvme,
    /// Soldered.
    Emmc,
}

impl Slot {
    /// All, in the order of the table's columns.
    pub const ALL: [Slot; 3] = [Slot::Sd, Slot::Nvme, Slot::Emmc];

    /// As in the table.
    pub fn name(self) -> &'static str {
        match self {
            Slot::Sd => "sd",
            Slot::Nvme => "nvme",
            Slot::Emmc => "emmc",
        }
    }
}

/// What is in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disk {
    /// Nothing.
    Absent,
    /// A blank disk.
    Empty,
    /// Our image's layout.
    Ours,
    /// Another system with an ESP and a BootOrder of its own.
    Foreign,
    /// A partition table with data, nothing that boots.
    ForeignData,
    /// Another system without ESP, started by `extlinux.conf`.
    ForeignExtlinux,
    /// An ESP whose program ends with an error.
    ForeignReturns,
    /// An ESP whose program is not one.
    ForeignBroken,
    /// A bootable disk with a damaged partition table.
    ForeignDamaged,
}

impl Disk {
    const ALL: [Disk; 9] = [
        Disk::Absent,
        Disk::Empty,
        Disk::Ours,
        Disk::Foreign,
        Disk::ForeignData,
        Disk::ForeignExtlinux,
        Disk::ForeignReturns,
        Disk::ForeignBroken,
        Disk::ForeignDamaged,
    ];

    /// As in the table.
    pub fn name(self) -> &'static str {
        match self {
            Disk::Absent => "absent",
            Disk::Empty => "empty",
            Disk::Ours => "ours",
            Disk::Foreign => "foreign",
            Disk::ForeignData => "foreign-data",
            Disk::ForeignExtlinux => "foreign-extlinux",
            Disk::ForeignReturns => "foreign-returns",
            Disk::ForeignBroken => "foreign-broken",
            Disk::ForeignDamaged => "foreign-damaged",
        }
    }
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// What is in the slots, by [`Slot::ALL`].
    pub disks: [Disk; 3],
    /// Which slot has to boot; `None`: U-Boot ends at its prompt.
    pub boots: Option<Slot>,
}

impl Case {
    /// `sd=ours nvme=foreign emmc=empty`.
    pub fn name(&self) -> String {
        let words: Vec<String> = Slot::ALL
            .iter()
            .zip(self.disks)
            .map(|(slot, disk)| format!("{}={}", slot.name(), disk.name()))
            .collect();
        words.join(" ")
    }
}

/// Reads the board's table.
///
/// # Errors
/// It cannot be read, has a word that is not known, a case twice, or lacks one of the 27 combinations of empty,
/// foreign and ours.
pub fn load(root: &Path, board: &str) -> Result<Vec<Case>> {
    let path = root.join("boards").join(format!("{board}.boot-order"));
    parse(&fs::read_to_string(&path)?)
        .map_err(|e| e.during(format!("the boot-order table `{}` is not valid", path.display())))
}

fn parse(text: &str) -> Result<Vec<Case>> {
    let mut cases: Vec<Case> = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        let at = |why: &str| Failure::new(format!("line {}: {why}", i + 1));
        let &[sd, nvme, emmc, boots] = words.as_slice() else {
            return Err(at("not four words: sd, nvme, emmc, what boots"));
        };
        let disk = |word: &str| {
            Disk::ALL
                .into_iter()
                .find(|d| d.name() == word)
                .ok_or_else(|| at(&format!("`{word}` is no disk")))
        };
        let disks = [disk(sd)?, disk(nvme)?, disk(emmc)?];
        let boots = match Slot::ALL.into_iter().find(|s| s.name() == boots) {
            Some(slot) => Some(slot),
            None if boots == "nothing" => None,
            None => return Err(at(&format!("`{boots}` is no slot, nor `nothing`"))),
        };
        if cases.iter().any(|c| c.disks == disks) {
            return Err(at("this case is there already"));
        }
        cases.push(Case { disks, boots });
    }
    let main = [Disk::Empty, Disk::Foreign, Disk::Ours];
    for sd in main {
        for nvme in main {
            for emmc in main {
                let disks = [sd, nvme, emmc];
                if !cases.iter().any(|c| c.disks == disks) {
                    let missing = Case { disks, boots: None };
                    return Err(Failure::new(format!("no line for {}", missing.name())));
                }
            }
        }
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../../../boards/nanopi-m6.boot-order");

    fn refused(from: &str, to: &str) -> String {
        assert!(TEXT.contains(from), "{from}");
        parse(&TEXT.replacen(from, to, 1)).expect_err("must be refused").to_string()
    }

    #[test]
    fn the_boards_table_is_whole() {
        let cases = parse(TEXT).expect("valid");
        assert!(cases.len() > 27);
        // No foreign disk anywhere may keep our card from booting.
        for case in cases.iter().filter(|c| c.disks[0] == Disk::Ours) {
            assert_eq!(case.boots, Some(Slot::Sd), "{}", case.name());
        }
    }

    #[test]
    fn must_fail_01_words() {
        let gone = refused("ours             absent ", "ours             gone ");
        assert!(gone.contains("`gone` is no disk"), "{gone}");
        let floppy = refused("empty    empty    empty    nothing", "empty    empty    empty    floppy");
        assert!(floppy.contains("`floppy` is no slot"), "{floppy}");
        assert!(
            parse("ours ours sd\n").expect_err("three words").to_string().contains("line 1: not four words")
        );
    }

    #[test]
    fn must_fail_02_missing_and_double_cases() {
        assert!(refused("ours     foreign  ours ", "absent ours absent ").contains("no line for"));
        assert!(
            refused("empty    empty    foreign ", "empty    empty    ours ").contains("this case is there")
        );
    }
}
