// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any `.xz` file into a sparse file.

use std::fs::File;
use std::io::Read;

use liblzma::read::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

use super::{BLOCK_BYTES, XzError};
use crate::disk::{read_full, write_nonzero};

/// What the decoder may use: `xz -9` needs 65 MiB.
const MEMORY_LIMIT_BYTES: u64 = 256 << 20;

/// Decompresses all of `from` into `to`, which is emptied first; zero blocks become holes. Returns the
/// size of the raw data. liblzma verifies every check on the way.
///
/// # Errors
/// See [`XzError`]; damaged, truncated or trailing data is an [`XzError::Input`].
pub fn decompress<R: Read>(from: R, to: &mut File) -> Result<u64, XzError> {
    decompress_bounded(from, to, u64::MAX)
}

/// The same for files from anywhere: a file that unpacks to more than `limit_bytes` is refused, after at most
/// that much was written.
///
/// # Errors
/// As [`decompress`], and [`XzError::TooLarge`].
pub fn decompress_bounded<R: Read>(from: R, to: &mut File, limit_bytes: u64) -> Result<u64, XzError> {
    let stream = Stream::new_stream_decoder(MEMORY_LIMIT_BYTES, CONCATENATED)?;
    let mut decoder = XzDecoder::new_stream(from, stream);
    to.set_len(0).map_err(XzError::Output)?;
    let mut buffer = vec![0; BLOCK_BYTES];
    let mut raw_bytes = 0;
    loop {
        let got = read_full(&mut decoder, &mut buffer).map_err(XzError::Input)?;
        if got == 0 {
            break;
        }
        if limit_bytes - raw_bytes < got as u64 {
            return Err(XzError::TooLarge(limit_bytes));
        }
        write_nonzero(&buffer[..got], to, raw_bytes).map_err(XzError::Output)?;
        raw_bytes += got as u64;
    }
    // A hole at the end has not been written.
    to.set_len(raw_bytes).map_err(XzError::Output)?;
    Ok(raw_bytes)
}
