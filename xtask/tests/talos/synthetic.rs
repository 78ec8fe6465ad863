// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A small release of Talos, made from nothing: a labelled root file system with everything that is easy to lose.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use fs_err as fs;
use fw_build::run::Cmd;
use fw_image::{cpio, initramfs};
use tar::{Builder, EntryType, Header};

/// Release of the stock kernel.
pub const STOCK_RELEASE: &str = "6.12.63-talos";
/// Release of the kernel whose modules are put in.
pub const OUR_RELEASE: &str = "6.18.15-0123abcd";
/// Label of modules, as setfiles writes it: with the closing zero byte.
pub const MODULE_LABEL: &[u8] = b"system_u:object_r:module_t:s0\0";
/// End of a signed module.
const SIGNED_END: &[u8] = b"~Module signature appended~\n";

/// Whether the root file system carries SELinux labels.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// Nearly every entry does.
    Yes,
    /// None does.
    No,
}

struct Tree {
    builder: Builder<Vec<u8>>,
    labels: Labels,
}

/// What an entry is beside its name.
struct Node<'a> {
    kind: EntryType,
    mode: u32,
    owner: (u64, u64),
    mtime: u64,
    data: &'a [u8],
    link: &'a str,
    device: (u32, u32),
    label: Option<&'a [u8]>,
    xattrs: &'a [(&'a str, &'a [u8])],
}

const FILE: Node<'static> = Node {
    kind: EntryType::Regular,
    mode: 0o644,
    owner: (0, 0),
    mtime: 1_735_000_001,
    data: b"",
    link: "",
    device: (0, 0),
    label: Some(b"system_u:object_r:usr_t:s0\0"),
    xattrs: &[],
};
const DIR: Node<'static> = Node { kind: EntryType::Directory, mode: 0o755, mtime: 1_735_000_002, ..FILE };

impl Tree {
    fn add(&mut self, path: &str, node: Node<'_>) {
        let mut records: Vec<(String, &[u8])> = Vec::new();
        if let (Labels::Yes, Some(label)) = (self.labels, node.label) {
            records.push(("SCHILY.xattr.security.selinux".to_owned(), label));
        }
        records.extend(node.xattrs.iter().map(|(name, value)| (format!("SCHILY.xattr.{name}"), *value)));
        self.builder
            .append_pax_extensions(records.iter().map(|(k, v)| (k.as_str(), *v)))
            .expect("into memory");
        let mut header = Header::new_gnu();
        header.set_entry_type(node.kind);
        header.set_mode(node.mode);
        header.set_uid(node.owner.0);
        header.set_gid(node.owner.1);
        header.set_mtime(node.mtime);
        header.set_size(node.data.len() as u64);
        header.set_device_major(node.device.0).expect("gnu header");
        header.set_device_minor(node.device.1).expect("gnu header");
        if node.link.is_empty() {
            self.builder.append_data(&mut header, path, node.data).expect("into memory");
        } else {
            self.builder.append_link(&mut header, path, node.link).expect("into memory");
        }
    }
}

/// Bytes that do not compress, the same each time.
pub fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// The root file system as a tar stream.
fn root_tar(labels: Labels, extra_link: Option<&str>) -> Vec<u8> {
    let mut t = Tree { builder: Builder::new(Vec::new()), labels };
    let module = || Some(MODULE_LABEL);
    let long = "long-".repeat(30);
    // The root itself is one of the inodes that a careless tool loses.
    t.add(
        "./",
        Node {
            mode: 0o751,
            owner: (7, 8),
            mtime: 1_600_000_000,
            label: Some(b"system_u:object_r:root_t:s0\0"),
            ..DIR
        },
    );
    for dir in ["./dev", "./etc", "./usr", "./usr/bin", "./usr/lib", "./usr/lib/modules-load.d"] {
        t.add(dir, DIR);
    }
    t.add("./tmp", Node { mode: 0o1777, owner: (65_534, 70_000), ..DIR });
    t.add("./lib", Node { kind: EntryType::Symlink, mode: 0o777, link: "usr/lib", ..FILE });
    t.add(
        "./usr/bin/su",
        Node {
            mode: 0o4755,
            owner: (0, 3),
            data: b"set-uid",
            label: Some(b"system_u:object_r:su_exec_t:s0\0"),
            ..FILE
        },
    );
    t.add("./usr/bin/wall", Node { mode: 0o2755, owner: (4, 5), data: b"set-gid", ..FILE });
    t.add(
        "./usr/bin/sudo",
        Node {
            kind: EntryType::Link,
            mode: 0o4755,
            owner: (0, 3),
            link: "usr/bin/su",
            label: Some(b"system_u:object_r:su_exec_t:s0\0"),
            ..FILE
        },
    );
    // vfs_cap_data version 2, CAP_NET_RAW permitted (Linux, include/uapi/linux/capability.h): zero bytes inside.
    let capability = [0, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    t.add(
        "./usr/bin/ping",
        Node {
            mode: 0o755,
            data: &noise(300_000, 1),
            xattrs: &[("security.capability", &capability)],
            ..FILE
        },
    );
    t.add(
        "./dev/console",
        Node { kind: EntryType::Char, mode: 0o600, owner: (0, 5), device: (5, 1), ..FILE },
    );
    t.add(
        "./dev/loop",
        Node { kind: EntryType::Block, mode: 0o660, owner: (0, 6), device: (7, 300), ..FILE },
    );
    t.add("./dev/initctl", Node { kind: EntryType::Fifo, mode: 0o600, ..FILE });
    t.add("./etc/no-label", Node { label: None, ..FILE });
    t.add(
        "./etc/odd",
        Node {
            xattrs: &[("user.empty", b""), ("user.bytes", b"\x00\xff=\x01"), ("trusted.big", &[b'v'; 8000])],
            data: b"x",
            ..FILE
        },
    );
    t.add("./etc/ünï", Node { data: b"utf-8", mtime: 4_000_000_000, ..FILE });
    t.add("./etc/link", Node { kind: EntryType::Symlink, mode: 0o777, link: &"ü/".repeat(80), ..FILE });
    t.add(&format!("./etc/{long}"), DIR);
    t.add(&format!("./etc/{long}/{long}"), Node { data: b"deep", ..FILE });
    t.add("./usr/lib/big", Node { data: &noise(1_500_000, 2), ..FILE });
    // Neighbours of the module tree whose names begin like it.
    t.add("./usr/lib/modules-load.d/x.conf", Node { data: b"nvme", ..FILE });
    t.add("./usr/lib/modules.txt", Node { data: b"kept", ..FILE });
    t.add("./usr/lib/modules", Node { mode: 0o750, owner: (0, 9), label: module(), ..DIR });
    let stock = format!("./usr/lib/modules/{STOCK_RELEASE}");
    for dir in ["", "/kernel", "/kernel/drivers"] {
        t.add(&format!("{stock}{dir}"), Node { label: module(), ..DIR });
    }
    t.add(
        &format!("{stock}/modules.dep"),
        Node { data: b"kernel/drivers/stock.ko:\n", label: module(), ..FILE },
    );
    t.add(
        &format!("{stock}/kernel/drivers/stock.ko"),
        Node { data: &noise(50_000, 3), label: module(), ..FILE },
    );
    if let Some(path) = extra_link {
        let target = format!("usr/lib/modules/{STOCK_RELEASE}/modules.dep");
        t.add(path, Node { kind: EntryType::Link, link: &target, ..FILE });
    }
    t.builder.into_inner().expect("into memory")
}

/// Writes the root file system to `image`. With `extra_link`, a hard link of that name leads into the stock modules.
pub fn root_image(image: &Path, labels: Labels, extra_link: Option<&str>) {
    let mut packer = Cmd::new("tar2sqfs")
        .args(["--quiet", "--no-skip", "--compressor", "zstd"])
        .arg(image)
        .spawn(Stdio::piped(), Stdio::null(), Stdio::piped())
        .expect("tar2sqfs starts");
    let mut stdin = packer.child.stdin.take().expect("piped");
    stdin.write_all(&root_tar(labels, extra_link)).expect("takes all");
    drop(stdin);
    packer.finish().expect("packs");
}

/// The program `init` of the release.
pub fn init() -> Vec<u8> {
    noise(70_001, 4)
}

/// An initramfs with these members beside `.`.
pub fn container(members: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut writer = cpio::Writer::new(Vec::new(), 1_735_000_003);
    writer.directory(".", 0o755).expect("into memory");
    for (name, mode, data) in members {
        writer.file(name, *mode, data).expect("into memory");
    }
    initramfs::compress(&writer.finish().expect("into memory"), 3, 1).expect("into memory")
}

/// The release's initramfs around `image`.
pub fn release_initramfs(image: &Path) -> Vec<u8> {
    container(&[("init", 0o755, &init()), ("rootfs.sqsh", 0o644, &fs::read(image).expect("image"))])
}

/// A signed module tree; gives the folder named after the release.
pub fn module_tree(below: &Path) -> std::path::PathBuf {
    let tree = below.join("lib/modules").join(OUR_RELEASE);
    let deep = tree.join("kernel").join("deep-folder-name".repeat(8));
    fs::create_dir_all(&deep).expect("folder");
    fs::write(tree.join("modules.dep"), "kernel/ours.ko:\n").expect("file");
    for (path, seed) in [(tree.join("kernel/ours.ko"), 5), (deep.join("other.ko"), 6)] {
        fs::write(path, [noise(20_000, seed).as_slice(), SIGNED_END].concat()).expect("file");
    }
    tree
}
