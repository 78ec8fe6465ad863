// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Block devices: size, how the bus runs, and how fast they read.

use std::io::Error;
use std::path::Path;
use std::time::Duration;

use super::pcie;
use crate::machine::{Amount, Machine};
use crate::report::Report;

const CLASS: &str = "/sys/block";
/// Unit of `/sys/block/*/size`, whatever the device's own sector size is.
const SECTOR_BYTES: u64 = 512;
/// How long each device is read.
const READ_TIME: Duration = Duration::from_secs(1);
/// Devices that are made of memory or of other devices.
const VIRTUAL: [&str; 6] = ["loop", "ram", "zram", "dm-", "md", "nbd"];

/// One line per device with a medium.
pub fn check(machine: &Machine<'_>, report: &mut Report<'_>) {
    let devices: Vec<String> = machine.list(CLASS).into_iter().filter(|n| is_disk(n)).collect();
    if devices.is_empty() {
        report.skip("block", "no devices");
    }
    for device in devices {
        let name = format!("block.{device}");
        let bus = bus(machine, &device);
        let sectors: u64 = machine.number(format!("{CLASS}/{device}/size")).unwrap_or(0);
        if sectors == 0 {
            report.skip(&name, format!("no medium, {bus}"));
            continue;
        }
        let size = size_text(sectors.saturating_mul(SECTOR_BYTES));
        match machine.ops.read_device(&machine.path(format!("/dev/{device}")), READ_TIME) {
            Ok(amount) if amount.bytes > 0 => {
                report.pass(&name, format!("{size}, {bus}, reads {}", rate_text(amount)));
            }
            Ok(_) => report.fail(&name, format!("{size}, {bus}, reads nothing")),
            Err(errno) => report.fail(&name, format!("{size}, {bus}, read: {}", Error::from(errno))),
        }
    }
}

/// A whole device; the boot and replay-protected parts of an eMMC count as parts of it.
fn is_disk(name: &str) -> bool {
    let part_of_emmc = name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"));
    !part_of_emmc && !VIRTUAL.iter().any(|v| name.starts_with(v))
}

/// What the device hangs on and how that runs, from its place in the device tree.
fn bus(machine: &Machine<'_>, device: &str) -> String {
    let real = machine.real(format!("{CLASS}/{device}")).unwrap_or_default();
    let parts: Vec<&str> = real.iter().filter_map(|p| p.to_str()).collect();
    let part_after = |before: &str| parts.windows(2).find(|w| w[0] == before).map(|w| w[1]);
    let pci_link = || {
        let address = parts.iter().rev().find(|p| pcie::is_address(p))?;
        pcie::link_text(machine, address)
    };
    if let Some(host) = part_after("mmc_host") {
        let mode = machine.read(format!("/sys/kernel/debug/{host}/ios")).map(|ios| mmc_mode(&ios));
        format!("{host} {}", mode.unwrap_or_else(|| "mode unknown (no debugfs)".into()))
    } else if device.starts_with("nvme") {
        format!("nvme over pcie {}", pci_link().unwrap_or_else(|| "without link state".into()))
    } else if parts.iter().any(|p| p.starts_with("virtio")) {
        "virtio".into()
    } else if let Some(speed) = usb_speed(machine, &real) {
        format!("usb {speed} Mbit/s")
    } else {
        parts.get(3).map_or_else(|| "bus unknown".into(), |top| (*top).to_owned())
    }
}

/// Speed of the nearest USB device above, in Mbit/s.
fn usb_speed(machine: &Machine<'_>, device: &Path) -> Option<String> {
    let on_usb = device.iter().any(|p| p.to_string_lossy().starts_with("usb"));
    device.ancestors().filter(|_| on_usb).find_map(|dir| machine.read(dir.join("speed")))
}

/// The lines of an MMC host's `ios` file (kernel, `drivers/mmc/core/debugfs.c`) that tell how fast it runs.
fn mmc_mode(ios: &str) -> String {
    let value = |key: &str| ios.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':')).map(str::trim);
    let named = |key| {
        let text = value(key)?;
        Some(text.split_once('(')?.1.trim_end_matches(')').to_owned())
    };
    let clock = value("actual clock").or_else(|| value("clock")).and_then(|c| c.strip_suffix(" Hz"));
    let mhz = clock.and_then(|c| c.parse::<u64>().ok()).map(|hz| format!("{} MHz", hz / 1_000_000));
    [named("timing spec"), named("bus width"), mhz, named("signal voltage")]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

fn size_text(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    match bytes / MIB {
        mib if mib >= 10 * 1024 => format!("{} GiB", mib / 1024),
        mib => format!("{mib} MiB"),
    }
}

fn rate_text(amount: Amount) -> String {
    // A device that ended within the clock's resolution must not divide by zero.
    let micros = amount.took.as_micros().max(1);
    // Bytes per microsecond are megabytes per second.
    let tenths = u128::from(amount.bytes) * 10 / micros;
    format!("{}.{} MB/s", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;
    use rustix::io::Errno;

    const IOS: &str = "clock:\t\t200000000 Hz\nactual clock:\t187500000 Hz\nvdd:\t\t21 (3.3 ~ 3.4 V)\n\
        bus mode:\t2 (push-pull)\nbus width:\t3 (8 bits)\ntiming spec:\t9 (mmc HS200)\n\
        signal voltage:\t1 (1.80 V)\n";

    fn disk(f: &Fixture, name: &str, real: &str, sectors: &str) {
        f.link(&format!("/sys/block/{name}"), &format!("../{real}/block/{name}"));
        f.file(&format!("/sys/{real}/block/{name}/size"), sectors);
    }

    #[test]
    fn every_bus_tells_how_it_runs() {
        let f = Fixture::new();
        f.ops.amount.set(Some(Ok(Amount { bytes: 250_000_000, took: Duration::from_secs(1) })));
        disk(&f, "mmcblk0", "devices/platform/fe2e0000.mmc/mmc_host/mmc0/mmc0:0001", "61071360\n");
        disk(&f, "mmcblk0boot0", "devices/platform/fe2e0000.mmc/mmc_host/mmc0/mmc0:0001", "8192\n");
        f.file("/sys/kernel/debug/mmc0/ios", IOS);
        disk(&f, "nvme0n1", "devices/pci0004:40/0004:40:00.0/0004:41:00.0/nvme/nvme0", "2048000\n");
        f.file("/sys/bus/pci/devices/0004:41:00.0/current_link_speed", "5.0 GT/s PCIe\n");
        f.file("/sys/bus/pci/devices/0004:41:00.0/current_link_width", "1\n");
        disk(&f, "sda", "devices/platform/x/usb2/2-1/2-1:1.0/host0/target0:0:0/0:0:0:0", "4096\n");
        f.file("/sys/devices/platform/x/usb2/2-1/speed", "5000\n");
        disk(&f, "vda", "devices/pci0000:00/0000:00:01.0/virtio0", "2551808\n");
        disk(&f, "loop0", "devices/virtual", "100\n");
        assert_eq!(
            f.lines(check),
            [
                "block.mmcblk0 pass 29 GiB, mmc0 mmc HS200 8 bits 187 MHz 1.80 V, reads 250.0 MB/s",
                "block.nvme0n1 pass 1000 MiB, nvme over pcie 5.0 GT/s x1, reads 250.0 MB/s",
                "block.sda pass 2 MiB, usb 5000 Mbit/s, reads 250.0 MB/s",
                "block.vda pass 1246 MiB, virtio, reads 250.0 MB/s",
            ]
        );
    }

    #[test]
    fn a_device_that_cannot_be_read_fails() {
        let f = Fixture::new();
        assert_eq!(f.lines(check), ["block skip no devices"]);
        disk(&f, "vda", "devices/pci0000:00/virtio0", "2048\n");
        f.ops.amount.set(Some(Err(Errno::IO)));
        let line = f.lines(check).remove(0);
        assert!(line.starts_with("block.vda fail 1 MiB, virtio, read: "), "{line}");
        f.ops.amount.set(Some(Ok(Amount { bytes: 0, took: Duration::ZERO })));
        assert_eq!(f.lines(check), ["block.vda fail 1 MiB, virtio, reads nothing"]);
        disk(&f, "sr0", "devices/pci0000:00/ata1", "0\n");
        assert_eq!(f.lines(check)[0], "block.sr0 skip no medium, pci0000:00");
    }

    #[test]
    fn a_host_without_debugfs_says_so() {
        let f = Fixture::new();
        disk(&f, "mmcblk1", "devices/platform/fe2c0000.mmc/mmc_host/mmc1/mmc1:aaaa", "2048\n");
        f.ops.amount.set(Some(Ok(Amount { bytes: 1, took: Duration::ZERO })));
        assert_eq!(
            f.lines(check),
            ["block.mmcblk1 pass 1 MiB, mmc1 mode unknown (no debugfs), reads 1.0 MB/s"]
        );
    }
}
