// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a rehearsal must show: the steps of each mode, and the checks that QEMU's machine must pass. Data.

use bringup_selftest::features::TOPICS;
use clap::ValueEnum;
use fw_image::map::Presence;

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
    /// Nothing more: the image's kernel and userland, started without loader, with a second certificate in the
    /// kernel that has expired, and with AppArmor in SELinux's place.
    Rotation,
}

impl Mode {
    /// Every mode, in the order in which they are rehearsed.
    pub const ALL: [Mode; 5] = [Mode::Report, Mode::Poweroff, Mode::Reboot, Mode::Watchdog, Mode::Rotation];

    /// As on the kernel command line.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Report => "report",
            Mode::Poweroff => "poweroff",
            Mode::Reboot => "reboot",
            Mode::Watchdog => "watchdog",
            Mode::Rotation => "rotation",
        }
    }

    /// What is added to the kernel command line; nothing where the report is all.
    pub fn kernel_argument(self) -> Option<String> {
        (!matches!(self, Mode::Report | Mode::Rotation)).then(|| format!("selftest={}", self.name()))
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
            Mode::Rotation => &[Kernel, Result],
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

impl MustPass {
    /// Whether it is about the check of this name.
    pub fn matches(&self, name: &str) -> bool {
        match self.check.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == self.check,
        }
    }
}

const fn must(check: &'static str, why: &'static str) -> MustPass {
    MustPass { check, why }
}

/// What one boot must come to.
#[derive(Debug, Clone, Default)]
pub struct Expectation {
    /// Checks that must pass.
    pub must_pass: Vec<MustPass>,
    /// Checks that may be skipped; any other skip is a failure.
    pub may_skip: Vec<&'static str>,
}

impl Expectation {
    /// For a mode, and a kernel with or without BTF.
    pub fn of(mode: Mode, btf: Presence) -> Expectation {
        let mut must_pass = QEMU_MUST_PASS.to_vec();
        let mut may_skip = QEMU_MAY_SKIP.to_vec();
        // They exclude each other; each runs in some mode.
        may_skip.push(if mode == Mode::Rotation { SELINUX } else { APPARMOR });
        let features = TOPICS.iter().flat_map(|topic| topic.checks);
        must_pass.extend(
            features
                .filter(|check| !may_skip.contains(check) && **check != BTF)
                .map(|check| must(check, "the kernel must have it whatever the machine")),
        );
        must_pass.push(match mode {
            Mode::Rotation => {
                must("signature.expired-trusted", "the kernel has its certificate, and never looks at dates")
            }
            _ => must("signature.expired-unknown", "no shipped kernel has its certificate"),
        });
        match btf {
            Presence::On => must_pass.push(must(BTF, "the image's map says that the kernel has it")),
            Presence::Off => may_skip.push(BTF),
        }
        Expectation { must_pass, may_skip }
    }
}

/// The check for type information.
const BTF: &str = "bpf.btf";
/// The checks for the security module that runs.
const SELINUX: &str = "lsm.selinux";
const APPARMOR: &str = "lsm.apparmor-enforces";

/// What QEMU's machine lacks: sensors, clocks that scale, an LED, and a firmware that stays below the hypervisor level.
pub const QEMU_MAY_SKIP: [&str; 4] = ["thermal", "cpufreq", "dev.kvm", "led"];

/// What the machine of [`super::machine`] has.
pub const QEMU_MUST_PASS: &[MustPass] = &[
    must("kernel-release", "the kernel is the one the userland was made for"),
    must("board-model", "QEMU hands over a device tree"),
    must("cmdline", "the self-test understood its mode"),
    must("signature.good", "a shipped module loads"),
    must("signature.unsigned", "a module without signature is refused"),
    must("signature.flipped", "a module with one byte changed is refused"),
    must("signature.flipped-signature", "a signature with one byte changed is refused"),
    must("signature.truncated", "a module without its end is refused"),
    must("signature.shortened", "a module without its middle is refused"),
    must("signature.overlong", "a signature longer than its module is refused"),
    must("signature.foreign-kind", "another kind of signature is refused"),
    must("signature.stranger", "a module of an unknown key is refused"),
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
    must("report.esp", "the image's EFI partition has a report that was never run"),
    must("report.http", "the service starts with the self-test"),
    must("report.mdns", "QEMU answers DHCP, and the service its own name"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_reports_first() {
        for mode in Mode::ALL {
            let first =
                if mode == Mode::Rotation { &Mode::Report.steps()[2..] } else { Mode::Report.steps() };
            assert!(mode.steps().starts_with(first), "{}", mode.name());
        }
        assert_eq!(Mode::Rotation.kernel_argument(), None);
        assert_eq!(Mode::Report.steps(), [Step::FirstLoader, Step::Grub, Step::Kernel, Step::Result]);
        assert_eq!(Mode::Report.kernel_argument(), None);
        assert_eq!(Mode::Watchdog.kernel_argument().as_deref(), Some("selftest=watchdog"));
    }

    #[test]
    fn checks_are_listed_once() {
        for (mode, btf) in [(Mode::Report, Presence::On), (Mode::Rotation, Presence::Off)] {
            let Expectation { must_pass, may_skip } = Expectation::of(mode, btf);
            for (i, must) in must_pass.iter().enumerate() {
                assert!(must_pass[i + 1..].iter().all(|m| m.check != must.check), "{}", must.check);
                assert!(!may_skip.contains(&must.check), "{}", must.check);
            }
        }
    }

    #[test]
    fn what_must_pass_follows_mode_and_kernel() {
        let names = |mode, btf| -> Vec<&str> {
            Expectation::of(mode, btf).must_pass.iter().map(|m| m.check).collect()
        };
        let report = names(Mode::Report, Presence::On);
        assert!(report.contains(&"bpf.btf") && report.contains(&"nft.filter"));
        assert!(report.contains(&"signature.expired-unknown"));
        assert!(report.contains(&"lsm.selinux") && !report.contains(&"lsm.apparmor-enforces"));
        let rotation = names(Mode::Rotation, Presence::Off);
        assert!(rotation.contains(&"signature.expired-trusted") && !rotation.contains(&"bpf.btf"));
        assert!(rotation.contains(&"lsm.apparmor-enforces") && !rotation.contains(&"lsm.selinux"));
    }
}
