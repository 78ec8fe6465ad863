// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Copying with holes: a zero range is skipped instead of written. Must only be used on a destination
//! whose bytes are zero already (a fresh file), since skipped ranges keep what they have.

use std::io::{self, Read, Seek, SeekFrom, Write};

use sha2::{Digest, Sha256};

/// Aligned zero ranges of this many bytes become holes: the block size of the usual file systems.
pub const HOLE_BYTES: usize = 4096;

/// Bytes read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Copies all of `from` to `to` at `start_bytes`, leaving out zero blocks, and feeds every byte to
/// `digest`. Returns the number of bytes.
///
/// # Errors
/// I/O errors of either side.
pub fn copy_sparse<R: Read, W: Write + Seek>(
    from: &mut R,
    to: &mut W,
    start_bytes: u64,
    digest: &mut Sha256,
) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut done_bytes = 0;
    loop {
        let got = read_full(from, &mut buffer)?;
        if got == 0 {
            return Ok(done_bytes);
        }
        digest.update(&buffer[..got]);
        write_nonzero(&buffer[..got], to, start_bytes + done_bytes)?;
        done_bytes += got as u64;
    }
}

/// Writes `bytes` at `at_bytes`, except blocks of zeros. Neighbouring blocks go out in one write.
pub(crate) fn write_nonzero<W: Write + Seek>(bytes: &[u8], to: &mut W, at_bytes: u64) -> io::Result<()> {
    // Holes are counted from the start of the file, so that they match its blocks.
    let lead = ((HOLE_BYTES as u64 - at_bytes % HOLE_BYTES as u64) % HOLE_BYTES as u64) as usize;
    let (head, body) = bytes.split_at(lead.min(bytes.len()));
    let mut run_start = 0;
    let mut at = 0;
    for block in std::iter::once(head).chain(body.chunks(HOLE_BYTES)) {
        let end = at + block.len();
        if is_zero(block) {
            write_at(&bytes[run_start..at], to, at_bytes + run_start as u64)?;
            run_start = end;
        }
        at = end;
    }
    write_at(&bytes[run_start..], to, at_bytes + run_start as u64)
}

fn write_at<W: Write + Seek>(bytes: &[u8], to: &mut W, at_bytes: u64) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    to.seek(SeekFrom::Start(at_bytes))?;
    to.write_all(bytes)
}

/// Whether all bytes are zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    // Comparing by chunks lets the compiler use wide registers.
    let chunks = bytes.chunks_exact(32);
    chunks.remainder().iter().all(|&b| b == 0) && chunks.into_iter().all(|c| c == [0; 32])
}

/// Reads until `buffer` is full or the source ends; returns the number of bytes.
pub(crate) fn read_full<R: Read>(from: &mut R, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A destination that remembers where it was written.
    #[derive(Default)]
    struct Recorder {
        at: u64,
        writes: Vec<(u64, usize)>,
    }

    impl Write for Recorder {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            self.writes.push((self.at, buf.len()));
            self.at += buf.len() as u64;
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Seek for Recorder {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            if let SeekFrom::Start(at) = to {
                self.at = at;
            }
            Ok(self.at)
        }
    }

    #[test]
    fn zero_blocks_are_not_written() {
        let mut data = vec![0; 5 * HOLE_BYTES];
        data[0] = 1;
        data[3 * HOLE_BYTES - 1] = 1;
        let mut to = Recorder::default();
        let mut digest = Sha256::new();
        assert_eq!(copy_sparse(&mut &data[..], &mut to, 0, &mut digest).unwrap(), data.len() as u64);
        assert_eq!(to.writes, [(0, HOLE_BYTES), (2 * HOLE_BYTES as u64, HOLE_BYTES)]);
        assert_eq!(digest.finalize(), Sha256::digest(&data));
    }

    #[test]
    fn blocks_follow_the_files_alignment() {
        let mut data = vec![0; 2 * HOLE_BYTES];
        data[HOLE_BYTES] = 1; // in the block of the file that starts 512 bytes before
        let mut to = Recorder::default();
        write_nonzero(&data, &mut to, 512).unwrap();
        assert_eq!(to.writes, [(HOLE_BYTES as u64, HOLE_BYTES)]);
    }
}
