// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads back what was written, while more is being written, and repairs it once.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;

use sha2::{Digest, Sha256};

use crate::CHUNK_BYTES;
use crate::buffer::Buffer;
use crate::medium::Medium;
use crate::progress::Progress;
use crate::write::{Error, read_all, write_all};

/// With a cache in between, a flush comes before each read back: so many chunks share one.
const BATCH: usize = 16;
/// The journal hears of progress every so many chunks.
const JOURNAL_EVERY: u64 = 32;

/// A chunk on its way from the writer.
pub(crate) struct Written {
    /// Its number.
    pub(crate) chunk: u64,
    /// What must be there; none when it was read and found right already.
    pub(crate) bytes: Option<Buffer>,
}

/// So many chunks are read a second time at the end.
const SAMPLES: usize = 64;

/// Digests of chunks with data, to be looked at again when all is written.
#[derive(Default)]
pub(crate) struct Sample(Vec<(u64, [u8; 32], usize)>);

impl Sample {
    /// Reads some of them again. A medium that is smaller than it says takes later chunks in the place of earlier
    /// ones, which were right when they were read back.
    ///
    /// # Errors
    /// [`Error::ReadBack`] and [`Error::Counterfeit`].
    pub(crate) fn look_again(&self, medium: &dyn Medium) -> Result<(), Error> {
        let mut scratch = Buffer::zeroed(CHUNK_BYTES);
        for (chunk, digest, length) in self.0.iter().step_by(self.0.len().div_ceil(SAMPLES).max(1)) {
            let (offset, there) = (chunk * CHUNK_BYTES as u64, &mut scratch[..*length]);
            medium.settle(offset, *length as u64).map_err(|e| Error::write(offset, e))?;
            read_all(medium, there, offset).map_err(|e| Error::read_back(offset, e))?;
            if <[u8; 32]>::from(Sha256::digest(there)) != *digest {
                return Err(Error::Counterfeit { offset_bytes: offset });
            }
        }
        Ok(())
    }
}

/// Takes chunks in order until the writer is done. `journal` hears the number of chunks that are right.
///
/// # Errors
/// [`Error::ReadBack`] and [`Error::Differs`].
pub(crate) fn run(
    medium: &dyn Medium,
    chunks: &Receiver<Written>,
    progress: &Progress,
    journal: &mut (dyn FnMut(u64) + Send),
) -> Result<Sample, Error> {
    let mut sample = Sample::default();
    let mut scratch = Buffer::zeroed(CHUNK_BYTES);
    while let Ok(first) = chunks.recv() {
        let mut batch = vec![first];
        batch.extend(chunks.try_iter().take(BATCH - 1));
        let span = |w: &Written| w.bytes.as_ref().map(|b| (w.chunk * CHUNK_BYTES as u64, b.len() as u64));
        let written: Vec<_> = batch.iter().filter_map(span).collect();
        if let (Some((from, _)), Some((to, length))) = (written.first(), written.last()) {
            let settled = medium.settle(*from, to + length - from);
            settled.map_err(|e| Error::write(*from, e))?;
        }
        for Written { chunk, bytes } in batch {
            let length = bytes.as_ref().map_or(CHUNK_BYTES, |b| b.len());
            if let Some(bytes) = &bytes {
                check(medium, bytes, chunk * CHUNK_BYTES as u64, &mut scratch, progress)?;
                if !bytes.is_zero() {
                    sample.0.push((chunk, Sha256::digest(&**bytes).into(), length));
                }
            }
            Progress::add(&progress.verified_bytes, length as u64);
            if chunk.is_multiple_of(JOURNAL_EVERY) {
                journal(chunk + 1);
            }
        }
    }
    Ok(sample)
}

/// Compares; on a difference writes the chunk once more and compares again.
///
/// # Errors
/// [`Error::ReadBack`], [`Error::Write`] and [`Error::Differs`].
pub(crate) fn check(
    medium: &dyn Medium,
    bytes: &Buffer,
    offset_bytes: u64,
    scratch: &mut Buffer,
    progress: &Progress,
) -> Result<(), Error> {
    let mut difference = |offset: u64| -> Result<Option<u64>, Error> {
        let there = &mut scratch[..bytes.len()];
        read_all(medium, there, offset).map_err(|e| Error::read_back(offset, e))?;
        if *there == **bytes {
            return Ok(None);
        }
        let first = there.iter().zip(bytes.iter()).position(|(a, b)| a != b).unwrap_or_default();
        Ok(Some(offset + first as u64))
    };
    if difference(offset_bytes)?.is_none() {
        return Ok(());
    }
    progress.rewritten_chunks.fetch_add(1, Ordering::Relaxed);
    write_all(medium, bytes, offset_bytes).map_err(|e| Error::write(offset_bytes, e))?;
    medium.settle(offset_bytes, bytes.len() as u64).map_err(|e| Error::write(offset_bytes, e))?;
    match difference(offset_bytes)? {
        None => Ok(()),
        Some(at) => Err(Error::Differs { offset_bytes: at }),
    }
}

/// Whether an error means that the medium is not there any more: `ENODEV`, `ENXIO`, and Linux's `ENOMEDIUM`.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [
        Errno::NODEV,
        Errno::NXIO,
        #[cfg(target_os = "linux")]
        Errno::NOMEDIUM,
    ]
    .iter()
    .any(|e| error.raw_os_error() == Some(e.raw_os_error()))
}
