// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a file system holds, entry by entry, so that two can be compared.
//!
//! It knows tar groups and nothing else. Order of the stream and the choice which name of a hard-linked file
//! comes first do not count; everything an inode carries does.

use std::collections::BTreeMap;
use std::io::{self, Read};

use fw_build::{Failure, Result};
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::tarstream::{Group, Xattrs};

/// How many differences a failure names.
const SHOWN_DIFFERENCES: usize = 8;

/// Everything of an entry but its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Entry type.
    pub kind: EntryType,
    /// Permission bits with set-id and sticky bits.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u64, u64),
    /// Seconds since the epoch.
    pub mtime: u64,
    /// Symbolic link's target.
    pub target: Vec<u8>,
    /// Major and minor number.
    pub device: (u32, u32),
    /// SHA-256 of the data.
    pub content: [u8; 32],
    /// Extended attributes.
    pub xattrs: Xattrs,
    /// First name, in byte order, of the file that this is a hard link of; empty for a file with one name.
    pub hard_link_of: Vec<u8>,
}

/// The entries of a file system by path.
#[derive(Debug, Default)]
pub struct Inventory {
    records: BTreeMap<Vec<u8>, Record>,
    links: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Inventory {
    /// Adds an entry whose data has the digest `content`.
    ///
    /// # Errors
    /// The path is there already.
    pub fn add(&mut self, group: &Group, content: [u8; 32]) -> Result<()> {
        if group.kind == EntryType::Link {
            self.links.push((group.path.clone(), group.link.clone()));
            return Ok(());
        }
        let record = Record {
            kind: group.kind,
            mode: group.mode,
            owner: (group.uid, group.gid),
            mtime: group.mtime,
            target: group.link.clone(),
            device: group.device,
            content,
            xattrs: group.xattrs.clone(),
            hard_link_of: Vec::new(),
        };
        self.insert(group.path.clone(), record)
    }

    /// Adds a record.
    ///
    /// # Errors
    /// The path is there already.
    pub fn insert(&mut self, path: Vec<u8>, record: Record) -> Result<()> {
        let shown = String::from_utf8_lossy(&path).into_owned();
        match self.records.insert(path, record) {
            None => Ok(()),
            Some(_) => Err(Failure::new(format!("`{shown}` is in the root file system twice"))),
        }
    }

    /// Gives every name of a hard-linked file the whole record of the file.
    ///
    /// # Errors
    /// A link to a file that is not there.
    pub fn resolve(mut self) -> Result<BTreeMap<Vec<u8>, Record>> {
        let mut names: BTreeMap<Vec<u8>, Vec<Vec<u8>>> = BTreeMap::new();
        for (path, target) in std::mem::take(&mut self.links) {
            names.entry(target).or_default().push(path);
        }
        for (target, mut paths) in names {
            let Some(record) = self.records.get(&target) else {
                return Err(Failure::new(format!(
                    "`{}` is a hard link to `{}`, which is not there",
                    String::from_utf8_lossy(&paths[0]),
                    String::from_utf8_lossy(&target)
                )));
            };
            let mut record = record.clone();
            paths.push(target);
            paths.sort();
            record.hard_link_of = paths[0].clone();
            for path in paths {
                self.records.insert(path, record.clone());
            }
        }
        Ok(self.records)
    }
}

/// Compares what should be there with what is.
///
/// # Errors
/// They differ: the first differences are named.
pub fn compare(expected: &BTreeMap<Vec<u8>, Record>, actual: &BTreeMap<Vec<u8>, Record>) -> Result<()> {
    let mut differences = Vec::new();
    for (path, record) in expected {
        match actual.get(path) {
            None => differences.push(format!("`{}` is missing", String::from_utf8_lossy(path))),
            Some(other) if other != record => differences.push(format!(
                "`{}` has another {}",
                String::from_utf8_lossy(path),
                what_differs(record, other).join(", ")
            )),
            Some(_) => {}
        }
    }
    let extra = actual.keys().filter(|p| !expected.contains_key(*p));
    differences
        .extend(extra.map(|p| format!("`{}` is there, and should not be", String::from_utf8_lossy(p))));
    if differences.is_empty() {
        return Ok(());
    }
    let mut failure = Failure::new("the new root file system is not what was put into it");
    for line in differences.iter().take(SHOWN_DIFFERENCES) {
        failure = failure.why(line);
    }
    if differences.len() > SHOWN_DIFFERENCES {
        failure = failure.why(format!("and {} more", differences.len() - SHOWN_DIFFERENCES));
    }
    Err(failure
        .hint("a bug of this machine's `sqfs2tar` or `tar2sqfs`: try another version of squashfs-tools-ng"))
}

fn what_differs(a: &Record, b: &Record) -> Vec<&'static str> {
    [
        (a.kind != b.kind, "type"),
        (a.mode != b.mode, "mode"),
        (a.owner != b.owner, "owner"),
        (a.mtime != b.mtime, "time"),
        (a.target != b.target, "link target"),
        (a.device != b.device, "device number"),
        (a.content != b.content, "content"),
        (a.xattrs != b.xattrs, "set of xattrs"),
        (a.hard_link_of != b.hard_link_of, "set of hard links"),
    ]
    .into_iter()
    .filter_map(|(differs, name)| differs.then_some(name))
    .collect()
}

/// A reader that hashes what passes through it.
pub struct Hashing<'a> {
    inner: &'a mut dyn Read,
    hash: Sha256,
}

impl<'a> Hashing<'a> {
    /// Wraps `inner`.
    pub fn new(inner: &'a mut dyn Read) -> Self {
        Hashing { inner, hash: Sha256::new() }
    }

    /// SHA-256 of what was read.
    pub fn digest(self) -> [u8; 32] {
        self.hash.finalize().into()
    }
}

impl Read for Hashing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n]);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record {
            kind: EntryType::Regular,
            mode: 0o644,
            owner: (0, 0),
            mtime: 1,
            target: Vec::new(),
            device: (0, 0),
            content: [0; 32],
            xattrs: Xattrs::new(),
            hard_link_of: Vec::new(),
        }
    }

    #[test]
    fn must_fail_every_field_missing_and_extra() {
        let with = |change: fn(&mut Record)| {
            let mut changed = record();
            change(&mut changed);
            BTreeMap::from([(b"a".to_vec(), changed)])
        };
        let good = with(|_| {});
        assert_eq!(compare(&good, &with(|_| {})), Ok(()));
        type Change = fn(&mut Record);
        let cases: [(Change, &str); 9] = [
            (|r| r.kind = EntryType::Fifo, "type"),
            (|r| r.mode = 0o4644, "mode"),
            (|r| r.owner.1 = 6, "owner"),
            (|r| r.mtime = 2, "time"),
            (|r| r.target = b"x".to_vec(), "link target"),
            (|r| r.device.0 = 1, "device number"),
            (|r| r.content[0] = 1, "content"),
            (|r| drop(r.xattrs.insert(b"security.selinux".to_vec(), b"x".to_vec())), "set of xattrs"),
            (|r| r.hard_link_of = b"b".to_vec(), "set of hard links"),
        ];
        for (change, name) in cases {
            let failure = compare(&good, &with(change)).expect_err(name).to_string();
            assert!(failure.contains(&format!("`a` has another {name}\n")), "{failure}");
        }
        let missing = compare(&good, &BTreeMap::new()).expect_err("missing").to_string();
        assert!(missing.contains("`a` is missing"), "{missing}");
        let extra = compare(&BTreeMap::new(), &good).expect_err("extra").to_string();
        assert!(extra.contains("`a` is there, and should not be"), "{extra}");
    }

    #[test]
    fn either_name_of_a_hard_link_may_come_first() {
        let linked = |file: &[u8], link: &[u8]| {
            let mut inventory = Inventory::default();
            inventory.insert(file.to_vec(), record()).expect("once");
            inventory.links.push((link.to_vec(), file.to_vec()));
            inventory.resolve().expect("resolves")
        };
        assert_eq!(linked(b"a", b"b"), linked(b"b", b"a"));
        assert_eq!(linked(b"a", b"b")[b"b".as_slice()].hard_link_of, b"a");
        let mut dangling = Inventory::default();
        dangling.links.push((b"a".to_vec(), b"gone".to_vec()));
        assert!(dangling.resolve().expect_err("dangling").to_string().contains("hard link to `gone`"));
    }
}
