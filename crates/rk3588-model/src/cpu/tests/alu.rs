// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Data processing.

use super::run;

#[test]
fn add_and_subtract() {
    // add x2, x0, x1
    assert_eq!(run(&[0x8b01_0002], &[3, 4]).x(2), 7);
}

#[test]
fn the_zero_register_and_the_stack_pointer_are_apart() {
    // add sp, x0, #16 ; mov x1, sp ; add x2, xzr, x1 ; subs xzr, x1, #16
    let mut bench = super::Bench::new(&[0x9100_401f, 0x9100_03e1, 0x8b01_03e2, 0xf100_403f]);
    bench.cpu.set_x(0, 0x100);
    bench.run(4);
    assert_eq!((bench.cpu.sp(), bench.cpu.x(2), bench.core().nzcv), (0x110, 0x110, 0b0010));
}
