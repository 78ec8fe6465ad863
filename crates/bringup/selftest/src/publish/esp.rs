// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Writes the report to the EFI partition of the medium that was flashed, where any computer can read it.
//!
//! Only an EFI partition on which a report of this very kernel lies already is touched: every self-test image holds one
//! that says that it was never run. So a Talos system on another disk of the board, which has the same partitions, is
//! mounted read-only, looked at, and left alone.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use super::Document;
use crate::machine::Machine;

/// The file, in the top folder of the partition.
pub const FILE: &str = "bringup-report.json";
/// Written in full before it takes the place of the former.
const NEW: &str = "bringup-report.new";
const CLASS: &str = "/sys/class/block";
/// Name of the partition (GPT).
const PARTITION: &str = "EFI";
const MOUNT_POINT: &str = "/run/esp";
/// More than a report has; another file may be of any size.
const MAX_BYTES: u64 = 1 << 20;

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum EspError {
    /// No EFI partition of this image.
    #[error("no EFI partition with a `bringup-report.json` of this kernel")]
    NotOurs,
    /// It is ours and cannot be written.
    #[error("{0}: {1}")]
    Write(String, #[source] io::Error),
}

/// Writes the report to every EFI partition of this image and returns their devices.
///
/// # Errors
/// There is none, or one of them cannot be written.
pub fn write(machine: &Machine<'_>, document: &Document) -> Result<Vec<String>, EspError> {
    let mut written = Vec::new();
    for device in candidates(machine) {
        if on_device(&device, document)? {
            written.push(device.display().to_string());
        }
    }
    if written.is_empty() { Err(EspError::NotOurs) } else { Ok(written) }
}

/// Devices of partitions with the right name.
fn candidates(machine: &Machine<'_>) -> Vec<PathBuf> {
    let wanted = format!("PARTNAME={PARTITION}");
    let named = |name: &String| {
        let uevent = machine.read(format!("{CLASS}/{name}/uevent")).unwrap_or_default();
        uevent.lines().any(|l| l == wanted)
    };
    machine.list(CLASS).into_iter().filter(named).map(|name| Path::new("/dev").join(name)).collect()
}

/// Whether it was ours, and then has the report.
fn on_device(device: &Path, document: &Document) -> Result<bool, EspError> {
    let failed = |e: io::Error| EspError::Write(device.display().to_string(), e);
    let dir = Path::new(MOUNT_POINT);
    fs::create_dir_all(dir).map_err(failed)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
    // What does not mount as FAT is no EFI partition of ours.
    if mount(device, dir, "vfat", flags | MountFlags::RDONLY, None).is_err() {
        return Ok(false);
    }
    let outcome = if is_ours(dir, &document.kernel) {
        mount_remount(dir, flags, "")
            .map_err(io::Error::from)
            .and_then(|()| replace(dir, document))
            .map(|()| true)
    } else {
        Ok(false)
    };
    // Also when it failed: the partition must not stay in use.
    let closed = unmount(dir, UnmountFlags::empty()).map_err(io::Error::from);
    outcome.and_then(|ours| closed.map(|()| ours)).map_err(failed)
}

/// Whether a folder has a report of this kernel, run or not.
fn is_ours(dir: &Path, kernel: &str) -> bool {
    let mut text = String::new();
    let read = fs::File::open(dir.join(FILE)).and_then(|f| f.take(MAX_BYTES).read_to_string(&mut text));
    read.is_ok() && Document::parse(&text).is_some_and(|d| d.kernel == kernel)
}

/// The new file is on the medium before it has the name of the old one.
fn replace(dir: &Path, document: &Document) -> io::Result<()> {
    let new = dir.join(NEW);
    let mut file = fs::File::create(&new)?;
    file.write_all(document.to_json().as_bytes())?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, dir.join(FILE))?;
    fs::File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn only_a_report_of_this_kernel_is_ours() {
        let dir = tempfile::tempdir().expect("folder");
        let put = |text: &str| fs::write(dir.path().join(FILE), text).expect("file");
        assert!(!is_ours(dir.path(), "6.18.15-abc"), "no file");
        put(&Document::not_run("6.18.15-abc").to_json());
        assert!(is_ours(dir.path(), "6.18.15-abc"));
        assert!(!is_ours(dir.path(), "6.18.15-abd"), "of another kernel");
        put("{\"kernel\": \"6.18.15-abc\"}");
        assert!(!is_ours(dir.path(), "6.18.15-abc"), "another file");
        put(&" ".repeat(2 << 20));
        assert!(!is_ours(dir.path(), "6.18.15-abc"), "large");
        fs::write(dir.path().join(FILE), [0xff; 64]).expect("file");
        assert!(!is_ours(dir.path(), "6.18.15-abc"), "no text");
    }

    #[test]
    fn the_report_takes_the_place_of_the_former() {
        let dir = tempfile::tempdir().expect("folder");
        fs::write(dir.path().join(FILE), "old").expect("file");
        fs::write(
            dir.path().join(NEW),
            "left by a run that lost its power, and longer than the report".repeat(99),
        )
        .expect("file");
        let document = Document::not_run("x");
        replace(dir.path(), &document).expect("written");
        assert_eq!(fs::read_to_string(dir.path().join(FILE)).expect("text"), document.to_json());
        assert!(!dir.path().join(NEW).exists());
    }

    #[test]
    fn partitions_are_told_by_their_name() {
        let f = Fixture::new();
        for (device, name) in [("vda1", "EFI"), ("vda3", "BOOT"), ("nvme0n1p1", "EFI"), ("vdb1", "EFI2")] {
            f.file(
                &format!("/sys/class/block/{device}/uevent"),
                &format!("DEVTYPE=partition\nPARTNAME={name}\n"),
            );
        }
        f.file("/sys/class/block/vda/uevent", "DEVTYPE=disk\n");
        assert_eq!(candidates(&f.machine()), ["/dev/nvme0n1p1", "/dev/vda1"].map(PathBuf::from));
        let none = Fixture::new();
        assert!(matches!(write(&none.machine(), &Document::not_run("x")), Err(EspError::NotOurs)));
    }
}
