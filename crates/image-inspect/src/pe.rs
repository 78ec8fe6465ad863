// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The few facts of an EFI program that tell GRUB, systemd-boot and a unified kernel image apart.
//!
//! Format: Microsoft's PE specification, sections "MS-DOS stub", "COFF file header", "Section table".

use crate::look::{find, text_at};

/// `IMAGE_FILE_MACHINE_ARM64`.
const ARM64: u16 = 0xaa64;
/// No linker writes more.
const MAX_SECTIONS: u16 = 96;

/// What an EFI program is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub arm64: bool,
    pub sections: Vec<String>,
}

/// Reads the headers; `None`: not a PE file.
pub(crate) fn parse(bytes: &[u8]) -> Option<Program> {
    let half = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?));
    if !bytes.starts_with(b"MZ") {
        return None;
    }
    let start = u32::from_le_bytes(bytes.get(0x3c..0x40)?.try_into().ok()?) as usize;
    if bytes.get(start..start.checked_add(4)?)? != b"PE\0\0" {
        return None;
    }
    let sections_at = start + 24 + usize::from(half(start + 20)?);
    let count = half(start + 6)?.min(MAX_SECTIONS);
    let mut sections = Vec::new();
    for i in 0..usize::from(count) {
        bytes.get(sections_at + 40 * i..)?.first()?;
        sections.push(text_at(bytes, sections_at + 40 * i, 8));
    }
    Some(Program { arm64: half(start + 4)? == ARM64, sections })
}

/// `grub`, `systemd-boot`, `uki` or `other`, and the text that says so.
pub(crate) fn kind(bytes: &[u8], program: &Program) -> (&'static str, Option<String>) {
    if program.sections.iter().any(|s| s == ".linux") {
        return ("uki", None);
    }
    if let Some(at) = find(bytes, b"#### LoaderInfo: systemd-boot") {
        return ("systemd-boot", Some(text_at(bytes, at, 60)));
    }
    if let Some(at) = find(bytes, b"(,gpt") {
        return ("grub", Some(text_at(bytes, at, 60)));
    }
    if find(bytes, b"GRUB ").is_some() { ("grub", None) } else { ("other", None) }
}
