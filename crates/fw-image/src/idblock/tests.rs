// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Must-fail fixtures of the ID block, made from one good block by one change each.

use super::*;

/// A block with two payloads of 4 and 8 sectors, hashed as `mkimage` does.
fn good() -> Vec<u8> {
    let mut block = vec![0_u8; HEADER_BYTES];
    block.extend(vec![0xd1; 4 * SECTOR_BYTES]);
    block.extend(vec![0x51; 8 * SECTOR_BYTES]);
    block[..4].copy_from_slice(&MAGIC);
    put(&mut block, COUNT_OFFSET, (2 << 16) | 384);
    put(&mut block, HASH_TYPE_OFFSET, 1);
    for (index, (start, size)) in [(4_usize, 4_usize), (8, 8)].into_iter().enumerate() {
        let at = ENTRIES_OFFSET + index * ENTRY_BYTES;
        put(&mut block, at, (size << 16 | start) as u32);
        put(&mut block, at + 4, 0xffff_ffff);
        put(&mut block, at + 12, index as u32 + 1);
        let digest = Sha256::digest(&block[start * SECTOR_BYTES..(start + size) * SECTOR_BYTES]);
        block[at + ENTRY_HASH_OFFSET..][..32].copy_from_slice(&digest);
    }
    seal(&mut block);
    block
}

fn put(block: &mut [u8], at: usize, word: u32) {
    block[at..at + 4].copy_from_slice(&word.to_le_bytes());
}

fn seal(block: &mut [u8]) {
    let digest = Sha256::digest(&block[..HEADER_HASH_OFFSET]);
    block[HEADER_HASH_OFFSET..][..32].copy_from_slice(&digest);
}

#[test]
fn good_block_verifies() {
    let block = good();
    let parsed = verify(&block).expect("a block hashed like mkimage's");
    assert_eq!(parsed.entries.len(), 2);
    assert_eq!((parsed.entries[1].offset_bytes(), parsed.entries[1].size_bytes()), (4096, 4096));
    assert_eq!(parsed.entries[0].counter, 1);
    assert_eq!(parsed.entries[0].payload(&block).expect("in range")[0], 0xd1);
    assert_eq!(parsed.end_bytes(), block.len());
}

#[test]
fn must_fail_01_bad_magic() {
    let mut block = good();
    block[3] = b'X';
    assert!(matches!(verify(&block), Err(Error::Magic { .. })));
}

#[test]
fn must_fail_02_version_1_header() {
    // 0x0ff0aa55 under the ROM's well-known RC4 key, as `mkimage -n rk3399` writes it.
    let mut block = good();
    block[..4].copy_from_slice(&[0x3b, 0x8c, 0xdc, 0xfc]);
    assert_eq!(verify(&block), Err(Error::Version1));
}

#[test]
fn must_fail_03_truncated_header_and_payload() {
    let block = good();
    for len in [0, 3, 4, HEADER_BYTES - 1, HEADER_BYTES, block.len() - 1] {
        assert!(matches!(verify(&block[..len]), Err(Error::Truncated { .. })), "length {len}");
    }
}

#[test]
fn must_fail_04_payload_changed() {
    let mut block = good();
    *block.last_mut().expect("not empty") ^= 1;
    assert!(matches!(verify(&block), Err(Error::Hash { what, .. }) if what == "entry 1"));
}

#[test]
fn must_fail_05_header_changed_after_hashing() {
    let mut block = good();
    block[0x500] ^= 1;
    assert!(matches!(verify(&block), Err(Error::Hash { what, .. }) if what == "the header"));
}

#[test]
fn must_fail_06_unknown_hash_type() {
    let mut block = good();
    put(&mut block, HASH_TYPE_OFFSET, 2);
    seal(&mut block);
    assert_eq!(verify(&block), Err(Error::HashType(2)));
}

#[test]
fn must_fail_07_image_count_and_hash_place() {
    for word in [384, (5 << 16) | 384, (2 << 16) | 383] {
        let mut block = good();
        put(&mut block, COUNT_OFFSET, word);
        seal(&mut block);
        assert!(matches!(verify(&block), Err(Error::Layout { .. })), "word {word:#x}");
    }
}

#[test]
fn must_fail_08_empty_or_overlapping_entry() {
    for place in [0x0000_0008, 0x0008_0007, 0x0008_0003] {
        let mut block = good();
        put(&mut block, ENTRIES_OFFSET + ENTRY_BYTES, place);
        seal(&mut block);
        assert!(matches!(verify(&block), Err(Error::Entry { index: 1, .. })), "place {place:#x}");
    }
}
