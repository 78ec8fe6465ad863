// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Address translation of stage 1: EL3, EL2 and EL1&0, granule of 4 KiB, addresses of up to 48 bits.
//!
//! DDI 0487 chapter D8. Stage 2, hardware updates of flags and other granules are not there, and the ID registers
//! say so.

use super::core::{Abort, Core, Env};
use super::sysreg::{banked, name};
use crate::bus::Width;

/// What an access wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction.
    Fetch,
}

/// Where an access goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Physical address.
    pub address: u64,
    /// Device memory: accesses must be aligned.
    pub device: bool,
}

/// Fault status codes without their level (DDI 0487, `ISS` encoding of data aborts).
pub mod status {
    pub const ADDRESS_SIZE: u32 = 0x00;
    pub const TRANSLATION: u32 = 0x04;
    pub const ACCESS_FLAG: u32 = 0x08;
    pub const PERMISSION: u32 = 0x0c;
    pub const EXTERNAL: u32 = 0x10;
    pub const EXTERNAL_ON_WALK: u32 = 0x14;
    pub const ALIGNMENT: u32 = 0x21;
}

/// `SCTLR_ELx` bits.
pub mod sctlr {
    pub const M: u64 = 1;
    pub const A: u64 = 1 << 1;
    pub const WXN: u64 = 1 << 19;
}

/// Physical addresses have 40 bits, as `ID_AA64MMFR0_EL1` says.
const PHYSICAL_BITS: u32 = 40;
/// The output address in a descriptor.
const OUTPUT: u64 = 0x0000_ffff_ffff_f000;

/// One half of a regime.
struct Half {
    table: u64,
    /// `64 - TnSZ`.
    bits: u32,
    top_byte_ignored: bool,
    /// Walks are disabled, or the granule is another one.
    off: bool,
}

/// The regime that controls accesses from `el`: EL0 is under that of EL1.
fn regime(el: u8) -> u8 {
    el.max(1)
}

/// Whether translation is on for `el`.
pub fn enabled(core: &Core, el: u8) -> bool {
    core.sys.get(banked::sctlr(regime(el))) & sctlr::M != 0
}

fn half(core: &Core, el: u8, upper: bool) -> Half {
    let get = |register| core.sys.get(register);
    match regime(el) {
        1 => {
            let tcr = get(name::TCR_EL1);
            let (table, size, disabled, granule, tbi) = if upper {
                (get(name::TTBR1_EL1), tcr >> 16 & 63, tcr >> 23 & 1, (tcr >> 30 & 3) != 2, tcr >> 38 & 1)
            } else {
                (get(name::TTBR0_EL1), tcr & 63, tcr >> 7 & 1, (tcr >> 14 & 3) != 0, tcr >> 37 & 1)
            };
            let off = disabled != 0 || granule;
            Half { table, bits: 64 - size as u32, top_byte_ignored: tbi != 0, off }
        }
        el => {
            let tcr = get(banked::tcr(el));
            let (bits, off) = (64 - (tcr & 63) as u32, upper || (tcr >> 14 & 3) != 0);
            Half { table: get(banked::ttbr0(el)), bits, top_byte_ignored: tcr >> 20 & 1 != 0, off }
        }
    }
}

/// Translates an address for an access from exception level `el`.
pub fn translate(core: &Core, env: &Env<'_>, address: u64, want: Want, el: u8) -> Result<Place, Abort> {
    if !enabled(core, el) {
        if address >> PHYSICAL_BITS != 0 {
            return Err(abort(address, want, status::ADDRESS_SIZE));
        }
        return Ok(Place { address, device: want != Want::Fetch });
    }
    let upper = regime(el) == 1 && address >> 55 & 1 != 0;
    let half = half(core, el, upper);
    let significant = if half.top_byte_ignored { ((address << 8) as i64 >> 8) as u64 } else { address };
    let expected = if upper { u64::MAX } else { 0 };
    if half.off || !(25..=48).contains(&half.bits) || (significant ^ expected) >> half.bits != 0 {
        return Err(abort(address, want, status::TRANSLATION));
    }
    walk(core, env, address, want, el, &half)
}

fn abort(address: u64, want: Want, status: u32) -> Abort {
    Abort { address, status, write: want == Want::Write }
}

/// The walk over up to four levels.
fn walk(core: &Core, env: &Env<'_>, address: u64, want: Want, el: u8, half: &Half) -> Result<Place, Abort> {
    let mut level = 4 - (half.bits - 12).div_ceil(9);
    // What the tables above allow: bits 63:59 of a table descriptor.
    let mut limits = 0;
    // The first table may have fewer than 512 entries, and is aligned to its size only. Bits above 47 are the ASID.
    let mut width = half.bits - (12 + 9 * (3 - level));
    let mut table = half.table & (OUTPUT | 0xfff) & !((8 << width) - 1);
    loop {
        let shift = 12 + 9 * (3 - level);
        let entry = table + (address >> shift & ((1 << width) - 1)) * 8;
        let Ok(descriptor) = env.ram.read(entry, Width::Double) else {
            return Err(abort(address, want, status::EXTERNAL_ON_WALK + level));
        };
        let is_table = descriptor & 3 == 3 && level < 3;
        if is_table {
            limits |= descriptor;
            table = descriptor & OUTPUT;
            (level, width) = (level + 1, 9);
            continue;
        }
        let is_leaf = if level == 3 { descriptor & 3 == 3 } else { descriptor & 3 == 1 && level > 0 };
        if !is_leaf {
            return Err(abort(address, want, status::TRANSLATION + level));
        }
        let inside = (1 << shift) - 1;
        let output = (descriptor & OUTPUT & !inside) | (address & inside);
        if output >> PHYSICAL_BITS != 0 {
            return Err(abort(address, want, status::ADDRESS_SIZE + level));
        }
        if descriptor >> 10 & 1 == 0 {
            return Err(abort(address, want, status::ACCESS_FLAG + level));
        }
        if !allowed(core, el, want, descriptor, limits) {
            return Err(abort(address, want, status::PERMISSION + level));
        }
        let attributes = core.sys.get(banked::mair(regime(el))) >> ((descriptor >> 2 & 7) * 8) & 0xff;
        return Ok(Place { address: output, device: attributes & 0xf0 == 0 && want != Want::Fetch });
    }
}

/// DDI 0487 D8.4: what the leaf and the tables above it allow.
fn allowed(core: &Core, el: u8, want: Want, leaf: u64, limits: u64) -> bool {
    let read_only = leaf >> 7 & 1 != 0 || limits >> 62 & 1 != 0;
    let written_is_data = !read_only && core.sys.get(banked::sctlr(regime(el))) & sctlr::WXN != 0;
    let never_execute = leaf >> 54 & 1 != 0 || limits >> 60 & 1 != 0;
    if regime(el) != 1 {
        return match want {
            Want::Read => true,
            Want::Write => !read_only,
            Want::Fetch => !(never_execute || written_is_data),
        };
    }
    let unprivileged = leaf >> 6 & 1 != 0 && limits >> 61 & 1 == 0;
    let privileged_never_execute = leaf >> 53 & 1 != 0 || limits >> 59 & 1 != 0;
    match (want, el) {
        (Want::Read, 0) => unprivileged,
        (Want::Read, _) => true,
        (Want::Write, 0) => unprivileged && !read_only,
        (Want::Write, _) => !read_only,
        (Want::Fetch, 0) => !(never_execute || (written_is_data && unprivileged)),
        // What EL0 may write, EL1 never executes.
        (Want::Fetch, _) => !(privileged_never_execute || written_is_data || (unprivileged && !read_only)),
    }
}
