// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The EFI file system: what fsck.fat and mtools say, determinism, and input that must be refused.

mod common;

use std::fs::File;
use std::path::{Path, PathBuf};

use common::{noise, tool};
use fw_image::fat::{self, FatError, Spec};
use fw_image::lba::{Lba, MIB};
use tempfile::TempDir;

const DTB: &str = "dtb/rockchip/rk3588s-nanopi-m6.dtb";
const GRUB: &str = "EFI/BOOT/BOOTAA64.EFI";

fn spec() -> Spec {
    Spec {
        size_bytes: 100 * MIB,
        label: "EFI".to_owned(),
        volume_id: fat::volume_id("EFI"),
        partition_start: Lba(22_528),
    }
}

fn build(folder: &Path, name: &str, files: &[(&str, &[u8])]) -> Result<(File, PathBuf), FatError> {
    let path = folder.join(name);
    let mut file = File::options().read(true).write(true).create_new(true).open(&path)?;
    file.set_len(spec().size_bytes)?;
    fat::build(&mut file, &spec(), files)?;
    Ok((file, path))
}

fn example() -> (TempDir, File, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (file, path) =
        build(folder.path(), "efi.img", &[(GRUB, &noise(782_336, 1)), (DTB, &noise(90_001, 2))]).unwrap();
    (folder, file, path)
}

#[test]
fn fsck_finds_a_clean_fat32() {
    let (_folder, _, path) = example();
    let text = tool("fsck.fat", "dosfstools", &["-n", "-v", path.to_str().unwrap()]);
    for line in [
        "Media byte 0xf8",
        "512 bytes per logical sector",
        "512 bytes per cluster",
        "2 FATs, 32 bit entries",
        "22528 hidden sectors",
        "204800 sectors total",
    ] {
        assert!(text.contains(line), "`{line}` is not in\n{text}");
    }
    let last = text.lines().last().unwrap_or_default();
    let clusters =
        last.rsplit('/').next().and_then(|t| t.split(' ').next()).and_then(|n| n.parse::<u32>().ok());
    assert!(last.contains("files,") && clusters.is_some_and(|n| n > fat::MIN_CLUSTERS), "{text}");
    for complaint in ["differences", "Free cluster summary", "wrong", "Dirty", "uninitialized"] {
        assert!(!text.contains(complaint), "{text}");
    }
}

#[test]
fn mtools_sees_names_label_and_content() {
    let (folder, _, path) = example();
    let image = path.to_str().unwrap();
    let listing = tool("mdir", "mtools", &["-i", image, "-/", "-b", "::"]);
    let mut paths: Vec<_> = listing.lines().collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [
            "::/EFI/",
            "::/EFI/BOOT/",
            "::/EFI/BOOT/BOOTAA64.EFI",
            "::/dtb/",
            "::/dtb/rockchip/",
            &format!("::/{DTB}")
        ]
    );
    let label = tool("mlabel", "mtools", &["-i", image, "-s", "::"]);
    assert!(label.contains("Volume label is EFI"), "{label}");
    let copy = folder.path().join("copy");
    tool("mcopy", "mtools", &["-i", image, &format!("::/{DTB}"), copy.to_str().unwrap()]);
    assert_eq!(std::fs::read(copy).unwrap(), noise(90_001, 2));
}

#[test]
fn same_files_same_bytes() {
    let (folder, _, first) = example();
    let files: [(&str, &[u8]); 2] = [(GRUB, &noise(782_336, 1)), (DTB, &noise(90_001, 2))];
    // Two seconds is the resolution of FAT times.
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    let (_, second) = build(folder.path(), "again.img", &files).unwrap();
    assert!(std::fs::read(first).unwrap() == std::fs::read(second).unwrap());
}

/// A directory of several clusters, an empty file, a full last cluster, names that share their beginning.
#[test]
fn fsck_likes_a_crowded_tree() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..40).map(|i| format!("dtb/overlays/rk3588-overlay-{i}.dtbo")).collect();
    let full = noise(1024, 3);
    let mut files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &full[..])).collect();
    files.push(("empty", b""));
    let (file, path) = build(folder.path(), "crowded.img", &files).unwrap();
    let text = tool("fsck.fat", "dosfstools", &["-n", path.to_str().unwrap()]);
    // 41 files, two directories and the root. Clusters: 40 files of two, the root and `dtb` of one, and
    // eight for the 122 entries of `overlays` (each name takes two long-name entries and a short one).
    assert!(text.contains("44 files, 90/201616 clusters"), "{text}");
    let listed = fat::list(&file).unwrap();
    assert_eq!(listed.len(), 41);
    assert_eq!(fat::read(&file, "dtb/overlays/rk3588-overlay-39.dtbo").unwrap(), full);
    files.reverse();
    let (_, reversed) = build(folder.path(), "reversed.img", &files).unwrap();
    assert!(std::fs::read(path).unwrap() == std::fs::read(reversed).unwrap());
}

#[test]
fn own_reader_agrees() {
    let (_folder, file, _) = example();
    assert_eq!(fat::list(&file).unwrap(), [(GRUB.to_owned(), 782_336), (DTB.to_owned(), 90_001)]);
    assert_eq!(fat::read(&file, DTB).unwrap(), noise(90_001, 2));
    assert!(fat::read(&file, "dtb/rockchip").is_err());
}

#[test]
fn must_fail_01_paths() {
    let folder = tempfile::tempdir().unwrap();
    for (i, path) in ["", "/EFI", "EFI/", "EFI//BOOT", "../EFI", "EFI\\BOOT", ".", "EFI.", "a b", "ä"]
        .into_iter()
        .enumerate()
    {
        let error = build(folder.path(), &i.to_string(), &[(path, b"x")]).unwrap_err();
        assert!(matches!(error, FatError::Path(_)), "{path}: {error}");
    }
}

#[test]
fn must_fail_02_paths_that_fat_takes_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [[&str; 2]; 3] = [[GRUB, GRUB], [GRUB, "efi/boot/bootaa64.efi"], ["a/b", "a"]];
    for (i, [a, b]) in cases.into_iter().enumerate() {
        let error = build(folder.path(), &i.to_string(), &[(a, b"x"), (b, b"y")]).unwrap_err();
        assert!(matches!(error, FatError::Duplicate(_)), "{a}, {b}: {error}");
    }
}

#[test]
fn must_fail_03_more_than_fits() {
    let folder = tempfile::tempdir().unwrap();
    // 201,616 clusters as fsck.fat counts them, of which the root directory takes one.
    build(folder.path(), "fits.img", &[("big", &vec![1; 201_615 * 512])]).unwrap();
    let error = build(folder.path(), "full.img", &[("big", &vec![1; 201_615 * 512 + 1])]).unwrap_err();
    assert!(matches!(error, FatError::Full { needed: 201_617, available: 201_616 }), "{error}");
}

#[test]
fn must_fail_04_sizes_and_labels() {
    let mut disk = std::io::Cursor::new(Vec::new());
    // 65,600 sectors are enough only before the tables are taken off.
    for size_bytes in [0, 512, 65_600 * 512] {
        let error = fat::build(&mut disk, &Spec { size_bytes, ..spec() }, &[]).unwrap_err();
        assert!(matches!(error, FatError::TooSmall(_)), "{error}");
    }
    for size_bytes in [100 * MIB + 1, 1 << 50] {
        let error = fat::build(&mut disk, &Spec { size_bytes, ..spec() }, &[]).unwrap_err();
        assert!(matches!(error, FatError::Size(_)), "{error}");
    }
    for label in ["", "efi", "TWELVE-CHARS", "Ä"] {
        let error = fat::build(&mut disk, &Spec { label: label.to_owned(), ..spec() }, &[]).unwrap_err();
        assert!(matches!(error, FatError::Label(_)), "{error}");
    }
}
