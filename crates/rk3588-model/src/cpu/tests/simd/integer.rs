// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Integer lanes and permutations.

use super::{M, N, OLD, bytes, doubles, execute, halves, to_bytes, to_words, v0, words};
use crate::cpu::float::flag;

const LOW: u128 = u64::MAX as u128;

fn each(f: impl Fn(u16, u16, u16) -> u16) -> u128 {
    halves([0, 1, 2, 3, 4, 5, 6, 7].map(|at| f(N[at], M[at], OLD[at])))
}

fn each_byte(f: impl Fn(u8, u8) -> u8) -> u128 {
    let (n, m) = (to_bytes(N), to_bytes(M));
    bytes(std::array::from_fn(|at| f(n[at], m[at])))
}

fn each_word(f: impl Fn(u32, u32, u32) -> u32) -> u128 {
    let (n, m, old) = (to_words(N), to_words(M), to_words(OLD));
    words(std::array::from_fn(|at| f(n[at], m[at], old[at])))
}

const fn all(condition: bool) -> u16 {
    if condition { 0xffff } else { 0 }
}

#[test]
fn lanes_with_lanes() {
    let signed = |f: fn(i16, i16) -> i16| each(|n, m, _| f(n as i16, m as i16) as u16);
    for (word, result) in [
        (0x4e62_8420, each(|n, m, _| n.wrapping_add(m))), // add v0.8h
        (0x0e22_8420, each_byte(u8::wrapping_add) & LOW), // add v0.8b
        (0x6ea2_8420, each_word(|n, m, _| n.wrapping_sub(m))), // sub v0.4s
        (0x4e62_0c20, signed(i16::saturating_add)),       // sqadd v0.8h
        (0x6e22_2c20, each_byte(u8::saturating_sub)),     // uqsub v0.16b
        (0x4e62_3420, each(|n, m, _| all(n as i16 > m as i16))), // cmgt v0.8h
        (0x6e62_3420, each(|n, m, _| all(n > m))),        // cmhi v0.8h
        (0x4ea2_9c20, each_word(|n, m, _| n.wrapping_mul(m))), // mul v0.4s
        (0x4ea2_9420, each_word(|n, m, old| old.wrapping_add(n.wrapping_mul(m)))), // mla v0.4s
        (0x4f72_8020, each(|n, _, _| n.wrapping_mul(M[3]))), // mul v0.8h, v1.8h, v2.h[3]
        (0x4e62_6420, signed(Ord::max)),                  // smax v0.8h
        (0x6e62_7420, each(|n, m, _| n.abs_diff(m))),     // uabd v0.8h
        (0x6e22_1c20, each(|n, m, _| n ^ m)),             // eor v0.16b
        (0x0ea2_1c20, each(|n, m, _| n | m) & LOW),       // orr v0.8b
        (0x6e62_1c20, each(|n, m, old| old & n | !old & m)), // bsl v0.16b
        (0x6ee2_1c20, each(|n, m, old| !m & n | m & old)), // bif v0.16b
        (0x4e20_5820, each_byte(|n, _| n.count_ones() as u8)), // cnt v0.16b
        (0x6e60_4820, each(|n, _, _| n.leading_zeros() as u16)), // clz v0.8h
        (0x6e60_b820, each(|n, _, _| n.wrapping_neg())),  // neg v0.8h
        (0x4e60_9820, each(|n, _, _| all(n == 0))),       // cmeq v0.8h, #0
        (0x4e60_7820, signed(|n, _| n.saturating_abs())), // sqabs v0.8h
        (0x6f1c_0420, each(|n, _, _| n >> 4)),            // ushr v0.8h, #4
        (0x4f1c_0420, signed(|n, _| n >> 4)),             // sshr v0.8h, #4
        (0x4f13_5420, each(|n, _, _| n << 3)),            // shl v0.8h, #3
        (0x6f1c_1420, each(|n, _, old| old.wrapping_add(n >> 4))), // usra v0.8h, #4
        (0x6f14_5420, each(|n, _, old| old & 15 | n << 4)), // sli v0.8h, #4
    ] {
        assert_eq!(v0(word), result, "{word:#x}");
    }
}

#[test]
fn reductions_and_neighbours() {
    let (n, m) = (halves(N), halves(M));
    let sum = |value: u128| (value as u64).wrapping_add((value >> 64) as u64);
    let total: u32 = N.iter().map(|lane| u32::from(*lane)).sum();
    for (word, result) in [
        (0x4ee2_bc20, doubles(sum(n), sum(m))),  // addp v0.2d, v1.2d, v2.2d
        (0x5ef1_b820, sum(n).into()),            // addp d0, v1.2d
        (0x4e71_b820, u128::from(total as u16)), // addv h0, v1.8h
        (0x6e70_3820, total.into()),             // uaddlv s0, v1.8h
        (0x6e70_a820, 0xfffe),                   // umaxv h0, v1.8h
        (0x4e71_a820, 0x8000),                   // sminv h0, v1.8h
    ] {
        assert_eq!(v0(word), result, "{word:#x}");
    }
}

#[test]
fn narrow_and_wide() {
    let (n, m) = (to_bytes(N), to_bytes(M));
    let low: [u8; 8] = std::array::from_fn(|at| N[at] as u8);
    let half = |lanes: [u8; 8]| u128::from(u64::from_le_bytes(lanes));
    let wide = |f: &dyn Fn(usize) -> u16| halves(std::array::from_fn(f));
    for (word, result) in [
        (0x0e21_2820, half(low)),                                                // xtn v0.8b
        (0x4e21_2820, half(low) << 64 | halves(OLD) & LOW),                      // xtn2 v0.16b
        (0x0e21_4820, half(N.map(|lane| (lane as i16).clamp(-128, 127) as u8))), // sqxtn v0.8b
        (0x0f0c_8420, half(N.map(|lane| (lane >> 4) as u8))),                    // shrn v0.8b, #4
        (0x0e22_4020, half(std::array::from_fn(|at| (N[at].wrapping_add(M[at]) >> 8) as u8))), // addhn v0.8b
        (0x2f08_a420, wide(&|at| n[at].into())),                                 // uxtl v0.8h
        (0x4f08_a420, wide(&|at| n[at + 8] as i8 as u16)),                       // sxtl2 v0.8h
        (0x2e22_c020, wide(&|at| u16::from(n[at]) * u16::from(m[at]))),          // umull v0.8h
        (0x4e22_c020, wide(&|at| (i16::from(n[at + 8] as i8) * i16::from(m[at + 8] as i8)) as u16)), // smull2
        (0x2e22_1020, wide(&|at| N[at].wrapping_add(m[at].into()))),             // uaddw v0.8h
    ] {
        assert_eq!(v0(word), result, "{word:#x}");
    }
}

#[test]
fn elements_move() {
    let (n, m) = (to_bytes(N), to_bytes(M));
    let both: Vec<u8> = n.iter().chain(&m).copied().collect();
    let table = |index: u8, other: u8| n.get(usize::from(index)).copied().unwrap_or(other);
    let old = to_bytes(OLD);
    for (word, result) in [
        (0x4e1c_0420, words([to_words(N)[3]; 4])), // dup v0.4s, v1.s[3]
        (0x5e18_0420, halves(N) >> 64),            // mov d0, v1.d[1]
        (0x6e1a_1420, halves([0x8888, 0x7777, 0x6666, 0x5555, 0x4444, 0x3333, N[1], 0x1111])), // mov v0.h[6], v1.h[1]
        (0x4e42_3820, halves([N[0], M[0], N[1], M[1], N[2], M[2], N[3], M[3]])),               // zip1 v0.8h
        (0x4e42_7820, halves([N[4], M[4], N[5], M[5], N[6], M[6], N[7], M[7]])),               // zip2 v0.8h
        (0x4e42_1820, halves([N[0], N[2], N[4], N[6], M[0], M[2], M[4], M[6]])),               // uzp1 v0.8h
        (0x4e42_6820, halves([N[1], M[1], N[3], M[3], N[5], M[5], N[7], M[7]])),               // trn2 v0.8h
        (0x6e02_2820, bytes(std::array::from_fn(|at| both[at + 5]))),                          // ext #5
        (0x4e20_0820, doubles((halves(N) as u64).swap_bytes(), ((halves(N) >> 64) as u64).swap_bytes())), // rev64 v0.16b
        (0x4e02_0020, bytes(std::array::from_fn(|at| table(m[at], 0)))), // tbl, one register
        (0x4e02_1020, bytes(std::array::from_fn(|at| table(m[at], old[at])))), // tbx, one register
    ] {
        assert_eq!(v0(word), result, "{word:#x}");
    }
    // dup v0.8h, w1; mov v0.b[7], w1
    let vectors = [halves(OLD)];
    assert_eq!(execute(0x4e02_0c20, &vectors, &[0, 0x1_abcd]).core().simd.v[0], halves([0xabcd; 8]));
    let expected = halves(OLD) & !(0xff << 56) | 0xcd << 56;
    assert_eq!(execute(0x4e0f_1c20, &vectors, &[0, 0x1_abcd]).core().simd.v[0], expected);
    // umov w3, v1.h[7]; smov x3, v1.h[7]; mov x3, v1.d[1]
    for (word, result) in
        [(0x0e1e_3c23, 0x8000), (0x4e1e_2c23, 0xffff_ffff_ffff_8000), (0x4e18_3c23, (halves(N) >> 64) as u64)]
    {
        assert_eq!(execute(word, &[0, halves(N)], &[]).cpu.x(3), result, "{word:#x}");
    }
}

#[test]
fn constants() {
    for (word, result) in [
        (0x4f00_2640, words([0x1200; 4])), // movi v0.4s, #0x12, lsl #8
        (0x6f00_8640, halves([!0x12; 8])), // mvni v0.8h, #0x12
        (0x6f04_e720, doubles(0xff00_00ff_ff00_00ff, 0xff00_00ff_ff00_00ff)), // movi v0.2d
        (0x4f04_b400, halves(OLD.map(|lane| lane | 0x8000))), // orr v0.8h, #0x80, lsl #8
        (0x6f00_15e0, words(to_words(OLD).map(|lane| lane & !15))), // bic v0.4s, #0xf
        (0x6f07_f700, doubles((-1.5_f64).to_bits(), (-1.5_f64).to_bits())), // fmov v0.2d, #-1.5
        (0x1e20_1000, u128::from(2.0_f32.to_bits())), // fmov s0, #2.0
    ] {
        assert_eq!(v0(word), result, "{word:#x}");
    }
}

#[test]
fn saturation_is_noted() {
    // sqadd v0.8h; add v0.8h
    for (word, noted) in [(0x4e62_0c20, flag::SATURATED), (0x4e62_8420, 0)] {
        let mut bench = execute(word, &[0, halves([0x7fff; 8]), halves([1; 8])], &[]);
        assert_eq!(bench.core().simd.status, noted, "{word:#x}");
    }
}
