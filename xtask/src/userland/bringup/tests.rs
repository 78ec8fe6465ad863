// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A synthetic kernel's userland, composed and opened again.

use std::io::Read;

use fw_build::run::{Cmd, SOURCE_DATE_EPOCH};
use fw_image::{initramfs, modsig};

use super::*;

/// What one entry of the root file system is: type, mode, target, content.
type Found = std::collections::BTreeMap<String, (tar::EntryType, u32, String, Vec<u8>)>;

const RELEASE: &str = "6.18.15-0a1b2c3d";

/// Pseudo-random bytes, so that compression and the block cutter have work.
fn noise(len: usize, mut state: u32) -> Vec<u8> {
    std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 28) as u8
    })
    .take(len)
    .collect()
}

fn put(dir: &Path, path: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    fs::write(&path, bytes).expect("file");
    path
}

/// Everything a composition needs, in `dir`.
fn prepare(dir: &Path) -> [PathBuf; 4] {
    let (signed, unsigned) = (dir.join("signed").join(RELEASE), dir.join("unsigned").join(RELEASE));
    for (path, seed) in
        [("kernel/drivers/net/dummy.ko", 1), ("kernel/drivers/block/nbd.ko", 2), ("kernel/z/virtio.ko", 3)]
    {
        let module = noise(300_000, seed);
        put(&unsigned, path, &module);
        put(&signed, path, &modsig::append(&module, b"a signature").expect("appends"));
    }
    let dep = "kernel/drivers/net/dummy.ko:\nkernel/drivers/block/nbd.ko:\nkernel/z/virtio.ko:\n";
    put(&signed, "modules.dep", dep.as_bytes());
    put(&signed, "modules.alias", b"alias virtio:* virtio\n");
    [put(dir, "busybox", &noise(500_000, 4)), put(dir, "selftest", &noise(200_000, 5)), signed, unsigned]
}

fn inputs(paths: &[PathBuf; 4]) -> Inputs<'_> {
    let [busybox, selftest, module_tree, unsigned_tree] = paths;
    Inputs { busybox, selftest, module_tree, unsigned_tree, progress: &() }
}

/// Opens the initramfs and the root file system in it.
fn open(initramfs: &Path, work: &Path) -> (Vec<(String, u32, Vec<u8>)>, Found) {
    let bytes = fs::read(initramfs).expect("readable");
    let segments = initramfs::segments(&bytes).expect("an initramfs");
    assert_eq!(segments.len(), 1);
    assert_eq!(segments[0].compression, initramfs::Compression::Zstd);
    let members = segments[0].members().expect("a cpio archive");
    let members: Vec<_> = members.iter().map(|m| (m.name.to_owned(), m.mode, m.data.to_vec())).collect();
    let image = put(work, "opened.sqsh", &members.last().expect("members").2);
    let tar =
        Cmd::new("sqfs2tar").args(["--root-becomes", "."]).arg(image).output().expect("a squashfs image");
    let mut found = Found::new();
    for entry in tar::Archive::new(tar.as_slice()).entries().expect("a tar stream") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        let path = path.trim_start_matches("./").trim_end_matches('/').to_owned();
        let target = entry.link_name().expect("a target").map_or(String::new(), |t| t.display().to_string());
        let mut data = Vec::new();
        entry.read_to_end(&mut data).expect("data");
        let header = entry.header();
        assert_eq!((header.uid().expect("uid"), header.gid().expect("gid")), (0, 0), "{path}");
        assert_eq!(header.mtime().expect("mtime"), SOURCE_DATE_EPOCH, "{path}");
        found.insert(path, (header.entry_type(), header.mode().expect("mode") & 0o7777, target, data));
    }
    (members, found)
}

#[test]
fn the_root_file_system_has_what_the_self_test_needs() {
    let dir = tempfile::tempdir().expect("folder");
    let paths = prepare(dir.path());
    let out = dir.path().join("out/initramfs.xz");
    let composed = compose(&inputs(&paths), &out).expect("composes");
    assert_eq!(composed.kernel_release, RELEASE);
    assert_eq!(composed.module_count, 3);
    assert_eq!(composed.test_module, "kernel/drivers/net/dummy.ko");
    assert_eq!(composed.sha256, sha256_file(&out).expect("digest"));

    let (members, root) = open(&out, dir.path());
    let names: Vec<(&str, u32)> = members.iter().map(|(name, mode, _)| (name.as_str(), *mode)).collect();
    assert_eq!(names, [(".", 0o040_755), ("init", 0o100_755), ("rootfs.sqsh", 0o100_644)]);
    assert_eq!(members[1].2, fs::read(&paths[1]).expect("selftest"));

    let folder = |path: &str| root[path].0.is_dir().then_some(root[path].1);
    for (path, mode) in
        [("", 0o755), ("dev", 0o755), ("tmp", 0o1777), ("root", 0o700), ("usr/lib/modules", 0o755)]
    {
        assert_eq!(folder(path), Some(mode), "{path}");
    }
    for (path, target) in [
        ("bin", "usr/bin"),
        ("lib", "usr/lib"),
        ("sbin", "usr/sbin"),
        ("usr/sbin/init", "selftest"),
        ("usr/bin/sh", "busybox"),
    ] {
        assert_eq!((root[path].0, root[path].2.as_str()), (tar::EntryType::Symlink, target), "{path}");
    }
    let text = |path: &str| String::from_utf8_lossy(&root[path].3).into_owned();
    assert_eq!(text("usr/share/selftest/expected-release"), format!("{RELEASE}\n"));
    assert_eq!(text("usr/share/selftest/test-module"), "dummy.ko\n");
    assert_eq!(text("usr/share/selftest/load-modules"), "dummy\nnbd\n");
    for (program, source) in [("usr/bin/busybox", &paths[0]), ("usr/sbin/selftest", &paths[1])] {
        assert_eq!(
            (root[program].1, &root[program].3),
            (0o755, &fs::read(source).expect("source")),
            "{program}"
        );
    }

    let shipped = &root[&format!("usr/lib/modules/{RELEASE}/kernel/drivers/net/dummy.ko")].3;
    let good = &root["usr/share/selftest/good.ko"].3;
    let unsigned = &root["usr/share/selftest/unsigned.ko"].3;
    let flipped = &root["usr/share/selftest/flipped.ko"].3;
    assert_eq!(shipped, good);
    assert_eq!(modsig::split(good).expect("signed").content, unsigned.as_slice());
    let differing: Vec<usize> = (0..good.len()).filter(|&i| good[i] != flipped[i]).collect();
    assert_eq!((flipped.len(), differing), (good.len(), vec![unsigned.len() / 2]));
    // The bad copies are nowhere a module loader looks.
    assert_eq!(root.keys().filter(|p| p.starts_with("usr/lib/modules/") && p.ends_with(".ko")).count(), 3);
}

#[test]
fn folder_time_and_number_of_jobs_leave_the_bytes_alone() {
    let digests: Vec<String> = [1, 2, 5]
        .into_iter()
        .map(|jobs| {
            let dir = tempfile::tempdir().expect("folder");
            let paths = prepare(dir.path());
            compose_with(&inputs(&paths), &dir.path().join("initramfs.xz"), jobs).expect("composes").sha256
        })
        .collect();
    assert_eq!(digests, vec![digests[0].clone(); 3]);
}

#[test]
fn a_tree_that_does_not_serve_leaves_no_file() {
    let dir = tempfile::tempdir().expect("folder");
    let paths = prepare(dir.path());
    let out = dir.path().join("out/initramfs.xz");
    let why = |why: &str| {
        let failure = compose(&inputs(&paths), &out).expect_err("refused").to_string();
        assert!(failure.starts_with("cannot compose the bring-up userland"), "{failure}");
        assert!(failure.contains(why), "{failure}");
        assert!(!out.exists());
        assert!(fs::read_dir(dir.path().join("out")).map_or(0, Iterator::count) == 0);
    };
    std::os::unix::fs::symlink("/build", paths[2].join("build")).expect("link");
    why("links name the build machine");
    fs::remove_file(paths[2].join("build")).expect("removed");
    fs::remove_file(paths[2].join("modules.alias")).expect("removed");
    why("has no `modules.alias`");
    put(&paths[2], "modules.alias", b"");
    fs::remove_file(&paths[0]).expect("removed");
    why("busybox");
}
