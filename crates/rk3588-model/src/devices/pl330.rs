// SPDX-License-Identifier: Apache-2.0 OR MIT
//! DMA controllers (PL330): they say what they are and run no program.
//!
//! Configuration and identification registers after the CoreLink DMA-330 manual and Linux `pl330.c`.

use super::{Cx, Device, Read, Write};

/// `CR0`: 8 channels, 32 peripheral requests, 16 events, microcode in non-secure state.
const CR0: u32 = 0xe00;
const CR0_VALUE: u32 = 1 | 7 << 4 | 31 << 12 | 15 << 17;
/// `CRD`: 64-bit bus, queues of 8, 128 lines of buffer.
const CRD: u32 = 0xe14;
const CRD_VALUE: u32 = 3 | 7 << 4 | 7 << 8 | 7 << 12 | 7 << 16 | 127 << 20;
/// Peripheral and component identification of a PL330 r1p2.
const IDS: [u32; 8] = [0x30, 0x13, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1];
const ID0: u32 = 0xfe0;

/// One controller.
#[derive(Debug)]
pub struct Pl330;

impl Device for Pl330 {
    fn read32(&mut self, offset: u32, _cx: &mut Cx<'_>) -> Read {
        // The block repeats every 4 KiB; drivers read the identification at its end.
        match offset & 0xfff {
            CR0 => Read::Value(CR0_VALUE),
            CRD => Read::Value(CRD_VALUE),
            ID0..0x1000 => Read::Value(IDS[((offset & 0xfff) - ID0) as usize / 4]),
            // Status of manager and channels: stopped.
            _ => Read::Value(0),
        }
    }

    fn write32(&mut self, _offset: u32, _value: u32, _cx: &mut Cx<'_>) -> Write {
        Write::Done
    }
}
