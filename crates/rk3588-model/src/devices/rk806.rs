// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The RK806 PMIC on SPI2: a register file behind a three-byte command, and what its outputs are set to.
//!
//! Command: bit 7 write, bits 3:0 length - 1, then the register's low and high byte, then data (U-Boot
//! `drivers/power/pmic/rk8xx.c`, `struct rk806_cmd`). Output registers after `rk8xx.c` of the regulator driver.

use crate::events::{Event, Events};

const REGISTERS: usize = 0x100;
/// Chip name, high and low byte, and version (Linux `mfd/rk808.h`, `RK806_CHIP_NAME` and neighbours).
const CHIP_NAME: usize = 0x5a;
const CHIP_VER: usize = 0x5b;
const OTP_VER: usize = 0x5c;
const BUCK_ON_VSEL: usize = 0x1a;
const NLDO_ON_VSEL: usize = 0x43;
const PLDO_ON_VSEL: usize = 0x4e;
/// `RK806_REG_SYS_CFG3`: bit 0 switches the board off.
const SYS_CFG3: usize = 0x72;

/// The chip.
#[derive(Debug)]
pub struct Rk806 {
    registers: Box<[u8; REGISTERS]>,
    message: Message,
}

#[derive(Debug, Clone, Copy)]
enum Message {
    Command,
    Low { write: bool, left: u8 },
    High { write: bool, left: u8, low: u8 },
    Data { write: bool, left: u8, at: usize },
    Over,
}

impl Rk806 {
    /// As it comes out of its own start-up: outputs at zero here, for only writes are asserted.
    pub fn new() -> Self {
        let mut registers = Box::new([0; REGISTERS]);
        registers[CHIP_NAME] = 0x80;
        registers[CHIP_VER] = 0x61;
        registers[OTP_VER] = 0x20;
        Self { registers, message: Message::Command }
    }

    /// Microvolts that DC-DC converter `number` (1 to 10) is set to.
    pub fn buck_microvolts(&self, number: usize) -> Option<u32> {
        let at = (1..=10).contains(&number).then(|| BUCK_ON_VSEL + number - 1)?;
        Some(buck_microvolts(self.registers[at]))
    }

    /// The select was released: the next byte begins a command.
    pub fn deselect(&mut self) {
        self.message = Message::Command;
    }

    /// One byte each way.
    pub fn exchange(&mut self, byte: u8, events: &mut Events) -> u8 {
        let (next, reply) = match self.message {
            Message::Command => (Message::Low { write: byte & 0x80 != 0, left: (byte & 0x0f) + 1 }, 0xff),
            Message::Low { write, left } => (Message::High { write, left, low: byte }, 0xff),
            Message::High { write, left, low } => {
                (Message::Data { write, left, at: usize::from(low) | usize::from(byte) << 8 }, 0xff)
            }
            Message::Data { write, left, at } => {
                let register = at % REGISTERS;
                let reply = self.registers[register];
                if write {
                    self.write(register, byte, events);
                }
                let next = if left > 1 {
                    Message::Data { write, left: left - 1, at: at + 1 }
                } else {
                    Message::Over
                };
                (next, reply)
            }
            Message::Over => (Message::Over, 0xff),
        };
        self.message = next;
        reply
    }

    fn write(&mut self, register: usize, value: u8, events: &mut Events) {
        if (CHIP_NAME..=OTP_VER).contains(&register) {
            return;
        }
        self.registers[register] = value;
        let (output, microvolts) = match register {
            BUCK_ON_VSEL..0x24 => (format!("dcdc{}", register - BUCK_ON_VSEL + 1), buck_microvolts(value)),
            NLDO_ON_VSEL..0x48 => (format!("nldo{}", register - NLDO_ON_VSEL + 1), ldo_microvolts(value)),
            PLDO_ON_VSEL..0x54 => (format!("pldo{}", register - PLDO_ON_VSEL + 1), ldo_microvolts(value)),
            SYS_CFG3 if value & 1 != 0 => {
                events.push(Event::Reset { by: "rk806 power off" });
                return;
            }
            _ => return,
        };
        events.push(Event::Voltage { regulator: format!("rk806.{output}"), microvolts });
    }
}

impl Default for Rk806 {
    fn default() -> Self {
        Self::new()
    }
}

/// 0x00 to 0x9f: 0.5 V in steps of 6.25 mV; 0xa0 to 0xeb: 1.5 V in steps of 25 mV; then 3.4 V.
fn buck_microvolts(code: u8) -> u32 {
    match u32::from(code) {
        code @ 0..=0x9f => 500_000 + code * 6_250,
        code @ 0xa0..=0xeb => 1_500_000 + (code - 0xa0) * 25_000,
        _ => 3_400_000,
    }
}

/// 0x00 to 0xe7: 0.5 V in steps of 12.5 mV; then 3.4 V.
fn ldo_microvolts(code: u8) -> u32 {
    match u32::from(code) {
        code @ 0..=0xe7 => 500_000 + code * 12_500,
        _ => 3_400_000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(chip: &mut Rk806, bytes: &[u8], events: &mut Events) -> Vec<u8> {
        let reply = bytes.iter().map(|b| chip.exchange(*b, events)).collect();
        chip.deselect();
        reply
    }

    #[test]
    fn a_voltage_is_written_recorded_and_read_back() {
        let (mut chip, mut events) = (Rk806::new(), Events::default());
        send(&mut chip, &[0x80, 0x1b, 0x00, 0x40], &mut events);
        assert_eq!(events.all(), [Event::Voltage { regulator: "rk806.dcdc2".into(), microvolts: 900_000 }]);
        assert_eq!(send(&mut chip, &[0x00, 0x1b, 0x00, 0x00], &mut events)[3], 0x40);
        assert_eq!(chip.buck_microvolts(2), Some(900_000));
        assert_eq!(chip.buck_microvolts(11), None);
    }

    #[test]
    fn a_message_may_carry_several_registers_and_the_name_cannot_be_written() {
        let (mut chip, mut events) = (Rk806::new(), Events::default());
        send(&mut chip, &[0x81, 0x5a, 0x00, 1, 2], &mut events);
        assert_eq!(send(&mut chip, &[0x01, 0x5a, 0x00, 0, 0], &mut events)[3..], [0x80, 0x61]);
    }
}
