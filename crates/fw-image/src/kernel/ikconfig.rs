// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Takes the `.config` out of a kernel built with `CONFIG_IKCONFIG`.
//!
//! The kernel's `kernel/configs.c` puts a gzip stream between the marks `IKCFG_ST` and `IKCFG_ED`. This
//! module must not judge options: the table of required ones is with the kernel configuration.

use std::io::Read;

use crate::bytes::find;

const START: &[u8] = b"IKCFG_ST";
const END: &[u8] = b"IKCFG_ED";
/// A `.config` has some hundred kilobytes; anything beyond this is not one.
const LIMIT_BYTES: u64 = 16 << 20;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Built without `CONFIG_IKCONFIG`, or as a module.
    #[error("kernel image carries no configuration (`CONFIG_IKCONFIG=y` is not set)")]
    Missing,
    /// The start mark without an end mark.
    #[error("kernel image is truncated inside its configuration")]
    Truncated,
    /// The stream between the marks does not unpack to text.
    #[error("kernel image's configuration does not unpack: {0}")]
    Damaged(std::io::Error),
}

/// The text of the `.config` the kernel was built with.
pub fn extract(image: &[u8]) -> Result<String, Error> {
    let start = find(image, START).ok_or(Error::Missing)? + START.len();
    let rest = &image[start..];
    let stream = &rest[..find(rest, END).ok_or(Error::Truncated)?];
    let mut text = String::new();
    flate2::read::GzDecoder::new(stream)
        .take(LIMIT_BYTES)
        .read_to_string(&mut text)
        .map_err(Error::Damaged)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const CONFIG: &str = "CONFIG_MODULE_SIG_FORCE=y\n# CONFIG_MODULE_SIG_ALL is not set\n";

    fn image() -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(CONFIG.as_bytes()).expect("into memory");
        [b"IKCFG".as_slice(), START, &gzip.finish().expect("into memory"), END, b"rest"].concat()
    }

    #[test]
    fn gives_the_text() {
        assert_eq!(extract(&image()).expect("a configuration"), CONFIG);
    }

    #[test]
    fn must_fail_01_missing() {
        assert!(matches!(extract(b"no kernel"), Err(Error::Missing)));
    }

    #[test]
    fn must_fail_02_truncated() {
        let image = image();
        assert!(matches!(extract(&image[..image.len() - 5]), Err(Error::Truncated)));
    }

    #[test]
    fn must_fail_03_damaged() {
        let mut image = image();
        let middle = image.len() / 2;
        image[middle] ^= 0xff;
        assert!(matches!(extract(&image), Err(Error::Damaged(_))));
    }
}
