// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Container images in folders: reading a layout, and writing files beside a name that then changes at once.

use std::io;
use std::path::{Component, Path, PathBuf};

use fs_err as fs;
use fw_build::Result;
use fw_image::oci::Source;

/// A folder with an OCI layout.
pub struct Folder(pub PathBuf);

impl Source for Folder {
    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        // Names may come out of documents in the layout.
        if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a path that leads outside"));
        }
        fs::read(self.0.join(path))
    }
}

/// Writes files below a folder that takes the place of an older one when it is complete.
///
/// # Errors
/// It cannot be written.
pub fn replace<'a>(target: &Path, files: impl Iterator<Item = (&'a str, u32, &'a [u8])>) -> Result<u64> {
    let part = sibling(target);
    if part.exists() {
        fs::remove_dir_all(&part)?;
    }
    let mut size_bytes = 0;
    for (path, mode, content) in files {
        let file = part.join(path);
        fs::create_dir_all(file.parent().unwrap_or(&part))?;
        fs::write(&file, content)?;
        fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
        size_bytes += content.len() as u64;
    }
    if target.exists() {
        fs::remove_dir_all(target)?;
    }
    fs::rename(&part, target)?;
    Ok(size_bytes)
}

/// Writes a file that takes the place of an older one when it is complete.
///
/// # Errors
/// It cannot be written.
pub fn replace_file(target: &Path, content: &[u8]) -> Result<u64> {
    let part = sibling(target);
    fs::write(&part, content)?;
    fs::rename(&part, target)?;
    Ok(content.len() as u64)
}

fn sibling(target: &Path) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(".part");
    target.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_below() {
        let dir = tempfile::tempdir().expect("folder");
        fs::create_dir(dir.path().join("layout")).expect("folder");
        fs::write(dir.path().join("secret"), "x").expect("file");
        fs::write(dir.path().join("layout/index.json"), "x").expect("file");
        let folder = Folder(dir.path().join("layout"));
        assert!(folder.read("index.json").is_ok());
        for path in ["../secret", "/etc/hostname", "a/../../secret"] {
            assert_eq!(folder.read(path).expect_err(path).kind(), io::ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn an_older_folder_leaves_nothing() {
        let dir = tempfile::tempdir().expect("folder");
        let target = dir.path().join("t");
        replace(&target, [("a/old", 0o644, &b"1"[..])].into_iter()).expect("first");
        replace(&target, [("b", 0o755, &b"22"[..])].into_iter()).expect("second");
        let names: Vec<_> = fs::read_dir(&target).expect("folder").flatten().map(|e| e.file_name()).collect();
        assert_eq!(names, ["b"]);
        let mode = std::os::unix::fs::PermissionsExt::mode(
            &fs::metadata(target.join("b")).expect("file").permissions(),
        );
        assert_eq!(mode & 0o777, 0o755);
        assert_eq!(fs::read_dir(dir.path()).expect("folder").count(), 1);
    }
}
