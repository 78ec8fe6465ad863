// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `/init` of the initramfs: puts `/rootfs.sqsh` in its own place and goes on there.
//!
//! The steps are those of Talos's init without extensions (`talos-contracts.md` 5.3), so the container is
//! tested along with the kernel. It does nothing else.

use std::fs::create_dir_all;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::mount::{MountFlags, mount, mount_move};
use rustix::process::{chdir, chroot};

use super::give_up;
use crate::sys::loopdev;

/// Where the new root is mounted first.
const NEW_ROOT: &str = "/root";
/// The three that both roots need; the new root has these folders.
const KERNEL_MOUNTS: [(&str, &str, MountFlags); 3] = [
    ("devtmpfs", "/dev", MountFlags::NOSUID),
    ("proc", "/proc", MountFlags::NOSUID.union(MountFlags::NOEXEC).union(MountFlags::NODEV)),
    ("sysfs", "/sys", MountFlags::NOSUID.union(MountFlags::NOEXEC).union(MountFlags::NODEV)),
];

/// Goes to the real root; returns only when that failed.
pub fn main() -> ExitCode {
    match switch_root() {
        Ok(never) => match never {},
        Err((step, e)) => give_up(&format!("{step}: {e}")),
    }
}

fn switch_root() -> Result<std::convert::Infallible, (String, io::Error)> {
    for (kind, target, flags) in KERNEL_MOUNTS {
        let what = || format!("mounting {kind} on `{target}`");
        create_dir_all(target).map_err(|e| (what(), e))?;
        mount(kind, target, kind, flags, None).map_err(|e| (what(), e.into()))?;
    }
    let step = |text: &str| {
        let text = text.to_owned();
        move |e: rustix::io::Errno| (text, io::Error::from(e))
    };
    let attached = loopdev::attach(Path::new("/rootfs.sqsh"), loopdev::Access::ReadOnly)
        .map_err(step("attaching `/rootfs.sqsh` to a loop device"))?;
    create_dir_all(NEW_ROOT).map_err(|e| (format!("creating `{NEW_ROOT}`"), e))?;
    mount(&attached.path, NEW_ROOT, "squashfs", MountFlags::RDONLY, None)
        .map_err(step("mounting `/rootfs.sqsh`"))?;
    for (_, target, _) in KERNEL_MOUNTS {
        mount_move(target, format!("{NEW_ROOT}{target}")).map_err(step(&format!("moving `{target}`")))?;
    }
    // The initramfs itself cannot be unmounted, so the new root is put over it.
    chdir(NEW_ROOT).map_err(step("entering the new root"))?;
    mount_move(NEW_ROOT, "/").map_err(step("moving the new root"))?;
    chroot(".").map_err(step("changing the root"))?;
    chdir("/").map_err(step("entering the new root"))?;
    let error = Command::new("/sbin/init").exec();
    Err(("executing `/sbin/init`".into(), error))
}
