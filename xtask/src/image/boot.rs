// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The BOOT partition: an xfs image made by `mkfs.xfs` from a prototype, then freed of the clock.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::run::{Cmd, SOURCE_DATE_EPOCH};
use fw_build::{Failure, Result};
use fw_image::guid::Guid;
use fw_image::xfs::{PrototypeFile, Spec, mkfs_args, prototype, settle};

/// A file of the partition: path, mode, content.
pub struct BootFile {
    /// Path on the partition.
    pub path: &'static str,
    /// Permission bits.
    pub mode: u16,
    /// File that holds the content.
    pub source: PathBuf,
}

/// Makes `boot.xfs` in `work`.
///
/// # Errors
/// `mkfs.xfs` failed, or what it made is not what was asked for.
pub fn make(work: &Path, size_bytes: u64, files: &[BootFile]) -> Result<PathBuf> {
    let dir = work.join("boot");
    fs::create_dir_all(&dir)?;
    let mut list = Vec::new();
    for (i, file) in files.iter().enumerate() {
        // A prototype cannot express white space, which a store's path may have: short links beside it.
        let name = format!("f{i}");
        std::os::unix::fs::symlink(&file.source, dir.join(&name))?;
        list.push(PrototypeFile { path: file.path.to_owned(), mode: file.mode, source: name.into() });
    }
    let wrong = |e: &dyn std::fmt::Display| Failure::new("cannot make the BOOT partition").why(e);
    let text = prototype(&list).map_err(|e| wrong(&e))?;
    fs::write(dir.join("prototype"), text)?;
    let image = work.join("boot.xfs");
    fs::File::create(&image)?.set_len(size_bytes)?;
    let spec = Spec { size_bytes, uuid: Guid::from_label("BOOT"), label: "BOOT".to_owned() };
    Cmd::new("mkfs.xfs").args(mkfs_args(&spec, Path::new("prototype"), &image)).cwd(&dir).output()?;
    let mut file = fs::OpenOptions::new().read(true).write(true).open(&image)?;
    settle(&mut file, &spec, SOURCE_DATE_EPOCH as u32).map_err(|e| wrong(&e))?;
    Ok(image)
}
