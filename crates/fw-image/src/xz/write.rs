// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The container: stream header, blocks in order, index, footer.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use sha2::{Digest, Sha256};

use super::block::{Block, push_vli};
use super::{BLOCK_BYTES, FOOTER_MAGIC, HEADER_MAGIC, STREAM_FLAGS, Summary, XzError};
use crate::crc::crc32;
use crate::disk::{is_zero, read_full};

/// Blocks with data that are compressed at once: a bound on memory, and work enough for every thread.
const BATCH_BLOCKS_PER_THREAD: usize = 4;
/// Blocks in a batch, zero ones included.
const MAX_BATCH_BLOCKS: usize = 1024;

/// A block's raw data; whole blocks of zeros are not kept.
enum Raw {
    Zeros,
    Data(Vec<u8>),
}

/// Compresses all of `from`. The bytes written depend on the input and liblzma's version only, not on
/// `threads` (at least one is used).
///
/// # Errors
/// See [`XzError`]. After an error what was written is not a whole `.xz` file.
pub fn compress<R: Read, W: Write>(from: &mut R, to: &mut W, threads: usize) -> Result<Summary, XzError> {
    let threads = threads.max(1);
    let zeros = vec![0; BLOCK_BYTES];
    let zero_block = Block::encode(&zeros)?;
    let mut raw_digest = Sha256::new();
    let mut out = Output { to, digest: Sha256::new(), written: 0 };
    let (mut index, mut raw_bytes, mut block_count) = (Vec::new(), 0, 0);

    out.write(&HEADER_MAGIC)?;
    out.write(&[&STREAM_FLAGS[..], &crc32(&STREAM_FLAGS).to_le_bytes()].concat())?;
    loop {
        let batch = read_batch(from, threads * BATCH_BLOCKS_PER_THREAD)?;
        if batch.is_empty() {
            break;
        }
        let data: Vec<&[u8]> =
            batch.iter().filter_map(|b| if let Raw::Data(d) = b { Some(&d[..]) } else { None }).collect();
        // The digest of the raw data is taken while the workers compress it.
        let encoded = encode_all(&data, threads, || {
            for block in &batch {
                raw_digest.update(if let Raw::Data(data) = block { data } else { &zeros });
            }
        });
        let mut encoded = encoded.into_iter();
        for block in &batch {
            let next;
            let block = match block {
                Raw::Zeros => &zero_block,
                Raw::Data(_) => {
                    next =
                        encoded.next().unwrap_or_else(|| unreachable!("one result for each data block"))?;
                    &next
                }
            };
            out.write(&block.bytes)?;
            push_vli(&mut index, block.unpadded_bytes);
            push_vli(&mut index, block.raw_bytes);
            raw_bytes += block.raw_bytes;
            block_count += 1;
        }
    }
    out.finish(block_count, &index)?;
    Ok(Summary {
        raw_bytes,
        raw_sha256: crate::hex(&raw_digest.finalize()),
        xz_bytes: out.written,
        xz_sha256: crate::hex(&out.digest.finalize()),
    })
}

/// Reads blocks until `data_blocks` of them are not zero; empty at the end of the input.
fn read_batch<R: Read>(from: &mut R, data_blocks: usize) -> Result<Vec<Raw>, XzError> {
    let (mut batch, mut with_data) = (Vec::new(), 0);
    let mut buffer = Vec::new();
    while with_data < data_blocks && batch.len() < MAX_BATCH_BLOCKS {
        buffer.resize(BLOCK_BYTES, 0);
        let got = read_full(from, &mut buffer).map_err(XzError::Input)?;
        if got == 0 {
            break;
        }
        if got == BLOCK_BYTES && is_zero(&buffer) {
            batch.push(Raw::Zeros);
        } else {
            buffer.truncate(got);
            batch.push(Raw::Data(std::mem::take(&mut buffer)));
            with_data += 1;
        }
    }
    Ok(batch)
}

/// Encodes blocks on `threads` threads and runs `meanwhile` on this one. Results are in order.
fn encode_all(data: &[&[u8]], threads: usize, meanwhile: impl FnOnce()) -> Vec<Result<Block, XzError>> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(data.len()));
    let worker = || {
        loop {
            let mine = next.fetch_add(1, Ordering::Relaxed);
            let Some(raw) = data.get(mine) else { break };
            let block = Block::encode(raw);
            results.lock().unwrap_or_else(PoisonError::into_inner).push((mine, block));
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads.min(data.len()) {
            scope.spawn(worker);
        }
        meanwhile();
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_by_key(|(i, _)| *i);
    results.into_iter().map(|(_, block)| block).collect()
}

struct Output<'a, W> {
    to: &'a mut W,
    digest: Sha256,
    written: u64,
}

impl<W: Write> Output<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), XzError> {
        self.to.write_all(bytes).map_err(XzError::Output)?;
        self.digest.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Index (section 4) and footer (section 2.1.2).
    fn finish(&mut self, block_count: u64, records: &[u8]) -> Result<(), XzError> {
        let mut index = vec![0];
        push_vli(&mut index, block_count);
        index.extend_from_slice(records);
        index.resize(index.len().next_multiple_of(4), 0);
        let crc = crc32(&index);
        index.extend_from_slice(&crc.to_le_bytes());
        self.write(&index)?;

        let mut sized = (index.len() as u32 / 4 - 1).to_le_bytes().to_vec();
        sized.extend_from_slice(&STREAM_FLAGS);
        self.write(&crc32(&sized).to_le_bytes())?;
        self.write(&sized)?;
        self.write(&FOOTER_MAGIC)?;
        self.to.flush().map_err(XzError::Output)
    }
}
