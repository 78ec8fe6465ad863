// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Judges a plain tarball of a root file system by what Talos's unpacker does with it
//! (`pkg/archiver/untar.go`, v1.10 to v1.13): what it would unpack wrongly or not at all is refused here.

use std::collections::BTreeMap;
use std::io::Read;

use super::Error;

/// Far more than an overlay has.
const MAX_ENTRIES: usize = 20_000;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
}

/// One entry of a tarball.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path without `./` in front and `/` behind.
    pub path: String,
    /// Folder or file.
    pub kind: EntryKind,
    /// Permission bits.
    pub mode: u32,
    /// Content of a file.
    pub content: Vec<u8>,
}

/// All entries of an uncompressed tarball.
///
/// # Errors
/// It is no tarball; a path leads outside or stands there twice; a folder has no entry before what is in it
/// (Talos makes one level at a time, and fails); an entry is a link or a device (Talos would make an empty
/// file of a hard link).
pub fn rootfs(tar: &[u8]) -> Result<Vec<Entry>, Error> {
    let mut seen: BTreeMap<String, EntryKind> = BTreeMap::new();
    let mut found = Vec::new();
    let mut archive = tar::Archive::new(tar);
    let broken = |e: std::io::Error| Error::NotAnImage(format!("a tarball cannot be read: {e}"));
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let raw = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let refused = |why: &str| Error::Entry { path: raw.escape_debug().to_string(), why: why.to_owned() };
        let kind = match entry.header().entry_type() {
            tar::EntryType::Directory => EntryKind::Folder,
            tar::EntryType::Regular | tar::EntryType::Continuous => EntryKind::File,
            tar::EntryType::Link | tar::EntryType::Symlink => return Err(refused("links are not allowed")),
            _ => return Err(refused("only files and folders are allowed")),
        };
        let path = plain(&raw).map_err(&refused)?;
        if path.is_empty() {
            // The root itself, as `tar -C folder .` writes it.
            continue;
        }
        if found.len() == MAX_ENTRIES {
            return Err(refused("there are too many entries"));
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            match seen.get(parent) {
                Some(EntryKind::Folder) => {}
                Some(EntryKind::File) => return Err(refused(&format!("`{parent}` is a file"))),
                None => return Err(refused(&format!("its folder `{parent}` has no entry before it"))),
            }
        }
        if seen.insert(path.clone(), kind).is_some() {
            return Err(refused("it is there twice"));
        }
        let mode = entry.header().mode().map_err(broken)?;
        let mut content = Vec::new();
        if kind == EntryKind::File {
            entry.read_to_end(&mut content).map_err(broken)?;
        }
        found.push(Entry { path, kind, mode, content });
    }
    if found.is_empty() {
        return Err(Error::NotAnImage("the tarball is empty".to_owned()));
    }
    Ok(found)
}

/// The path without `./` and a slash at its end; empty for the root.
fn plain(raw: &str) -> Result<String, &'static str> {
    if raw.starts_with('/') {
        return Err("the path is absolute");
    }
    let mut parts = Vec::new();
    for part in raw.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("the path leads outside with `..`"),
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}
