// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A board as the wire sees it, written from the protocol's description and without the crate that is under test:
//! MaskROM's control transfers with their CRC-16, then bulk commands (31 bytes, `USBC`), data, and status (13 bytes,
//! `USBS`). It can be told to misbehave.

use recover::wire::{Control, Link, Wire, WireError};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Half of the data.
    ShortData,
    /// The status comes in place of the data, and says that the command failed.
    StatusInsteadOfData,
    /// The status says that the command failed.
    Failed,
    /// The status is of another command.
    Tag,
    /// The status is none.
    Signature,
    /// Half of the status.
    ShortStatus,
    /// The status says that 512 bytes are missing.
    Residue,
    /// The endpoint is halted.
    Stall,
    /// Nothing comes.
    Silent,
    /// Somebody pulls the cable, with half of the data on the flash.
    Vanish,
    /// A bit of what is written turns.
    Flip,
    /// What is written is not.
    Lost,
}

pub const READ: u8 = 0x14;
pub const WRITE: u8 = 0x15;

/// State between transfers.
#[derive(Debug)]
pub(super) enum Phase {
    Command,
    Out { command: Command, length: usize },
    In { data: Vec<u8>, status: Vec<u8> },
    Status(Vec<u8>),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Command {
    tag: [u8; 4],
    length: usize,
    code: u8,
    opcode: u8,
    sector: usize,
    sectors: usize,
}

pub struct Board {
    pub flash: Vec<u8>,
    /// Which flash is chosen, as bit number.
    pub medium: u8,
    /// A usbplug that says yes and stays where it is.
    pub stays: bool,
    /// Everything behind this sector reads as 0xcc.
    pub hides_behind: Option<usize>,
    /// That is decided for so many sectors at a time: the loader's buffer.
    pub hides_each: usize,
    /// At the n-th command of this code, from 0.
    pub fault: Option<(Fault, u8, usize)>,
    /// Every reading of this sector gives something else.
    pub moody: Option<usize>,
    /// Programs that the boot ROM ran.
    pub ran: Vec<(u16, Vec<u8>)>,
    /// How many bytes it takes for SRAM.
    pub sram_bytes: usize,
    pub(super) partial: Vec<u8>,
    pub(super) maskrom: bool,
    pub(super) gone: bool,
    pub(super) counts: [usize; 256],
    pub(super) readings: u8,
    pub(super) phase: Phase,
}

impl Board {
    /// A usbplug with a flash, every sector with its number in it.
    pub fn with_flash(sectors: usize) -> Board {
        let flash = (0..sectors).flat_map(|s| (s as u32).to_le_bytes().repeat(128)).collect();
        Board {
            flash,
            medium: 1,
            stays: false,
            hides_behind: None,
            hides_each: 128,
            fault: None,
            moody: None,
            ran: vec![],
            sram_bytes: 1 << 20,
            partial: vec![],
            maskrom: false,
            gone: false,
            counts: [0; 256],
            readings: 0,
            phase: Phase::Command,
        }
    }

    /// A board that waits for a loader.
    pub fn in_maskrom() -> Board {
        Board { maskrom: true, ..Board::with_flash(0) }
    }

    pub fn device(self) -> recover::Device<Board> {
        recover::Device::new(Link(self))
    }

    fn command(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        assert_eq!((bytes.len(), &bytes[..4]), (31, &b"USBC"[..]), "a command");
        let be = |at: usize, n: usize| bytes[at..at + n].iter().fold(0, |v, b| v << 8 | usize::from(*b));
        let command = Command {
            tag: [bytes[4], bytes[5], bytes[6], bytes[7]],
            length: u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize,
            code: bytes[15],
            opcode: bytes[16],
            sector: be(17, 4),
            sectors: be(22, 2),
        };
        let is_in = bytes[12] == 0x80;
        let fault = self.due(command.code);
        match fault {
            Some(Fault::Stall) => return Err(WireError::Stall),
            Some(Fault::Silent) => return Err(WireError::Silent(20)),
            Some(Fault::Vanish) if is_in => {
                self.gone = true;
                return Err(WireError::Gone);
            }
            _ => {}
        }
        self.phase = if is_in {
            let mut data = self.answer(command);
            assert_eq!(data.len(), command.length, "what the command asks for");
            let status = status(command, fault);
            match fault {
                Some(Fault::ShortData) => data.truncate(data.len() / 2),
                Some(Fault::StatusInsteadOfData) => data.clone_from(&status),
                _ => {}
            }
            match fault {
                Some(Fault::StatusInsteadOfData) => Phase::Status(status),
                _ => Phase::In { data, status },
            }
        } else if command.length > 0 {
            Phase::Out { command, length: command.length }
        } else {
            if command.code == 0x2a && !self.stays {
                self.medium = command.opcode;
            }
            Phase::Status(status(command, fault))
        };
        Ok(())
    }

    /// The fault of this command, if it is its turn.
    fn due(&mut self, code: u8) -> Option<Fault> {
        let n = self.counts[usize::from(code)];
        self.counts[usize::from(code)] += 1;
        self.fault.filter(|(_, c, at)| (*c, *at) == (code, n)).map(|(fault, ..)| fault)
    }

    fn answer(&mut self, command: Command) -> Vec<u8> {
        match command.code {
            0x01 => b"EMMC ".to_vec(),
            0x1a => [&((self.flash.len() / 512) as u32).to_le_bytes()[..], &[0, 4, 4, 0, 0, 0, 1]].concat(),
            0x1b => [&b"8853"[..], &[0; 12]].concat(),
            0x2b => (1_u32 << self.medium).to_le_bytes().to_vec(),
            0xaa => vec![0x01 | 0x04 | 0x08, 0x02, 0, 0, 0, 0, 0, 0],
            READ => self.sectors(command.sector, command.sectors),
            other => panic!("command {other:#x}"),
        }
    }

    fn sectors(&mut self, first: usize, count: usize) -> Vec<u8> {
        let mut data = self.flash[first * 512..][..count * 512].to_vec();
        for (i, part) in data.chunks_mut(self.hides_each * 512).enumerate() {
            let end = first + i * self.hides_each + part.len() / 512;
            if self.hides_behind.is_some_and(|limit| end > limit) {
                part.fill(0xcc);
            }
        }
        if let Some(moody) = self.moody.filter(|s| (first..first + count).contains(s)) {
            self.readings += 1;
            data[(moody - first) * 512] = self.readings;
        }
        data
    }

    fn store(&mut self, command: Command, bytes: &[u8]) -> Result<(), WireError> {
        assert_eq!(command.code, WRITE);
        assert_eq!(bytes.len(), command.sectors * 512);
        let fault = self.fault.filter(|(_, _, n)| *n + 1 == self.counts[usize::from(WRITE)]).map(|f| f.0);
        let place = &mut self.flash[command.sector * 512..][..bytes.len()];
        match fault {
            Some(Fault::Lost) => {}
            Some(Fault::Vanish) => {
                place[..bytes.len() / 2].copy_from_slice(&bytes[..bytes.len() / 2]);
                self.gone = true;
                return Err(WireError::Gone);
            }
            _ => place.copy_from_slice(bytes),
        }
        if fault == Some(Fault::Flip) {
            place[bytes.len() - 1] ^= 0x10;
        }
        self.phase = Phase::Status(status(command, fault));
        Ok(())
    }
}

fn status(command: Command, fault: Option<Fault>) -> Vec<u8> {
    let mut status = [b"USBS".as_slice(), &command.tag, &[0; 5]].concat();
    match fault {
        Some(Fault::Failed | Fault::StatusInsteadOfData) => status[12] = 1,
        Some(Fault::Tag) => status[4] ^= 1,
        Some(Fault::Signature) => status[0] = b'X',
        Some(Fault::ShortStatus) => status.truncate(7),
        Some(Fault::Residue) => status[8..12].copy_from_slice(&512_u32.to_le_bytes()),
        _ => {}
    }
    status
}

impl Wire for Board {
    fn send(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        assert!(!self.maskrom, "the boot ROM has no bulk commands");
        if self.gone {
            return Err(WireError::Gone);
        }
        match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::Command => self.command(bytes),
            Phase::Out { command, length } => {
                assert_eq!(bytes.len(), length);
                self.store(command, bytes)
            }
            other => panic!("bytes in phase {other:?}"),
        }
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<usize, WireError> {
        if self.gone {
            return Err(WireError::Gone);
        }
        let bytes = match std::mem::replace(&mut self.phase, Phase::Command) {
            Phase::In { data, status } => {
                self.phase = Phase::Status(status);
                data
            }
            Phase::Status(status) => status,
            other => panic!("nothing to receive in phase {other:?}"),
        };
        into[..bytes.len()].copy_from_slice(&bytes);
        Ok(bytes.len())
    }

    /// The boot ROM: blocks of 4096 bytes, the first shorter one ends the program; its last two bytes are the CRC.
    fn control(&mut self, control: Control<'_>) -> Result<(), WireError> {
        assert_eq!((control.request_type, control.request, control.value), (0x40, 0x0c, 0));
        if !self.maskrom {
            return Err(WireError::Stall);
        }
        assert!(control.data.len() <= 4096, "what the boot ROM takes at once");
        self.partial.extend(control.data);
        let limit = if control.index == 0x471 { self.sram_bytes } else { usize::MAX };
        if self.partial.len() > limit {
            return Err(WireError::Stall);
        }
        if control.data.len() == 4096 {
            return Ok(());
        }
        let mut program = std::mem::take(&mut self.partial);
        // The transfer that only ends a program of whole blocks has one byte of its own.
        if control.data.len() == 1 && program.len() > 1 {
            program.pop();
        }
        let crc = program.split_off(program.len() - 2);
        if crc != crc16(&program).to_be_bytes() {
            return Err(WireError::Stall);
        }
        match (control.index, self.ran.last()) {
            (0x471, _) => {}
            // Into DRAM that works only after something ran in SRAM.
            (0x472, Some(_)) => self.maskrom = false,
            _ => {
                self.gone = true;
                return Err(WireError::Gone);
            }
        }
        self.ran.push((control.index, program));
        Ok(())
    }
}

/// CRC-16 with polynomial 0x1021 and start 0xffff, bit by bit.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(
            crc ^ u16::from(*byte) << 8,
            |crc: u16, _| {
                if crc >> 15 == 1 { crc << 1 ^ 0x1021 } else { crc << 1 }
            },
        )
    })
}

#[test]
fn the_models_crc_is_that_of_the_catalogue() {
    // CRC-16/IBM-3740, check value of `123456789`.
    assert_eq!(crc16(b"123456789"), 0x29b1);
}
