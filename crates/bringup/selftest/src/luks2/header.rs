// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The header of a LUKS2 volume: 4 KiB of binary fields, then JSON; two copies, each with a checksum.

use std::collections::BTreeMap;

use base64ct::{Base64, Encoding};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};

use super::Luks2Error;

/// Magic numbers of the two copies (specification 2.1).
const MAGICS: [&[u8; 6]; 2] = [b"LUKS\xba\xbe", b"SKUL\xba\xbe"];
const VERSION: u16 = 2;
/// The binary part.
const BINARY_BYTES: usize = 4096;
/// The sizes that a copy may have (specification 2.2): 16 KiB to 4 MiB.
const SIZES: [usize; 9] =
    [16 << 10, 32 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20];
/// Places of fields: version, size of the copy, name of the checksum, place of the copy, checksum.
const AT_VERSION: usize = 6;
const AT_SIZE: usize = 8;
const AT_CHECKSUM_NAME: usize = 72;
const AT_PLACE: usize = 256;
const AT_CHECKSUM: usize = 448;
const CHECKSUM_BYTES: usize = 64;

/// One sound copy of a header.
#[derive(Debug)]
pub struct Header {
    pub(super) json: Json,
    /// Bytes of one copy; the second one begins there.
    pub copy_bytes: usize,
}

/// What is used of the JSON part (specification 3).
#[derive(Debug, Deserialize)]
pub(super) struct Json {
    pub keyslots: BTreeMap<String, Keyslot>,
    pub segments: BTreeMap<String, Segment>,
    pub digests: BTreeMap<String, KeyDigest>,
}

/// A key slot.
#[derive(Debug, Deserialize)]
pub(super) struct Keyslot {
    #[serde(rename = "type")]
    pub kind: String,
    pub key_size: usize,
    pub af: Stripes,
    pub area: Area,
    pub kdf: Kdf,
}

/// How the key is spread over its area.
#[derive(Debug, Deserialize)]
pub(super) struct Stripes {
    #[serde(rename = "type")]
    pub kind: String,
    pub stripes: usize,
    pub hash: String,
}

/// Where a key slot has its key, and how it is encrypted.
#[derive(Debug, Clone, Deserialize)]
pub struct Area {
    /// Place on the device, in bytes.
    #[serde(deserialize_with = "number")]
    pub offset: u64,
    /// Length in bytes.
    #[serde(deserialize_with = "number")]
    pub size: u64,
    /// As dm-crypt has it: `aes-xts-plain64`.
    pub encryption: String,
    /// Bytes of the key that the passphrase gives.
    pub key_size: usize,
}

/// How a passphrase becomes a key.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub(super) enum Kdf {
    Argon2i {
        #[serde(flatten)]
        cost: Argon2Cost,
    },
    Argon2id {
        #[serde(flatten)]
        cost: Argon2Cost,
    },
    Pbkdf2 {
        #[serde(deserialize_with = "bytes")]
        salt: Vec<u8>,
        hash: String,
        iterations: u32,
    },
}

/// Salt and cost of Argon2.
#[derive(Debug, Deserialize)]
pub(super) struct Argon2Cost {
    #[serde(deserialize_with = "bytes")]
    pub salt: Vec<u8>,
    pub time: u32,
    /// KiB.
    pub memory: u32,
    pub cpus: u32,
}

/// What tells the right volume key.
#[derive(Debug, Deserialize)]
pub(super) struct KeyDigest {
    #[serde(rename = "type")]
    pub kind: String,
    pub keyslots: Vec<String>,
    pub segments: Vec<String>,
    pub hash: String,
    pub iterations: u32,
    #[serde(deserialize_with = "bytes")]
    pub salt: Vec<u8>,
    #[serde(deserialize_with = "bytes")]
    pub digest: Vec<u8>,
}

/// The encrypted part of the device.
#[derive(Debug, Clone, Deserialize)]
pub struct Segment {
    /// `crypt`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Place on the device, in bytes.
    #[serde(deserialize_with = "number")]
    pub offset: u64,
    /// As dm-crypt has it.
    pub encryption: String,
    /// Bytes that are encrypted in one piece.
    pub sector_size: u32,
    /// Added to the number of a sector.
    #[serde(deserialize_with = "number")]
    pub iv_tweak: u64,
}

/// 64-bit numbers are written as text, since JSON's have 53 bits.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
}

fn bytes<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
    Base64::decode_vec(&String::deserialize(from)?).map_err(serde::de::Error::custom)
}

impl Header {
    /// Reads the first sound copy of a device's beginning. A damaged first copy leaves the second, which lies where
    /// some allowed size puts it.
    ///
    /// # Errors
    /// That of the first copy, when there is no sound one.
    pub fn read(device: &[u8]) -> Result<Header, Luks2Error> {
        let first = match Header::copy(device, 0) {
            Ok(header) => return Ok(header),
            Err(first) => first,
        };
        SIZES.into_iter().find_map(|at| Header::copy(device, at).ok()).ok_or(first)
    }

    /// Reads the copy at a place of the device.
    ///
    /// # Errors
    /// No header, a wrong checksum, or what cannot be.
    pub fn copy(device: &[u8], at: usize) -> Result<Header, Luks2Error> {
        let copy = device.get(at..).unwrap_or_default();
        let magic = MAGICS[usize::from(at != 0)];
        let Some(binary) = copy.get(..BINARY_BYTES).filter(|b| b.starts_with(magic)) else {
            return Err(Luks2Error::Absent);
        };
        let version = u16::from_be_bytes([binary[AT_VERSION], binary[AT_VERSION + 1]]);
        if version != VERSION {
            return Err(Luks2Error::Unknown(format!("version {version}")));
        }
        let field = |at: usize| {
            let mut value = [0; 8];
            value.copy_from_slice(&binary[at..at + 8]);
            u64::from_be_bytes(value)
        };
        let size = usize::try_from(field(AT_SIZE)).unwrap_or(usize::MAX);
        let damaged = |what: String| Luks2Error::Damaged(what);
        if !SIZES.contains(&size) || copy.len() < size {
            return Err(damaged(format!("a copy of {size} bytes")));
        }
        let name = text(&binary[AT_CHECKSUM_NAME..AT_CHECKSUM_NAME + 32]);
        if name != "sha256" {
            return Err(Luks2Error::Unknown(format!("checksum `{name}`")));
        }
        let mut whole = copy[..size].to_vec();
        whole[AT_CHECKSUM..AT_CHECKSUM + CHECKSUM_BYTES].fill(0);
        let stored = &binary[AT_CHECKSUM..AT_CHECKSUM + CHECKSUM_BYTES];
        let (digest, rest) = stored.split_at(32);
        if Sha256::digest(&whole)[..] != *digest || rest.iter().any(|b| *b != 0) {
            return Err(Luks2Error::Checksum);
        }
        // A sound copy at another place is another volume's.
        if field(AT_PLACE) != at as u64 {
            return Err(damaged(format!("a copy for byte {} at byte {at}", field(AT_PLACE))));
        }
        let json = text(&copy[BINARY_BYTES..size]);
        let json = serde_json::from_str(json).map_err(|e| damaged(e.to_string()))?;
        Ok(Header { json, copy_bytes: size })
    }

    /// The encrypted part of the device.
    ///
    /// # Errors
    /// There is not exactly one, or it is not known here.
    pub fn segment(&self) -> Result<&Segment, Luks2Error> {
        let mut all = self.json.segments.values();
        let (Some(segment), None) = (all.next(), all.next()) else {
            return Err(Luks2Error::Unknown(format!("a volume of {} segments", self.json.segments.len())));
        };
        // Powers of two from a disk sector to a page, as dm-crypt has them.
        let sector_sizes = [512, 1024, 2048, 4096];
        if segment.kind != "crypt" || !sector_sizes.contains(&segment.sector_size) {
            let Segment { kind, sector_size, .. } = segment;
            return Err(Luks2Error::Unknown(format!(
                "a segment `{kind}` with sectors of {sector_size} bytes"
            )));
        }
        Ok(segment)
    }
}

/// Text up to its first NUL.
fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).unwrap_or_default()
}
