// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Writes members below one folder and nowhere else.
//!
//! Every folder on the way to a member is looked at with `lstat` once and then remembered as a real folder;
//! nothing ever replaces a remembered folder, and files are made with `O_EXCL`, which follows no link. So a
//! symbolic link, from this archive or from before, is never written through.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use fs_err as fs;
use fs_err::os::unix::fs::{OpenOptionsExt, symlink};

use crate::failure::{Failure, Result};

const COPY_BYTES: usize = 128 << 10;

pub(super) fn from_bytes(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}

/// The name without `.` parts; only plain parts are left.
pub(super) fn clean(path: &Path) -> Result<PathBuf> {
    let refuse = |why: &str| Err(Failure::new(format!("member `{}` {why}", path.display())));
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => plain.push(part),
            Component::CurDir => {}
            Component::ParentDir => return refuse("has `..` in its name: it would leave the destination"),
            Component::RootDir | Component::Prefix(_) => return refuse("has an absolute name"),
        }
    }
    Ok(plain)
}

pub(super) struct Tree<'a> {
    dest: &'a Path,
    /// Folders (relative) that are known to be real ones.
    real: HashSet<PathBuf>,
    buffer: Vec<u8>,
}

impl<'a> Tree<'a> {
    pub fn new(dest: &'a Path) -> Self {
        Tree { dest, real: HashSet::from([PathBuf::new()]), buffer: vec![0; COPY_BYTES] }
    }

    /// Makes a folder and those above it.
    pub fn dir(&mut self, path: &Path) -> Result<()> {
        if self.real.contains(path) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.dir(parent)?;
        }
        let full = self.dest.join(path);
        match fs::symlink_metadata(&full) {
            Ok(meta) if meta.is_dir() => {}
            Ok(meta) if meta.is_symlink() => {
                return Err(Failure::new(format!("`{}` is a symbolic link, not a folder", path.display()))
                    .why("a member below it could land outside the destination"));
            }
            Ok(_) => return Err(Failure::new(format!("`{}` is a file and a folder", path.display()))),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                fs::create_dir(&full)?;
                fs::set_permissions(&full, PermissionsExt::from_mode(0o755))?;
            }
            Err(e) => return Err(e.into()),
        }
        self.real.insert(path.to_owned());
        Ok(())
    }

    /// Makes the folders above `path` and the name itself free.
    fn make_room(&mut self, path: &Path) -> Result<PathBuf> {
        self.dir(path.parent().unwrap_or(Path::new("")))?;
        let full = self.dest.join(path);
        match fs::symlink_metadata(&full) {
            Ok(meta) if meta.is_dir() => {
                Err(Failure::new(format!("`{}` is a folder and a file", path.display())))
            }
            Ok(_) => Ok(fs::remove_file(&full).map(|()| full)?),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(full),
            Err(e) => Err(e.into()),
        }
    }

    pub fn file(
        &mut self,
        path: &Path,
        executable: bool,
        mtime_seconds: u64,
        content: &mut dyn Read,
    ) -> Result<()> {
        let full = self.make_room(path)?;
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&full)?;
        loop {
            let n = content.read(&mut self.buffer).map_err(super::damaged)?;
            if n == 0 {
                break;
            }
            file.write_all(&self.buffer[..n])?;
        }
        file.set_permissions(PermissionsExt::from_mode(if executable { 0o755 } else { 0o644 }))?;
        let mtime = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(mtime_seconds));
        if let Some(mtime) = mtime {
            file.file().set_modified(mtime)?;
        }
        Ok(())
    }

    pub fn symlink(&mut self, path: &Path, target: &Path) -> Result<()> {
        if !stays_inside(path, target) {
            return Err(Failure::new(format!(
                "symbolic link `{}` points out of the destination, to `{}`",
                path.display(),
                target.display()
            )));
        }
        let full = self.make_room(path)?;
        Ok(symlink(target, full)?)
    }

    pub fn hard_link(&mut self, path: &Path, target: &Path) -> Result<()> {
        let full = self.make_room(path)?;
        // The same walk as for a member: no part of the way to the target may be a symbolic link.
        self.dir(target.parent().unwrap_or(Path::new("")))?;
        let from = self.dest.join(target);
        match fs::symlink_metadata(&from) {
            Ok(meta) if meta.is_file() => Ok(fs::hard_link(from, full)?),
            _ => Err(Failure::new(format!(
                "hard link `{}` to `{}`, which is no file unpacked before it",
                path.display(),
                target.display()
            ))),
        }
    }
}

/// Whether a link at `path` with this target stays below the root.
///
/// `..` is only allowed at the beginning, where it goes up from a real folder: after another link
/// (`deep/up/..`) the text would not say where it leads.
fn stays_inside(path: &Path, target: &Path) -> bool {
    let up = target.components().take_while(|p| *p == Component::ParentDir).count();
    let plain = |p: Component<'_>| matches!(p, Component::Normal(_) | Component::CurDir);
    up < path.components().count() && target.components().skip(up).all(plain)
}
