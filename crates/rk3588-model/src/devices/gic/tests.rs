// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A kernel's way through the controller, register by register.

use super::*;
use crate::behaviour::Behaviours;
use crate::bus::SysReg;

const ALL: [bool; 4] = [true; 4];
const PMR: SysReg = SysReg::new(3, 0, 4, 6, 0);
const IAR1: SysReg = SysReg::new(3, 0, 12, 12, 0);
const EOIR1: SysReg = SysReg::new(3, 0, 12, 12, 1);
const IGRPEN1: SysReg = SysReg::new(3, 0, 12, 12, 7);
const CTLR: SysReg = SysReg::new(3, 0, 12, 12, 4);
const DIR: SysReg = SysReg::new(3, 0, 12, 11, 1);
const SGI1R: SysReg = SysReg::new(3, 0, 12, 11, 5);
/// UART2: SPI 333.
const UART: u32 = 32 + 333;

/// As BL31 and the kernel leave it: everything in the non-secure group, priority 0xa0, enabled.
fn ready() -> Gic {
    let mut gic = Gic::default();
    gic.write_distributor(0, 0x37, ALL, true).unwrap();
    for word in 0..15 {
        gic.state.group[word] = u32::MAX;
    }
    for intid in [27, UART, UART + 1] {
        let offset = 0x400 + (intid & !3);
        let mut lane = [false; 4];
        lane[(intid & 3) as usize] = true;
        if intid < 32 {
            gic.write_redistributor(0x1_0000 + offset, 0xa0a0_a0a0, lane, false).unwrap();
        } else {
            gic.write_distributor(offset, 0xa0a0_a0a0, lane, false).unwrap();
        }
    }
    gic.write_icc(PMR, 0xf0, 2).unwrap();
    gic.write_icc(IGRPEN1, 1, 2).unwrap();
    gic
}

fn enable(gic: &mut Gic, intid: u32) {
    gic.write_distributor(0x100 + intid / 32 * 4, 1 << (intid % 32), ALL, false).unwrap();
}

#[test]
fn a_shared_level_interrupt_is_taken_ended_and_taken_again_while_high() {
    let mut gic = ready();
    enable(&mut gic, UART);
    gic.state.set_level(UART, true);
    assert!(gic.output().irq);
    assert_eq!(gic.read_icc(IAR1, 2), Some(UART.into()));
    assert!(!gic.output().irq, "active interrupts are not signalled");
    gic.write_icc(EOIR1, UART.into(), 2).unwrap();
    assert!(gic.output().irq, "the line is still high");
    gic.state.set_level(UART, false);
    assert!(!gic.output().irq);
    assert_eq!(gic.read_icc(IAR1, 2), Some(1023));
}

#[test]
fn with_separate_deactivation_an_interrupt_stays_active_until_dir() {
    let mut gic = ready();
    enable(&mut gic, UART);
    gic.write_icc(CTLR, 2, 2).unwrap();
    gic.state.set_level(UART, true);
    gic.read_icc(IAR1, 2);
    gic.write_icc(EOIR1, UART.into(), 2).unwrap();
    assert!(!gic.output().irq);
    gic.write_icc(DIR, UART.into(), 2).unwrap();
    assert!(gic.output().irq);
}

#[test]
fn timers_are_private_interrupts_and_masks_hold() {
    let mut gic = ready();
    gic.write_redistributor(0x1_0100, 1 << 27, ALL, false).unwrap();
    let timers = TimerLines { virt: true, ..Default::default() };
    assert!(gic.lines(timers).irq);
    gic.write_icc(PMR, 0, 2).unwrap();
    assert!(!gic.lines(timers).irq, "the priority mask lets nothing through");
    gic.write_icc(PMR, 0xf0, 2).unwrap();
    assert!(gic.lines(timers).irq);
    assert!(!gic.lines(Default::default()).irq);
}

#[test]
fn software_interrupts_to_self_arrive_and_to_others_do_not() {
    let mut gic = ready();
    gic.write_redistributor(0x1_0100, 1 << 3, ALL, false).unwrap();
    gic.write_icc(SGI1R, 3 << 24 | 1 << 40, 2).unwrap();
    gic.write_icc(SGI1R, 3 << 24 | 1 << 16 | 1, 2).unwrap();
    assert!(!gic.output().irq);
    gic.write_icc(SGI1R, 3 << 24 | 1, 2).unwrap();
    assert_eq!(gic.read_icc(IAR1, 2), Some(3));
}

#[test]
fn the_non_secure_side_reaches_only_its_own_interrupts() {
    let mut gic = Gic::default();
    gic.write_distributor(0x104, u32::MAX, ALL, false).unwrap();
    assert_eq!(gic.read_distributor(0x104, true, Behaviours::default()), Some(0));
    gic.write_distributor(0x84, 1, ALL, true).unwrap();
    gic.write_distributor(0x104, u32::MAX, ALL, false).unwrap();
    assert_eq!(gic.read_distributor(0x104, true, Behaviours::default()), Some(1));
    gic.write_distributor(0x420, 0xa0, [true, false, false, false], false).unwrap();
    assert_eq!(gic.read_distributor(0x420, true, Behaviours::default()), Some(0xd0));
    assert_eq!(gic.read_distributor(0x420, false, Behaviours::default()), Some(0xa0));
}

#[test]
fn redistributors_say_who_is_last_and_awake() {
    let mut gic = Gic::default();
    let on = Behaviours::default();
    assert_eq!(gic.read_redistributor(7 * 0x2_0000 + 8, true, on), Some(0x711));
    assert_eq!(gic.read_redistributor(6 * 0x2_0000 + 8, true, on), Some(0x601));
    assert_eq!(gic.read_redistributor(0x14, true, on), Some(6));
    gic.write_redistributor(0x14, 0, ALL, true).unwrap();
    assert_eq!(gic.read_redistributor(0x14, true, on), Some(0));
    assert_eq!(gic.read_redistributor(8 * 0x2_0000, true, on), None);
}
