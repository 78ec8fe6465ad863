// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The BOOT partition: files, GRUB's configuration, and the kernels and initramfs files that its entries name.

use fw_image::grubcfg::{self, GrubError};
use fw_image::window::Window;
use fw_image::xfs::{EntryKind, FEATURES_INCOMPAT, Xfs};
use fw_image::{cmdline, lba};

use crate::claims::end;
use crate::finding::{Class, Kind};
use crate::look::{Inspector, Look, range, sha256};
use crate::report::{FileReport, GrubEntry, KernelReport, PartitionReport, RangeKind};
use crate::source::Cursor;

const CONFIG: &str = "grub/grub.cfg";
/// What the loader prints with; U-Boot's `CONFIG_BAUDRATE` on this board.
const BAUD: &str = "1500000";
/// A larger xfs is a data partition: its files are none of the boot's.
const MAX_BOOT_BYTES: u64 = 8 << 30;

/// Talos has two; more would cost a hostile image nothing and its reader minutes.
const SLOTS: usize = 8;

type Files<'a> = Xfs<Window<Cursor<'a>>>;

pub(crate) fn look(look: &mut Look<'_>, inspector: &mut Inspector) {
    for p in &mut look.report.partitions {
        let read = ["zero", "fat16", "fat32", "unknown"].contains(&p.filesystem.as_str()) || p.name == "BOOT";
        if !read && p.not_listed.is_none() {
            p.not_listed = Some(format!("files of {} are not read here", p.filesystem));
        }
    }
    if !look.talos {
        let others = look.report.partitions.iter().filter(|p| p.not_listed.is_some());
        let rows: Vec<_> = others.map(|p| (p.name.clone(), p.offset_bytes, p.filesystem.clone())).collect();
        for (name, at, filesystem) in rows {
            look.findings.add(Kind::NotRead, name, Some(at), filesystem);
        }
        return;
    }
    let Some(index) = look.report.partitions.iter().position(|p| p.name == "BOOT") else {
        // An image with systemd-boot or a unified kernel has its kernel on the EFI partition.
        if !look.report.efi_programs.iter().any(|e| matches!(e.kind, "systemd-boot" | "uki")) {
            look.findings.add(Kind::BootMissing, "BOOT", None, "no partition of that name");
        }
        return;
    };
    let p = look.report.partitions[index].clone();
    let (name, here) = (p.name.clone(), Some(p.offset_bytes));
    let window = Window::new(Cursor::new(look.source), p.offset_bytes, p.length_bytes.min(MAX_BOOT_BYTES));
    let opened = Xfs::open(window).and_then(|mut xfs| {
        let list = xfs.list()?;
        Ok((xfs, list))
    });
    let (mut xfs, list) = match opened {
        Ok(opened) => opened,
        Err(e) => {
            look.report.partitions[index].not_listed = Some(e.to_string());
            look.findings.add(Kind::BootFilesystem, name, here, e.to_string());
            return;
        }
    };
    let foreign = xfs.superblock().features_incompat & !FEATURES_INCOMPAT;
    if foreign != 0 {
        look.findings.add(Kind::BootFeatures, name, here, format!("incompatible features {foreign:#x}"));
    }
    look.report.partitions[index].label = Some(xfs.superblock().label.clone());
    for entry in list.iter().filter(|e| e.kind == EntryKind::File) {
        look.report.partitions[index].files.push(FileReport {
            path: entry.path.clone(),
            size_bytes: entry.size_bytes,
            sha256: None,
        });
    }
    configuration(look, inspector, &mut xfs, index, &p);
}

/// Reads a file of BOOT, notes its digest, and says where its first byte is.
fn read(
    look: &mut Look<'_>,
    xfs: &mut Files<'_>,
    index: usize,
    path: &str,
) -> Result<(Vec<u8>, u64), String> {
    let limit = look.options.file_bytes;
    let size = look.report.partitions[index].files.iter().find(|f| f.path == path).map(|f| f.size_bytes);
    if let Some(size) = size.filter(|size| *size > limit) {
        return Err(format!("`{path}` has {size} bytes, more than is read"));
    }
    let bytes = xfs.read(path).map_err(|e| e.to_string())?;
    let p = &mut look.report.partitions[index];
    let at = xfs.extents(path).ok().and_then(|x| x.first().map(|(at, _)| p.offset_bytes.saturating_add(*at)));
    if let Some(file) = p.files.iter_mut().find(|f| f.path == path) {
        file.sha256 = Some(fw_image::hex(&sha256(&bytes)));
    }
    Ok((bytes, at.unwrap_or(p.offset_bytes)))
}

fn configuration(
    look: &mut Look<'_>,
    inspector: &mut Inspector,
    xfs: &mut Files<'_>,
    index: usize,
    p: &PartitionReport,
) {
    let region = format!("BOOT: {CONFIG}");
    let (bytes, at) = match read(look, xfs, index, CONFIG) {
        Ok(found) => found,
        Err(e) => return look.findings.add(Kind::GrubConfigMissing, region, Some(p.offset_bytes), e),
    };
    let text = String::from_utf8_lossy(&bytes);
    let default = match grubcfg::parse(&text) {
        Ok(config) => config.entry(config.default).map(|e| e.name.clone()),
        Err(e) => {
            let kind = if matches!(e, GrubError::Defaults(_)) { Kind::GrubDefault } else { Kind::GrubForm };
            look.findings.add(kind, region.clone(), Some(at), e.to_string());
            None
        }
    };
    look.report.grub = entries(&text, default.as_deref());
    if look.report.grub.is_empty() {
        look.findings.add(Kind::GrubConfigMissing, region, Some(at), "it has no `menuentry`");
    }
    let mut done: Vec<(String, String)> = Vec::new();
    // The default first: files that it shares with others are looked at as its own.
    let mut entries = look.report.grub.clone();
    entries.sort_by_key(|e| !e.default);
    for entry in entries {
        if entry.name.starts_with("Reset") {
            continue;
        }
        arguments(look, &entry, at);
        let files = (entry.linux.clone(), entry.initrd.clone());
        if !done.contains(&files) && done.len() < SLOTS {
            done.push(files);
            slot(look, inspector, xfs, index, &entry);
        }
    }
}

/// The entries as GRUB would show them; also those that Talos would not understand.
fn entries(text: &str, default: Option<&str>) -> Vec<GrubEntry> {
    let mut all: Vec<GrubEntry> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("menuentry") {
            let name = rest.split(['"', '\'']).nth(1).unwrap_or_default().to_owned();
            let (default, linux, initrd, cmdline) = Default::default();
            all.push(GrubEntry { name, default, linux, initrd, cmdline });
        }
        let Some(entry) = all.last_mut() else { continue };
        if let Some(rest) = line.strip_prefix("linux ") {
            let (path, arguments) = rest.trim().split_once(' ').unwrap_or((rest.trim(), ""));
            (entry.linux, entry.cmdline) = (path.to_owned(), arguments.replace('\\', ""));
        } else if let Some(rest) = line.strip_prefix("initrd ") {
            entry.initrd = rest.trim().to_owned();
        }
        if all.len() > 64 {
            break;
        }
    }
    // By name or by number; GRUB starts the first entry where there is none of that name.
    let set = text.lines().filter_map(|l| l.trim().strip_prefix("set default=")).next_back();
    let wanted = default.unwrap_or_else(|| set.unwrap_or_default().trim_matches(['"', '\'']));
    let index = all.iter().position(|e| e.name == wanted).or_else(|| wanted.parse().ok()).unwrap_or(0);
    let starts = if index < all.len() { index } else { 0 };
    if let Some(entry) = all.get_mut(starts) {
        entry.default = true;
    }
    all
}

fn arguments(look: &mut Look<'_>, entry: &GrubEntry, at: u64) {
    let region = format!("BOOT: {CONFIG}");
    let words: Vec<&str> = entry.cmdline.split_whitespace().collect();
    let mut add = |kind, detail: String| look.findings.add(kind, region.clone(), Some(at), detail);
    let serial: Vec<&str> = words.iter().filter_map(|w| w.strip_prefix("console=ttyS2")).collect();
    if serial.is_empty() {
        let consoles: Vec<&str> = words.iter().filter(|w| w.starts_with("console=")).copied().collect();
        add(Kind::ConsoleMissing, format!("`{}` has {}", entry.name, consoles.join(" ")));
    }
    let wrong = serial.iter().find(|s| {
        let digits: String = s.trim_start_matches(',').chars().take_while(char::is_ascii_digit).collect();
        !s.is_empty() && digits != BAUD
    });
    if let Some(options) = wrong {
        add(Kind::ConsoleBaud, format!("`console=ttyS2{options}`"));
    }
    if !words.iter().any(|w| w.starts_with("talos.platform=")) {
        add(Kind::PlatformMissing, format!("`{}`", entry.name));
    }
    if entry.cmdline.len() > cmdline::MAX_BYTES {
        add(Kind::CmdlineLength, format!("{} bytes", entry.cmdline.len()));
    }
}

/// Kernel and initramfs of an entry.
fn slot(
    look: &mut Look<'_>,
    inspector: &mut Inspector,
    xfs: &mut Files<'_>,
    index: usize,
    entry: &GrubEntry,
) {
    let path = |p: &str| p.trim_start_matches('/').to_owned();
    let (linux, initrd) = (path(&entry.linux), path(&entry.initrd));
    let region = |p: &str| format!("BOOT: {p}");
    let start = look.report.partitions[index].offset_bytes;
    let kernel = match read(look, xfs, index, &linux) {
        Ok((bytes, at)) => {
            let kernel = inspector.kernel(&bytes);
            look.report.kernels.push(KernelReport { path: linux.clone(), ..kernel.report() });
            if let Some((kind, detail)) = &kernel.fault {
                add(look, entry, *kind, region(&linux), at, detail.clone());
            }
            Some(kernel)
        }
        Err(e) => {
            add(look, entry, Kind::GrubKernel, region(&linux), start, e);
            None
        }
    };
    match read(look, xfs, index, &initrd) {
        Ok((bytes, at)) => {
            let userland = inspector.userland(&bytes, kernel.as_deref());
            let mut report = userland.report.clone();
            report.path = initrd.clone();
            look.report.initramfs.push(report);
            for (kind, detail) in &userland.findings {
                add(look, entry, *kind, region(&initrd), at, detail.clone());
            }
        }
        Err(e) => add(look, entry, Kind::GrubInitramfs, region(&initrd), start, e),
    }
    claim(look, xfs, index, &[&linux, &initrd, CONFIG]);
}

/// A finding about what an entry names. What keeps another entry than the default from booting does not keep the disk
/// from it: on a node that was upgraded it is the slot before.
fn add(look: &mut Look<'_>, entry: &GrubEntry, kind: Kind, region: String, at: u64, detail: String) {
    if entry.default || kind.class() != Class::WillNotBoot {
        look.findings.add(kind, region, Some(at), detail);
    } else {
        let detail = format!("`{}`: {kind}: {detail}", entry.name);
        look.findings.add(Kind::GrubFallback, region, Some(at), detail);
    }
}

/// Files inside of the partition's range of the map.
fn claim(look: &mut Look<'_>, xfs: &mut Files<'_>, index: usize, paths: &[&str]) {
    let p = &look.report.partitions[index];
    let mut parts = Vec::new();
    for path in paths {
        let Ok(extents) = xfs.extents(path) else { continue };
        for (i, (at, length)) in extents.iter().take(64).enumerate() {
            let length = length.next_multiple_of(lba::SECTOR_BYTES);
            let detail = if extents.len() > 1 {
                format!("piece {} of {}", i + 1, extents.len())
            } else {
                String::new()
            };
            parts.push(range(RangeKind::File, *path, p.offset_bytes.saturating_add(*at), length, detail));
        }
    }
    parts.retain(|r| end(r) <= p.offset_bytes.saturating_add(p.length_bytes));
    look.parts.entry(p.name.clone()).or_default().extend(parts);
}
