// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The DesignWare 8250 UARTs, `rockchip,rk3588-uart`: registers four bytes apart, byte wide.
//!
//! Names and bits after the public 16550 programming model and Linux's `8250_dw.c`. Text leaves at once and
//! without a baud rate: a wrong divisor is not seen here.

use std::collections::VecDeque;

use super::{Cx, Device, Read, Write};
use crate::behaviour::Behaviour;

const RBR_THR_DLL: u32 = 0x00;
const IER_DLM: u32 = 0x04;
const IIR_FCR: u32 = 0x08;
const LCR: u32 = 0x0c;
const MCR: u32 = 0x10;
const LSR: u32 = 0x14;
const MSR: u32 = 0x18;
const SCR: u32 = 0x1c;
/// DesignWare's own: status, levels, software reset (`dw8250`, `DW_UART_USR` and neighbours).
const USR: u32 = 0x7c;
const TFL: u32 = 0x80;
const RFL: u32 = 0x84;
const SRR: u32 = 0x88;
const RS485_FIRST: u32 = 0xac;
const DLF: u32 = 0xc0;
const CPR: u32 = 0xf4;
const UCV: u32 = 0xf8;

const LCR_DLAB: u32 = 0x80;
/// Transmitter and its holding register empty (16550, bits 6 and 5).
const LSR_IDLE: u32 = 0x60;
const LSR_DATA: u32 = 0x01;
const MCR_LOOP: u32 = 0x10;
const IER_RECEIVE: u32 = 0x01;
const IER_TRANSMIT: u32 = 0x02;
const IIR_NONE: u32 = 0x01;
const IIR_TRANSMIT: u32 = 0x02;
const IIR_RECEIVE: u32 = 0x04;
/// FIFOs on, as the 16550A shows it in bits 7:6.
const IIR_FIFO: u32 = 0xc0;
/// Clear to send, data set ready, carrier: the handshake inputs of an open port.
const MSR_READY: u32 = 0xb0;
const USR_IDLE: u32 = 0x06;

/// Bytes of unread input that are kept; more is refused to the caller.
pub const INPUT_LIMIT: usize = 1 << 16;
/// Bytes of output that are kept until the machine takes them, at least once per slice of a run.
const OUTPUT_LIMIT: usize = 1 << 20;

/// One UART.
#[derive(Debug)]
pub struct Uart {
    spi: u32,
    line_control: u32,
    divisor: u32,
    interrupt_enable: u32,
    modem_control: u32,
    transmit_empty_pending: bool,
    input: VecDeque<u8>,
    output: Vec<u8>,
}

impl Uart {
    /// A UART whose interrupt is shared peripheral interrupt `spi`.
    pub fn new(spi: u32) -> Self {
        Self {
            spi,
            line_control: 0,
            divisor: 0,
            interrupt_enable: 0,
            modem_control: 0,
            transmit_empty_pending: false,
            input: VecDeque::new(),
            output: Vec::new(),
        }
    }

    /// Queues input; the number of bytes that found room.
    pub fn type_bytes(&mut self, bytes: &[u8]) -> usize {
        let room = INPUT_LIMIT - self.input.len();
        let len = bytes.len().min(room);
        self.input.extend(&bytes[..len]);
        len
    }

    /// Bytes of input that were not read yet.
    pub fn pending_input(&self) -> usize {
        self.input.len()
    }

    /// Takes what was printed since the last call.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// True when there is output to take.
    pub fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// The divisor that was programmed, 0 before.
    pub fn divisor(&self) -> u32 {
        self.divisor
    }

    fn cause(&self) -> u32 {
        if self.interrupt_enable & IER_RECEIVE != 0 && !self.input.is_empty() {
            IIR_RECEIVE
        } else if self.interrupt_enable & IER_TRANSMIT != 0 && self.transmit_empty_pending {
            IIR_TRANSMIT
        } else {
            IIR_NONE
        }
    }

    /// Puts the interrupt line where registers and input say.
    pub fn update_line(&mut self, lines: &mut super::Lines) {
        lines.set(self.spi, self.cause() != IIR_NONE);
    }

    /// Handshake inputs. In loop mode they are the outputs RTS, DTR, OUT1 and OUT2: Linux tells a 16550 from
    /// nothing by this (`autoconfig` of `8250_port.c`).
    fn modem_status(&self) -> u32 {
        if self.modem_control & MCR_LOOP == 0 {
            return MSR_READY;
        }
        let outputs = self.modem_control;
        (outputs >> 1 & 1) << 4 | (outputs & 1) << 5 | (outputs >> 2 & 1) << 6 | (outputs >> 3 & 1) << 7
    }

    fn divisor_latch(&self) -> bool {
        self.line_control & LCR_DLAB != 0
    }
}

impl Device for Uart {
    fn read32(&mut self, offset: u32, cx: &mut Cx<'_>) -> Read {
        let value = match offset {
            RBR_THR_DLL if self.divisor_latch() => self.divisor & 0xff,
            RBR_THR_DLL => self.input.pop_front().unwrap_or(0).into(),
            IER_DLM if self.divisor_latch() => self.divisor >> 8,
            IER_DLM => self.interrupt_enable,
            IIR_FCR => {
                let cause = self.cause();
                if cause == IIR_TRANSMIT {
                    self.transmit_empty_pending = false;
                }
                cause | IIR_FIFO
            }
            LCR => self.line_control,
            LSR => {
                let idle = if cx.has(Behaviour::UartReady) { LSR_IDLE } else { 0 };
                idle | if self.input.is_empty() { 0 } else { LSR_DATA }
            }
            MCR => self.modem_control,
            MSR => self.modem_status(),
            USR => USR_IDLE | if self.input.is_empty() { 0 } else { 0x08 },
            TFL => 0,
            RFL => self.input.len().min(64) as u32,
            // No parameters are encoded: drivers then use what the device tree says.
            CPR | UCV => 0,
            // RS485 control and the fraction of the divisor: not there, so drivers do without (`8250_dwlib.c`).
            RS485_FIRST..=DLF => 0,
            SCR | SRR => return Read::Plain,
            _ => return Read::Unknown,
        };
        self.update_line(cx.lines);
        Read::Value(value)
    }

    fn write32(&mut self, offset: u32, value: u32, cx: &mut Cx<'_>) -> Write {
        let byte = value & 0xff;
        match offset {
            RBR_THR_DLL if self.divisor_latch() => self.divisor = self.divisor & 0xff00 | byte,
            RBR_THR_DLL => {
                if self.output.len() < OUTPUT_LIMIT {
                    self.output.push(byte as u8);
                }
                self.transmit_empty_pending = true;
            }
            IER_DLM if self.divisor_latch() => self.divisor = self.divisor & 0xff | byte << 8,
            IER_DLM => {
                // Enabling the interrupt while the transmitter is empty raises it at once.
                if byte & IER_TRANSMIT != 0 && self.interrupt_enable & IER_TRANSMIT == 0 {
                    self.transmit_empty_pending = true;
                }
                self.interrupt_enable = byte & 0x0f;
            }
            // Bit 1 empties the receive FIFO. Typed-ahead text of a test must survive the reset that every
            // stage's driver does, so it stays.
            IIR_FCR => {}
            LCR => self.line_control = byte,
            MCR => self.modem_control = byte,
            SCR | SRR | LSR | MSR => return Write::Plain,
            0x20..=0xfc => return Write::Plain,
            _ => return Write::Unknown,
        }
        self.update_line(cx.lines);
        Write::Done
    }
}
