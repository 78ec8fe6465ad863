// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Writes gzip (RFC 1952) with fixed bytes for the same input: no name, no time, one compressor.
//!
//! Not by `flate2`: which compressor that is depends on what other crates of a build select.

use crate::crc::crc32;

/// Fast enough for a build, and a tenth larger than the best.
const LEVEL: u8 = 6;

/// One gzip member with the bytes.
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    // Magic, method deflate, no flags, no time, no extra flags, operating system unknown (RFC 1952, 2.3.1).
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    out.extend(miniz_oxide::deflate::compress_to_vec(bytes, LEVEL));
    out.extend(crc32(bytes).to_le_bytes());
    // Modulo 2^32, as the format has it.
    out.extend((bytes.len() as u32).to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    #[test]
    fn reads_back() {
        for bytes in [b"".to_vec(), b"text".repeat(1000), vec![0; 70_000]] {
            let packed = super::compress(&bytes);
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("a gzip member");
            assert!(unpacked == bytes);
        }
    }
}
