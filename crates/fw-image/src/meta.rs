// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Talos's META partition: tags with values, as `ADV` (talos-contracts 3.6; Talos internal/pkg/meta/internal/adv).
//!
//! ```text
//! 0        256 KiB block: magic, records (tag u32, size u32, value), SHA-256 over the block with that field zero, magic
//! 256 KiB  the same block again
//! 512 KiB  zero
//! ```
//!
//! All numbers are big-endian. A partition of zeros has no value and is as good as an empty one. The last KiB may carry
//! the older form of syslinux, which Talos still reads and which is zero in a new image; this module leaves it alone.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// Size of the partition.
pub const PARTITION_BYTES: usize = 1 << 20;
/// Size of one of the two copies.
pub const BLOCK_BYTES: usize = 256 << 10;
/// What the values of a copy may take, each with its eight bytes of tag and size: Talos's own limit when it sets one.
pub const CAPACITY_BYTES: usize = BLOCK_BYTES - 40 - 20;

const MAGIC_1: u32 = 0x5a4b_3c2d;
const MAGIC_2: u32 = 0xa5b4_c3d2;
const RECORDS_AT: usize = 4;
const DIGEST_AT: usize = BLOCK_BYTES - 36;
const MAGIC_2_AT: usize = BLOCK_BYTES - 4;
const RECORD_HEADER_BYTES: usize = 8;

/// Why values cannot be written, or a partition not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetaError {
    /// Not `KEY=VALUE`.
    #[error("`{0}` is not of the form KEY=VALUE")]
    Form(String),
    /// No tag of that number or name.
    #[error("`{0}` is no META key: give 1 to 255, as 12 or 0xc, or one of {names}", names = names())]
    Key(String),
    /// A tag that makes Talos do something at the first boot that no new image may ask for.
    #[error("META key {tag} ({name}) cannot be given to a new image: {why}")]
    Refused {
        /// The tag.
        tag: u8,
        /// Its name.
        name: &'static str,
        /// Why.
        why: &'static str,
    },
    /// The value is not what Talos reads there.
    #[error("META key {tag} ({name}) wants {wanted}")]
    Value {
        /// The tag.
        tag: u8,
        /// Its name.
        name: &'static str,
        /// What Talos reads there.
        wanted: &'static str,
    },
    /// One key twice.
    #[error("META key {0} is given twice")]
    Twice(u8),
    /// More than a copy holds.
    #[error("the META values take {0} bytes; there is room for {CAPACITY_BYTES}")]
    TooLarge(usize),
    /// The partition has another size.
    #[error("META has {0} bytes, not {PARTITION_BYTES}")]
    Size(usize),
    /// Neither copy is sound.
    #[error("both copies of META are damaged: the first {first}; the second {second}")]
    Damaged {
        /// What is wrong with the first.
        first: Damage,
        /// What is wrong with the second.
        second: Damage,
    },
}

/// What is wrong with a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// A magic number is missing.
    #[error("has no magic number at byte {0:#x}")]
    Magic(usize),
    /// The digest is another.
    #[error("has another SHA-256 than it says")]
    Digest,
    /// A record reaches beyond the records.
    #[error("has a value of tag {tag} that ends after the block")]
    Overrun {
        /// The tag.
        tag: u32,
    },
    /// A tag that does not fit into a byte, which Talos would cut.
    #[error("has the tag {tag}, which is larger than 255")]
    Tag {
        /// The tag.
        tag: u32,
    },
}

/// Tags with a meaning (Talos pkg/machinery/meta/constants.go; the same in v1.10 to v1.14): number, name, and why a new
/// image may not have it.
const TAGS: [(u8, &str, Option<&str>); 12] = [
    (
        6,
        "upgrade",
        Some(
            "Talos would take the first boot for an upgrade that failed, and go back to a slot that is empty",
        ),
    ),
    (7, "staged-upgrade-image", Some("Talos would upgrade itself at the first boot")),
    (8, "staged-upgrade-options", Some("it belongs to a staged upgrade")),
    (9, "state-encryption", None),
    (10, "metal-network", None),
    (11, "download-url-code", None),
    (12, "user-reserved-1", None),
    (13, "user-reserved-2", None),
    (14, "user-reserved-3", None),
    (15, "uuid-override", None),
    (16, "machine-token", None),
    (17, "disk-image-bootloader", Some("it is for amd64 images with two boot loaders")),
];

fn names() -> String {
    let names: Vec<&str> = TAGS.iter().filter(|t| t.2.is_none()).map(|t| t.1).collect();
    names.join(", ")
}

/// Name of a tag; `unnamed` where Talos has none.
pub fn tag_name(tag: u8) -> &'static str {
    TAGS.iter().find(|t| t.0 == tag).map_or("unnamed", |t| t.1)
}

/// The values of META by tag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    values: BTreeMap<u8, Vec<u8>>,
}

/// Where values were read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The partition is zero where the copies are: no value.
    Blank,
    /// The first copy.
    First,
    /// The second copy, since the first is damaged.
    Second(Damage),
}

impl Meta {
    /// The values of `KEY=VALUE` arguments as a new image may have them. A key is a number (decimal, or hex with
    /// `0x`) or a name such as `metal-network`.
    ///
    /// # Errors
    /// See [`MetaError`].
    pub fn from_arguments<S: AsRef<str>>(arguments: &[S]) -> Result<Meta, MetaError> {
        let mut meta = Meta::default();
        for argument in arguments.iter().map(AsRef::as_ref) {
            let (key, value) =
                argument.split_once('=').ok_or_else(|| MetaError::Form(argument.to_owned()))?;
            let tag = parse_key(key)?;
            check(tag, value)?;
            if meta.values.insert(tag, value.as_bytes().to_vec()).is_some() {
                return Err(MetaError::Twice(tag));
            }
        }
        match meta.used_bytes() {
            used if used > CAPACITY_BYTES => Err(MetaError::TooLarge(used)),
            _ => Ok(meta),
        }
    }

    /// The values, by tag.
    pub fn values(&self) -> &BTreeMap<u8, Vec<u8>> {
        &self.values
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn used_bytes(&self) -> usize {
        self.values.values().map(|v| v.len() + RECORD_HEADER_BYTES).sum()
    }

    /// The whole partition. Without values it is zero, as in an image of Talos's own.
    ///
    /// # Errors
    /// [`MetaError::TooLarge`].
    pub fn partition(&self) -> Result<Vec<u8>, MetaError> {
        let mut partition = vec![0; PARTITION_BYTES];
        if self.is_empty() {
            return Ok(partition);
        }
        if self.used_bytes() > CAPACITY_BYTES {
            return Err(MetaError::TooLarge(self.used_bytes()));
        }
        let (first, rest) = partition.split_at_mut(BLOCK_BYTES);
        first[..RECORDS_AT].copy_from_slice(&MAGIC_1.to_be_bytes());
        first[MAGIC_2_AT..].copy_from_slice(&MAGIC_2.to_be_bytes());
        let mut at = RECORDS_AT;
        for (tag, value) in &self.values {
            let size = value.len() as u32; // below the capacity
            first[at..at + 4].copy_from_slice(&u32::from(*tag).to_be_bytes());
            first[at + 4..at + 8].copy_from_slice(&size.to_be_bytes());
            first[at + 8..at + 8 + value.len()].copy_from_slice(value);
            at += RECORD_HEADER_BYTES + value.len();
        }
        let digest = Sha256::digest(&first);
        first[DIGEST_AT..MAGIC_2_AT].copy_from_slice(&digest);
        rest[..BLOCK_BYTES].copy_from_slice(first);
        Ok(partition)
    }

    /// Reads a whole partition as Talos does: the second copy where the first is damaged.
    ///
    /// # Errors
    /// [`MetaError::Size`], [`MetaError::Damaged`]. Talos itself goes on without values where both are damaged.
    pub fn read(partition: &[u8]) -> Result<(Meta, Source), MetaError> {
        if partition.len() != PARTITION_BYTES {
            return Err(MetaError::Size(partition.len()));
        }
        let (first, second) = (&partition[..BLOCK_BYTES], &partition[BLOCK_BYTES..2 * BLOCK_BYTES]);
        if first.iter().chain(second).all(|b| *b == 0) {
            return Ok((Meta::default(), Source::Blank));
        }
        match (read_block(first), read_block(second)) {
            (Ok(meta), _) => Ok((meta, Source::First)),
            (Err(damage), Ok(meta)) => Ok((meta, Source::Second(damage))),
            (Err(first), Err(second)) => Err(MetaError::Damaged { first, second }),
        }
    }
}

fn parse_key(key: &str) -> Result<u8, MetaError> {
    let wrong = || MetaError::Key(key.to_owned());
    if let Some((tag, ..)) = TAGS.iter().find(|t| t.1 == key) {
        return Ok(*tag);
    }
    let tag = match key.strip_prefix("0x").or_else(|| key.strip_prefix("0X")) {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_hexdigit()) => u8::from_str_radix(digits, 16),
        // A leading zero means octal to Talos's imager.
        None if key.bytes().all(|b| b.is_ascii_digit()) && !key.starts_with('0') => key.parse(),
        _ => return Err(wrong()),
    };
    // Zero ends the records.
    tag.ok().filter(|tag| *tag != 0).ok_or_else(wrong)
}

fn check(tag: u8, value: &str) -> Result<(), MetaError> {
    let name = tag_name(tag);
    if let Some((.., Some(why))) = TAGS.iter().find(|t| t.0 == tag) {
        return Err(MetaError::Refused { tag, name, why });
    }
    let wants = |wanted| Err(MetaError::Value { tag, name, wanted });
    match tag {
        9 if serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(value).is_err() => {
            wants("a JSON object: the encryption settings of STATE")
        }
        15 if value.parse::<crate::guid::Guid>().is_err() => {
            wants("a UUID of the form 8-4-4-4-12 hex digits")
        }
        10 | 11 | 16 if value.trim().is_empty() => wants("a value that is not empty"),
        _ => Ok(()),
    }
}

fn read_block(block: &[u8]) -> Result<Meta, Damage> {
    for (at, magic) in [(0, MAGIC_1), (MAGIC_2_AT, MAGIC_2)] {
        if block[at..at + 4] != magic.to_be_bytes() {
            return Err(Damage::Magic(at));
        }
    }
    let digest = Sha256::new()
        .chain_update(&block[..DIGEST_AT])
        .chain_update([0; 32])
        .chain_update(&block[MAGIC_2_AT..])
        .finalize();
    if block[DIGEST_AT..MAGIC_2_AT] != digest[..] {
        return Err(Damage::Digest);
    }
    let mut values = BTreeMap::new();
    let mut rest = &block[RECORDS_AT..DIGEST_AT];
    while let Some((header, data)) = rest.split_first_chunk::<RECORD_HEADER_BYTES>() {
        let [a, b, c, d, e, f, g, h] = *header;
        let (tag, size) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]));
        if tag == 0 {
            break;
        }
        let value = data.get(..size as usize).ok_or(Damage::Overrun { tag })?;
        values.insert(u8::try_from(tag).map_err(|_| Damage::Tag { tag })?, value.to_vec());
        rest = &data[value.len()..];
    }
    Ok(Meta { values })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "uuid-override=0f0e0d0c-1111-2222-3333-444455556666";

    fn meta(arguments: &[&str]) -> Meta {
        Meta::from_arguments(arguments).expect("good values")
    }

    fn refused(argument: &str) -> MetaError {
        Meta::from_arguments(&[argument]).expect_err(argument)
    }

    /// Puts the right digest into a changed first block, and the block into both copies.
    fn sealed(mut partition: Vec<u8>) -> Vec<u8> {
        partition[DIGEST_AT..MAGIC_2_AT].fill(0);
        let digest = Sha256::digest(&partition[..BLOCK_BYTES]);
        partition[DIGEST_AT..MAGIC_2_AT].copy_from_slice(&digest);
        partition.copy_within(..BLOCK_BYTES, BLOCK_BYTES);
        partition
    }

    #[test]
    fn round_trip_by_number_and_by_name() {
        let given = meta(&["12=a", "0xD=b=c; d", "metal-network=addresses: []\n", UUID, "200="]);
        let tags: Vec<u8> = given.values().keys().copied().collect();
        assert_eq!(tags, [10, 12, 13, 15, 200]);
        let partition = given.partition().expect("fits");
        assert_eq!(partition.len(), PARTITION_BYTES);
        assert_eq!(Meta::read(&partition), Ok((given.clone(), Source::First)));
        assert_eq!(given.values()[&13], b"b=c; d");
        assert_eq!(tag_name(10), "metal-network");
        assert_eq!(tag_name(200), "unnamed");
    }

    /// The layout that Talos's own test has by hand (internal/pkg/meta/internal/adv/talos/talos.go).
    #[test]
    fn bytes_of_one_value() {
        let partition = meta(&["0xa=hello"]).partition().expect("fits");
        assert_eq!(partition[..17], *b"\x5a\x4b\x3c\x2d\0\0\0\x0a\0\0\0\x05hello");
        assert!(partition[17..DIGEST_AT].iter().all(|b| *b == 0));
        assert_eq!(partition[MAGIC_2_AT..BLOCK_BYTES], [0xa5, 0xb4, 0xc3, 0xd2]);
        assert_eq!(partition[..BLOCK_BYTES], partition[BLOCK_BYTES..2 * BLOCK_BYTES]);
        assert!(partition[2 * BLOCK_BYTES..].iter().all(|b| *b == 0));
    }

    #[test]
    fn no_value_is_a_partition_of_zeros() {
        let none = meta(&[]);
        assert!(none.is_empty());
        let partition = none.partition().expect("fits");
        assert!(partition.iter().all(|b| *b == 0));
        assert_eq!(Meta::read(&partition), Ok((none, Source::Blank)));
    }

    #[test]
    fn as_much_as_there_is_room_for() {
        let value = "x".repeat(CAPACITY_BYTES - RECORD_HEADER_BYTES);
        let full = meta(&[&format!("12={value}")]);
        assert_eq!(Meta::read(&full.partition().expect("fits")), Ok((full, Source::First)));
        let text = refused(&format!("12={value}x"));
        assert_eq!(text, MetaError::TooLarge(CAPACITY_BYTES + 1));
    }

    #[test]
    fn must_fail_01_keys() {
        for key in ["", "0", "0x0", "256", "0x100", "010", "+12", "-1", "0x", "0x+1", "network", "1_2", " 12"]
        {
            assert_eq!(refused(&format!("{key}=v")), MetaError::Key(key.to_owned()));
        }
        assert!(refused("nothing=v").to_string().contains("metal-network"));
        assert_eq!(refused("12"), MetaError::Form("12".to_owned()));
        assert_eq!(Meta::from_arguments(&["12=a", "0xc=b"]), Err(MetaError::Twice(12)));
    }

    #[test]
    fn must_fail_02_values_that_no_new_image_has() {
        for (argument, part) in [
            ("6=A", "an upgrade that failed"),
            ("upgrade=A", "an upgrade that failed"),
            ("0x7=x", "upgrade itself"),
            ("8={}", "staged upgrade"),
            ("17=sd-boot", "amd64"),
            ("9=[]", "JSON object"),
            ("15=1", "a UUID"),
            ("machine-token= ", "not empty"),
        ] {
            let text = refused(argument).to_string();
            assert!(text.contains(part), "{argument}: {text}");
        }
        assert_eq!(meta(&["9={\"provider\":\"luks2\"}"]).values().len(), 1);
    }

    #[test]
    fn one_damaged_copy_does_not_matter() {
        let given = meta(&["12=a"]);
        for (at, damage) in
            [(0, Damage::Magic(0)), (20, Damage::Digest), (MAGIC_2_AT, Damage::Magic(MAGIC_2_AT))]
        {
            let mut partition = given.partition().expect("fits");
            partition[at] ^= 1;
            assert_eq!(Meta::read(&partition), Ok((given.clone(), Source::Second(damage))));
            partition.swap(at, BLOCK_BYTES + at);
            assert_eq!(Meta::read(&partition), Ok((given.clone(), Source::First)));
        }
        // Torn while it was written for the first time: the other copy is still zero.
        let mut partition = given.partition().expect("fits");
        partition[..BLOCK_BYTES].fill(0);
        assert_eq!(Meta::read(&partition), Ok((given, Source::Second(Damage::Magic(0)))));
    }

    #[test]
    fn must_fail_03_damaged_partitions() {
        let good = meta(&["12=abcdef"]).partition().expect("fits");
        assert_eq!(Meta::read(&good[1..]), Err(MetaError::Size(PARTITION_BYTES - 1)));
        let mut both = good.clone();
        both[30] ^= 1;
        both[BLOCK_BYTES + DIGEST_AT] ^= 1;
        let damaged = MetaError::Damaged { first: Damage::Digest, second: Damage::Digest };
        assert_eq!(Meta::read(&both), Err(damaged));
        let mut text = vec![b'x'; PARTITION_BYTES];
        assert!(matches!(Meta::read(&text), Err(MetaError::Damaged { first: Damage::Magic(0), .. })));
        text.fill(0xff);
        assert!(Meta::read(&text).is_err());
        // Sound digests around records that are not.
        let mut long = good.clone();
        long[8..12].copy_from_slice(&u32::MAX.to_be_bytes());
        let overrun = Damage::Overrun { tag: 12 };
        assert_eq!(Meta::read(&sealed(long)), Err(MetaError::Damaged { first: overrun, second: overrun }));
        let mut large = good;
        large[4..8].copy_from_slice(&300_u32.to_be_bytes());
        let tag = Damage::Tag { tag: 300 };
        assert_eq!(Meta::read(&sealed(large)), Err(MetaError::Damaged { first: tag, second: tag }));
    }
}
