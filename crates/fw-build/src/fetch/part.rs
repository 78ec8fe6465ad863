// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A file on its way: written to `<file>.part`, hashed while it grows, published by rename.

use std::fmt;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest, Sha256};

use super::Progress;
use crate::failure::{Failure, Result};
use crate::key::hex;

/// Bytes read at a time.
pub(super) const CHUNK_BYTES: usize = 128 << 10;

/// What a file must be; an unknown digest is only allowed where the caller judges it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    pub sha256: Option<&'a str>,
    pub size_bytes: Option<u64>,
}

/// What a file is instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    Size { expected: u64, actual: u64 },
    Digest { expected: String, actual: String },
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::Size { expected, actual } => write!(f, "{actual} bytes instead of {expected}"),
            Mismatch::Digest { expected, actual } => {
                write!(f, "wrong SHA-256\n  expected {expected}\n  actual   {actual}")
            }
        }
    }
}

impl Expected<'_> {
    fn check(&self, size: u64, sha256: &str) -> Result<(), Mismatch> {
        if let Some(expected) = self.size_bytes.filter(|e| *e != size) {
            return Err(Mismatch::Size { expected, actual: size });
        }
        match self.sha256.filter(|e| *e != sha256) {
            Some(expected) => {
                Err(Mismatch::Digest { expected: expected.to_owned(), actual: sha256.to_owned() })
            }
            None => Ok(()),
        }
    }
}

/// Name under which a wrong file is kept.
pub(super) fn rejected_path(dest: &Path) -> PathBuf {
    with_suffix(dest, ".rejected")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The partial file of one destination. Its lock is held by the caller.
pub(super) struct Part {
    dest: PathBuf,
    path: PathBuf,
    file: fs::File,
    hash: Sha256,
    len: u64,
}

impl Part {
    /// Opens what an earlier run left, and hashes it; a new file if there is none.
    pub fn open(dest: &Path) -> Result<Part> {
        let path = with_suffix(dest, ".part");
        let mut file =
            fs::OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
        let mut hash = Sha256::new();
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut len = 0;
        loop {
            let n = file.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            hash.update(&buffer[..n]);
            len += n as u64;
        }
        Ok(Part { dest: dest.to_owned(), path, file, hash, len })
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Throws away what there is.
    pub fn restart(&mut self) -> Result<()> {
        self.file.file().set_len(0)?;
        self.file.rewind()?;
        self.hash = Sha256::new();
        self.len = 0;
        self.set_validator(None)
    }

    /// Adds bytes at the end.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes)?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// What a server said to recognise the version of the file it began to send from `url`.
    pub fn validator(&self, url: &str) -> Option<String> {
        let text = fs::read_to_string(self.validator_path()).ok()?;
        let (from, validator) = text.split_once('\n')?;
        (from == url).then(|| validator.to_owned())
    }

    /// Notes it beside the partial file.
    pub fn set_validator(&self, note: Option<(&str, &str)>) -> Result<()> {
        match note {
            Some((url, validator)) => fs::write(self.validator_path(), format!("{url}\n{validator}"))?,
            None => remove_if_there(&self.validator_path())?,
        }
        Ok(())
    }

    fn validator_path(&self) -> PathBuf {
        with_suffix(&self.path, ".from")
    }

    /// Checks size and digest without publishing.
    pub fn check(&self, expected: Expected<'_>) -> Result<String, Mismatch> {
        let sha256 = hex(&self.hash.clone().finalize());
        expected.check(self.len, &sha256).map(|()| sha256)
    }

    /// Makes the file visible under its name: sync, rename, sync of the folder.
    pub fn publish(&self) -> Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, &self.dest)?;
        remove_if_there(&self.validator_path())?;
        if let Some(dir) = self.dest.parent().filter(|d| !d.as_os_str().is_empty()) {
            fs::File::open(dir)?.sync_all()?;
        }
        Ok(())
    }

    /// Keeps a wrong file aside, where it is never used, and says where.
    pub fn reject(&self) -> Result<PathBuf> {
        let aside = rejected_path(&self.dest);
        fs::rename(&self.path, &aside)?;
        remove_if_there(&self.validator_path())?;
        Ok(aside)
    }

    /// Removes the partial file.
    pub fn discard(&self) -> Result<()> {
        remove_if_there(&self.path)?;
        remove_if_there(&self.validator_path())
    }
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::from(e)),
        _ => Ok(()),
    }
}

/// Copies `source` to `dest` while hashing it, and publishes it if it is the expected file.
///
/// A source that cannot be read counts as an I/O error of this machine.
pub(super) fn copy(
    source: &Path,
    dest: &Path,
    expected: Expected<'_>,
    progress: &dyn Progress,
) -> Result<Result<String, Mismatch>> {
    let mut from = fs::File::open(source)?;
    let total = from.metadata()?.len();
    if let Some(size) = expected.size_bytes.filter(|s| *s != total) {
        return Ok(Err(Mismatch::Size { expected: size, actual: total }));
    }
    let mut part = Part::open(dest)?;
    part.restart()?;
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        part.append(&buffer[..n])?;
        progress.bytes(part.len(), Some(total));
    }
    match part.check(expected) {
        Ok(sha256) => part.publish().map(|()| Ok(sha256)),
        Err(mismatch) => part.discard().map(|()| Err(mismatch)),
    }
}
