// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Unified kernel images: systemd-stub with kernel, initramfs and command line as PE sections.
//!
//! A Talos installer image from v1.10 on has its kernel only in this form; at an upgrade Talos takes `.linux`,
//! `.initrd` and `.cmdline` out of it again, and GRUB starts these. Facts: `talos/internal/pkg/uki` and its `pe/native.go`,
//! UAPI.5 (Unified Kernel Image), PE/COFF specification. Nothing is signed or measured here.

mod parts;
mod pe;

pub use parts::{Parts, os_release};
pub use pe::{Section, Stub, Uki, assemble};

/// Names of sections that are a UKI's and not its stub's (UAPI.5, and systemd's `uki.h`).
pub const SECTION_NAMES: [&str; 14] = [
    ".linux", ".osrel", ".cmdline", ".initrd", ".ucode", ".splash", ".dtb", ".dtbauto", ".efifw", ".hwids",
    ".uname", ".profile", ".pcrsig", ".pcrpkey",
];

/// Why a file cannot be a stub or a UKI.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a PE file.
    #[error("it is not a PE file: {0}")]
    NotPe(String),
    /// Not an EFI application for AArch64.
    #[error("it is not an EFI application for arm64: {0}")]
    NotForBoard(String),
    /// A stub that cannot be extended.
    #[error("it cannot be a stub: {0}")]
    Stub(String),
    /// A section that the reader was asked for.
    #[error("it has no section `{0}`")]
    NoSection(String),
    /// Something does not fit into the format.
    #[error("the image cannot be made: {0}")]
    Layout(String),
}

#[cfg(test)]
mod tests;
