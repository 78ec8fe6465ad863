// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Chips on the board's I2C buses: RK8602/RK8603 regulators and the HYM8563 clock.

use super::i2c::Chip;
use crate::events::{Event, Events};

/// RK8602 (big cores 0 and 1, NPU) and RK8603 (big cores 2 and 3): one output each.
///
/// Registers after Linux `fan53555.c` (`RK8602_VSEL0`, `RK8602_VSEL1`, `FAN53555_CONTROL`, `FAN53555_ID1`) and
/// `fan53555_voltages_setup_rk8602`: 0.5 V in steps of 6.25 mV.
#[derive(Debug)]
pub struct Rk860x {
    bus: usize,
    address: u8,
    registers: [u8; 16],
}

const RK8602_VSEL0: u8 = 0x06;
const RK8602_VSEL1: u8 = 0x07;
const ID1: u8 = 0x03;
/// Vendor bits and `RK8602_CHIP_ID_10`; public boot logs of boards with it say `FAN53555 Option[10] Rev[1]`.
const ID1_VALUE: u8 = 0x8a;
const ID2: u8 = 0x04;
const ID2_VALUE: u8 = 0x01;

impl Rk860x {
    /// A regulator on I2C `bus` at 7-bit `address` that gives `microvolts` from its start.
    pub fn new(bus: usize, address: u8, microvolts: u32) -> Self {
        let mut registers = [0; 16];
        let code = (microvolts.saturating_sub(500_000) / 6_250).min(0xff) as u8;
        registers[usize::from(RK8602_VSEL0)] = code;
        registers[usize::from(RK8602_VSEL1)] = code;
        // Registers 0 and 1, bit 7: on (`VSEL_BUCK_EN`).
        registers[..2].fill(0x80);
        registers[usize::from(ID1)] = ID1_VALUE;
        registers[usize::from(ID2)] = ID2_VALUE;
        Self { bus, address, registers }
    }

    /// The output by its name, and the voltage that a value means, if a register sets it.
    fn output(&self, register: u8, value: u8) -> Option<(String, u32)> {
        let name = match register {
            RK8602_VSEL0 => "vsel0",
            RK8602_VSEL1 => "vsel1",
            _ => return None,
        };
        Some((format!("rk860x@{}-{:02x}.{name}", self.bus, self.address), 500_000 + u32::from(value) * 6_250))
    }
}

impl Chip for Rk860x {
    fn address(&self) -> u8 {
        self.address
    }

    fn read(&mut self, register: u8, events: &mut Events) -> u8 {
        let value = self.registers.get(usize::from(register)).copied().unwrap_or(0xff);
        if let Some((regulator, microvolts)) = self.output(register, value) {
            events.push(Event::VoltageRead { regulator, microvolts });
        }
        value
    }

    fn write(&mut self, register: u8, value: u8, events: &mut Events) {
        if register == ID1 || register == ID2 {
            return;
        }
        let Some(place) = self.registers.get_mut(usize::from(register)) else { return };
        *place = value;
        if let Some((regulator, microvolts)) = self.output(register, value) {
            events.push(Event::Voltage { regulator, microvolts });
        }
    }
}

/// HYM8563 real-time clock at 0x51: starts at the start of 2026 and goes with the model's own time, so that runs are
/// alike.
///
/// Registers after Linux `rtc-hym8563.c`, values in BCD.
#[derive(Debug)]
pub struct Hym8563 {
    registers: [u8; 16],
    /// Seconds of the model's time that it has counted.
    counted: u64,
}

/// Control and status 1, and its bit that stops the clock (`HYM8563_CTL1_STOP`).
const CTL1: usize = 0x00;
const CTL1_STOP: u8 = 1 << 5;
/// Seconds, with a bit that says "voltage was low"; then minutes, hours, day, weekday, month, year.
const SECONDS: usize = 0x02;
const DAY: usize = 0x05;
const WEEKDAY: usize = 0x06;
const MONTH: usize = 0x07;
const YEAR: usize = 0x08;
/// The bits of each of them that count.
const COUNTING: [u8; 7] = [0x7f, 0x7f, 0x3f, 0x3f, 0x07, 0x1f, 0xff];
/// The system counter.
const TICKS_PER_SECOND: u64 = 24_000_000;
/// A clock that nobody looked at for so long is set anew: 100 days.
const MOST_SECONDS: u64 = 100 * 86_400;

impl Hym8563 {
    /// Thursday, 1 January 2026, 00:00:00.
    pub fn new() -> Self {
        let mut registers = [0; 16];
        registers[SECONDS..=YEAR].copy_from_slice(&[0, 0, 0, 0x01, 4, 0x01, 0x26]);
        Self { registers, counted: 0 }
    }

    /// Counts one further; whether it began anew at `first` because it had reached `last`.
    fn count(&mut self, register: usize, first: u8, last: u8) -> bool {
        let mask = COUNTING[register - SECONDS];
        let value = self.registers[register] & mask;
        let decimal = (value >> 4).wrapping_mul(10).wrapping_add(value & 15);
        let carries = decimal >= last;
        let next = if carries { first } else { decimal + 1 };
        self.registers[register] = self.registers[register] & !mask | (next / 10) << 4 | (next % 10);
        carries
    }

    fn second(&mut self) {
        let carries =
            self.count(SECONDS, 0, 59) && self.count(SECONDS + 1, 0, 59) && self.count(SECONDS + 2, 0, 23);
        if !carries {
            return;
        }
        self.count(WEEKDAY, 0, 6);
        let year = self.registers[YEAR];
        let is_leap = ((year >> 4).wrapping_mul(10).wrapping_add(year & 15)).is_multiple_of(4);
        let days = match self.registers[MONTH] & 0x1f {
            0x02 if is_leap => 29,
            0x02 => 28,
            0x04 | 0x06 | 0x09 | 0x11 => 30,
            _ => 31,
        };
        let _ = self.count(DAY, 1, days) && self.count(MONTH, 1, 12) && self.count(YEAR, 0, 99);
    }
}

impl Default for Hym8563 {
    fn default() -> Self {
        Self::new()
    }
}

impl Chip for Hym8563 {
    fn address(&self) -> u8 {
        0x51
    }

    fn at(&mut self, now_ticks: u64) {
        let now = now_ticks / TICKS_PER_SECOND;
        let passed = now.saturating_sub(std::mem::replace(&mut self.counted, now));
        if self.registers[CTL1] & CTL1_STOP == 0 {
            (0..passed.min(MOST_SECONDS)).for_each(|_| self.second());
        }
    }

    fn read(&mut self, register: u8, _events: &mut Events) -> u8 {
        self.registers.get(usize::from(register)).copied().unwrap_or(0xff)
    }

    fn write(&mut self, register: u8, value: u8, _events: &mut Events) {
        if let Some(place) = self.registers.get_mut(usize::from(register)) {
            *place = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock_after(set: [u8; 7], seconds: u64) -> [u8; 7] {
        let mut clock = Hym8563::new();
        clock.at(5 * TICKS_PER_SECOND);
        clock.registers[SECONDS..=YEAR].copy_from_slice(&set);
        clock.at((5 + seconds) * TICKS_PER_SECOND + 1);
        clock.registers[SECONDS..=YEAR].try_into().expect("seven registers")
    }

    #[test]
    fn the_clock_carries() {
        let eve = [0x59, 0x59, 0x23, 0x31, 4, 0x12, 0x26];
        assert_eq!(clock_after(eve, 0), eve);
        assert_eq!(clock_after(eve, 1), [0, 0, 0, 0x01, 5, 0x01, 0x27]);
        // Leap years, months of thirty days, Sunday; a battery that was low stays noted.
        assert_eq!(clock_after([0x59, 0x59, 0x23, 0x28, 6, 0x02, 0x28], 1), [0, 0, 0, 0x29, 0, 0x02, 0x28]);
        assert_eq!(clock_after([0x59, 0x59, 0x23, 0x28, 6, 0x02, 0x27], 1), [0, 0, 0, 0x01, 0, 0x03, 0x27]);
        assert_eq!(
            clock_after([0xd9, 0x59, 0x09, 0x30, 1, 0x09, 0x26], 1),
            [0x80, 0, 0x10, 0x30, 1, 0x09, 0x26]
        );
        assert_eq!(clock_after([0, 0, 0, 0x01, 4, 0x01, 0x26], 86_400 + 61), [1, 1, 0, 0x02, 5, 0x01, 0x26]);
    }

    #[test]
    fn a_stopped_clock_stands() {
        let mut clock = Hym8563::new();
        clock.registers[CTL1] = CTL1_STOP;
        clock.at(9 * TICKS_PER_SECOND);
        clock.registers[CTL1] = 0;
        clock.at(10 * TICKS_PER_SECOND);
        assert_eq!(clock.registers[SECONDS], 1);
    }
}
