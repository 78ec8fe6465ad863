// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads the console of a Talos boot and judges it: which signs came, in which order, and which end it all.

use std::collections::{BTreeSet, VecDeque};
use std::io::Read;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use fw_build::{Failure, Result};
use fw_image::map::ImageMap;

use super::super::boot::read_in_background;
use crate::console::Lines;

/// How many lines a failure quotes.
const QUOTED_LINES: usize = 25;

/// A thing that must be seen on the console, in the order of their declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sign {
    /// U-Boot's banner.
    Loader,
    /// GRUB's greeting.
    Grub,
    /// The kernel's first line, with the release of this build.
    Kernel,
    /// Talos's `init` in the initramfs, with its release.
    Init,
    /// It has mounted the root file system and starts `machined`.
    Rootfs,
    /// `machined` has set and read back every sysctl of the kernel self-protection project, and its arguments.
    Kspp,
    /// META was found on our disk.
    Meta,
    /// udev, containerd and machined's own services are up.
    EarlyServices,
    /// No configuration was found: it waits for one.
    Maintenance,
    /// The configuration in the image was found.
    Embedded,
    /// STATE was made.
    State,
    /// EPHEMERAL was made.
    Ephemeral,
}

/// What the map says that the image has beside the userland.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additions {
    /// Layers over the root file system, each with its version: modules, extensions, configuration.
    layers: BTreeSet<String>,
}

/// Name of the layer that has a machine configuration (Talos, pkg/imager).
const EMBEDDED: &str = "embedded-config";

impl Additions {
    /// Those of an image's map.
    pub fn of(map: &ImageMap) -> Additions {
        let layers = map.facts.get("layers").map(String::as_str).unwrap_or_default();
        Additions { layers: layers.split(", ").filter(|l| !l.is_empty()).map(str::to_owned).collect() }
    }

    /// Whether the image has a machine configuration.
    pub fn embedded(&self) -> bool {
        self.layers.iter().any(|layer| layer.split(' ').next() == Some(EMBEDDED))
    }

    /// For people; none for an image without.
    pub fn row(&self) -> Option<String> {
        let names: Vec<&str> = self.layers.iter().map(String::as_str).collect();
        (!names.is_empty()).then(|| format!("layers: {}, enabled by Talos's init", names.join(", ")))
    }

    /// The signs of a boot up to where a configuration is taken.
    pub fn before_configuration(&self) -> [Sign; 9] {
        [
            Sign::Loader,
            Sign::Grub,
            Sign::Kernel,
            Sign::Init,
            Sign::Rootfs,
            Sign::Kspp,
            Sign::Meta,
            Sign::EarlyServices,
            if self.embedded() { Sign::Embedded } else { Sign::Maintenance },
        ]
    }
}

impl Sign {
    /// Those that a configuration brings.
    pub const AFTER_CONFIGURATION: [Sign; 2] = [Sign::State, Sign::Ephemeral];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Sign::Loader => "U-Boot's banner",
            Sign::Grub => "GRUB",
            Sign::Kernel => "the kernel's version line",
            Sign::Init => "Talos's init in the initramfs",
            Sign::Rootfs => "the root file system entered",
            Sign::Kspp => "the kernel's self-protection as Talos wants it",
            Sign::Meta => "META found on the disk",
            Sign::EarlyServices => "udev and containerd up",
            Sign::Maintenance => "maintenance mode",
            Sign::Embedded => "the image's machine configuration taken",
            Sign::State => "STATE made on the disk",
            Sign::Ephemeral => "EPHEMERAL made on the disk",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Sign::Loader => "the firmware is the result of stage `u-boot-qemu`",
            Sign::Grub => "U-Boot starts `EFI/BOOT/BOOTAA64.EFI` of the EFI partition (stage `grub-efi`)",
            Sign::Kernel => "the kernel's arguments need `console=ttyAMA0`",
            Sign::Init | Sign::Rootfs => "a file-system type that the kernel lacks stops it here",
            Sign::Kspp => "it waits for ever for a sysctl that the kernel lacks: docs/kernel.md",
            Sign::Meta => "partition META, exactly 1 MiB and zero",
            Sign::EarlyServices => {
                "the lines `service[udevd]` and `service[containerd]` say which does not come up"
            }
            Sign::Maintenance | Sign::Embedded | Sign::State | Sign::Ephemeral => {
                "the lines of `machined` say what it waits for; `--timeout` gives it longer"
            }
        }
    }

    /// The sign that a line is.
    fn of(line: &str) -> Option<Sign> {
        let banner =
            |l: &str| l.strip_prefix("U-Boot ").is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
        let volume = |name: &str| {
            line.contains("volume status")
                && line.contains(&format!("\"volume\": \"{name}\""))
                && line.contains("-> ready\"")
        };
        Some(match line {
            l if banner(l) => Sign::Loader,
            l if l.contains("Welcome to GRUB!") || l.contains("GNU GRUB  version") => Sign::Grub,
            l if l.contains("Linux version ") => Sign::Kernel,
            l if l.contains("[talos] [initramfs] booting Talos ") => Sign::Init,
            l if l.contains("[talos] [initramfs] entering the rootfs") => Sign::Rootfs,
            l if l.contains("[talos] task enforceKSPPRequirements") && l.contains(": done") => Sign::Kspp,
            l if l.contains("[talos] phase earlyServices") && l.contains(": done") => Sign::EarlyServices,
            l if l.contains("[talos] entering maintenance service") => Sign::Maintenance,
            l if l.contains("[talos] machine config loaded") && l.contains("[\"embedded\"]") => {
                Sign::Embedded
            }
            _ if volume("META") => Sign::Meta,
            _ if volume("STATE") => Sign::State,
            _ if volume("EPHEMERAL") => Sign::Ephemeral,
            _ => return None,
        })
    }
}

/// Lines after which waiting is in vain.
const FATAL: [(&str, &str); 6] = [
    ("Kernel panic - not syncing", "the kernel panicked"),
    ("\"Synchronous Abort\" handler", "U-Boot crashed"),
    ("Entering rescue mode...", "GRUB went into rescue mode"),
    ("early boot failed", "Talos's init gave up"),
    ("[talos] rebooting in 10 seconds", "machined gave up"),
    ("\"phase\": \"missing -> failed\"", "Talos could not make a volume"),
];

/// The state machine, without clock or process.
#[derive(Debug)]
struct Judge {
    release: String,
    talos: String,
    additions: Additions,
    /// Layers that Talos's init has enabled.
    enabled: BTreeSet<String>,
    seen: Vec<Sign>,
    last_lines: VecDeque<String>,
}

impl Judge {
    fn line(&mut self, line: &str) -> Result<()> {
        if self.last_lines.len() == QUOTED_LINES {
            self.last_lines.pop_front();
        }
        self.last_lines.push_back(line.to_owned());
        if let Some((_, meaning)) = FATAL.iter().find(|(sign, _)| line.contains(sign)) {
            return Err(self.failed(Failure::new(*meaning)));
        }
        if let Some((_, layer)) = line.split_once("[talos] [initramfs] enabling system extension ") {
            self.enabled.insert(layer.trim().to_owned());
        }
        let Some(sign) = Sign::of(line) else { return Ok(()) };
        if sign == Sign::Loader && !self.seen.is_empty() {
            return Err(self.failed(Failure::new("the machine was reset")));
        }
        if self.seen.contains(&sign) {
            return Ok(());
        }
        let says = |marker: &str| line.split(marker).nth(1).and_then(|rest| rest.split_whitespace().next());
        let wrong = match sign {
            Sign::Kernel if says("Linux version ") != Some(&self.release) => Some((&self.release, "kernel")),
            Sign::Init if says("booting Talos ") != Some(&self.talos) => Some((&self.talos, "Talos")),
            _ => None,
        };
        if let Some((expected, what)) = wrong {
            let failure = Failure::new(format!("another {what} came up than the one in the image's map"));
            return Err(self.failed(failure.why(format!("expected `{expected}`"))));
        }
        if sign == Sign::Rootfs && self.enabled != self.additions.layers {
            let failure = Failure::new("Talos's init has enabled other layers than the image's map has")
                .why(format!("expected {:?}, seen {:?}", self.additions.layers, self.enabled));
            return Err(self.failed(failure));
        }
        // What runs side by side may be early, as META is before the services; what is awaited must not be late.
        let before = self.additions.before_configuration();
        let missing = before.iter().find(|s| **s < sign && !self.seen.contains(s));
        let sequential = !matches!(sign, Sign::Meta | Sign::Kspp);
        if let Some(missing) = missing.filter(|_| sequential) {
            let what = format!("{} came before {}", sign.name(), missing.name());
            return Err(self.failed(Failure::new(what).hint(missing.hint())));
        }
        self.seen.push(sign);
        Ok(())
    }

    fn failed(&self, failure: Failure) -> Failure {
        let failure = failure.why(format!("the last {} console lines:", self.last_lines.len()));
        self.last_lines.iter().map(|line| format!("| {line}")).fold(failure, Failure::why)
    }
}

/// The console of a running machine.
pub struct Console {
    bytes: Receiver<Vec<u8>>,
    lines: Lines,
    judge: Judge,
    ended: bool,
    denials: usize,
}

impl Console {
    /// Reads `reader` from now on; the boot must be of this kernel and this Talos, with these layers.
    pub fn new(
        reader: impl Read + Send + 'static,
        release: &str,
        talos: &str,
        additions: Additions,
    ) -> Console {
        let judge = Judge {
            release: release.to_owned(),
            talos: talos.to_owned(),
            additions,
            enabled: BTreeSet::new(),
            seen: Vec::new(),
            last_lines: VecDeque::new(),
        };
        Console {
            bytes: read_in_background(reader),
            lines: Lines::default(),
            judge,
            ended: false,
            denials: 0,
        }
    }

    /// How many lines on refusals of SELinux there were: in permissive mode they refuse nothing, and the
    /// root file system of this userland has no labels.
    pub fn denials(&self) -> usize {
        self.denials
    }

    /// Shows and judges lines until `sign` was seen.
    ///
    /// # Errors
    /// It did not come in time, the machine ended, or a line says that waiting is in vain.
    pub fn wait_for(&mut self, sign: Sign, deadline: Instant) -> Result<()> {
        while !self.judge.seen.contains(&sign) {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.ended || left.is_zero() {
                let what = if self.ended { "QEMU ended" } else { "the time was over" };
                let failure = Failure::new(format!("{what} while waiting for {}", sign.name()));
                return Err(self.judge.failed(failure.hint(sign.hint())));
            }
            self.take(left)?;
        }
        Ok(())
    }

    /// Shows and judges lines for this long, or until the machine has ended.
    ///
    /// # Errors
    /// A line says that waiting is in vain.
    pub fn listen(&mut self, time: Duration) -> Result<()> {
        let deadline = Instant::now() + time;
        while !self.ended {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.take(left)?;
        }
        Ok(())
    }

    fn take(&mut self, longest: Duration) -> Result<()> {
        let chunk = match self.bytes.recv_timeout(longest) {
            Ok(chunk) => chunk,
            Err(RecvTimeoutError::Timeout) => return Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                return Ok(());
            }
        };
        for line in self.lines.feed(&chunk) {
            if line.contains("audit: type=1400") || line.contains("kauditd") {
                self.denials += 1;
                continue;
            }
            println!("{line}");
            self.judge.line(&line)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOT: &str = "U-Boot 2025.01 (x)
Welcome to GRUB!
[    0.0] Linux version 6.18.15-x (a@b)
[    9.0] [talos] [initramfs] booting Talos v1.10.6
[    9.1] [talos] [initramfs] entering the rootfs
[   10.0] [talos] volume status {\"volume\": \"META\", \"phase\": \"waiting -> ready\", \"location\": \"/dev/vda4\"}
[   11.0] [talos] task enforceKSPPRequirements (1/1): done, 45s
[   12.0] [talos] phase earlyServices (2/9): done, 7m
[   13.0] [talos] entering maintenance service {}
[   20.0] [talos] volume status {\"volume\": \"STATE\", \"phase\": \"prepared -> ready\"}
[   21.0] [talos] volume status {\"volume\": \"EPHEMERAL\", \"phase\": \"prepared -> ready\"}
";

    fn watch(text: &str) -> Result<()> {
        watch_with(text, &[])
    }

    fn watch_with(text: &str, layers: &[&str]) -> Result<()> {
        let additions = Additions { layers: layers.iter().map(|l| (*l).to_owned()).collect() };
        let before = additions.before_configuration();
        let mut console =
            Console::new(std::io::Cursor::new(text.to_owned()), "6.18.15-x", "v1.10.6", additions);
        let deadline = Instant::now() + Duration::from_secs(20);
        for sign in before.into_iter().chain(Sign::AFTER_CONFIGURATION) {
            console.wait_for(sign, deadline)?;
        }
        Ok(())
    }

    /// The boot with these layers enabled.
    fn layered(layers: &[&str]) -> String {
        let lines =
            layers.iter().map(|l| format!("[ 9.0] [talos] [initramfs] enabling system extension {l}\n"));
        BOOT.replace("[    9.1]", &format!("{}[    9.1]", lines.collect::<String>()))
    }

    #[test]
    fn the_images_layers_are_enabled_and_no_others() {
        let all = ["hello v1.0.0", "kernel-modules 6.18.15-x"];
        watch_with(&layered(&all), &all).expect("passes");
        for (enabled, wanted) in [(&all[..], &all[..1]), (&all[..1], &all[..]), (&[], &all[..])] {
            let failure = watch_with(&layered(enabled), wanted).expect_err("others").to_string();
            assert!(failure.contains("other layers than the image's map"), "{failure}");
        }
    }

    #[test]
    fn an_embedded_configuration_takes_the_place_of_maintenance_mode() {
        let layers = ["embedded-config d5c8"];
        let text = layered(&layers);
        let failure = watch_with(&text, &layers).expect_err("maintenance mode").to_string();
        assert!(failure.contains("came before the image's machine configuration"), "{failure}");
        let taken = "[talos] machine config loaded successfully {\"sources\": [\"embedded\"]}";
        watch_with(&text.replace("[talos] entering maintenance service {}", taken), &layers).expect("passes");
    }

    #[test]
    fn a_whole_boot_passes() {
        watch(BOOT).expect("passes");
    }

    #[test]
    fn must_fail_boots_that_are_not_whole() {
        let without = |part: &str| {
            BOOT.lines().filter(|l| !l.contains(part)).map(|l| format!("{l}\n")).collect::<String>()
        };
        for (text, says) in [
            (BOOT.replace("6.18.15-x", "6.18.15-y"), "another kernel came up"),
            (BOOT.replace("v1.10.6", "v1.10.9"), "another Talos came up"),
            (without("GRUB"), "the kernel's version line came before GRUB"),
            (without("KSPP"), "udev and containerd up came before the kernel's self-protection"),
            (without("META"), "udev and containerd up came before META"),
            (without("entering maintenance"), "STATE made on the disk came before maintenance mode"),
            (without("EPHEMERAL"), "QEMU ended while waiting for EPHEMERAL"),
            (
                BOOT.replace("waiting -> ready\", \"location\": \"/dev/vda4\"", "waiting -> missing\""),
                "before META",
            ),
            (BOOT.replace("prepared -> ready", "missing -> failed"), "could not make a volume"),
            (BOOT.replace("[   12.0]", "U-Boot 2025.01 (x)\n[   12.0]"), "the machine was reset"),
            (BOOT.replace("Welcome", "Kernel panic - not syncing: x\nWelcome"), "the kernel panicked"),
        ] {
            let failure = watch(&text).expect_err(says).to_string();
            assert!(failure.contains(says), "{says}: {failure}");
        }
    }
}
