// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What an interrupted run leaves for the next one: up to which chunk a medium held an image.
//!
//! It is a hint and never believed: chunks that it counts are read and compared again. So a journal of another
//! card in the same reader costs time and nothing else.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_image::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::CHUNK_BYTES;

/// Version of the file's form.
const SCHEMA_VERSION: u32 = 1;

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    schema_version: u32,
    image_sha256: String,
    medium: String,
    chunk_bytes: usize,
    verified_chunks: u64,
}

/// The journal of one image on one medium.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    record: Record,
}

impl Journal {
    /// For an image by its digest, and a medium by whatever identifies it: model, serial, size.
    #[must_use]
    pub fn new(folder: &Path, image_sha256: &str, medium: &str) -> Journal {
        let key = hex(&Sha256::digest(format!("{image_sha256}\n{medium}")));
        Journal {
            path: folder.join(format!("{}.json", &key[..32])),
            record: Record {
                schema_version: SCHEMA_VERSION,
                image_sha256: image_sha256.to_owned(),
                medium: medium.to_owned(),
                chunk_bytes: CHUNK_BYTES,
                verified_chunks: 0,
            },
        }
    }

    /// How many chunks an earlier run has seen right. A journal that cannot be read, or is of something else,
    /// counts none.
    #[must_use]
    pub fn verified_chunks(&self) -> u64 {
        let found = fs::read(&self.path).ok().and_then(|text| serde_json::from_slice::<Record>(&text).ok());
        found.map_or(0, |found| {
            let same = Record { verified_chunks: 0, ..found.clone() } == self.record;
            if same { found.verified_chunks } else { 0 }
        })
    }

    /// Writes it, as a whole or not at all.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn save(&self, verified_chunks: u64) -> io::Result<()> {
        let record = Record { verified_chunks, ..self.record.clone() };
        if let Some(folder) = self.path.parent() {
            fs::create_dir_all(folder)?;
        }
        let temp = self.path.with_extension("part");
        let mut file = fs::File::create(&temp)?;
        file.write_all(&serde_json::to_vec_pretty(&record).map_err(io::Error::other)?)?;
        drop(file);
        fs::rename(&temp, &self.path)
    }

    /// Removes it: the image is on the medium, or it is begun anew.
    ///
    /// # Errors
    /// It is there and cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_for_its_image_and_medium_only() {
        let dir = tempfile::tempdir().expect("folder");
        let folder = dir.path().join("new/flash");
        let journal = Journal::new(&folder, "aa", "card 1");
        assert_eq!(journal.verified_chunks(), 0);
        journal.save(33).expect("saved");
        assert_eq!(Journal::new(&folder, "aa", "card 1").verified_chunks(), 33);
        assert_eq!(Journal::new(&folder, "ab", "card 1").verified_chunks(), 0);
        assert_eq!(Journal::new(&folder, "aa", "card 2").verified_chunks(), 0);
        // One that was put in the place of another, or is half a file, counts nothing.
        let other = Journal::new(&folder, "aa", "card 2");
        fs::copy(&journal.path, &other.path).expect("copied");
        assert_eq!(other.verified_chunks(), 0);
        fs::write(&journal.path, b"{\"schema_version\":1,").expect("written");
        assert_eq!(journal.verified_chunks(), 0);
        journal.remove().expect("removed");
        journal.remove().expect("twice is fine");
    }
}
