// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The page walk: every fault by its status code, permissions by level, invalidation.

use super::{Bench, CODE};
use crate::bus::Width;
use crate::cpu::sysreg::name;
use crate::cpu::{Cpu, Stop};

/// Tables: level 1 (32-bit space, so that it is the first), level 2, level 3.
const L1: u64 = 0x10_0020;
const L2: u64 = 0x10_1000;
const L3: u64 = 0x10_2000;
/// The page that the tests map in their ways, and what is behind it.
const PAGE: u64 = 0x40_0000;
const FRAME: u64 = 0x20_0000;

const TABLE: u64 = 3;
const LEAF: u64 = 0x403; // page, access flag, attribute 0
const USER: u64 = 1 << 6;
const READ_ONLY: u64 = 1 << 7;
const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;

/// EL1 with a 32-bit space: the first 2 MiB are themselves, [`PAGE`] is by `leaf`.
fn mapped(el: u8, leaf: u64, words: &[u32]) -> Bench {
    let mut bench = Bench::new(words);
    for (at, value) in [
        (L1, L2 | TABLE),
        (L2, if el == 0 { 0x401 | PXN | USER } else { 0x401 }),
        (L2 + 8 * (PAGE >> 21), L3 | TABLE),
        (L3 + 8 * (PAGE >> 12 & 511), leaf),
    ] {
        bench.ram.write(at, Width::Double, value).unwrap();
    }
    let core = bench.core();
    core.sys.set(name::SCR_EL3, 0x501);
    core.sys.set(name::MAIR_EL1, 0xff);
    core.sys.set(name::TCR_EL1, 32 | 1 << 23);
    core.sys.set(name::TTBR0_EL1, L1);
    core.sys.set(name::SCTLR_EL1, 1);
    core.remap();
    core.switch(el, el > 0);
    bench.cpu.stop_on_fault([true; 4]);
    bench.cpu.set_x(0, PAGE + 8);
    bench.ram.write(FRAME + 8, Width::Double, 0x1234).unwrap();
    bench
}

fn status(cpu: &Cpu) -> u64 {
    cpu.last_exception().expect("an exception").esr & 0x3f
}

const LOAD: u32 = 0xf940_0003;
const STORE: u32 = 0xf900_0003;
const JUMP: u32 = 0xd61f_0000;

#[test]
fn a_mapped_page_is_read_and_written() {
    let mut bench = mapped(1, FRAME | LEAF, &[LOAD, STORE]);
    bench.cpu.set_x(3, 7);
    assert_eq!((bench.run(2), bench.cpu.x(3)), (Stop::Limit, 0x1234));
    // Over the border of two pages that are not neighbours, and unaligned.
    let mut bench = mapped(1, FRAME | LEAF, &[STORE, LOAD]);
    bench.ram.write(L3 + 8, Width::Double, 0x30_0000 | LEAF).unwrap();
    bench.cpu.set_x(0, PAGE + 0xffd);
    bench.cpu.set_x(3, 0x8877_6655_4433_2211);
    assert_eq!((bench.run(2), bench.cpu.x(3)), (Stop::Limit, 0x8877_6655_4433_2211));
    assert_eq!(bench.ram.read(FRAME + 0xffd, Width::Half), Ok(0x2211));
    assert_eq!(bench.ram.read(0x30_0000, Width::Word), Ok(0x7766_5544));
    // Nothing is written when the second page is missing.
    let mut bench = mapped(1, FRAME | LEAF, &[STORE]);
    bench.cpu.set_x(0, PAGE + 0xffd);
    bench.cpu.set_x(3, u64::MAX);
    assert_eq!((bench.run(2), bench.ram.read(FRAME + 0xffd, Width::Byte)), (Stop::Fault, Ok(0)));
}

#[test]
fn every_fault_has_its_status() {
    for (leaf, word, expected) in [
        (0, LOAD, 0x07),
        (FRAME | LEAF & !0x400, LOAD, 0x0b),
        (FRAME | LEAF | READ_ONLY, STORE, 0x0f),
        (FRAME | LEAF | PXN, JUMP, 0x0f),
        (FRAME | LEAF | USER, JUMP, 0x0f),
        (1 << 41 | LEAF, LOAD, 0x03),
        (0x3000_0000 | LEAF, LOAD, 0x10),
    ] {
        let mut bench = mapped(1, leaf, &[word]);
        assert_eq!(bench.run(5), Stop::Fault, "{leaf:#x} {word:#x}");
        assert_eq!(status(&bench.cpu), expected, "{leaf:#x} {word:#x}");
        assert_eq!(bench.cpu.last_exception().map(|e| e.far), Some(PAGE + 8));
    }
    // Outside of the space, in the half whose walks are off, behind a missing table, a table outside of memory.
    for (address, expected) in [(1 << 32, 0x04), (!0xfff, 0x04), (0x4000_0000, 0x05), (0x60_0000, 0x06)] {
        let mut bench = mapped(1, 0, &[LOAD]);
        bench.cpu.set_x(0, address);
        assert_eq!((bench.run(5), status(&bench.cpu)), (Stop::Fault, expected), "{address:#x}");
    }
    let mut bench = mapped(1, 0, &[LOAD]);
    bench.ram.write(L2 + 16, Width::Double, 0x3000_0000 | TABLE).unwrap();
    assert_eq!((bench.run(5), status(&bench.cpu)), (Stop::Fault, 0x17));
}

#[test]
fn el0_needs_its_permission() {
    for (leaf, word, allowed) in [
        (FRAME | LEAF | USER | UXN, LOAD, true),
        (FRAME | LEAF | UXN, LOAD, false),
        (FRAME | LEAF | USER | READ_ONLY, STORE, false),
        (FRAME | LEAF | USER, STORE, true),
        (FRAME | LEAF | USER | UXN, JUMP, false),
    ] {
        let mut bench = mapped(0, leaf, &[word]);
        let stop = bench.run(1);
        let is_jump = word == JUMP;
        let stop = if is_jump && stop == Stop::Limit { bench.run(1) } else { stop };
        assert_eq!(stop == Stop::Limit, allowed, "{leaf:#x} {word:#x} {:x?}", bench.cpu.last_exception());
    }
    // ldtr x3, [x0] at EL1 asks as EL0 does.
    for (leaf, allowed) in [(FRAME | LEAF, false), (FRAME | LEAF | USER, true)] {
        let mut bench = mapped(1, leaf, &[0xf840_0803]);
        assert_eq!(bench.run(1) == Stop::Limit, allowed);
        assert_eq!(bench.cpu.el(), 1);
    }
}

#[test]
fn an_invalidation_shows_the_new_mapping() {
    // ldr x3, [x0]; str x2, [x1] (the leaf); [tlbi vaae1is, x4]; ldr x5, [x0]
    for (words, second) in [
        (&[LOAD, 0xf900_0022, 0xd508_8364, 0xf940_0005][..], 0x5678),
        (&[LOAD, 0xf900_0022, 0xd508_831f, 0xf940_0005], 0x5678),
    ] {
        let mut bench = mapped(1, FRAME | LEAF, words);
        bench.ram.write(0x30_0008, Width::Double, 0x5678).unwrap();
        bench.cpu.set_x(1, L3);
        bench.cpu.set_x(2, 0x30_0000 | LEAF);
        bench.cpu.set_x(4, PAGE >> 12);
        assert_eq!(bench.run(4), Stop::Limit);
        assert_eq!((bench.cpu.x(3), bench.cpu.x(5)), (0x1234, second));
    }
}

#[test]
fn code_at_a_new_frame_is_the_new_code() {
    // blr x0 twice, with another frame behind the page in between.
    let words = [0xd63f_0000, 0xf900_0022, 0xd508_8364, 0xd503_3fdf, 0xd63f_0000, 0x1400_0000];
    let mut bench = mapped(1, FRAME | LEAF, &words);
    for (frame, add) in [(FRAME, 0x9100_04a5), (0x30_0000, 0x9100_40a5)] {
        bench.put(frame + 8, &[add, 0xd65f_03c0]);
    }
    bench.cpu.set_x(1, L3);
    bench.cpu.set_x(2, 0x30_0000 | LEAF);
    bench.cpu.set_x(4, PAGE >> 12);
    assert_eq!(bench.run(9), Stop::Limit);
    assert_eq!((bench.cpu.x(5), bench.cpu.last_exception()), (17, None));
    assert_eq!(bench.cpu.pc(), CODE + 20);
}

#[test]
fn address_translation_instructions_fill_par() {
    // at s1e1r, x0; at s1e1w on a read-only page
    let mut bench = mapped(1, FRAME | LEAF | READ_ONLY, &[0xd508_7800]);
    bench.run(1);
    assert_eq!(bench.core().sys.get(name::PAR_EL1) & 0xf_ffff_f001, FRAME);
    let mut bench = mapped(1, FRAME | LEAF | READ_ONLY, &[0xd508_7820]);
    bench.run(1);
    assert_eq!(bench.core().sys.get(name::PAR_EL1) & 0x7f, 0x0f << 1 | 1);
}
