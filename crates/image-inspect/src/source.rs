// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where bytes come from: a file, a device, a decompressed stream, memory, or one of these with other bytes laid over.
//! Must not know what the bytes are.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// Bytes with random access. Reading never moves a position, so that many readers can share one.
pub trait Source {
    /// Size in bytes.
    fn size_bytes(&self) -> u64;

    /// Fills `buffer` from `offset_bytes` on.
    ///
    /// # Errors
    /// The range is not all there, or the medium cannot be read.
    fn read_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// The first byte at or after `offset_bytes` that may be other than zero: lets a reader step over holes.
    fn next_data(&self, offset_bytes: u64) -> u64 {
        offset_bytes
    }
}

/// A part of a source as bytes of its own.
///
/// # Errors
/// As [`Source::read_at`].
pub fn bytes(source: &dyn Source, offset_bytes: u64, length_bytes: usize) -> io::Result<Vec<u8>> {
    let end = offset_bytes.checked_add(length_bytes as u64);
    if end.is_none_or(|end| end > source.size_bytes()) {
        return Err(past_end());
    }
    let mut buffer = vec![0; length_bytes];
    source.read_at(offset_bytes, &mut buffer)?;
    Ok(buffer)
}

fn past_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the range lies past the end")
}

/// A regular file or a block device.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    size_bytes: u64,
}

impl FileSource {
    /// Takes an opened file; a block device's size is where its end is.
    ///
    /// # Errors
    /// Its size cannot be found.
    pub fn new(mut file: File) -> io::Result<FileSource> {
        let size_bytes = file.seek(SeekFrom::End(0))?;
        // macOS does not say the size of a disk in this way.
        if size_bytes == 0 && !file.metadata()?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "the system does not say how large it is",
            ));
        }
        Ok(FileSource { file, size_bytes })
    }
}

impl Source for FileSource {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset_bytes)
    }

    fn next_data(&self, offset_bytes: u64) -> u64 {
        use rustix::fs::{SeekFrom, seek};
        match seek(&self.file, SeekFrom::Data(offset_bytes)) {
            Ok(at) => at.max(offset_bytes),
            // There is no data up to the end.
            Err(rustix::io::Errno::NXIO) => self.size_bytes.max(offset_bytes),
            // A device, or a file system without holes.
            Err(_) => offset_bytes,
        }
    }
}

impl Source for &[u8] {
    fn size_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset_bytes).map_err(|_| past_end())?;
        let end = start.checked_add(buffer.len()).ok_or_else(past_end)?;
        buffer.copy_from_slice(self.get(start..end).ok_or_else(past_end)?);
        Ok(())
    }
}

/// A source with other bytes laid over it, and perhaps another size. What is laid over stays in memory.
pub struct Overlay<'a> {
    base: &'a dyn Source,
    size_bytes: u64,
    patches: BTreeMap<u64, Vec<u8>>,
}

impl<'a> Overlay<'a> {
    /// Nothing is changed yet.
    pub fn new(base: &'a dyn Source) -> Overlay<'a> {
        Overlay { base, size_bytes: base.size_bytes(), patches: BTreeMap::new() }
    }

    /// Cuts the source, or lengthens it with zeros.
    pub fn resize(&mut self, size_bytes: u64) {
        self.size_bytes = size_bytes;
    }

    /// Lays `bytes` over what is there; later ones win.
    pub fn put(&mut self, offset_bytes: u64, bytes: &[u8]) {
        // Cut out of older patches what is written now, so that patches never overlap.
        let end = offset_bytes + bytes.len() as u64;
        let older: Vec<u64> = self.patches.range(..end).map(|(at, _)| *at).collect();
        for at in older {
            let old_end = at + self.patches[&at].len() as u64;
            if old_end <= offset_bytes {
                continue;
            }
            let Some(old) = self.patches.remove(&at) else { continue };
            if at < offset_bytes {
                self.patches.insert(at, old[..(offset_bytes - at) as usize].to_vec());
            }
            if old_end > end {
                self.patches.insert(end, old[(end - at) as usize..].to_vec());
            }
        }
        self.patches.insert(offset_bytes, bytes.to_vec());
    }

    /// Flips one bit.
    ///
    /// # Errors
    /// The byte cannot be read.
    pub fn flip(&mut self, offset_bytes: u64, bit: u8) -> io::Result<()> {
        let mut byte = [0];
        self.read_at(offset_bytes, &mut byte)?;
        self.put(offset_bytes, &[byte[0] ^ 1 << (bit & 7)]);
        Ok(())
    }
}

impl Source for Overlay<'_> {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn read_at(&self, offset_bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset_bytes.checked_add(buffer.len() as u64).filter(|end| *end <= self.size_bytes);
        let end = end.ok_or_else(past_end)?;
        let base_end = self.base.size_bytes().clamp(offset_bytes, end);
        let (below, beyond) = buffer.split_at_mut((base_end - offset_bytes) as usize);
        if !below.is_empty() {
            self.base.read_at(offset_bytes, below)?;
        }
        beyond.fill(0);
        for (at, patch) in self.patches.range(..end) {
            let (from, to) = ((*at).max(offset_bytes), (at + patch.len() as u64).min(end));
            if from < to {
                buffer[(from - offset_bytes) as usize..(to - offset_bytes) as usize]
                    .copy_from_slice(&patch[(from - at) as usize..(to - at) as usize]);
            }
        }
        Ok(())
    }

    fn next_data(&self, offset_bytes: u64) -> u64 {
        let below = self.base.next_data(offset_bytes);
        // A patch that covers the place, or the next one.
        let patch = self.patches.iter().find(|(at, p)| **at + p.len() as u64 > offset_bytes);
        patch.map_or(below, |(at, _)| below.min((*at).max(offset_bytes)))
    }
}

/// A reader with a position, for the parsers that want `Read + Seek`.
#[derive(Clone)]
pub struct Cursor<'a> {
    source: &'a dyn Source,
    position: u64,
}

impl<'a> Cursor<'a> {
    /// At the first byte.
    pub fn new(source: &'a dyn Source) -> Cursor<'a> {
        Cursor { source, position: 0 }
    }
}

impl Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.source.size_bytes().saturating_sub(self.position);
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        self.source.read_at(self.position, &mut buffer[..take])?;
        self.position += take as u64;
        Ok(take)
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.source.size_bytes().checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        let before = || io::Error::new(io::ErrorKind::InvalidInput, "seek before the start");
        self.position = target.ok_or_else(before)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_shows_the_last_bytes_laid_over() {
        let base: &[u8] = b"0123456789";
        let mut overlay = Overlay::new(&base);
        overlay.put(2, b"abcdef");
        overlay.put(4, b"XY");
        overlay.flip(9, 0).unwrap();
        assert_eq!(bytes(&overlay, 0, 10).unwrap(), b"01abXYef88");
        overlay.resize(12);
        assert_eq!(bytes(&overlay, 8, 4).unwrap(), b"88\0\0");
        overlay.resize(9);
        assert!(bytes(&overlay, 8, 2).is_err(), "cut");
        let mut text = String::new();
        Cursor::new(&overlay).read_to_string(&mut text).unwrap();
        assert_eq!(text, "01abXYef8");
    }

    #[test]
    fn holes_are_stepped_over_but_not_patches() {
        let mut file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        io::Write::write_all(&mut file, b"x").unwrap();
        let source = FileSource::new(file).unwrap();
        let mut overlay = Overlay::new(&source);
        let after = source.next_data(1 << 19);
        assert!(after == 1 << 20 || after == 1 << 19, "a file system without holes says the second");
        overlay.put(700_000, b"y");
        assert!(overlay.next_data(1 << 19) <= 700_000);
        assert_eq!(overlay.next_data(0), 0);
    }
}
