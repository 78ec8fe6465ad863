// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One block: header, LZMA2 data, padding, check; and how the data is coded.

use liblzma::stream::{Action, Filters, LzmaOptions, Status, Stream};

use super::{BLOCK_BYTES, PRESET, XzError};
use crate::crc::{crc32, crc64};

/// LZMA2's filter id, and its one property byte for a dictionary of [`BLOCK_BYTES`] (section 5.3.1):
/// sizes are `(2 | (byte & 1)) << (byte / 2 + 11)`.
const LZMA2_FILTER: [u8; 3] = [0x21, 0x01, DICTIONARY_BYTE];
const DICTIONARY_BYTE: u8 = 16;
const _: () = assert!((2 | (DICTIONARY_BYTE as usize & 1)) << (DICTIONARY_BYTE / 2 + 11) == BLOCK_BYTES);

/// Largest uncompressed LZMA2 chunk.
const STORED_CHUNK_BYTES: usize = 1 << 16;
/// Part of a block that is compressed on trial.
const SAMPLE_BYTES: usize = 1 << 16;

/// A finished block with what the index says of it (section 4.3).
#[derive(Debug, Clone)]
pub(super) struct Block {
    /// Header, data, padding and check.
    pub bytes: Vec<u8>,
    /// Size of `bytes` without the padding.
    pub unpadded_bytes: u64,
    /// Size of the raw data.
    pub raw_bytes: u64,
}

impl Block {
    /// Codes `raw`, which has 1 to [`BLOCK_BYTES`] bytes.
    pub fn encode(raw: &[u8]) -> Result<Block, XzError> {
        let data = if looks_compressed(raw)? { stored(raw) } else { lzma2(raw, PRESET)? };
        let mut bytes = header(data.len() as u64, raw.len() as u64);
        bytes.extend_from_slice(&data);
        let unpadded_bytes = bytes.len() as u64 + 8;
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend_from_slice(&crc64(raw).to_le_bytes());
        Ok(Block { bytes, unpadded_bytes, raw_bytes: raw.len() as u64 })
    }
}

/// Block header with both sizes (section 3.1), so that readers can seek and use threads.
fn header(data_bytes: u64, raw_bytes: u64) -> Vec<u8> {
    let mut h = vec![0, 0xC0]; // size, filled in below; one filter, both sizes present
    push_vli(&mut h, data_bytes);
    push_vli(&mut h, raw_bytes);
    h.extend_from_slice(&LZMA2_FILTER);
    h.resize(h.len().next_multiple_of(4), 0);
    h[0] = (h.len() / 4) as u8; // (real size with CRC / 4) - 1
    let crc = crc32(&h);
    h.extend_from_slice(&crc.to_le_bytes());
    h
}

/// Variable-length integer (section 1.2).
pub(super) fn push_vli(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Whether compressing is a waste of time: kernel and initramfs are zstd already, and LZMA needs half a
/// second for each of their megabytes to gain nothing. Two tests, since evenly spread bytes alone could
/// also be a table that counts; integers only, so that every machine decides alike.
fn looks_compressed(raw: &[u8]) -> Result<bool, XzError> {
    if raw.len() < 2 * SAMPLE_BYTES {
        return Ok(false);
    }
    let mut counts = [0_u64; 256];
    for &byte in raw {
        counts[usize::from(byte)] += 1;
    }
    // For evenly spread bytes the sum of squares is n²/256; 2 % above is some 0.014 bit per byte.
    let n = raw.len() as u64;
    let squares: u64 = counts.iter().map(|c| c * c).sum();
    if squares * 256 * 100 > n * n * 102 {
        return Ok(false);
    }
    let middle = raw.len() / 2;
    let sample = &raw[middle..middle + SAMPLE_BYTES];
    Ok(lzma2(sample, 0)?.len() * 100 >= SAMPLE_BYTES * 99)
}

/// LZMA2 chunks of the "uncompressed" kind: control byte (1 resets the dictionary, 2 does not), size
/// less one in big-endian, bytes; 0 ends the data.
fn stored(raw: &[u8]) -> Vec<u8> {
    let mut data = Vec::with_capacity(raw.len() + 64);
    for (i, chunk) in raw.chunks(STORED_CHUNK_BYTES).enumerate() {
        data.push(if i == 0 { 1 } else { 2 });
        data.extend_from_slice(&((chunk.len() - 1) as u16).to_be_bytes());
        data.extend_from_slice(chunk);
    }
    data.push(0);
    data
}

fn lzma2(raw: &[u8], preset: u32) -> Result<Vec<u8>, XzError> {
    let mut options = LzmaOptions::new_preset(preset)?;
    options.dict_size(BLOCK_BYTES as u32);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let mut stream = Stream::new_raw_encoder(&filters)?;
    // LZMA2 falls back to stored chunks, so this is room enough and one call does it all.
    let mut data = Vec::with_capacity(raw.len() + raw.len() / 16 + 1024);
    loop {
        let done = stream.total_in() as usize;
        if stream.process_vec(&raw[done..], &mut data, Action::Finish)? == Status::StreamEnd {
            return Ok(data);
        }
        data.reserve(4096);
    }
}
