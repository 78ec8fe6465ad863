// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Compares an image of ours with one that Talos's imager made of the same parts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use fs_err as fs;
use fw_build::key::sha256_bytes;
use fw_build::{Failure, Result};
use fw_image::xfs::EntryKind;
use fw_image::{fat, lba};

use crate::inputs::{Inputs, Subject, boot, partition};
use crate::line::{Line, numbers};
use crate::report::{Broken, Check, Status};
use crate::session::make_image;
use crate::tools::Tools;

/// Name of the check.
const NAME: &str = "imager";

/// Differences that are meant, with their reasons. One that is not seen in a run is as wrong as one that is not here.
pub const MEANT: [(&str, &str); 3] = [
    ("BOOT: mode of grub", "0755 here, 0700 there: the one file in it, `grub.cfg`, has mode 0600 in both"),
    (
        "EFI: efi/boot/bootaa64.efi",
        "GRUB of the same modules and `search_label`, with the prefix `(,gpt3)/grub` and not `(hd0,gpt3)/grub`: the disk \
         that U-Boot started from is not always the first of a board with eMMC, SD card and NVMe",
    ),
    (
        "EFI: volume number",
        "derived from the label here; there, the number that `mkfs.vfat --invariant` gives to every volume",
    ),
];

/// Only the self-test image has it, and it is no image of Talos (`docs/bringup.md`).
const SELF_TEST_REPORT: &str = "EFI: bringup-report.json";

/// Whether the line's imager makes disk images without root and loop devices: from v1.13 on.
pub fn is_rootless(line: &Line) -> bool {
    numbers(&line.release) >= vec![1, 13]
}

/// Has the imager make an image of our overlay, kernel and initramfs, and compares it with ours.
///
/// # Errors
/// The imager fails, or an image cannot be read.
pub fn check(program: &Path, inputs: &Inputs, subject: &Subject<'_>, dir: &Path) -> Result<Check> {
    let mut check = Check {
        check: NAME.to_owned(),
        status: Status::Absent,
        shows: "the whole imager makes the same image of our overlay, kernel and initramfs".to_owned(),
        problems: Vec::new(),
        broken: Vec::new(),
    };
    let (Some(_), Some(_), Some(modules)) = (subject.overlay, subject.systemd, subject.grub_modules) else {
        return Ok(check);
    };
    let tools = Tools::write(&dir.join("tools"), modules)?;
    let theirs = make_image(program, inputs, &tools, dir)?;
    let (mut ours, theirs) =
        (facts(&inputs.disk, subject.offset_sectors)?, facts(&theirs, subject.offset_sectors)?);
    ours.remove(SELF_TEST_REPORT);
    check.problems = unmeant(&ours, &theirs);
    for (input, fact, value) in [
        ("another loader", "disk: loader", Some("0")),
        ("another partition entry", "disk: primary entries", Some("0")),
        ("a byte in META", "META", Some("0")),
        ("a file more on EFI", "EFI: autorun.inf", Some("0")),
        ("another grub.cfg", "BOOT: grub/grub.cfg", Some("0")),
        ("no kernel", "BOOT: A/vmlinuz", None),
    ] {
        let mut altered = ours.clone();
        match value {
            Some(value) => altered.insert(fact.to_owned(), value.to_owned()),
            None => altered.remove(fact),
        };
        let found: Vec<String> =
            unmeant(&altered, &theirs).into_iter().filter(|p| !check.problems.contains(p)).collect();
        check.broken.push(Broken {
            input: input.to_owned(),
            caught: !found.is_empty(),
            how: found.join("; "),
        });
    }
    check
        .problems
        .extend(check.broken.iter().filter(|b| !b.caught).map(|b| format!("not caught: {}", b.input)));
    check.status = if check.problems.is_empty() { Status::Passed } else { Status::Failed };
    fs::remove_dir_all(&inputs.image)?;
    Ok(check)
}

/// Differences that are not meant, and meant ones that are not there.
fn unmeant(ours: &Facts, theirs: &Facts) -> Vec<String> {
    let mut names: Vec<&String> = ours.keys().chain(theirs.keys()).collect();
    names.sort();
    names.dedup();
    let differing: Vec<&String> = names.into_iter().filter(|n| ours.get(*n) != theirs.get(*n)).collect();
    let show = |value: Option<&String>| value.map_or("nothing", String::as_str).to_owned();
    let mut problems: Vec<String> = differing
        .iter()
        .filter(|name| MEANT.iter().all(|(meant, _)| *meant != name.as_str()))
        .map(|name| {
            format!("{name}: ours is {}, the imager's {}", show(ours.get(*name)), show(theirs.get(*name)))
        })
        .collect();
    for (meant, _) in MEANT.iter().filter(|(meant, _)| !differing.iter().any(|n| n.as_str() == *meant)) {
        problems.push(format!("{meant}: listed as different, and is the same"));
    }
    problems
}

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
        // FAT does not tell cases apart, and firmware does not, either.
        fact(format!("EFI: {}", path.to_lowercase()), sha256_bytes(&bytes));
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

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(meant: &str) -> Facts {
        let mut facts: Facts =
            [("META", "1"), ("disk: loader", "2")].map(|(k, v)| (k.into(), v.into())).into();
        facts.extend(MEANT.iter().map(|(name, _)| ((*name).to_owned(), meant.to_owned())));
        facts
    }

    #[test]
    fn only_what_is_listed_may_differ() {
        assert!(unmeant(&sample("ours"), &sample("theirs")).is_empty());
        let mut other = sample("theirs");
        other.insert("META".to_owned(), "3".to_owned());
        other.insert("EFI: new".to_owned(), "4".to_owned());
        let problems = unmeant(&sample("ours"), &other).join("\n");
        assert!(problems.contains("META: ours is 1, the imager's 3"), "{problems}");
        assert!(problems.contains("EFI: new: ours is nothing, the imager's 4"), "{problems}");
        // A list that is longer than the differences would hide the next one.
        let problems = unmeant(&sample("same"), &sample("same"));
        assert_eq!(problems.len(), MEANT.len(), "{problems:?}");
    }
}
