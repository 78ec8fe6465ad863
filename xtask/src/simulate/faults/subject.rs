// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The image that faults are put into: where its parts lie, found by the parsers of `fw-image`, so that no
//! offset is written down here.

use std::ops::Range;

use boot_log::Stage;
use fw_build::{Context as _, Failure, Result};
use fw_image::fdt::Tree;
use fw_image::fit::Fit;
use fw_image::idblock::{self, IdBlock};
use fw_image::window::Window;
use fw_image::{fat, gpt};
use memchr::memmem;
use rk3588_model::machine::Board;
use rk3588_model::storage::Disk;
use sha2::{Digest, Sha256};

use crate::simulate::image::{FIT_LBA, IDBLOCK_LBA, Load, SECTOR_BYTES};
use crate::simulate::medium::Medium;

/// Bytes of an idblock's header that its hash covers, and where hashes stand (mkimage's `rkcommon`).
const HEADER_HASHED_BYTES: usize = 0x600;
const ENTRY_HASH: (usize, usize) = (0x78 + 0x18, 0x58);
/// Block size of the file system on BOOT: a file's content begins at a multiple of it.
const BLOCK_BYTES: usize = 4096;
/// Bytes of a file that are looked for.
const NEEDLE_BYTES: usize = 512;
/// Bytes read at once when a file is looked for.
const PIECE_BYTES: u64 = 4 << 20;

/// An image in parts.
pub struct Subject {
    /// The image.
    pub medium: Medium,
    /// The idblock's bytes and what they say.
    pub block: Vec<u8>,
    /// See [`Subject::block`].
    pub parsed: IdBlock,
    /// The FIT's bytes and what they say.
    pub fit_bytes: Vec<u8>,
    /// See [`Subject::fit_bytes`].
    pub fit: Fit,
    /// What the FIT loads.
    pub loads: Vec<Load>,
    /// How many partitions it has.
    pub partitions: usize,
    esp: Range<u64>,
    boot: Range<u64>,
    /// Places of files' contents on the medium.
    places: [(&'static str, u64); 5],
}

/// Files that faults are put into.
pub const BOOT_FILE: &str = "EFI/BOOT/BOOTAA64.EFI";
/// The configuration of GRUB.
pub const GRUB_CFG: &str = "grub/grub.cfg";
/// The kernel.
pub const KERNEL: &str = "A/vmlinuz";
/// The initramfs.
pub const INITRAMFS: &str = "A/initramfs.xz";
/// The kernel's device tree, whatever its board.
pub const DTB: &str = "dtb";

impl Subject {
    /// Takes an image apart.
    ///
    /// # Errors
    /// It is not an image of this project: a part is missing or damaged.
    pub fn new(medium: Medium, dtb: &str) -> Result<Subject> {
        let lacks =
            |what: &str| Failure::new(format!("`{}` has no {what} to put faults into", medium.name()));
        let fit_start = FIT_LBA * SECTOR_BYTES;
        let region = medium.read(IDBLOCK_LBA * SECTOR_BYTES, fit_start - IDBLOCK_LBA * SECTOR_BYTES)?;
        let parsed = idblock::verify(&region).map_err(|e| lacks("whole idblock").why(e))?;
        let block = region[..parsed.end_bytes()].to_vec();
        let mut fit_bytes = medium.read(fit_start, 8 << 20)?;
        let fit = Fit::parse(&fit_bytes).map_err(|e| lacks("FIT").why(e))?;
        fit_bytes.truncate(fit.end_bytes());
        let table = gpt::Image::read(&mut medium.reader()).context("cannot read the partition table")?;
        let place = |name: &str| {
            let p = table.partition(name).ok_or_else(|| lacks(&format!("partition `{name}`")))?;
            Ok::<_, Failure>(p.first.0 * SECTOR_BYTES..(p.last.0 + 1) * SECTOR_BYTES)
        };
        let (esp, boot) = (place("EFI")?, place("BOOT")?);
        let on_esp = |path: &str| on_esp(&medium, &esp, path);
        let on_boot = |path: &str| on_boot(&medium, &boot, path);
        let find = |range: &Range<u64>, content: &[u8], step| {
            find(&medium, range, content, step)?.ok_or_else(|| lacks("place of a file's content"))
        };
        let sector = SECTOR_BYTES as usize;
        let places = [
            (BOOT_FILE, find(&esp, &on_esp(BOOT_FILE)?, sector)?),
            (DTB, find(&esp, &on_esp(&format!("dtb/{dtb}"))?, sector)?),
            (GRUB_CFG, find(&boot, &on_boot(GRUB_CFG)?, BLOCK_BYTES)?),
            (KERNEL, find(&boot, &on_boot(KERNEL)?, BLOCK_BYTES)?),
            (INITRAMFS, find(&boot, &on_boot(INITRAMFS)?, BLOCK_BYTES)?),
        ];
        let loads = crate::simulate::image::loads(&medium, FIT_LBA)?;
        let copy = table.primary.as_ref().or(table.backup.as_ref());
        let partitions = copy.map_or(0, |copy| copy.partitions.len());
        Ok(Subject { block, parsed, fit_bytes, fit, loads, partitions, esp, boot, places, medium })
    }

    /// A board with the image, sound, in the card's slot.
    pub fn board(&self) -> Board {
        Board { sd: Some(self.medium.disk()), ..Board::default() }
    }

    /// First byte of the partition `EFI` or `BOOT`.
    pub fn partition(&self, name: &str) -> u64 {
        if name == "EFI" { self.esp.start } else { self.boot.start }
    }

    /// Where a file's content begins on the medium.
    ///
    /// # Panics
    /// The name is none of this module's.
    pub fn place(&self, file: &str) -> u64 {
        self.places.iter().find(|(name, _)| *name == file).expect("a file of this module").1
    }

    /// A file of the ESP.
    ///
    /// # Errors
    /// It is not there.
    pub fn on_esp(&self, path: &str) -> Result<Vec<u8>> {
        on_esp(&self.medium, &self.esp, path)
    }

    /// A file of BOOT.
    ///
    /// # Errors
    /// It is not there.
    pub fn on_boot(&self, path: &str) -> Result<Vec<u8>> {
        on_boot(&self.medium, &self.boot, path)
    }

    /// A disk of another system: partitions, but no loader and no boot file.
    ///
    /// # Errors
    /// The ESP has no boot file that could be taken away.
    pub fn foreign_disk(&self) -> Result<Disk> {
        let mut board = self.board();
        patch(&mut board, IDBLOCK_LBA * SECTOR_BYTES, &[0; SECTOR_BYTES as usize])?;
        self.delete_on_esp(&mut board, b"EFI")?;
        board.sd.take().ok_or_else(|| Failure::new("the board lost its card"))
    }

    /// Replaces `old`, which must stand in the first 64 KiB of a file, by `new` of the same length.
    ///
    /// # Errors
    /// It is not there.
    pub fn replace(&self, board: &mut Board, file: &str, old: &str, new: &str) -> Result<()> {
        assert_eq!(old.len(), new.len(), "the file keeps its length");
        let place = self.place(file);
        let bytes = self.medium.read(place, 64 << 10)?;
        let at = memmem::find(&bytes, old.as_bytes())
            .ok_or_else(|| Failure::new(format!("`{old}` does not stand in `{file}`")))?;
        patch(board, place + at as u64, new.as_bytes())
    }

    /// Removes a file from the ESP's directory: the first byte of its short entry says "deleted" (FAT
    /// specification, 6.1).
    ///
    /// # Errors
    /// There is no entry with this extension.
    pub fn delete_on_esp(&self, board: &mut Board, extension: &[u8; 3]) -> Result<()> {
        let bytes = self.medium.read(self.esp.start, PIECE_BYTES)?;
        // An archive file (attribute 0x20) of that extension that has a first cluster.
        let entry = bytes.as_chunks::<32>().0.iter().position(|e| {
            &e[8..11] == extension
                && e[11] == 0x20
                && e[0] != 0xe5
                && (e[20..22] != [0, 0] || e[26..28] != [0, 0])
        });
        let n = entry.ok_or_else(|| Failure::new("the ESP's directories have no such file"))?;
        patch(board, self.esp.start + 32 * n as u64, &[0xe5])
    }

    /// Changes the idblock's payload of SPL (entry 1) and makes the hashes right again.
    ///
    /// # Errors
    /// The card does not take the change.
    pub fn edit_spl(&self, board: &mut Board, edit: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        let entry = &self.parsed.entries[1];
        let range = entry.offset_bytes()..entry.offset_bytes() + entry.size_bytes();
        let mut spl = self.block[range.clone()].to_vec();
        edit(&mut spl)?;
        spl.resize(range.len(), 0);
        let mut block = self.block.clone();
        block[range].copy_from_slice(&spl);
        rehash(&mut block, &self.parsed);
        patch(board, IDBLOCK_LBA * SECTOR_BYTES, &block)
    }

    /// Changes the idblock as it is; the hashes stay what they were.
    ///
    /// # Errors
    /// The card does not take the change.
    pub fn edit_block(&self, board: &mut Board, edit: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let mut block = self.block.clone();
        edit(&mut block);
        patch(board, IDBLOCK_LBA * SECTOR_BYTES, &block)
    }

    /// Changes the FIT and makes the images' hashes right again.
    ///
    /// # Errors
    /// The change cannot be made, or the card does not take it.
    pub fn edit_fit(&self, board: &mut Board, edit: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        let mut bytes = self.fit_bytes.clone();
        edit(&mut bytes)?;
        for image in &self.fit.images {
            let data = &bytes[image.offset_bytes..image.offset_bytes + image.size_bytes];
            let hash = Sha256::digest(data);
            let at = property(&bytes, &format!("/images/{}/hash", image.name), "value")?;
            bytes[at.start..at.end].copy_from_slice(&hash);
        }
        patch(board, FIT_LBA * SECTOR_BYTES, &bytes)
    }

    /// Puts other data behind the FIT for one of its images, with a load address and the right hash.
    ///
    /// # Errors
    /// The FIT has no such image, or no room for the change.
    pub fn replace_fit_image(&self, board: &mut Board, name: &str, load: u32, data: &[u8]) -> Result<()> {
        let image = self.fit.image(name).map_err(|e| Failure::new("the FIT of the image").why(e))?;
        let path = format!("/images/{name}");
        let mut tree = self.fit_bytes[..self.fit.tree_bytes].to_vec();
        let cells = |tree: &[u8]| {
            Some(u32::from_be_bytes(*tree[property(tree, &path, "data-offset").ok()?].first_chunk()?))
        };
        let offset = cells(&tree).ok_or_else(|| Failure::new("the FIT holds its data inside"))? as usize;
        // Offsets count from the end of the tree, which this gives back without knowing how it is rounded.
        let base = image.offset_bytes - offset;
        let place = self.fit_bytes.len().next_multiple_of(SECTOR_BYTES as usize);
        for (property, value) in
            [("data-offset", (place - base) as u32), ("data-size", data.len() as u32), ("load", load)]
        {
            set(&mut tree, &path, property, &value.to_be_bytes())?;
        }
        set(&mut tree, &format!("{path}/hash"), "value", &Sha256::digest(data))?;
        patch(board, FIT_LBA * SECTOR_BYTES, &tree)?;
        patch(board, FIT_LBA * SECTOR_BYTES + place as u64, data)
    }

    /// Bytes of an image inside of the FIT.
    ///
    /// # Errors
    /// The FIT has no such image.
    pub fn fit_image(&self, name: &str) -> Result<Range<usize>> {
        let image = self.fit.image(name).map_err(|e| Failure::new("the FIT of the image").why(e))?;
        Ok(image.offset_bytes..image.offset_bytes + image.size_bytes)
    }

    /// Load address of BL31's first part, and of the others.
    ///
    /// # Errors
    /// The FIT loads none.
    pub fn load(&self, stage: Stage) -> Result<&Load> {
        self.loads
            .iter()
            .find(|l| l.stage == stage)
            .ok_or_else(|| Failure::new(format!("the FIT loads no {stage}")))
    }
}

/// Where a property's value lies in the bytes of a device tree.
///
/// # Errors
/// There is no such property.
pub fn property(tree: &[u8], path: &str, name: &str) -> Result<Range<usize>> {
    let value = Tree::parse(tree)
        .and_then(|t| t.property(path, name))
        .map_err(|e| Failure::new(format!("no property `{name}` in `{path}`")).why(e))?;
    let start = value.as_ptr() as usize - tree.as_ptr() as usize;
    Ok(start..start + value.len())
}

/// Overwrites a property with a value that is not longer; the rest becomes zero.
///
/// # Errors
/// There is no such property.
pub fn set(tree: &mut [u8], path: &str, name: &str, value: &[u8]) -> Result<()> {
    let range = property(tree, path, name)?;
    let place = tree.get_mut(range).filter(|p| p.len() >= value.len());
    let place = place.ok_or_else(|| Failure::new(format!("no room in `{name}` of `{path}`")))?;
    place.fill(0);
    place[..value.len()].copy_from_slice(value);
    Ok(())
}

/// The device tree inside of other bytes, such as SPL's behind its code.
///
/// # Errors
/// There is none.
pub fn tree_in(bytes: &mut [u8]) -> Result<&mut [u8]> {
    let at = memmem::find_iter(bytes, &fw_image::fdt::MAGIC.to_be_bytes())
        .find(|at| Tree::parse(&bytes[*at..]).is_ok())
        .ok_or_else(|| Failure::new("SPL carries no device tree"))?;
    Ok(&mut bytes[at..])
}

/// Puts bytes on the card.
///
/// # Errors
/// There is no card, or it ends before.
pub fn patch(board: &mut Board, offset_bytes: u64, bytes: &[u8]) -> Result<()> {
    let done = board.sd.as_mut().is_some_and(|disk: &mut Disk| disk.patch(offset_bytes, bytes));
    done.then_some(()).ok_or_else(|| Failure::new(format!("the card takes no bytes at {offset_bytes:#x}")))
}

/// Makes an idblock's hashes right.
pub fn rehash(block: &mut [u8], parsed: &IdBlock) {
    for entry in &parsed.entries {
        let hash = Sha256::digest(&block[entry.offset_bytes()..entry.offset_bytes() + entry.size_bytes()]);
        let at = ENTRY_HASH.0 + entry.index * ENTRY_HASH.1;
        block[at..at + hash.len()].copy_from_slice(&hash);
    }
    let hash = Sha256::digest(&block[..HEADER_HASHED_BYTES]);
    block[HEADER_HASHED_BYTES..HEADER_HASHED_BYTES + hash.len()].copy_from_slice(&hash);
}

fn on_esp(medium: &Medium, esp: &Range<u64>, path: &str) -> Result<Vec<u8>> {
    fat::read(Window::new(medium.reader(), esp.start, esp.end - esp.start), path)
        .context(format!("cannot read `{path}` on the ESP"))
}

fn on_boot(medium: &Medium, boot: &Range<u64>, path: &str) -> Result<Vec<u8>> {
    let cannot = |e: fw_image::xfs::XfsError| Failure::new(format!("cannot read `{path}` on BOOT")).why(e);
    let window = Window::new(medium.reader(), boot.start, boot.end - boot.start);
    fw_image::xfs::Xfs::open(window).map_err(cannot)?.read(path).map_err(cannot)
}

/// Where a file's content begins inside of a partition: at the first multiple of `step` that has its bytes.
fn find(medium: &Medium, range: &Range<u64>, content: &[u8], step: usize) -> Result<Option<u64>> {
    let needle = &content[..content.len().min(NEEDLE_BYTES)];
    let mut at = range.start;
    while at < range.end && !needle.is_empty() {
        let bytes = medium.read(at, PIECE_BYTES.min(range.end - at))?;
        if let Some(n) = bytes.chunks(step).position(|chunk| chunk.starts_with(needle)) {
            return Ok(Some(at + (n * step) as u64));
        }
        at += bytes.len() as u64;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn must_fail_a_medium_that_is_no_image_of_ours() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("zeros");
        fs_err::write(&path, vec![0; 16 << 20]).expect("written");
        let medium = Medium::open(&path).expect("opened");
        let error = Subject::new(medium, "x.dtb").err().expect("no image").to_string();
        assert!(error.contains("no whole idblock"), "{error}");
    }
}
