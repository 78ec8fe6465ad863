// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A tree of files in memory, read from tar streams of strangers.
//!
//! Nothing is ever unpacked into a file system, so a path cannot lead out of one; what only makes sense there (a
//! hard link, a device, a file below a link) is refused, because Talos's imager would make something else of it.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use fw_build::{Failure, Result};
use tar::EntryType;

/// Most bytes of all files together: the largest official extension has some 500 MB.
pub const MAX_BYTES: u64 = 2 << 30;
/// Most entries.
pub const MAX_ENTRIES: usize = 100_000;

/// The xattr that holds the SELinux label, as tar has it.
const LABEL_RECORD: &str = "SCHILY.xattr.security.selinux";
/// Prefix of a file that hides another one of a lower layer (OCI image specification, layer.md).
const WHITEOUT: &str = ".wh.";
/// A file that hides everything of lower layers in its folder.
const OPAQUE: &str = ".wh..wh..opq";

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-id and sticky bits.
    pub mode: u32,
    /// SELinux label, where the archive carries one.
    pub label: Option<Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Directory,
    /// A file with its content.
    File(Vec<u8>),
    /// A symbolic link with its target.
    Link(String),
}

/// Entries by path: relative, without `.`, parts separated by `/`; every parent is there. The root is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// Reads an uncompressed tar stream. Folders that have no entry of their own are made.
    ///
    /// # Errors
    /// The stream is not tar, or has an entry that no extension may have.
    pub fn from_tar(stream: impl Read) -> Result<Tree> {
        let mut tree = Tree::default();
        let mut bytes = 0_u64;
        let mut archive = tar::Archive::new(stream);
        for (count, entry) in archive.entries().map_err(broken)?.enumerate() {
            let mut entry = entry.map_err(broken)?;
            if count == MAX_ENTRIES {
                return Err(refused("the archive", format!("it has more than {MAX_ENTRIES} entries")));
            }
            let shown = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let Some(path) = clean(&shown)? else { continue };
            let header_mode = entry.header().mode().map_err(broken)? & 0o7777;
            let label = entry
                .pax_extensions()
                .map_err(broken)?
                .into_iter()
                .flatten()
                .filter_map(std::result::Result::ok)
                .find(|e| e.key() == Ok(LABEL_RECORD))
                .map(|e| e.value_bytes().to_vec());
            let (kind, mode) = match entry.header().entry_type() {
                // As Talos unpacks them: the owner may do everything in a folder.
                EntryType::Directory => (Kind::Directory, header_mode & 0o777 | 0o700),
                EntryType::Regular | EntryType::Continuous => {
                    bytes = bytes.saturating_add(entry.size());
                    if bytes > MAX_BYTES {
                        return Err(refused(&path, format!("the archive holds more than {MAX_BYTES} bytes")));
                    }
                    let mut content = Vec::new();
                    entry.read_to_end(&mut content).map_err(broken)?;
                    (Kind::File(content), header_mode)
                }
                EntryType::Symlink => {
                    let target = entry.link_name_bytes().unwrap_or_default();
                    let target = String::from_utf8(target.into_owned())
                        .ok()
                        .filter(|t| !t.is_empty() && !t.contains('\0'))
                        .ok_or_else(|| refused(&path, "it is a link without a readable target"))?;
                    (Kind::Link(target), 0o777)
                }
                EntryType::Link => {
                    return Err(refused(
                        &path,
                        "it is a hard link, of which Talos's imager makes an empty file",
                    )
                    .hint("make the archive anew with the file twice, or with a symbolic link"));
                }
                other => return Err(refused(&path, format!("entries of type {other:?} are not allowed"))),
            };
            tree.insert(&path, Node { kind, mode, label })?;
        }
        Ok(tree)
    }

    /// Adds an entry and the folders above it.
    ///
    /// # Errors
    /// The path is there already (unless both are folders), or leads through something that is no folder.
    pub fn insert(&mut self, path: &str, node: Node) -> Result<()> {
        for (at, _) in path.match_indices('/') {
            let parent = &path[..at];
            match self.nodes.get(parent).map(|n| &n.kind) {
                Some(Kind::Directory) => {}
                Some(Kind::Link(target)) => {
                    return Err(refused(path, format!("it lies below `{parent}`, a link to `{target}`")));
                }
                Some(Kind::File(_)) => {
                    return Err(refused(path, format!("it lies below `{parent}`, which is a file")));
                }
                None => {
                    let node = Node { kind: Kind::Directory, mode: 0o755, label: None };
                    self.nodes.insert(parent.to_owned(), node);
                }
            }
        }
        let both_folders = node.kind == Kind::Directory
            && self.nodes.get(path).is_some_and(|old| old.kind == Kind::Directory);
        if self.nodes.contains_key(path) && !both_folders {
            return Err(refused(path, "it is in the archive twice"));
        }
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }

    /// Puts a layer of an OCI image on top, with its whiteouts.
    ///
    /// # Errors
    /// A file of one is a folder of the other's path.
    pub fn overlay(&mut self, layer: Tree) -> Result<()> {
        for path in layer.nodes.keys() {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            let below = if parent.is_empty() { String::new() } else { format!("{parent}/") };
            if name == OPAQUE {
                self.remove(|p| p.starts_with(&below));
            } else if let Some(hidden) = name.strip_prefix(WHITEOUT) {
                let hidden = format!("{below}{hidden}");
                self.remove(|p| p == hidden || p.starts_with(&format!("{hidden}/")));
            }
        }
        for (path, node) in layer.nodes {
            if path.rsplit('/').next().is_some_and(|name| name.starts_with(WHITEOUT)) {
                continue;
            }
            if node.kind != Kind::Directory {
                self.remove(|p| p == path || p.starts_with(&format!("{path}/")));
            }
            self.insert(&path, node)?;
        }
        Ok(())
    }

    fn remove(&mut self, matches: impl Fn(&str) -> bool) {
        self.nodes.retain(|path, _| !matches(path));
    }

    /// The entry at a path.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path)
    }

    /// The content of a file.
    pub fn file(&self, path: &str) -> Option<&[u8]> {
        match &self.get(path)?.kind {
            Kind::File(content) => Some(content),
            _ => None,
        }
    }

    /// All entries, parents first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Takes everything below a folder out, with paths relative to it; the folder goes, too.
    pub fn take(&mut self, folder: &str) -> Tree {
        let below = format!("{folder}/");
        let (inside, outside): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.nodes)
            .into_iter()
            .partition(|(path, _)| path == folder || path.starts_with(&below));
        self.nodes = outside;
        let relative = |(path, node): (String, Node)| Some((path.strip_prefix(&below)?.to_owned(), node));
        Tree { nodes: inside.into_iter().filter_map(relative).collect() }
    }

    /// Writes a tar stream: the root first, all owned by root, with one time.
    ///
    /// # Errors
    /// A write failed.
    pub fn write_tar(&self, mtime_seconds: u64, labels: Labels, out: impl Write) -> Result<()> {
        let mut builder = tar::Builder::new(out);
        let root = Node { kind: Kind::Directory, mode: 0o755, label: None };
        for (path, node) in std::iter::once(("./", &root)).chain(self.iter()) {
            if let (Labels::Kept, Some(label)) = (labels, &node.label) {
                builder.append_pax_extensions([(LABEL_RECORD, label.as_slice())])?;
            }
            let mut header = tar::Header::new_gnu();
            header.set_mode(node.mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(mtime_seconds);
            header.set_size(0);
            match &node.kind {
                Kind::Directory => {
                    header.set_entry_type(EntryType::Directory);
                    builder.append_data(&mut header, path, std::io::empty())?;
                }
                Kind::File(content) => {
                    header.set_entry_type(EntryType::Regular);
                    header.set_size(content.len() as u64);
                    builder.append_data(&mut header, path, content.as_slice())?;
                }
                Kind::Link(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    builder.append_link(&mut header, path, target)?;
                }
            }
        }
        builder.into_inner()?.flush()?;
        Ok(())
    }
}

/// Whether SELinux labels are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Labels {
    /// They are.
    Kept,
    /// They are not.
    Dropped,
}

/// A path as the tree has it; nothing for the root.
fn clean(path: &str) -> Result<Option<String>> {
    if path.contains('\0') || path.contains('\u{fffd}') {
        return Err(refused(path, "its name is not text"));
    }
    if path.starts_with('/') {
        return Err(refused(path, "its path is absolute"));
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(refused(path, "its path leads upwards (`..`)")),
            part => parts.push(part),
        }
    }
    Ok(Some(parts.join("/")).filter(|p| !p.is_empty()))
}

fn refused(path: &str, why: impl std::fmt::Display) -> Failure {
    Failure::new(format!("`{path}` cannot be taken from an archive")).why(why)
}

fn broken(e: impl std::fmt::Display) -> Failure {
    Failure::new("it is no readable tar archive")
        .why(e)
        .hint("what is wanted is a plain tar of the root file system, not one of `docker save`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(if *kind == EntryType::Directory { 0o055 } else { 0o4755 });
            // By hand: the library refuses the paths that matter here.
            header.as_gnu_mut().expect("gnu").name[..path.len()].copy_from_slice(path.as_bytes());
            let data = if matches!(kind, EntryType::Symlink | EntryType::Link) {
                header.as_gnu_mut().expect("gnu").linkname[..content.len()]
                    .copy_from_slice(content.as_bytes());
                ""
            } else {
                content
            };
            header.set_size(data.len() as u64);
            header.set_cksum();
            builder.append(&header, data.as_bytes()).expect("memory");
        }
        builder.into_inner().expect("memory")
    }

    fn refusal(entries: &[(&str, EntryType, &str)]) -> String {
        Tree::from_tar(&archive(entries)[..]).expect_err("refused").to_string()
    }

    const FILE: EntryType = EntryType::Regular;

    #[test]
    fn reads_and_writes() {
        let entries = [
            ("./", EntryType::Directory, ""),
            ("./rootfs/", EntryType::Directory, ""),
            ("rootfs/a", FILE, "1"),
            ("rootfs/deep/b", FILE, "2"),
            ("rootfs/link", EntryType::Symlink, "/usr/lib"),
            ("rootfs", EntryType::Directory, ""),
        ];
        let mut tree = Tree::from_tar(&archive(&entries)[..]).expect("good");
        let paths: Vec<&str> = tree.iter().map(|(p, _)| p).collect();
        assert_eq!(paths, ["rootfs", "rootfs/a", "rootfs/deep", "rootfs/deep/b", "rootfs/link"]);
        assert_eq!(tree.get("rootfs").expect("there").mode, 0o755, "the owner may do everything");
        assert_eq!(tree.get("rootfs/a").expect("there").mode, 0o4755);
        let inner = tree.take("rootfs");
        assert!(tree.is_empty());
        assert_eq!(inner.file("deep/b"), Some(&b"2"[..]));
        let mut written = Vec::new();
        inner.write_tar(7, Labels::Kept, &mut written).expect("memory");
        assert_eq!(Tree::from_tar(&written[..]).expect("our own"), inner);
    }

    #[test]
    fn must_fail_paths_that_lead_out() {
        for path in ["../x", "rootfs/../../x", "a/..", "/etc/x"] {
            let text = refusal(&[(path, FILE, "")]);
            assert!(text.contains("leads upwards") || text.contains("is absolute"), "{path}: {text}");
            assert!(text.contains(path), "{text}");
        }
        let text = refusal(&[("rootfs/l", EntryType::Symlink, "/etc"), ("rootfs/l/x", FILE, "")]);
        assert!(text.contains("below `rootfs/l`, a link to `/etc`"), "{text}");
        let text = refusal(&[("rootfs/f", FILE, ""), ("rootfs/f/x", FILE, "")]);
        assert!(text.contains("below `rootfs/f`, which is a file"), "{text}");
    }

    #[test]
    fn must_fail_entries_that_are_no_files() {
        let text = refusal(&[("rootfs/a", FILE, "1"), ("rootfs/b", EntryType::Link, "rootfs/a")]);
        assert!(text.contains("hard link") && text.contains("hint: "), "{text}");
        for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
            assert!(refusal(&[("rootfs/d", kind, "")]).contains("not allowed"), "{kind:?}");
        }
        assert!(refusal(&[("rootfs/a", FILE, "1"), ("rootfs/a", FILE, "2")]).contains("twice"));
        assert!(refusal(&[("rootfs/a", FILE, ""), ("rootfs/a", EntryType::Directory, "")]).contains("twice"));
        let cut = &archive(&[("rootfs/a", FILE, "1234")])[..514];
        assert!(Tree::from_tar(cut).is_err(), "truncated");
        assert!(Tree::from_tar(&b"PK\x03\x04 not a tar"[..]).is_err());
    }

    #[test]
    fn layers_of_an_image() {
        let read = |entries: &[_]| Tree::from_tar(&archive(entries)[..]).expect("good");
        let mut image = read(&[("a/x", FILE, "1"), ("a/y", FILE, "1"), ("b/z", FILE, "1"), ("c", FILE, "1")]);
        let top =
            [("a/.wh.x", FILE, ""), ("b/.wh..wh..opq", FILE, ""), ("b/new", FILE, "2"), ("c/d", FILE, "2")];
        image.overlay(read(&[("c", EntryType::Directory, "")])).expect_err("a file is no folder");
        let mut image = read(&[("a/x", FILE, "1"), ("a/y", FILE, "1"), ("b/z", FILE, "1")]);
        image.overlay(read(&top)).expect("lies on top");
        let paths: Vec<&str> = image.iter().map(|(p, _)| p).collect();
        assert_eq!(paths, ["a", "a/y", "b", "b/new", "c", "c/d"]);
    }
}
