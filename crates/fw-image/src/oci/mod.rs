// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Container images as files: OCI image layouts, docker-style tarballs, and plain tarballs of a root file
//! system, written reproducibly and read with all digests checked.
//!
//! Formats: OCI image specification 1.1 (`image-layout.md`, `manifest.md`, `config.md`, `layer.md`) and what
//! `docker save` writes. The same input gives the same bytes: entries are sorted, times and owners fixed, and
//! compression is done by a compressor of fixed version in pure Rust, whatever backend other crates select.
//! Must not talk to registries and must not touch files: a caller hands in bytes and writes what comes out.

mod archive;
mod build;
mod gzip;
mod json;
mod layout;
mod read;
mod rootfs;
mod tree;

pub use archive::{Tarball, docker_archive};
pub use build::{Compression, Config, Image, Layer};
pub use gzip::compress as gzip;
pub use json::{Descriptor, Index, Manifest, Platform, annotations, media};
pub use layout::Layout;
pub use read::{ReadImage, ReadLayer, Source, open};
pub use rootfs::{Entry, EntryKind, rootfs};
pub use tree::Tree;

use sha2::{Digest, Sha256};

use crate::hex;

/// Why an image cannot be made or used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of a layout cannot be read.
    #[error("`{path}`: {error}")]
    Read {
        /// Path inside of the layout.
        path: String,
        /// What the reader said.
        error: std::io::Error,
    },
    /// Neither an OCI layout nor a docker-style tarball.
    #[error("this is no container image: {0}")]
    NotAnImage(String),
    /// JSON that cannot be read.
    #[error("`{path}` is not valid: {why}")]
    Json {
        /// Path inside of the layout.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A digest of another form than `sha256:` and 64 digits; it becomes part of a path.
    #[error("`{0}` is not a SHA-256 digest")]
    DigestForm(String),
    /// A blob does not have the digest or size that refers to it.
    #[error("blob {expected} is damaged: it has {actual}")]
    Blob {
        /// Digest or size that was referred to.
        expected: String,
        /// What the bytes have.
        actual: String,
    },
    /// A layer's content does not have the digest in the image's configuration.
    #[error("layer {layer} unpacks to {actual}, the configuration says {expected}")]
    DiffId {
        /// Digest of the layer's blob.
        layer: String,
        /// Digest in the configuration.
        expected: String,
        /// Digest of the unpacked bytes.
        actual: String,
    },
    /// No image for the platform.
    #[error("no image for {wanted}; there are: {found}")]
    NoPlatform {
        /// For example `linux/arm64`.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// A layer that cannot be unpacked.
    #[error("layer {0} cannot be unpacked: {1}")]
    Layer(String, String),
    /// A tarball that Talos could not unpack as it is meant, or that reaches outside of its folder.
    #[error("tarball entry `{path}`: {why}")]
    Entry {
        /// Path as it stands in the tarball.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

/// `sha256:` and the digest of the bytes.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Path of a blob in a layout; refuses digests that are none, since they become part of a path.
pub fn blob_path(digest: &str) -> Result<String, Error> {
    let digits = digest.strip_prefix("sha256:").filter(|d| d.len() == 64);
    let digits = digits.filter(|d| d.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    let digits = digits.ok_or_else(|| Error::DigestForm(digest.escape_debug().to_string()))?;
    Ok(format!("blobs/sha256/{digits}"))
}
