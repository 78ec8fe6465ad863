// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The root file system: which entries it has, as a tar stream, packed as squashfs.
//!
//! Every entry is owned by root and carries one time. It decides names and modes; contents come from the
//! caller.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fs_err as fs;
use fw_build::run::SOURCE_DATE_EPOCH;
use fw_build::{Failure, Result};
use tar::{Builder, EntryType, Header};

use super::super::pack;
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

/// One entry.
enum Entry {
    Folder { mode: u32 },
    Link { target: &'static str },
    Text { mode: u32, bytes: Vec<u8> },
    File { mode: u32, source: PathBuf },
}

/// The entries by path, in the order in which they are packed.
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

impl Tree {
    /// Lists what goes in.
    ///
    /// # Errors
    /// A module tree with anything but files and folders, or without what the self-test reads.
    pub fn plan(inputs: &Inputs<'_>, release: &str, test: &TestModule, ext4: &Path) -> Result<Tree> {
        let mut tree = Tree { entries: BTreeMap::new() };
        for (path, mode) in FOLDERS {
            tree.entries.insert(path.to_owned(), Entry::Folder { mode });
        }
        for (path, target) in LINKS {
            tree.put(path.to_owned(), Entry::Link { target });
        }
        tree.put("usr/bin/busybox".into(), Entry::File { mode: 0o755, source: inputs.busybox.to_owned() });
        for applet in APPLETS.split_whitespace() {
            tree.put(format!("usr/bin/{applet}"), Entry::Link { target: "busybox" });
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
        tree.add_modules(inputs.module_tree, &format!("usr/lib/modules/{release}"))?;
        for index in ["modules.dep", "modules.alias"] {
            if !tree.entries.contains_key(&format!("usr/lib/modules/{release}/{index}")) {
                return Err(Failure::new(format!("`{}` has no `{index}`", inputs.module_tree.display()))
                    .why("the self-test could not tell which modules the machine needs"));
            }
        }
        let shipped = |file: &&&str| tree.entries.keys().any(|path| path.rsplit('/').next() == Some(**file));
        let harmless: String = HARMLESS
            .iter()
            .filter(shipped)
            .map(|file| format!("{}\n", file.trim_end_matches(".ko")))
            .collect();
        tree.put(format!("{SHARE}/load-modules"), Entry::Text { mode: 0o644, bytes: harmless.into_bytes() });
        Ok(tree)
    }

    /// How many modules are in the module tree.
    pub fn module_count(&self) -> usize {
        self.entries.keys().filter(|p| p.starts_with("usr/lib/modules/") && p.ends_with(".ko")).count()
    }

    /// Adds an entry and the folders above it.
    fn put(&mut self, path: String, entry: Entry) {
        for (end, _) in path.match_indices('/') {
            self.entries.entry(path[..end].to_owned()).or_insert(Entry::Folder { mode: 0o755 });
        }
        self.entries.insert(path, entry);
    }

    fn add_modules(&mut self, dir: &Path, path: &str) -> Result<()> {
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let source = entry.path();
            let refuse =
                |why: &str| Failure::new(format!("`{}` cannot go into an image", source.display())).why(why);
            let name = entry.file_name().into_string().map_err(|_| refuse("its name is no UTF-8"))?;
            let below = format!("{path}/{name}");
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.add_modules(&source, &below)?;
            } else if kind.is_file() {
                self.put(below, Entry::File { mode: 0o644, source });
            } else {
                return Err(refuse("a module tree has files and folders only; links name the build machine"));
            }
        }
        Ok(())
    }

    /// Writes the tar stream.
    pub fn write(&self, tar: &Path) -> Result<()> {
        let mut builder = Builder::new(BufWriter::new(fs::File::create(tar)?));
        let header = |kind, mode, size| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_size(size);
            header.set_mtime(SOURCE_DATE_EPOCH);
            header.set_uid(0);
            header.set_gid(0);
            header
        };
        for (path, entry) in &self.entries {
            match entry {
                Entry::Folder { mode } => {
                    builder.append_data(
                        &mut header(EntryType::Directory, *mode, 0),
                        path,
                        std::io::empty(),
                    )?;
                }
                Entry::Link { target } => {
                    builder.append_link(&mut header(EntryType::Symlink, 0o777, 0), path, target)?;
                }
                Entry::Text { mode, bytes } => {
                    let size = bytes.len() as u64;
                    builder.append_data(
                        &mut header(EntryType::Regular, *mode, size),
                        path,
                        bytes.as_slice(),
                    )?;
                }
                Entry::File { mode, source } => {
                    let file = fs::File::open(source)?;
                    let size = file.metadata()?.len();
                    builder.append_data(&mut header(EntryType::Regular, *mode, size), path, file)?;
                }
            }
        }
        builder.into_inner()?.flush()?;
        Ok(())
    }
}

/// Packs a tar stream as squashfs. `tar2sqfs` and not `sqfstar`: the latter's version 4.5 refuses a zstd level.
///
/// # Errors
/// The program is missing or fails.
pub fn pack(tar: &Path, image: &Path, jobs: usize) -> Result<()> {
    let stream = fs::File::open(tar)?;
    pack::tar2sqfs(jobs)
        // The stream has every folder but the root itself.
        .args(["--defaults", &format!("uid=0,gid=0,mode=0755,mtime={SOURCE_DATE_EPOCH}")])
        .arg(image)
        .spawn(Stdio::from(stream.into_file()), Stdio::null(), Stdio::piped())?
        .finish()
}
