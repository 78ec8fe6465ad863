// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Unified kernel images: an EFI program with kernel, initramfs and command line as sections, as Talos installs with
//! systemd-boot and as this project's installer image carries one.

use fw_image::uki::Uki;

use crate::finding::Kind;
use crate::look::{Inspector, Look};
use crate::pe::{self, Program};
use crate::report::{EfiProgram, SectionReport};

/// Sections that are text (UAPI specification "Unified Kernel Image").
const TEXTS: [&str; 4] = [".osrel", ".cmdline", ".uname", ".sbat"];
/// What is shown of a text.
const TEXT_BYTES: usize = 400;

/// The sections of a unified kernel image; none of any other program.
pub(crate) fn sections(bytes: &[u8], program: &Program) -> Vec<SectionReport> {
    if !program.sections.iter().any(|s| s == ".linux") {
        return vec![];
    }
    let Ok(uki) = Uki::parse(bytes) else { return vec![] };
    uki.all_sections()
        .map(|(name, data)| SectionReport {
            name: name.to_owned(),
            size_bytes: data.len() as u64,
            text: TEXTS.contains(&name).then(|| text(name, data)),
        })
        .collect()
}

/// The whole text on one line; of `os-release` the line for people.
fn text(name: &str, data: &[u8]) -> String {
    let all = String::from_utf8_lossy(&data[..data.len().min(TEXT_BYTES)]);
    let all = all.trim_matches(['\0', '\n']);
    let pretty = all.lines().find_map(|l| l.strip_prefix("PRETTY_NAME="));
    let line = match (name, pretty) {
        (".osrel", Some(pretty)) => pretty.trim_matches('"'),
        (".sbat", _) => all.lines().next().unwrap_or_default(),
        _ => all,
    };
    line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Looks at an EFI program that is a file alone; says what it is.
pub(crate) fn alone(look: &mut Look<'_>, bytes: &[u8], inspector: &mut Inspector) -> String {
    let Some(program) = pe::parse(bytes) else { return String::new() };
    let (kind, detail) = pe::kind(bytes, &program);
    if kind == "uki" {
        content(look, bytes, inspector);
    }
    let words = format!("{kind}{}", if program.arm64 { "" } else { ", not for arm64" });
    look.report.efi_programs.push(EfiProgram {
        path: String::new(),
        kind,
        detail,
        sections: sections(bytes, &program),
    });
    words
}

/// Kernel and initramfs of a unified kernel image, held against each other.
fn content(look: &mut Look<'_>, bytes: &[u8], inspector: &mut Inspector) {
    let uki = match Uki::parse(bytes) {
        Ok(uki) => uki,
        Err(e) => return look.findings.add(Kind::KernelDamaged, "file", Some(0), e.to_string()),
    };
    let Ok(linux) = uki.section(".linux") else { return };
    let kernel = inspector.kernel(linux);
    let mut report = kernel.report();
    ".linux".clone_into(&mut report.path);
    look.report.kernels.push(report);
    if let Some((kind, detail)) = &kernel.fault {
        look.findings.add(*kind, ".linux", None, detail.clone());
    }
    if let Ok(initrd) = uki.section(".initrd") {
        let userland = inspector.userland(initrd, Some(&kernel));
        let mut report = userland.report.clone();
        ".initrd".clone_into(&mut report.path);
        look.report.initramfs.push(report);
        for (kind, detail) in &userland.findings {
            look.findings.add(*kind, ".initrd", None, detail.clone());
        }
    }
}
