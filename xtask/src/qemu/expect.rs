// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a rehearsal must show: the steps of each mode, and the checks that QEMU's machine must pass. Data.

use clap::ValueEnum;

/// What the self-test does after its report (`selftest=` on the kernel command line).
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Nothing more: the image as it is, unmodified to the last byte.
    Report,
    /// Powers off.
    Poweroff,
    /// Restarts.
    Reboot,
    /// Stops feeding the watchdog, which must reset the machine.
    Watchdog,
}

impl Mode {
    /// Every mode, in the order in which they are rehearsed.
    pub const ALL: [Mode; 4] = [Mode::Report, Mode::Poweroff, Mode::Reboot, Mode::Watchdog];

    /// As on the kernel command line.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Report => "report",
            Mode::Poweroff => "poweroff",
            Mode::Reboot => "reboot",
            Mode::Watchdog => "watchdog",
        }
    }

    /// What is added to the kernel command line; nothing for the report, which is the default.
    pub fn kernel_argument(self) -> Option<String> {
        (self != Mode::Report).then(|| format!("selftest={}", self.name()))
    }

    /// What must be seen, in this order.
    pub fn steps(self) -> &'static [Step] {
        use Step::{AskRestart, FirstLoader, Grub, Kernel, Off, PowerDown, Result, SecondLoader};
        match self {
            Mode::Report => &[FirstLoader, Grub, Kernel, Result],
            Mode::Poweroff => &[FirstLoader, Grub, Kernel, Result, PowerDown, Off],
            Mode::Reboot => &[FirstLoader, Grub, Kernel, Result, AskRestart, SecondLoader],
            // No `AskRestart`: the reset must come from the watchdog, not from the kernel.
            Mode::Watchdog => &[FirstLoader, Grub, Kernel, Result, SecondLoader],
        }
    }
}

/// One thing that must be seen on the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// U-Boot's banner.
    FirstLoader,
    /// GRUB's greeting or menu.
    Grub,
    /// The kernel's own first line, with the release of this build.
    Kernel,
    /// The self-test's last line.
    Result,
    /// The kernel powers off.
    PowerDown,
    /// The machine is off: QEMU has ended.
    Off,
    /// The kernel asks for a restart.
    AskRestart,
    /// U-Boot's banner again.
    SecondLoader,
}

impl Step {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Step::FirstLoader => "U-Boot's banner",
            Step::Grub => "GRUB",
            Step::Kernel => "the kernel's version line",
            Step::Result => "`BRINGUP RESULT`",
            Step::PowerDown => "the kernel powering off",
            Step::Off => "the machine being off",
            Step::AskRestart => "the kernel restarting",
            Step::SecondLoader => "U-Boot's banner after the reset",
        }
    }

    /// What to look at when it did not come.
    pub fn hint(self) -> &'static str {
        match self {
            Step::FirstLoader => "the firmware is the result of stage `u-boot-qemu`",
            Step::Grub => "U-Boot starts `EFI/BOOT/BOOTAA64.EFI` of the EFI partition (stage `grub-efi`)",
            Step::Kernel => {
                "GRUB reads `grub/grub.cfg`, `A/vmlinuz` and `A/initramfs.xz` of the BOOT partition; the kernel's \
                 arguments need `console=ttyAMA0`"
            }
            Step::Result => "the last lines say which check the self-test was at",
            Step::PowerDown | Step::Off | Step::AskRestart => "PSCI calls of the kernel end here",
            Step::SecondLoader => "for the watchdog: the kernel needs `CONFIG_I6300ESB_WDT=y`",
        }
    }
}

/// A check of the self-test that must pass in QEMU: a skip there would hide a broken driver.
#[derive(Debug, Clone, Copy)]
pub struct MustPass {
    /// Name of the check. `x.*` stands for at least one check whose name begins with `x.`.
    pub check: &'static str,
    /// Which part of QEMU's machine it is about.
    pub why: &'static str,
}

const fn must(check: &'static str, why: &'static str) -> MustPass {
    MustPass { check, why }
}

/// What the machine of [`super::machine`] has. Not here because it lacks them: thermal zones, cpufreq.
pub const QEMU_MUST_PASS: &[MustPass] = &[
    must("kernel-release", "the kernel is the one the userland was made for"),
    must("board-model", "QEMU hands over a device tree"),
    must("cmdline", "the self-test understood its mode"),
    must("signature.good", "a shipped module loads"),
    must("signature.unsigned", "a module without signature is refused"),
    must("signature.flipped", "a module with one byte changed is refused"),
    must("modules", "every module with a matching device loads"),
    must("memory", "2 GiB"),
    must("cpus", "two Cortex-A76"),
    must("rtc0", "PL031"),
    must("watchdog0", "i6300esb"),
    must("hwrng", "virtio-rng"),
    must("pcie.*", "a root port with the NVMe device behind it"),
    must("block.vda", "the image, on virtio-blk"),
    must("block.nvme0n1", "an empty NVMe device"),
    must("block.sda", "a USB stick, whose driver is a module that loads by alias"),
    must("load-modules", "modules without hardware"),
    must("net.*", "virtio-net"),
    must("uptime", "the self-test reached its end"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_reports_first() {
        for mode in Mode::ALL {
            assert!(mode.steps().starts_with(Mode::Report.steps()), "{}", mode.name());
        }
        assert_eq!(Mode::Report.steps(), [Step::FirstLoader, Step::Grub, Step::Kernel, Step::Result]);
        assert_eq!(Mode::Report.kernel_argument(), None);
        assert_eq!(Mode::Watchdog.kernel_argument().as_deref(), Some("selftest=watchdog"));
    }

    #[test]
    fn checks_are_listed_once() {
        for (i, must) in QEMU_MUST_PASS.iter().enumerate() {
            assert!(QEMU_MUST_PASS[i + 1..].iter().all(|m| m.check != must.check), "{}", must.check);
        }
    }
}
