// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Files as media of the model: raw images, `.xz` (unpacked into a sparse file without a name), block devices.
//!
//! Everything is opened for reading only. Any number of models read one medium at the same time.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use fw_build::{Context as _, Failure, Result};
use fw_image::xz;
use rk3588_model::storage::{Disk, Source};

/// Largest raw image that is unpacked: no board image comes near, and a file that unpacks for ever must end.
const UNPACK_LIMIT_BYTES: u64 = 16 << 30;

/// First bytes of formats that are not disk images, with how to get one.
const PACKED: [(&[u8], &str, &str); 5] = [
    (&[0x1f, 0x8b], "gzip", "gzip -dk"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "zstd", "zstd -dk"),
    (b"BZh", "bzip2", "bzip2 -dk"),
    (b"PK\x03\x04", "zip", "unzip"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip", "7z x"),
];
const XZ: &[u8] = b"\xfd7zXZ\0";

/// A medium.
#[derive(Debug, Clone)]
pub struct Medium {
    file: Arc<File>,
    size_bytes: u64,
    name: String,
}

impl Medium {
    /// Opens a file or device.
    ///
    /// # Errors
    /// It cannot be read, it is empty, damaged, or packed in a way that is not supported.
    pub fn open(path: &Path) -> Result<Medium> {
        let name = path.display().to_string();
        let cannot = || format!("cannot use `{name}` as a disk");
        let mut file = File::open(path).map_err(|e| Failure::new(cannot()).why(e))?;
        if file.metadata()?.is_dir() {
            return Err(Failure::new(cannot()).why("it is a folder"));
        }
        // The length of a block device is where its end is; `metadata` says 0.
        let size_bytes = file.seek(SeekFrom::End(0)).context(cannot())?;
        file.rewind()?;
        let mut head = [0; 8];
        let got = file.read(&mut head).context(cannot())?;
        let head = &head[..got];
        file.rewind()?;
        if let Some((_, format, command)) = PACKED.iter().find(|(magic, ..)| head.starts_with(magic)) {
            return Err(Failure::new(cannot())
                .why(format!("it is packed with {format}; raw images and `.xz` are read"))
                .hint(format!("`{command} {name}` unpacks it")));
        }
        if !head.starts_with(XZ) {
            return Medium::of(file, size_bytes, name);
        }
        let mut raw = tempfile::tempfile()?;
        let size_bytes = xz::decompress_bounded(file, &mut raw, UNPACK_LIMIT_BYTES)
            .map_err(|e| Failure::new(format!("cannot unpack `{name}`")).why(e))?;
        Medium::of(raw, size_bytes, name)
    }

    fn of(file: File, size_bytes: u64, name: String) -> Result<Medium> {
        if size_bytes == 0 {
            return Err(Failure::new(format!("cannot use `{name}` as a disk")).why("it is empty"));
        }
        Ok(Medium { file: Arc::new(file), size_bytes, name })
    }

    /// Size in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// What was opened.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Bytes from `offset_bytes` on, as many of `length_bytes` as there are.
    ///
    /// # Errors
    /// The medium cannot be read.
    pub fn read(&self, offset_bytes: u64, length_bytes: u64) -> Result<Vec<u8>> {
        let length = length_bytes.min(self.size_bytes.saturating_sub(offset_bytes));
        let mut bytes = vec![0; length as usize];
        self.file.read_exact_at(&mut bytes, offset_bytes).context(format!("cannot read `{}`", self.name))?;
        Ok(bytes)
    }

    /// A reader with a position of its own.
    pub fn reader(&self) -> Reader {
        Reader { medium: self.clone(), position: 0 }
    }

    /// The medium in the model: a card of a size that cards have.
    pub fn disk(&self) -> Disk {
        // A card's size is counted in units of 512 KiB (SD specification, CSD version 2).
        Disk::new(Shared(Arc::clone(&self.file)), self.size_bytes)
            .grown_to(self.size_bytes.next_multiple_of(512 << 10))
    }
}

/// Reads at an offset, without a position that threads would share.
struct Shared(Arc<File>);

impl Source for Shared {
    fn read_at(&mut self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read_exact_at(out, offset)
    }
}

/// A medium as a file.
#[derive(Debug)]
pub struct Reader {
    medium: Medium,
    position: u64,
}

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let got = FileExt::read_at(&*self.medium.file, buf, self.position)?;
        self.position += got as u64;
        Ok(got)
    }
}

/// The FAT library asks for a writer even to read. Nothing is written.
impl Write for Reader {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.medium.size_bytes.checked_add_signed(by),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
        };
        self.position = target.ok_or(std::io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn must_fail_what_is_no_disk() {
        let dir = tempfile::tempdir().expect("folder");
        let open = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            fs_err::write(&path, bytes).expect("written");
            Medium::open(&path).expect_err(name).to_string()
        };
        assert!(open("a", b"").contains("it is empty"));
        assert!(open("b", b"\x28\xb5\x2f\xfd....").contains("zstd -dk"));
        assert!(open("c", b"\xfd7zXZ\0 and no more").contains("cannot unpack"));
        assert!(Medium::open(dir.path()).expect_err("folder").to_string().contains("it is a folder"));
        assert!(Medium::open(&dir.path().join("none")).is_err());
    }

    #[test]
    fn a_packed_image_reads_as_its_raw_bytes_and_cards_are_whole_units() {
        let dir = tempfile::tempdir().expect("folder");
        let (raw, packed) = (dir.path().join("raw"), dir.path().join("raw.xz"));
        let bytes: Vec<u8> = (0..700_u32).flat_map(u32::to_le_bytes).collect();
        fs_err::write(&raw, &bytes).expect("written");
        xz::compress(&mut &bytes[..], &mut File::create(&packed).expect("made"), 1).expect("packed");
        for path in [&raw, &packed] {
            let medium = Medium::open(path).expect("opened");
            assert_eq!(medium.size_bytes(), 2800);
            assert_eq!(medium.read(2796, 100).expect("read"), 699_u32.to_le_bytes());
            let mut disk = medium.disk();
            assert_eq!(disk.size_bytes(), 512 << 10);
            let mut four = [0; 4];
            assert!(disk.read_bytes(400, &mut four));
            assert_eq!(u32::from_le_bytes(four), 100);
        }
    }
}
