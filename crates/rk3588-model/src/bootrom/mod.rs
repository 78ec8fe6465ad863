// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The boot ROM, and what the DDR blob leaves behind.
//!
//! Tries SPI flash, eMMC and SD in that order, takes the first medium whose ID block is whole, puts SPL at the
//! start of DRAM. The DDR blob is only hashed: neither executed nor read in any other way. What it would do is
//! done here: DRAM is usable, the geometry registers are set (see [`crate::dram`]), the memory tag is written.

pub mod tags;

#[cfg(test)]
mod tests;

use crate::ram::{Ram, RamError};
use crate::storage::{Disk, SECTOR_BYTES};
use fw_image::idblock;

/// Where the boot ROM looks for an ID block.
pub const ID_BLOCK_LBA: u64 = 64;
/// Where SPL is put and entered (`CONFIG_SPL_TEXT_BASE` of every RK3588 board).
pub const SPL_ADDRESS: u64 = 0;
/// Where the boot ROM leaves the number of the boot medium (U-Boot `BROM_BOOTSOURCE_ID_ADDR`: SRAM base + 0x10).
const BOOT_SOURCE_ADDRESS: u64 = 0xff00_0010;
/// Entry of the DDR blob and of SPL in the ID block.
const DDR_ENTRY: usize = 0;
const SPL_ENTRY: usize = 1;

/// A boot medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BootSource {
    /// Serial NOR flash.
    Spi,
    /// eMMC.
    Emmc,
    /// Card in the slot.
    Sd,
}

impl BootSource {
    /// In the order of the boot ROM.
    pub const ORDER: [Self; 3] = [Self::Spi, Self::Emmc, Self::Sd];

    /// Number that the boot ROM leaves for the loaders (U-Boot `bootrom.h`, `BROM_BOOTSOURCE_*`, and
    /// `rk3588.c` for the serial flash, which has one number per set of pins).
    fn number(self) -> u32 {
        match self {
            Self::Spi => 3,
            Self::Emmc => 2,
            Self::Sd => 5,
        }
    }

    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spi => "spi",
            Self::Emmc => "emmc",
            Self::Sd => "sd",
        }
    }
}

impl std::fmt::Display for BootSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// The medium.
    pub source: BootSource,
    /// Length of the DDR blob with its padding.
    pub ddr_bytes: usize,
    /// Length of SPL with its padding.
    pub spl_bytes: usize,
    /// Media that were tried before, and why they were passed over.
    pub refused: Vec<Refusal>,
}

/// Why a medium was passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The medium.
    pub source: BootSource,
    /// The reason.
    pub reason: Reason,
}

/// Why no SPL came from a medium.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Nothing there.
    #[error("no medium")]
    Absent,
    /// The medium ends before the ID block, or cannot be read there.
    #[error("cannot be read at sector 64")]
    Unreadable,
    /// The ID block is not one, or a hash is wrong.
    #[error("{0}")]
    IdBlock(String),
    /// Only one image: nothing to start after the DDR blob.
    #[error("id block holds no spl, only {0} image(s)")]
    NoSpl(usize),
    /// No memory for it.
    #[error("{0}")]
    Memory(RamError),
}

/// No medium can be booted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// One line per medium that was tried.
    pub refused: Vec<Refusal>,
}

impl Error {
    /// Memory has no room for what the boot ROM or the DDR blob puts there.
    pub(crate) fn memory(source: BootSource, error: RamError) -> Self {
        Self { refused: vec![Refusal { source, reason: Reason::Memory(error) }] }
    }
}

impl std::error::Error for Error {}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the boot ROM finds nothing to boot")?;
        for refusal in &self.refused {
            write!(f, "; {}: {}", refusal.source, refusal.reason)?;
        }
        Ok(())
    }
}

/// Reads and judges the ID block of one medium; gives the DDR blob's length and SPL.
fn load(disk: &mut Disk) -> Result<(usize, Vec<u8>), Reason> {
    let start = ID_BLOCK_LBA * SECTOR_BYTES as u64;
    let mut block = vec![0; idblock::HEADER_BYTES];
    if !disk.read_bytes(start, &mut block) {
        return Err(Reason::Unreadable);
    }
    let refused = |error: idblock::Error| Reason::IdBlock(error.to_string());
    // At most four entries of 65,535 sectors: the header bounds what is read.
    let end = idblock::parse(&block).map_err(refused)?.end_bytes();
    let have = disk.size_bytes().saturating_sub(start).min(end as u64) as usize;
    block.resize(have.max(idblock::HEADER_BYTES), 0);
    if !disk.read_bytes(start, &mut block) {
        return Err(Reason::Unreadable);
    }
    let parsed = idblock::verify(&block).map_err(refused)?;
    let ddr_bytes = parsed.entries[DDR_ENTRY].size_bytes();
    let spl = parsed.entries.get(SPL_ENTRY).ok_or(Reason::NoSpl(parsed.entries.len()))?;
    Ok((ddr_bytes, spl.payload(&block).map_err(refused)?.to_vec()))
}

/// Tries the media in order, or only `wanted`, and puts SPL into memory.
///
/// # Errors
///
/// [`Error`] when none of them can be booted.
pub fn start(
    media: [(BootSource, Option<&mut Disk>); 3],
    wanted: Option<BootSource>,
    ram: &mut Ram,
) -> Result<Boot, Error> {
    let mut refused = Vec::new();
    for (source, disk) in media.into_iter().filter(|(source, _)| wanted.is_none_or(|w| w == *source)) {
        let result = disk.ok_or(Reason::Absent).and_then(load);
        match result {
            Ok((ddr_bytes, spl)) => {
                let boot = Boot { source, ddr_bytes, spl_bytes: spl.len(), refused };
                return match place(&spl, source, ram) {
                    Ok(()) => Ok(boot),
                    Err(error) => Err(Error::memory(source, error)),
                };
            }
            Err(reason) => refused.push(Refusal { source, reason }),
        }
    }
    Err(Error { refused })
}

fn place(spl: &[u8], source: BootSource, ram: &mut Ram) -> Result<(), RamError> {
    ram.write_bytes(SPL_ADDRESS, spl)?;
    ram.write_bytes(BOOT_SOURCE_ADDRESS, &source.number().to_le_bytes())
}
