// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The same for card, eMMC and serial flash.

use super::*;

#[test]
fn an_sd_card_is_found_in_the_order_of_the_loaders() {
    let mut bench = with_sd();
    assert_eq!(bench.read(SD + 0x50) & 1, 0);
    bench.write(SD, 7);
    assert_eq!(bench.read(SD), 0);
    assert_eq!(bench.sd(0, 0), 4);
    assert_eq!(bench.sd(8 | WITH_RESPONSE, 0x1aa), 4);
    assert_eq!(bench.read(SD + 0x30), 0x1aa);
    bench.sd(55 | WITH_RESPONSE, 0);
    bench.sd(41 | WITH_RESPONSE, 0x4030_0000);
    assert_eq!(bench.read(SD + 0x30) >> 30, 3);
    for command in [2, 3] {
        assert_eq!(bench.sd(command | WITH_RESPONSE, 0), 4);
    }
    let rca = bench.read(SD + 0x30) & 0xffff_0000;
    bench.sd(9 | WITH_RESPONSE, rca);
    // 64 sectors are less than the unit of capacity: one unit of 512 KiB, C_SIZE 0.
    assert_eq!((bench.read(SD + 0x34) >> 16, bench.read(SD + 0x3c) >> 30), (0, 1));
    assert_eq!(bench.sd(7 | WITH_RESPONSE, rca), 4);
    // Not an SD card's: these must time out.
    for foreign in [1, 5] {
        assert_eq!(bench.sd(foreign | WITH_RESPONSE, 0) & 0x104, 0x104);
    }
    assert_eq!(bench.sd(8 | WITH_RESPONSE | WITH_DATA, 0) & 0x100, 0x100);
}

#[test]
fn sectors_come_through_the_fifo() {
    let mut bench = with_sd();
    bench.write(SD + 0x1c, 512);
    bench.write(SD + 0x20, 4 * 512);
    let raw = bench.sd(18 | WITH_RESPONSE | WITH_DATA, 3);
    assert_eq!(raw & 0x28, 0x20, "ready, not over: the FIFO holds two of four blocks");
    assert_eq!(bench.read(SD + 0x48) >> 17, 256);
    let mut bytes = Vec::new();
    for _ in 0..4 * 128 {
        bytes.extend(bench.read(SD + 0x200).to_le_bytes());
    }
    assert_eq!(
        (bytes[0], bytes[512], bytes[4 * 512 - 1]),
        (3 + (1536 % 7) as u8, 4 + (2048 % 7) as u8, 6 + 3583_u32.rem_euclid(7) as u8)
    );
    assert_eq!(bench.read(SD + 0x44) & 8, 8);
    assert_eq!(bench.read(SD + 0x48) & 4, 4);
}

#[test]
fn sectors_come_and_go_through_descriptors() {
    let mut bench = with_sd();
    // Two descriptors: 512 bytes each, chained.
    for (n, (control, buffer)) in
        [(0x8000_0018_u32, 0x10_0000_u32), (0x8000_0014, 0x10_8000)].into_iter().enumerate()
    {
        let at = 0x2000 + 16 * n as u64;
        for (word, value) in [control, 512, buffer, at as u32 + 16].into_iter().enumerate() {
            bench.ram.write(at + 4 * word as u64, Width::Word, value.into()).unwrap();
        }
    }
    bench.write(SD + 0x20, 1024);
    bench.write(SD + 0x88, 0x2000);
    bench.write(SD + 0x80, 0x82);
    bench.write(SD, 1 << 25 | 1 << 5);
    assert_eq!(bench.sd(18 | WITH_RESPONSE | WITH_DATA, 1) & 0xc, 0xc);
    assert_eq!(bench.read(SD + 0x8c), 0x102);
    assert_eq!(bench.ram.read(0x2010, Width::Word), Ok(0x14), "the host gave the descriptor back");
    assert_eq!(bench.ram.read(0x10_8000, Width::Byte), Ok(2 + 1024 % 7));
    // Without ownership nothing moves.
    bench.write(SD + 0x8c, u32::MAX);
    bench.sd(18 | WITH_RESPONSE | WITH_DATA, 1);
    assert_eq!(bench.read(SD + 0x8c) & 0x10, 0x10);
    // And a write lands in the overlay.
    bench.ram.write(0x2000, Width::Word, 0x8000_0014).unwrap();
    bench.ram.write(0x10_0000, Width::Double, 0x1122_3344_5566_7788).unwrap();
    bench.write(SD + 0x20, 512);
    bench.sd(24 | WITH_RESPONSE | WITH_DATA | WITH_WRITE, 9);
    assert_eq!(bench.soc.events.all(), [Event::MediumWrite { medium: "sd", lba: 9, sectors: 1 }]);
    let disk = bench.soc.devices.sd.card().unwrap().disk();
    let mut bytes = [0; 8];
    assert!(disk.read_bytes(9 * 512, &mut bytes));
    assert_eq!(bytes, 0x1122_3344_5566_7788_u64.to_le_bytes());
}

#[test]
fn must_fail_descriptors_that_lead_nowhere_end() {
    let mut bench = with_sd();
    // A chain that points at itself, with buffers of no length.
    for (word, value) in [0x8000_0010_u32, 0, 0, 0x2000].into_iter().enumerate() {
        bench.ram.write(0x2000 + 4 * word as u64, Width::Word, value.into()).unwrap();
    }
    bench.write(SD + 0x88, 0x2000);
    bench.write(SD + 0x80, 0x82);
    bench.write(SD, 1 << 25);
    bench.sd(18 | WITH_RESPONSE | WITH_DATA, 1);
    assert_eq!(bench.read(SD + 0x8c) & 0x10, 0x10, "its own ownership bit is gone at the second visit");
    bench.write(SD + 0x88, 0xf000_0000);
    bench.sd(18 | WITH_RESPONSE | WITH_DATA, 1);
    assert_eq!(bench.read(SD + 0x8c) & 4, 4);
}

#[test]
fn an_empty_slot_times_out() {
    let mut bench = Bench::new(Parts::default());
    assert_eq!(bench.read(SD + 0x50) & 1, 1);
    assert_eq!(bench.sd(8 | WITH_RESPONSE, 0x1aa), 0x104);
    // SDHCI without eMMC: error and command timeout.
    assert_eq!(bench.emmc(0x081a, 0x1aa), 0x1_8000);
}

#[test]
fn an_emmc_answers_its_own_commands() {
    let mut bench = Bench::new(Parts { emmc: Some(medium().grown_to(1 << 30)), ..Parts::default() });
    bench.write_as(EMMC + 0x2f, Width::Byte, 1);
    assert_eq!(bench.read(EMMC + 0x2c) >> 24, 0);
    bench.write_as(EMMC + 0x2c, Width::Half, 1);
    assert_eq!(bench.read(EMMC + 0x2c) & 3, 3);
    assert_eq!(bench.emmc(0x0002, 0) & 1, 1);
    assert_eq!(bench.emmc(0x0102, 0x40ff_8080) & 1, 1);
    assert_eq!(bench.read(EMMC + 0x10), 0xc0ff_8080);
    assert_eq!(bench.emmc(0x371a, 0), 0x1_8000, "an eMMC knows no application commands");
    // EXT_CSD through the buffer.
    bench.write_as(EMMC + 0x04, Width::Half, 512);
    bench.write_as(EMMC + 0x0c, Width::Half, 0x10);
    assert_eq!(bench.emmc(0x083a, 0) & 0x21, 0x21);
    let mut bytes = Vec::new();
    for _ in 0..128 {
        bytes.extend(bench.read(EMMC + 0x20).to_le_bytes());
    }
    assert_eq!((bytes[192], u32::from_le_bytes(bytes[212..216].try_into().unwrap())), (8, 1 << 21));
    assert_eq!(bench.read(EMMC + 0x30) & 2, 2);
}

#[test]
fn emmc_sectors_go_through_both_kinds_of_dma() {
    let mut bench = Bench::new(Parts { emmc: Some(medium()), ..Parts::default() });
    bench.write_as(EMMC + 0x04, Width::Half, 512);
    bench.write_as(EMMC + 0x06, Width::Half, 2);
    bench.write(EMMC, 0x3000);
    bench.write_as(EMMC + 0x0c, Width::Half, 0x33);
    assert_eq!(bench.emmc(0x123a, 5) & 3, 3);
    assert_eq!(bench.ram.read(0x3200, Width::Byte), Ok(6 + 3072 % 7));
    // ADMA2, 32 bit: one descriptor for both blocks.
    bench.ram.write(0x5000, Width::Double, 0x6000 << 32 | 1024 << 16 | 0x23).unwrap();
    bench.write_as(EMMC + 0x28, Width::Byte, 2 << 3);
    bench.write(EMMC + 0x58, 0x5000);
    assert_eq!(bench.emmc(0x123a, 6) & 3, 3);
    assert_eq!(bench.ram.read(0x6000, Width::Byte), Ok(6 + 3072 % 7));
    // A descriptor that is not valid is an error.
    bench.ram.write(0x5000, Width::Double, 0).unwrap();
    assert_eq!(bench.emmc(0x123a, 6) & 0x0200_8000, 0x0200_8000);
}

const SFC: u64 = 0xfe2b_0000;

/// A command with 24 bits of address and its length.
fn sfc(bench: &mut Bench, opcode: u32, address: u32, length: u32) {
    bench.write(SFC + 0x8c, length);
    bench.write(SFC + 0x100, opcode | 1 << 14);
    bench.write(SFC + 0x104, address);
}

#[test]
fn the_serial_flash_is_read_through_the_port_and_by_dma() {
    let mut bench = Bench::new(Parts { spi: Some(medium()), ..Parts::default() });
    // Its identity, without an address.
    bench.write(SFC + 0x8c, 3);
    bench.write(SFC + 0x100, 0x9f);
    assert_eq!(bench.read(SFC + 0x20) >> 16 & 31, 1);
    assert_eq!(bench.read(SFC + 0x108), 0x18_40ef);
    assert_eq!((bench.read(SFC + 0x20) >> 16 & 31, bench.read(SFC + 0x24)), (0, 0));
    let expected: Vec<u8> = (512..1536_u32).map(|n| (n / 512 + n % 7) as u8).collect();
    sfc(&mut bench, 0x6b, 512, 1024);
    let word = u32::from_le_bytes([expected[0], expected[1], expected[2], expected[3]]);
    assert_eq!(bench.read(SFC + 0x108), word);
    sfc(&mut bench, 0x6b, 512, 1024);
    bench.write(SFC + 0x84, 0x8000);
    assert_eq!(bench.read(SFC + 0x28) & 1 << 7, 0);
    bench.write(SFC + 0x80, 1);
    assert_ne!(bench.read(SFC + 0x28) & 1 << 7, 0);
    let mut got = vec![0; 1024];
    bench.ram.read_bytes(0x8000, &mut got).unwrap();
    assert_eq!(got, expected);
    bench.write(SFC + 0x08, u32::MAX);
    assert_eq!(bench.read(SFC + 0x28), 0);
    // Nothing is soldered to the second select, and another board has no flash at all.
    bench.write(SFC + 0x8c, 3);
    bench.write(SFC + 0x100, 0x9f | 1 << 30);
    assert_eq!(bench.read(SFC + 0x108), 0xff_ffff);
    let mut bench = Bench::new(Parts::default());
    bench.write(SFC + 0x8c, 3);
    bench.write(SFC + 0x100, 0x9f);
    assert_eq!(bench.read(SFC + 0x108), 0xff_ffff);
}

#[test]
fn must_fail_a_length_beyond_any_flash_ends() {
    let mut bench = Bench::new(Parts { spi: Some(medium()), ..Parts::default() });
    sfc(&mut bench, 0x03, 0, u32::MAX);
    assert_eq!(bench.read(SFC + 0x8c), 64 << 20);
    bench.write(SFC + 0x84, 0xf000_0000);
    assert!(!bench.stopped);
    bench.write(SFC + 0x80, 1);
    assert_ne!(bench.read(SFC + 0x28) & 1 << 7, 0);
    // What it moved is counted, and asks for a pause: the run's limit is in instructions.
    assert_eq!((bench.soc.moved_bytes(), bench.stopped), (64 << 20, true));
}
