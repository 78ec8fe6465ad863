// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Instructions on numbers; the arithmetic itself is tested with its module.

use super::{doubles, execute, words};
use crate::cpu::float::{control, flag};

fn pair(low: f64, high: f64) -> u128 {
    doubles(low.to_bits(), high.to_bits())
}

fn four(lanes: [f32; 4]) -> u128 {
    words(lanes.map(f32::to_bits))
}

/// D0 behind an instruction on D1, D2 and D3.
fn d0(word: u32, sources: [f64; 3]) -> u128 {
    let [one, two, three] = sources.map(|value| u128::from(value.to_bits()));
    execute(word, &[u128::MAX, one, two, three], &[]).core().simd.v[0]
}

#[test]
fn scalars() {
    for (word, sources, result) in [
        (0x1e62_2820, [1.5, 2.25, 0.0], 3.75),    // fadd d0, d1, d2
        (0x1e62_1820, [3.0, 2.0, 0.0], 1.5),      // fdiv d0, d1, d2
        (0x1e62_8820, [3.0, 2.0, 0.0], -6.0),     // fnmul d0, d1, d2
        (0x1f42_0c20, [3.0, 2.0, 10.0], 16.0),    // fmadd d0, d1, d2, d3
        (0x1f42_8c20, [3.0, 2.0, 10.0], 4.0),     // fmsub
        (0x1f62_0c20, [3.0, 2.0, 10.0], -16.0),   // fnmadd
        (0x1f62_8c20, [3.0, 2.0, 10.0], -4.0),    // fnmsub
        (0x1e61_c020, [2.25, 0.0, 0.0], 1.5),     // fsqrt d0, d1
        (0x1e60_c020, [-2.0, 0.0, 0.0], 2.0),     // fabs
        (0x1e61_4020, [-2.0, 0.0, 0.0], 2.0),     // fneg
        (0x1e60_4020, [-2.0, 0.0, 0.0], -2.0),    // fmov
        (0x1e66_4020, [-2.5, 0.0, 0.0], -3.0),    // frinta
        (0x1e65_c020, [-2.5, 0.0, 0.0], -2.0),    // frintz
        (0x1e62_4820, [1.0, 2.0, 0.0], 2.0),      // fmax
        (0x1e62_7820, [1.0, f64::NAN, 0.0], 1.0), // fminnm
    ] {
        assert_eq!(d0(word, sources), u128::from(f64::to_bits(result)), "{word:#x}");
    }
    // fcvt s0, d1; fcvt h0, d1: the rest of the register is cleared.
    assert_eq!(d0(0x1e62_4020, [1.5, 0.0, 0.0]), u128::from(1.5_f32.to_bits()));
    assert_eq!(d0(0x1e63_c020, [1.5, 0.0, 0.0]), 0x3e00);
    // frinti d0, d1 follows FPCR: towards plus infinity.
    let mut bench = super::Bench::new(&[0x1e67_c020]);
    bench.core().simd.control = 1 << control::ROUNDING_AT;
    bench.core().simd.v[1] = 1.25_f64.to_bits().into();
    bench.run(1);
    assert_eq!(bench.core().simd.v[0], u128::from(2.0_f64.to_bits()));
}

#[test]
fn comparisons_set_flags() {
    for (word, one, two, nzcv) in [
        (0x1e62_2020, 1.0, 2.0, 0b1000), // fcmp d1, d2
        (0x1e62_2020, 2.0, 1.0, 0b0010),
        (0x1e62_2020, 1.0, 1.0, 0b0110),
        (0x1e62_2020, f64::NAN, 1.0, 0b0011),
        (0x1e60_2028, -0.0, 9.0, 0b0110), // fcmp d1, #0.0
        // fccmp d1, d2, #5, eq: Z is not set.
        (0x1e62_0425, 1.0, 1.0, 5),
    ] {
        let vectors = [0, f64::to_bits(one).into(), f64::to_bits(two).into()];
        assert_eq!(execute(word, &vectors, &[]).core().nzcv, nzcv, "{word:#x} {one} {two}");
    }
    // fcsel d0, d1, d2, eq: Z is not set.
    assert_eq!(d0(0x1e62_0c20, [1.0, 2.0, 0.0]), u128::from(2.0_f64.to_bits()));
}

#[test]
fn integers_and_moves() {
    let general = |word: u32, value: f64| {
        let bench = execute(word, &[0, doubles(value.to_bits(), 7)], &[]);
        bench.cpu.x(3)
    };
    for (word, value, result) in [
        (0x9e78_0023, -3.7, -3_i64 as u64), // fcvtzs x3, d1
        (0x1e64_0023, -2.5, 0xffff_fffd),   // fcvtas w3, d1
        (0x1e71_0023, 2.9, 2),              // fcvtmu w3, d1
        (0x1e58_f023, 1.5, 24),             // fcvtzs w3, d1, #4
        (0x9e66_0023, 1.0, 0x3ff0 << 48),   // fmov x3, d1
        (0x9eae_0023, 1.0, 7),              // fmov x3, v1.d[1]
    ] {
        assert_eq!(general(word, value), result, "{word:#x}");
    }
    let from = |word: u32| execute(word, &[doubles(5, 6)], &[0, 0xffff_fffe, 3 << 59]).core().simd.v[0];
    assert_eq!(from(0x1e62_0020), u128::from((-2.0_f64).to_bits())); // scvtf d0, w1
    assert_eq!(from(0x9e43_1040), u128::from(1.5_f64.to_bits())); // ucvtf d0, x2, #60
    assert_eq!(from(0x9eaf_0040), doubles(5, 3 << 59)); // fmov v0.d[1], x2
    assert_eq!(from(0x1e27_0020), 0xffff_fffe); // fmov s0, w1
}

#[test]
fn vectors() {
    let (n, m) = ([1.0, -2.0, 3.5, 0.5], [4.0, 3.0, -3.5, 8.0]);
    let singles = |word: u32| execute(word, &[0, four(n), four(m)], &[]).core().simd.v[0];
    assert_eq!(singles(0x4e22_d420), four([5.0, 1.0, 0.0, 8.5])); // fadd v0.4s
    assert_eq!(singles(0x4fa2_9020), four([3.0, -6.0, 10.5, 1.5])); // fmul v0.4s, v1.4s, v2.s[1]
    assert_eq!(singles(0x6e22_d420), four([-1.0, 4.0, 7.0, 4.5])); // faddp v0.4s
    assert_eq!(singles(0x6e30_f820), four([3.5, 0.0, 0.0, 0.0])); // fmaxv s0, v1.4s
    assert_eq!(singles(0x4f38_fc20), words([0x100, -0x200_i32 as u32, 0x380, 0x80])); // fcvtzs v0.4s, v1.4s, #8
    assert_eq!(singles(0x0e61_7820), pair(1.0, -2.0)); // fcvtl v0.2d, v1.2s
    let pairs =
        |word: u32| execute(word, &[pair(1.0, 2.0), pair(3.0, -4.0), pair(5.0, -6.0)], &[]).core().simd.v[0];
    assert_eq!(pairs(0x4e62_cc20), pair(16.0, 26.0)); // fmla v0.2d, v1.2d, v2.2d
    assert_eq!(pairs(0x6ee2_e420), doubles(0, u64::MAX)); // fcmgt v0.2d, v1.2d, v2.2d
    assert_eq!(pairs(0x7e70_d820), u128::from((-1.0_f64).to_bits())); // faddp d0, v1.2d
    assert_eq!(pairs(0x6ee1_b820), doubles(3, 0)); // fcvtzu v0.2d, v1.2d
    assert_eq!(pairs(0x0e61_6820), four([3.0, -4.0, 0.0, 0.0])); // fcvtn v0.2s, v1.2d
    // fcvtn2 v0.4s, v1.2d: the lower half stays.
    assert_eq!(pairs(0x4e61_6820), doubles(1.0_f64.to_bits(), four([3.0, -4.0, 0.0, 0.0]) as u64));
    // scvtf v0.4s, v1.4s
    let integers = words([1, u32::MAX, 7, 0]);
    assert_eq!(execute(0x4e21_d820, &[0, integers], &[]).core().simd.v[0], four([1.0, -1.0, 7.0, 0.0]));
}

#[test]
fn exceptions_are_cumulative() {
    // fdiv d0, d1, d2 by zero, then fadd, which raises nothing; mrs x3, fpsr
    let mut bench = super::Bench::new(&[0x1e62_1820, 0x1e61_2820, 0xd53b_4423]);
    bench.core().simd.v[1] = 1.0_f64.to_bits().into();
    bench.run(3);
    assert_eq!(bench.cpu.x(3), u64::from(flag::DIVIDE_BY_ZERO));
}
