// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One line about an image or a medium: what a flasher shows before it overwrites it.

use std::io;

use fw_image::gpt;
use fw_image::lba::SECTOR_BYTES;

use crate::filesystem;
use crate::loader::{FIT_BYTES, IDBLOCK_BYTES, has_magic};
use crate::report::{Report, Shape};
use crate::shape::is_fit;
use crate::source::{self, Cursor, Source};
use crate::table::mbr_entries;

/// What is on a medium, in one line, from its first 32 MiB and the beginnings of its partitions: quick on a card.
/// For example `GPT with EFI, BIOS, BOOT, META (Talos), Rockchip loader at sector 64`, or `empty`.
///
/// # Errors
/// The medium cannot be read.
pub fn summary(source: &dyn Source) -> io::Result<String> {
    let size = source.size_bytes();
    if size < 2 * SECTOR_BYTES {
        return Ok("empty".to_owned());
    }
    let head = source::bytes(source, 0, size.min(32 << 20) as usize)?;
    let mut parts = Vec::new();
    let image = gpt::Image::read_worn(&mut Cursor::new(source))?;
    if let Some(table) = image.table() {
        let names: Vec<String> =
            table.partitions.iter().take(12).map(|(n, p)| named(source, *n, p)).collect();
        let all: Vec<&str> = table.partitions.iter().map(|(_, p)| p.name.as_str()).collect();
        let talos = if all.contains(&"META") && all.contains(&"EFI") {
            if all.contains(&"STATE") { " (Talos, installed)" } else { " (Talos)" }
        } else {
            ""
        };
        let more = if table.partitions.len() > 12 { ", …" } else { "" };
        parts.push(match names.len() {
            0 => "GPT without partitions".to_owned(),
            _ => format!("GPT with {}{more}{talos}", names.join(", ")),
        });
    } else if let Some(name) = filesystem::labelled(source, 0, size) {
        parts.push(format!("{name} without partition table"));
    } else if head.get(510..512) == Some(&[0x55, 0xaa]) && mbr_entries(&head).next().is_some() {
        parts.push(format!("MBR with {} partitions", mbr_entries(&head).count()));
    }
    match (has_magic(&head, IDBLOCK_BYTES), is_fit(&head, FIT_BYTES)) {
        (true, true) => parts.push("Rockchip loader at sector 64".to_owned()),
        (true, false) => parts.push("idblock at sector 64 without a FIT".to_owned()),
        (false, true) => parts.push("FIT at sector 16384 without an idblock".to_owned()),
        (false, false) => {}
    }
    if parts.is_empty() {
        parts.push(
            if head.iter().all(|b| *b == 0) { "empty (its first 32 MiB are zero)" } else { "unknown data" }
                .to_owned(),
        );
    }
    Ok(parts.join(", "))
}

/// A partition's name; without one its file system.
fn named(source: &dyn Source, number: u32, p: &gpt::Partition) -> String {
    if !p.name.is_empty() {
        return p.name.chars().filter(|c| !c.is_control()).collect();
    }
    let length = p.size_sectors().saturating_mul(SECTOR_BYTES);
    let name = filesystem::labelled(source, p.first.bytes(), length);
    let name = name.as_deref().unwrap_or("unknown");
    format!("p{number} ({name})")
}

/// The report's own line.
pub(crate) fn line(report: &Report) -> String {
    let mut parts = vec![report.shape.words().to_owned()];
    if report.shape == Shape::Disk {
        let names: Vec<&str> = report.partitions.iter().take(12).map(|p| p.name.as_str()).collect();
        if !names.is_empty() {
            parts.push(format!("partitions {}", names.join(" ")));
        }
    }
    if let Some(ddr) = report.idblocks.first().and_then(|i| i.ddr_version.as_ref()) {
        parts.push(format!("DDR blob {ddr}"));
    }
    if let Some(fit) = report.fits.first() {
        if let Some(version) = &fit.u_boot_version {
            parts.push(version.split(" (").next().unwrap_or(version).to_owned());
        }
        if let (Some(kind), Some(version)) = (fit.bl31_kind, &fit.bl31_version) {
            let version = version.split(':').next().unwrap_or(version);
            parts.push(format!("BL31 {kind} {version}"));
        }
        if let Some(model) = &fit.model {
            parts.push(format!("for {model}"));
        }
    }
    if let Some(release) = report.kernels.first().and_then(|k| k.release.as_ref()) {
        parts.push(format!("Linux {release}"));
    }
    if let Some(initramfs) = report.initramfs.first() {
        let version = initramfs.version.clone().unwrap_or_default();
        parts.push(format!("{} {version}", initramfs.userland.unwrap_or("userland")).trim_end().to_owned());
    }
    parts.join(", ")
}
