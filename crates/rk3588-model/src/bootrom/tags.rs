// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The memory tag that the DDR blob leaves for the loaders: `DDR_MEM` among Rockchip's tags.
//!
//! Layout after U-Boot `arch/arm/mach-rockchip/sdram.c`: a header of size in words and magic, then count,
//! version, 20 addresses and sizes (all starts, then all sizes), flags, two data words, hash.

use crate::dram::DramSize;
use crate::ram::{Ram, RamError};
use std::ops::Range;

/// First byte of the area, 8 KiB below 2 MiB.
pub const TAGS_ADDRESS: u64 = 0x1f_e000;
const MAGIC_DDR_MEM: u32 = 0x5441_0052;
/// Header, count, version, 20 double words, flags, two data words, hash.
const WORDS: usize = 2 + 2 + 40 + 1 + 2 + 1;
/// What hides behind the registers below 4 GiB appears again above the end of DRAM.
const HOLE: Range<u64> = 0xf000_0000..0x1_0000_0000;

/// Address ranges that answer as DRAM: below the registers, above 4 GiB, and, past the end, the part that the
/// registers hide (observed in public kernel logs of boards with this SoC: 8 GiB boards list
/// 0x2f0000000 to 0x2ffffffff).
pub fn banks(size: DramSize) -> Vec<Range<u64>> {
    let bytes = size.bytes();
    let banks = [0..HOLE.start, HOLE.end..bytes, bytes + HOLE.start..bytes + HOLE.end];
    banks.into_iter().filter(|bank| !bank.is_empty()).collect()
}

/// The tag for `size`, with its hash.
pub fn ddr_mem(size: DramSize) -> Vec<u8> {
    let banks = banks(size);
    let mut words = [0_u32; WORDS];
    words[0] = WORDS as u32;
    words[1] = MAGIC_DDR_MEM;
    words[2] = banks.len() as u32;
    let values = banks.iter().map(|b| b.start).chain(banks.iter().map(|b| b.end - b.start));
    for (n, value) in values.enumerate() {
        words[4 + 2 * n] = value as u32;
        words[5 + 2 * n] = (value >> 32) as u32;
    }
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let hash = js_hash(&bytes[..4 * (WORDS - 1)]);
    words[WORDS - 1] = hash;
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Justin Sobel's hash with Rockchip's start value.
fn js_hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x47c6_a7e6, |hash: u32, byte| {
        hash ^ (hash << 5).wrapping_add((*byte).into()).wrapping_add(hash >> 2)
    })
}

/// Puts the tag into memory.
///
/// # Errors
///
/// [`RamError`] when memory has no place for it.
pub fn write(size: DramSize, ram: &mut Ram) -> Result<(), RamError> {
    ram.write_bytes(TAGS_ADDRESS, &ddr_mem(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_the_dram_is_in_banks() {
        for size in DramSize::ALL {
            assert_eq!(banks(size).iter().map(|b| b.end - b.start).sum::<u64>(), size.bytes());
        }
        assert_eq!(banks(DramSize::Gib8)[2], 0x2_f000_0000..0x3_0000_0000);
    }

    #[test]
    fn the_tag_has_its_fields_in_place() {
        let tag = ddr_mem(DramSize::Gib8);
        let word = |n: usize| u32::from_le_bytes(tag[4 * n..4 * n + 4].try_into().unwrap());
        assert_eq!((word(0), word(1), word(2)), (48, MAGIC_DDR_MEM, 3));
        // Second start, first size.
        assert_eq!((word(6), word(7), word(10), word(11)), (0, 1, 0xf000_0000, 0));
        assert_eq!(word(47), js_hash(&tag[..188]));
    }
}
