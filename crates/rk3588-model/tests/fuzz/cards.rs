// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Random commands to the cards, bare and through their hosts: with any block size and count, by the data port and by
//! descriptors, in any order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rk3588_model::bus::Width;
use rk3588_model::devices::mmc::dw_mmc::DwMmc;
use rk3588_model::devices::mmc::emmc::Emmc;
use rk3588_model::devices::mmc::sd::SdCard;
use rk3588_model::devices::mmc::sdhci::Sdhci;
use rk3588_model::devices::mmc::{Card, Reply};
use rk3588_model::events::{Event, Events};
use rk3588_model::storage::Disk;

use super::bus::Bench;
use super::random::Random;
use super::{medium, rounds};

const SD: u64 = 0xfe2c_0000;
const EMMC: u64 = 0xfe2e_0000;
const SFC: u64 = 0xfe2b_0000;
const MEDIUM_BYTES: u64 = 1 << 20;
const SECTOR_BYTES: u64 = 512;
/// Commands that cards know, and any.
const COMMANDS: [u8; 24] =
    [0, 1, 2, 3, 6, 7, 8, 9, 12, 13, 16, 17, 17, 18, 18, 23, 24, 24, 25, 25, 41, 51, 55, 63];

fn argument(random: &mut Random) -> u32 {
    match random.below(4) {
        // A sector that there is, or just not.
        0 | 1 => random.below(MEDIUM_BYTES / SECTOR_BYTES + 8) as u32,
        2 => 0x1234 << 16,
        _ => random.value() as u32,
    }
}

fn card(random: &mut Random, card: &mut dyn Card, grown_bytes: u64) {
    let mut events = Events::default();
    for _ in 0..200 {
        let index = random.of(&COMMANDS);
        let reply = card.command(index, argument(random), random.one_in(2));
        assert!(index != 0 || reply == Reply::Nothing, "CMD0 has no answer");
        for _ in 0..random.below(12) {
            let mut block = vec![0; random.of(&[1, 8, 64, 512, 512, 512, 513, 1024, 4096])];
            if random.one_in(2) {
                card.read_block(&mut block);
            } else {
                card.write_block(&block, &mut events);
            }
        }
    }
    assert!(card.disk().written_lbas().all(|lba| lba < grown_bytes / SECTOR_BYTES));
    assert_eq!(card.disk().failed_reads(), 0);
    // Whatever is read, a register or sectors, comes to its end.
    card.command(random.of(&[6, 8, 17, 18]), 0, true);
    let mut block = [0; SECTOR_BYTES as usize];
    let reads = (0..).take_while(|_| card.read_block(&mut block)).take(1 << 16).count() as u64;
    assert!(reads <= grown_bytes / SECTOR_BYTES, "{reads} blocks were read");
    for event in events.all() {
        assert!(matches!(event, Event::MediumWrite { sectors: 0..=8, .. }), "{event:?}");
    }
}

#[test]
fn cards_keep_to_their_size() {
    rounds(|random| {
        card(random, &mut SdCard::new(medium(MEDIUM_BYTES).0), MEDIUM_BYTES);
        card(random, &mut Emmc::new(medium(MEDIUM_BYTES).0), MEDIUM_BYTES);
    });
}

/// A card that counts what it moves for a command.
#[derive(Debug)]
struct Counted<C> {
    card: C,
    bytes: Arc<AtomicU64>,
}

impl<C: Card> Card for Counted<C> {
    fn command(&mut self, index: u8, argument: u32, has_data: bool) -> Reply {
        self.card.command(index, argument, has_data)
    }

    fn read_block(&mut self, out: &mut [u8]) -> bool {
        self.bytes.fetch_add(out.len() as u64, Ordering::Relaxed);
        self.card.read_block(out)
    }

    fn write_block(&mut self, data: &[u8], events: &mut Events) -> bool {
        self.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        self.card.write_block(data, events)
    }

    fn disk(&mut self) -> &mut Disk {
        self.card.disk()
    }
}

/// Descriptors of either host somewhere low in memory, most of them sound.
fn descriptors(random: &mut Random, bench: &mut Bench, adma: bool) -> u64 {
    let at = 0x1000 + 16 * random.below(64);
    let count = 1 + random.below(20);
    let sound = random.below(4);
    for n in 0..count {
        let last = n + 1 == count && random.one_in(2);
        let bytes = random.of(&[512, 512, 1024, 4096, 0, 100, 8191]);
        let words: [u32; 4] = match (sound, adma) {
            (0, _) => [0; 4].map(|_: u32| random.value() as u32),
            // DesignWare: owned, two buffers.
            (_, false) => [1 << 31 | u32::from(last) << 2, bytes | bytes << 13, 0x8000, 0x1_0000],
            // ADMA2: valid, transfer.
            (_, true) => [0x21 | u32::from(last) << 1 | bytes << 16, 0x8000, 0, 0],
        };
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        bench.ram.write_bytes(at + 16 * n, &bytes).expect("low memory");
    }
    at
}

/// A command with data in half of all cases, and whether it has.
fn command(random: &mut Random) -> (u32, bool) {
    let data = random.one_in(2);
    let command = if data { random.of(&[17, 18, 24, 25, 25, 8, 6, 51]) } else { random.of(&COMMANDS) };
    (command.into(), data)
}

/// A reset and one command; the bytes that its driver asks for.
fn sd_host(random: &mut Random, bench: &mut Bench) -> u64 {
    let size = random.of(&[0, 1, 8, 64, 512, 512, 512, 512, 1024, 0xffff]);
    let count = random.of(&[0, 1, 511, 512, 700, 4096, 5000, 65_536, u32::MAX]);
    let (command, data) = command(random);
    let write = matches!(command, 24 | 25) || random.one_in(8);
    let flags = 1 << 6 | u32::from(data) << 9 | u32::from(write) << 10 | u32::from(random.one_in(2)) << 12;
    let list = descriptors(random, bench, false);
    let dma = random.one_in(2);
    let script = [
        (0x00, 7),
        (0x00, if dma { 1 << 25 | 1 << 4 } else { 1 << 4 }),
        (0x80, if dma { 1 << 7 } else { 0 }),
        (0x88, list as u32),
        (0x1c, size),
        (0x20, count),
        (0x28, argument(random)),
        (0x2c, command | 1 << 31 | flags),
    ];
    for (offset, value) in script {
        let _ = bench.write(3, SD + offset, Width::Word, value.into());
    }
    for _ in 0..random.below(400) {
        match random.below(32) {
            0 => drop(bench.write(3, SD + 0x44, Width::Word, random.value())),
            1 => drop(bench.write(3, SD + 0x84, Width::Word, 1)),
            2 => drop(bench.read(3, SD + 0x48, Width::Word)),
            n if n % 2 == 0 => drop(bench.read(3, SD + 0x200, Width::Word)),
            _ => drop(bench.write(3, SD + 0x200, Width::Word, random.value())),
        }
    }
    count.into()
}

/// The same of the other host.
fn emmc_host(random: &mut Random, bench: &mut Bench) -> u64 {
    let list = descriptors(random, bench, true);
    let (command, data) = command(random);
    let size = random.of(&[0, 1, 8, 512, 512, 512, 512, 700, 4095]);
    let (count, wide) = (random.of(&[0, 1, 2, 3, 700, 65_535]), random.of(&[1, 5, 0x8000, u32::MAX]));
    let version = random.of(&[0, 0, 1 << 12, 3 << 12]);
    let mode = random.below(64) & !(1 << 4) | u64::from(!matches!(command, 24 | 25)) << 4;
    let script = [
        (0x2f, Width::Byte, 7),
        (0x28, Width::Byte, random.below(4) << 3),
        (0x3e, Width::Half, version),
        (0x58, Width::Double, list),
        (0x00, Width::Word, wide.into()),
        (0x04, Width::Half, size),
        (0x06, Width::Half, count),
        (0x08, Width::Word, argument(random).into()),
        (0x0c, Width::Half, mode),
        (0x0e, Width::Half, u64::from(command) << 8 | 2 | u64::from(data) << 5),
    ];
    for (offset, width, value) in script {
        let _ = bench.write(3, EMMC + offset, width, value);
    }
    for _ in 0..random.below(400) {
        match random.below(2) {
            0 => drop(bench.read(3, EMMC + 0x20, Width::Word)),
            _ => drop(bench.write(3, EMMC + 0x20, Width::Word, random.value())),
        }
    }
    let blocks = match count {
        _ if mode & 1 << 5 == 0 => 1,
        0 if version != 0 => wide.into(),
        count => count,
    };
    blocks * size.clamp(1, 2048)
}

fn flash_host(random: &mut Random, bench: &mut Bench) {
    let opcode = random.of(&[0x02, 0x03, 0x06, 0x06, 0x0b, 0x12, 0x20, 0x9f, 0xd8, 0xeb, 0x05]);
    let command = opcode | random.below(2) << 12 | random.below(4) << 14 | u64::from(random.one_in(8)) << 30;
    let script = [
        (0x8c, random.of(&[0, 1, 255, 256, 4096, u64::MAX])),
        (0x84, random.of(&[0x8000, 0x3ff_ff00, u64::MAX])),
        (0x100, command),
        (0x104, random.value()),
        (0x80, random.below(2)),
    ];
    for (offset, value) in script {
        let _ = bench.write(3, SFC + offset, Width::Word, value);
    }
    for _ in 0..random.below(8) {
        let _ = bench.read(3, SFC + 0x108, Width::Word);
        let _ = bench.write(3, SFC + 0x108, Width::Word, random.value());
    }
}

#[test]
fn hosts_stay_within_card_and_memory() {
    rounds(|random| {
        let mut bench = Bench::new();
        let moved = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
        let [sd, emmc] = [0, 1].map(|n: usize| Arc::clone(&moved[n]));
        let sd = Counted { card: SdCard::new(medium(MEDIUM_BYTES).0), bytes: sd };
        let emmc = Counted { card: Emmc::new(medium(MEDIUM_BYTES).0), bytes: emmc };
        bench.soc.devices.sd = DwMmc::new(203, Some(Box::new(sd)));
        bench.soc.devices.emmc = Sdhci::new(205, Some(Box::new(emmc)));
        for _ in 0..100 {
            moved.iter().for_each(|bytes| bytes.store(0, Ordering::Relaxed));
            let asked = match random.below(5) {
                0 | 1 => sd_host(random, &mut bench),
                2 | 3 => emmc_host(random, &mut bench),
                _ => {
                    flash_host(random, &mut bench);
                    0
                }
            };
            for (card, bytes) in ["sd", "emmc"].iter().zip(&moved) {
                let bytes = bytes.load(Ordering::Relaxed);
                assert!(bytes <= asked, "{card} has moved {bytes} bytes, the driver asked for {asked}");
            }
            bench.lines();
            let waiting = bench.soc.devices.sd.waiting_bytes();
            assert!(waiting <= 1 << 16, "{waiting} bytes wait");
        }
        let devices = &mut bench.soc.devices;
        for card in [devices.sd.card(), devices.emmc.card()] {
            let disk = card.expect("a card").disk();
            assert!(disk.written_lbas().all(|lba| lba < MEDIUM_BYTES / SECTOR_BYTES));
            assert_eq!(disk.failed_reads(), 0);
        }
    });
}
