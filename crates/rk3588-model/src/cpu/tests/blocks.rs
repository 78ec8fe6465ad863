// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Branches inside of a block, which the interpreter follows without leaving it: what is executed, and what is counted.

use super::{Bench, CODE};
use crate::cpu::Stop;

#[test]
fn a_loop_inside_of_a_block_counts_each_instruction_once() {
    // add x1, x1, #1; subs x0, x0, #1; b.ne .-8
    let mut bench = Bench::new(&[0x9100_0421, 0xf100_0400, 0x54ff_ffc1]);
    bench.cpu.set_x(0, 5);
    assert_eq!(bench.run(15), Stop::Limit);
    assert_eq!((bench.cpu.x(0), bench.cpu.x(1)), (0, 5));
    // Five rounds of three, and the branch to itself behind them.
    assert_eq!((bench.cpu.instructions(), bench.cpu.pc()), (16, CODE + 12));
}

#[test]
fn a_branch_forward_leaves_out_what_is_between() {
    // cbz x5, .+12; mov x6, #1; mov x6, #2; add x7, x7, #1
    let mut bench = Bench::new(&[0xb400_0065, 0xd280_0026, 0xd280_0046, 0x9100_04e7]);
    assert_eq!(bench.run(3), Stop::Limit);
    assert_eq!((bench.cpu.x(6), bench.cpu.x(7), bench.cpu.instructions()), (0, 1, 3));
    // Not taken, it goes on behind the branch.
    let mut bench = Bench::new(&[0xb400_0065, 0xd280_0026, 0xd280_0046, 0x9100_04e7]);
    bench.cpu.set_x(5, 1);
    assert_eq!(bench.run(4), Stop::Limit);
    assert_eq!((bench.cpu.x(6), bench.cpu.x(7)), (2, 1));
}

#[test]
fn a_loop_without_an_end_stops_at_the_limit() {
    let mut bench = Bench::new(&[]);
    for round in 1..4 {
        assert_eq!(bench.run(1000), Stop::Limit);
        assert_eq!((bench.cpu.instructions(), bench.cpu.pc()), (1000 * round, CODE));
    }
}

#[test]
fn a_fault_in_a_later_round_has_its_own_place_and_count() {
    // ldr x3, [x2]; add x2, x2, x4; subs x0, x0, #1; b.ne .-12
    let mut bench = Bench::new(&[0xf940_0043, 0x8b04_0042, 0xf100_0400, 0x54ff_ffa1]);
    // The third load is behind the end of memory.
    for (register, value) in [(0, 9), (2, 0xff_ffe0), (4, 0x10)] {
        bench.cpu.set_x(register, value);
    }
    bench.cpu.stop_on_fault([true; 4]);
    assert_eq!(bench.run(1000), Stop::Fault);
    let fault = bench.cpu.last_exception().expect("one");
    assert_eq!((fault.elr, fault.far, fault.instructions), (CODE, 0x100_0000, 8));
    assert_eq!(bench.cpu.x(0), 7);
}

#[test]
fn joined_operations_do_what_each_does() {
    // A copy of bytes: ldrb w5, [x1, x3]; strb w5, [x2, x3]; add x3, x3, #1; cmp x3, x4; b.ne .-16
    let mut bench = Bench::new(&[0x3863_6825, 0x3823_6845, 0x9100_0463, 0xeb04_007f, 0x54ff_ff81]);
    let (from, to) = (CODE + 0x1000, CODE + 0x2000);
    bench.ram.write_bytes(from, b"abcde").expect("memory");
    for (register, value) in [(1, from), (2, to), (4, 5)] {
        bench.cpu.set_x(register, value);
    }
    // Five rounds of five, and the branch to itself behind them.
    bench.run(25);
    let mut out = [0; 6];
    bench.ram.read_bytes(to, &mut out).expect("memory");
    assert_eq!(out, *b"abcde\0");
    assert_eq!((bench.cpu.x(3), bench.cpu.pc(), bench.cpu.instructions()), (5, CODE + 20, 26));
}

#[test]
fn the_second_half_of_a_pair_can_be_branched_to() {
    // mov x6, #1; mov x7, #2; add x6, x6, #1; subs x0, x0, #1; b.ne .-12
    let mut bench = Bench::new(&[0xd280_0026, 0xd280_0047, 0x9100_04c6, 0xf100_0400, 0x54ff_ffa1]);
    bench.cpu.set_x(0, 3);
    bench.run(13);
    assert_eq!((bench.cpu.x(6), bench.cpu.x(7), bench.cpu.instructions()), (4, 2, 14));
    // mov x6, #1; mov x7, #2; mov x8, #3: the middle is in two pairs.
    let mut bench = Bench::new(&[0xd280_0026, 0xd280_0047, 0xd280_0068]);
    bench.run(3);
    assert_eq!((bench.cpu.x(6), bench.cpu.x(7), bench.cpu.x(8), bench.cpu.instructions()), (1, 2, 3, 4));
}

#[test]
fn a_fault_in_the_second_half_of_a_pair_has_its_own_place() {
    // ldrb w5, [x1, x3]; strb w5, [x2, x3]
    let mut bench = Bench::new(&[0x3863_6825, 0x3823_6845]);
    for (register, value) in [(1, CODE), (2, 0x100_0000), (3, 1)] {
        bench.cpu.set_x(register, value);
    }
    bench.cpu.stop_on_fault([true; 4]);
    assert_eq!(bench.run(10), Stop::Fault);
    let fault = bench.cpu.last_exception().expect("one");
    assert_eq!((fault.elr, fault.far, fault.instructions), (CODE + 4, 0x100_0001, 1));
}
