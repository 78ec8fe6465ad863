// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Any word decodes, and any memory executes, without a panic and within its instructions.

use super::{Bench, CODE};
use crate::cpu::Stop;
use crate::cpu::decode::decode;
use crate::cpu::op::{Kind, REGISTERS};

/// A stride that is prime, so that it meets all fields: 33 million words.
const STRIDE: usize = 127;

#[test]
fn every_word_decodes() {
    let mut undefined = 0_u32;
    for word in (0..=u32::MAX).step_by(STRIDE) {
        let op = decode(word, u64::from(word) & 0xffc);
        assert!([op.d, op.n, op.m].iter().all(|r| usize::from(*r) < REGISTERS), "{word:#x}");
        undefined += u32::from(op.kind == Kind::Undefined);
    }
    // A third of the space is unallocated or later; a decoder that accepts all or nothing would show here.
    let share = f64::from(undefined) / f64::from(u32::MAX / STRIDE as u32);
    assert!((0.3..0.7).contains(&share), "{share}");
}

#[test]
fn unallocated_and_absent_instructions_are_undefined() {
    for word in [
        0x0000_0000, // udf
        0xffff_ffff,
        0x1ee2_2820,           // fadd h0, h1, h2: half precision
        0x4e42_1420,           // fadd v0.8h, v1.8h, v2.8h
        0x0ee2_e020,           // pmull v0.1q, v1.1d, v2.1d
        0x4e28_4820,           // aese v0.16b, v1.16b
        0x5e02_4020,           // sha256h q0, q1, v2.4s
        0x4e82_9420,           // sdot v0.4s, v1.16b, v2.16b
        0x6e82_8420,           // sqrdmlah v0.4s, v1.4s, v2.4s
        0x1e7e_0000,           // fjcvtzs w0, d0
        0x0ee2_8420,           // add v0.1d: there is no such vector
        0x0420_0000,           // sve
        0x5290_0000 | 2 << 21, // movz w0, #…, lsl #32
        0x1200_fc00,           // and w0, w0, with an element of ones only
        0x9ac0_2000 | 1 << 15, // subps and the like
        0xd500_409f,           // msr pan: not there
    ] {
        assert_eq!(decode(word, 0).kind, Kind::Undefined, "{word:#x}");
    }
}

#[test]
fn random_memory_executes_within_its_instructions() {
    let mut state = 0x1234_5678_9abc_def1_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for round in 0..300 {
        let words: Vec<_> =
            (0..512).map(|_| next() as u32 & if round % 2 == 0 { u32::MAX } else { !(1 << 26) }).collect();
        let mut bench = Bench::new(&words);
        for register in 0..31 {
            let value = next();
            bench.cpu.set_x(register, if value & 1 == 0 { value & 0xff_fff8 } else { value });
        }
        // Vectors inside the noise, so that it goes on after an exception.
        for el in 1..4 {
            bench.core().sys.set(crate::cpu::sysreg::banked::vbar(el), CODE);
        }
        let before = bench.cpu.instructions();
        let mut granted = 0;
        while granted < 20_000 {
            granted += 5_000;
            match bench.run(5_000) {
                Stop::Limit | Stop::Requested => {}
                Stop::WarmReset | Stop::PowerUp => bench.cpu.reset(CODE),
                Stop::Wait | Stop::MemoryLimit | Stop::Watch | Stop::Fault => break,
            }
        }
        assert!(bench.cpu.instructions() - before <= granted + 64 * 4);
    }
}
