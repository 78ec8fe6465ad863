// SPDX-License-Identifier: Apache-2.0 OR MIT
//! ID blocks that boot, and those that do not.

use super::*;
use sha2::{Digest, Sha256};
use std::io::Cursor;

/// An ID block with one image per filling byte, one sector pair each.
fn id_block(images: &[u8]) -> Vec<u8> {
    let mut block = vec![0; idblock::HEADER_BYTES + images.len() * 1024];
    block[..4].copy_from_slice(b"RKNS");
    block[8..12].copy_from_slice(&((images.len() as u32) << 16 | 384).to_le_bytes());
    block[12] = 1;
    for (n, filling) in images.iter().enumerate() {
        let start = idblock::HEADER_BYTES + n * 1024;
        block[start..start + 1024].fill(*filling);
        let hash = Sha256::digest(&block[start..start + 1024]);
        let at = 0x78 + n * 0x58;
        block[at..at + 4].copy_from_slice(&(2 << 16 | (start / 512) as u32).to_le_bytes());
        block[at + 0x18..at + 0x38].copy_from_slice(&hash);
    }
    let hash = Sha256::digest(&block[..0x600]);
    block[0x600..0x620].copy_from_slice(&hash);
    block
}

fn disk(block: &[u8]) -> Disk {
    let mut bytes = vec![0; 64 * 512];
    bytes.extend(block);
    let len = bytes.len() as u64;
    Disk::new(Cursor::new(bytes), len)
}

fn boot(spi: Option<Disk>, emmc: Option<Disk>, sd: Option<Disk>) -> (Result<Boot, Error>, Ram) {
    let (mut spi, mut emmc, mut sd) = (spi, emmc, sd);
    let mut ram = Ram::new(&[0..0x100_0000, 0xff00_0000..0xff10_0000], 1 << 24);
    let media =
        [(BootSource::Spi, spi.as_mut()), (BootSource::Emmc, emmc.as_mut()), (BootSource::Sd, sd.as_mut())];
    let result = start(media, None, &mut ram);
    (result, ram)
}

#[test]
fn the_first_whole_id_block_wins() {
    let (result, ram) = boot(None, Some(disk(&id_block(&[1, 2]))), Some(disk(&id_block(&[1, 3]))));
    let taken = result.unwrap();
    assert_eq!((taken.source, taken.spl_bytes, taken.ddr_bytes), (BootSource::Emmc, 1024, 1024));
    assert_eq!(taken.refused, [Refusal { source: BootSource::Spi, reason: Reason::Absent }]);
    let mut spl = [0; 4];
    ram.read_bytes(0, &mut spl).unwrap();
    assert_eq!(spl, [2; 4]);
    ram.read_bytes(0xff00_0010, &mut spl).unwrap();
    assert_eq!(spl, [2, 0, 0, 0]);
}

#[test]
fn a_broken_medium_is_passed_over_with_its_reason() {
    let mut broken = disk(&id_block(&[1, 2]));
    assert!(broken.patch(64 * 512 + 2048 + 1024, &[9]));
    let (result, _) = boot(None, Some(broken), Some(disk(&id_block(&[1, 3]))));
    let taken = result.unwrap();
    assert_eq!(taken.source, BootSource::Sd);
    let Reason::IdBlock(reason) = &taken.refused[1].reason else { panic!("{:?}", taken.refused) };
    assert!(reason.starts_with("id block: SHA-256 of entry 1 is"), "{reason}");
}

#[test]
fn must_fail_without_anything_to_boot() {
    let short = Disk::new(Cursor::new(vec![0; 100]), 100);
    let (result, ram) = boot(None, Some(disk(&id_block(&[1]))), Some(short));
    assert_eq!(
        result.unwrap_err().to_string(),
        "the boot ROM finds nothing to boot; spi: no medium; \
         emmc: id block holds no spl, only 1 image(s); sd: cannot be read at sector 64"
    );
    assert_eq!(ram.resident_bytes(), 0);
}

#[test]
fn must_fail_a_truncated_payload() {
    let block = id_block(&[1, 2]);
    let (result, _) = boot(None, None, Some(disk(&block[..block.len() - 512])));
    assert!(result.unwrap_err().to_string().contains("sd: id block is truncated: entry 1 needs 4096 bytes"));
}
