// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What can be wrong with an image: one table of kinds, each with its class, the reason why it matters and the fix.
//!
//! Reasons are facts of the boot chain: `docs/inspect.md` names where each comes from. This module must not look at
//! images.

use std::fmt;

use serde::{Serialize, Serializer};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The board would not get to its userland.
    WillNotBoot,
    /// It may boot, but something that users rely on would not work, now or at the next upgrade.
    WillMisbehave,
    /// Worth knowing.
    Note,
}

impl Class {
    /// All classes, the worst first.
    pub const ALL: [Class; 3] = [Class::WillNotBoot, Class::WillMisbehave, Class::Note];

    /// Name in reports: `will-not-boot`.
    pub fn name(self) -> &'static str {
        match self {
            Class::WillNotBoot => "will-not-boot",
            Class::WillMisbehave => "will-misbehave",
            Class::Note => "note",
        }
    }

    /// For people: `will not boot`.
    pub fn words(self) -> &'static str {
        match self {
            Class::WillNotBoot => "will not boot",
            Class::WillMisbehave => "will misbehave",
            Class::Note => "note",
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $class:ident $reason:literal $fix:literal;)*) => {
        /// A kind of finding.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind { $($(#[$doc])* $kind,)* }

        impl Kind {
            /// All kinds.
            pub const ALL: &[Kind] = &[$(Kind::$kind,)*];

            /// Name in reports, stable.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$kind => $name,)* }
            }

            /// How bad it is.
            pub fn class(self) -> Class {
                match self { $(Kind::$kind => Class::$class,)* }
            }

            /// Why it matters.
            pub fn reason(self) -> &'static str {
                match self { $(Kind::$kind => $reason,)* }
            }

            /// What to do.
            pub fn fix(self) -> &'static str {
                match self { $(Kind::$kind => $fix,)* }
            }
        }
    };
}

kinds! {
    // The file itself.
    /// No byte.
    Empty "empty" WillNotBoot "there is nothing in the file" "download or build it again";
    /// The compressed stream ends early.
    StreamDamaged "stream-damaged" WillNotBoot "the compressed file is cut or damaged: a card written from it would be, too" "download it again and compare its checksum";
    /// Parts could not be read.
    Unreadable "unreadable" WillMisbehave "the medium does not give back these bytes" "try another reader; if it stays, the card is worn out";
    /// Shorter than its parts say.
    Truncated "truncated" WillNotBoot "partitions reach past the end of the file: it was cut, or the medium is too small" "write the whole image to a medium that is large enough";
    /// Of no known form.
    Unrecognised "unrecognised" Note "nothing that the RK3588 boots from was found in it" "check that this is the file that you meant";
    /// A packaging for USB tools.
    UsbPackage "usb-package" WillNotBoot "this is a package for Rockchip's USB tools, no disk image: written to a card it does not boot" "unpack it with the vendor's tool, or use the image for cards";

    // Loader.
    /// No idblock where the boot ROM looks.
    IdblockMissing "idblock-missing" WillNotBoot "the boot ROM looks for an idblock at sector 64 and then goes on to the next medium, without a word" "write the loader to sector 64";
    /// Neither idblock nor FIT.
    LoaderAbsent "loader-absent" Note "there is no loader in front of the partitions: it boots only on a board that has one in SPI flash or eMMC" "take an image with a loader, or put one into SPI flash";
    /// Found elsewhere.
    IdblockMisplaced "idblock-misplaced" WillNotBoot "the boot ROM looks at sector 64 only" "write the loader to sector 64 (32 KiB)";
    /// RC4.
    IdblockVersion1 "idblock-version-1" WillNotBoot "this idblock is in the form of older SoCs (RC4); the RK3588 wants version 2 (`RKNS`)" "take a loader for the RK3588";
    /// Counts, offsets.
    IdblockDamaged "idblock-damaged" WillNotBoot "the boot ROM refuses an idblock whose header makes no sense, and goes on to the next medium" "write the loader again";
    /// Header hash.
    IdblockHash "idblock-hash" WillNotBoot "the boot ROM compares the header with its SHA-256 and goes on to the next medium when they differ" "write the loader again";
    /// Payload hash.
    IdblockPayloadHash "idblock-payload-hash" WillNotBoot "the boot ROM compares each payload with its SHA-256 and goes on to the next medium when they differ" "write the loader again";
    /// Not two payloads.
    SplMissing "spl-missing" WillNotBoot "the idblock has no second payload: after DDR training nothing would run" "take an idblock with DDR blob and SPL";
    /// Not a DDR blob.
    DdrUnknown "ddr-unknown" WillMisbehave "the first payload does not name itself as a Rockchip DDR blob: whether it can train this board's memory is unknown" "take a blob of rkbin, v1.16 or later";
    /// Known bad version.
    DdrKnownBad "ddr-known-bad" WillMisbehave "memory errors are reported with this DDR blob" "take v1.18 or later";
    /// Older than the fix.
    DdrTooOld "ddr-too-old" WillMisbehave "DDR blobs before v1.16 can hang with single-rank LPDDR5, which this board has" "take v1.18 or later";
    /// DDR and SPL overlap FIT.
    LoaderOverlap "loader-overlap" WillNotBoot "two parts of the loader lie over each other: the one that was written first is damaged" "write a loader whose parts are of one build";
    /// No FIT at all.
    FitMissing "fit-missing" WillNotBoot "SPL looks for the FIT with U-Boot and BL31 at sector 16384 and stops with `failed to boot from all boot devices`" "write the whole loader, idblock and FIT";
    /// FIT elsewhere.
    FitMisplaced "fit-misplaced" WillNotBoot "SPL looks for the FIT at sector 16384 and nowhere else" "write `u-boot.itb` to sector 16384 (8 MiB), or the whole `u-boot-rockchip.bin` to sector 64";
    /// Tree or structure.
    FitDamaged "fit-damaged" WillNotBoot "SPL cannot read this FIT" "write the loader again";
    /// Image data past the end.
    FitData "fit-data" WillNotBoot "an image of the FIT has no data, or lies past the end" "write the whole loader";
    /// Hash mismatch.
    FitHash "fit-hash" WillNotBoot "SPL compares each image of the FIT with its SHA-256 and stops when they differ" "write the loader again; if it comes back, another card";
    /// No hash.
    FitNoHash "fit-no-hash" Note "images of the FIT carry no SHA-256: a damaged card would crash instead of saying so" "build U-Boot with `CONFIG_SPL_FIT_SIGNATURE`";
    /// Default configuration.
    FitConfiguration "fit-configuration" WillNotBoot "the FIT's default configuration is missing or names an image that is not there" "build the FIT again";
    /// No U-Boot.
    FitNoUboot "fit-no-u-boot" WillNotBoot "the configuration loads no U-Boot: BL31 would jump into empty memory" "build the FIT again";
    /// No BL31.
    FitNoBl31 "fit-no-bl31" WillNotBoot "the configuration loads no BL31: on this SoC U-Boot and the kernel cannot run without one" "build U-Boot with `BL31=` set";
    /// No tree.
    FitNoTree "fit-no-tree" WillNotBoot "the configuration names no device tree: U-Boot proper would find none" "build the FIT again";
    /// Load overlap.
    FitLoadOverlap "fit-load-overlap" WillNotBoot "two images would be loaded over each other" "take parts of one build";
    /// BL31 in the wrong place.
    Bl31Address "bl31-address" WillNotBoot "BL31 would be loaded where SPL, U-Boot or no memory at all is" "take a BL31 for the RK3588";
    /// TF-A without PMU SRAM.
    Bl31Segment "bl31-segment" WillNotBoot "BL31 is not complete: its second segment, which goes to PMU SRAM at 0xff100000, is missing, and its first warm reset ends there" "build the FIT from the ELF file, not from a raw image of its first segment";
    /// U-Boot's tree is another board's.
    UbootOtherBoard "u-boot-other-board" WillMisbehave "the loader was built for another board: regulators, card slot and network may not work" "take a loader for the NanoPi M6";
    /// Vendor U-Boot under Talos.
    UbootNoEfi "u-boot-no-efi" WillNotBoot "the vendor's U-Boot 2017.09 has no EFI loader that this image could use" "take a loader with U-Boot 2023 or later";
    /// Loader into partition.
    LoaderOverPartition "loader-over-partition" WillNotBoot "the loader reaches into a partition: the one that was written last damages the other" "start partitions behind the loader (Talos overlays: sector 20480 or later), or take a smaller loader";
    /// Loader into the table.
    LoaderOverTable "loader-over-table" WillNotBoot "the loader and the partition table lie over each other: the one that was written last damages the other" "take a smaller loader, or move the entry array";
    /// The vendor's slot.
    VendorSlot "vendor-slot" WillMisbehave "the vendor's loader owns a slot of 4 MiB from sector 16384 on: the next `uboot.img` written there overwrites what follows" "start partitions at 16 MiB";

    // Partition table.
    /// No table.
    TableMissing "table-missing" WillNotBoot "there is a loader but no partition table: U-Boot finds nothing to boot" "write the whole image";
    /// Both copies broken.
    TableDamaged "table-damaged" WillNotBoot "neither copy of the partition table can be used" "write the whole image again";
    /// Primary broken.
    TablePrimary "table-primary" WillMisbehave "the first copy of the partition table is damaged: U-Boot warns and takes the second, other tools may not" "write the image again, or repair with `sgdisk`";
    /// Backup broken.
    TableBackup "table-backup" WillMisbehave "the second copy of the partition table is damaged or missing: there is nothing to repair the first from" "write the whole image again";
    /// Backup not at the end.
    TableBackupPlace "table-backup-place" WillMisbehave "the second copy of the table does not lie at the end: partition tools complain, and the space behind cannot be used" "`sgdisk -e DEVICE`; Talos moves it itself at the first boot";
    /// Copies differ.
    TableCopies "table-copies" WillMisbehave "the two copies of the table say different things: what is where depends on who reads" "decide for one with `gdisk`, or write the image again";
    /// MBR.
    TableMbr "table-mbr" WillMisbehave "the protective MBR is not as it should be: tools that go by it may take the disk for empty" "write the image again";
    /// Overlap.
    PartitionOverlap "partition-overlap" WillNotBoot "two partitions lie over each other" "make the table again";
    /// Partition beyond usable.
    PartitionOutside "partition-outside" WillMisbehave "a partition lies outside of the range that the table itself calls usable: Talos drops it at the first change of the table" "make the table again, with the range around all partitions";
    /// Two of one name.
    PartitionName "partition-name" WillMisbehave "two partitions have one name: Talos finds its partitions by name" "rename one of them";
    /// META's size.
    MetaSize "meta-size" WillMisbehave "Talos takes a partition for META only if it has exactly 1 MiB" "make it 1 MiB";
    /// META content.
    MetaDamaged "meta-damaged" WillMisbehave "META is neither empty nor a sound record block: Talos does not take the disk for installed" "fill the partition with zeros";

    // EFI partition.
    /// None.
    EspMissing "esp-missing" WillNotBoot "there is no EFI partition: U-Boot finds no program to start" "write the whole image";
    /// Not FAT.
    EspFilesystem "esp-filesystem" WillNotBoot "the EFI partition is no FAT file system that U-Boot could read" "write the image again";
    /// No program.
    EfiProgramMissing "efi-program-missing" WillNotBoot "U-Boot starts `EFI/BOOT/BOOTAA64.EFI`, which is not there" "write the image again";
    /// Not aarch64 PE.
    EfiProgramWrong "efi-program-wrong" WillNotBoot "`EFI/BOOT/BOOTAA64.EFI` is no EFI program for arm64" "write the image again; take the arm64 one";
    /// sd-boot.
    SdBoot "sd-boot" WillMisbehave "the boot loader is systemd-boot, which sets EFI variables while the system runs: U-Boot cannot, so every upgrade fails" "build the image with `bootloader: grub`";
    /// GRUB's prefix.
    GrubPrefix "grub-prefix" WillNotBoot "GRUB looks for its configuration on a partition number that is not BOOT's" "build GRUB with the prefix of this table";
    /// No DTB.
    DtbMissing "dtb-missing" WillMisbehave "there is no device tree on the EFI partition: the kernel gets U-Boot's own, which is of another version" "put the board's tree under the name that U-Boot looks for";
    /// Other name.
    DtbName "dtb-name" WillMisbehave "the device tree has not the name that U-Boot looks for: the kernel gets U-Boot's own" "rename it";
    /// Other board.
    DtbOtherBoard "dtb-other-board" WillNotBoot "the device tree that U-Boot hands to the kernel is for another board: the kernel may go silent right after `Exiting boot services`" "put this board's tree there";
    /// Damaged.
    DtbDamaged "dtb-damaged" WillNotBoot "the device tree that U-Boot hands to the kernel is damaged" "write the image again";

    // BOOT partition.
    /// None.
    BootMissing "boot-missing" WillNotBoot "GRUB finds no partition `BOOT` with the kernel" "write the whole image";
    /// Not xfs.
    BootFilesystem "boot-filesystem" WillNotBoot "BOOT is no xfs that can be read: GRUB finds no kernel, and Talos looks for xfs only" "write the image again";
    /// Features.
    BootFeatures "boot-features" WillNotBoot "BOOT's xfs has features that GRUB 2.12 cannot read" "make it with the features of Linux 6.12 and without nrext64";
    /// No grub.cfg, or none with an entry.
    GrubConfigMissing "grub-config-missing" WillNotBoot "GRUB finds no `grub/grub.cfg`, or nothing to boot in it, and stops at its prompt" "write the image again";
    /// No default.
    GrubDefault "grub-default" WillMisbehave "Talos wants exactly one default entry in `grub.cfg`: upgrades fail without it" "make the file as Talos writes it";
    /// Form.
    GrubForm "grub-form" WillMisbehave "Talos reads `grub.cfg` again at an upgrade and would not understand this one" "make the file as Talos writes it";
    /// No kernel file.
    GrubKernel "grub-kernel" WillNotBoot "the entry that boots names a kernel that is not there" "write the image again";
    /// No initramfs file.
    GrubInitramfs "grub-initramfs" WillNotBoot "the entry that boots names an initramfs that is not there" "write the image again";
    /// Another entry than the default.
    GrubFallback "grub-fallback" WillMisbehave "an entry that is not the default would not boot: there is no way back to it" "upgrade the node once, which writes that slot anew, or write the image again";
    /// Console.
    ConsoleMissing "console-missing" WillMisbehave "the kernel gets no `console=ttyS2,…`: nothing of it can be seen on the board's serial port" "add `console=ttyS2,1500000n8` to the arguments";
    /// Baud rate.
    ConsoleBaud "console-baud" WillMisbehave "the kernel's console has another speed than the loader's 1500000: one of the two is garbage on the terminal" "use `console=ttyS2,1500000n8`";
    /// Platform.
    PlatformMissing "platform-missing" WillMisbehave "Talos needs `talos.platform=metal` among the kernel's arguments" "add it";
    /// Length.
    CmdlineLength "cmdline-length" WillMisbehave "the kernel cuts its arguments at 2047 bytes" "shorten them";

    // Kernel and userland.
    /// Not a kernel.
    KernelDamaged "kernel-damaged" WillNotBoot "the kernel cannot be unpacked, or is none for arm64" "write the image again";
    /// Compression that is not known here.
    KernelPacked "kernel-packed" Note "the kernel is packed in a way that is not unpacked here: its release and certificates were held against nothing" "unpack it, and inspect what comes out";
    /// Initramfs.
    InitramfsDamaged "initramfs-damaged" WillNotBoot "the initramfs cannot be unpacked: the kernel ends in a panic" "write the image again";
    /// Compression that is not known here.
    InitramfsPacked "initramfs-packed" Note "the initramfs is packed in a way that is not unpacked here, and Talos does not use: nothing in it was looked at" "unpack it, and inspect what comes out";
    /// No init.
    InitMissing "init-missing" WillNotBoot "the initramfs has no `init`: the kernel ends in a panic" "build the image again";
    /// No root file system.
    RootMissing "root-missing" WillNotBoot "the initramfs has no `rootfs.sqsh` that can be read: Talos's init stops there" "build the image again";
    /// Release.
    ModulesOther "modules-other" WillMisbehave "the modules were built for another kernel than the one that boots: none of them would load" "take kernel and modules of one build";
    /// Unsigned.
    ModuleUnsigned "module-unsigned" WillMisbehave "this kernel refuses modules without a signature" "sign it: `cargo xtask sign`";
    /// Signature wrong.
    ModuleSignature "module-signature" WillMisbehave "the module's signature is none that this kernel accepts" "sign it with a key whose certificate is in the kernel";
    /// Damaged.
    ModuleDamaged "module-damaged" WillMisbehave "the file is no kernel module that could be loaded" "build the image again";
    /// No modules.
    ModulesMissing "modules-missing" WillMisbehave "there is no module for this kernel: every driver that is not built in is missing" "put the modules of the kernel's build into the root file system";

    // Things to know.
    /// One part of a loader.
    LoaderPart "loader-part" Note "this file is one part of a loader, which boots only together with the others" "write idblock and FIT, each to its sector";
    /// Bytes nobody owns.
    UnknownData "unknown-data" Note "there are bytes outside of everything that is known" "look at the map; leftovers of an older image are harmless outside of loader and partitions";
    /// Old table.
    OldTable "old-table" Note "there is the header of another partition table in a gap" "write the must-be-zero ranges too, when flashing";
    /// Partition not read.
    NotRead "not-read" Note "the content of this file system is not looked at" "mount it to see its files";
    /// Self-test.
    SelfTest "self-test" Note "this image holds the self-test, not Talos" "flash the Talos image after its report is good";
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

/// Something that is wrong with this image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// What exactly, in this image.
    pub detail: String,
    /// The region that it is about: a name of the map.
    pub region: String,
    /// First byte, where there is one.
    pub offset_bytes: Option<u64>,
}

impl Serialize for Finding {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            kind: &'static str,
            class: Class,
            region: &'a str,
            offset_bytes: Option<u64>,
            detail: &'a str,
            reason: &'static str,
            fix: &'static str,
        }
        let Finding { kind, detail, region, offset_bytes } = self;
        Row {
            kind: kind.name(),
            class: kind.class(),
            region,
            offset_bytes: *offset_bytes,
            detail,
            reason: kind.reason(),
            fix: kind.fix(),
        }
        .serialize(to)
    }
}

/// Findings, with the few words that most places need.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// More than these of one kind are counted in the last one: a hostile image could have a million.
    const OF_ONE_KIND: usize = 16;

    /// Adds one.
    pub fn add(&mut self, kind: Kind, region: impl Into<String>, at: Option<u64>, detail: impl Into<String>) {
        if self.0.iter().filter(|f| f.kind == kind).count() < Self::OF_ONE_KIND {
            let (detail, region) = (shorten(&detail.into()), shorten(&region.into()));
            self.0.push(Finding { kind, detail, region, offset_bytes: at });
        }
    }

    /// All, the worst first, then by place.
    pub fn sorted(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|f| (f.kind.class(), f.offset_bytes.unwrap_or(u64::MAX), f.kind));
        self.0
    }
}

/// Texts out of an image may be as long as the image, and may speak to a terminal.
fn shorten(text: &str) -> String {
    const LONGEST: usize = 600;
    let mut short: String = text.chars().take(LONGEST).map(crate::text::printable).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_every_kind_says_what_to_do() {
        let names: BTreeSet<_> = Kind::ALL.iter().map(|k| k.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            let texts = [kind.name(), kind.reason(), kind.fix()];
            assert!(texts.iter().all(|t| t.len() > 2 && !t.ends_with('.')), "{kind}");
            assert!(kind.name().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        }
    }

    #[test]
    fn a_flood_of_one_kind_is_cut() {
        let mut findings = Findings::default();
        for i in 0..1000 {
            findings.add(Kind::PartitionOverlap, "table", Some(i), "x".repeat(5000));
        }
        findings.add(Kind::LoaderAbsent, "loader", None, "");
        findings.add(Kind::Empty, "file", None, "");
        let sorted = findings.sorted();
        assert!(sorted.len() < 20 && sorted[0].detail.len() < 700);
        assert_eq!(sorted.last().map(|f| f.kind), Some(Kind::LoaderAbsent), "notes come last");
    }
}
