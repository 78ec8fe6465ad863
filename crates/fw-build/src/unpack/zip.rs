// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Members of a zip file.
//!
//! Go packs modules this way: plain files only, no times, no executable bits (Go modules reference, "Module zip
//! files"). Anything but files and folders is refused.

use std::path::{Path, PathBuf};

use fs_err::File;
use zip::ZipArchive;
use zip::result::ZipError;

use super::tree::{Tree, clean};
use crate::failure::{Failure, Result};
use crate::run::SOURCE_DATE_EPOCH;

/// Writes the wanted members and returns how many they were.
pub(super) fn members(
    file: File,
    tree: &mut Tree,
    strip_components: usize,
    filter: Option<&dyn Fn(&Path) -> bool>,
) -> Result<u64> {
    let mut archive = ZipArchive::new(file).map_err(damaged)?;
    let mut kept = 0;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(damaged)?;
        let full = clean(Path::new(entry.name().map_err(damaged)?.as_ref()))?;
        let path: PathBuf = full.components().skip(strip_components).collect();
        if path.as_os_str().is_empty() || filter.is_some_and(|wanted| !wanted(&path)) {
            continue;
        }
        if entry.is_dir() {
            tree.dir(&path)?;
        } else if entry.is_file() {
            let executable = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
            // Its own time is one constant before 1980.
            tree.file(&path, executable, SOURCE_DATE_EPOCH, &mut entry)?;
        } else {
            return Err(Failure::new(format!("member `{}` is a symbolic link", path.display())));
        }
        kept += 1;
    }
    Ok(kept)
}

fn damaged(error: ZipError) -> Failure {
    match error {
        ZipError::Io(error) => super::damaged(error),
        other => super::damaged(std::io::Error::other(other)),
    }
}
