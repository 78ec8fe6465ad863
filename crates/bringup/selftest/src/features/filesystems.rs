// SPDX-License-Identifier: Apache-2.0 OR MIT
//! File systems: overlays of containers, and the disk formats of Talos's partitions and of user volumes.

use std::ffi::CString;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{Lines, Network, Outcome, Place, Topic, Trouble, ensure};
use crate::sys::loopdev::{self, Access};

pub(super) const TOPIC: Topic = Topic {
    name: "filesystems",
    checks: &[
        "fs.overlay",
        "fs.tmpfs-xattr",
        "fs.loop",
        "fs.ext4",
        "fs.xfs",
        "fs.vfat",
        "fs.bpf",
        "fs.tracefs",
    ],
    network: Network::Own,
    run,
};

/// An empty ext4 file system that the composition made.
const EXT4_IMAGE: &str = "/usr/share/selftest/ext4.img";

fn run(place: &Place, lines: &mut Lines<'_>) {
    lines.add("fs.overlay", overlay(place));
    lines.add("fs.tmpfs-xattr", xattr(place));
    let (attach, ext4) = writable_ext4(place);
    lines.add("fs.loop", attach);
    lines.add("fs.ext4", ext4);
    lines.add("fs.xfs", partition(place, "BOOT", "xfs", "A/vmlinuz"));
    lines.add("fs.vfat", partition(place, "EFI", "vfat", "EFI/BOOT/BOOTAA64.EFI"));
    lines.add("fs.bpf", pseudo(place, "bpf"));
    lines.add("fs.tracefs", pseudo(place, "tracefs"));
}

fn overlay(place: &Place) -> Outcome {
    let [lower, upper, work, merged] =
        ["lower", "upper", "work", "merged"].map(|n| place.folder(&format!("o/{n}")));
    let (lower, upper, work, merged) = (lower?, upper?, work?, merged?);
    fs::write(lower.join("kept"), "old")?;
    fs::write(lower.join("gone"), "old")?;
    let options =
        format!("lowerdir={},upperdir={},workdir={}", lower.display(), upper.display(), work.display());
    let options = CString::new(options).map_err(|e| Trouble::Fail(e.to_string()))?;
    mount("overlay", &merged, "overlay", MountFlags::empty(), Some(&*options))?;
    fs::write(merged.join("kept"), "new")?;
    fs::remove_file(merged.join("gone"))?;
    ensure(fs::read_to_string(upper.join("kept"))? == "new", "the change is not in the upper folder")?;
    ensure(fs::read_to_string(lower.join("kept"))? == "old", "the lower folder was changed")?;
    ensure(!merged.join("gone").exists() && lower.join("gone").exists(), "a removed file shows through")?;
    unmount(&merged, UnmountFlags::empty())?;
    Ok("mounted, copied up, whited out".into())
}

fn xattr(place: &Place) -> Outcome {
    let path = place.path("labelled");
    fs::write(&path, "")?;
    rustix::fs::setxattr(&path, c"trusted.selftest", b"1", rustix::fs::XattrFlags::empty())?;
    let mut value = [0; 4];
    let length = rustix::fs::getxattr(&path, c"trusted.selftest", &mut value)?;
    ensure(value.starts_with(b"1") && length == 1, "the attribute reads back otherwise")?;
    Ok("trusted.* kept".into())
}

/// A loop device over a copy of the shipped image, written to, and read again after a remount.
fn writable_ext4(place: &Place) -> (Outcome, Outcome) {
    let copy = place.path("ext4.img");
    let attached = fs::copy(EXT4_IMAGE, &copy)
        .map_err(Trouble::during(format!("copying `{EXT4_IMAGE}`")))
        .and_then(|_| Ok(loopdev::attach(&copy, Access::ReadWrite)?));
    let attached = match attached {
        Ok(attached) => attached,
        Err(trouble) => return (Err(trouble), Err(Trouble::Fail("no loop device".into()))),
    };
    let attach = Ok(format!("{} over a file", attached.path.display()));
    let ext4 = (|| {
        let target = place.folder("ext4")?;
        mount(&attached.path, &target, "ext4", MountFlags::empty(), None)?;
        fs::write(target.join("file"), "written")?;
        unmount(&target, UnmountFlags::empty())?;
        mount(&attached.path, &target, "ext4", MountFlags::RDONLY, None)?;
        let text = fs::read_to_string(target.join("file"))?;
        unmount(&target, UnmountFlags::empty())?;
        ensure(text == "written", "the file reads back otherwise")?;
        Ok("mounted, written, mounted again, read".into())
    })();
    (attach, ext4)
}

/// Mounts a partition of the image, read-only, and reads a file of it.
fn partition(place: &Place, label: &str, kind: &str, file: &str) -> Outcome {
    let device = by_label(label).ok_or_else(|| Trouble::Skip(format!("no partition `{label}`")))?;
    let target = place.folder(label)?;
    // `norecovery`: a log that would have to be replayed must not be written to.
    let options = if kind == "xfs" { Some(c"norecovery") } else { None };
    mount(&device, &target, kind, MountFlags::RDONLY, options)
        .map_err(|e| Trouble::during(format!("mounting `{}`", device.display()))(e.into()))?;
    let bytes = fs::read(target.join(file)).map_err(Trouble::during(format!("reading `{file}`")))?;
    unmount(&target, UnmountFlags::empty())?;
    ensure(bytes.starts_with(b"MZ"), format!("`{file}` is no EFI program"))?;
    Ok(format!("`{label}` mounted, {} bytes of `{file}` read", bytes.len()))
}

/// The block device of the partition with this name.
fn by_label(label: &str) -> Option<PathBuf> {
    let devices = fs::read_dir("/sys/class/block").ok()?.flatten();
    let named = |dir: &Path| {
        let uevent = fs::read_to_string(dir.join("uevent")).unwrap_or_default();
        uevent.lines().any(|l| l.strip_prefix("PARTNAME=") == Some(label))
    };
    devices
        .map(|e| e.path())
        .find(|dir| named(dir))
        .and_then(|dir| Some(Path::new("/dev").join(dir.file_name()?)))
}

fn pseudo(place: &Place, kind: &str) -> Outcome {
    let target = place.folder(kind)?;
    mount(kind, &target, kind, MountFlags::empty(), None)?;
    unmount(&target, UnmountFlags::empty())?;
    Ok("mounted".into())
}
