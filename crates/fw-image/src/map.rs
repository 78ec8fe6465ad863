// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The image map, `.map.json`: what lies where in an image, who made it, and from what.
//!
//! The text is stable: fields in declaration order, maps sorted, regions by offset, one final newline.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Version of this schema. It grows when a reader of the old one would misunderstand a new map.
pub const SCHEMA_VERSION: u32 = 2;
/// The oldest version that is read: it lacks [`Region::blocks`].
const OLDEST_VERSION: u32 = 1;

/// Bytes that one digest of [`Region::blocks`] stands for.
pub const BLOCK_BYTES: u64 = 64 << 10;
/// Bytes of a SHA-256 that are kept for a block: against damage, not against forgery, which the region's own is for.
const BLOCK_DIGEST_BYTES: usize = 16;

/// Why a map cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MapError {
    /// Not JSON, or not of this shape.
    #[error("the image map is not readable: {0}")]
    Json(#[from] serde_json::Error),
    /// Made by another version of this program.
    #[error("the image map has schema version {0}; this program reads {OLDEST_VERSION} to {SCHEMA_VERSION}")]
    Version(u32),
}

/// What runs after the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Userland {
    /// A Talos release.
    Talos,
    /// The self-test.
    Bringup,
    /// A Talos release compiled from its source, for the rehearsal; not an official build of Talos.
    TalosSource,
}

/// Whether something is in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// It is.
    On,
    /// It is not.
    Off,
}

/// Class of evidence of a combination of loader parts and kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// Somebody reports in public that it booted on this board.
    BootedOnThisBoard,
    /// Somebody reports in public that it booted on another board with this SoC.
    BootedOnOtherBoards,
    /// It builds; nobody is known to have booted it.
    BuiltOnly,
    /// Put together by the user with `--untested`.
    Untested,
}

/// What a region of the image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegionKind {
    /// A part of the partition table.
    Table,
    /// A region outside the partitions.
    Raw,
    /// A partition.
    Partition,
}

impl From<crate::disk::Kind> for RegionKind {
    fn from(kind: crate::disk::Kind) -> RegionKind {
        match kind {
            crate::disk::Kind::Table => RegionKind::Table,
            crate::disk::Kind::Raw => RegionKind::Raw,
            crate::disk::Kind::Partition => RegionKind::Partition,
        }
    }
}

/// A region of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Name, unique in the map.
    pub name: String,
    /// What it is.
    pub kind: RegionKind,
    /// First byte in the raw image.
    pub offset_bytes: u64,
    /// Size.
    pub length_bytes: u64,
    /// Bytes that came from the owner; the rest of the region is zero.
    pub content_bytes: u64,
    /// The stage that made the content, or `xtask`.
    pub owner: String,
    /// Version of what the owner built, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Store key of the owner's result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// SHA-256 of the region's bytes in the raw image, in hex.
    pub sha256: String,
    /// The files in it, path to SHA-256, for a partition with a file system.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// [`block_digest`]s of the region's blocks of [`BLOCK_BYTES`] by number; a block that is not here is zero.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub blocks: BTreeMap<u64, String>,
}

/// The digest of a block: the first half of its SHA-256, in hex.
pub fn block_digest(block: &[u8]) -> String {
    crate::hex(&Sha256::digest(block)[..BLOCK_DIGEST_BYTES])
}

/// [`Region::blocks`] of a range of an image.
///
/// # Errors
/// The image cannot be read.
pub fn blocks<R: Read + Seek>(
    image: &mut R,
    offset_bytes: u64,
    length_bytes: u64,
) -> io::Result<BTreeMap<u64, String>> {
    image.seek(SeekFrom::Start(offset_bytes))?;
    let mut digests = BTreeMap::new();
    let mut buffer = vec![0; BLOCK_BYTES as usize];
    for index in 0..length_bytes.div_ceil(BLOCK_BYTES) {
        let block = &mut buffer[..BLOCK_BYTES.min(length_bytes - index * BLOCK_BYTES) as usize];
        image.read_exact(block)?;
        if !crate::disk::is_zero(block) {
            digests.insert(index, block_digest(block));
        }
    }
    Ok(digests)
}

impl Region {
    /// The map's region for a written one.
    pub fn of(written: &crate::disk::Written, version: Option<String>, key: Option<String>) -> Region {
        Region {
            name: written.name.clone(),
            kind: written.kind.into(),
            offset_bytes: written.offset_bytes,
            length_bytes: written.length_bytes,
            content_bytes: written.content_bytes,
            owner: written.owner.clone(),
            version,
            key,
            sha256: written.sha256.clone(),
            files: BTreeMap::new(),
            blocks: BTreeMap::new(),
        }
    }
}

/// A pinned input and the origin that gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// Version of the pin.
    pub version: String,
    /// Kind and name of the origin that answered; never a machine's own mirror address.
    pub origin: String,
    /// SHA-256 of the file, in hex.
    pub sha256: String,
}

/// The map of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageMap {
    /// [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// File name of the raw image.
    pub image: String,
    /// Board.
    pub board: String,
    /// Size of the raw image.
    pub size_bytes: u64,
    /// SHA-256 of the raw image, in hex.
    pub sha256: String,
    /// Userland.
    pub userland: Userland,
    /// The kernel's release string.
    pub kernel_release: String,
    /// Talos version, with its `v`; the layout follows it with either userland.
    pub talos_version: String,
    /// Whether the kernel carries BTF.
    pub btf: Presence,
    /// Class of evidence of this combination.
    pub evidence: Evidence,
    /// Regions by offset.
    pub regions: Vec<Region>,
    /// Pins by name.
    pub origins: BTreeMap<String, Origin>,
    /// Anything else worth knowing, by name: toolchain, signer, command line.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

impl ImageMap {
    /// The file's text.
    ///
    /// # Errors
    /// None that a map of these types can cause; the JSON library's signature has one.
    pub fn to_json(&self) -> Result<String, MapError> {
        let mut sorted = self.clone();
        sorted.regions.sort_by(|a, b| (a.offset_bytes, &a.name).cmp(&(b.offset_bytes, &b.name)));
        Ok(serde_json::to_string_pretty(&sorted)? + "\n")
    }

    /// Reads a map.
    ///
    /// # Errors
    /// See [`MapError`]; an unknown field is one, another schema version is named as such.
    pub fn from_json(text: &str) -> Result<ImageMap, MapError> {
        // The version alone first: another version may well have other fields.
        #[derive(Deserialize)]
        struct Version {
            schema_version: u32,
        }
        let version = serde_json::from_str::<Version>(text)?.schema_version;
        if !(OLDEST_VERSION..=SCHEMA_VERSION).contains(&version) {
            return Err(MapError::Version(version));
        }
        Ok(serde_json::from_str(text)?)
    }

    /// The region of that name.
    pub fn region(&self, name: &str) -> Option<&Region> {
        self.regions.iter().find(|r| r.name == name)
    }
}
