// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the DDR blob finds out about DRAM and leaves behind: geometry registers and the memory tag.
//!
//! The blob itself is neither executed nor read. The values decode to the right size; they were not read from
//! a board, so the exact geometry (columns, banks) is an assumption.

/// Size of the DRAM on the board.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DramSize {
    /// 4 GiB.
    Gib4,
    /// 8 GiB.
    #[default]
    Gib8,
    /// 16 GiB.
    Gib16,
    /// 32 GiB.
    Gib32,
}

impl DramSize {
    /// All sizes that the board is sold with or could carry.
    pub const ALL: [Self; 4] = [Self::Gib4, Self::Gib8, Self::Gib16, Self::Gib32];

    /// Size in GiB.
    pub fn gib(self) -> u64 {
        match self {
            Self::Gib4 => 4,
            Self::Gib8 => 8,
            Self::Gib16 => 16,
            Self::Gib32 => 32,
        }
    }

    /// Size in bytes.
    pub fn bytes(self) -> u64 {
        self.gib() << 30
    }

    /// LPDDR5 of that size on four 16-bit channels.
    pub fn geometry(self) -> Geometry {
        let (ranks, rows) = match self {
            Self::Gib4 => (1, 15),
            Self::Gib8 => (2, 15),
            Self::Gib16 => (2, 16),
            Self::Gib32 => (2, 17),
        };
        Geometry { ranks, rows }
    }
}

/// Ranks and row bits of each of four LPDDR5 channels with 16 bits, 10 column bits and 4 bank bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Ranks of a channel, 1 or 2.
    pub ranks: u32,
    /// Row address bits.
    pub rows: u32,
}

impl Geometry {
    /// `os_reg2` and `os_reg3` (and, for the other pair of channels, `os_reg4` and `os_reg5`) in the version 3
    /// encoding that U-Boot's `drivers/ram/rockchip/sdram_common.c` and `rockchip_sdram_size` decode.
    ///
    /// First word, a channel in each half: bit 11 ranks - 1, bits 10:9 columns - 9, bit 8 bank bits - 3, bits 7:6 and 5:4 low row bits of rank 0 and 1
    /// (rows - 13), bits 3:2 bus width code (1 = 16 bit); common: 15:13 low bits of the type, 28 and 29
    /// channels present, 12 channels - 1. Second word: 31:28 version, 13:12 high bits of the type, 4 to 7 high
    /// row bits, 1:0 and 3:2 columns of rank 1.
    pub fn os_regs(self) -> [u32; 2] {
        const LPDDR5: u32 = 9;
        const VERSION: u32 = 3;
        const WIDTH_16_BITS: u32 = 1;
        let rows = self.rows - 13;
        let channel =
            (self.ranks - 1) << 11 | 1 << 9 | 1 << 8 | (rows & 3) << 6 | (rows & 3) << 4 | WIDTH_16_BITS << 2;
        let present = 0b11 << 28;
        let low = channel | channel << 16 | present | (LPDDR5 & 7) << 13 | 1 << 12;
        let high_rows = if rows > 3 { 0xf0 } else { 0 };
        let high = VERSION << 28 | (LPDDR5 >> 3) << 12 | high_rows | 0b0101;
        [low, high]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Registers with which U-Boot printed the size, see the module's documentation.
    #[test]
    fn registers_are_those_that_u_boot_decodes() {
        let seen = [
            (DramSize::Gib4, 0x33a4_33a4, 0x3000_1005),
            (DramSize::Gib8, 0x3ba4_3ba4, 0x3000_1005),
            (DramSize::Gib16, 0x3bf4_3bf4, 0x3000_1005),
            (DramSize::Gib32, 0x3b04_3b04, 0x3000_10f5),
        ];
        for (size, low, high) in seen {
            assert_eq!(
                size.geometry().os_regs().map(|r| format!("{r:08x}")),
                [format!("{low:08x}"), format!("{high:08x}")]
            );
        }
    }
}
