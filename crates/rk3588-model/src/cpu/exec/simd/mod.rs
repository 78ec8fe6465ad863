// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Floating point and SIMD: traps, then one module for each kind of work.
//!
//! Lanes are taken out of the register, computed with in 64 or 128 bits, and put back. That is slow for SIMD, and
//! fast enough: little of what a boot executes is.

mod float;
mod integer;
mod lane;
mod memory;
mod permute;
mod scalar;
mod shift;
mod wide;

use super::super::core::{Core, Env};
use super::super::exception::Cause;
use super::super::float::flag;
use super::super::op::{Kind, Op};
use super::super::simd::{Immediate, Shape, State};
use super::super::sysreg::name;

/// `CPTR_ELx.TFP`.
const TFP: u64 = 1 << 10;

/// Which level's trap catches floating point and SIMD at the current level (DDI 0487, `CheckFPAdvSIMDEnabled64`).
fn trap(core: &Core) -> Option<u8> {
    let is_set = |register| core.sys.get(register) & TFP != 0;
    if core.el < 2 {
        // CPACR_EL1.FPEN: 0 and 2 trap both levels, 1 traps EL0.
        match core.sys.get(name::CPACR_EL1) >> 20 & 3 {
            3 => {}
            1 if core.el == 1 => {}
            _ => return Some(1),
        }
    }
    let has_hypervisor = core.sys.get(name::SCR_EL3) & 1 != 0;
    if core.el < 3 && has_hypervisor && is_set(name::CPTR_EL2) {
        return Some(2);
    }
    is_set(name::CPTR_EL3).then_some(3)
}

/// The exception where floating point and SIMD are trapped.
pub fn usable(core: &Core) -> Result<(), Cause> {
    trap(core).map_or(Ok(()), |level| Err(Cause::FloatTrap(level)))
}

/// Executes one of them.
#[inline(never)]
pub fn execute(core: &mut Core, env: &mut Env<'_>, op: &Op, index: usize) -> Result<(), Cause> {
    usable(core)?;
    match op.kind {
        Kind::VLoad | Kind::VStore => memory::one(core, env, op, index),
        Kind::VLoadPair | Kind::VStorePair => memory::pair(core, env, op, index),
        Kind::VStructure => memory::structure(core, env, op, index),
        _ => {
            compute(core, op);
            Ok(())
        }
    }
}

/// What needs no memory.
fn compute(core: &mut Core, op: &Op) {
    let file = &mut *core.simd;
    match op.kind {
        Kind::VThree => integer::three(file, op),
        Kind::VPair => integer::pair(file, op),
        Kind::VMisc => integer::misc(file, op),
        Kind::VAcross => integer::across(file, op),
        Kind::VFloat => float::two(file, op),
        Kind::VFloatPair => float::pair(file, op),
        Kind::VFloatMisc => float::misc(file, op),
        Kind::VWide => wide::different(file, op),
        Kind::VNarrow => wide::narrow(file, op),
        Kind::VShift => shift::same(file, op),
        Kind::VShiftNarrow => shift::narrow(file, op),
        Kind::VPermute => permute::execute(file, op),
        Kind::VImmediate => immediate(file, op),
        Kind::VCopy => permute::copy(core, op),
        _ => scalar::execute(core, op),
    }
}

impl State {
    /// A register.
    fn get(&self, register: u8) -> u128 {
        self.v[usize::from(register & 31)]
    }

    fn set(&mut self, register: u8, value: u128) {
        self.v[usize::from(register & 31)] = value;
    }

    /// The second operand: a register, or one of its elements in every lane.
    fn second(&self, op: &Op) -> u128 {
        let (value, shape) = (self.get(op.m), Shape(op.x));
        if shape.has(Shape::ELEMENT) {
            lane::fill(shape, lane::get(value, shape, op.a.into()))
        } else {
            value
        }
    }

    fn note_saturation(&mut self, saturated: bool) {
        if saturated {
            self.status |= flag::SATURATED;
        }
    }
}

/// MOVI, MVNI, ORR, BIC, FMOV of a constant.
fn immediate(file: &mut State, op: &Op) {
    let shape = Shape(op.x);
    let low = u128::from(op.imm);
    let all = if shape.has(Shape::Q) { low << 64 | low } else { low };
    let old = file.get(op.d);
    let value = match Immediate::of(op) {
        Immediate::Move => all,
        Immediate::Or => old | all,
        Immediate::Clear => old & !all,
    };
    file.set(op.d, lane::cut(shape, value));
}
