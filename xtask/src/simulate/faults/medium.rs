// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Faults of the medium behind the loader: partition table, file systems, GRUB's configuration, the kernel.

use fw_build::{Failure, Result};
use rk3588_model::machine::Board;
use rk3588_model::storage::Disk;

use super::subject::{BOOT_FILE, GRUB_CFG, KERNEL, Subject, patch};
use crate::simulate::image::{FIT_LBA, IDBLOCK_LBA, SECTOR_BYTES};

/// Bytes of a file system's start that are destroyed.
static START: [u8; 64 << 10] = [0; 64 << 10];

pub fn empty(s: &Subject, board: &mut Board) -> Result<()> {
    board.sd = Some(Disk::blank(s.medium.size_bytes()));
    Ok(())
}

/// A medium of which only the first bytes were written.
fn cut(s: &Subject, board: &mut Board, length_bytes: u64) -> Result<()> {
    let mut disk = Disk::blank(s.medium.size_bytes());
    let bytes = s.medium.read(0, length_bytes)?;
    // Zeros are there already.
    for (n, piece) in bytes.chunks(4096).enumerate().filter(|(_, piece)| piece.iter().any(|b| *b != 0)) {
        if !disk.patch(4096 * n as u64, piece) {
            return Err(Failure::new("the card is too small"));
        }
    }
    board.sd = Some(disk);
    Ok(())
}

pub fn ends_in_spl(s: &Subject, board: &mut Board) -> Result<()> {
    cut(s, board, IDBLOCK_LBA * SECTOR_BYTES + (s.parsed.entries[1].offset_bytes() + 0x2000) as u64)
}

pub fn ends_in_u_boot(s: &Subject, board: &mut Board) -> Result<()> {
    let image = s.fit_image("u-boot")?;
    cut(s, board, FIT_LBA * SECTOR_BYTES + (image.start + 0x2000) as u64)
}

pub fn partition_over_fit(s: &Subject, board: &mut Board) -> Result<()> {
    let esp = s.medium.read(s.partition("EFI"), 1 << 20)?;
    patch(board, FIT_LBA * SECTOR_BYTES, &esp)
}

pub fn no_table(s: &Subject, board: &mut Board) -> Result<()> {
    patch(board, SECTOR_BYTES, &[0; SECTOR_BYTES as usize])?;
    patch(board, s.medium.size_bytes() - SECTOR_BYTES, &[0; SECTOR_BYTES as usize])
}

pub fn no_esp(s: &Subject, board: &mut Board) -> Result<()> {
    patch(board, s.partition("EFI"), &START)
}

pub fn no_boot_file(s: &Subject, board: &mut Board) -> Result<()> {
    s.delete_on_esp(board, b"EFI")
}

pub fn no_dtb(s: &Subject, board: &mut Board) -> Result<()> {
    s.delete_on_esp(board, b"DTB")
}

pub fn boot_file_damaged(s: &Subject, board: &mut Board) -> Result<()> {
    patch(board, s.place(BOOT_FILE), &[0; 512])
}

pub fn boot_file_other_cpu(s: &Subject, board: &mut Board) -> Result<()> {
    // The machine field stands behind the signature, whose offset is at 0x3c (PE format, 3.3); 0x8664 is x86-64.
    let place = s.place(BOOT_FILE);
    let offset = s.medium.read(place + 0x3c, 4)?;
    let offset = offset.first_chunk().map(|b| u32::from_le_bytes(*b)).unwrap_or_default();
    patch(board, place + u64::from(offset) + 4, &0x8664_u16.to_le_bytes())
}

pub fn no_boot(s: &Subject, board: &mut Board) -> Result<()> {
    patch(board, s.partition("BOOT"), &START)
}

pub fn grub_cfg_empty(s: &Subject, board: &mut Board) -> Result<()> {
    let config = s.medium.read(s.place(GRUB_CFG), 4096)?;
    let length = config.iter().position(|b| *b == 0).unwrap_or(config.len());
    patch(board, s.place(GRUB_CFG), &vec![b'\n'; length])
}

pub fn grub_kernel(s: &Subject, board: &mut Board) -> Result<()> {
    s.replace(board, GRUB_CFG, "/A/vmlinuz", "/B/vmlinuz")
}

pub fn grub_initramfs(s: &Subject, board: &mut Board) -> Result<()> {
    s.replace(board, GRUB_CFG, "/A/initramfs.xz", "/A/initramfs.gz")
}

pub fn kernel_damaged(s: &Subject, board: &mut Board) -> Result<()> {
    patch(board, s.place(KERNEL), &[0; 512])
}

pub fn kernel_payload(s: &Subject, board: &mut Board) -> Result<()> {
    patch(board, s.place(KERNEL) + (1 << 20), &[0x5a; 4096])
}
