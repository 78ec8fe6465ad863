// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Opens what a user names: a raw image, a device, or an image in `.xz`, `.zst` or `.gz`, which is unpacked into a
//! nameless sparse file. Memory stays bounded, and so does the disk space that a decompression bomb can take.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use liblzma::stream::{CONCATENATED, Stream};
use serde::Serialize;

use crate::source::FileSource;

/// What the file is packed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Container {
    /// Nothing: the bytes themselves, or a device.
    Raw,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
    /// gzip.
    Gzip,
}

impl Container {
    /// What a file that begins so is packed with.
    pub fn of(begin: &[u8]) -> Container {
        if begin.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
            Container::Xz
        } else if begin.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Container::Zstd
        } else if begin.starts_with(&[0x1f, 0x8b, 8]) {
            Container::Gzip
        } else {
            Container::Raw
        }
    }
}

/// Archives by their first bytes, and what unpacks them (APPNOTE.TXT 4.3.7; 7zFormat.txt; RAR 5.0 archive format;
/// bzip2's and LZ4's own headers).
const ARCHIVES: [(&str, &str, &[u8]); 5] = [
    ("zip", "unzip", b"PK\x03\x04"),
    ("7z", "7z x", b"7z\xbc\xaf\x27\x1c"),
    ("rar", "unrar x", b"Rar!\x1a\x07"),
    ("bzip2", "bunzip2", b"BZh"),
    ("lz4", "unlz4", &[0x04, 0x22, 0x4d, 0x18]),
];

/// How much is unpacked at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Size of the unpacked image, holes included.
    pub image_bytes: u64,
    /// Bytes that are not holes.
    pub data_bytes: u64,
}

impl Limits {
    /// For a packed file of this size: images of 64 GiB; as many bytes that are not zero as the best compressors get
    /// out of real file systems (a factor of 100), and a gigabyte that may be filled with one pattern.
    pub fn of(packed_bytes: u64) -> Limits {
        Limits { image_bytes: 64 << 30, data_bytes: (1 << 30) + packed_bytes.saturating_mul(100) }
    }
}

/// Why a file cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read, or the unpacked image cannot be kept.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It unpacks to more than anybody's card.
    #[error("it unpacks to more than {limit_bytes} bytes {what}")]
    Bomb {
        /// The limit.
        limit_bytes: u64,
        /// `in all`, or `that are not zero`.
        what: &'static str,
    },
    /// Files are in it, not the bytes of a medium.
    #[error("it is a {form} archive, which holds files and is not unpacked here")]
    Archive {
        /// Its form.
        form: &'static str,
        /// The program that unpacks it.
        command: &'static str,
    },
}

/// An opened image.
#[derive(Debug)]
pub struct Opened {
    /// Its bytes.
    pub source: FileSource,
    /// What it was packed with.
    pub container: Container,
    /// Why the stream ended early, if it did: what came before is in [`Opened::source`].
    pub damage: Option<String>,
}

/// Bytes handled at once; zero blocks of [`HOLE_BYTES`] are not written.
const BUFFER_BYTES: usize = 1 << 20;
const HOLE_BYTES: usize = 4096;
/// What the xz decoder may use: `xz -9` needs 65 MiB.
const XZ_MEMORY_BYTES: u64 = 256 << 20;
/// The largest window that is accepted, as a logarithm: 128 MiB, zstd's own limit without `--long`.
const ZSTD_WINDOW_LOG: u32 = 27;

/// Opens a file; calls `progress` with the unpacked bytes so far.
///
/// # Errors
/// See [`OpenError`]. A stream that is damaged or cut is no error: see [`Opened::damage`].
pub fn open(mut file: File, limits: &Limits, progress: &mut dyn FnMut(u64)) -> Result<Opened, OpenError> {
    file.seek(SeekFrom::Start(0))?;
    let mut begin = Vec::new();
    (&file).take(8).read_to_end(&mut begin)?;
    file.seek(SeekFrom::Start(0))?;
    if let Some((form, command, _)) = ARCHIVES.iter().find(|(.., magic)| begin.starts_with(magic)) {
        return Err(OpenError::Archive { form, command });
    }
    let container = Container::of(&begin);
    let input = io::BufReader::with_capacity(BUFFER_BYTES, &file);
    let mut decoder: Box<dyn Read> = match container {
        Container::Raw => {
            return Ok(Opened { source: FileSource::new(file)?, container, damage: None });
        }
        Container::Xz => {
            let stream =
                Stream::new_stream_decoder(XZ_MEMORY_BYTES, CONCATENATED).map_err(io::Error::other)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Container::Zstd => {
            let mut decoder = zstd::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
        Container::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
    };
    // No name: it is gone with the process, however that ends.
    let mut unpacked = tempfile::tempfile()?;
    let damage = unpack(&mut decoder, &mut unpacked, limits, progress)?;
    drop(decoder);
    Ok(Opened { source: FileSource::new(unpacked)?, container, damage })
}

fn unpack(
    from: &mut dyn Read,
    to: &mut File,
    limits: &Limits,
    progress: &mut dyn FnMut(u64),
) -> Result<Option<String>, OpenError> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut image_bytes, mut data_bytes) = (0_u64, 0_u64);
    let damage = loop {
        let (got, end) = fill(from, &mut buffer);
        for block in buffer[..got].chunks(HOLE_BYTES) {
            if block.iter().any(|b| *b != 0) {
                to.seek(SeekFrom::Start(image_bytes))?;
                to.write_all(block)?;
                data_bytes += block.len() as u64;
            }
            image_bytes += block.len() as u64;
        }
        if image_bytes > limits.image_bytes {
            return Err(OpenError::Bomb { limit_bytes: limits.image_bytes, what: "in all" });
        }
        if data_bytes > limits.data_bytes {
            return Err(OpenError::Bomb { limit_bytes: limits.data_bytes, what: "that are not zero" });
        }
        progress(image_bytes);
        match end {
            None => {}
            Some(Ok(())) => break None,
            Some(Err(e)) => break Some(e.to_string()),
        }
    };
    // A hole at the end has not been written.
    to.set_len(image_bytes)?;
    Ok(damage)
}

/// Fills the buffer; says with how many bytes, and whether and how the stream has ended.
fn fill(from: &mut dyn Read, buffer: &mut [u8]) -> (usize, Option<io::Result<()>>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => return (filled, Some(Ok(()))),
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return (filled, Some(Err(e))),
        }
    }
    (filled, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Source, bytes};

    fn file(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn sample() -> Vec<u8> {
        let mut image = vec![0; 3 << 20];
        image[5000..5004].copy_from_slice(b"data");
        image
    }

    fn xz(content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        liblzma::read::XzEncoder::new(content, 1).read_to_end(&mut out).unwrap();
        out
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::read::GzEncoder::new(content, flate2::Compression::fast()).read_to_end(&mut out).unwrap();
        out
    }

    fn opened(packed: &[u8], limits: &Limits) -> Result<Opened, OpenError> {
        open(file(packed), limits, &mut |_| {})
    }

    #[test]
    fn every_container_gives_the_same_bytes() {
        let image = sample();
        let zstd = zstd::bulk::compress(&image, 1).unwrap();
        for (packed, container) in [
            (image.clone(), Container::Raw),
            (xz(&image), Container::Xz),
            (zstd, Container::Zstd),
            (gzip(&image), Container::Gzip),
        ] {
            let found = opened(&packed, &Limits::of(packed.len() as u64)).unwrap();
            assert_eq!((found.container, found.damage.as_deref()), (container, None));
            assert_eq!(found.source.size_bytes(), image.len() as u64);
            assert!(bytes(&found.source, 0, image.len()).unwrap() == image);
        }
    }

    #[test]
    fn a_cut_stream_says_so_and_gives_its_begin() {
        // Not compressible, so that half of the file is half of the content.
        let mut state = 1_u32;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(4 << 20)
        .collect();
        for packed in [xz(&noise), gzip(&noise), zstd::bulk::compress(&noise, 1).unwrap()] {
            let found = opened(&packed[..packed.len() / 2], &Limits::of(1 << 20)).unwrap();
            assert!(found.damage.is_some());
            let size = found.source.size_bytes() as usize;
            assert!(size >= 1 << 20 && size < noise.len(), "{size}");
            assert!(bytes(&found.source, 0, size).unwrap() == noise[..size]);
        }
    }

    #[test]
    fn must_fail_bombs() {
        let limits = Limits { image_bytes: 2 << 20, data_bytes: 1 << 20 };
        let zeros = opened(&gzip(&vec![0; 4 << 20]), &limits).unwrap_err();
        assert!(matches!(zeros, OpenError::Bomb { what: "in all", .. }), "{zeros}");
        let filled = opened(&xz(&vec![7; 2 << 20]), &limits).unwrap_err();
        assert!(matches!(filled, OpenError::Bomb { what: "that are not zero", .. }), "{filled}");
    }
}
