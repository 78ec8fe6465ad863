// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Loaders: where they are from, and how the boot ROM takes them.

use std::io::Cursor;
use std::time::Duration;

use recover::loader::{Loader, LoaderError, program, start};
use sha2::{Digest, Sha256};

use crate::model::Board;

/// An ID block of two programs, as U-Boot's `mkimage -T rksd` lays it out (`tools/rkcommon.c`).
pub fn idblock(ddr: &[u8], spl: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 2048];
    block[..4].copy_from_slice(b"RKNS");
    block[8..12].copy_from_slice(&(2_u32 << 16 | 384).to_le_bytes());
    block[12] = 1;
    for (index, payload) in [ddr, spl].into_iter().enumerate() {
        let mut payload = payload.to_vec();
        payload.resize(payload.len().next_multiple_of(2048), 0);
        let entry = &mut block[0x78 + index * 0x58..][..0x58];
        entry[8] = 0;
        entry[4..8].fill(0xff);
        entry[12..16].copy_from_slice(&(index as u32 + 1).to_le_bytes());
        entry[0x18..0x38].copy_from_slice(&Sha256::digest(&payload));
        let start = block.len() as u32 / 512;
        let word = (payload.len() as u32 / 512) << 16 | start;
        block[0x78 + index * 0x58..][..4].copy_from_slice(&word.to_le_bytes());
        block.extend(payload);
    }
    let hash = Sha256::digest(&block[..0x600]);
    block[0x600..0x620].copy_from_slice(&hash);
    block
}

/// A container as rkdeveloptool's `boot_merger.h` describes it: header, entries of 57 bytes, data, checksum.
fn container(chip: &[u8; 4], sram: &[(&str, &[u8])], dram: &[(&str, &[u8])]) -> Vec<u8> {
    let entries = 102;
    let data_start = entries + 57 * (sram.len() + dram.len());
    let mut bytes = b"LDR ".to_vec();
    bytes.extend(102_u16.to_le_bytes());
    bytes.extend([0; 8 + 7]);
    bytes.extend(chip.iter().rev());
    for (count, offset) in [(sram.len(), entries), (dram.len(), entries + 57 * sram.len()), (0, 0)] {
        bytes.push(count as u8);
        bytes.extend((offset as u32).to_le_bytes());
        bytes.push(57);
    }
    bytes.resize(entries, 0);
    let mut data = Vec::new();
    for (kind, (name, content)) in sram.iter().map(|e| (1_u32, e)).chain(dram.iter().map(|e| (2_u32, e))) {
        bytes.push(57);
        bytes.extend(kind.to_le_bytes());
        let mut utf16: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        utf16.resize(40, 0);
        bytes.extend(utf16);
        bytes.extend(((data_start + data.len()) as u32).to_le_bytes());
        bytes.extend((content.len() as u32).to_le_bytes());
        bytes.extend(5_u32.to_le_bytes());
        data.extend_from_slice(content);
    }
    bytes.extend(data);
    seal(bytes)
}

/// Puts the checksum behind it: by a table, unlike the code under test.
fn seal(mut bytes: Vec<u8>) -> Vec<u8> {
    let table: Vec<u32> = (0..256_u32)
        .map(|i| (0..8).fold(i << 24, |c, _| c << 1 ^ if c >> 31 == 1 { 0x04c1_0db7 } else { 0 }))
        .collect();
    // The first entries of rkdeveloptool's own table.
    assert_eq!(table[..4], [0, 0x04c1_0db7, 0x0982_1b6e, 0x0d43_16d9]);
    let sum = bytes.iter().fold(0_u32, |c, b| c << 8 ^ table[(c >> 24) as usize ^ usize::from(*b)]);
    bytes.extend(sum.to_le_bytes());
    bytes
}

fn two(sram: &[u8], dram: &[u8]) -> Loader {
    let part = |name, bytes: &[u8]| program(name, bytes.to_vec()).expect("a program");
    Loader::of_parts(part("first", sram), part("second", dram)).expect("a loader")
}

#[test]
fn programs_of_every_length_arrive_whole_and_in_order() {
    for length in [1, 2, 4093, 4094, 4095, 4096, 4097, 8190, 8191, 8192, 60_000] {
        let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let mut device = Board::in_maskrom().device();
        let (mut sent, mut waited) = (Vec::new(), Duration::ZERO);
        start(&mut device, &two(&bytes, &bytes), &mut |s| sent.push(s.area), &mut |d| waited += d)
            .expect("started");
        assert_eq!(sent, [0x471, 0x472]);
        assert_eq!(waited, Duration::from_millis(2));
        let ran = &device.transport().0.ran;
        assert_eq!(ran.iter().map(|(area, _)| *area).collect::<Vec<_>>(), [0x471, 0x472]);
        for (_, program) in ran {
            // A program one byte short of a block is filled up with a zero, so that its CRC stays in one piece.
            assert!(program[..length] == bytes && program.len() - length <= 1, "{length}");
        }
    }
}

#[test]
fn a_boot_rom_that_refuses_is_named_with_the_program() {
    let mut device = Board { sram_bytes: 8192, ..Board::in_maskrom() }.device();
    let (name, why) =
        start(&mut device, &two(&[1; 9000], &[2]), &mut |_| {}, &mut |_| {}).expect_err("too large");
    assert_eq!(
        (name.as_str(), recover::wire::words(&why).as_str()),
        ("first", "the board refused the transfer (stall)")
    );
    // Without a program for SRAM there is no DRAM, and the board hangs.
    let mut loader = two(&[1], &[2]);
    loader.sram.clear();
    let mut device = Board::in_maskrom().device();
    let (name, _) = start(&mut device, &loader, &mut |_| {}, &mut |_| {}).expect_err("no DRAM");
    assert_eq!(name, "second");
}

#[test]
fn an_image_gives_its_own_two_programs() {
    let (ddr, spl) = (b"\0DDR x typ y,fwver: v1.18\n".as_slice(), b"spl".as_slice());
    let mut image = vec![0; 64 * 512];
    image.extend(idblock(ddr, spl));
    image.resize(9 << 20, 0);
    let loader = Loader::of_image(&mut Cursor::new(&image)).expect("a loader");
    assert!(loader.sram[0].bytes.starts_with(ddr) && loader.dram[0].bytes.starts_with(spl));
    assert_eq!(loader.ddr().expect("a DDR blob").version.to_string(), "v1.18");
    loader.accepted().expect("fine");
    for at in [64 * 512, 64 * 512 + 0x80, 64 * 512 + 2048] {
        image[at] ^= 1;
        assert!(matches!(Loader::of_image(&mut Cursor::new(&image)), Err(LoaderError::IdBlock(_))));
        image[at] ^= 1;
    }
    assert!(Loader::of_image(&mut Cursor::new(b"")).is_err());
}

#[test]
fn a_blob_that_is_known_bad_is_not_sent() {
    let bad = two(b"\0DDR x typ y,fwver: v1.13\n", b"x");
    assert!(matches!(bad.accepted(), Err(LoaderError::Ddr(_))));
}

#[test]
fn a_container_gives_its_programs_with_their_pauses() {
    let file = container(b"3588", &[("ddr", b"first")], &[("usbplug", b"second"), ("more", b"third")]);
    let loader = Loader::of_container(&file).expect("a loader");
    let names: Vec<&str> = loader.sram.iter().chain(&loader.dram).map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["ddr", "usbplug", "more"]);
    assert_eq!((&loader.sram[0].bytes[..], &loader.dram[1].bytes[..]), (&b"first"[..], &b"third"[..]));
    assert_eq!(loader.sram[0].pause, Duration::from_millis(5));
    assert!(loader.ddr().is_none());
}

#[test]
fn must_fail_containers() {
    let good = container(b"3588", &[("ddr", b"first")], &[("usbplug", b"second")]);
    assert!(matches!(Loader::of_container(b"ELF"), Err(LoaderError::NotAContainer)));
    let other = container(b"3399", &[("ddr", b"first")], &[("usbplug", b"second")]);
    assert!(matches!(Loader::of_container(&other), Err(LoaderError::OtherChip(c)) if c == "3399"));
    let empty = container(b"3588", &[], &[("usbplug", b"second")]);
    assert!(matches!(Loader::of_container(&empty), Err(LoaderError::Lacks("SRAM (471)"))));
    let empty = container(b"3588", &[("ddr", b"first")], &[]);
    assert!(matches!(Loader::of_container(&empty), Err(LoaderError::Lacks("DRAM (472)"))));
    let empty = container(b"3588", &[("ddr", b"")], &[("usbplug", b"second")]);
    assert!(matches!(Loader::of_container(&empty), Err(LoaderError::Size { .. })));
    // Cut anywhere, and every bit turned: the checksum sees it.
    for length in 0..good.len() {
        assert!(Loader::of_container(&good[..length]).is_err(), "{length}");
    }
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(Loader::of_container(&bad).is_err(), "bit {bit}");
    }
    // Hostile lengths behind a right checksum end in an error, or in programs that lie inside of the file.
    let body = &good[..good.len() - 4];
    for at in 0..body.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut bad = body.to_vec();
            bad[at] = value;
            if let Ok(loader) = Loader::of_container(&seal(bad)) {
                let all = loader.sram.iter().chain(&loader.dram);
                assert!(all.map(|p| p.bytes.len()).sum::<usize>() < 600 * good.len(), "{at} {value}");
            }
        }
    }
}
