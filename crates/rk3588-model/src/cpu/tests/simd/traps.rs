// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Who may use the registers, and where their traps go.

use super::{Bench, Stop};
use crate::cpu::float::{control, flag};
use crate::cpu::sysreg::{banked, name};

/// fmov d0, d0; mrs x3, fpcr; msr fpsr, x3; ldr q0, [x0]
const USES: [u32; 4] = [0x1e60_4000, 0xd53b_4403, 0xd51b_4423, 0x3dc0_0000];
const TFP: u64 = 1 << 10;

/// Runs one of them at a level; the level that took it, if any, and its syndrome.
fn taken(word: u32, el: u8, registers: &[(crate::bus::SysReg, u64)]) -> Option<(u8, u64)> {
    let mut bench = Bench::new(&[word, 0xd503_201f]);
    for level in 1..=3 {
        bench.core().sys.set(banked::vbar(level), 0x8_0000);
    }
    bench.core().sys.set(name::SCR_EL3, 0x501);
    for (register, value) in registers {
        bench.core().sys.set(*register, *value);
    }
    bench.core().switch(el, el > 0);
    bench.cpu.stop_on_fault([true; 4]);
    match bench.run(2) {
        Stop::Limit => None,
        _ => bench.cpu.last_exception().map(|exception| (exception.to_el, exception.esr)),
    }
}

#[test]
fn each_level_has_its_trap() {
    // EC 7, 32-bit instruction, condition "always".
    let syndrome = 0x07 << 26 | 1 << 25 | 0x1e << 20;
    let fpen = |value: u64| (name::CPACR_EL1, value << 20);
    for word in USES {
        for (fpen_value, el0, el1) in
            [(0, Some(1), Some(1)), (1, Some(1), None), (2, Some(1), Some(1)), (3, None, None)]
        {
            for (el, to) in [(0, el0), (1, el1), (2, None), (3, None)] {
                let expected = to.map(|to| (to, syndrome));
                assert_eq!(taken(word, el, &[fpen(fpen_value)]), expected, "{word:#x} {fpen_value} EL{el}");
            }
        }
        for el in 0..4 {
            let two = taken(word, el, &[fpen(3), (name::CPTR_EL2, TFP)]);
            assert_eq!(two, (el < 3).then_some((2, syndrome)), "{word:#x} EL{el}");
            let three = taken(word, el, &[fpen(3), (name::CPTR_EL3, TFP)]);
            assert_eq!(three, Some((3, syndrome)), "{word:#x} EL{el}");
        }
        // In secure state there is no EL2; with TGE the trap of EL1 is undefined at EL2.
        assert_eq!(taken(word, 1, &[fpen(3), (name::CPTR_EL2, TFP), (name::SCR_EL3, 0x500)]), None);
        assert_eq!(taken(word, 0, &[(name::HCR_EL2, 1 << 27)]), Some((2, 1 << 25)));
    }
}

#[test]
fn control_and_status_keep_what_they_have() {
    // msr fpcr, x2; msr fpsr, x2; mrs x3, fpcr; mrs x4, fpsr
    let mut bench = Bench::new(&[0xd51b_4402, 0xd51b_4422, 0xd53b_4403, 0xd53b_4424]);
    bench.cpu.set_x(2, u64::MAX);
    bench.run(4);
    assert_eq!((bench.cpu.x(3), bench.cpu.x(4)), (u64::from(control::ALL), u64::from(flag::ALL)));
}
