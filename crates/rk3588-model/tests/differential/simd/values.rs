// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the V registers hold at the start of a sequence.

use super::one;
use crate::random::Random;

/// Single-precision numbers at every border.
#[rustfmt::skip]
const SINGLES: [u32; 28] = [
    0, 1, 0x7f_ffff, 0x80_0000, 0x80_0001, 0x7f7f_ffff, 0x7f80_0000, 0x7fc0_0000, 0x7f80_0001, 0x7fff_ffff,
    0x3f80_0000, 0x3f80_0001, 0x3f7f_ffff, 0x3f00_0000, 0x4000_0000, 0x4020_0000, 0x4b00_0001, 0x4f00_0000,
    0x4f80_0000, 0x5f00_0000, 0x3300_0000, 0x0040_0000, 0x477f_e000, 0x3380_0000, 0x7f20_0000, 0x7ea0_0000,
    0x0020_0001, 0x7f50_0000,
];

fn single(random: &mut Random) -> u32 {
    let sign = random.bit() << 31;
    match random.below(3) {
        0 => one(random, &SINGLES) | sign,
        // Near one, so that sums meet.
        1 => sign | (0x78 + random.below(16)) << 23 | random.below(1 << 23),
        _ => (random.next() >> 32) as u32,
    }
}

fn double(random: &mut Random) -> u64 {
    let sign = u64::from(random.bit()) << 63;
    match random.below(4) {
        0 => f64::from(f32::from_bits(one(random, &SINGLES))).to_bits() | sign,
        1 => {
            one(
                random,
                &[
                    1,
                    0xf_ffff_ffff_ffff,
                    1 << 52,
                    0x7fef_ffff_ffff_ffff,
                    0x7ff0_0000_0000_0001,
                    0x7ff8 << 48,
                    0x43e0 << 48,
                    0x43f0 << 48,
                    0x41e0 << 48,
                    0x3810 << 48,
                    0x3800 << 48,
                    0x47ef_ffff_f000_0000,
                ],
            ) | sign
        }
        2 => sign | u64::from(0x3f8 + random.below(16)) << 52 | random.next() >> 12,
        _ => random.next(),
    }
}

/// Half of a V register at the start of a sequence.
pub fn half_register(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => random.value(),
        1 => u64::from(single(random)) << 32 | u64::from(single(random)),
        2 => double(random),
        // Four half-precision numbers, of which some are infinite, NaN or denormal.
        _ => {
            let value = random.next();
            one(random, &[value, value | 0x7c00_7c00, value & !0x7c00_7c00, value & 0x8000_fc00_8000_fc00])
        }
    }
}
