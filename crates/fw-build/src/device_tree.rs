// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The two commands that make a device tree out of its source, as the kernel's build runs them.
//!
//! The stage that ships the tree and the checks of the source share them. Must not know any tree's folders.

use std::path::{Path, PathBuf};

use crate::run::Cmd;

/// Where a device tree's source and what it includes are found.
#[derive(Debug, Clone)]
pub struct Sources {
    /// The C compiler whose preprocessor is used.
    pub gcc: PathBuf,
    /// Folders to look for included files in, in this order.
    pub includes: Vec<PathBuf>,
}

impl Sources {
    /// Preprocesses `source` into `out`.
    pub fn preprocess(&self, source: &Path, out: &Path) -> Cmd {
        let mut cmd = Cmd::new(&self.gcc)
            // As the kernel's cmd_dtc does: no host headers, no predefined macros (`linux` is a name in device
            // trees), comments and line markers as dtc understands them.
            .args(["-E", "-nostdinc", "-undef", "-D__DTS__", "-x", "assembler-with-cpp"]);
        for dir in &self.includes {
            cmd = cmd.arg("-I").arg(dir);
        }
        cmd.arg("-o").arg(out).arg(source)
    }
}

/// How much `dtc` complains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Warnings {
    /// As the kernel's build without `W=`: the SoC files would warn in the same way in the kernel's own build.
    Usual,
    /// As the kernel's build with `W=1`, which patches to device trees must pass.
    Extra,
}

/// What the kernel turns off without `W=1` (`scripts/Makefile.dtbs`; `interrupt_provider` in
/// `arch/arm64/boot/dts`'s own flags of older kernels).
const QUIET: [&str; 6] = [
    "unit_address_vs_reg",
    "avoid_unnecessary_addr_size",
    "graph_child_address",
    "interrupt_provider",
    "simple_bus_reg",
    "unique_unit_address",
];

/// Compiles the preprocessed `source` into `out`, with symbols for overlays.
pub fn compile(source: &Path, out: &Path, warnings: Warnings) -> Cmd {
    let mut cmd = Cmd::new("dtc")
        // -@: symbols for overlays; -b 0: boot CPU, as the kernel does.
        .args(["-@", "-b", "0", "-I", "dts", "-O", "dtb", "-o"])
        .arg(out);
    for check in QUIET {
        // `unique_unit_address` is off with W=1, too: pin controllers break it.
        if warnings == Warnings::Usual || check == "unique_unit_address" {
            cmd = cmd.arg(format!("-Wno-{check}"));
        }
    }
    cmd.arg(source)
}

/// Applies the compiled overlay to `base`, into `out`.
pub fn apply_overlay(base: &Path, overlay: &Path, out: &Path) -> Cmd {
    Cmd::new("fdtoverlay").arg("-i").arg(base).arg("-o").arg(out).arg(overlay)
}
