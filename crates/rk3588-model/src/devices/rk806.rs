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
    /// As it comes out of its own start-up, with `cpu_microvolts` on DC-DC 2, the supply of the little cores.
    ///
    /// The other outputs have what the board's device tree asks for, as far as it does: a board whose PMIC came
    /// up otherwise would hardly reach the loader. The figures were not read from a board.
    pub fn new(cpu_microvolts: u32) -> Self {
        let mut registers = Box::new([0; REGISTERS]);
        let bucks = [750, cpu_microvolts / 1000, 750, 750, 850, 1100, 2000, 3300, 500, 1800]
            .map(|mv| buck_code(mv * 1000));
        registers[BUCK_ON_VSEL..BUCK_ON_VSEL + 10].copy_from_slice(&bucks);
        registers[NLDO_ON_VSEL..NLDO_ON_VSEL + 5].copy_from_slice(&[750, 850, 750, 850, 750].map(ldo_code));
        registers[PLDO_ON_VSEL..PLDO_ON_VSEL + 6]
            .copy_from_slice(&[1800, 1800, 1200, 3300, 3300, 1800].map(ldo_code));
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
                } else if let Some((regulator, microvolts)) = output(register, reply) {
                    events.push(Event::VoltageRead { regulator, microvolts });
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
        if register == SYS_CFG3 && value & 1 != 0 {
            events.push(Event::Reset { by: "rk806 power off" });
        }
        if let Some((regulator, microvolts)) = output(register, value) {
            events.push(Event::Voltage { regulator, microvolts });
        }
    }
}

/// The output that a register sets, and the voltage that a value means there.
fn output(register: usize, value: u8) -> Option<(String, u32)> {
    let (output, microvolts) = match register {
        BUCK_ON_VSEL..0x24 => (format!("dcdc{}", register - BUCK_ON_VSEL + 1), buck_microvolts(value)),
        NLDO_ON_VSEL..0x48 => (format!("nldo{}", register - NLDO_ON_VSEL + 1), ldo_microvolts(value)),
        PLDO_ON_VSEL..0x54 => (format!("pldo{}", register - PLDO_ON_VSEL + 1), ldo_microvolts(value)),
        _ => return None,
    };
    Some((format!("rk806.{output}"), microvolts))
}

/// 0x00 to 0x9f: 0.5 V in steps of 6.25 mV; 0xa0 to 0xeb: 1.5 V in steps of 25 mV; then 3.4 V.
fn buck_microvolts(code: u8) -> u32 {
    match u32::from(code) {
        code @ 0..=0x9f => 500_000 + code * 6_250,
        code @ 0xa0..=0xeb => 1_500_000 + (code - 0xa0) * 25_000,
        _ => 3_400_000,
    }
}

/// The code of a DC-DC converter for a voltage, rounded down.
fn buck_code(microvolts: u32) -> u8 {
    match microvolts {
        0..1_500_000 => (microvolts.saturating_sub(500_000) / 6_250) as u8,
        _ => 0xa0 + ((microvolts - 1_500_000) / 25_000).min(0x4c) as u8,
    }
}

/// The code of an LDO for a voltage in millivolts.
fn ldo_code(millivolts: u32) -> u8 {
    ((millivolts - 500) * 10 / 125) as u8
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
        let (mut chip, mut events) = (Rk806::new(750_000), Events::default());
        send(&mut chip, &[0x80, 0x1b, 0x00, 0x40], &mut events);
        assert_eq!(events.all(), [Event::Voltage { regulator: "rk806.dcdc2".into(), microvolts: 900_000 }]);
        assert_eq!(send(&mut chip, &[0x00, 0x1b, 0x00, 0x00], &mut events)[3], 0x40);
        let read = Event::VoltageRead { regulator: "rk806.dcdc2".into(), microvolts: 900_000 };
        assert_eq!(events.all().last(), Some(&read));
        assert_eq!(chip.buck_microvolts(2), Some(900_000));
        assert_eq!(chip.buck_microvolts(11), None);
    }

    #[test]
    fn a_message_may_carry_several_registers_and_the_name_cannot_be_written() {
        let (mut chip, mut events) = (Rk806::new(750_000), Events::default());
        send(&mut chip, &[0x81, 0x5a, 0x00, 1, 2], &mut events);
        assert_eq!(send(&mut chip, &[0x01, 0x5a, 0x00, 0, 0], &mut events)[3..], [0x80, 0x61]);
    }

    #[test]
    fn outputs_start_as_the_device_tree_wants_them() {
        let chip = Rk806::new(675_000);
        let volts = (1..=10).filter_map(|n| chip.buck_microvolts(n)).map(|uv| uv / 1000).collect::<Vec<_>>();
        assert_eq!(volts, [750, 675, 750, 750, 850, 1100, 2000, 3300, 500, 1800]);
        assert_eq!(
            [750, 850, 1200, 1800, 3300].map(|mv| ldo_microvolts(ldo_code(mv))),
            [750_000, 850_000, 1_200_000, 1_800_000, 3_300_000]
        );
    }
}
