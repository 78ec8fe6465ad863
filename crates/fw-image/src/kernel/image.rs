// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Header, banner and release of a raw arm64 `Image`.
//!
//! Header after the kernel's `Documentation/arch/arm64/booting.rst` and `arch/arm64/include/asm/image.h`.
//! This module must not change an image.

use crate::bytes::{array, find, le64};
use crate::hex;

/// `ARM64_IMAGE_MAGIC` at offset 56.
pub const MAGIC: [u8; 4] = *b"ARM\x64";
const TEXT_OFFSET: usize = 8;
const IMAGE_SIZE: usize = 16;
const FLAGS: usize = 24;
const MAGIC_OFFSET: usize = 56;
const HEADER_BYTES: usize = 64;
/// `linux_banner` of `init/version-timestamp.c`; a digit must follow.
const BANNER: &[u8] = b"Linux version ";

/// Why a kernel image was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Shorter than the header.
    #[error("kernel image is truncated: the header needs 64 bytes, there are {have_bytes}")]
    Truncated {
        /// Bytes there are.
        have_bytes: usize,
    },
    /// No arm64 magic.
    #[error("kernel image magic is `{found}`, not `ARM\\x64` (41524d64)")]
    Magic {
        /// The four bytes, in hexadecimal.
        found: String,
    },
    /// The file is larger than the memory the header asks for.
    #[error("kernel image has {have_bytes} bytes, its header asks for only {image_size_bytes} in memory")]
    Size {
        /// Size in memory, from the header.
        image_size_bytes: u64,
        /// Length of the file.
        have_bytes: usize,
    },
    /// A kernel for another byte order.
    #[error("kernel image is big-endian")]
    BigEndian,
    /// No `Linux version …` line.
    #[error("kernel image has no `Linux version` line")]
    NoBanner,
}

/// Size of a page, from the header's flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageSize {
    /// The header does not say.
    Unspecified,
    /// 4 KiB, what Talos's kernels use.
    Kib4,
    /// 16 KiB.
    Kib16,
    /// 64 KiB.
    Kib64,
}

/// The 64-byte header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Distance of the image from a 2 MiB boundary.
    pub text_offset_bytes: u64,
    /// Memory the kernel needs from its start on, BSS included.
    pub image_size_bytes: u64,
    /// Raw flags word.
    pub flags: u64,
}

impl Header {
    /// Reads the header that `image` starts with.
    pub fn parse(image: &[u8]) -> Result<Self, Error> {
        let truncated = || Error::Truncated { have_bytes: image.len() };
        let header = image.get(..HEADER_BYTES).ok_or_else(truncated)?;
        let magic: [u8; 4] = array(header, MAGIC_OFFSET).ok_or_else(truncated)?;
        if magic != MAGIC {
            return Err(Error::Magic { found: hex(&magic) });
        }
        let parsed = Self {
            text_offset_bytes: le64(header, TEXT_OFFSET).ok_or_else(truncated)?,
            image_size_bytes: le64(header, IMAGE_SIZE).ok_or_else(truncated)?,
            flags: le64(header, FLAGS).ok_or_else(truncated)?,
        };
        if parsed.flags & 1 != 0 {
            return Err(Error::BigEndian);
        }
        if parsed.image_size_bytes < image.len() as u64 {
            let image_size_bytes = parsed.image_size_bytes;
            return Err(Error::Size { image_size_bytes, have_bytes: image.len() });
        }
        Ok(parsed)
    }

    /// Page size, bits 2:1 of the flags.
    pub fn page_size(&self) -> PageSize {
        match (self.flags >> 1) & 3 {
            1 => PageSize::Kib4,
            2 => PageSize::Kib16,
            3 => PageSize::Kib64,
            _ => PageSize::Unspecified,
        }
    }
}

/// The kernel's first line, `Linux version 6.18.15-… (…) … #1 SMP …`, without its line feed.
pub fn banner(image: &[u8]) -> Result<String, Error> {
    let mut from = 0;
    while let Some(at) = find(&image[from..], BANNER) {
        let start = from + at;
        from = start + BANNER.len();
        // `linux_proc_banner` and texts that mention the words have no digit behind them.
        if image.get(from).is_some_and(u8::is_ascii_digit) {
            let line = image[start..].split(|b| *b == b'\n' || *b == 0).next().unwrap_or_default();
            return String::from_utf8(line.to_vec()).map_err(|_| Error::NoBanner);
        }
    }
    Err(Error::NoBanner)
}

/// What `uname -r` will say: the third word of the [`banner`].
pub fn release(image: &[u8]) -> Result<String, Error> {
    banner(image)?.split(' ').nth(2).map(str::to_owned).ok_or(Error::NoBanner)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An image of `len` bytes that asks for `memory` bytes.
    pub(crate) fn sample(len: usize, memory: u64) -> Vec<u8> {
        let mut image = vec![0_u8; len];
        image[IMAGE_SIZE..][..8].copy_from_slice(&memory.to_le_bytes());
        image[FLAGS] = 0b1010;
        image[MAGIC_OFFSET..][..4].copy_from_slice(&MAGIC);
        image
    }

    #[test]
    fn reads_header_and_release() {
        let mut image = sample(4096, 8192);
        image[100..114].copy_from_slice(BANNER);
        let line = b"Linux version 6.18.15-1a2b3c4d (fw@fw) (gcc 12.2.0) #1 SMP\n";
        image[200..200 + line.len()].copy_from_slice(line);
        let header = Header::parse(&image).expect("a good header");
        assert_eq!((header.image_size_bytes, header.page_size()), (8192, PageSize::Kib4));
        assert_eq!(release(&image).expect("a banner"), "6.18.15-1a2b3c4d");
        assert!(banner(&image).expect("a banner").ends_with("#1 SMP"));
    }

    #[test]
    fn must_fail_01_truncated() {
        assert_eq!(Header::parse(&sample(4096, 4096)[..63]), Err(Error::Truncated { have_bytes: 63 }));
    }

    #[test]
    fn must_fail_02_bad_magic() {
        let mut image = sample(4096, 4096);
        image[MAGIC_OFFSET] = 0;
        assert!(matches!(Header::parse(&image), Err(Error::Magic { .. })));
    }

    #[test]
    fn must_fail_03_longer_than_its_memory() {
        assert!(matches!(Header::parse(&sample(4096, 4095)), Err(Error::Size { .. })));
    }

    #[test]
    fn must_fail_04_big_endian() {
        let mut image = sample(4096, 4096);
        image[FLAGS] |= 1;
        assert_eq!(Header::parse(&image), Err(Error::BigEndian));
    }

    #[test]
    fn must_fail_05_no_banner() {
        assert_eq!(banner(b"Linux version %s"), Err(Error::NoBanner));
        assert_eq!(release(b"Linux version "), Err(Error::NoBanner));
    }
}
