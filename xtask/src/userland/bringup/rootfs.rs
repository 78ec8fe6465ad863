// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The root file system: which entries it has. It decides names and modes; contents come from the caller.

use std::path::Path;

use fw_build::{Failure, Result};

use super::super::tree::{Entry, Tree};
use super::Inputs;
use super::testmodule::{HARMLESS, TestModule};

/// Where the self-test looks.
const SHARE: &str = "usr/share/selftest";

/// Folders besides those of the entries below them. The self-test's init mounts over the first five.
const FOLDERS: [(&str, u32); 9] = [
    ("dev", 0o755),
    ("proc", 0o755),
    ("sys", 0o755),
    ("run", 0o755),
    ("tmp", 0o1777),
    ("mnt", 0o755),
    ("root", 0o700),
    ("etc", 0o755),
    ("usr/sbin", 0o755),
];

/// The merged layout of Talos's root.
const LINKS: [(&str, &str); 5] = [
    ("bin", "usr/bin"),
    ("lib", "usr/lib"),
    ("sbin", "usr/sbin"),
    ("usr/sbin/init", "selftest"),
    // Where the kernel looks for it (`CONFIG_MODPROBE_PATH`) when a link or a scheduler needs a module.
    ("usr/sbin/modprobe", "../bin/busybox"),
];

/// busybox commands that a person at the console looks for; it has more under its own name.
const APPLETS: &str = "ash awk base64 basename blkdiscard blockdev cat chmod chown chroot clear cmp cp cut date \
    dd devmem df diff dirname dmesg du echo egrep env expr false fdisk find free fsfreeze fstrim getopt grep gunzip \
    gzip halt head hexdump hostname hwclock i2cdetect i2cdump i2cget i2cset id ifconfig insmod ip kill killall \
    less ln losetup ls lsmod lsscsi md5sum mkdir mknod mktemp modinfo modprobe more mount mv nc netstat nproc \
    nslookup od partprobe passwd ping poweroff printf ps pwd readlink realpath reboot rm rmdir rmmod route sed seq \
    setsid sh sha256sum sleep sort stat strings stty sync sysctl tail tar taskset tee telnet test tftp time timeout \
    top touch tr traceroute true tty udhcpc umount uname uniq uptime usleep vi watch wc wget which xargs xxd xzcat \
    yes zcat";

/// What busybox's DHCP client runs: it hands over an address, and this puts it on the interface.
const DHCP_SCRIPT: &str = include_str!("dhcp.sh");

/// Lists what goes in.
///
/// # Errors
/// A module tree with anything but files and folders, or without what the self-test reads.
pub fn plan(inputs: &Inputs<'_>, release: &str, test: &TestModule, ext4: &Path) -> Result<Tree> {
    let mut tree = Tree::default();
    for (path, mode) in FOLDERS {
        tree.folder(path, mode);
    }
    for (path, target) in LINKS {
        tree.put(path.to_owned(), Entry::Link { target: target.to_owned() });
    }
    tree.put("usr/bin/busybox".into(), Entry::File { mode: 0o755, source: inputs.busybox.to_owned() });
    for applet in APPLETS.split_whitespace() {
        tree.put(format!("usr/bin/{applet}"), Entry::Link { target: "busybox".to_owned() });
    }
    tree.put("usr/sbin/selftest".into(), Entry::File { mode: 0o755, source: inputs.selftest.to_owned() });
    for (path, text) in [
        // Names for `ls` and `ps`; there is no login.
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n".to_owned()),
        ("etc/group", "root:x:0:\n".to_owned()),
        ("usr/share/selftest/expected-release", format!("{release}\n")),
        ("usr/share/selftest/test-module", format!("{}\n", test.file_name)),
    ] {
        tree.put(path.to_owned(), Entry::Text { mode: 0o644, bytes: text.into_bytes() });
    }
    for (name, bytes) in &test.copies {
        tree.put(format!("{SHARE}/{name}.ko"), Entry::Text { mode: 0o644, bytes: bytes.clone() });
    }
    tree.put(format!("{SHARE}/ext4.img"), Entry::File { mode: 0o644, source: ext4.to_owned() });
    let dhcp = DHCP_SCRIPT.as_bytes().to_vec();
    tree.put(format!("{SHARE}/dhcp"), Entry::Text { mode: 0o755, bytes: dhcp });
    let luks2 = bringup_selftest::luks2::FIXTURE.to_vec();
    tree.put(format!("{SHARE}/luks2.img"), Entry::Text { mode: 0o644, bytes: luks2 });
    tree.add_files(inputs.module_tree, &format!("usr/lib/modules/{release}"))?;
    for index in ["modules.dep", "modules.alias"] {
        if !tree.contains(&format!("usr/lib/modules/{release}/{index}")) {
            return Err(Failure::new(format!("`{}` has no `{index}`", inputs.module_tree.display()))
                .why("the self-test could not tell which modules the machine needs"));
        }
    }
    let shipped = |file: &&&str| tree.paths().any(|path| path.rsplit('/').next() == Some(**file));
    let harmless: String =
        HARMLESS.iter().filter(shipped).map(|file| format!("{}\n", file.trim_end_matches(".ko"))).collect();
    tree.put(format!("{SHARE}/load-modules"), Entry::Text { mode: 0o644, bytes: harmless.into_bytes() });
    Ok(tree)
}
