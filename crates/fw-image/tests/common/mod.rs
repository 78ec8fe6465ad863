// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the tests of this folder share: the example plan, and running tools that are not ours.
#![allow(dead_code, reason = "each test program uses its own part of this")]

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use fw_image::disk::{Content, Layout, PartitionPlan, Plan, RawPlan, Start};
use fw_image::gpt::ATTRIBUTE_LEGACY_BIOS_BOOTABLE;
use fw_image::guid::Guid;
use fw_image::lba::{Lba, MIB};
use tempfile::TempDir;

/// Size of a Talos v1.10 image.
pub const SIZE_BYTES: u64 = 1_306_525_696;

/// The image of talos-contracts 3.2 with a loader and zero file systems.
pub fn plan() -> Plan {
    let partition = |name: &str, type_guid, size_mib: u64, attributes| PartitionPlan {
        name: name.to_owned(),
        owner: "xtask".to_owned(),
        type_guid,
        guid: Guid::from_label(name),
        attributes,
        start: Start::Next,
        size_bytes: size_mib * MIB,
        content: Content::Zero,
    };
    Plan {
        size_bytes: SIZE_BYTES,
        disk_guid: Guid::from_label("talos-image-disk"),
        offset_sectors: 20_480,
        partitions: vec![
            partition("EFI", Guid::EFI_SYSTEM, 100, 0),
            partition("BIOS", Guid::BIOS_BOOT, 1, ATTRIBUTE_LEGACY_BIOS_BOOTABLE),
            partition("BOOT", Guid::LINUX_DATA, 1_000, 0),
            partition("META", Guid::LINUX_DATA, 1, 0),
        ],
        raw: vec![RawPlan {
            name: "loader".to_owned(),
            owner: "u-boot-nanopi-m6".to_owned(),
            start: Lba(64),
            limit: Lba(20_480),
            content: Content::Bytes(vec![0xA5; 9_472_512]),
        }],
    }
}

/// Writes a layout into a temporary file.
pub fn image(layout: &Layout) -> (TempDir, File, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.raw");
    let mut file = File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    layout.write(&mut file).unwrap();
    (folder, file, path)
}

/// Runs a tool in `folder` and returns what came out. A missing tool fails the test and names its Debian
/// package: an oracle that is silently left out is none.
pub fn run<S: AsRef<OsStr>>(program: &str, package: &str, folder: &Path, args: &[S]) -> Output {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    Command::new(find(program, &path).unwrap_or_else(|| {
        panic!("`{program}` is not installed\nhint: `apt-get install {package}`, or `cargo xtask setup`")
    }))
    .args(args)
    .current_dir(folder)
    .env("LC_ALL", "C")
    .env("MTOOLS_SKIP_CHECK", "0")
    .output()
    .unwrap()
}

fn find(program: &str, path: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Runs a tool that must succeed; returns stdout and stderr as one text.
pub fn tool<S: AsRef<OsStr>>(program: &str, package: &str, args: &[S]) -> String {
    tool_in(program, package, Path::new("/"), args)
}

/// Like [`tool`], in a folder.
pub fn tool_in<S: AsRef<OsStr>>(program: &str, package: &str, folder: &Path, args: &[S]) -> String {
    let output = run(program, package, folder, args);
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{program}` ended with {}:\n{text}", output.status);
    text
}

/// Bytes that do not compress: a xorshift generator.
pub fn noise(length_bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(length_bytes + 8);
    while bytes.len() < length_bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length_bytes);
    bytes
}
