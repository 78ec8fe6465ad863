// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device tree's place on the ESP, or in the folder that becomes it.
//!
//! Talos up to v1.12, and at every upgrade, has the ESP mounted at `boot/EFI` below the mount prefix. The
//! imager of v1.13 has plain folders there, and moves `boot/EFI` to `EFI` after this program, which becomes
//! the ESP. The imager of v1.14.0 lacks that move (talos issue 14226; v1.14.1 has it again): it has `EFI` with
//! GRUB's file already when this program runs, and what lies in `boot/EFI` ends up in BOOT.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, StatVfsMountFlags};

use crate::disk::Places;
use crate::refusal::Refusal;

/// Room left beside the file: folders and FAT clusters.
const SLACK_BYTES: u64 = 64 << 10;

/// A file that is ready to be put to its place.
#[derive(Debug)]
pub struct Placement {
    path: PathBuf,
    content: Vec<u8>,
}

/// Where the ESP's files go below a mount prefix, the usual place first; the empty prefix is `/`.
pub fn roots(prefix: &str, is_image_file: bool, places: &Places, note: &mut dyn FnMut(&str)) -> Vec<PathBuf> {
    let prefix = if prefix.is_empty() { Path::new("/") } else { Path::new(prefix) };
    let esp = prefix.join("boot/EFI");
    let mounted = places.is_mount_point(&esp);
    let mut roots = vec![esp.clone()];
    if mounted {
        return roots;
    }
    if !is_image_file {
        note(&format!(
            "nothing is mounted at `{}`: the device tree goes into the folder, and into the ESP only if Talos copies it there",
            esp.display()
        ));
        return roots;
    }
    // Where the imager moves `boot/EFI` to `EFI` afterwards there is no `EFI` yet: the move would fail.
    let staged = prefix.join("EFI");
    if fs::read_dir(&staged).is_ok_and(|mut entries| entries.next().is_some()) {
        note(&format!(
            "`{}` is there already, as in Talos v1.14.0, which puts `boot/EFI` into the BOOT partition: the device tree goes to both",
            staged.display()
        ));
        roots.push(staged);
    }
    roots
}

impl Placement {
    /// Checks that the file can be written at `relative` below `root`; writes nothing.
    pub fn check(root: &Path, relative: &str, content: &[u8]) -> Result<Placement, Refusal> {
        let path = root.join(relative.trim_start_matches('/'));
        let refused = |why: String| Refusal::new(format!("cannot write `{}`", path.display())).why(why);
        if path.is_dir() {
            return Err(refused("there is a folder of that name".to_owned()));
        }
        let existing = path.ancestors().skip(1).find(|folder| folder.exists());
        let folder = existing.ok_or_else(|| refused("no folder above it exists".to_owned()))?;
        if !folder.is_dir() {
            return Err(refused(format!("`{}` is not a folder", folder.display())));
        }
        let facts = rustix::fs::statvfs(folder).map_err(|e| refused(e.to_string()))?;
        if facts.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(refused(format!("the file system of `{}` is read-only", folder.display())));
        }
        rustix::fs::access(folder, Access::WRITE_OK)
            .map_err(|e| refused(format!("`{}`: {e}", folder.display())))?;
        let free = facts.f_bavail.saturating_mul(facts.f_frsize);
        let need = content.len() as u64 + SLACK_BYTES;
        if free < need {
            return Err(refused(format!("{need} bytes are needed, {free} are free")));
        }
        Ok(Placement { path, content: content.to_vec() })
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the file beside its place, waits until the disk has it, and renames it; nothing when it is
    /// there already. Returns whether something was written.
    pub fn put(&self) -> Result<bool, Refusal> {
        if fs::read(&self.path).is_ok_and(|present| present == self.content) {
            return Ok(false);
        }
        let part = self.path.with_extension("dtb.part");
        self.put_by(&part).map_err(|e| {
            // What cannot be removed here is overwritten by the next attempt.
            let _ = fs::remove_file(&part);
            Refusal::new(format!("cannot write `{}`", self.path.display())).why(e)
        })?;
        Ok(true)
    }

    fn put_by(&self, part: &Path) -> std::io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let mut file = File::create(part)?;
        file.write_all(&self.content)?;
        file.sync_all()?;
        fs::rename(part, &self.path)?;
        File::open(folder)?.sync_all()
    }
}
