// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is in a squashfs image, read by code that is not under test: the `tar` crate's own decoding of what
//! `sqfs2tar` writes, `unsquashfs` and `rdsquashfs`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use fw_build::run::Cmd;
use tar::{Archive, EntryType};

/// One entry, with everything that must be kept. Hard links have their file's values.
#[derive(Debug, Clone, PartialEq)]
pub struct Inode {
    pub kind: EntryType,
    pub mode: u32,
    pub owner: (u64, u64),
    pub mtime: u64,
    pub symlink: Option<Vec<u8>>,
    pub device: (u32, u32),
    pub data: Vec<u8>,
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// All names of the file.
    pub names: Vec<String>,
}

/// Entries by path without `./`; the root is the empty path.
pub fn inodes(image: &Path) -> BTreeMap<String, Inode> {
    let tar = Cmd::new("sqfs2tar").args(["-s", "-r", "."]).arg(image).output().expect("sqfs2tar runs");
    let mut archive = Archive::new(tar.as_slice());
    let mut found = BTreeMap::new();
    let mut links: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in archive.entries().expect("tar") {
        let mut entry = entry.expect("tar entry");
        let path = name(&entry.path_bytes());
        let link = entry.link_name_bytes().map(|l| l.into_owned());
        let header = entry.header().clone();
        if header.entry_type() == EntryType::Link {
            links.entry(name(&link.expect("target"))).or_default().push(path);
            continue;
        }
        let mut xattrs = BTreeMap::new();
        for record in entry.pax_extensions().expect("pax").into_iter().flatten() {
            let record = record.expect("pax record");
            if let Some(xattr) = record.key().expect("text").strip_prefix("SCHILY.xattr.") {
                xattrs.insert(xattr.to_owned(), record.value_bytes().to_vec());
            }
        }
        let mut data = Vec::new();
        entry.read_to_end(&mut data).expect("data");
        let number = |n: std::io::Result<Option<u32>>| n.expect("number").unwrap_or(0);
        let inode = Inode {
            kind: header.entry_type(),
            mode: header.mode().expect("mode"),
            owner: (header.uid().expect("uid"), header.gid().expect("gid")),
            mtime: header.mtime().expect("mtime"),
            symlink: link,
            device: (number(header.device_major()), number(header.device_minor())),
            data,
            xattrs,
            names: vec![path.clone()],
        };
        assert!(found.insert(path.clone(), inode).is_none(), "`{path}` twice");
    }
    for (target, others) in links {
        let mut inode = found[&target].clone();
        inode.names.extend(others);
        inode.names.sort();
        for path in inode.names.clone() {
            found.insert(path, inode.clone());
        }
    }
    found
}

fn name(path: &[u8]) -> String {
    let text = String::from_utf8(path.to_vec()).expect("utf-8");
    text.trim_start_matches("./").trim_matches('/').trim_start_matches('.').to_owned()
}

/// Lines of `unsquashfs -lln`: mode, owner, size, time, name. Of folders the size is left out, which is that of
/// the list of their members.
pub fn unsquashfs_lines(image: &Path) -> Vec<String> {
    let text = Cmd::new("unsquashfs").arg("-lln").arg(image).output().expect("unsquashfs runs");
    let text = String::from_utf8(text).expect("utf-8");
    text.lines()
        .filter(|l| l.contains("squashfs-root"))
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let size = if line.starts_with('d') { "-" } else { words[2] };
            [&[words[0], words[1], size], &words[3..]].concat().join(" ")
        })
        .collect()
}

/// Lines of `rdsquashfs --describe`.
pub fn described(image: &Path) -> Vec<String> {
    let text = Cmd::new("rdsquashfs").arg("--describe").arg(image).output().expect("rdsquashfs runs");
    String::from_utf8(text).expect("utf-8").lines().map(str::to_owned).collect()
}

/// What `rdsquashfs --xattr` prints for `path`, sorted.
pub fn printed_xattrs(image: &Path, path: &str) -> Vec<String> {
    let text = Cmd::new("rdsquashfs").arg("--xattr").arg(path).arg(image).output().expect("rdsquashfs runs");
    let mut lines: Vec<String> = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
    lines.sort();
    lines
}
