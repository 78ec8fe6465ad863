// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Faults of the loader: idblock, SPL, FIT, BL31, U-Boot. Where a hash would hide the fault it is made right.

use fw_build::{Failure, Result};
use fw_image::idblock;
use rk3588_model::machine::Board;

use super::subject::{Subject, patch, property, set, tree_in};
use crate::simulate::image::{FIT_LBA, IDBLOCK_LBA, SECTOR_BYTES};

/// Nodes of the tree, in SPL's and U-Boot's own.
const SD: &str = "/mmc@fe2c0000";
const UART: &str = "/serial@feb50000";
/// UART3, two 64 KiB further.
const OTHER_UART: u32 = 0xfeb6_0000;

// ---- idblock ---------------------------------------------------------------------------------------------------

pub fn block_magic(s: &Subject, board: &mut Board) -> Result<()> {
    s.edit_block(board, |b| b[..4].fill(0))
}

pub fn block_late(s: &Subject, board: &mut Board) -> Result<()> {
    patch(board, IDBLOCK_LBA * SECTOR_BYTES, &[0; SECTOR_BYTES as usize])?;
    patch(board, (IDBLOCK_LBA + 1) * SECTOR_BYTES, &s.block)
}

pub fn block_version(s: &Subject, board: &mut Board) -> Result<()> {
    // What RC4 makes of the old form's magic (`tools/rkcommon.c`).
    s.edit_block(board, |b| b[..4].copy_from_slice(&[0x3b, 0x8c, 0xdc, 0xfc]))
}

pub fn block_header(s: &Subject, board: &mut Board) -> Result<()> {
    // The load address of the first entry: means nothing to the model, and is covered by the hash.
    s.edit_block(board, |b| b[0x7c] ^= 1)
}

pub fn block_header_hash(s: &Subject, board: &mut Board) -> Result<()> {
    s.edit_block(board, |b| b[0x600] ^= 1)
}

pub fn block_ddr(s: &Subject, board: &mut Board) -> Result<()> {
    let at = s.parsed.entries[0].offset_bytes() + 0x1000;
    s.edit_block(board, |b| b[at] ^= 1)
}

pub fn block_spl(s: &Subject, board: &mut Board) -> Result<()> {
    let at = s.parsed.entries[1].offset_bytes() + 0x1000;
    s.edit_block(board, |b| b[at] ^= 1)
}

pub fn block_without_spl(s: &Subject, board: &mut Board) -> Result<()> {
    // The word at 8 has the number of images in its upper half (`tools/rkcommon.c`).
    s.edit_block(board, |b| {
        b[10] = 1;
        super::subject::rehash(
            b,
            &idblock::IdBlock { entries: s.parsed.entries[..1].to_vec(), ..s.parsed.clone() },
        );
    })
}

// ---- SPL -------------------------------------------------------------------------------------------------------

pub fn spl_text_base(s: &Subject, board: &mut Board) -> Result<()> {
    // The same code 64 bytes further: what a link address that differs by as much looks like.
    s.edit_spl(board, |spl| {
        spl.rotate_right(64);
        Ok(())
    })
}

pub fn spl_zero(s: &Subject, board: &mut Board) -> Result<()> {
    s.edit_spl(board, |spl| {
        spl.fill(0);
        Ok(())
    })
}

pub fn spl_without_tree(s: &Subject, board: &mut Board) -> Result<()> {
    s.edit_spl(board, |spl| {
        tree_in(spl)?.fill(0);
        Ok(())
    })
}

pub fn spl_console(s: &Subject, board: &mut Board) -> Result<()> {
    s.edit_spl(board, |spl| other_uart(tree_in(spl)?))
}

pub fn spl_sd_disabled(s: &Subject, board: &mut Board) -> Result<()> {
    s.edit_spl(board, |spl| set(tree_in(spl)?, SD, "status", b"fail\0"))
}

pub fn spl_too_long(s: &Subject, board: &mut Board) -> Result<()> {
    // An SPL whose end lies behind the place of BL31. Moving SPL's code would take a linker; so BL31's first part grows
    // downwards, by zeroes before it, over the second half of SPL.
    let image = s.fit.image("atf-1").map_err(|e| Failure::new("the FIT").why(e))?;
    let load = image.load.ok_or_else(|| Failure::new("the FIT does not say where BL31 is loaded"))?;
    let middle = (s.parsed.entries[1].size_bytes() / 2).next_multiple_of(SECTOR_BYTES as usize) as u64;
    let before = load.checked_sub(middle).ok_or_else(|| Failure::new("BL31 lies in SPL already"))?;
    let mut data = vec![0; before as usize];
    data.extend_from_slice(&s.fit_bytes[s.fit_image("atf-1")?]);
    s.replace_fit_image(board, "atf-1", middle as u32, &data)
}

pub fn bl31_over_spl(s: &Subject, board: &mut Board) -> Result<()> {
    // The whole of it, with its entry left where it was.
    s.edit_fit(board, |fit| set(fit, "/images/atf-1", "load", &0_u32.to_be_bytes()))
}

// ---- FIT -------------------------------------------------------------------------------------------------------

pub fn fit_missing(s: &Subject, board: &mut Board) -> Result<()> {
    patch(board, FIT_LBA * SECTOR_BYTES, &vec![0; s.fit.tree_bytes])
}

pub fn fit_late(s: &Subject, board: &mut Board) -> Result<()> {
    patch(board, FIT_LBA * SECTOR_BYTES, &[0; SECTOR_BYTES as usize])?;
    patch(board, (FIT_LBA + 1) * SECTOR_BYTES, &s.fit_bytes)
}

fn byte(s: &Subject, board: &mut Board, image: &str) -> Result<()> {
    let range = s.fit_image(image)?;
    let middle = usize::midpoint(range.start, range.end);
    patch(board, FIT_LBA * SECTOR_BYTES + middle as u64, &[s.fit_bytes[middle] ^ 0x10])
}

pub fn byte_atf_1(s: &Subject, board: &mut Board) -> Result<()> {
    byte(s, board, "atf-1")
}

pub fn byte_atf_2(s: &Subject, board: &mut Board) -> Result<()> {
    byte(s, board, "atf-2")
}

pub fn byte_u_boot(s: &Subject, board: &mut Board) -> Result<()> {
    byte(s, board, "u-boot")
}

pub fn byte_fdt(s: &Subject, board: &mut Board) -> Result<()> {
    byte(s, board, "fdt-1")
}

pub fn hash_value(s: &Subject, board: &mut Board) -> Result<()> {
    let at = property(&s.fit_bytes, "/images/u-boot/hash", "value")?.start;
    patch(board, FIT_LBA * SECTOR_BYTES + at as u64, &[s.fit_bytes[at] ^ 1])
}

pub fn default_missing(s: &Subject, board: &mut Board) -> Result<()> {
    s.edit_fit(board, |fit| set(fit, "/configurations", "default", b"config-9\0"))
}

fn configuration(s: &Subject) -> Result<String> {
    let name = &s.fit.default_configuration().map_err(|e| Failure::new("the FIT").why(e))?.name;
    Ok(format!("/configurations/{name}"))
}

pub fn firmware_missing(s: &Subject, board: &mut Board) -> Result<()> {
    let path = configuration(s)?;
    s.edit_fit(board, |fit| set(fit, &path, "firmware", b"atf-9\0"))
}

pub fn part_missing(s: &Subject, board: &mut Board) -> Result<()> {
    let path = configuration(s)?;
    let text = s.fit_bytes[property(&s.fit_bytes, &path, "loadables")?].to_vec();
    let changed = String::from_utf8_lossy(&text).replace("atf-2", "atf-9");
    s.edit_fit(board, |fit| set(fit, &path, "loadables", changed.as_bytes()))
}

// ---- BL31 ------------------------------------------------------------------------------------------------------

fn load(s: &Subject, board: &mut Board, image: &str, property: &str, address: u32) -> Result<()> {
    s.edit_fit(board, |fit| set(fit, &format!("/images/{image}"), property, &address.to_be_bytes()))
}

pub fn bl31_load(s: &Subject, board: &mut Board) -> Result<()> {
    load(s, board, "atf-1", "load", 0x8_0000)
}

pub fn part_load(s: &Subject, board: &mut Board) -> Result<()> {
    load(s, board, "atf-2", "load", 0xff11_0000)
}

pub fn bl31_other_soc(s: &Subject, board: &mut Board) -> Result<()> {
    // Polls the line status of RK3399's debug UART at 0xff1a0014, in which nobody sets the idle bit:
    // movz w0, #0xff1a, lsl #16; ldr w1, [x0, #0x14]; tbz w1, #6, .-4; b .
    let code = [0x52bf_e340_u32, 0xb940_1401, 0x3637_ffe1, 0x1400_0000];
    let range = s.fit_image("atf-1")?;
    s.edit_fit(board, |fit| {
        for (word, place) in code.iter().zip(fit[range].as_chunks_mut::<4>().0) {
            *place = word.to_le_bytes();
        }
        Ok(())
    })
}

pub fn bl31_cut(s: &Subject, board: &mut Board) -> Result<()> {
    let range = s.fit_image("atf-1")?;
    s.edit_fit(board, |fit| {
        fit[range][4096..].fill(0);
        Ok(())
    })
}

// ---- U-Boot ----------------------------------------------------------------------------------------------------

pub fn u_boot_load(s: &Subject, board: &mut Board) -> Result<()> {
    load(s, board, "u-boot", "load", 0xb0_0000)
}

pub fn u_boot_entry(s: &Subject, board: &mut Board) -> Result<()> {
    load(s, board, "u-boot", "entry", 0xb0_0000)
}

pub fn u_boot_zero(s: &Subject, board: &mut Board) -> Result<()> {
    let range = s.fit_image("u-boot")?;
    s.edit_fit(board, |fit| {
        fit[range].fill(0);
        Ok(())
    })
}

pub fn u_boot_console(s: &Subject, board: &mut Board) -> Result<()> {
    let range = s.fit_image("fdt-1")?;
    s.edit_fit(board, |fit| other_uart(&mut fit[range]))
}

pub fn tree_damaged(s: &Subject, board: &mut Board) -> Result<()> {
    let range = s.fit_image("fdt-1")?;
    s.edit_fit(board, |fit| {
        fit[range][..4].fill(0);
        Ok(())
    })
}

pub fn other_board(s: &Subject, board: &mut Board) -> Result<()> {
    let range = s.fit_image("fdt-1")?;
    s.edit_fit(board, |fit| set(&mut fit[range], "/", "model", b"Other Board\0"))
}

pub fn u_boot_sd_disabled(s: &Subject, board: &mut Board) -> Result<()> {
    let range = s.fit_image("fdt-1")?;
    s.edit_fit(board, |fit| set(&mut fit[range], SD, "status", b"fail\0"))
}

/// Lets the console's node name another UART.
fn other_uart(tree: &mut [u8]) -> Result<()> {
    let reg = property(tree, UART, "reg")?;
    // Two cells of address, of which the second counts: everything lies below 4 GiB.
    tree[reg.start + 4..reg.start + 8].copy_from_slice(&OTHER_UART.to_be_bytes());
    Ok(())
}
