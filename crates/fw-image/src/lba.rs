// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sector addresses. A disk image of this project has 512-byte sectors only: the Talos v1.10 layout,
//! the boot ROM's LBA 64 and U-Boot's FIT sector are all counted so.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Bytes of one sector.
pub const SECTOR_BYTES: u64 = 512;

/// Bytes of one mebibyte.
pub const MIB: u64 = 1 << 20;

/// A logical block address, counted in 512-byte sectors from the start of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lba(pub u64);

impl Lba {
    /// The byte at which this sector starts; `None` when it does not fit 64 bits.
    pub fn checked_bytes(self) -> Option<u64> {
        self.0.checked_mul(SECTOR_BYTES)
    }

    /// The byte at which this sector starts. Saturates: an address that does not fit is beyond every disk.
    pub fn bytes(self) -> u64 {
        self.0.saturating_mul(SECTOR_BYTES)
    }

    /// The address `sectors` further on, saturating.
    #[must_use]
    pub fn plus(self, sectors: u64) -> Lba {
        Lba(self.0.saturating_add(sectors))
    }

    /// The next address that is a multiple of `sectors` (this one if it is one already), saturating.
    #[must_use]
    pub fn align_up(self, sectors: u64) -> Lba {
        Lba(self.0.checked_next_multiple_of(sectors).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Lba {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LBA {}", self.0)
    }
}

/// Sectors that hold `bytes` bytes, the last one perhaps in part.
pub fn sectors_for(bytes: u64) -> u64 {
    bytes.div_ceil(SECTOR_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_up_and_saturates() {
        assert_eq!(Lba(20514).align_up(2048), Lba(22528));
        assert_eq!(Lba(22528).align_up(2048), Lba(22528));
        assert_eq!(Lba(u64::MAX).bytes(), u64::MAX);
        assert_eq!(Lba(u64::MAX).checked_bytes(), None);
        assert_eq!((sectors_for(0), sectors_for(1), sectors_for(512), sectors_for(513)), (0, 1, 1, 2));
    }
}
