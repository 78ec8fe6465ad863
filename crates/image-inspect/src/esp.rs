// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The EFI partition: its files, the program that U-Boot starts, and the device tree that it hands to the kernel.

use fw_image::fat::{Entry, Volume};
use fw_image::fdt::Tree;
use fw_image::window::Window;

use crate::finding::Kind;
use crate::look::{Look, range, sha256};
use crate::report::{DtbReport, EfiProgram, FileReport, PartitionReport, RangeKind};
use crate::source::Cursor;
use crate::{pe, uki};

/// The removable media path for aarch64 (UEFI 2.10, 3.5.1.1).
const PROGRAM: &str = "EFI/BOOT/BOOTAA64.EFI";
/// Where U-Boot looks for a device tree, in order (`efi_get_distro_fdt_name`, lib/efi_loader/efi_fdt.c).
const TREE_FOLDERS: [&str; 4] = ["dtb/", "", "dtb/current/", "dtbs/"];
/// Files that are read, all together.
const READ_BYTES: u64 = 512 << 20;
/// After so many files that cannot be read no further ones are tried.
const MAX_BAD_FILES: usize = 16;
/// Pieces of files in the map: a table made for it has millions.
const MAX_PIECES: usize = 16_384;

pub(crate) fn look(look: &mut Look<'_>) {
    let Some(index) = partition(look) else {
        if look.talos {
            let names: Vec<&str> = look.report.partitions.iter().map(|p| p.name.as_str()).collect();
            look.findings.add(Kind::EspMissing, "EFI", None, format!("there are {}", names.join(", ")));
        }
        return;
    };
    let p = look.report.partitions[index].clone();
    let window = Window::new(Cursor::new(look.source), p.offset_bytes, p.length_bytes);
    let files = Volume::open(window).and_then(|mut volume| {
        let label = volume.label().to_owned();
        let entries = volume.list()?;
        Ok((volume, label, entries))
    });
    let (mut volume, label, entries) = match files {
        Ok(files) => files,
        Err(e) => {
            look.report.partitions[index].not_listed = Some(e.to_string());
            look.findings.add(Kind::EspFilesystem, p.name, Some(p.offset_bytes), e.to_string());
            return;
        }
    };
    let mut contents = Vec::new();
    let (mut left, mut bad) = (READ_BYTES, 0);
    for entry in entries.iter().filter(|e| !e.directory) {
        // To follow the chain of each file of a hostile table takes hours.
        if bad == MAX_BAD_FILES {
            break;
        }
        match volume.read(entry, left) {
            Ok(bytes) => {
                left -= bytes.len() as u64;
                contents.push((entry, bytes));
            }
            Err(e) => {
                bad += 1;
                let at =
                    volume.extents(entry).ok().and_then(|x| x.first().map(|(at, _)| p.offset_bytes + at));
                look.findings.add(
                    Kind::EspFilesystem,
                    p.name.clone(),
                    at.or(Some(p.offset_bytes)),
                    e.to_string(),
                );
            }
        }
    }
    let report = &mut look.report.partitions[index];
    report.label = Some(label);
    report.files = contents.iter().map(|(entry, bytes)| file_report(entry, bytes)).collect();
    let place =
        |entry: &Entry| volume.extents(entry).ok().and_then(|x| x.first().map(|(at, _)| p.offset_bytes + at));
    let places: Vec<Option<u64>> = contents.iter().map(|(entry, _)| place(entry)).collect();
    let all = look.parts.entry(p.name.clone()).or_default();
    for (entry, _) in &contents {
        let pieces = volume.extents(entry).unwrap_or_default();
        let parts = pieces
            .iter()
            .take(64.min(MAX_PIECES.saturating_sub(all.len())))
            .map(|(at, n)| range(RangeKind::File, &*entry.path, p.offset_bytes + at, *n, ""));
        all.extend(parts);
    }
    for (i, (entry, bytes)) in contents.iter().enumerate() {
        let path = &entry.path;
        if path.to_ascii_lowercase().ends_with(".efi") {
            program(look, path, bytes, places[i]);
        }
    }
    if look.talos {
        if !contents.iter().any(|(e, _)| e.path.eq_ignore_ascii_case(PROGRAM)) {
            look.findings.add(Kind::EfiProgramMissing, p.name.clone(), Some(p.offset_bytes), PROGRAM);
        }
        let files: Vec<(&str, &[u8], Option<u64>)> =
            contents.iter().zip(&places).map(|((e, b), at)| (e.path.as_str(), b.as_slice(), *at)).collect();
        trees(look, &p, &files);
    }
}

fn file_report(entry: &Entry, bytes: &[u8]) -> FileReport {
    let sha256 = Some(fw_image::hex(&sha256(bytes)));
    FileReport { path: entry.path.clone(), size_bytes: entry.size_bytes, sha256 }
}

/// The EFI partition: by its type, else by its name.
fn partition(look: &Look<'_>) -> Option<usize> {
    let all = &look.report.partitions;
    all.iter().position(|p| p.kind == "EFI system").or_else(|| all.iter().position(|p| p.name == "EFI"))
}

fn program(look: &mut Look<'_>, path: &str, bytes: &[u8], at: Option<u64>) {
    let first = path.eq_ignore_ascii_case(PROGRAM);
    let Some(found) = pe::parse(bytes) else {
        if first {
            look.findings.add(Kind::EfiProgramWrong, path, at, "it is no EFI program");
        }
        return;
    };
    let (kind, detail) = pe::kind(bytes, &found);
    if first && !found.arm64 {
        look.findings.add(Kind::EfiProgramWrong, path, at, "it is for another processor");
    }
    if first && look.talos && kind == "systemd-boot" {
        look.findings.add(Kind::SdBoot, path, at, detail.clone().unwrap_or_default());
    }
    if first && kind == "grub" {
        prefix(look, path, at, detail.as_deref());
    }
    look.report.efi_programs.push(EfiProgram {
        path: path.to_owned(),
        kind,
        detail,
        sections: uki::sections(bytes, &found),
    });
}

/// GRUB's core image has its prefix in it: `(,gpt3)/grub`, the partition by number.
fn prefix(look: &mut Look<'_>, path: &str, at: Option<u64>, detail: Option<&str>) {
    let number = detail.and_then(|d| d.strip_prefix("(,gpt")?.split(')').next()?.parse::<u32>().ok());
    let boot = look.report.partitions.iter().find(|p| p.name == "BOOT").map(|p| p.number);
    if let (Some(number), Some(boot)) = (number, boot)
        && number != boot
    {
        let detail = format!("it looks at partition {number}, BOOT is {boot}");
        look.findings.add(Kind::GrubPrefix, path, at, detail);
    }
}

fn trees(look: &mut Look<'_>, p: &PartitionReport, files: &[(&str, &[u8], Option<u64>)]) {
    let from_u_boot = look.report.fits.first().and_then(|fit| fit.default_fdt_file.clone());
    let Some(name) = from_u_boot.or_else(|| look.expect.dtb.clone()) else { return };
    let wanted: Vec<String> = TREE_FOLDERS.iter().map(|folder| format!("{folder}{name}")).collect();
    let mut taken = None;
    for path in &wanted {
        taken = taken.or_else(|| files.iter().position(|(found, ..)| found.eq_ignore_ascii_case(path)));
    }
    let is_tree = |path: &str| path.to_ascii_lowercase().ends_with(".dtb");
    for (i, (path, bytes, at)) in files.iter().enumerate().filter(|(_, (path, ..))| is_tree(path)) {
        let is_taken = taken == Some(i);
        let tree = Tree::parse(bytes);
        let facts = tree.as_ref().map(|t| (t.model().ok(), t.compatible().unwrap_or_default()));
        let (model, compatible) = facts.unwrap_or_default();
        if is_taken {
            match &tree {
                Err(e) => look.findings.add(Kind::DtbDamaged, *path, *at, e.to_string()),
                Ok(_) => board(look, path, *at, model.as_deref(), &compatible),
            }
        }
        look.report.device_trees.push(DtbReport {
            path: (*path).to_owned(),
            model,
            compatible,
            taken: is_taken,
        });
    }
    if taken.is_none() {
        let (kind, detail) = match look.report.device_trees.first() {
            Some(other) => {
                (Kind::DtbName, format!("`{}` is there, U-Boot looks for `{}`", other.path, wanted[0]))
            }
            None => (Kind::DtbMissing, format!("U-Boot looks for `{}`", wanted[0])),
        };
        look.findings.add(kind, p.name.clone(), Some(p.offset_bytes), detail);
    }
}

fn board(look: &mut Look<'_>, path: &str, at: Option<u64>, model: Option<&str>, compatible: &[String]) {
    // The board that the user means; else the one that U-Boot was built for.
    let of_u_boot = || look.report.fits.first().and_then(|fit| fit.compatible.first().cloned());
    let Some(wanted) = look.expect.compatible.clone().or_else(of_u_boot) else { return };
    if !compatible.contains(&wanted) {
        let detail = format!("`{}`, {}, not `{wanted}`", model.unwrap_or_default(), compatible.join(" "));
        look.findings.add(Kind::DtbOtherBoard, path, at, detail);
    }
}
