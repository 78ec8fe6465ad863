// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What happened on the board, in order: voltages, rates, firmware calls, card commands.
//!
//! The list is bounded; what does not fit is counted. Console text is not in here, see `console`.

/// One thing worth asserting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A regulator was programmed.
    Voltage {
        /// Chip and output, such as `rk806.dcdc2` or `rk860x@0-42.vsel0` (bus and address).
        regulator: String,
        /// New output in microvolts.
        microvolts: u32,
    },
    /// Software asked a regulator what it is set to.
    VoltageRead {
        /// As for [`Event::Voltage`].
        regulator: String,
        /// The answer in microvolts.
        microvolts: u32,
    },
    /// A call of SCMI reached the secure firmware, with the answer when it has come back.
    Scmi {
        /// Protocol, 0x10 base, 0x14 clock, 0x16 reset.
        protocol: u8,
        /// Message number.
        message: u8,
        /// Payload words of the request.
        request: Vec<u32>,
        /// Status word and payload of the answer.
        response: Vec<u32>,
    },
    /// A PLL or the mux of a CPU clock was written.
    CpuClock {
        /// `cpul`, `cpub01` or `cpub23`.
        cluster: &'static str,
        /// What the registers now select.
        source: ClockSource,
    },
    /// Random numbers were drawn.
    RandomRead,
    /// A write went to a medium; the disk itself stays as it was.
    MediumWrite {
        /// `sd`, `emmc` or `spi`.
        medium: &'static str,
        /// First sector of 512 bytes.
        lba: u64,
        /// Number of sectors.
        sectors: u64,
    },
    /// A switch of power or reset was asked for.
    Reset {
        /// What asked.
        by: &'static str,
    },
}

/// Where a CPU clock comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockSource {
    /// The 24 MHz crystal.
    Oscillator,
    /// GPLL through a divider.
    Gpll,
    /// The cluster's own PLL, with its rate in Hz.
    Pll(u64),
    /// The ring oscillator; its frequency depends on voltage and silicon, so only its length is known.
    Ring(u32),
}

/// Records in order, bounded.
#[derive(Debug, Default)]
pub struct Events {
    list: Vec<Event>,
    dropped: u64,
}

/// Records kept; a run to the kernel has a few hundred.
const LIMIT: usize = 65_536;

impl Events {
    /// Adds one.
    pub fn push(&mut self, event: Event) {
        if self.list.len() < LIMIT {
            self.list.push(event);
        } else {
            self.dropped += 1;
        }
    }

    /// All that were kept, oldest first.
    pub fn all(&self) -> &[Event] {
        &self.list
    }

    /// Number of records that were not kept.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
