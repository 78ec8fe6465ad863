// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Records of the firmware calls that carry clock rates: SCMI through shared memory and an SMC.
//!
//! The secure firmware of the image answers them itself; this only reads along. Layout of the mailbox after the
//! SCMI specification's shared memory transport: length at 0x14, header at 0x18, payload at 0x1c.

use crate::bus::Width;
use crate::events::{Event, Events};
use crate::ram::Ram;

/// Function number of the call (`arm,smc-id` of `rk3588-base.dtsi`).
const SMC_ID: u64 = 0x8200_0010;
/// Shared memory (`scmi_shmem` of `rk3588-base.dtsi`, TF-A `SCMI_SHARE_MEM_BASE`).
const MAILBOX: u64 = 0x10_f000;
const LENGTH: u64 = 0x14;
const HEADER: u64 = 0x18;
const PAYLOAD: u64 = 0x1c;
/// Payload words that are kept.
const WORDS_LIMIT: u32 = 16;

/// The call that is being answered.
#[derive(Debug, Default)]
pub struct Scmi {
    open: Option<(u32, Vec<u32>)>,
}

fn word(ram: &Ram, offset: u64) -> u32 {
    ram.read(MAILBOX + offset, Width::Word).unwrap_or(0) as u32
}

fn payload(ram: &Ram) -> Vec<u32> {
    // The length counts the header word too.
    let words = (word(ram, LENGTH) / 4).saturating_sub(1).min(WORDS_LIMIT);
    (0..words).map(|n| word(ram, PAYLOAD + 4 * u64::from(n))).collect()
}

impl Scmi {
    /// An SMC goes up with this function number in its first register.
    pub fn called(&mut self, function: u64, ram: &Ram) {
        self.open = (function & 0xffff_ffff == SMC_ID).then(|| (word(ram, HEADER), payload(ram)));
    }

    /// The secure firmware returns.
    pub fn returned(&mut self, ram: &Ram, events: &mut Events) {
        if let Some((header, request)) = self.open.take() {
            let (message, protocol) = (header as u8, (header >> 10) as u8);
            events.push(Event::Scmi { protocol, message, request, response: payload(ram) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_request_is_recorded_with_its_answer() {
        let mut ram = Ram::new(&[0..0x20_0000, 0xff00_0000..0xff10_0000], 1 << 20);
        // CLOCK_RATE_SET of clock 9 to 400 kHz: flags, id, low and high word.
        let words: [u32; 6] = [20, 0x14 << 10 | 7, 0, 9, 400_000, 0];
        let bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
        ram.write_bytes(MAILBOX + LENGTH, &bytes).unwrap();
        let (mut scmi, mut events) = (Scmi::default(), Events::default());
        scmi.called(SMC_ID, &ram);
        ram.write(MAILBOX + LENGTH, Width::Word, 8).unwrap();
        ram.write(MAILBOX + PAYLOAD, Width::Word, 0).unwrap();
        scmi.returned(&ram, &mut events);
        let event =
            Event::Scmi { protocol: 0x14, message: 7, request: vec![0, 9, 400_000, 0], response: vec![0] };
        assert_eq!(events.all(), [event]);
        // Another function is none of this.
        scmi.called(0x8400_0000, &ram);
        scmi.returned(&ram, &mut events);
        assert_eq!(events.all().len(), 1);
    }
}
