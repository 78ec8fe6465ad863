// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The stages of the boot chain, in the order in which they run.

use std::fmt;

use serde::Deserialize;

/// A stage that has shown itself on the console. The boot ROM prints nothing, so it has no banner of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Mask ROM of the SoC: finds the idblock on SPI, eMMC or SD. Silent.
    BootRom,
    /// The DDR initialisation blob (TPL).
    Ddr,
    /// U-Boot SPL: reads the FIT and checks its hashes.
    Spl,
    /// Trusted Firmware at EL3.
    Bl31,
    /// U-Boot proper at EL2.
    UBoot,
    /// GRUB, started from the ESP.
    Grub,
    /// The kernel's EFI stub: the kernel is in memory and about to take over.
    EfiStub,
    /// Linux.
    Kernel,
    /// The first process of the userland.
    Userland,
    /// The userland says that it is up.
    Ready,
}

impl Stage {
    /// Every stage, first to last.
    pub const ALL: [Stage; 10] = [
        Stage::BootRom,
        Stage::Ddr,
        Stage::Spl,
        Stage::Bl31,
        Stage::UBoot,
        Stage::Grub,
        Stage::EfiStub,
        Stage::Kernel,
        Stage::Userland,
        Stage::Ready,
    ];

    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stage::BootRom => "boot ROM",
            Stage::Ddr => "DDR init (TPL)",
            Stage::Spl => "U-Boot SPL",
            Stage::Bl31 => "BL31",
            Stage::UBoot => "U-Boot",
            Stage::Grub => "GRUB",
            Stage::EfiStub => "EFI stub",
            Stage::Kernel => "kernel",
            Stage::Userland => "userland",
            Stage::Ready => "ready",
        }
    }

    /// As in `rules.toml`, in file names and in JSON.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Stage::BootRom => "boot-rom",
            Stage::Ddr => "ddr",
            Stage::Spl => "spl",
            Stage::Bl31 => "bl31",
            Stage::UBoot => "u-boot",
            Stage::Grub => "grub",
            Stage::EfiStub => "efi-stub",
            Stage::Kernel => "kernel",
            Stage::Userland => "userland",
            Stage::Ready => "ready",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
