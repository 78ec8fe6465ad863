// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Virtual time and the generic timers (DDI 0487 chapter D12).
//!
//! Time comes from instructions and from reads of the counter alone, so runs are reproducible. It has no
//! relation to the time that a board takes.

use super::sysreg::{Registers, name};
use crate::bus::TimerLines;

/// Instructions per tick, as a shift: 16 of them in 1/24 µs are 384 million a second, less than a board does.
const INSTRUCTIONS_PER_TICK_LOG2: u32 = 4;
/// Ticks that a read of the counter takes: 1 µs, so that delays by polling are short.
const TICKS_PER_READ: u64 = 24;
/// And at most, in a loop that waits: 200 µs.
const TICKS_PER_READ_LIMIT: u64 = 200 * TICKS_PER_READ;
/// A read that comes within so many instructions of the one before is one of a loop.
const LOOP_INSTRUCTIONS: u64 = 20_000;
/// Reads of a loop after which time begins to hurry, and between two doublings of its speed. Short delays stay exact.
const LOOP_READS: u32 = 64;

/// The 24 MHz counter.
///
/// Firmware waits by polling it: a boot menu for seconds, with thousands of instructions between two reads. Nothing
/// but time can change what such a loop sees as long as it writes to no device, for devices here answer at once. So the
/// longer it polls, the further each read moves the count, within bounds; the first write to a device ends that.
#[derive(Debug, Default)]
pub struct Clock {
    /// Ticks beside those of the instructions.
    extra: u64,
    /// Whether polling hurries time at all.
    hurries: bool,
    /// Instructions at the last read, and reads of this loop.
    last_read: u64,
    loop_reads: u32,
}

impl Clock {
    /// The count after so many instructions.
    pub fn ticks(&self, instructions: u64) -> u64 {
        self.extra.wrapping_add(instructions >> INSTRUCTIONS_PER_TICK_LOG2)
    }

    /// Lets loops that wait hurry, or not: an operating system reads the counter for other reasons than to wait.
    pub fn hurry(&mut self, hurries: bool) {
        self.hurries = hurries;
    }

    /// A device was written: whoever polls now waits for something else.
    #[inline]
    pub fn note_write(&mut self) {
        self.loop_reads = 0;
    }

    /// A read of the counter, which takes time itself.
    pub fn read(&mut self, instructions: u64) -> u64 {
        let in_loop = self.hurries && instructions - self.last_read < LOOP_INSTRUCTIONS;
        self.loop_reads = if in_loop { self.loop_reads.saturating_add(1) } else { 0 };
        self.last_read = instructions;
        let doublings = (self.loop_reads / LOOP_READS).min(u64::BITS / 2);
        let step = (TICKS_PER_READ << doublings).min(TICKS_PER_READ_LIMIT);
        self.extra = self.extra.wrapping_add(step);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks of `reads` reads, `apart` instructions from each other, beside those of the instructions.
    fn polled(clock: &mut Clock, reads: u64, apart: u64) -> u64 {
        let before = clock.extra;
        let from = clock.last_read;
        for n in 1..=reads {
            clock.read(from + n * apart);
        }
        clock.extra - before
    }

    #[test]
    fn a_loop_that_waits_hurries_and_nothing_else_does() {
        let hurried = || Clock { hurries: true, ..Clock::default() };
        // A short delay is exact, a long one is not worth its instructions.
        assert_eq!(polled(&mut hurried(), 50, 10), 50 * TICKS_PER_READ);
        let mut clock = hurried();
        assert!(polled(&mut clock, 2000, 5000) > 100_000 * TICKS_PER_READ);
        assert_eq!(polled(&mut clock, 1, 5000), TICKS_PER_READ_LIMIT, "and within its bound");
        // A write to a device ends it, and so does work between two reads.
        clock.note_write();
        assert_eq!(polled(&mut clock, 1, 5000), TICKS_PER_READ);
        assert_eq!(polled(&mut hurried(), 2000, LOOP_INSTRUCTIONS), 2000 * TICKS_PER_READ);
        assert_eq!(polled(&mut Clock::default(), 2000, 10), 2000 * TICKS_PER_READ, "an operating system");
    }
}
