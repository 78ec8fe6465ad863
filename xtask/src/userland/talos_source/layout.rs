// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the root file system has beside `machined`: data only.
//!
//! The shape is that of Talos's own root, alike from v1.10 to v1.12 (its `Dockerfile`, stages `rootfs-base`, and its package
//! `fhs`): one merged `/usr/bin`, empty files that `machined` mounts over, and its own configuration files.

/// Folders besides those of the entries below them, with their permission bits.
pub const FOLDERS: &[(&str, u32)] = &[
    (".extra", 0o755),
    ("boot/EFI", 0o755),
    ("dev", 0o755),
    ("etc/cni/net.d", 0o755),
    ("etc/cri/conf.d/hosts", 0o755),
    ("etc/kubernetes/manifests", 0o755),
    ("mnt", 0o755),
    ("opt/containerd/bin", 0o755),
    ("opt/containerd/lib", 0o755),
    ("proc", 0o755),
    ("root", 0o750),
    ("run/lock", 0o755),
    ("sys", 0o755),
    ("system", 0o755),
    ("tmp", 0o1777),
    ("usr/lib/firmware", 0o755),
    ("usr/libexec/kubernetes", 0o755),
    ("usr/local/lib/kubelet/credentialproviders", 0o755),
    ("var/log", 0o755),
    ("var/tmp", 0o1777),
];

/// Links.
pub const LINKS: &[(&str, &str)] = &[
    ("bin", "usr/bin"),
    ("lib", "usr/lib"),
    ("lib64", "usr/lib"),
    ("sbin", "usr/bin"),
    ("usr/sbin", "bin"),
    ("usr/lib64", "lib"),
    ("var/lock", "../run/lock"),
    ("var/run", "../run"),
    ("etc/ca-certificates", "/etc/ssl"),
    ("etc/localtime", "/usr/share/zoneinfo/Etc/UTC"),
    ("etc/pki", "/etc/ssl"),
    ("etc/ssl/certs/ca-certificates", "ca-certificates.crt"),
    ("usr/local/share/ca-certificates", "/etc/ssl"),
    ("usr/share/ca-certificates", "/etc/ssl"),
    // One program under several names.
    ("usr/bin/dashboard", "init"),
    ("usr/bin/poweroff", "init"),
    ("usr/bin/shutdown", "init"),
    ("usr/bin/systemd-udevd", "udevadm"),
    // `udevadm hwdb --update --root=/usr` looks there, and Debian's ends with an error where it may not write. `machined`
    // has put a writable layer over the target by then.
    ("usr/etc/udev", "../lib/udev"),
];

/// Files that are empty: `machined` mounts over them.
pub const EMPTY: &[&str] = &[
    "etc/cri/conf.d/01-registries.part",
    "etc/cri/conf.d/20-customization.part",
    "etc/cri/conf.d/base-spec.json",
    "etc/cri/conf.d/cri.toml",
    "etc/extensions.yaml",
    "etc/hosts",
    "etc/iscsi/initiatorname.iscsi",
    "etc/machine-id",
    "etc/nvme/hostid",
    "etc/nvme/hostnqn",
    "etc/resolv.conf",
    "etc/selinux/targeted/contexts/files/file_contexts",
    "etc/ssl/certs/ca-certificates.crt",
];

/// Programs of the Go build: role, and name below `usr/bin`. `init` of the initramfs is another program than this one.
pub const COMPILED: &[(&str, &str)] = &[
    ("machined", "init"),
    ("containerd", "containerd"),
    ("containerd-shim-runc-v2", "containerd-shim-runc-v2"),
];

/// Programs of the packages: name below `usr/bin`, and where the package has it.
pub const PROGRAMS: &[(&str, &str)] = &[
    ("dmsetup", "usr/sbin/dmsetup"),
    ("e2fsck", "usr/sbin/e2fsck"),
    ("lvm", "usr/sbin/lvm"),
    ("mkfs.ext4", "usr/sbin/mke2fs"),
    ("mkfs.vfat", "usr/sbin/mkfs.fat"),
    ("mkfs.xfs", "usr/sbin/mkfs.xfs"),
    ("modprobe", "usr/bin/kmod"),
    ("resize2fs", "usr/sbin/resize2fs"),
    ("runc", "usr/sbin/runc"),
    ("udevadm", "usr/bin/udevadm"),
    ("xfs_growfs", "usr/sbin/xfs_growfs"),
    ("xfs_repair", "usr/sbin/xfs_repair"),
];

/// Programs that udev's rules start, in `usr/lib/udev`.
pub const UDEV_HELPERS: &[&str] = &["ata_id", "dmi_memory_id", "mtd_probe", "scsi_id"];

/// Rules of Debian's that Talos's root does not have either, or that start what is not here.
pub const RULES_LEFT_OUT: &[&str] = &[
    "60-cdrom_id.rules",
    "60-fido-id.rules",
    "60-persistent-alsa.rules",
    "60-persistent-v4l.rules",
    "64-btrfs.rules",
    "69-lvm.rules",
    "70-joystick.rules",
    "70-mouse.rules",
    "70-touchpad.rules",
    "73-special-net-names.rules",
    "78-sound-card.rules",
    "80-debian-compat.rules",
    "81-net-dhcp.rules",
    "90-iocost.rules",
    "96-e2scrub.rules",
];

/// Libraries that udev opens by name while it runs, so that no program's header mentions them.
pub const OPENED_BY_NAME: &[&str] = &["libkmod.so.2", "libgcc_s.so.1"];

/// Named sets of options for `mkfs.xfs`, in the package and here: Talos asks for the one of a kernel's line.
pub const MKFS_XFS: &str = "usr/share/xfsprogs/mkfs";

/// Where the packages have their libraries.
pub const LIBRARY_FOLDERS: &[&str] =
    &["usr/lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu/systemd", "usr/lib"];

/// Files of Talos's own module, and where its root has them.
pub const FROM_TALOS: &[(&str, &str)] = &[
    ("hack/containerd.toml", "etc/containerd/config.toml"),
    ("hack/cri-containerd.toml", "etc/cri/containerd.toml"),
    ("hack/cri-plugin.part", "etc/cri/conf.d/00-base.part"),
    ("hack/lvm.conf", "etc/lvm/lvm.conf"),
    ("hack/nfsmount.conf", "etc/nfsmount.conf"),
    ("hack/udevd/90-selinux.rules", "usr/lib/udev/rules.d/90-selinux.rules"),
    ("hack/udevd/99-default.link", "usr/lib/systemd/network/99-default.link"),
    ("hack/zoneinfo/Etc/UTC", "usr/share/zoneinfo/Etc/UTC"),
    ("pkg/machinery/version/os-release", "etc/os-release"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_has_one_entry() {
        let programs = PROGRAMS.iter().chain(COMPILED).map(|(a, b)| (*a, *b));
        let names =
            programs.map(|(a, b)| if b.contains('/') { a } else { b }).map(|name| format!("usr/bin/{name}"));
        let links = LINKS.iter().map(|(path, _)| (*path).to_owned());
        let empty = EMPTY.iter().map(|path| (*path).to_owned());
        let talos = FROM_TALOS.iter().map(|(_, path)| (*path).to_owned());
        let folders = FOLDERS.iter().map(|(path, _)| (*path).to_owned());
        let mut all: Vec<String> = names.chain(links).chain(empty).chain(talos).chain(folders).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        // Nothing may lie below a link: the link would be gone.
        for (link, _) in LINKS {
            assert!(!all.iter().any(|path| path.starts_with(&format!("{link}/"))), "{link}");
        }
    }
}
