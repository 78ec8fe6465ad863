// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The three reflected CRCs of the formats in this crate: CRC-32 (GPT, xz), CRC-32C (xfs) and
//! CRC-64/XZ (xz). Tables are made at compile time; nothing here knows which format it serves.

/// Table of a reflected CRC of up to 64 bits with the reflected polynomial `poly`.
const fn table(poly: u64) -> [u64; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ poly } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
}

static IEEE: [u64; 256] = table(0xEDB8_8320);
static CASTAGNOLI: [u64; 256] = table(0x82F6_3B78);
static ECMA: [u64; 256] = table(0xC96C_5795_D787_0F42);

fn update(table: &[u64; 256], crc: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(crc, |crc, &b| table[((crc ^ u64::from(b)) & 0xff) as usize] ^ (crc >> 8))
}

/// CRC-32 of IEEE 802.3 (UEFI 2.10, 5.3.2; xz file format, 6).
pub fn crc32(bytes: &[u8]) -> u32 {
    !(update(&IEEE, 0xFFFF_FFFF, bytes) as u32)
}

/// CRC-32C (Castagnoli), as xfs v5 metadata carries it, of several pieces in a row.
pub fn crc32c(pieces: &[&[u8]]) -> u32 {
    !(pieces.iter().fold(0xFFFF_FFFF, |crc, piece| update(&CASTAGNOLI, crc, piece)) as u32)
}

/// CRC-64 of ECMA-182 in its xz form (xz file format, 6).
pub fn crc64(bytes: &[u8]) -> u64 {
    !update(&ECMA, u64::MAX, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The usual check value of each CRC: the digits 1 to 9.
    #[test]
    fn check_values() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32c(&[b"1234", b"56789"]), 0xE306_9283);
        assert_eq!(crc64(b"123456789"), 0x995D_C9BB_DF19_39FA);
    }
}
