// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A tar stream as a sequence of groups that can be passed on byte for byte.
//!
//! A group is one file system entry: its extension records (pax `x`, GNU `L` and `K`), its header and its data.
//! Passing the raw blocks on is what makes large pax headers, long names and binary xattrs survive: nothing is
//! decoded and encoded again. Data is streamed; only headers are held in memory. It never touches a file system.
//!
//! Formats: POSIX.1-2024 `pax` utility, "pax Interchange Format" and "ustar Interchange Format". xattrs are
//! `SCHILY.xattr.NAME` records, the form both programs of squashfs-tools-ng use.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use fw_build::{Failure, Result};
use tar::{Archive, EntryType, Header};

/// Prefix of a pax keyword that carries an xattr.
const XATTR_KEYWORD: &[u8] = b"SCHILY.xattr.";
/// Size of a tar block in bytes.
const BLOCK_BYTES: usize = 512;
/// Largest extension record that is read into memory: Linux allows 64 KiB for all xattrs of a file and 4 KiB for a path.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;

/// Xattrs of one entry by full name (`security.selinux`).
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// One entry without its data.
pub struct Group {
    /// Extension records and header exactly as they came.
    raw: Vec<u8>,
    /// Path without leading `./` and trailing `/`; the root is empty.
    pub path: Vec<u8>,
    /// Target of a symbolic link as it stands, of a hard link normalised like `path`; else empty.
    pub link: Vec<u8>,
    /// Entry type.
    pub kind: EntryType,
    /// Permission bits with set-id and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// Seconds since the epoch.
    pub mtime: u64,
    /// Length of the data in bytes.
    pub size_bytes: u64,
    /// Major and minor number of a device node, else zero.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Xattrs,
}

impl Group {
    /// Path for messages.
    pub fn display(&self) -> String {
        String::from_utf8_lossy(&self.path).into_owned()
    }

    /// Writes the group with the data that `data` gives.
    ///
    /// # Errors
    /// `data` is shorter than the header says, or a read or write failed.
    pub fn pass_on(&self, data: &mut dyn Read, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(&self.raw)?;
        copy_data(data, self.size_bytes, out)
    }
}

/// Copies exactly `size_bytes` and the padding to the next block.
fn copy_data(data: &mut dyn Read, size_bytes: u64, out: &mut dyn Write) -> io::Result<()> {
    let copied = io::copy(&mut data.take(size_bytes), out)?;
    if copied != size_bytes {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("the data ends after {copied} of {size_bytes} bytes"),
        ));
    }
    let over = (size_bytes % BLOCK_BYTES as u64) as usize;
    if over != 0 {
        out.write_all(&[0; BLOCK_BYTES][over..])?;
    }
    Ok(())
}

/// Calls `each` for every entry, then reads `reader` to its end, so that the writer of a pipe is not cut off.
///
/// `each` need not read the data.
///
/// # Errors
/// The stream is not tar, is truncated, has a type or record that cannot be passed on, or `each` failed.
pub fn for_each<R: Read>(reader: R, mut each: impl FnMut(&Group, &mut dyn Read) -> Result<()>) -> Result<()> {
    let mut archive = Archive::new(reader);
    let mut pending = Pending::default();
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        let header = entry.header().clone();
        match header.entry_type() {
            kind @ (EntryType::XHeader | EntryType::GNULongName | EntryType::GNULongLink) => {
                let size = header.entry_size().map_err(broken)?;
                if size > MAX_EXTENSION_BYTES {
                    return Err(broken(format!("extension record of {size} bytes")));
                }
                let mut data = Vec::new();
                entry.read_to_end(&mut data).map_err(broken)?;
                pending.raw.extend_from_slice(header.as_bytes());
                copy_data(&mut data.as_slice(), size, &mut pending.raw).map_err(broken)?;
                pending.take_in(kind, &data)?;
            }
            EntryType::Regular
            | EntryType::Continuous
            | EntryType::Directory
            | EntryType::Symlink
            | EntryType::Link
            | EntryType::Char
            | EntryType::Block
            | EntryType::Fifo => {
                let group = std::mem::take(&mut pending).finish(&header)?;
                each(&group, &mut entry)?;
            }
            other => return Err(broken(format!("entry of type {other:?}"))),
        }
    }
    if !pending.raw.is_empty() {
        return Err(broken("it ends after an extension record"));
    }
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(broken)?;
    Ok(())
}

fn broken(why: impl std::fmt::Display) -> Failure {
    Failure::new("the tar stream of the root file system is not usable").why(why)
}

/// What extension records said about the entry that follows.
#[derive(Default)]
struct Pending {
    raw: Vec<u8>,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<u64>,
    xattrs: Xattrs,
}

impl Pending {
    fn take_in(&mut self, kind: EntryType, data: &[u8]) -> Result<()> {
        let text = || data.strip_suffix(b"\0").unwrap_or(data).to_vec();
        match kind {
            EntryType::GNULongName => self.path = Some(text()),
            EntryType::GNULongLink => self.link = Some(text()),
            _ => {
                for (keyword, value) in pax_records(data)? {
                    match keyword {
                        b"path" => self.path = Some(value.to_vec()),
                        b"linkpath" => self.link = Some(value.to_vec()),
                        b"uid" => self.uid = Some(whole_number(value)?),
                        b"gid" => self.gid = Some(whole_number(value)?),
                        b"mtime" => self.mtime = Some(whole_number(value)?),
                        // It would move the next header; sqfs2tar has no need for it below 8 GiB.
                        b"size" => return Err(broken("an entry of 8 GiB or more")),
                        other => {
                            if let Some(name) = other.strip_prefix(XATTR_KEYWORD) {
                                self.xattrs.insert(name.to_vec(), value.to_vec());
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(mut self, header: &Header) -> Result<Group> {
        self.raw.extend_from_slice(header.as_bytes());
        let kind = header.entry_type();
        let link = self.link.or_else(|| header.link_name_bytes().map(|l| l.into_owned())).unwrap_or_default();
        let number = |n: Option<u64>, field: io::Result<u64>| n.map_or_else(|| field.map_err(broken), Ok);
        let is_device = matches!(kind, EntryType::Char | EntryType::Block);
        let device = |n: io::Result<Option<u32>>| match is_device {
            true => n.map(Option::unwrap_or_default).map_err(broken),
            false => Ok(0),
        };
        Ok(Group {
            raw: self.raw,
            path: normal(&self.path.unwrap_or_else(|| header.path_bytes().into_owned())),
            link: if kind == EntryType::Link { normal(&link) } else { link },
            kind,
            mode: header.mode().map_err(broken)? & 0o7777,
            uid: number(self.uid, header.uid())?,
            gid: number(self.gid, header.gid())?,
            mtime: number(self.mtime, header.mtime())?,
            size_bytes: header.entry_size().map_err(broken)?,
            device: (device(header.device_major())?, device(header.device_minor())?),
            xattrs: self.xattrs,
        })
    }
}

/// `./a/b/` and `a/b` are one path.
fn normal(path: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = path.split(|c| *c == b'/').filter(|p| !p.is_empty() && *p != b".").collect();
    parts.join(&b'/')
}

/// Splits a pax extended header into keyword and value: `LENGTH KEYWORD=VALUE\n`, where LENGTH counts the whole
/// record in bytes and VALUE may be any bytes, line feeds included.
fn pax_records(mut data: &[u8]) -> Result<Vec<(&[u8], &[u8])>> {
    let mut records = Vec::new();
    while !data.is_empty() {
        let record =
            split_record(data).ok_or_else(|| broken("a pax record that is not `LENGTH KEYWORD=VALUE`"))?;
        records.push((record.0, record.1));
        data = record.2;
    }
    Ok(records)
}

fn split_record(data: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = data.iter().position(|c| *c == b' ')?;
    let length: usize = std::str::from_utf8(&data[..space]).ok()?.parse().ok()?;
    let body = data.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|c| *c == b'=')?;
    Some((&body[..equals], &body[equals + 1..], &data[length..]))
}

/// A decimal pax value; times may carry a fraction, which squashfs cannot hold.
fn whole_number(value: &[u8]) -> Result<u64> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let whole = text.split('.').next().unwrap_or_default();
    whole.parse().map_err(|_| broken(format!("pax value `{text}` is no number")))
}

/// What a new entry is.
pub enum NewKind {
    /// A directory.
    Directory,
    /// A regular file of this many bytes.
    File {
        /// Length of its data.
        size_bytes: u64,
    },
}

/// An entry to be written, owned by 0:0.
pub struct NewEntry<'a> {
    /// Path without leading `./`.
    pub path: &'a [u8],
    /// What it is.
    pub kind: NewKind,
    /// Permission bits.
    pub mode: u32,
    /// Seconds since the epoch.
    pub mtime: u64,
    /// Extended attributes.
    pub xattrs: &'a Xattrs,
}

impl NewEntry<'_> {
    /// Writes the entry; `data` is read for files only.
    ///
    /// # Errors
    /// `data` is shorter than `size_bytes`, or a read or write failed.
    pub fn write(&self, data: &mut dyn Read, out: &mut dyn Write) -> io::Result<()> {
        let (kind, size_bytes) = match self.kind {
            NewKind::Directory => (EntryType::Directory, 0),
            NewKind::File { size_bytes } => (EntryType::Regular, size_bytes),
        };
        let mut records = pax_record(b"path", self.path);
        for (name, value) in self.xattrs {
            records.extend(pax_record(&[XATTR_KEYWORD, name].concat(), value));
        }
        let mut pax = self.header(EntryType::XHeader, records.len() as u64)?;
        pax.set_cksum();
        out.write_all(pax.as_bytes())?;
        copy_data(&mut records.as_slice(), records.len() as u64, out)?;
        let mut header = self.header(kind, size_bytes)?;
        header.set_cksum();
        out.write_all(header.as_bytes())?;
        copy_data(data, size_bytes, out)
    }

    /// A ustar header; the path stands in the pax record, so the name here is only a constant.
    fn header(&self, kind: EntryType, size_bytes: u64) -> io::Result<Header> {
        let mut header = Header::new_ustar();
        header.set_path("entry")?;
        header.set_entry_type(kind);
        header.set_mode(self.mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.mtime);
        header.set_size(size_bytes);
        Ok(header)
    }
}

/// One pax record; its length counts its own digits.
fn pax_record(keyword: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = keyword.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    let mut record = length.to_string().into_bytes();
    record.push(b' ');
    record.extend_from_slice(keyword);
    record.push(b'=');
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}

/// Ends a tar stream: two zero blocks.
///
/// # Errors
/// The write failed.
pub fn finish(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK_BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry<'a>(path: &'a [u8], data: &[u8], xattrs: &'a Xattrs) -> NewEntry<'a> {
        NewEntry {
            path,
            kind: NewKind::File { size_bytes: data.len() as u64 },
            mode: 0o644,
            mtime: 7,
            xattrs,
        }
    }

    fn stream(path: &[u8], data: &[u8], xattrs: &Xattrs) -> Vec<u8> {
        let mut out = Vec::new();
        entry(path, data, xattrs).write(&mut &data[..], &mut out).expect("write");
        finish(&mut out).expect("end");
        out
    }

    #[test]
    fn odd_xattrs_and_long_names_pass_byte_for_byte() {
        let path = ["ü/", &"n".repeat(300)].concat().into_bytes();
        let xattrs = Xattrs::from([
            (b"security.selinux".to_vec(), b"a:b:c:s0\0".to_vec()),
            (b"user.lines".to_vec(), b"one\n22 two=2\n".to_vec()),
            (b"user.big".to_vec(), vec![b'v'; 60_000]),
            (b"user.empty".to_vec(), Vec::new()),
        ]);
        let input = stream(&path, &[1; 700], &xattrs);
        let mut output = Vec::new();
        let mut seen = 0;
        for_each(input.as_slice(), |group, data| {
            assert_eq!(group.path, path);
            assert_eq!(group.xattrs, xattrs);
            assert_eq!((group.mode, group.mtime, group.size_bytes), (0o644, 7, 700));
            seen += 1;
            Ok(group.pass_on(data, &mut output)?)
        })
        .expect("reads");
        finish(&mut output).expect("end");
        assert_eq!(seen, 1);
        assert!(output == input, "the stream changed");
    }

    #[test]
    fn record_length_counts_its_own_digits() {
        // POSIX.1-2024 pax, "pax Header Block": the length includes itself; 9 to 10 and 99 to 100 are the edges.
        for n in 0..200 {
            let record = pax_record(b"k", &vec![b'x'; n]);
            let (keyword, value, rest) = split_record(&record).expect("splits");
            assert_eq!((keyword, value.len(), rest.len()), (b"k".as_slice(), n, 0));
        }
    }

    #[test]
    fn must_fail_truncated_data_and_records() {
        let xattrs = Xattrs::from([(b"user.a".to_vec(), b"b".to_vec())]);
        let whole = stream(b"a", &[1; 2000], &xattrs);
        let read = |bytes: &[u8]| {
            let failure = for_each(bytes, |group, data| Ok(group.pass_on(data, &mut io::sink())?));
            failure.map_err(|f| f.to_string())
        };
        assert_eq!(read(&whole), Ok(()));
        let in_data = read(&whole[..BLOCK_BYTES * 4]).expect_err("data is cut");
        assert!(in_data.contains("the data ends after 512 of 2000 bytes"), "{in_data}");
        let after_record = read(&whole[..BLOCK_BYTES * 2]).expect_err("only the pax record");
        assert!(after_record.contains("ends after an extension record"), "{after_record}");
    }

    #[test]
    fn must_fail_records_that_are_none() {
        for bad in ["5 k=", "99 k=v\n", "x k=v\n", "6 kkv\n", "7 k=v\nx"] {
            assert!(pax_records(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert_eq!(pax_records(b"6 k=v\n").expect("good"), [(b"k".as_slice(), b"v".as_slice())]);
    }
}
