// SPDX-License-Identifier: Apache-2.0 OR MIT
//! BOOT as mkfs.xfs makes it and we settle it; xfs_repair and xfs_db are the judges.

mod common;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{noise, run, tool, tool_in};
use fw_image::guid::Guid;
use fw_image::lba::MIB;
use fw_image::xfs::{
    EntryKind, PrototypeFile, Settled, Spec, Superblock, Xfs, XfsError, mkfs_args, prototype, settle,
};
use sha2::{Digest, Sha256};

/// 2024-01-01 00:00:00 UTC.
const TIME_SECONDS: u32 = 1_704_067_200;

/// Smaller than BOOT, which has 1000 MiB: the tests read it whole, again and again. 300 MiB is the least.
fn spec() -> Spec {
    Spec { size_bytes: 320 * MIB, uuid: Guid::from_label("BOOT"), label: "BOOT".to_owned() }
}

/// The sources of BOOT's tree in `folder`, and the tree.
fn sources(folder: &Path) -> Vec<PrototypeFile> {
    let files: [(&str, &str, u16, Vec<u8>); 3] = [
        ("A/vmlinuz", "vmlinuz", 0o644, noise(9_859_584, 1)),
        ("A/initramfs.xz", "initramfs", 0o644, noise(5_000_001, 2)),
        ("grub/grub.cfg", "cfg", 0o600, b"set default=\"A\"\n".to_vec()),
    ];
    let mut tree = Vec::new();
    for (path, source, mode, bytes) in files {
        std::fs::write(folder.join(source), bytes).unwrap();
        tree.push(PrototypeFile { path: path.to_owned(), mode, source: source.into() });
    }
    tree
}

/// Runs mkfs.xfs in `folder`; the image is not settled.
fn make(folder: &Path, name: &str, tree: &[PrototypeFile]) -> (File, PathBuf) {
    let path = folder.join(name);
    let image = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    image.set_len(spec().size_bytes).unwrap();
    std::fs::write(folder.join("proto"), prototype(tree).unwrap()).unwrap();
    tool_in("mkfs.xfs", "xfsprogs", folder, &mkfs_args(&spec(), Path::new("proto"), Path::new(name)));
    (image, path)
}

fn digest(path: &Path) -> String {
    let mut file = File::open(path).unwrap();
    let (mut digest, mut buffer) = (Sha256::new(), vec![0; 1 << 20]);
    while let got @ 1.. = file.read(&mut buffer).unwrap() {
        digest.update(&buffer[..got]);
    }
    fw_image::hex(&digest.finalize())
}

fn xfs_db(path: &Path, commands: &[&str]) -> String {
    let mut args = vec!["-r"];
    args.extend(commands.iter().flat_map(|c| ["-c", c]));
    args.push(path.to_str().unwrap());
    tool("xfs_db", "xfsprogs", &args)
}

#[test]
fn settled_images_of_two_times_are_equal_and_clean() {
    let folder = tempfile::tempdir().unwrap();
    let tree = sources(folder.path());
    let (mut first, first_path) = make(folder.path(), "first.img", &tree);
    std::thread::sleep(Duration::from_millis(1_500));
    let (mut second, second_path) = make(folder.path(), "second.img", &tree);
    assert_ne!(digest(&first_path), digest(&second_path), "mkfs.xfs no longer writes the time");

    // Root, realtime bitmap and summary, two directories, three files. How many chunks of 64 they lie in
    // is up to the version of mkfs.xfs: three with 6.1, two with 6.13.
    let Settled { used, free } = settle(&mut first, &spec(), TIME_SECONDS).unwrap();
    assert_eq!((used, (used + free) % 64), (8, 0));
    settle(&mut second, &spec(), TIME_SECONDS).unwrap();
    assert_eq!(digest(&first_path), digest(&second_path));
    // A second pass has nothing to change.
    settle(&mut second, &spec(), TIME_SECONDS).unwrap();
    assert_eq!(digest(&first_path), digest(&second_path));

    let repair = tool("xfs_repair", "xfsprogs", &["-n", "-f", first_path.to_str().unwrap()]);
    for complaint in ["would", "bad", "error"] {
        let lines: Vec<_> = repair.lines().filter(|l| l.contains(complaint)).collect();
        assert_eq!(lines, [""; 0], "{repair}");
    }
    let number = Xfs::open(&first).unwrap().list().unwrap()[1].inode;
    let inode = xfs_db(&first_path, &[&format!("inode {number}"), "print"]);
    for field in ["core.atime", "core.mtime", "core.ctime", "v3.crtime"] {
        let line = inode.lines().find(|l| l.starts_with(&format!("{field}.sec"))).unwrap_or_default();
        assert!(line.contains("2024") && line.contains("Jan  1"), "{field}: {inode}");
    }
    assert!(inode.contains("(correct)") && inode.contains("core.gen = 0"), "{inode}");
}

#[test]
fn own_reader_agrees_with_the_sources() {
    let folder = tempfile::tempdir().unwrap();
    let tree = sources(folder.path());
    let (image, path) = make(folder.path(), "boot.img", &tree);
    let mut xfs = Xfs::open(&image).unwrap();
    assert_eq!((xfs.superblock().label.as_str(), xfs.superblock().uuid), ("BOOT", spec().uuid));
    let listed: Vec<_> =
        xfs.list().unwrap().into_iter().map(|e| (e.path, e.kind, e.mode, e.size_bytes)).collect();
    let entry = |path: &str, kind, mode, size_bytes| (path.to_owned(), kind, mode, size_bytes);
    assert_eq!(listed.len(), 5);
    // A short-form directory has a size that is nobody's business.
    assert_eq!((listed[0].0.as_str(), listed[0].1, listed[0].2), ("A", EntryKind::Directory, 0o755));
    assert_eq!(listed[1], entry("A/initramfs.xz", EntryKind::File, 0o644, 5_000_001));
    assert_eq!(listed[2], entry("A/vmlinuz", EntryKind::File, 0o644, 9_859_584));
    assert_eq!((listed[3].0.as_str(), listed[3].1), ("grub", EntryKind::Directory));
    assert_eq!(listed[4], entry("grub/grub.cfg", EntryKind::File, 0o600, 16));
    for file in &tree {
        assert!(xfs.read(&file.path).unwrap() == std::fs::read(folder.path().join(&file.source)).unwrap());
    }
    for missing in ["", "A", "A/vmlinux", "vmlinuz"] {
        assert!(matches!(xfs.read(missing), Err(XfsError::NotFound(_))), "{missing}");
    }
    let features = xfs_db(&path, &["version"]);
    assert!(features.contains("FTYPE,FINOBT,SPARSE_INODES,REFLINK,INOBTCNT,BIGTIME"), "{features}");
    assert!(!features.contains("NREXT64") && !features.contains("RMAPBT"), "{features}");
}

/// Directories of one block and of several, whose index lies elsewhere.
#[test]
fn large_directories_and_many_inodes() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("one"), b"1").unwrap();
    let file = |path: String| PrototypeFile { path, mode: 0o644, source: "one".into() };
    let mut tree: Vec<_> = (0..60).map(|i| file(format!("block/name-{i:03}"))).collect();
    tree.extend((0..600).map(|i| file(format!("leaf/a-rather-long-name-for-a-file-{i:03}"))));
    let (mut image, path) = make(folder.path(), "many.img", &tree);
    let settled = settle(&mut image, &spec(), TIME_SECONDS).unwrap();
    assert_eq!(settled.used, 3 + 2 + 660);
    tool("xfs_repair", "xfsprogs", &["-n", "-f", path.to_str().unwrap()]);
    let mut xfs = Xfs::open(&image).unwrap();
    let listed: Vec<_> =
        xfs.list().unwrap().into_iter().filter(|e| e.kind == EntryKind::File).map(|e| e.path).collect();
    let expected: Vec<_> = tree.iter().map(|f| f.path.clone()).collect();
    assert_eq!(listed, expected);
    assert_eq!(xfs.read("leaf/a-rather-long-name-for-a-file-599").unwrap(), b"1");
}

/// xfs_repair must see a wrong inode CRC, or its silence above would mean nothing.
#[test]
fn xfs_repair_sees_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (mut image, path) = make(folder.path(), "boot.img", &sources(folder.path()));
    let root = 128 * 512;
    image.seek(SeekFrom::Start(root + 144)).unwrap();
    image.write_all(&[0xff]).unwrap();
    let output = run("xfs_repair", "xfsprogs", folder.path(), &["-n", "-f", path.to_str().unwrap()]);
    assert!(!output.status.success());
    // And so do we, before anything is written.
    let before = digest(&path);
    let error = settle(&mut image, &spec(), TIME_SECONDS).unwrap_err();
    assert_eq!(error.to_string(), "xfs image is damaged: inode 128");
    assert_eq!(digest(&path), before);
}

#[test]
fn must_fail_01_an_image_that_was_not_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (mut image, _) = make(folder.path(), "boot.img", &[]);
    let sound = Superblock::read(&mut image).unwrap();
    sound.check(&spec()).unwrap();
    let mut other = sound.clone();
    other.features_incompat |= 1 << 5; // nrext64
    assert_eq!(
        other.check(&spec()).unwrap_err().to_string(),
        "xfs image has incompatible features 0x2b, not 0xb"
    );
    let wanted = Spec { label: "STATE".to_owned(), ..spec() };
    let error = settle(&mut image, &wanted, TIME_SECONDS).unwrap_err();
    assert_eq!(error.to_string(), "xfs image has label BOOT, not STATE");
}

#[test]
fn must_fail_02_something_else_than_xfs() {
    for bytes in [vec![0; 4096], b"XFSB".repeat(1024), Vec::new()] {
        assert!(Xfs::open(std::io::Cursor::new(bytes)).is_err());
    }
}

#[test]
fn must_fail_03_trees_that_a_prototype_cannot_express() {
    let file = |path: &str, source: &str, mode| PrototypeFile {
        path: path.to_owned(),
        mode,
        source: PathBuf::from(source),
    };
    let cases = [
        (vec![file("a b", "x", 0o644)], "`a b` has a name that a prototype cannot express"),
        (vec![file("$", "x", 0o644)], "`$` has a name"),
        (vec![file("a//b", "x", 0o644)], "`a//b` has an empty name"),
        (vec![file("../b", "x", 0o644)], "`../b` has an empty name, `.` or `..`"),
        (vec![file("b", "my files/x", 0o644)], "`b` has a source path with white space"),
        (vec![file("b", "x", 0o4755)], "`b` has a mode"),
        (vec![file("a", "x", 0o644), file("a", "y", 0o644)], "`a` is given twice"),
        (vec![file("a", "x", 0o644), file("a/b", "y", 0o644)], "`a/b` is below a path that is a file"),
        (vec![file("a/b", "x", 0o644), file("a", "y", 0o644)], "`a` is given twice"),
    ];
    for (tree, expected) in cases {
        let error = prototype(&tree).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn prototype_text() {
    let file = |path: &str, mode, source: &str| PrototypeFile {
        path: path.to_owned(),
        mode,
        source: PathBuf::from(source),
    };
    let tree = [
        file("grub/grub.cfg", 0o600, "c"),
        file("A/vmlinuz", 0o644, "v"),
        file("A/initramfs.xz", 0o644, "i"),
    ];
    assert_eq!(
        prototype(&tree).unwrap(),
        "none\n0 0\nd--755 0 0\nA d--755 0 0\ninitramfs.xz ---644 0 0 i\nvmlinuz ---644 0 0 v\n$\n\
         grub d--755 0 0\ngrub.cfg ---600 0 0 c\n$\n$\n"
    );
}
