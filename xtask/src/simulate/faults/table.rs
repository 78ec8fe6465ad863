// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The faults, as data: a name, what is wrong, how it is put in, and what the verdict must be.
//!
//! Ordered by the stage that comes upon them. A verdict is the stage at fault and the rule that explains it.

use boot_log::Stage;
use fw_build::Result;
use rk3588_model::machine::Board;

use super::subject::Subject;
use super::{hardware, loader, medium};
use crate::simulate::Until;

/// A fault.
pub struct Fault {
    /// Its name.
    pub name: &'static str,
    /// What is wrong, in a few words.
    pub what: &'static str,
    /// Puts it into a board with the sound image.
    pub inject: fn(&Subject, &mut Board) -> Result<()>,
    /// How far the run would go without it.
    pub until: Until,
    /// The verdict that must come.
    pub expected: Expected,
}

/// A verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// The boot ends, in this stage, and this rule of `boot-log` says why.
    Ends(Stage, &'static str),
    /// It goes on, and this rule names the trouble.
    GoesOn(&'static str),
}

use Expected::{Ends, GoesOn};
use Until::{Grub, Kernel, Shell};

const fn fault(
    name: &'static str,
    what: &'static str,
    inject: fn(&Subject, &mut Board) -> Result<()>,
    until: Until,
    expected: Expected,
) -> Fault {
    Fault { name, what, inject, until, expected }
}

/// All of them.
pub const ALL: &[Fault] = &[
    // The boot ROM.
    fault(
        "medium-empty",
        "the card holds nothing",
        medium::empty,
        Grub,
        Ends(Stage::BootRom, "model-boot-rom"),
    ),
    fault(
        "idblock-magic",
        "no idblock at sector 64",
        loader::block_magic,
        Grub,
        Ends(Stage::BootRom, "model-boot-rom"),
    ),
    fault(
        "idblock-one-sector-late",
        "the loader lies one sector too far",
        loader::block_late,
        Grub,
        Ends(Stage::BootRom, "model-boot-rom"),
    ),
    fault(
        "idblock-version-1",
        "an idblock of the form before RK356x",
        loader::block_version,
        Grub,
        Ends(Stage::BootRom, "model-boot-rom"),
    ),
    fault(
        "idblock-header-byte",
        "one byte of the idblock's header",
        loader::block_header,
        Grub,
        Ends(Stage::BootRom, "model-boot-rom"),
    ),
    fault(
        "idblock-header-hash",
        "one byte of the header's own hash",
        loader::block_header_hash,
        Grub,
        Ends(Stage::BootRom, "model-boot-rom"),
    ),
    fault(
        "ddr-blob-byte",
        "one byte of the DDR blob",
        loader::block_ddr,
        Grub,
        Ends(Stage::BootRom, "model-boot-rom"),
    ),
    fault("spl-byte", "one byte of SPL", loader::block_spl, Grub, Ends(Stage::BootRom, "model-boot-rom")),
    fault(
        "idblock-without-spl",
        "the idblock names only the DDR blob",
        loader::block_without_spl,
        Grub,
        Ends(Stage::BootRom, "model-boot-rom"),
    ),
    fault(
        "medium-ends-in-spl",
        "the image was cut while writing, within SPL",
        medium::ends_in_spl,
        Grub,
        Ends(Stage::BootRom, "model-boot-rom"),
    ),
    // SPL.
    fault(
        "spl-text-base",
        "SPL was linked for another address",
        loader::spl_text_base,
        Grub,
        Ends(Stage::Spl, "model-spl-silent"),
    ),
    fault(
        "spl-empty",
        "SPL is all zeros, with right hashes",
        loader::spl_zero,
        Grub,
        Ends(Stage::Spl, "model-spl-silent"),
    ),
    fault(
        "spl-without-tree",
        "SPL's device tree is missing",
        loader::spl_without_tree,
        Grub,
        Ends(Stage::Spl, "model-spl-silent"),
    ),
    fault("spl-console", "SPL prints to another UART", loader::spl_console, Grub, GoesOn("model-other-uart")),
    fault(
        "spl-too-long",
        "SPL reaches beyond the place where BL31 is loaded to",
        loader::spl_too_long,
        Grub,
        Ends(Stage::Spl, "spl-silent"),
    ),
    fault(
        "bl31-over-spl",
        "BL31 is loaded to where SPL runs",
        loader::bl31_over_spl,
        Grub,
        Ends(Stage::Bl31, "model-bl31-silent"),
    ),
    fault(
        "spl-sd-disabled",
        "the SD host is disabled in SPL's device tree",
        loader::spl_sd_disabled,
        Grub,
        Ends(Stage::Spl, "spl-mmc-init"),
    ),
    fault(
        "fit-missing",
        "zeros where the FIT should be",
        loader::fit_missing,
        Grub,
        Ends(Stage::Spl, "fit-not-found"),
    ),
    fault(
        "fit-one-sector-late",
        "the FIT lies one sector too far",
        loader::fit_late,
        Grub,
        Ends(Stage::Spl, "fit-not-found"),
    ),
    fault(
        "loader-overwritten",
        "the first partition's file system lies over the FIT",
        medium::partition_over_fit,
        Grub,
        Ends(Stage::Spl, "fit-not-found"),
    ),
    fault(
        "fit-byte-atf-1",
        "one byte of BL31's first part",
        loader::byte_atf_1,
        Grub,
        Ends(Stage::Spl, "fit-hash"),
    ),
    fault(
        "fit-byte-atf-2",
        "one byte of BL31's second part",
        loader::byte_atf_2,
        Grub,
        Ends(Stage::Spl, "fit-hash"),
    ),
    fault("fit-byte-u-boot", "one byte of U-Boot", loader::byte_u_boot, Grub, Ends(Stage::Spl, "fit-hash")),
    fault(
        "fit-byte-fdt",
        "one byte of U-Boot's device tree",
        loader::byte_fdt,
        Grub,
        Ends(Stage::Spl, "fit-hash"),
    ),
    fault(
        "fit-hash-value",
        "one byte of a hash in the FIT",
        loader::hash_value,
        Grub,
        Ends(Stage::Spl, "fit-hash"),
    ),
    fault(
        "fit-default-missing",
        "the FIT's default configuration does not exist",
        loader::default_missing,
        Grub,
        Ends(Stage::Spl, "fit-not-found"),
    ),
    fault(
        "medium-ends-in-u-boot",
        "the image was cut while writing, within U-Boot",
        medium::ends_in_u_boot,
        Grub,
        Ends(Stage::Spl, "fit-hash"),
    ),
    fault("pll-never-locks", "a PLL that does not lock", hardware::pll, Grub, Ends(Stage::Spl, "spl-silent")),
    fault(
        "sd-host-stuck",
        "the SD host does not come out of reset",
        hardware::sd_reset,
        Grub,
        Ends(Stage::Spl, "spl-mmc-init"),
    ),
    // BL31.
    fault(
        "firmware-missing",
        "the configuration names no BL31",
        loader::firmware_missing,
        Grub,
        Ends(Stage::Spl, "fit-image-missing"),
    ),
    fault(
        "bl31-part-missing",
        "BL31's second part is not loaded",
        loader::part_missing,
        Grub,
        Ends(Stage::Bl31, "model-bl31-silent"),
    ),
    fault(
        "bl31-load-address",
        "BL31 is loaded to another address than it was linked for",
        loader::bl31_load,
        Grub,
        Ends(Stage::Bl31, "model-bl31-silent"),
    ),
    fault(
        "bl31-part-address",
        "BL31's second part is loaded to another address",
        loader::part_load,
        Grub,
        Ends(Stage::Bl31, "model-bl31-silent"),
    ),
    fault(
        "bl31-other-soc",
        "BL31 waits for a device that this SoC does not have",
        loader::bl31_other_soc,
        Grub,
        Ends(Stage::Bl31, "model-bl31-silent"),
    ),
    fault(
        "bl31-cut",
        "BL31 is zero from its second page on",
        loader::bl31_cut,
        Grub,
        Ends(Stage::Bl31, "model-bl31-silent"),
    ),
    fault(
        "no-warm-reset",
        "the firewall does not ask for the warm reset",
        hardware::warm_reset,
        Grub,
        Ends(Stage::Bl31, "model-bl31-dies"),
    ),
    fault(
        "gic-never-wakes",
        "the interrupt controller does not wake",
        hardware::gic_waker,
        Grub,
        Ends(Stage::Bl31, "model-bl31-dies"),
    ),
    // U-Boot.
    fault(
        "u-boot-load-address",
        "U-Boot is loaded to another address than it was linked for",
        loader::u_boot_load,
        Grub,
        Ends(Stage::UBoot, "bl31-silent"),
    ),
    fault(
        "u-boot-entry",
        "U-Boot is entered at another address",
        loader::u_boot_entry,
        Grub,
        Ends(Stage::UBoot, "bl31-silent"),
    ),
    fault(
        "u-boot-zero",
        "U-Boot is all zeros, with right hashes",
        loader::u_boot_zero,
        Grub,
        Ends(Stage::UBoot, "bl31-silent"),
    ),
    fault(
        "u-boot-console",
        "U-Boot prints to another UART",
        loader::u_boot_console,
        Grub,
        Ends(Stage::UBoot, "model-u-boot-uart"),
    ),
    fault(
        "u-boot-tree-damaged",
        "U-Boot's device tree is no device tree",
        loader::tree_damaged,
        Grub,
        Ends(Stage::UBoot, "bl31-silent"),
    ),
    fault(
        "u-boot-other-board",
        "U-Boot's device tree is another board's",
        loader::other_board,
        Shell,
        GoesOn("wrong-board"),
    ),
    fault(
        "u-boot-sd-disabled",
        "the SD host is disabled in U-Boot's device tree",
        loader::u_boot_sd_disabled,
        Grub,
        Ends(Stage::UBoot, "nothing-to-boot"),
    ),
    fault(
        "otp-unreadable",
        "the chip's OTP does not answer",
        hardware::otp,
        Grub,
        Ends(Stage::UBoot, "u-boot-initcall"),
    ),
    fault(
        "partition-table",
        "both partition tables are gone",
        medium::no_table,
        Grub,
        Ends(Stage::UBoot, "nothing-to-boot"),
    ),
    fault(
        "esp-destroyed",
        "the ESP holds no file system",
        medium::no_esp,
        Grub,
        Ends(Stage::UBoot, "nothing-to-boot"),
    ),
    fault(
        "usb-stuck",
        "nothing to boot, and the USB hosts do not come out of reset",
        hardware::usb_stuck,
        Grub,
        Ends(Stage::UBoot, "nothing-to-boot"),
    ),
    fault(
        "dram-registers",
        "the registers of the memory's geometry say a quarter of it",
        hardware::dram_registers,
        Grub,
        GoesOn("dram-too-small"),
    ),
    fault("dtb-missing", "no device tree on the ESP", medium::no_dtb, Kernel, GoesOn("model-u-boot-tree")),
    fault(
        "boot-file-missing",
        "no `EFI/BOOT/BOOTAA64.EFI`",
        medium::no_boot_file,
        Grub,
        Ends(Stage::UBoot, "nothing-to-boot"),
    ),
    fault(
        "boot-file-damaged",
        "GRUB's file is no EFI program",
        medium::boot_file_damaged,
        Grub,
        Ends(Stage::UBoot, "efi-load-failed"),
    ),
    fault(
        "boot-file-other-cpu",
        "GRUB is for x86",
        medium::boot_file_other_cpu,
        Grub,
        Ends(Stage::UBoot, "efi-load-failed"),
    ),
    // GRUB.
    fault("boot-destroyed", "BOOT holds no xfs", medium::no_boot, Kernel, Ends(Stage::Grub, "grub-prompt")),
    fault(
        "grub-cfg-empty",
        "`grub.cfg` is empty",
        medium::grub_cfg_empty,
        Kernel,
        Ends(Stage::Grub, "grub-prompt"),
    ),
    fault(
        "grub-kernel-missing",
        "GRUB's entry names a kernel that is not there",
        medium::grub_kernel,
        Kernel,
        Ends(Stage::Grub, "grub-no-kernel"),
    ),
    fault(
        "grub-initramfs-missing",
        "GRUB's entry names an initramfs that is not there",
        medium::grub_initramfs,
        Kernel,
        Ends(Stage::Grub, "grub-no-kernel"),
    ),
    fault(
        "kernel-damaged",
        "the kernel is no EFI program",
        medium::kernel_damaged,
        Kernel,
        Ends(Stage::Grub, "grub-no-load"),
    ),
    // The kernel's stub.
    fault(
        "kernel-payload",
        "the compressed kernel is damaged",
        medium::kernel_payload,
        Kernel,
        Ends(Stage::EfiStub, "stub-unpack"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn forty_faults_and_more_each_with_a_name_and_a_rule_that_exists() {
        let names: BTreeSet<_> = ALL.iter().map(|f| f.name).collect();
        assert!(names.len() >= 40 && names.len() == ALL.len());
        let rules = boot_log::Rules::builtin();
        for fault in ALL {
            let (Ends(_, id) | GoesOn(id)) = fault.expected;
            let rule = rules.all().iter().find(|r| r.id == id);
            let rule = rule.unwrap_or_else(|| panic!("{}: no rule `{id}`", fault.name));
            if let Ends(stage, _) = fault.expected {
                assert_eq!(rule.stage, stage, "{}: the rule speaks of another stage", fault.name);
            }
        }
    }
}
