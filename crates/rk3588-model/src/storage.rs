// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Media that the board boots from: a reader that is never written, and an overlay in memory that is.
//!
//! The overlay is bounded; a guest that writes more gets a write error from its card.

use std::collections::BTreeMap;
use std::io::{Read, Seek, SeekFrom};

/// Bytes of a sector.
pub const SECTOR_BYTES: usize = 512;
/// Sectors that the overlay keeps: 64 MiB.
const OVERLAY_LIMIT: usize = 131_072;

/// Where the bytes of a medium come from.
pub trait Source: Send {
    /// Fills `out` from `offset` on. The caller asks only for what lies inside of the size it was told.
    ///
    /// # Errors
    ///
    /// Whatever the reader says; the guest sees a data error.
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> std::io::Result<()>;
}

impl<T: Read + Seek + Send> Source for T {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.seek(SeekFrom::Start(offset))?;
        self.read_exact(out)
    }
}

/// A medium.
pub struct Disk {
    source: Box<dyn Source>,
    source_bytes: u64,
    size_bytes: u64,
    overlay: BTreeMap<u64, Box<[u8; SECTOR_BYTES]>>,
    failed_reads: u64,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Disk({} bytes, {} sectors written)", self.size_bytes, self.overlay.len())
    }
}

impl Disk {
    /// A medium of `source_bytes`, read from `source`.
    pub fn new(source: impl Source + 'static, source_bytes: u64) -> Self {
        Self {
            source: Box::new(source),
            source_bytes,
            size_bytes: source_bytes,
            overlay: BTreeMap::new(),
            failed_reads: 0,
        }
    }

    /// A medium without content.
    pub fn blank(size_bytes: u64) -> Self {
        Self { size_bytes, ..Self::new(std::io::empty(), 0) }
    }

    /// Makes the medium larger than its source, with zeroes: cards are larger than images.
    #[must_use]
    pub fn grown_to(mut self, size_bytes: u64) -> Self {
        self.size_bytes = self.size_bytes.max(size_bytes);
        self
    }

    /// Size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Sectors that were written, in order.
    pub fn written_lbas(&self) -> impl Iterator<Item = u64> + '_ {
        self.overlay.keys().copied()
    }

    /// Reads that the source could not serve.
    pub fn failed_reads(&self) -> u64 {
        self.failed_reads
    }

    /// Reads one sector; false past the end or when the source fails.
    pub fn read_sector(&mut self, lba: u64, out: &mut [u8; SECTOR_BYTES]) -> bool {
        let offset = lba.saturating_mul(SECTOR_BYTES as u64);
        if offset >= self.size_bytes {
            return false;
        }
        if let Some(written) = self.overlay.get(&lba) {
            out.copy_from_slice(&written[..]);
            return true;
        }
        out.fill(0);
        let have = self.source_bytes.saturating_sub(offset).min(SECTOR_BYTES as u64) as usize;
        let ok = have == 0 || self.source.read_at(offset, &mut out[..have]).is_ok();
        self.failed_reads += u64::from(!ok);
        ok
    }

    /// Writes one sector to the overlay; false past the end or when the overlay is full.
    pub fn write_sector(&mut self, lba: u64, data: &[u8; SECTOR_BYTES]) -> bool {
        let inside = lba.saturating_mul(SECTOR_BYTES as u64) < self.size_bytes;
        let room = self.overlay.len() < OVERLAY_LIMIT || self.overlay.contains_key(&lba);
        if inside && room {
            self.overlay.insert(lba, Box::new(*data));
        }
        inside && room
    }

    /// Reads `out` from byte `offset` on; false when a part could not be read.
    pub fn read_bytes(&mut self, offset: u64, out: &mut [u8]) -> bool {
        let mut sector = [0; SECTOR_BYTES];
        let mut done = 0;
        while done < out.len() {
            let at = offset + done as u64;
            let start = (at % SECTOR_BYTES as u64) as usize;
            let len = (out.len() - done).min(SECTOR_BYTES - start);
            if !self.read_sector(at / SECTOR_BYTES as u64, &mut sector) {
                return false;
            }
            out[done..done + len].copy_from_slice(&sector[start..start + len]);
            done += len;
        }
        true
    }

    /// Overwrites bytes in the overlay: how a fault is put on a medium. False when it does not fit.
    pub fn patch(&mut self, offset: u64, bytes: &[u8]) -> bool {
        let mut sector = [0; SECTOR_BYTES];
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let (lba, start) = (at / SECTOR_BYTES as u64, (at % SECTOR_BYTES as u64) as usize);
            let len = (bytes.len() - done).min(SECTOR_BYTES - start);
            if !self.read_sector(lba, &mut sector) {
                return false;
            }
            sector[start..start + len].copy_from_slice(&bytes[done..done + len]);
            if !self.write_sector(lba, &sector) {
                return false;
            }
            done += len;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn writes_stay_in_the_overlay_and_the_end_is_zero() {
        let image = vec![7_u8; 700];
        let mut disk = Disk::new(Cursor::new(image), 700).grown_to(4096);
        let mut sector = [1; SECTOR_BYTES];
        assert!(disk.read_sector(1, &mut sector));
        assert_eq!((sector[187], sector[188]), (7, 0));
        assert!(disk.patch(510, &[1, 2, 3, 4]));
        let mut bytes = [0; 6];
        assert!(disk.read_bytes(509, &mut bytes));
        assert_eq!(bytes, [7, 1, 2, 3, 4, 7]);
        assert_eq!(disk.written_lbas().collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn must_fail_past_the_end_and_on_a_source_that_is_shorter_than_it_says() {
        let mut disk = Disk::new(Cursor::new(vec![0_u8; 512]), 1024);
        let mut sector = [0; SECTOR_BYTES];
        assert!(disk.read_sector(0, &mut sector));
        assert!(!disk.read_sector(1, &mut sector));
        assert!(!disk.read_sector(2, &mut sector));
        assert!(!disk.write_sector(2, &sector));
        assert!(!disk.read_sector(u64::MAX, &mut sector));
        assert_eq!(disk.failed_reads(), 1);
    }
}
