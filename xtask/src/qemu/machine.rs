// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The machine of the rehearsal: QEMU's `virt` with what the image's kernel has drivers for.
//!
//! Only the command line is made here; [`super::boot`] runs it. What this machine has, the self-test must
//! report as passed: [`super::expect::QEMU_MUST_PASS`].

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The program.
pub const PROGRAM: &str = "qemu-system-aarch64";

/// A port of the guest that can be reached on loopback.
#[derive(Debug, Clone, Copy)]
pub struct Forward {
    /// Port on this machine.
    pub host: u16,
    /// Port in the guest.
    pub guest: u16,
}

impl Forward {
    /// To the self-test's report.
    pub fn report(host: u16) -> Forward {
        Forward { host, guest: 80 }
    }

    /// To Talos's API (Talos, `constants.ApidPort`).
    pub fn talos(host: u16) -> Forward {
        Forward { host, guest: 50000 }
    }
}

/// Where the serial console goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// Out only, to be judged.
    Piped,
    /// To the user's terminal and back; Ctrl-A X ends, Ctrl-A C is QEMU's monitor.
    Terminal,
}

/// What the machine begins with.
#[derive(Debug, Clone)]
pub enum Start {
    /// Firmware, which finds the loader on the disk.
    Firmware(PathBuf),
    /// A kernel that QEMU puts into memory itself.
    Kernel {
        /// Raw kernel image.
        image: PathBuf,
        /// Initramfs.
        initramfs: PathBuf,
        /// Kernel command line.
        arguments: String,
    },
}

/// The arguments for one boot of the disk in the qcow2 layer `disk`. The guest's HTTP server is behind `report_port` of
/// this machine's loopback link.
pub fn arguments(start: &Start, disk: &Path, console: Console, forward: Forward) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        // No configuration of the host's, no default devices (a default network card wants an option ROM file).
        "-no-user-config",
        "-nodefaults",
        // Two cores are enough to see SMP; A76 is RK3588's big core.
        "-machine",
        "virt",
        "-cpu",
        "cortex-a76",
        "-smp",
        "2",
        "-m",
        "2048",
        "-display",
        "none",
        "-rtc",
        "base=utc",
        "-device",
        "virtio-rng-pci",
        // Reset, as on the board, whatever QEMU's default is.
        "-device",
        "i6300esb",
        "-action",
        "watchdog=reset",
        "-device",
        "virtio-net-pci,netdev=net,romfile=,mac=52:54:00:4d:36:01,speed=1000,duplex=full",
        // An empty NVMe device behind a root port: the PCIe link and the NVMe driver, as on the board.
        "-blockdev",
        "driver=null-co,node-name=empty,size=67108864,read-zeroes=on",
        "-device",
        "pcie-root-port,id=slot1,chassis=1",
        "-device",
        "nvme,serial=rehearsal,drive=empty,bus=slot1",
        // Devices whose drivers are modules: they load by alias, with their signatures.
        "-blockdev",
        "driver=null-co,node-name=stick,size=67108864,read-zeroes=on",
        "-device",
        "qemu-xhci,id=usb",
        "-device",
        "usb-storage,bus=usb.0,drive=stick",
        "-device",
        "ich9-ahci",
        "-device",
        "virtio-blk-pci,drive=disk",
    ]
    .map(OsString::from)
    .into();
    let serial = match console {
        Console::Piped => "stdio",
        Console::Terminal => "mon:stdio",
    };
    args.extend(["-serial".into(), serial.into()]);
    // `restrict`: the guest has a link, but neither host nor network behind it. The one port goes the other way.
    let network =
        format!("user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{}-:{}", forward.host, forward.guest);
    args.extend(["-netdev".into(), network.into()]);
    match start {
        Start::Firmware(firmware) => args.extend(["-bios".into(), firmware.into()]),
        Start::Kernel { image, initramfs, arguments } => {
            args.extend(["-kernel".into(), image.into(), "-initrd".into(), initramfs.into()]);
            args.extend(["-append".into(), arguments.into()]);
        }
    }
    args.extend([
        "-blockdev".into(),
        concat("driver=qcow2,node-name=disk,file.driver=file,file.filename=", disk),
    ]);
    args
}

/// A path inside a comma-separated option: QEMU wants its commas doubled.
pub(super) fn concat(option: &str, path: &Path) -> OsString {
    let mut text = OsString::from(option);
    match path.to_str() {
        Some(path) => text.push(path.replace(',', ",,")),
        None => text.push(path),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_disk_is_the_layer_and_commas_are_doubled() {
        let args = arguments(
            &Start::Firmware("/u-boot.bin".into()),
            Path::new("/a,b/x.qcow2"),
            Console::Piped,
            Forward::report(4242),
        );
        assert!(
            args.iter().any(|a| a.to_string_lossy().ends_with("hostfwd=tcp:127.0.0.1:4242-:80")),
            "{args:?}"
        );
        assert!(
            args.iter().any(|a| a.to_string_lossy().ends_with("file.filename=/a,,b/x.qcow2")),
            "{args:?}"
        );
        assert!(args.windows(2).any(|w| w[0] == "-bios" && w[1] == "/u-boot.bin"));
        assert!(args.windows(2).any(|w| w[0] == "-serial" && w[1] == "stdio"));
        let kernel = Start::Kernel { image: "/k".into(), initramfs: "/i".into(), arguments: "a b".into() };
        let args = arguments(&kernel, Path::new("/d"), Console::Terminal, Forward::talos(4711));
        assert!(args.windows(2).any(|w| w[0] == "-serial" && w[1] == "mon:stdio"));
        assert!(args.iter().any(|a| a.to_string_lossy().ends_with("hostfwd=tcp:127.0.0.1:4711-:50000")));
        assert!(
            args.windows(2).any(|w| w[0] == "-append" && w[1] == "a b") && !args.contains(&"-bios".into())
        );
    }
}
