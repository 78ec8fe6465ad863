// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Loads and stores: the short way through the TLB, the long way through translation to memory or device.

use crate::bus::Width;
use crate::cpu::core::{Abort, Core, Env, Fault};
use crate::cpu::mmu::{self, Want, sctlr, status};
use crate::cpu::sysreg::banked;
use crate::ram::{PAGE_BYTES, RamError};

/// The width of an access of 1, 2, 4 or 8 bytes.
pub const fn width(bytes: u64) -> Width {
    match bytes {
        1 => Width::Byte,
        2 => Width::Half,
        4 => Width::Word,
        _ => Width::Double,
    }
}

impl Core {
    /// Reads `N` bytes, zero-extended, for the instruction `index` of the block.
    #[inline(always)]
    pub fn load<const N: usize>(
        &mut self,
        env: &mut Env<'_>,
        address: u64,
        index: usize,
    ) -> Result<u64, Fault> {
        if let Some(at) = self.tlb.read(address, N as u64)
            && let Some(bytes) = env.ram.arena().get(at..at + N)
        {
            let mut value = [0; 8];
            value[..N].copy_from_slice(bytes);
            return Ok(u64::from_le_bytes(value));
        }
        self.load_long(env, address, N as u64, index)
    }

    /// Writes the low `N` bytes.
    #[inline(always)]
    pub fn store<const N: usize>(
        &mut self,
        env: &mut Env<'_>,
        address: u64,
        value: u64,
        index: usize,
    ) -> Result<(), Fault> {
        if let Some(at) = self.tlb.write(address, N as u64)
            && let Some(bytes) = env.ram.arena_mut().get_mut(at..at + N)
        {
            bytes.copy_from_slice(&value.to_le_bytes()[..N]);
            return Ok(());
        }
        self.store_long(env, address, N as u64, value, index)
    }

    /// Reads by a size known at run time.
    pub fn load_sized(
        &mut self,
        env: &mut Env<'_>,
        address: u64,
        bytes: u64,
        index: usize,
    ) -> Result<u64, Fault> {
        match bytes {
            1 => self.load::<1>(env, address, index),
            2 => self.load::<2>(env, address, index),
            4 => self.load::<4>(env, address, index),
            _ => self.load::<8>(env, address, index),
        }
    }

    /// Writes by a size known at run time.
    pub fn store_sized(
        &mut self,
        env: &mut Env<'_>,
        address: u64,
        bytes: u64,
        value: u64,
        index: usize,
    ) -> Result<(), Fault> {
        match bytes {
            1 => self.store::<1>(env, address, value, index),
            2 => self.store::<2>(env, address, value, index),
            4 => self.store::<4>(env, address, value, index),
            _ => self.store::<8>(env, address, value, index),
        }
    }

    fn fail(&mut self, address: u64, status: u32, write: bool) -> Fault {
        self.abort = Abort { address, status, write };
        Fault
    }

    /// Translates for the current level.
    fn place(&mut self, env: &Env<'_>, address: u64, bytes: u64, want: Want) -> Result<(u64, bool), Fault> {
        let place = mmu::translate(self, env, address, want, self.el).map_err(|abort| {
            self.abort = abort;
            Fault
        })?;
        let strict = place.device || self.sys.get(banked::sctlr(self.el)) & sctlr::A != 0;
        if strict && address & (bytes - 1) != 0 {
            return Err(self.fail(address, status::ALIGNMENT, want == Want::Write));
        }
        Ok((place.address, strict))
    }

    /// Whether the access is on two pages, and then the bytes on the first.
    fn split(address: u64, bytes: u64) -> Option<u64> {
        let first = PAGE_BYTES - address % PAGE_BYTES;
        (first < bytes).then_some(first)
    }

    #[cold]
    #[inline(never)]
    fn load_long(&mut self, env: &mut Env<'_>, address: u64, bytes: u64, index: usize) -> Result<u64, Fault> {
        if Self::split(address, bytes).is_some() {
            // Alignment is asked for the whole access, then each page for its own bytes.
            self.place(env, address, bytes, Want::Read)?;
            let mut value = 0;
            for at in 0..bytes {
                let byte = self.load_long(env, address.wrapping_add(at), 1, index)?;
                value |= byte << (8 * at);
            }
            return Ok(value);
        }
        let (physical, strict) = self.place(env, address, bytes, Want::Read)?;
        if let Ok(value) = env.ram.read(physical, width(bytes)) {
            if let Some(slot) = env.ram.slot(physical) {
                self.tlb.insert(false, address, slot, strict);
            }
            return Ok(value);
        }
        if physical & (bytes - 1) != 0 {
            return Err(self.fail(address, status::ALIGNMENT, false));
        }
        let mut access = self.access(env.ram, index);
        let answer = env.mmio.read(&mut access, physical, width(bytes));
        env.stop |= access.stop;
        self.check_at = 0;
        answer
            .map(|value| value & width(bytes).mask())
            .map_err(|_| self.fail(address, status::EXTERNAL, false))
    }

    #[cold]
    #[inline(never)]
    fn store_long(
        &mut self,
        env: &mut Env<'_>,
        address: u64,
        bytes: u64,
        value: u64,
        index: usize,
    ) -> Result<(), Fault> {
        if let Some(first) = Self::split(address, bytes) {
            // Nothing is written unless both pages take it.
            self.place(env, address, bytes, Want::Write)?;
            self.place(env, address.wrapping_add(first), 1, Want::Write)?;
            for at in 0..bytes {
                self.store_long(env, address.wrapping_add(at), 1, value >> (8 * at) & 0xff, index)?;
            }
            return Ok(());
        }
        let (physical, strict) = self.place(env, address, bytes, Want::Write)?;
        match env.ram.write(physical, width(bytes), value) {
            Ok(()) => {
                match env.ram.slot(physical) {
                    Some(slot) if !env.ram.has_code(slot) => self.tlb.insert(true, address, slot, strict),
                    _ => {}
                }
                if env.ram.is_stale() {
                    self.check_at = 0;
                }
                return Ok(());
            }
            Err(RamError::Limit(_)) => {
                env.memory_limit = true;
                self.check_at = 0;
                return Err(self.fail(address, status::EXTERNAL, true));
            }
            Err(RamError::Outside(_)) => {}
        }
        if physical & (bytes - 1) != 0 {
            return Err(self.fail(address, status::ALIGNMENT, true));
        }
        let mut access = self.access(env.ram, index);
        let answer = env.mmio.write(&mut access, physical, width(bytes), value & width(bytes).mask());
        env.stop |= access.stop;
        self.clock.note_write();
        self.check_at = 0;
        answer.map_err(|_| self.fail(address, status::EXTERNAL, true))
    }

    /// The physical address of an exclusive or atomic access, which must be aligned.
    pub fn exclusive(&mut self, env: &Env<'_>, address: u64, bytes: u64, want: Want) -> Result<u64, Fault> {
        if address & (bytes - 1) != 0 {
            return Err(self.fail(address, status::ALIGNMENT, want == Want::Write));
        }
        Ok(self.place(env, address, bytes.min(8), want)?.0)
    }

    /// A load or store as EL0 would do it, from EL1; at other levels an ordinary one.
    pub fn unprivileged<T>(
        &mut self,
        env: &mut Env<'_>,
        access: impl FnOnce(&mut Self, &mut Env<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.el != 1 {
            return access(self, env);
        }
        // Translation asks for the level; the banked registers stay.
        self.el = 0;
        self.tlb.select(0);
        let result = access(self, env);
        self.el = 1;
        self.tlb.select(1);
        result
    }
}
