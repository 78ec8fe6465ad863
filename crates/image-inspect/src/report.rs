// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The result of a look at an image: plain data, the same for text, JSON and HTML.
//!
//! The JSON form is described by `docs/inspect.schema.json`; a test holds reports against it. Sizes and places are in
//! bytes from the start of the image unless a name says otherwise.

use serde::Serialize;

use crate::finding::{Class, Finding, Kind};
use crate::open::Container;

/// Version of the JSON form. It grows when a reader of the old one would misunderstand a new report.
pub const SCHEMA_VERSION: u32 = 1;

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// A disk, or the image of one.
    Disk,
    /// A loader for sector 64: `u-boot-rockchip.bin`, or an idblock alone.
    Loader,
    /// A loader for SPI flash.
    SpiLoader,
    /// A FIT alone: `u-boot.itb`, `uboot.img`.
    Fit,
    /// A device tree.
    DeviceTree,
    /// An ELF file such as BL31.
    Elf,
    /// A kernel.
    Kernel,
    /// An initramfs, unpacked.
    Initramfs,
    /// A file system without a table around it.
    Filesystem,
    /// A package for Rockchip's USB tools.
    UsbPackage,
    /// An EFI program: GRUB, systemd-boot, a unified kernel image.
    EfiProgram,
    /// Nothing that is known.
    Unknown,
}

impl Shape {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Shape::Disk => "disk image",
            Shape::Loader => "loader for sector 64",
            Shape::SpiLoader => "loader for SPI flash",
            Shape::Fit => "U-Boot FIT",
            Shape::DeviceTree => "device tree",
            Shape::Elf => "ELF file",
            Shape::Kernel => "arm64 kernel",
            Shape::Initramfs => "initramfs archive",
            Shape::Filesystem => "file system",
            Shape::UsbPackage => "package for Rockchip's USB tools",
            Shape::EfiProgram => "EFI program",
            Shape::Unknown => "unknown",
        }
    }
}

/// What the findings come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// At least one finding says that it will not boot.
    WillNotBoot,
    /// It may boot, but something will not work.
    WillMisbehave,
    /// Nothing was found against it. That is no proof that it boots.
    NothingFound,
    /// It is nothing that a board boots from.
    NotBootable,
}

/// What a range of bytes is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeKind {
    /// A part of a partition table.
    Table,
    /// A part of the loader.
    Loader,
    /// A partition.
    Partition,
    /// A file in a partition, or a part of a file.
    File,
    /// Claimed by two: both names are given.
    Overlap,
    /// Zeros that nobody owns.
    Zero,
    /// Bytes of FF that nobody owns: erased flash, and what binman fills its gaps with.
    Padding,
    /// Other bytes that nobody owns.
    Unknown,
    /// Not looked at, or not readable.
    Unread,
}

/// A range of bytes. Ranges of one list follow each other without a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Range {
    /// First byte.
    pub offset_bytes: u64,
    /// Length.
    pub length_bytes: u64,
    /// What it is.
    pub kind: RangeKind,
    /// Its name.
    pub name: String,
    /// More about it; may be empty.
    pub detail: String,
    /// SHA-256 in hex, for parts that are read as a whole.
    pub sha256: Option<String>,
    /// What is inside, for partitions and loaders. Only what is known: here there may be gaps.
    pub parts: Vec<Range>,
}

/// A payload of an idblock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Payload {
    /// `DDR blob`, `SPL`, `payload N`.
    pub name: String,
    /// First byte.
    pub offset_bytes: u64,
    /// Length, padding included.
    pub length_bytes: u64,
    /// Whether its bytes have the hash of the header.
    pub hash_good: bool,
    /// What it calls itself.
    pub version: Option<String>,
}

/// An idblock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdBlock {
    /// First byte.
    pub offset_bytes: u64,
    /// Format version, 1 or 2.
    pub version: u32,
    /// Whether the header has its own hash.
    pub header_hash_good: bool,
    /// Payloads in boot order.
    pub payloads: Vec<Payload>,
    /// Version of the DDR blob, `v1.18`.
    pub ddr_version: Option<String>,
    /// The line that the DDR blob prints.
    pub ddr_build: Option<String>,
    /// The line that SPL prints.
    pub spl_version: Option<String>,
}

/// An image of a FIT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FitImage {
    /// Node name.
    pub name: String,
    /// `firmware`, `standalone`, `flat_dt`.
    pub kind: String,
    /// First byte of the data.
    pub offset_bytes: u64,
    /// Length.
    pub length_bytes: u64,
    /// Load address.
    pub load: Option<u64>,
    /// How it is packed.
    pub compression: String,
    /// Whether its bytes have the hash of the FIT; null when there is none.
    pub hash_good: Option<bool>,
    /// SHA-256 of the bytes.
    pub sha256: String,
}

/// A configuration of a FIT.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FitConfiguration {
    /// Node name.
    pub name: String,
    /// Whether SPL takes it.
    pub default: bool,
    /// `description`.
    pub description: String,
    /// Images by role: firmware first, then loadables, then device trees.
    pub images: Vec<String>,
}

/// A FIT with U-Boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FitReport {
    /// First byte.
    pub offset_bytes: u64,
    /// Bytes to the end of its last image.
    pub length_bytes: u64,
    /// `description`.
    pub description: String,
    /// Configurations.
    pub configurations: Vec<FitConfiguration>,
    /// Images.
    pub images: Vec<FitImage>,
    /// The line that U-Boot prints.
    pub u_boot_version: Option<String>,
    /// The device tree that U-Boot looks for on the EFI partition.
    pub default_fdt_file: Option<String>,
    /// Model of U-Boot's own device tree.
    pub model: Option<String>,
    /// Its `compatible`.
    pub compatible: Vec<String>,
    /// What BL31 calls itself.
    pub bl31_version: Option<String>,
    /// `tf-a`, `rockchip` or null.
    pub bl31_kind: Option<&'static str>,
}

/// One copy of a partition table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableCopy {
    /// Sector of its header.
    pub header_lba: u64,
    /// Sector of its entries.
    pub entries_lba: Option<u64>,
    /// First and last usable sector.
    pub usable_lba: Option<(u64, u64)>,
    /// GUID of the disk.
    pub disk_guid: Option<String>,
    /// Why it cannot be used.
    pub damage: Option<String>,
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableReport {
    /// `gpt` or `mbr`.
    pub kind: &'static str,
    /// The copies of a GPT.
    pub copies: Vec<TableCopy>,
    /// What they say differently.
    pub differences: Vec<String>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReport {
    /// Path in the partition.
    pub path: String,
    /// Size.
    pub size_bytes: u64,
    /// SHA-256 in hex; null when it was not read.
    pub sha256: Option<String>,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionReport {
    /// Number in the table.
    pub number: u32,
    /// Name.
    pub name: String,
    /// Type, in words where it is known.
    pub kind: String,
    /// First byte.
    pub offset_bytes: u64,
    /// Length.
    pub length_bytes: u64,
    /// `fat32`, `xfs`, `ext4`, …, `zero`, `unknown`.
    pub filesystem: String,
    /// Its label.
    pub label: Option<String>,
    /// Why its files are not listed.
    pub not_listed: Option<String>,
    /// Files.
    pub files: Vec<FileReport>,
}

/// A device tree blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DtbReport {
    /// Path.
    pub path: String,
    /// Model.
    pub model: Option<String>,
    /// `compatible`.
    pub compatible: Vec<String>,
    /// Whether U-Boot takes it.
    pub taken: bool,
}

/// An EFI program: on an EFI partition, or a file alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EfiProgram {
    /// Path on the EFI partition; empty for a file alone.
    pub path: String,
    /// `grub`, `systemd-boot`, `uki`, `other`.
    pub kind: &'static str,
    /// GRUB's prefix, sd-boot's version line.
    pub detail: Option<String>,
    /// Of a unified kernel image, in the order of the file.
    pub sections: Vec<SectionReport>,
}

/// A section of a unified kernel image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SectionReport {
    /// Such as `.linux`.
    pub name: String,
    /// Its content, without padding.
    pub size_bytes: u64,
    /// The first line of a section that is text.
    pub text: Option<String>,
}

/// An entry of `grub.cfg`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GrubEntry {
    /// Name.
    pub name: String,
    /// Whether it boots by default.
    pub default: bool,
    /// Kernel.
    pub linux: String,
    /// Initramfs.
    pub initrd: String,
    /// Arguments.
    pub cmdline: String,
}

/// A kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KernelReport {
    /// Path.
    pub path: String,
    /// `efi-zboot` or `image`.
    pub form: &'static str,
    /// `uname -r`.
    pub release: Option<String>,
    /// The kernel's first line.
    pub banner: Option<String>,
    /// Whether it refuses unsigned modules by itself; null when its configuration is not in it.
    pub module_sig_force: Option<bool>,
    /// Subjects of the certificates in its slot.
    pub certificates: Vec<String>,
}

/// A segment of an initramfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SegmentReport {
    /// `none`, `zstd`, `xz`.
    pub compression: &'static str,
    /// Length in the file.
    pub size_bytes: u64,
    /// Length of the archive.
    pub archive_bytes: u64,
    /// Its members.
    pub members: Vec<FileReport>,
}

/// The module tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModulesReport {
    /// Release of the tree: the name of its folder.
    pub releases: Vec<String>,
    /// Modules.
    pub count: usize,
    /// With a signature that the kernel accepts.
    pub accepted: usize,
    /// With a signature, whoever made it.
    pub signed: usize,
}

/// A system extension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExtensionReport {
    /// File in the initramfs.
    pub image: String,
    /// Name and version out of its manifest or `extensions.yaml`.
    pub name: String,
}

/// An initramfs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InitramfsReport {
    /// Path.
    pub path: String,
    /// Segments in order.
    pub segments: Vec<SegmentReport>,
    /// `talos`, `bringup`, or null.
    pub userland: Option<&'static str>,
    /// `VERSION` of the root file system's `os-release`.
    pub version: Option<String>,
    /// Modules.
    pub modules: Option<ModulesReport>,
    /// Extensions.
    pub extensions: Vec<ExtensionReport>,
}

/// A META partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MetaReport {
    /// `empty`, `records` or `damaged`.
    pub state: &'static str,
    /// Tags with the lengths of their values. Values may be secrets: they are not shown.
    pub records: Vec<MetaRecord>,
}

/// A record of META.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MetaRecord {
    /// Tag.
    pub tag: u32,
    /// What the tag means.
    pub meaning: &'static str,
    /// Length of the value.
    pub length_bytes: usize,
}

/// All that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// File or device, as the user named it.
    pub subject: String,
    /// What the file is packed with.
    pub container: Container,
    /// Size of the image.
    pub size_bytes: u64,
    /// What kind of file it is.
    pub shape: Shape,
    /// One line: what it is.
    pub summary: String,
    /// What the findings come to.
    pub verdict: Verdict,
    /// Findings, the worst first.
    pub findings: Vec<Finding>,
    /// Every byte of the image, in order, without gaps.
    pub ranges: Vec<Range>,
    /// Idblocks; the first is the one at sector 64, if there is one.
    pub idblocks: Vec<IdBlock>,
    /// FITs; the first is the one that SPL takes, if there is one.
    pub fits: Vec<FitReport>,
    /// The partition table.
    pub table: Option<TableReport>,
    /// Partitions by number.
    pub partitions: Vec<PartitionReport>,
    /// Device trees on the EFI partition.
    pub device_trees: Vec<DtbReport>,
    /// EFI programs.
    pub efi_programs: Vec<EfiProgram>,
    /// Entries of `grub.cfg`.
    pub grub: Vec<GrubEntry>,
    /// Kernels.
    pub kernels: Vec<KernelReport>,
    /// Initramfs files.
    pub initramfs: Vec<InitramfsReport>,
    /// META.
    pub meta: Option<MetaReport>,
}

impl Report {
    /// Whether there is a finding of this kind.
    pub fn has(&self, kind: Kind) -> bool {
        self.findings.iter().any(|f| f.kind == kind)
    }

    /// How many findings there are of a class.
    pub fn count(&self, class: Class) -> usize {
        self.findings.iter().filter(|f| f.kind.class() == class).count()
    }

    /// The innermost range around a byte: top-level name, and the name inside of it.
    pub fn at(&self, offset_bytes: u64) -> Option<(&Range, Option<&Range>)> {
        let around =
            |r: &&Range| r.offset_bytes <= offset_bytes && offset_bytes - r.offset_bytes < r.length_bytes;
        let outer = self.ranges.iter().find(around)?;
        Some((outer, outer.parts.iter().find(around)))
    }
}
