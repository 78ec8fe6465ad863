// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads and writes cpio archives in the `newc` form, the only one the kernel's initramfs takes.
//!
//! Format: the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`: per member a
//! header of the magic `070701` and thirteen fields of eight hexadecimal digits, the name with its NUL,
//! padding to 4, the data, padding to 4; at the end a member `TRAILER!!!`.
//!
//! What is written depends on nothing but the arguments: inode numbers count from 1, devices are 0,
//! owner is 0:0, the time is the caller's. This module must not read a file system.

use std::io::{self, Write};

/// Start of every member.
pub const MAGIC: &[u8; 6] = b"070701";
const HEADER_BYTES: usize = 110;
const TRAILER: &str = "TRAILER!!!";
const ALIGN: usize = 4;

/// File type bits of a directory in `mode`.
pub const DIRECTORY: u32 = 0o040_000;
/// File type bits of a regular file in `mode`.
pub const FILE: u32 = 0o100_000;

/// Why an archive was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A member does not start with `070701` (`070702` with checksums is not written by anyone here).
    #[error("cpio member at {offset_bytes:#x} has magic `{found}`, not `070701`")]
    Magic {
        /// From the start of the archive.
        offset_bytes: usize,
        /// The six bytes, made printable.
        found: String,
    },
    /// A header, name or content runs past the end, or there is no trailer.
    #[error("cpio archive is truncated at {offset_bytes:#x}")]
    Truncated {
        /// Start of the member that is not complete.
        offset_bytes: usize,
    },
    /// A header field is not hexadecimal, or a name is not text that ends in NUL.
    #[error("cpio member at {offset_bytes:#x} has a bad {field}")]
    Field {
        /// Start of the member.
        offset_bytes: usize,
        /// Name of the field.
        field: &'static str,
    },
}

/// One member of an archive that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member<'a> {
    /// Name as it stands in the archive.
    pub name: &'a str,
    /// Inode number.
    pub ino: u32,
    /// File type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time, seconds since 1970.
    pub mtime_seconds: u32,
    /// Content.
    pub data: &'a [u8],
}

/// Reads the archive that `bytes` starts with. Gives its members without the trailer, and its length
/// up to and including the trailer.
pub fn read(bytes: &[u8]) -> Result<(Vec<Member<'_>>, usize), Error> {
    let mut members = Vec::new();
    let mut at = 0;
    loop {
        let (member, next) = member(bytes, at)?;
        at = next;
        if member.name == TRAILER {
            return Ok((members, at));
        }
        members.push(member);
    }
}

fn member(bytes: &[u8], at: usize) -> Result<(Member<'_>, usize), Error> {
    let truncated = || Error::Truncated { offset_bytes: at };
    let header = bytes.get(at..).and_then(|rest| rest.get(..HEADER_BYTES)).ok_or_else(truncated)?;
    if !header.starts_with(MAGIC) {
        let found = header[..MAGIC.len()].escape_ascii().to_string();
        return Err(Error::Magic { offset_bytes: at, found });
    }
    let field = |index: usize, name: &'static str| {
        let digits = &header[MAGIC.len() + index * 8..][..8];
        std::str::from_utf8(digits)
            .ok()
            .filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))
            .and_then(|text| u32::from_str_radix(text, 16).ok())
            .ok_or(Error::Field { offset_bytes: at, field: name })
    };
    let size_bytes = field(6, "file size")? as usize;
    let name_bytes = field(11, "name size")? as usize;
    let name_start = at + HEADER_BYTES;
    let name = bytes.get(name_start..name_start + name_bytes).ok_or_else(truncated)?;
    let name = name
        .strip_suffix(&[0])
        .and_then(|name| std::str::from_utf8(name).ok())
        .filter(|name| !name.is_empty() && !name.contains('\0'))
        .ok_or(Error::Field { offset_bytes: at, field: "name" })?;
    // Both paddings count from the start of the archive.
    let data_start = (name_start + name_bytes).next_multiple_of(ALIGN);
    let data = bytes.get(data_start..data_start + size_bytes).ok_or_else(truncated)?;
    let member = Member {
        name,
        ino: field(0, "inode")?,
        mode: field(1, "mode")?,
        uid: field(2, "uid")?,
        gid: field(3, "gid")?,
        mtime_seconds: field(5, "mtime")?,
        data,
    };
    // The padding after the trailer may be cut off: the kernel does not ask for it.
    let next = (data_start + size_bytes).next_multiple_of(ALIGN).min(bytes.len());
    Ok((member, next))
}

/// Writes one archive.
#[derive(Debug)]
pub struct Writer<W: Write> {
    inner: W,
    mtime_seconds: u32,
    next_ino: u32,
}

impl<W: Write> Writer<W> {
    /// Starts an archive whose members all carry this modification time.
    pub fn new(inner: W, mtime_seconds: u32) -> Self {
        Self { inner, mtime_seconds, next_ino: 1 }
    }

    /// Appends a directory. `permissions` are the low twelve bits of the mode.
    pub fn directory(&mut self, name: &str, permissions: u32) -> io::Result<()> {
        let ino = self.take_ino();
        // Two links: its own name and `.`, what every file system reports for an empty directory.
        self.put(
            name,
            Header { ino, mode: DIRECTORY | permissions, links: 2, mtime: self.mtime_seconds },
            &[],
        )
    }

    /// Appends a regular file. `permissions` are the low twelve bits of the mode.
    pub fn file(&mut self, name: &str, permissions: u32, data: &[u8]) -> io::Result<()> {
        let ino = self.take_ino();
        self.put(name, Header { ino, mode: FILE | permissions, links: 1, mtime: self.mtime_seconds }, data)
    }

    /// Writes the trailer and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.put(TRAILER, Header { ino: 0, mode: 0, links: 1, mtime: 0 }, &[])?;
        Ok(self.inner)
    }

    fn take_ino(&mut self) -> u32 {
        let ino = self.next_ino;
        self.next_ino += 1;
        ino
    }

    fn put(&mut self, name: &str, header: Header, data: &[u8]) -> io::Result<()> {
        let invalid = |why: String| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        // Talos's imager compares the record's name with `rootfs.sqsh`: a `./` in front hides it.
        if name.is_empty() || name.starts_with('/') || name.starts_with("./") || name.contains('\0') {
            return invalid(format!("`{name}` cannot be a cpio member's name"));
        }
        if header.ino != 0 && name == TRAILER {
            return invalid(format!("`{TRAILER}` would end the archive"));
        }
        let Ok(size_bytes) = u32::try_from(data.len()) else {
            return invalid(format!("`{name}` has {} bytes, newc holds less than 4 GiB", data.len()));
        };
        let name_bytes = name.len() as u32 + 1;
        self.inner.write_all(MAGIC)?;
        let fields = [
            header.ino,
            header.mode,
            0,
            0,
            header.links,
            header.mtime,
            size_bytes,
            0,
            0,
            0,
            0,
            name_bytes,
            0,
        ];
        for field in fields {
            write!(self.inner, "{field:08x}")?;
        }
        self.inner.write_all(name.as_bytes())?;
        self.inner.write_all(&[0])?;
        // Every member is a multiple of 4 long, so padding by the member's own length is enough.
        self.pad(HEADER_BYTES + name_bytes as usize)?;
        self.inner.write_all(data)?;
        self.pad(data.len())
    }

    fn pad(&mut self, written_bytes: usize) -> io::Result<()> {
        let missing = written_bytes.next_multiple_of(ALIGN) - written_bytes;
        self.inner.write_all(&[0; ALIGN][..missing])
    }
}

/// The header fields that differ between members.
struct Header {
    ino: u32,
    mode: u32,
    links: u32,
    mtime: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn talos_shaped() -> Vec<u8> {
        let mut writer = Writer::new(Vec::new(), 1_700_000_000);
        writer.directory(".", 0o755).expect("into memory");
        writer.file("init", 0o755, b"\x7fELF!").expect("into memory");
        writer.file("rootfs.sqsh", 0o644, b"hsqs").expect("into memory");
        writer.finish().expect("into memory")
    }

    #[test]
    fn what_is_written_is_read_again() {
        let archive = talos_shaped();
        let (members, end) = read(&archive).expect("our own archive");
        assert_eq!(end, archive.len());
        let seen: Vec<_> = members.iter().map(|m| (m.name, m.ino, m.mode, m.data.len())).collect();
        assert_eq!(
            seen,
            [(".", 1, 0o040_755, 0), ("init", 2, 0o100_755, 5), ("rootfs.sqsh", 3, 0o100_644, 4)]
        );
        assert!(members.iter().all(|m| (m.uid, m.gid, m.mtime_seconds) == (0, 0, 1_700_000_000)));
    }

    #[test]
    fn archives_stand_one_behind_the_other() {
        let one = talos_shaped();
        let two = [one.clone(), one.clone()].concat();
        let (_, end) = read(&two).expect("the first");
        assert_eq!(end, one.len());
        assert_eq!(read(&two[end..]).expect("the second").0.len(), 3);
    }

    #[test]
    fn must_fail_01_bad_magic() {
        let mut archive = talos_shaped();
        archive[5] = b'2';
        assert_eq!(read(&archive), Err(Error::Magic { offset_bytes: 0, found: "070702".to_owned() }));
    }

    #[test]
    fn must_fail_02_truncated() {
        let archive = talos_shaped();
        // The last three bytes are padding at most; everything before them is needed.
        for len in [0, 50, 109, 112, 230, archive.len() - 120, archive.len() - 5] {
            assert!(matches!(read(&archive[..len]), Err(Error::Truncated { .. })), "length {len}");
        }
    }

    #[test]
    fn must_fail_03_bad_fields() {
        for (at, byte, field) in [(54, b'+', "file size"), (6, b'g', "inode"), (111, b'x', "name")] {
            let mut archive = talos_shaped();
            archive[at] = byte;
            assert_eq!(read(&archive), Err(Error::Field { offset_bytes: 0, field }), "byte {at}");
        }
    }

    #[test]
    fn must_fail_04_names_that_hide_or_end() {
        for name in ["", "./init", "/init", "a\0b", "TRAILER!!!"] {
            let mut writer = Writer::new(Vec::new(), 0);
            assert!(writer.file(name, 0o644, &[]).is_err(), "{name:?}");
        }
    }
}
