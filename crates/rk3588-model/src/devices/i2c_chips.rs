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

/// HYM8563 real-time clock at 0x51: stands still at the start of 2026, so that runs are alike.
///
/// Registers after Linux `rtc-hym8563.c`, values in BCD.
#[derive(Debug)]
pub struct Hym8563 {
    registers: [u8; 16],
}

impl Hym8563 {
    /// Thursday, 1 January 2026, 00:00:00.
    pub fn new() -> Self {
        let mut registers = [0; 16];
        // Seconds, minutes, hours, day, weekday, month, year from register 2 on.
        registers[2..9].copy_from_slice(&[0, 0, 0, 0x01, 4, 0x01, 0x26]);
        Self { registers }
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

    fn read(&mut self, register: u8, _events: &mut Events) -> u8 {
        self.registers.get(usize::from(register)).copied().unwrap_or(0xff)
    }

    fn write(&mut self, register: u8, value: u8, _events: &mut Events) {
        if let Some(place) = self.registers.get_mut(usize::from(register)) {
            *place = value;
        }
    }
}
