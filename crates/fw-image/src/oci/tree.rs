// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A file tree in memory, and the one tarball that it gives.
//!
//! Written for Talos's unpacker (`pkg/archiver/untar.go`), which makes folders one level at a time and creates
//! files exclusively: every folder has its own entry before what is in it, nothing is there twice, and there
//! are no links.

use std::collections::BTreeMap;

use super::Error;

/// Permission bits of a folder.
const FOLDER_MODE: u32 = 0o755;

/// Files and folders by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    // Sorted by path: a folder comes before what is in it. `None` is a folder.
    entries: BTreeMap<String, Option<File>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct File {
    mode: u32,
    content: Vec<u8>,
}

impl Tree {
    /// An empty tree.
    pub fn new() -> Tree {
        Tree::default()
    }

    /// Adds a file and the folders above it.
    ///
    /// # Errors
    /// The path is not relative and plain, or there is something of that name.
    pub fn file(&mut self, path: &str, mode: u32, content: Vec<u8>) -> Result<(), Error> {
        self.folder_of(path)?;
        let file = File { mode, content };
        match self.entries.insert(path.to_owned(), Some(file)) {
            None => Ok(()),
            Some(_) => Err(refused(path, "there is something of that name already")),
        }
    }

    /// Adds a folder and those above it; one that is there already is fine.
    ///
    /// # Errors
    /// The path is not relative and plain, or a file lies there.
    pub fn folder(&mut self, path: &str) -> Result<(), Error> {
        self.folder_of(&format!("{path}/x"))
    }

    /// Adds the folders above a path.
    fn folder_of(&mut self, path: &str) -> Result<(), Error> {
        let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(['\0', '\\']);
        if !path.split('/').all(plain) {
            return Err(refused(path, "not a plain relative path"));
        }
        for (at, _) in path.match_indices('/') {
            let folder = &path[..at];
            match self.entries.get(folder) {
                Some(Some(_)) => return Err(refused(path, &format!("`{folder}` is a file"))),
                Some(None) => {}
                None => {
                    self.entries.insert(folder.to_owned(), None);
                }
            }
        }
        Ok(())
    }

    /// Files by path, with mode and content.
    pub fn files(&self) -> impl Iterator<Item = (&str, u32, &[u8])> {
        self.entries.iter().filter_map(|(path, file)| {
            let file = file.as_ref()?;
            Some((path.as_str(), file.mode, file.content.as_slice()))
        })
    }

    /// The tarball: entries sorted by path, owner root, one time for all.
    ///
    /// # Errors
    /// A path longer than the format has room for.
    pub fn tar(&self, mtime_seconds: u64) -> Result<Vec<u8>, Error> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, file) in &self.entries {
            let mut header = tar::Header::new_ustar();
            let (name, kind, mode, content) = match file {
                None => (format!("{path}/"), tar::EntryType::Directory, FOLDER_MODE, &[][..]),
                Some(file) => (path.clone(), tar::EntryType::Regular, file.mode, file.content.as_slice()),
            };
            let failed = |e: std::io::Error| refused(path, &e.to_string());
            header.set_path(&name).map_err(failed)?;
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(mtime_seconds);
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content).map_err(failed)?;
        }
        builder.into_inner().map_err(|e| refused("", &e.to_string()))
    }
}

fn refused(path: &str, why: &str) -> Error {
    Error::Entry { path: path.escape_debug().to_string(), why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_before_their_content() {
        let mut tree = Tree::new();
        tree.file("a/b/c", 0o755, b"x".to_vec()).expect("a path");
        tree.file("a-b/c", 0o644, b"y".to_vec()).expect("a path");
        tree.folder("empty/inside").expect("a path");
        let tar = tree.tar(1_700_000_000).expect("short paths");
        let entries: Vec<_> = super::super::rootfs(&tar).expect("a tarball as Talos wants it");
        let paths: Vec<&str> = entries.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(paths, ["a", "a-b", "a-b/c", "a/b", "a/b/c", "empty", "empty/inside"]);
        assert_eq!(entries[4].mode, 0o755);
        assert_eq!(tree.tar(1_700_000_000).expect("again"), tar);
    }

    #[test]
    fn must_fail_01_paths() {
        let mut tree = Tree::new();
        tree.file("a/b", 0o644, Vec::new()).expect("a path");
        for path in ["", "/a", "../a", "a/../b", "a//b", "./a", "a/", "a/b", "a/b/c", "a", "x\0y"] {
            assert!(tree.file(path, 0o644, Vec::new()).is_err(), "{path:?}");
        }
        assert!(tree.folder("a/b").is_err());
        let long = vec!["name"; 80].join("/");
        tree.file(&long, 0o644, Vec::new()).expect("a path");
        assert!(tree.tar(0).is_err(), "longer than ustar has room for");
    }
}
