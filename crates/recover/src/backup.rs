// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The start of a flash in a file, with a record of it beside; and whether what is about to be lost is in such a file.
//!
//! A backup is the file and `FILE.json`, which is written last: without it the backup is not finished. Both readings
//! of the flash must have been the same.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_image::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::flash::{self, FlashError, Span};
use crate::wire::Wire;
use crate::{Device, SECTOR_BYTES};

/// A loader of any maker ends before this: 16 MiB (FriendlyELEC's parts with what they leave free, and mainline's).
pub const LOADER_AREA_SECTORS: u64 = 32768;
const SCHEMA_VERSION: u32 = 1;

/// What is known of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Form of this record.
    pub schema_version: u32,
    /// Chip, as the board named it.
    pub chip: String,
    /// Flash ID, as the board named it.
    pub flash_id: String,
    /// Which flash it was, where the loader said so.
    pub medium: Option<String>,
    /// Size of that flash.
    pub flash_sectors: u64,
    /// How many sectors from the first on are in the file.
    pub sectors: u64,
    /// Of the file.
    pub sha256: String,
}

/// Why there is no backup, or it does not count.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The board.
    #[error("{0}")]
    Flash(#[from] FlashError),
    /// A file.
    #[error("{0}")]
    File(#[from] io::Error),
    /// Nothing is written over.
    #[error("`{0}` exists")]
    Exists(PathBuf),
    /// The two readings.
    #[error("sector {0} was read twice and was not the same twice")]
    Differs(u64),
    /// No record.
    #[error("there is no `{0}`: the backup was not finished, or is none")]
    Unfinished(PathBuf),
    /// A record that cannot be read.
    #[error("`{path}` is no record of a backup: {why}")]
    Record {
        /// The record.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The file has changed since.
    #[error("`{path}` is not what was saved: {why}")]
    Changed {
        /// The backup.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Not for this flash.
    #[error("the backup is of a flash with {saved} sectors, this one has {there}")]
    OtherFlash {
        /// At the time.
        saved: u64,
        /// Now.
        there: u64,
    },
}

/// Where the record of a backup is.
#[must_use]
pub fn record_path(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".json");
    path.into()
}

/// Saves the first sectors of the chosen flash, reads them again and compares, then writes the record.
///
/// # Errors
/// See [`BackupError`]. What was read until then stays in `FILE.part`.
pub fn make<W: Wire>(
    device: &mut Device<W>,
    file: &Path,
    sectors: u64,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Record, BackupError> {
    let record_path = record_path(file);
    if let Some(there) = [file, &record_path].into_iter().find(|p| p.exists()) {
        return Err(BackupError::Exists(there.to_owned()));
    }
    let info = flash::info(device)?;
    let span = Span { first: 0, count: sectors.min(info.sectors) };
    let part = PathBuf::from(format!("{}.part", file.display()));
    let mut out = fs::File::create(&part)?;
    let mut hash = Sha256::new();
    let mut take = |_: Span, bytes: &[u8]| {
        hash.update(bytes);
        Ok(out.write_all(bytes)?)
    };
    flash::read_steps(device, span, &mut take, &mut |n| progress("read", n))?;
    out.file().sync_all()?;
    let mut saved = fs::File::open(&part)?;
    let mut differs = None;
    let mut compare = |step: Span, bytes: &[u8]| {
        let mut before = vec![0; bytes.len()];
        saved.read_exact(&mut before)?;
        if let Some(byte) = before.iter().zip(bytes).position(|(a, b)| a != b) {
            differs = differs.or(Some(step.first + byte as u64 / SECTOR_BYTES));
        }
        Ok(())
    };
    flash::read_steps(device, span, &mut compare, &mut |n| progress("read again", n))?;
    if let Some(sector) = differs {
        return Err(BackupError::Differs(sector));
    }
    fs::rename(&part, file)?;
    let record = Record {
        schema_version: SCHEMA_VERSION,
        chip: info.chip,
        flash_id: info.flash_id,
        medium: info.medium,
        flash_sectors: info.sectors,
        sectors: span.count,
        sha256: hex(&hash.finalize()),
    };
    let json = serde_json::to_string_pretty(&record).map_err(io::Error::other)?;
    let mut out = fs::File::create_new(&record_path)?;
    out.write_all(format!("{json}\n").as_bytes())?;
    out.file().sync_all()?;
    Ok(record)
}

/// A backup that is finished and has not changed.
#[derive(Debug, Clone)]
pub struct Backup {
    /// Its record.
    pub record: Record,
    /// The file.
    pub path: PathBuf,
    /// Its start, as far as loaders may be.
    area: Vec<u8>,
}

impl Backup {
    /// Reads record and file, and compares the digest.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn load(file: &Path) -> Result<Backup, BackupError> {
        let record_path = record_path(file);
        let text = match fs::read_to_string(&record_path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::Unfinished(record_path));
            }
            other => other?,
        };
        let wrong = |why| BackupError::Record { path: record_path.clone(), why };
        let record: Record = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        if record.schema_version != SCHEMA_VERSION {
            return Err(wrong(format!("schema version {}, not {SCHEMA_VERSION}", record.schema_version)));
        }
        let changed = |why: &str| BackupError::Changed { path: file.to_owned(), why: why.to_owned() };
        let mut content = fs::File::open(file)?;
        if Some(content.metadata()?.len()) != record.sectors.checked_mul(SECTOR_BYTES) {
            return Err(changed("its size is not that of the record"));
        }
        let mut area = Vec::new();
        (&mut content).take(LOADER_AREA_SECTORS * SECTOR_BYTES).read_to_end(&mut area)?;
        let mut hash = Sha256::new_with_prefix(&area);
        let mut buffer = vec![0; 1 << 20];
        loop {
            match content.read(&mut buffer)? {
                0 => break,
                n => hash.update(&buffer[..n]),
            }
        }
        if hex(&hash.finalize()) != record.sha256 {
            return Err(changed("its digest is not that of the record"));
        }
        Ok(Backup { record, path: file.to_owned(), area })
    }

    fn holds(&self, sector: u64, bytes: &[u8]) -> bool {
        let at = (sector * SECTOR_BYTES) as usize;
        self.area.get(at..at + bytes.len()) == Some(bytes)
    }
}

/// What would be lost for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsaved {
    /// The first such sector.
    pub sector: u64,
    /// How many there are.
    pub count: u64,
}

/// Looks at the part of a span that is in the loader area, as it is now: a sector may go if it is blank (all 00 or all
/// ff), or if the backup has it just so. None: nothing is lost.
///
/// # Errors
/// The board.
pub fn unsaved<W: Wire>(
    device: &mut Device<W>,
    span: Span,
    backup: Option<&Backup>,
) -> Result<Option<Unsaved>, FlashError> {
    let end = span.end().min(LOADER_AREA_SECTORS);
    let mut lost: Option<Unsaved> = None;
    if span.first >= end {
        return Ok(lost);
    }
    let mut look = |step: Span, bytes: &[u8]| {
        for (sector, bytes) in (step.first..).zip(bytes.chunks(SECTOR_BYTES as usize)) {
            let blank = bytes.iter().all(|b| *b == 0) || bytes.iter().all(|b| *b == 0xff);
            if !blank && !backup.is_some_and(|b| b.holds(sector, bytes)) {
                lost.get_or_insert(Unsaved { sector, count: 0 }).count += 1;
            }
        }
        Ok(())
    };
    flash::read_steps(device, Span { first: span.first, count: end - span.first }, &mut look, &mut |_| {})?;
    Ok(lost)
}

/// A source that may not end early.
struct Whole<'a> {
    from: &'a mut dyn Read,
    left_bytes: u64,
}

impl Read for Whole<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.from.read(buffer)?;
        self.left_bytes = self.left_bytes.saturating_sub(got as u64);
        if got == 0 && self.left_bytes > 0 && !buffer.is_empty() {
            let why =
                format!("the backup ends {} bytes early: it was cut since it was read", self.left_bytes);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        Ok(got)
    }
}

/// Brings a backup back, whole; `from` gives the bytes of its file.
///
/// # Errors
/// See [`BackupError`].
pub fn restore<W: Wire>(
    device: &mut Device<W>,
    backup: &Backup,
    from: &mut dyn Read,
    progress: &mut dyn FnMut(u64),
) -> Result<(), BackupError> {
    let (saved, there) = (backup.record.flash_sectors, flash::info(device)?.sectors);
    if saved != there {
        return Err(BackupError::OtherFlash { saved, there });
    }
    let span = Span { first: 0, count: backup.record.sectors };
    // Its digest was compared when it was loaded; a file that was cut since must not end in zeros.
    let mut from = Whole { from, left_bytes: span.count.saturating_mul(SECTOR_BYTES) };
    Ok(flash::write(device, span, &mut from, progress)?)
}
