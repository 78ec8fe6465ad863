// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A part of a disk image seen as a file of its own: lets the FAT and xfs readers work on a partition
//! inside an image. Must not reach outside its range.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// The bytes `[start_bytes, start_bytes + length_bytes)` of `inner`.
#[derive(Debug)]
pub struct Window<T> {
    inner: T,
    start_bytes: u64,
    length_bytes: u64,
    position: u64,
}

impl<T: Seek> Window<T> {
    /// A window on `inner`; nothing is read yet.
    pub fn new(inner: T, start_bytes: u64, length_bytes: u64) -> Window<T> {
        Window { inner, start_bytes, length_bytes, position: 0 }
    }

    /// Seeks the inner file to the position and cuts `wanted` at the end of the window.
    fn prepare(&mut self, wanted: usize) -> io::Result<usize> {
        let left = self.length_bytes.saturating_sub(self.position);
        // Beyond the window nothing is read or written; a damaged file system may seek there all the same.
        self.inner.seek(SeekFrom::Start(self.start_bytes.saturating_add(self.position)))?;
        Ok(usize::try_from(left).unwrap_or(usize::MAX).min(wanted))
    }
}

impl<T: Read + Seek> Read for Window<T> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let take = self.prepare(buf.len())?;
        let done = self.inner.read(&mut buf[..take])?;
        self.position += done as u64;
        Ok(done)
    }
}

impl<T: Write + Seek> Write for Window<T> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let take = self.prepare(buf.len())?;
        let done = self.inner.write(&buf[..take])?;
        self.position += done as u64;
        Ok(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T> Seek for Window<T> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.length_bytes.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        let before_start =
            || io::Error::new(io::ErrorKind::InvalidInput, "seek before the start of the window");
        self.position = target.ok_or_else(before_start)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stays_inside() {
        let mut disk = io::Cursor::new(b"0123456789".to_vec());
        let mut window = Window::new(&mut disk, 3, 4);
        let mut text = String::new();
        window.read_to_string(&mut text).unwrap();
        assert_eq!(text, "3456");
        window.seek(SeekFrom::End(-1)).unwrap();
        assert_eq!(window.write(b"xy").unwrap(), 1, "cut at the end of the window");
        assert!(window.seek(SeekFrom::Current(-9)).is_err());
        window.seek(SeekFrom::Start(u64::MAX - 1)).unwrap();
        assert_eq!(window.read(&mut [0; 4]).unwrap(), 0, "far beyond its end");
        assert_eq!(disk.into_inner(), b"012345x789");
    }
}
