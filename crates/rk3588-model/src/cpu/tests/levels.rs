// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Exception levels: who may use what, where exceptions go, what comes back.

use super::{Bench, CODE, DEVICE};
use crate::bus::SysReg;
use crate::cpu::sysreg::{banked, name};
use crate::cpu::{Cpu, Stop};

const VECTORS: u64 = 0x8_0000;

/// A bench at a level, with vectors at `VECTORS * el` that stop the run.
fn at(el: u8, words: &[u32]) -> Bench {
    let mut bench = Bench::new(words);
    for level in 1..=3 {
        bench.core().sys.set(banked::vbar(level), VECTORS * u64::from(level));
        // The interrupt vectors wait for ever.
        for origin in [0x280, 0x480] {
            bench.put(VECTORS * u64::from(level) + origin, &[0x1400_0000]);
        }
    }
    // Non-secure, HVC allowed.
    bench.core().sys.set(name::SCR_EL3, 0x501);
    bench.core().switch(el, el > 0);
    bench.cpu.stop_on_fault([true; 4]);
    bench
}

fn exception_class(cpu: &Cpu) -> u64 {
    cpu.last_exception().expect("an exception").esr >> 26
}

const fn mrs(register: SysReg) -> u32 {
    0xd520_0000 | (register.0 as u32) << 5 | 3
}

const fn msr(register: SysReg) -> u32 {
    0xd500_0000 | (register.0 as u32) << 5 | 3
}

#[test]
fn registers_of_higher_levels_are_undefined() {
    for (register, lowest) in [
        (name::SCTLR_EL3, 3),
        (name::SCR_EL3, 3),
        (name::HCR_EL2, 2),
        (name::VBAR_EL2, 2),
        (name::SCTLR_EL1, 1),
        (name::TPIDR_EL0, 0),
    ] {
        for el in 0..4 {
            let allowed = el >= lowest;
            for word in [mrs(register), msr(register)] {
                let mut bench = at(el, &[word, 0xd503_201f]);
                let stop = bench.run(2);
                assert_eq!(
                    stop,
                    if allowed { Stop::Limit } else { Stop::Fault },
                    "{register:?} {el} {word:#x}"
                );
                if !allowed {
                    let exception = bench.cpu.last_exception().expect("undefined");
                    assert_eq!((exception.esr >> 26, exception.elr, exception.from_el), (0, CODE, el));
                }
            }
        }
    }
    // EL12 names need virtualisation host extensions; an unknown register is reported and undefined.
    let mut bench = at(3, &[mrs(SysReg::new(3, 5, 1, 0, 0))]);
    assert_eq!(bench.run(1), Stop::Fault);
    let unknown = SysReg::new(3, 0, 2, 1, 0);
    let mut bench = at(3, &[mrs(unknown)]);
    assert_eq!((bench.run(1), bench.device.unknown), (Stop::Fault, vec![unknown]));
    // Constants cannot be written; identification space that means "not there" reads zero.
    assert_eq!(at(3, &[msr(name::ID_AA64PFR0_EL1)]).run(1), Stop::Fault);
    let mut bench = at(1, &[mrs(SysReg::new(3, 0, 0, 4, 1))]);
    bench.cpu.set_x(3, 9);
    assert_eq!((bench.run(1), bench.cpu.x(3)), (Stop::Limit, 0));
}

#[test]
fn calls_go_to_their_levels_and_return() {
    let (svc, hvc, smc) = (0xd400_0541, 0xd400_0542, 0xd400_0543);
    for (el, word, to, class) in [
        (0, svc, 1, 0x15),
        (1, svc, 1, 0x15),
        (2, svc, 2, 0x15),
        (1, hvc, 2, 0x16),
        (2, hvc, 2, 0x16),
        (1, smc, 3, 0x17),
        (2, smc, 3, 0x17),
        (3, smc, 3, 0x17),
    ] {
        let mut bench = at(el, &[word]);
        bench.core().nzcv = 0b1010;
        bench.core().daif = 0b0100;
        bench.run(1);
        let origin = if to > el { 0x400 } else { 0x200 };
        assert_eq!(
            (bench.cpu.el(), bench.cpu.pc()),
            (to, VECTORS * u64::from(to) + origin),
            "{el} {word:#x}"
        );
        assert_eq!(bench.core().sys.get(banked::esr(to)), class << 26 | 1 << 25 | 42);
        assert_eq!(bench.core().sys.get(banked::elr(to)), CODE + 4);
        let spsr = 0xa000_0000 | 0x100 | u64::from(el) << 2 | u64::from(el > 0);
        assert_eq!(bench.core().sys.get(banked::spsr(to)), spsr);
        assert_eq!(bench.core().daif, 0xf);
        // eret
        let vector = bench.cpu.pc();
        bench.put(vector, &[0xd69f_03e0]);
        bench.run(1);
        assert_eq!((bench.cpu.el(), bench.cpu.pc()), (el, CODE + 4));
        assert_eq!((bench.core().nzcv, bench.core().daif), (0b1010, 0b0100));
    }
    for (el, word) in [(0, hvc), (0, smc), (3, 0xd440_0000)] {
        let mut bench = at(el, &[word]);
        assert_eq!((bench.run(1), exception_class(&bench.cpu)), (Stop::Fault, 0), "{el} {word:#x}");
    }
    // HVC without SCR_EL3.HCE, and from secure EL1.
    for scr in [0x401, 0x500] {
        let mut bench = at(1, &[hvc]);
        bench.core().sys.set(name::SCR_EL3, scr);
        assert_eq!((bench.run(1), exception_class(&bench.cpu)), (Stop::Fault, 0));
    }
}

#[test]
fn stack_pointers_are_banked() {
    // mov sp, x0 at EL3h; msr spsel, #0; mov sp, x1; msr spsel, #1
    let mut bench = at(3, &[0x9100_001f, 0xd500_40bf, 0x9100_003f, 0xd500_41bf]);
    bench.cpu.set_x(0, 0x300);
    bench.cpu.set_x(1, 0x100);
    bench.run(4);
    assert_eq!((bench.cpu.sp(), bench.core().sp(0), bench.core().sp(3)), (0x300, 0x100, 0x300));
    // The current one has no name.
    let mut bench = at(1, &[0xd500_40bf, mrs(name::SP_EL0)]);
    assert_eq!(bench.run(2), Stop::Fault);
}

#[test]
fn illegal_returns_stay_and_fault() {
    // To AArch32, to EL2 in secure state, to a higher level, to EL0h.
    for (el, scr, spsr) in [(3, 0x501, 0x1d3), (3, 0, 0x3c9), (1, 0x501, 0x3c9), (2, 0x501, 1)] {
        let mut bench = at(el, &[0xd69f_03e0]);
        bench.core().sys.set(name::SCR_EL3, scr);
        bench.core().sys.set(banked::spsr(el), spsr);
        bench.core().sys.set(banked::elr(el), CODE);
        assert_eq!(bench.run(10), Stop::Fault, "{el} {spsr:#x}");
        assert_eq!((bench.cpu.el(), exception_class(&bench.cpu)), (el, 0x0e));
    }
}

#[test]
fn stray_accesses_fault_with_address_and_direction() {
    // Nothing at the address; unaligned without translation; a jump to nowhere and to an odd address.
    for (word, base, class, status) in [
        (0xf940_0003, 0x3000_0000, 0x25, 0x10),
        (0xf900_0003, 0x3000_0000, 0x25, 0x50),
        (0xf940_0003, 0x2_0001, 0x25, 0x21),
        (0xb940_0003, DEVICE + 2, 0x25, 0x21),
        (0xd61f_0000, 0x3000_0000, 0x21, 0x10),
        (0xd61f_0000, 0x2_0002, 0x22, 0),
    ] {
        let mut bench = at(3, &[word]);
        bench.cpu.set_x(0, base);
        assert_eq!(bench.run(10), Stop::Fault);
        let exception = bench.cpu.last_exception().expect("an abort");
        let syndrome = (exception.esr >> 26, exception.esr & 0x1ff_ffff, exception.far);
        assert_eq!(syndrome, (class, status, base), "{word:#x} {base:#x}");
    }
}

#[test]
fn a_warm_reset_is_asked_for_by_rmr() {
    let mut bench = at(3, &[0xd280_0043, msr(name::RMR_EL3)]);
    assert_eq!(bench.run(100), Stop::WarmReset);
    bench.core().switch(1, true);
    bench.core().sys.set(name::SCTLR_EL3, 1);
    bench.cpu.reset(0x4000);
    assert_eq!((bench.cpu.el(), bench.cpu.pc(), bench.core().daif), (3, 0x4000, 0xf));
    assert_eq!(bench.core().sys.get(name::SCTLR_EL3) & 1, 0);
}

#[test]
fn timers_interrupt_and_wake() {
    // cntv_tval = 100; cntv_ctl = 1; wfi; b .
    let words = [
        0xd280_0c83,
        msr(name::CNTV_TVAL_EL0),
        0xd280_0023,
        msr(name::CNTV_CTL_EL0),
        0xd503_207f,
        0x1400_0000,
    ];
    let mut bench = at(1, &words);
    bench.core().daif = 0;
    bench.run(6);
    assert_eq!((bench.cpu.pc(), bench.cpu.el()), (VECTORS + 0x280, 1));
    assert!(bench.device.timers.virt && bench.cpu.ticks() >= 100);
    assert_eq!(bench.core().sys.get(name::ELR_EL1), CODE + 20);
    // Masked: WFI ends all the same, and no interrupt is taken.
    let mut bench = at(1, &words);
    assert_eq!((bench.run(6), bench.cpu.pc()), (Stop::Limit, CODE + 20));
    // Routed to EL3 it cannot be masked below.
    let mut bench = at(1, &words);
    bench.core().sys.set(name::SCR_EL3, 0x503);
    bench.run(6);
    assert_eq!((bench.cpu.el(), bench.cpu.pc()), (3, 3 * VECTORS + 0x480));
    // Nothing to wait for.
    assert_eq!(at(1, &[0xd503_207f]).run(5), Stop::Wait);
}

#[test]
fn a_core_that_is_switched_off_comes_back_by_reset() {
    // cnthp_tval = 100; cnthp_ctl = 1; wfi
    let words = [0xd280_0c83, msr(name::CNTHP_TVAL_EL2), 0xd280_0023, msr(name::CNTHP_CTL_EL2), 0xd503_207f];
    let mut bench = at(3, &words);
    bench.device.off = true;
    assert_eq!((bench.run(1000), bench.cpu.ticks() >= 100), (Stop::PowerUp, true));
    bench.cpu.reset(CODE + 16);
    bench.core().sys.set(name::CNTHP_CTL_EL2, 0);
    assert_eq!(bench.run(1000), Stop::Wait);
}
