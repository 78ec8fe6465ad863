// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An image or a medium against its image map: which bytes are other than those that were built, and what they belong
//! to.
//!
//! The map has a digest for each block of 64 KiB that is not zero, and says nothing of blocks that are: they must be.
//! With the image itself at hand, changed blocks are narrowed down to the bytes that differ. What lies behind the
//! image's end on a larger medium is not looked at.

use fw_image::map::{BLOCK_BYTES, ImageMap, Region, block_digest};
use sha2::{Digest, Sha256};

use crate::report::{Range, RangeKind, Report};
use crate::source::{self, Source};

/// Changes that are told one by one.
const MAX_CHANGES: usize = 10_000;
/// Name of what lies between the regions, which is zero in an image.
pub const GAP: &str = "between the regions";

/// Why a comparison is not possible.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It is smaller than the image.
    #[error("it has {have_bytes} bytes, the image of the map {want_bytes}")]
    TooSmall {
        /// What there is.
        have_bytes: u64,
        /// What the map wants.
        want_bytes: u64,
    },
    /// Regions that make no sense.
    #[error("the map's region `{0}` lies outside of the image or over another one")]
    Map(String),
}

/// How closely a change is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// First and last byte differ.
    Exact,
    /// Somewhere in this range.
    Within,
    /// The range cannot be read.
    Unreadable,
}

/// A range with other bytes than the map's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The map's region, or [`GAP`].
    pub region: String,
    /// First byte.
    pub offset_bytes: u64,
    /// Length.
    pub length_bytes: u64,
    /// How closely this is known.
    pub extent: Extent,
    /// What lies there inside of the region: a part of the loader, a file.
    pub inside: Option<String>,
}

impl Change {
    /// What it means that this is changed.
    pub fn meaning(&self) -> &'static str {
        let inside = self.inside.as_deref().unwrap_or_default();
        match self.region.as_str() {
            _ if self.extent == Extent::Unreadable => {
                "the medium does not give these bytes back: try another reader, then another card"
            }
            "gpt-primary" | "gpt-entries" | "gpt-backup" => {
                "the partition table: Talos writes it anew at its first boot; before that it is damage"
            }
            "u-boot" => match inside {
                "idblock header" | "DDR blob" | "SPL" => {
                    "the boot ROM compares hashes and goes on to the next medium, without a word"
                }
                "" => "a part of the loader that nothing is read from",
                _ => "SPL compares hashes and stops with `hash failed`, or the loader crashes",
            },
            "EFI" if inside.ends_with(".dtb") => "the kernel gets a damaged device tree",
            "EFI" if inside.to_ascii_uppercase().ends_with(".EFI") => "U-Boot starts a damaged boot loader",
            "EFI" => {
                "file system data of the EFI partition: files may be lost, or something was written there"
            }
            "BOOT" if inside.ends_with("vmlinuz") => "the kernel does not unpack",
            "BOOT" if inside.ends_with("initramfs.xz") => {
                "the kernel ends in a panic: it cannot unpack the initramfs"
            }
            "BOOT" if inside.ends_with("grub.cfg") => "GRUB or the next upgrade reads another configuration",
            "BOOT" => "file system data of BOOT: a running system writes there, damage can lose files",
            "META" => "a running Talos keeps its records there; before the first boot it is damage",
            GAP => {
                "nothing reads it, but an image has zeros there: something was not overwritten, or written since"
            }
            _ => "it is not what was built",
        }
    }
}

/// The result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// What differs, by place.
    pub changes: Vec<Change>,
    /// Whether there are more than are listed.
    pub more: bool,
    /// Regions of the map without a change.
    pub good_regions: usize,
    /// Bytes that were compared.
    pub compared_bytes: u64,
}

/// Compares. `reference`: the image that the map belongs to, if it is at hand. `progress` gets the bytes so far.
///
/// # Errors
/// See [`VerifyError`]. What cannot be read is a change.
pub fn verify(
    source: &dyn Source,
    map: &ImageMap,
    reference: Option<&dyn Source>,
    progress: &mut dyn FnMut(u64),
) -> Result<Outcome, VerifyError> {
    if source.size_bytes() < map.size_bytes {
        return Err(VerifyError::TooSmall { have_bytes: source.size_bytes(), want_bytes: map.size_bytes });
    }
    let mut regions: Vec<&Region> = map.regions.iter().collect();
    regions.sort_by_key(|r| r.offset_bytes);
    let mut run = Run { source, reference, outcome: Outcome::default(), progress };
    let mut at = 0;
    for region in regions {
        let end = region.offset_bytes.checked_add(region.length_bytes).filter(|end| *end <= map.size_bytes);
        let end =
            end.filter(|_| region.offset_bytes >= at).ok_or_else(|| VerifyError::Map(region.name.clone()))?;
        run.zeros(GAP, at, region.offset_bytes);
        let before = run.outcome.changes.len();
        run.region(region);
        run.outcome.good_regions += usize::from(run.outcome.changes.len() == before);
        at = end;
    }
    run.zeros(GAP, at, map.size_bytes);
    Ok(run.outcome)
}

struct Run<'a> {
    source: &'a dyn Source,
    reference: Option<&'a dyn Source>,
    outcome: Outcome,
    progress: &'a mut dyn FnMut(u64),
}

impl Run<'_> {
    fn add(&mut self, region: &str, offset_bytes: u64, length_bytes: u64, extent: Extent) {
        if self.outcome.changes.len() == MAX_CHANGES {
            self.outcome.more = true;
            return;
        }
        let (region, inside) = (region.to_owned(), None);
        self.outcome.changes.push(Change { region, offset_bytes, length_bytes, extent, inside });
    }

    fn region(&mut self, region: &Region) {
        let (start, end) = (region.offset_bytes, region.offset_bytes + region.length_bytes);
        // Maps of the first form have one digest for all.
        if region.blocks.is_empty() && region.content_bytes > 0 {
            return self.whole(region);
        }
        let mut at = start;
        for (index, digest) in &region.blocks {
            let here = start.saturating_add(index.saturating_mul(BLOCK_BYTES));
            if here >= end {
                break;
            }
            self.zeros(&region.name, at, here);
            let length = BLOCK_BYTES.min(end - here);
            match source::bytes(self.source, here, length as usize) {
                Ok(bytes) if block_digest(&bytes) == *digest => {}
                Ok(bytes) => self.differing(&region.name, here, &bytes),
                Err(_) => self.add(&region.name, here, length, Extent::Unreadable),
            }
            self.done(length);
            at = here + length;
        }
        self.zeros(&region.name, at, end);
    }

    fn done(&mut self, bytes: u64) {
        self.outcome.compared_bytes += bytes;
        (self.progress)(self.outcome.compared_bytes);
    }

    /// A block whose digest is another: which bytes, if the image is at hand.
    fn differing(&mut self, region: &str, at: u64, bytes: &[u8]) {
        let wanted = self.reference.and_then(|r| source::bytes(r, at, bytes.len()).ok());
        let before = self.outcome.changes.len();
        if let Some(wanted) = wanted {
            self.runs(region, at, bytes, &|i| wanted[i]);
        }
        if self.outcome.changes.len() == before && !self.outcome.more {
            self.add(region, at, bytes.len() as u64, Extent::Within);
        }
    }

    /// Runs of bytes that are not the wanted ones; neighbours within a sector are told as one.
    fn runs(&mut self, region: &str, at: u64, bytes: &[u8], wanted: &dyn Fn(usize) -> u8) {
        let mut open: Option<(usize, usize)> = None;
        for (i, byte) in bytes.iter().enumerate() {
            if *byte == wanted(i) {
                continue;
            }
            match open {
                Some((_, last)) if i / 512 == last / 512 => open = open.map(|(first, _)| (first, i)),
                Some((first, last)) => {
                    self.add(region, at + first as u64, (last - first + 1) as u64, Extent::Exact);
                    open = Some((i, i));
                }
                None => open = Some((i, i)),
            }
        }
        if let Some((first, last)) = open {
            self.add(region, at + first as u64, (last - first + 1) as u64, Extent::Exact);
        }
    }

    /// A range that must be zero.
    fn zeros(&mut self, region: &str, from: u64, to: u64) {
        let mut at = from;
        while at < to {
            let data = self.source.next_data(at).min(to);
            if data > at {
                self.done(data - at);
                at = data;
                continue;
            }
            let length = BLOCK_BYTES.min(to - at);
            match source::bytes(self.source, at, length as usize) {
                Ok(bytes) if bytes.iter().all(|b| *b == 0) => {}
                Ok(bytes) => self.runs(region, at, &bytes, &|_| 0),
                Err(_) => self.add(region, at, length, Extent::Unreadable),
            }
            self.done(length);
            at += length;
        }
    }

    fn whole(&mut self, region: &Region) {
        let (start, end) = (region.offset_bytes, region.offset_bytes + region.length_bytes);
        let (mut digest, mut at) = (Sha256::new(), start);
        while at < end {
            let length = (1 << 20).min(end - at);
            match source::bytes(self.source, at, length as usize) {
                Ok(bytes) => digest.update(bytes),
                Err(_) => return self.add(&region.name, at, length, Extent::Unreadable),
            }
            self.done(length);
            at += length;
        }
        if fw_image::hex(&digest.finalize()) != region.sha256 {
            self.add(&region.name, start, end - start, Extent::Within);
        }
    }
}

/// Names what the changes lie in, by a report of the image as it was built (or of the medium, if that is all there is).
pub fn name_parts(outcome: &mut Outcome, report: &Report) {
    for change in &mut outcome.changes {
        let end = change.offset_bytes.saturating_add(change.length_bytes);
        let over = |r: &&Range| {
            r.offset_bytes < end && r.offset_bytes.saturating_add(r.length_bytes) > change.offset_bytes
        };
        let Some(range) = report.ranges.iter().filter(over).max_by_key(|r| !r.parts.is_empty()) else {
            continue;
        };
        change.inside = match range.parts.iter().find(over) {
            Some(part) => Some(part.name.clone()),
            None if range.kind == RangeKind::Loader => Some(range.name.clone()),
            None => None,
        };
    }
}
