// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Damaged ID blocks, and noise where SPL should be.

use std::io::Cursor;

use fw_image::idblock::HEADER_BYTES;
use rk3588_model::bootrom::ID_BLOCK_LBA;
use rk3588_model::machine::{Board, Machine, Pause};
use rk3588_model::storage::Disk;
use sha2::{Digest, Sha256};

use super::random::Random;
use super::rounds;

const IMAGE_BYTES: usize = 8192;
/// Instructions of noise that are executed.
const INSTRUCTIONS: u64 = 200_000;
/// Entries of the header: place, length, place of the hash (mkimage's `rkcommon`).
const ENTRIES: usize = 0x78;
const ENTRY_BYTES: usize = 0x58;
const MEMORY_LIMIT_BYTES: u64 = 256 << 20;

/// A sound ID block with a DDR blob and noise as SPL.
fn block(random: &mut Random) -> Vec<u8> {
    let mut block = vec![0; HEADER_BYTES + 2 * IMAGE_BYTES];
    block[..4].copy_from_slice(b"RKNS");
    block[8..12].copy_from_slice(&(2_u32 << 16 | 384).to_le_bytes());
    block[12] = 1;
    for bytes in block[HEADER_BYTES..].chunks_exact_mut(4) {
        // Half of all words are SIMD, which is not there and would end each run at once.
        let word = random.next() as u32;
        bytes.copy_from_slice(&(if random.one_in(16) { word } else { word & !(1 << 26) }).to_le_bytes());
    }
    hash(&mut block);
    block
}

fn hash(block: &mut [u8]) {
    for n in 0..2 {
        let start = HEADER_BYTES + n * IMAGE_BYTES;
        let at = ENTRIES + n * ENTRY_BYTES;
        let place = ((IMAGE_BYTES / 512) as u32) << 16 | (start / 512) as u32;
        block[at..at + 4].copy_from_slice(&place.to_le_bytes());
        let digest = Sha256::digest(&block[start..start + IMAGE_BYTES]);
        block[at + 0x18..at + 0x38].copy_from_slice(&digest);
    }
    header_hash(block);
}

fn header_hash(block: &mut [u8]) {
    let digest = Sha256::digest(&block[..0x600]);
    block[0x600..0x620].copy_from_slice(&digest);
}

fn board(block: &[u8], cut: usize) -> Board {
    let mut bytes = vec![0; ID_BLOCK_LBA as usize * 512];
    bytes.extend(block);
    bytes.truncate(bytes.len() - cut);
    let length = bytes.len() as u64;
    Board {
        sd: Some(Disk::new(Cursor::new(bytes), length)),
        memory_limit_bytes: MEMORY_LIMIT_BYTES,
        ..Board::default()
    }
}

#[test]
fn a_damaged_id_block_is_refused_and_a_whole_one_is_run() {
    let (mut taken, mut refused) = (0, 0);
    rounds(|random| {
        let sound = block(random);
        for _ in 0..20 {
            let mut damaged = sound.clone();
            for _ in 0..random.below(4) {
                let end = if random.one_in(2) { HEADER_BYTES } else { damaged.len() };
                let at = random.below(end as u64) as usize;
                damaged[at] = random.value() as u8;
            }
            // With the right sum the header's numbers are believed.
            if random.one_in(2) {
                header_hash(&mut damaged);
            }
            let cut = if random.one_in(4) { random.below(damaged.len() as u64) as usize } else { 0 };
            match Machine::power_on(board(&damaged, cut)) {
                Ok(machine) => {
                    taken += 1;
                    assert!(machine.boot().spl_bytes <= damaged.len() - cut);
                    assert!(machine.ram.resident_bytes() <= MEMORY_LIMIT_BYTES);
                }
                Err(error) => {
                    refused += 1;
                    assert_eq!(error.refused.len(), 3, "{error}");
                }
            }
        }
    });
    assert!(taken > 0 && refused > 0, "{taken} taken, {refused} refused: one side was not tried");
}

#[test]
fn noise_as_spl_ends_within_its_instructions() {
    rounds(|random| {
        let mut machine = Machine::power_on(board(&block(random), 0)).expect("a whole block");
        // Faults go to the noise's own vectors instead of ending the run.
        machine.cpu.stop_on_fault([false; 4]);
        let mut pauses = 0;
        while machine.work() < INSTRUCTIONS && pauses < 100 {
            pauses += 1;
            match machine.run(INSTRUCTIONS / 10) {
                Pause::Limit | Pause::KernelTakeOver | Pause::Reset(_) => {}
                Pause::Dead(_) | Pause::Unknown | Pause::MemoryLimit => break,
            }
        }
        assert!(machine.cpu.instructions() <= INSTRUCTIONS * 2, "{}", machine.cpu.instructions());
        assert!(machine.ram.resident_bytes() <= MEMORY_LIMIT_BYTES);
    });
}
