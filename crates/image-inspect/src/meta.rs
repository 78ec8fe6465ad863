// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Talos's META partition: zero, or records in a block that is there twice.
//!
//! Format: talos-contracts 3.6 of the project's facts (Talos, internal/pkg/meta/internal/adv/talos): big-endian, magic,
//! records of tag, size, value, SHA-256 with its own field zero, magic. Values may be secrets: only lengths are told.

use sha2::{Digest, Sha256};

use crate::finding::Kind;
use crate::look::Look;
use crate::report::{MetaRecord, MetaReport};
use crate::table;

const BLOCK_BYTES: usize = 256 << 10;
const MAGIC_BEGIN: u32 = 0x5a4b_3c2d;
const MAGIC_END: u32 = 0xa5b4_c3d2;
const PARTITION_BYTES: u64 = 1 << 20;

fn meaning(tag: u32) -> &'static str {
    match tag {
        6 => "boot label before the upgrade",
        7 => "staged upgrade image",
        8 => "staged upgrade options",
        9 => "encryption of STATE",
        10 => "network configuration",
        11 => "download code",
        12..=14 => "reserved for users",
        15 => "UUID",
        16 => "machine token",
        17 => "boot loader of the disk image",
        _ => "unknown",
    }
}

pub(crate) fn look(look: &mut Look<'_>) {
    let Some(p) = look.report.partitions.iter().find(|p| p.name == "META").cloned() else { return };
    if !look.talos {
        return;
    }
    let bytes = match table::bytes_of(look, &p, PARTITION_BYTES) {
        Ok(bytes) => bytes,
        Err(e) => return look.unreadable("META", p.offset_bytes, &e),
    };
    let report = if bytes.iter().all(|b| *b == 0) {
        MetaReport { state: "empty", records: vec![] }
    } else {
        let copies = bytes.chunks_exact(BLOCK_BYTES).take(2);
        match copies.into_iter().find_map(records) {
            Some(records) => MetaReport { state: "records", records },
            None => {
                let detail = "neither of its two blocks is sound";
                look.findings.add(Kind::MetaDamaged, "META", Some(p.offset_bytes), detail);
                MetaReport { state: "damaged", records: vec![] }
            }
        }
    };
    look.report.meta = Some(report);
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// The records of a sound block.
pub(crate) fn records(block: &[u8]) -> Option<Vec<MetaRecord>> {
    let end = block.len().checked_sub(36)?;
    if word(block, 0)? != MAGIC_BEGIN || word(block, block.len() - 4)? != MAGIC_END {
        return None;
    }
    let mut digest = Sha256::new();
    digest.update(&block[..end]);
    digest.update([0; 32]);
    digest.update(&block[end + 32..]);
    if digest.finalize().as_slice() != &block[end..end + 32] {
        return None;
    }
    let (mut records, mut at) = (Vec::new(), 4);
    while at + 8 <= end {
        let (tag, size) = (word(block, at)?, word(block, at + 4)? as usize);
        if tag == 0 {
            break;
        }
        at = at.checked_add(8)?.checked_add(size).filter(|next| *next <= end)?;
        records.push(MetaRecord { tag, meaning: meaning(tag), length_bytes: size });
    }
    Some(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(tag: u32, value: &[u8]) -> Vec<u8> {
        let mut b = vec![0; BLOCK_BYTES];
        b[..4].copy_from_slice(&MAGIC_BEGIN.to_be_bytes());
        b[4..8].copy_from_slice(&tag.to_be_bytes());
        b[8..12].copy_from_slice(&(value.len() as u32).to_be_bytes());
        b[12..12 + value.len()].copy_from_slice(value);
        b[BLOCK_BYTES - 4..].copy_from_slice(&MAGIC_END.to_be_bytes());
        let digest = Sha256::digest(&b);
        b[BLOCK_BYTES - 36..BLOCK_BYTES - 4].copy_from_slice(&digest);
        b
    }

    #[test]
    fn records_are_read_and_damage_is_seen() {
        let good = block(10, b"network");
        let expected = MetaRecord { tag: 10, meaning: "network configuration", length_bytes: 7 };
        assert_eq!(records(&good), Some(vec![expected]));
        for at in [0, 5, 13, 5000, BLOCK_BYTES - 20, BLOCK_BYTES - 1] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(records(&bad), None, "byte {at}");
        }
        assert_eq!(records(&good[..20]), None);
    }
}
