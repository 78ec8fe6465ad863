// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Loads and stores of V registers.

use super::Bench;
use crate::bus::Width;
use crate::cpu::Stop;

const DATA: u64 = 0x2_0000;

/// Byte `n` of memory from 64 below [`DATA`] on is `n`; V registers are filled with ones.
fn access(word: u32, x3: u64) -> Bench {
    let mut bench = Bench::new(&[word]);
    for at in 0..192 {
        bench.ram.write(DATA - 64 + at, Width::Byte, at).unwrap();
    }
    bench.core().simd.v.fill(u128::MAX);
    bench.core().simd.v[1] = 0x1f1e_1d1c_1b1a_1918_1716_1514_1312_1110 ^ u128::MAX;
    bench.cpu.set_x(0, DATA);
    bench.cpu.set_x(3, x3);
    assert_eq!(bench.run(1), Stop::Limit);
    assert_eq!(bench.cpu.last_exception(), None, "{word:#x}");
    bench
}

/// `bytes` of memory from an offset to [`DATA`] on, as a number.
fn at(offset: i64, bytes: u32) -> u128 {
    (0..bytes).rev().fold(0, |all, at| all << 8 | u128::from((64 + offset) as u8 + at as u8))
}

#[test]
fn one_register() {
    for (word, value, base) in [
        (0x3dc0_0000, at(0, 16), 0),  // ldr q0, [x0]
        (0x3dc0_0400, at(16, 16), 0), // ldr q0, [x0, #16]
        (0x3d40_0400, at(1, 1), 0),   // ldr b0, [x0, #1]
        (0x7c40_2400, at(0, 2), 2),   // ldr h0, [x0], #2
        (0xfc63_7800, at(16, 8), 0),  // ldr d0, [x0, x3, lsl #3]
        (0x3ce3_d800, at(32, 16), 0), // ldr q0, [x0, w3, sxtw #4]
        (0x3cdf_8000, at(-8, 16), 0), // ldur q0, [x0, #-8]
    ] {
        let mut bench = access(word, 2);
        assert_eq!((bench.core().simd.v[0], bench.cpu.x(0)), (value, DATA + base), "{word:#x}");
    }
    // str s1, [x0, #4]!; str q1, [x0], #-16
    for (word, place, bytes, base) in
        [(0xbc00_4c01, DATA + 4, 4, DATA + 4), (0x3c9f_0401, DATA, 16, DATA - 16)]
    {
        let mut bench = access(word, 0);
        let value = bench.core().simd.v[1];
        for byte in 0..bytes {
            let written = bench.ram.read(place + byte, Width::Byte).unwrap();
            assert_eq!(written, (value >> (8 * byte)) as u64 & 0xff, "{word:#x}");
        }
        assert_eq!(bench.ram.read(place + bytes, Width::Byte), Ok(64 + place + bytes - DATA));
        assert_eq!(bench.cpu.x(0), base);
    }
}

#[test]
fn pairs_and_literals() {
    // ldp q3, q4, [x0, #-32]!; ldp s3, s4, [x0]
    for (word, first, second, base) in
        [(0xadff_1003, at(-32, 16), at(-16, 16), DATA - 32), (0x2d40_1003, at(0, 4), at(4, 4), DATA)]
    {
        let mut bench = access(word, 0);
        assert_eq!((bench.core().simd.v[3], bench.core().simd.v[4], bench.cpu.x(0)), (first, second, base));
    }
    // stp d1, d2, [x0], #16
    let bench = access(0x6c81_0801, 0);
    assert_eq!(bench.ram.read(DATA, Width::Double), Ok(0xe8e9_eaeb_eced_eeef));
    assert_eq!((bench.ram.read(DATA + 8, Width::Double), bench.cpu.x(0)), (Ok(u64::MAX), DATA + 16));
    // ldr q0, .+32
    let mut bench = Bench::new(&[0x9c00_0100]);
    bench.put(super::super::CODE + 32, &[1, 2, 3, 4]);
    bench.run(1);
    assert_eq!(bench.core().simd.v[0], 4 << 96 | 3 << 64 | 2 << 32 | 1);
}

#[test]
fn structures() {
    // ld1 {v3.16b, v4.16b}, [x0]
    let mut bench = access(0x4c40_a003, 0);
    assert_eq!((bench.core().simd.v[3], bench.core().simd.v[4]), (at(0, 16), at(16, 16)));
    // ld2 {v3.8h, v4.8h}, [x0], #32: even and odd halves.
    let mut bench = access(0x4cdf_8403, 0);
    let spread = |first: i64, step: i64, lanes: i64, bytes: u32| {
        (0..lanes).rev().fold(0, |all, lane| all << (8 * bytes) | at(first + lane * step, bytes))
    };
    assert_eq!((bench.core().simd.v[3], bench.core().simd.v[4]), (spread(0, 4, 8, 2), spread(2, 4, 8, 2)));
    assert_eq!(bench.cpu.x(0), DATA + 32);
    // ld3 {v3.8b-v5.8b}, [x0]: the upper halves are cleared.
    let mut bench = access(0x0c40_4003, 0);
    assert_eq!(bench.core().simd.v[3..6], [spread(0, 3, 8, 1), spread(1, 3, 8, 1), spread(2, 3, 8, 1)]);
    // st4 {v1.2s-v4.2s}, [x0], x3
    let bench = access(0x0c83_0801, 5);
    assert_eq!(bench.ram.read(DATA, Width::Word), Ok(0xeced_eeef));
    assert_eq!((bench.ram.read(DATA + 4, Width::Word), bench.cpu.x(0)), (Ok(0xffff_ffff), DATA + 5));
    assert_eq!(bench.ram.read(DATA + 16, Width::Word), Ok(0xe8e9_eaeb));
    // st1 {v1.d}[1], [x0], #8
    let bench = access(0x4d9f_8401, 0);
    assert_eq!((bench.ram.read(DATA, Width::Double), bench.cpu.x(0)), (Ok(0xe0e1_e2e3_e4e5_e6e7), DATA + 8));
    // ld1 {v0.h}[5], [x0]: the other elements stay.
    let mut bench = access(0x4d40_4800, 0);
    assert_eq!(bench.core().simd.v[0], !(0xffff << 80) | at(0, 2) << 80);
    // ld2 {v3.s, v4.s}[1], [x0]
    let mut bench = access(0x0d60_9003, 0);
    assert_eq!(bench.core().simd.v[4], !(0xffff_ffff << 32) | at(4, 4) << 32);
    // ld1r {v0.8h}, [x0]; ld4r {v3.2d-v6.2d}, [x0], #32
    assert_eq!(access(0x4d40_c400, 0).core().simd.v[0], spread(0, 0, 8, 2));
    let mut bench = access(0x4dff_ec03, 0);
    assert_eq!((bench.core().simd.v[6], bench.cpu.x(0)), (spread(24, 0, 2, 8), DATA + 32));
}

#[test]
fn a_fault_leaves_register_and_base() {
    // ldr q0, [x0], #… at the last doubleword of memory: the second half is not there.
    let mut bench = Bench::new(&[0x3cc1_0400]);
    bench.core().simd.v[0] = 7;
    bench.cpu.set_x(0, 0xff_fff8);
    bench.cpu.stop_on_fault([true; 4]);
    assert_eq!(bench.run(1), Stop::Fault);
    let exception = bench.cpu.last_exception().expect("an abort");
    assert_eq!((exception.far, bench.core().simd.v[0], bench.cpu.x(0)), (0x100_0000, 7, 0xff_fff8));
}
