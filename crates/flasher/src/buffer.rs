// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Memory that direct I/O accepts.

use std::ops::{Deref, DerefMut};

/// Direct I/O wants memory, offset and length aligned to the medium's logical block: 512 or 4096 bytes.
pub const ALIGN_BYTES: usize = 4096;

/// Zeroed memory of a given length that begins at a multiple of [`ALIGN_BYTES`].
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Buffer {
    /// `length` zero bytes.
    #[must_use]
    pub fn zeroed(length: usize) -> Buffer {
        let bytes = vec![0; length + ALIGN_BYTES];
        // The vector is never resized, so its memory stays where it is.
        let start = bytes.as_ptr().align_offset(ALIGN_BYTES);
        Buffer { bytes, start, length }
    }

    /// Whether all bytes are zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        is_zero(self)
    }
}

/// Whether all bytes are zero.
#[must_use]
pub fn is_zero(bytes: &[u8]) -> bool {
    // By chunks, so that the compiler uses wide registers.
    let chunks = bytes.chunks_exact(32);
    chunks.remainder().iter().all(|&b| b == 0) && chunks.into_iter().all(|c| c == [0; 32])
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_aligned_and_has_its_length() {
        for length in [1, 512, 4096, 1 << 20] {
            let mut buffer = Buffer::zeroed(length);
            assert_eq!((buffer.as_ptr() as usize % ALIGN_BYTES, buffer.len()), (0, length));
            assert!(buffer.is_zero());
            buffer[length - 1] = 1;
            assert!(!buffer.is_zero());
        }
    }
}
