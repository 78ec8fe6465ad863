// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What runs, where, and since when.

use super::SHARE;
use crate::boot::action::Action;
use crate::machine::Machine;
use crate::report::Report;

/// Kernel release, board model, command line.
pub fn identity(machine: &Machine<'_>, report: &mut Report<'_>) {
    let running = machine.read("/proc/sys/kernel/osrelease").unwrap_or_default();
    match machine.read(format!("{SHARE}/expected-release")) {
        Some(expected) if expected == running => report.pass("kernel-release", running),
        Some(expected) => {
            report.fail("kernel-release", format!("running `{running}`, expected `{expected}`"))
        }
        None => report
            .fail("kernel-release", format!("running `{running}`, `{SHARE}/expected-release` is missing")),
    }
    // Absent on a machine that is described by ACPI.
    match machine.read("/sys/firmware/devicetree/base/model") {
        Some(model) => report.pass("board-model", model),
        None => report.skip("board-model", "no device tree"),
    }
    match machine.read("/proc/cmdline") {
        Some(line) => match Action::from_command_line(&line) {
            Ok(_) => report.pass("cmdline", line),
            Err(unknown) => report.fail("cmdline", format!("unknown `selftest={unknown}` in `{line}`")),
        },
        None => report.fail("cmdline", "`/proc/cmdline` cannot be read"),
    }
}

/// Memory that the kernel manages.
pub fn memory(machine: &Machine<'_>, report: &mut Report<'_>) {
    match machine.read("/proc/meminfo").as_deref().and_then(total_kib) {
        Some(kib) => report.pass("memory", format!("{} MiB", kib / 1024)),
        None => report.fail("memory", "no `MemTotal` in `/proc/meminfo`"),
    }
}

/// Seconds since the kernel started, at the end of the report.
pub fn uptime(machine: &Machine<'_>, report: &mut Report<'_>) {
    let text = machine.read("/proc/uptime").unwrap_or_default();
    match text.split_whitespace().next().and_then(|s| s.parse::<f64>().ok()) {
        Some(seconds) => report.pass("uptime", format!("{seconds:.1} s")),
        None => report.fail("uptime", "`/proc/uptime` cannot be read"),
    }
}

fn total_kib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn the_release_must_be_the_composed_one() {
        let f = Fixture::new();
        f.file("/proc/sys/kernel/osrelease", "6.18.15-abc\n");
        f.file("/proc/cmdline", "console=ttyS2 selftest=reboot\n");
        assert_eq!(
            f.lines(identity),
            [
                "kernel-release fail running `6.18.15-abc`, `/usr/share/selftest/expected-release` is missing",
                "board-model skip no device tree",
                "cmdline pass console=ttyS2 selftest=reboot",
            ]
        );
        f.file("/usr/share/selftest/expected-release", "6.18.15-abd\n");
        f.file("/sys/firmware/devicetree/base/model", "FriendlyElec NanoPi M6\0");
        f.file("/proc/cmdline", "selftest=explode\n");
        assert_eq!(
            f.lines(identity),
            [
                "kernel-release fail running `6.18.15-abc`, expected `6.18.15-abd`",
                "board-model pass FriendlyElec NanoPi M6",
                "cmdline fail unknown `selftest=explode` in `selftest=explode`",
            ]
        );
        f.file("/usr/share/selftest/expected-release", "6.18.15-abc\n");
        assert_eq!(f.lines(identity)[0], "kernel-release pass 6.18.15-abc");
    }

    #[test]
    fn memory_and_uptime() {
        let f = Fixture::new();
        assert_eq!(f.lines(memory), ["memory fail no `MemTotal` in `/proc/meminfo`"]);
        assert_eq!(f.lines(uptime), ["uptime fail `/proc/uptime` cannot be read"]);
        f.file("/proc/meminfo", "MemTotal:        8129024 kB\nMemFree: 1 kB\n");
        f.file("/proc/uptime", "12.34 40.00\n");
        assert_eq!(f.lines(memory), ["memory pass 7938 MiB"]);
        assert_eq!(f.lines(uptime), ["uptime pass 12.3 s"]);
    }
}
