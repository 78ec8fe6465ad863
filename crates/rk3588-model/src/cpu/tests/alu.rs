// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Data processing: immediates, shifts, extensions, flags, conditions, multiplication, bit fields.

use super::{Bench, run, run_with_flags};
use crate::cpu::decode::immediate::bit_mask;

const N: u32 = 8;
const Z: u32 = 4;
const C: u32 = 2;
const V: u32 = 1;

/// The result of one instruction with X0, X1, X2, and its flags; the target is X3.
fn one(word: u32, sources: [u64; 3]) -> (u64, u32) {
    let cpu = run(&[word], &sources);
    (cpu.x(3), cpu.core.nzcv)
}

/// A three-register word: Rd = 3, Rn = 0, Rm = 1.
const fn regs(word: u32) -> u32 {
    word | 1 << 16 | 3
}

#[test]
fn the_zero_register_and_the_stack_pointer_are_apart() {
    // add sp, x0, #16; mov x1, sp; add x2, xzr, x1; subs xzr, x1, #272
    let mut bench = Bench::new(&[0x9100_401f, 0x9100_03e1, 0x8b01_03e2, 0xf104_403f]);
    bench.cpu.set_x(0, 0x100);
    bench.run(4);
    assert_eq!((bench.cpu.sp(), bench.cpu.x(2), bench.core().nzcv), (0x110, 0x110, Z | C));
}

#[test]
fn add_and_subtract_set_flags_at_the_borders() {
    let (adds, subs) = (regs(0xab00_0000), regs(0xeb00_0000));
    let (adds32, subs32) = (adds & !(1 << 31), subs & !(1 << 31));
    let top = 1 << 63;
    for (word, a, b, result, flags) in [
        (adds, u64::MAX, 1, 0, Z | C),
        (adds, top - 1, 1, top, N | V),
        (adds, top, top, 0, Z | C | V),
        (subs, 0, 1, u64::MAX, N),
        (subs, 5, 5, 0, Z | C),
        (subs, top, 1, top - 1, C | V),
        (subs, 0, 0, 0, Z | C),
        (adds32, 0xffff_ffff, 1, 0, Z | C),
        (adds32, 0x7fff_ffff, 1, 0x8000_0000, N | V),
        (subs32, 0, 0xffff_ffff_0000_0001, 0xffff_ffff, N),
        (subs32, 0x8000_0000, 1, 0x7fff_ffff, C | V),
    ] {
        assert_eq!(one(word, [a, b, 0]), (result, flags), "{word:#x} {a:#x} {b:#x}");
    }
    // ANDS clears C and V; BICS with itself is zero.
    assert_eq!(one(regs(0xea00_0000), [top, top, 0]), (top, N));
    assert_eq!(one(regs(0xea20_0000), [7, 7, 0]), (0, Z));
    // ADC and SBC with the carry set, then clear: adcs x3, x0, x1; sbcs x3, x0, x1.
    for (word, flags, result) in
        [(0xba00_0000, C, 8), (0xba00_0000, 0, 7), (0xfa00_0000, C, 1), (0xfa00_0000, 0, 0)]
    {
        assert_eq!(run_with_flags(&[regs(word)], &[4, 3], flags).x(3), result, "{word:#x} {flags}");
    }
}

/// The manual's `DecodeBitMasks`, bit by bit.
fn slow_bit_mask(is64: bool, n: u32, imms: u32, immr: u32) -> Option<u64> {
    let width = if is64 { 64 } else { 32 };
    let size = (1..=6).map(|log| 1 << log).filter(|size| {
        // N:NOT(imms) has its highest bit at the logarithm of the size.
        let value = n << 6 | (imms ^ 0x3f);
        value >= *size && value < 2 * size
    });
    let size = size.max()?;
    let (s, r) = (imms % size, immr % size);
    if size > width || s == size - 1 {
        return None;
    }
    let element = |bit: u32| (bit + r) % size <= s;
    Some((0..width).filter(|bit| element(bit % size)).fold(0, |value, bit| value | 1 << bit))
}

#[test]
fn bit_mask_immediates_exhaustively() {
    let mut valid = [0; 2];
    for is64 in [false, true] {
        for code in 0..1 << 13 {
            let (n, immr, imms) = (code >> 12, code >> 6 & 63, code & 63);
            let expected = slow_bit_mask(is64, n, imms, immr);
            assert_eq!(bit_mask(is64, n == 1, imms, immr), expected, "{is64} {n} {immr} {imms}");
            valid[usize::from(is64)] += usize::from(expected.is_some());
        }
    }
    // 5334 encodings are valid in 64 bits if rotations above the element's size are counted once, all of them:
    // per element size e there are (e - 1) lengths and 64 values of immr; the 32-bit form lacks e = 64.
    assert_eq!(valid, [64 * (1 + 3 + 7 + 15 + 31), 64 * (1 + 3 + 7 + 15 + 31 + 63)]);
    // and w3, w0, #0xf0f0f0f0: n=0, immr=4, imms=0b110011.
    assert_eq!(one(0x1204_cc03, [u64::MAX, 0, 0]).0, 0xf0f0_f0f0);
}

#[test]
fn conditions_exhaustively() {
    type Holds = fn(bool, bool, bool, bool) -> bool;
    let table: [Holds; 16] = [
        |_, z, _, _| z,
        |_, z, _, _| !z,
        |_, _, c, _| c,
        |_, _, c, _| !c,
        |n, _, _, _| n,
        |n, _, _, _| !n,
        |_, _, _, v| v,
        |_, _, _, v| !v,
        |_, z, c, _| c && !z,
        |_, z, c, _| !c || z,
        |n, _, _, v| n == v,
        |n, _, _, v| n != v,
        |n, z, _, v| !z && n == v,
        |n, z, _, v| z || n != v,
        |_, _, _, _| true,
        |_, _, _, _| true,
    ];
    for (condition, holds) in table.iter().enumerate() {
        for flags in 0..16 {
            let expected = holds(flags & N != 0, flags & Z != 0, flags & C != 0, flags & V != 0);
            let at = (condition as u32) << 12;
            let by = |word: u32| run_with_flags(&[regs(word | at)], &[10, 20], flags).x(3);
            // CSEL, CSINC, CSINV, CSNEG.
            let results = [0x9a80_0000, 0x9a80_0400, 0xda80_0000, 0xda80_0400].map(by);
            let others = [20, 21, !20, 20_u64.wrapping_neg()];
            assert_eq!(results, if expected { [10; 4] } else { others }, "{condition} {flags:#x}");
            // b.cond over: movz x3, #1
            let branch = 0x5400_0040 | condition as u32;
            let cpu = run_with_flags(&[branch, 0xd280_0023], &[], flags);
            assert_eq!(cpu.x(3) == 0, expected, "branch {condition} {flags:#x}");
            // ccmp x0, x1, #5, cond: 10 - 20 is negative without carry.
            let cpu = run_with_flags(&[0xfa41_0005 | at], &[10, 20], flags);
            assert_eq!(cpu.core.nzcv, if expected { N } else { 5 });
        }
    }
}

#[test]
fn a_fused_comparison_branches_as_the_two_do() {
    // subs x0, x0, #1; b.ne back; movz x3, #7
    let mut bench = Bench::new(&[0xf100_0400, 0x54ff_ffe1, 0xd280_00e3]);
    bench.cpu.set_x(0, 3);
    bench.run(2);
    assert_eq!((bench.cpu.x(0), bench.cpu.pc()), (2, super::CODE));
    bench.run(5);
    assert_eq!((bench.cpu.x(0), bench.cpu.x(3), bench.cpu.instructions()), (0, 7, 8));
}

#[test]
fn shifted_and_extended_operands_exhaustively() {
    let value = 0x8123_4567_89ab_cdef;
    for amount in 0..64_u32 {
        let expected =
            [value << amount, value >> amount, ((value as i64) >> amount) as u64, value.rotate_right(amount)];
        for (kind, expected) in expected.into_iter().enumerate() {
            let shift = (kind as u32) << 22 | amount << 10;
            assert_eq!(one(regs(0xaa00_0000 | shift), [0, value, 0]).0, expected, "orr {kind} {amount}");
            if kind < 3 {
                let sum = one(regs(0x8b00_0000 | shift), [1, value, 0]).0;
                assert_eq!(sum, expected.wrapping_add(1), "add {kind} {amount}");
            }
            if amount < 32 {
                let narrow = value as u32;
                let expected = [
                    narrow << amount,
                    narrow >> amount,
                    ((narrow as i32) >> amount) as u32,
                    narrow.rotate_right(amount),
                ][kind];
                let orr = one(regs(0x2a00_0000 | shift), [0, value, 0]).0;
                assert_eq!(orr, u64::from(expected), "orr w {kind} {amount}");
            }
        }
        // LSLV, LSRV, ASRV, RORV take the amount modulo the width.
        for (opcode, expected) in (8..12).zip(expected) {
            let word = regs(0x9ac0_0000 | opcode << 10);
            assert_eq!(one(word, [value, u64::from(amount) + 128, 0]).0, expected);
        }
    }
    let extended = [0xef, 0xcdef, 0x89ab_cdef, value, !0x10, !0x3210, !0x7654_3210, value];
    for (option, expected) in extended.into_iter().enumerate() {
        for shift in 0..5 {
            // add x3, x0, x1, <option> #shift; the 32-bit form keeps the low half.
            let word = regs(0x8b20_0000 | (option as u32) << 13 | shift << 10);
            let sum = (expected << shift).wrapping_add(3);
            assert_eq!(one(word, [3, value, 0]).0, sum, "{option} {shift}");
            assert_eq!(one(word & !(1 << 31), [3, value, 0]).0, sum & 0xffff_ffff);
        }
    }
}

/// SBFM, BFM and UBFM bit by bit, as `opc` 0, 1 and 2.
fn slow_bit_field(opc: u32, target: u64, source: u64, r: u32, s: u32, width: u32) -> u64 {
    let bit = |value: u64, at: u32| value >> at & 1;
    let mut result = if opc == 1 { target } else { 0 };
    let (length, from, to) = if s >= r { (s - r + 1, r, 0) } else { (s + 1, 0, width - r) };
    for at in 0..length {
        result = result & !(1 << (to + at)) | bit(source, from + at) << (to + at);
    }
    if opc == 0 && bit(source, s) == 1 {
        for at in to + length..width {
            result |= 1 << at;
        }
    }
    if width == 32 { result & 0xffff_ffff } else { result }
}

#[test]
fn bit_fields_exhaustively() {
    let (target, source) = (0x0123_4567_89ab_cdef, 0xfedc_ba98_1357_9bdf);
    let mut bench = Bench::new(&[]);
    for (width, top) in [(64, 0x8040_0000), (32, 0)] {
        for opc in 0..3 {
            let words: Vec<_> = (0..width * width)
                .map(|at| 0x1300_0003 | top | opc << 29 | (at / width) << 16 | (at % width) << 10)
                .collect();
            for (at, word) in words.into_iter().enumerate() {
                bench.put(super::CODE, &[word, 0x1400_0000]);
                bench.core().pc = super::CODE;
                bench.cpu.set_x(0, source);
                bench.cpu.set_x(3, target);
                bench.run(1);
                let (r, s) = (at as u32 / width, at as u32 % width);
                let expected = slow_bit_field(opc, target, source, r, s, width);
                assert_eq!(bench.cpu.x(3), expected, "{width} opc {opc} immr {r} imms {s}");
            }
        }
    }
    // extr x3, x0, x1, #8; ror w3, w0, #4 (as extr w3, w0, w0)
    assert_eq!(one(0x93c1_2003, [0x11, 0x2233, 0]).0, 0x1100_0000_0000_0022);
    assert_eq!(one(0x1380_1003, [0x1234_5678, 0, 0]).0, 0x8123_4567);
}

#[test]
fn moves_and_addresses() {
    // movz x3, #0xbeef, lsl #48; movn w3, #1; movz then movk; adr x3, .+8; adrp x3, .+0x1000
    assert_eq!(one(0xd2f7_dde3, [0; 3]).0, 0xbeef << 48);
    assert_eq!(one(0x1280_0023, [0; 3]).0, 0xffff_fffe);
    assert_eq!(run(&[0xd280_0023, 0xf2c0_0043], &[]).x(3), 0x2_0000_0001);
    assert_eq!(one(0x1000_0043, [0; 3]).0, super::CODE + 8);
    assert_eq!(one(0xb000_0003, [0; 3]).0, super::CODE + 0x1000);
    // adr x3, .-4
    assert_eq!(one(0x10ff_ffe3, [0; 3]).0, super::CODE - 4);
}

#[test]
fn multiplication_and_division() {
    let minus = |value: u64| value.wrapping_neg();
    for (word, sources, result) in [
        (regs(0x9b00_0800), [3, 4, 5], 17),              // madd
        (regs(0x9b00_8800), [3, 4, 5], minus(7)),        // msub
        (regs(0x9b20_0800), [minus(3), 4, 5], minus(7)), // smaddl
        (regs(0x9ba0_0800), [0xffff_ffff, 0xffff_ffff, 1], 0xffff_fffe_0000_0002), // umaddl
        (regs(0x9b40_7c00), [minus(1), 2, 0], u64::MAX), // smulh
        (regs(0x9bc0_7c00), [minus(1), 2, 0], 1),        // umulh
        (regs(0x9ac0_0800), [7, 2, 0], 3),               // udiv
        (regs(0x9ac0_0800), [7, 0, 0], 0),
        (regs(0x9ac0_0c00), [minus(7), 2, 0], minus(3)), // sdiv
        (regs(0x9ac0_0c00), [1 << 63, u64::MAX, 0], 1 << 63),
        (regs(0x1ac0_0c00), [0x8000_0000, 0xffff_ffff, 0], 0x8000_0000),
        (regs(0x9ac0_0c00), [1, 0, 0], 0),
    ] {
        assert_eq!(one(word, sources).0, result, "{word:#x} {sources:x?}");
    }
}

#[test]
fn bits_bytes_and_checksums() {
    let value = 0x0123_4567_89ab_cdef;
    for (word, result) in [
        (0xdac0_0003, 0xf7b3_d591_e6a2_c480), // rbit x3, x0
        (0x5ac0_0003, 0xf7b3_d591),           // rbit w3, w0
        (0xdac0_0403, 0x2301_6745_ab89_efcd), // rev16 x3, x0
        (0xdac0_0803, 0x6745_2301_efcd_ab89), // rev32 x3, x0
        (0xdac0_0c03, 0xefcd_ab89_6745_2301), // rev x3, x0
        (0x5ac0_0803, 0xefcd_ab89),           // rev w3, w0
        (0xdac0_1003, 7),                     // clz x3, x0
        (0x5ac0_1003, 0),                     // clz w3, w0
        (0xdac0_1403, 6),                     // cls x3, x0
        (0x5ac0_1403, 0),                     // cls w3, w0
    ] {
        assert_eq!(one(word, [value, 0, 0]).0, result, "{word:#x}");
    }
    // The check value of both CRCs over "123456789": eight bytes at once, then one.
    let text = u64::from_le_bytes(*b"12345678");
    for (eight, byte, check) in
        [(0x9ac1_4c03, 0x1ac2_4063, 0xcbf4_3926_u64), (0x9ac1_5c03, 0x1ac2_5063, 0xe306_9283)]
    {
        let cpu = run(&[eight, byte], &[0xffff_ffff, text, u64::from(b'9')]);
        assert_eq!(cpu.x(3) ^ 0xffff_ffff, check, "{eight:#x}");
    }
}
