// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Virtual time and the generic timers (DDI 0487 chapter D12).
//!
//! Time comes from instructions and from reads of the counter alone, so runs are reproducible. It has no
//! relation to the time that a board takes.

use super::sysreg::{Registers, name};
use crate::bus::TimerLines;

/// Instructions per tick, as a shift: 64 of them in 1/24 µs are 1.5 instructions per nanosecond.
const INSTRUCTIONS_PER_TICK_LOG2: u32 = 6;
/// Ticks that a read of the counter takes: 1 µs, so that delays by polling are short.
const TICKS_PER_READ: u64 = 24;

/// The 24 MHz counter.
#[derive(Debug, Default)]
pub struct Clock {
    /// Ticks beside those of the instructions.
    extra: u64,
}

impl Clock {
    /// The count after so many instructions.
    pub fn ticks(&self, instructions: u64) -> u64 {
        self.extra.wrapping_add(instructions >> INSTRUCTIONS_PER_TICK_LOG2)
    }

    /// A read of the counter, which takes time itself.
    pub fn read(&mut self, instructions: u64) -> u64 {
        self.extra = self.extra.wrapping_add(TICKS_PER_READ);
        self.ticks(instructions)
    }

    /// Lets time pass until the count is at least `ticks`.
    pub fn skip_to(&mut self, ticks: u64, instructions: u64) {
        self.extra = self.extra.wrapping_add(ticks.saturating_sub(self.ticks(instructions)));
    }

    /// The instruction count at which the counter reaches `ticks`, if nothing else moves it.
    pub fn instructions_at(&self, ticks: u64) -> u64 {
        ticks.saturating_sub(self.extra).saturating_mul(1 << INSTRUCTIONS_PER_TICK_LOG2)
    }
}

/// One timer's registers: control, compare value.
const TIMERS: [(crate::bus::SysReg, crate::bus::SysReg); 4] = [
    (name::CNTPS_CTL_EL1, name::CNTPS_CVAL_EL1),
    (name::CNTP_CTL_EL0, name::CNTP_CVAL_EL0),
    (name::CNTV_CTL_EL0, name::CNTV_CVAL_EL0),
    (name::CNTHP_CTL_EL2, name::CNTHP_CVAL_EL2),
];
const VIRTUAL: usize = 2;

const ENABLE: u64 = 1;
const MASKED: u64 = 2;
const STATUS: u64 = 4;

/// The count that timer `which` compares with.
fn count(sys: &Registers, which: usize, ticks: u64) -> u64 {
    if which == VIRTUAL { ticks.wrapping_sub(sys.get(name::CNTVOFF_EL2)) } else { ticks }
}

/// The outputs of the timers.
pub fn lines(sys: &Registers, ticks: u64) -> TimerLines {
    let [secure, physical, virt, hyp] = [0, 1, 2, 3].map(|which| {
        let (control, compare) = TIMERS[which];
        sys.get(control) & (ENABLE | MASKED) == ENABLE && count(sys, which, ticks) >= sys.get(compare)
    });
    TimerLines { secure, physical, virt, hyp }
}

/// The next time at which an output changes by itself.
pub fn next(sys: &Registers, ticks: u64) -> Option<u64> {
    (0..TIMERS.len())
        .filter_map(|which| {
            let (control, compare) = TIMERS[which];
            let wait = sys.get(compare).checked_sub(count(sys, which, ticks)).filter(|wait| *wait > 0)?;
            (sys.get(control) & (ENABLE | MASKED) == ENABLE).then(|| ticks.saturating_add(wait))
        })
        .min()
}

/// The value of a control register with its status bit.
pub fn control(sys: &Registers, register: crate::bus::SysReg, ticks: u64) -> u64 {
    let value = sys.get(register) & (ENABLE | MASKED);
    let expired = TIMERS.iter().enumerate().any(|(which, (control, compare))| {
        *control == register && count(sys, which, ticks) >= sys.get(*compare)
    });
    if value & ENABLE != 0 && expired { value | STATUS } else { value }
}

/// The compare register behind a `TVAL` register, and the count it is relative to.
pub fn relative(sys: &Registers, register: crate::bus::SysReg, ticks: u64) -> (crate::bus::SysReg, u64) {
    let which = match register {
        name::CNTPS_TVAL_EL1 => 0,
        name::CNTP_TVAL_EL0 => 1,
        name::CNTV_TVAL_EL0 => VIRTUAL,
        _ => 3,
    };
    (TIMERS[which].1, count(sys, which, ticks))
}
