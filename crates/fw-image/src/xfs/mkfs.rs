// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The argument list of mkfs.xfs and the prototype file it fills the image from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::XfsError;
use crate::guid::Guid;

/// What the file system is, beside its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Size; mkfs.xfs wants 300 MiB at least.
    pub size_bytes: u64,
    /// UUID.
    pub uuid: Guid,
    /// Label, at most 12 characters; Talos looks for `BOOT`.
    pub label: String,
}

/// Arguments for mkfs.xfs 6.1 (Debian 12) to 6.13 (Debian 13), for an existing sparse file `image` of
/// `spec.size_bytes`.
///
/// Every feature and size is named, since defaults change between versions and some depend on the machine
/// (stripes, sector size, log size). What has no flag in 6.1 (exchange, parent, metadir, autofsck) is off
/// by default up to 6.13; [`Superblock::check`](super::Superblock::check) refuses an image that has it.
pub fn mkfs_args(spec: &Spec, prototype: &Path, image: &Path) -> Vec<OsString> {
    let uuid = spec.uuid.to_string().to_lowercase();
    let options: [(&str, String); 7] = [
        ("-b", "size=4096".to_owned()),
        ("-s", "size=512".to_owned()),
        // noalign: no stripe geometry of the file system that holds the image.
        ("-d", format!("agcount=4,size={},noalign", spec.size_bytes)),
        // bigtime: times beyond 2038. rmapbt=0: nothing on a boot partition needs reverse mapping, and it
        // takes space.
        ("-m", format!("crc=1,finobt=1,rmapbt=0,reflink=1,bigtime=1,inobtcount=1,uuid={uuid}")),
        // nrext64=0: GRUB before 2.12 cannot read an image with it (talos-contracts 3.4).
        ("-i", "size=512,maxpct=25,sparse=1,nrext64=0".to_owned()),
        ("-n", "size=4096,version=2,ftype=1".to_owned()),
        ("-l", "internal=1,size=64m,version=2,lazy-count=1".to_owned()),
    ];
    // -q: no report on stdout. -f: the image may hold an older file system. -K: nothing to discard.
    let mut args: Vec<OsString> = ["-q", "-f", "-K"].map(OsString::from).to_vec();
    for (flag, value) in options {
        args.extend([flag.into(), value.into()]);
    }
    args.extend(["-L".into(), spec.label.clone().into(), "-p".into(), prototype.into(), image.into()]);
    args
}

/// A file of a prototype.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrototypeFile {
    /// Path in the image: relative, names separated by `/`.
    pub path: String,
    /// Permission bits, at most 0o777.
    pub mode: u16,
    /// The file whose content is taken. A prototype cannot express white space: run mkfs.xfs in the
    /// folder of the sources and give relative paths.
    pub source: PathBuf,
}

/// A directory while the text is made.
#[derive(Default)]
struct Directory<'a> {
    directories: BTreeMap<&'a str, Directory<'a>>,
    files: BTreeMap<&'a str, &'a PrototypeFile>,
}

/// The text of a prototype file: all owned by root, directories of mode 755, sorted by name, so that
/// inode and block numbers depend on the tree only.
///
/// # Errors
/// [`XfsError::Prototype`].
pub fn prototype(files: &[PrototypeFile]) -> Result<String, XfsError> {
    let mut root = Directory::default();
    for file in files {
        root.add(file)?;
    }
    // A boot file name that is ignored, two numbers that are ignored, and the root directory.
    let mut text = "none\n0 0\nd--755 0 0\n".to_owned();
    root.print(&mut text);
    text.push_str("$\n");
    Ok(text)
}

impl<'a> Directory<'a> {
    fn add(&mut self, file: &'a PrototypeFile) -> Result<(), XfsError> {
        let error = |why| XfsError::Prototype { path: file.path.clone(), why };
        let source = file.source.to_str().ok_or(error("has a source path that is not UTF-8"))?;
        if source.is_empty() || source.contains(char::is_whitespace) {
            return Err(error("has a source path with white space, which a prototype cannot express"));
        }
        if file.mode > 0o777 {
            return Err(error("has a mode with more than permission bits"));
        }
        let (parents, name) = match file.path.rsplit_once('/') {
            Some((parents, name)) => (parents.split('/').collect(), name),
            None => (Vec::new(), file.path.as_str()),
        };
        let mut directory = self;
        for parent in parents {
            check_name(parent).map_err(error)?;
            if directory.files.contains_key(parent) {
                return Err(error("is below a path that is a file"));
            }
            directory = directory.directories.entry(parent).or_default();
        }
        check_name(name).map_err(error)?;
        if directory.directories.contains_key(name) || directory.files.insert(name, file).is_some() {
            return Err(error("is given twice"));
        }
        Ok(())
    }

    fn print(&self, text: &mut String) {
        for (name, directory) in &self.directories {
            text.push_str(name);
            text.push_str(" d--755 0 0\n");
            directory.print(text);
            text.push_str("$\n");
        }
        for (name, file) in &self.files {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name} ---{:03o} 0 0 {}", file.mode, file.source.display());
        }
    }
}

/// `$` ends a directory and `:` starts a comment in a prototype.
fn check_name(name: &str) -> Result<(), &'static str> {
    if matches!(name, "" | "." | "..") {
        return Err("has an empty name, `.` or `..`");
    }
    if name.len() > 255 || name.starts_with(['$', ':']) || name.contains(char::is_whitespace) {
        return Err("has a name that a prototype cannot express");
    }
    Ok(())
}
