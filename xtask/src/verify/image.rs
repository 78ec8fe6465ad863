// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An image file, looked into without its map: partition table, BOOT file system, root file system.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fw_build::run::Cmd;
use fw_build::{Failure, Result};
use fw_image::window::Window;
use fw_image::xfs::Xfs;
use fw_image::{gpt, initramfs, lba, xz};

/// How an xz file begins (xz file format 1.1, 2.1.1.1).
const XZ_MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
/// How the second sector of a partitioned disk begins (UEFI 2.10, 5.3.2).
const GPT_MAGIC: [u8; 8] = *b"EFI PART";

/// An opened image.
pub struct ImageFile {
    path: PathBuf,
    boot: Xfs<Window<File>>,
}

impl ImageFile {
    /// Opens an image, compressed or not; `None` when the file is something else.
    ///
    /// # Errors
    /// It cannot be read or decompressed, or it has no BOOT partition with a sound xfs.
    pub fn open(path: &Path) -> Result<Option<ImageFile>> {
        let wrong = |what: &str, e: &dyn std::fmt::Display| {
            Failure::new(format!("`{}` cannot be read as an image", path.display())).why(what).why(e)
        };
        let mut file = fs_err::File::open(path)?.into_parts().0;
        if starts_with(&mut file, 0, &XZ_MAGIC)? {
            // No name: it is gone with the process, however that ends.
            let mut raw = tempfile::tempfile()?;
            xz::decompress(file, &mut raw).map_err(|e| wrong("it does not decompress", &e))?;
            file = raw;
        }
        if !starts_with(&mut file, lba::SECTOR_BYTES, &GPT_MAGIC)? {
            return Ok(None);
        }
        file.rewind()?;
        let table = gpt::Image::read(&mut file)?;
        let Some(boot) = table.partition("BOOT") else {
            return Err(wrong("it has no partition `BOOT`", &table.problems().join("; ")));
        };
        let start = boot.first.0 * lba::SECTOR_BYTES;
        let window = Window::new(file, start, boot.size_sectors() * lba::SECTOR_BYTES);
        let boot = Xfs::open(window).map_err(|e| wrong("`BOOT` is no sound xfs", &e))?;
        Ok(Some(ImageFile { path: path.to_owned(), boot }))
    }

    /// A file of the BOOT partition, for example `A/vmlinuz`.
    ///
    /// # Errors
    /// It is not there.
    pub fn boot_file(&mut self, path: &str) -> Result<Vec<u8>> {
        self.boot.read(path).map_err(|e| {
            Failure::new(format!("`{}` has no `{path}` on its BOOT partition", self.path.display())).why(e)
        })
    }

    /// The modules of the root file system in `A/initramfs.xz`, by their path below `usr/lib/modules`.
    ///
    /// # Errors
    /// It is not in Talos's container, or `sqfs2tar` (package `squashfs-tools-ng`) is missing.
    pub fn modules(&mut self) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
        let packed = self.boot_file("A/initramfs.xz")?;
        let wrong = |e: &dyn std::fmt::Display| {
            Failure::new(format!("the root file system of `{}` cannot be read", self.path.display())).why(e)
        };
        let mut modules = BTreeMap::new();
        let segments = initramfs::segments(&packed).map_err(|e| wrong(&e))?;
        for segment in &segments {
            let members = segment.members().map_err(|e| wrong(&e))?;
            if let Some(rootfs) = members.iter().find(|m| m.name == "rootfs.sqsh") {
                modules.extend(modules_of(rootfs.data)?);
            }
        }
        if modules.is_empty() {
            return Err(wrong(&"there is no module in it"));
        }
        Ok(modules)
    }
}

fn starts_with(file: &mut File, at: u64, magic: &[u8]) -> Result<bool> {
    file.seek(SeekFrom::Start(at))?;
    let mut begin = Vec::new();
    file.take(magic.len() as u64).read_to_end(&mut begin)?;
    file.rewind()?;
    Ok(begin == magic)
}

/// The module files of a squashfs.
fn modules_of(squashfs: &[u8]) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut image = tempfile::NamedTempFile::new()?;
    std::io::Write::write_all(&mut image, squashfs)?;
    let mut running =
        Cmd::new("sqfs2tar").arg(image.path()).spawn(Stdio::null(), Stdio::piped(), Stdio::piped())?;
    let mut modules = BTreeMap::new();
    if let Some(stdout) = running.child.stdout.take() {
        for entry in tar::Archive::new(stdout).entries()? {
            let mut entry = entry?;
            let path = entry.path()?.into_owned();
            let below = path.strip_prefix("./").unwrap_or(&path).strip_prefix("usr/lib/modules");
            let Ok(below) = below.map(Path::to_owned) else { continue };
            if entry.header().entry_type().is_file() && below.extension().is_some_and(|e| e == "ko") {
                let mut content = Vec::new();
                entry.read_to_end(&mut content)?;
                modules.insert(below, content);
            }
        }
    }
    running.finish()?;
    Ok(modules)
}
