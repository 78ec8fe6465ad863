// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Breaks an image on purpose, in memory, and keeps the checksums right that would give another fault away first.
//!
//! A mutation is meant to be found by what it is, not by a hash that happens to cover it.

use fw_build::{Failure, Result};
use fw_image::crc::{crc32, crc32c};
use fw_image::initramfs;
use image_inspect::report::{Range, Report};
use image_inspect::source::{Overlay, Source, bytes};
use sha2::{Digest, Sha256};

/// Bytes of a sector.
const SECTOR: u64 = 512;
/// Entries of a GPT, in bytes.
const ENTRIES_BYTES: usize = 128 * 128;
/// The idblock of an image.
pub const IDBLOCK: u64 = 64 * SECTOR;
/// The FIT of an image.
pub const FIT: u64 = 16384 * SECTOR;

/// An image that can be broken, and the report of the whole one.
pub struct Patient<'a> {
    /// The image.
    pub image: Overlay<'a>,
    healthy: &'a Report,
}

impl<'a> Patient<'a> {
    /// Whole as yet.
    pub fn new(image: &'a dyn Source, healthy: &'a Report) -> Patient<'a> {
        Patient { image: Overlay::new(image), healthy }
    }

    /// Bytes of the image.
    ///
    /// # Errors
    /// They are not there.
    pub fn get(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        Ok(bytes(&self.image, offset, length)?)
    }

    /// The range of that name, wherever it is in the map.
    ///
    /// # Errors
    /// There is none.
    pub fn range(&self, name: &str) -> Result<Range> {
        let all = self.healthy.ranges.iter().flat_map(|r| std::iter::once(r).chain(&r.parts));
        let found = all.into_iter().find(|r| r.name == name);
        found.cloned().ok_or_else(|| Failure::new(format!("the report has no range `{name}`")))
    }

    /// Replaces the first `from` in a range by `to`, which has the same length; gives the place.
    ///
    /// # Errors
    /// It is not there.
    pub fn replace(&mut self, range: &str, from: &[u8], to: &[u8]) -> Result<u64> {
        assert_eq!(from.len(), to.len(), "in place");
        let range = self.range(range)?;
        let content = self.get(range.offset_bytes, range.length_bytes as usize)?;
        let at = memchr::memmem::find(&content, from)
            .ok_or_else(|| Failure::new(format!("`{}` is not in `{}`", from.escape_ascii(), range.name)))?;
        let at = range.offset_bytes + at as u64;
        self.image.put(at, to);
        Ok(at)
    }

    /// Makes the hashes of the idblock right again.
    ///
    /// # Errors
    /// It is not there.
    pub fn seal_idblock(&mut self) -> Result<()> {
        let mut header = self.get(IDBLOCK, 2048)?;
        for entry in 0..2 {
            let at = 0x78 + 0x58 * entry;
            let half = |i: usize| u64::from(u16::from_le_bytes([header[at + i], header[at + i + 1]]));
            let (start, sectors) = (half(0), half(2));
            let payload = self.get(IDBLOCK + start * SECTOR, (sectors * SECTOR) as usize)?;
            header[at + 0x18..at + 0x38].copy_from_slice(&Sha256::digest(payload));
        }
        let digest = Sha256::digest(&header[..0x600]);
        header[0x600..0x620].copy_from_slice(&digest);
        self.image.put(IDBLOCK, &header);
        Ok(())
    }

    /// Changes bytes of an image of the FIT and gives the FIT the new hash.
    ///
    /// # Errors
    /// Text or hash are not there.
    pub fn replace_in_fit_image(&mut self, image: &str, from: &[u8], to: &[u8]) -> Result<()> {
        let range = self.range(image)?;
        let old = Sha256::digest(self.get(range.offset_bytes, range.length_bytes as usize)?);
        self.replace(image, from, to)?;
        let new = Sha256::digest(self.get(range.offset_bytes, range.length_bytes as usize)?);
        self.replace("FIT", &old, &new).map(drop)
    }

    /// Sets a property of one or two cells in the FIT's tree.
    ///
    /// # Errors
    /// It is not there.
    pub fn fit_property(&mut self, path: &str, name: &str, value: &[u8]) -> Result<()> {
        let tree_bytes = self.get(FIT, 64 << 10)?;
        let tree = fw_image::fdt::Tree::parse(&tree_bytes).map_err(|e| Failure::new("FIT").why(e))?;
        let old = tree.property(path, name).map_err(|e| Failure::new("FIT").why(e))?;
        let at = old.as_ptr().addr() - tree_bytes.as_ptr().addr();
        assert_eq!(old.len(), value.len(), "in place");
        self.image.put(FIT + at as u64, value);
        Ok(())
    }

    /// Edits header and entries of one copy of the table (0: the first, 1: the second), and makes its checksums right.
    ///
    /// # Errors
    /// It is not there.
    pub fn table(&mut self, copy: usize, edit: &dyn Fn(&mut [u8], &mut [u8])) -> Result<()> {
        let header_at = [SECTOR, self.healthy.size_bytes - SECTOR][copy];
        let mut header = self.get(header_at, 92)?;
        let word = |h: &[u8], at: usize| u64::from_le_bytes(h[at..at + 8].try_into().expect("eight bytes"));
        let entries_at = word(&header, 72) * SECTOR;
        let mut entries = self.get(entries_at, ENTRIES_BYTES)?;
        edit(&mut header, &mut entries);
        let entries_at = word(&header, 72) * SECTOR;
        header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
        header[16..20].fill(0);
        let crc = crc32(&header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        self.image.put(entries_at, &entries);
        self.image.put(header_at, &header);
        Ok(())
    }

    /// The same in both copies.
    ///
    /// # Errors
    /// As [`Patient::table`].
    pub fn tables(&mut self, edit: &dyn Fn(&mut [u8])) -> Result<()> {
        (0..2).try_for_each(|copy| self.table(copy, &|_, entries| edit(entries)))
    }

    /// Sets bits of the features that everybody must know in BOOT's superblock, with its checksum.
    ///
    /// # Errors
    /// It is not there.
    pub fn xfs_feature(&mut self, bit: u32) -> Result<()> {
        let boot = self.range("BOOT")?;
        let mut sb = self.get(boot.offset_bytes, 512)?;
        let features = u32::from_be_bytes(sb[216..220].try_into().expect("four bytes")) | 1 << bit;
        sb[216..220].copy_from_slice(&features.to_be_bytes());
        let crc = crc32c(&[&sb[..224], &[0; 4], &sb[228..]]);
        sb[224..228].copy_from_slice(&crc.to_le_bytes());
        self.image.put(boot.offset_bytes, &sb);
        Ok(())
    }

    /// Puts another initramfs into the place of the shipped one, with zeros behind it, which the kernel skips.
    ///
    /// # Errors
    /// It is larger, or the shipped one lies in pieces.
    pub fn initramfs(&mut self, archive: &[u8]) -> Result<()> {
        let place = self.range("A/initramfs.xz")?;
        let mut packed = initramfs::compress(archive, 1, 1)?;
        if packed.len() as u64 > place.length_bytes || !place.detail.is_empty() {
            return Err(Failure::new("the other initramfs does not fit into the place of the shipped one"));
        }
        packed.resize(place.length_bytes as usize, 0);
        self.image.put(place.offset_bytes, &packed);
        Ok(())
    }
}

/// Marks the entry of the ESP with this short name (8 + 3 characters) as deleted, and the long name before it.
///
/// # Errors
/// There is none.
pub fn delete_in_esp(patient: &mut Patient<'_>, short: &[u8; 11]) -> Result<()> {
    let esp = patient.range("EFI")?;
    let content = patient.get(esp.offset_bytes, 16 << 20)?;
    let at = memchr::memmem::find_iter(&content, short).find(|at| at % 32 == 0);
    let at = at.ok_or_else(|| Failure::new(format!("no `{}` in the ESP", short.escape_ascii())))?;
    let mut first = at;
    while first >= 32 && content[first - 32 + 11] == 0x0f {
        first -= 32;
    }
    for entry in (first..=at).step_by(32) {
        patient.image.put(esp.offset_bytes + entry as u64, &[0xe5]);
    }
    Ok(())
}
