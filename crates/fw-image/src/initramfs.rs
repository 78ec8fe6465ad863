// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The initramfs file: compressed cpio archives, one behind the other.
//!
//! Talos names it `initramfs.xz` and compresses it with zstd; older releases really used xz, and its
//! imager appends further segments. The kernel (`init/initramfs.c`) unpacks them in order, skipping zero
//! bytes between them; so does [`segments`]. This module must not decide what belongs into the archive.

use std::io::{self, Read, Write};

use crate::cpio;

/// Upper limit of one unpacked segment: a member cannot be larger, and a damaged or hostile header must
/// not fill the memory.
const SEGMENT_LIMIT_BYTES: u64 = 4 << 30;
/// Talos's imager appends one segment for all extensions; distributions prepend two.
const SEGMENT_COUNT_LIMIT: usize = 64;
/// What the xz decoder may use: `xz -9` needs 65 MiB.
const XZ_MEMORY_BYTES: u64 = 256 << 20;
/// Input bytes per compression job. Fixed, because zstd's output depends on it.
const JOB_BYTES: u32 = 8 << 20;

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const XZ_MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

/// Why an initramfs could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A segment starts with none of the known magics.
    #[error("initramfs segment at {offset_bytes:#x} starts with `{found}`: neither zstd, xz nor cpio")]
    Magic {
        /// From the start of the file.
        offset_bytes: usize,
        /// The first bytes, made printable.
        found: String,
    },
    /// A segment does not decompress: truncated, damaged, or larger than 4 GiB.
    #[error("initramfs segment at {offset_bytes:#x} does not decompress as {compression:?}: {source}")]
    Damaged {
        /// From the start of the file.
        offset_bytes: usize,
        /// How it is packed.
        compression: Compression,
        /// What the decoder said.
        source: io::Error,
    },
    /// The archive inside is not what it should be.
    #[error("initramfs: {0}")]
    Cpio(#[from] cpio::Error),
    /// More segments than anybody writes.
    #[error("initramfs has more than {SEGMENT_COUNT_LIMIT} segments")]
    TooMany,
    /// A file without any segment.
    #[error("initramfs is empty")]
    Empty,
}

/// How a segment is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A plain cpio archive, as microcode is prepended.
    None,
    /// One zstd frame.
    Zstd,
    /// One xz stream.
    Xz,
}

/// One segment, unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// How it is packed in the file.
    pub compression: Compression,
    /// First byte in the file.
    pub offset_bytes: usize,
    /// Length in the file.
    pub size_bytes: usize,
    /// The cpio archive, or several, in it.
    pub archive: Vec<u8>,
}

impl Segment {
    /// Members of all archives in the segment, in order.
    pub fn members(&self) -> Result<Vec<cpio::Member<'_>>, Error> {
        let mut all = Vec::new();
        let mut rest = self.archive.as_slice();
        loop {
            let (members, end) = cpio::read(rest)?;
            all.extend(members);
            rest = skip_zeroes(&rest[end..]);
            if rest.is_empty() {
                return Ok(all);
            }
        }
    }
}

/// Compresses an archive into one zstd frame with checksum and content size.
///
/// The same bytes come out for any `threads`: zstd's multi-threaded mode is always used (at least one
/// worker), it cuts the input into jobs of a size fixed here and not by the number of workers, and each
/// job's output depends on its input alone. The level and the version of the zstd library do matter:
/// the first is the caller's, the second is in `Cargo.lock`.
///
/// Levels up to 19 keep the window at 8 MiB, which the kernel can stream; Talos uses 18.
pub fn compress(archive: &[u8], level: i32, threads: u32) -> io::Result<Vec<u8>> {
    use zstd::zstd_safe::CParameter;
    let mut encoder = zstd::Encoder::new(Vec::new(), level)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(archive.len() as u64))?;
    encoder.set_parameter(CParameter::NbWorkers(threads.max(1)))?;
    encoder.set_parameter(CParameter::JobSize(JOB_BYTES))?;
    encoder.write_all(archive)?;
    encoder.finish()
}

/// Unpacks all segments of an initramfs file of our own.
pub fn segments(bytes: &[u8]) -> Result<Vec<Segment>, Error> {
    segments_within(bytes, SEGMENT_LIMIT_BYTES)
}

/// Unpacks all segments of a file from anywhere, which together may have `limit_bytes`.
///
/// # Errors
/// See [`Error`]; more than the limit is [`Error::Damaged`].
pub fn segments_within(bytes: &[u8], limit_bytes: u64) -> Result<Vec<Segment>, Error> {
    let mut found: Vec<Segment> = Vec::new();
    let mut left_bytes = limit_bytes;
    loop {
        let offset_bytes = bytes.len() - skip_zeroes(&bytes[found.last().map_or(0, end)..]).len();
        if offset_bytes == bytes.len() {
            return if found.is_empty() { Err(Error::Empty) } else { Ok(found) };
        }
        if found.len() == SEGMENT_COUNT_LIMIT {
            return Err(Error::TooMany);
        }
        let segment = segment(bytes, offset_bytes, left_bytes)?;
        left_bytes -= (segment.archive.len() as u64).min(left_bytes);
        found.push(segment);
    }
}

fn end(segment: &Segment) -> usize {
    segment.offset_bytes + segment.size_bytes
}

fn segment(bytes: &[u8], offset_bytes: usize, limit_bytes: u64) -> Result<Segment, Error> {
    let rest = &bytes[offset_bytes..];
    let (compression, unpacked) = if rest.starts_with(&ZSTD_MAGIC) {
        (Compression::Zstd, unzstd(rest, limit_bytes))
    } else if rest.starts_with(&XZ_MAGIC) {
        (Compression::Xz, unxz(rest, limit_bytes))
    } else if rest.starts_with(cpio::MAGIC) {
        let (_, size_bytes) = cpio::read(rest)?;
        (Compression::None, Ok((rest[..size_bytes].to_vec(), size_bytes)))
    } else {
        let found = rest[..rest.len().min(6)].escape_ascii().to_string();
        return Err(Error::Magic { offset_bytes, found });
    };
    let (archive, size_bytes) =
        unpacked.map_err(|source| Error::Damaged { offset_bytes, compression, source })?;
    Ok(Segment { compression, offset_bytes, size_bytes, archive })
}

/// Unpacks one zstd frame; gives the content and the frame's length.
fn unzstd(bytes: &[u8], limit_bytes: u64) -> io::Result<(Vec<u8>, usize)> {
    let size_bytes = zstd::zstd_safe::find_frame_compressed_size(bytes)
        .map_err(|code| io::Error::other(zstd::zstd_safe::get_error_name(code)))?;
    let decoder = zstd::Decoder::with_buffer(&bytes[..size_bytes])?.single_frame();
    Ok((read_limited(decoder, limit_bytes)?, size_bytes))
}

/// Unpacks one xz stream; gives the content and the stream's length.
fn unxz(bytes: &[u8], limit_bytes: u64) -> io::Result<(Vec<u8>, usize)> {
    let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_BYTES, 0)?;
    let mut decoder = liblzma::bufread::XzDecoder::new_stream(bytes, stream);
    let archive = read_limited(&mut decoder, limit_bytes)?;
    let size_bytes = usize::try_from(decoder.total_in()).map_err(io::Error::other)?;
    Ok((archive, size_bytes))
}

fn read_limited(decoder: impl Read, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let read = decoder.take(limit_bytes.saturating_add(1)).read_to_end(&mut content)?;
    if read as u64 > limit_bytes {
        return Err(io::Error::other(format!("more than {limit_bytes} bytes")));
    }
    Ok(content)
}

fn skip_zeroes(bytes: &[u8]) -> &[u8] {
    let zeroes = bytes.iter().take_while(|b| **b == 0).count();
    &bytes[zeroes..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use liblzma::stream::{Check, Stream};

    fn archive(name: &str, data: &[u8]) -> Vec<u8> {
        let mut writer = cpio::Writer::new(Vec::new(), 0);
        writer.file(name, 0o644, data).expect("into memory");
        writer.finish().expect("into memory")
    }

    /// Data that compresses, but not to nothing, and is longer than two jobs.
    fn long_data() -> Vec<u8> {
        let mut state = 1_u32;
        (0..3 * JOB_BYTES)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 28) as u8
            })
            .collect()
    }

    fn xz(content: &[u8]) -> Vec<u8> {
        let stream = Stream::new_easy_encoder(1, Check::Crc32).expect("preset 1");
        let mut packed = Vec::new();
        liblzma::bufread::XzEncoder::new_stream(content, stream).read_to_end(&mut packed).expect("memory");
        packed
    }

    #[test]
    fn number_of_threads_does_not_show() {
        let archive = archive("rootfs.sqsh", &long_data());
        let one = compress(&archive, 1, 1).expect("one thread");
        assert_eq!(one, compress(&archive, 1, 2).expect("two threads"));
        assert_eq!(one, compress(&archive, 1, 5).expect("five threads"));
        assert_eq!(one, compress(&archive, 1, 0).expect("no thread named"));
        assert_eq!(segments(&one).expect("our own")[0].archive, archive);
    }

    #[test]
    fn segments_of_all_kinds_one_behind_the_other() {
        let (a, b, c) = (archive("early", b"1"), archive("init", b"22"), archive("rootfs.sqsh", b"333"));
        let mut file = a.clone();
        file.extend([0; 512]);
        file.extend(compress(&b, 18, 1).expect("memory"));
        file.extend(xz(&c));
        file.extend([0; 4]);
        let found = segments(&file).expect("three segments");
        let kinds: Vec<_> = found.iter().map(|s| s.compression).collect();
        assert_eq!(kinds, [Compression::None, Compression::Zstd, Compression::Xz]);
        assert_eq!(found[1].members().expect("cpio")[0].name, "init");
        assert_eq!(found[2].members().expect("cpio")[0].data, b"333");
        assert_eq!(end(&found[2]) + 4, file.len());
    }

    #[test]
    fn two_archives_in_one_segment() {
        let both = [archive("init", b"1"), vec![0; 8], archive("rootfs.sqsh", b"2")].concat();
        let file = compress(&both, 1, 1).expect("memory");
        let found = segments(&file).expect("one segment");
        let names: Vec<_> = found[0].members().expect("cpio").iter().map(|m| m.name.to_owned()).collect();
        assert_eq!(names, ["init", "rootfs.sqsh"]);
    }

    #[test]
    fn must_fail_01_unknown_magic() {
        assert!(matches!(segments(b"\x1f\x8b\x08rest"), Err(Error::Magic { offset_bytes: 0, .. })));
    }

    #[test]
    fn must_fail_02_truncated() {
        let archive = archive("init", &long_data()[..100_000]);
        for file in [compress(&archive, 1, 1).expect("memory"), xz(&archive)] {
            for len in [8, file.len() / 2, file.len() - 1] {
                assert!(matches!(segments(&file[..len]), Err(Error::Damaged { .. })), "length {len}");
            }
        }
    }

    #[test]
    fn must_fail_03_flipped_byte() {
        let archive = archive("init", &long_data()[..100_000]);
        for mut file in [compress(&archive, 1, 1).expect("memory"), xz(&archive)] {
            let middle = file.len() / 2;
            file[middle] ^= 0x10;
            assert!(matches!(segments(&file), Err(Error::Damaged { .. })));
        }
    }

    #[test]
    fn must_fail_04_empty() {
        assert!(matches!(segments(&[]), Err(Error::Empty)));
        assert!(matches!(segments(&[0; 64]), Err(Error::Empty)));
    }
}
