// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Loads and stores of V registers. 16 bytes are two accesses of 8.

use super::lane;
use crate::cpu::core::{Core, Env, Fault};
use crate::cpu::exception::Cause;
use crate::cpu::exec::alu;
use crate::cpu::op::{Kind, Op};
use crate::cpu::simd::{Shape, Structure, place};

fn aborted(_: Fault) -> Cause {
    Cause::DataAbort
}

fn load(core: &mut Core, env: &mut Env<'_>, address: u64, log2: u8, index: usize) -> Result<u128, Cause> {
    if log2 < 4 {
        return core.load_sized(env, address, 1 << log2, index).map(u128::from).map_err(aborted);
    }
    let low = core.load::<8>(env, address, index).map_err(aborted)?;
    let high = core.load::<8>(env, address.wrapping_add(8), index).map_err(aborted)?;
    Ok(u128::from(high) << 64 | u128::from(low))
}

fn store(
    core: &mut Core,
    env: &mut Env<'_>,
    address: u64,
    log2: u8,
    value: u128,
    index: usize,
) -> Result<(), Cause> {
    if log2 < 4 {
        return core.store_sized(env, address, 1 << log2, value as u64, index).map_err(aborted);
    }
    core.store::<8>(env, address, value as u64, index).map_err(aborted)?;
    core.store::<8>(env, address.wrapping_add(8), (value >> 64) as u64, index).map_err(aborted)
}

/// Address, and the base afterwards if it moves.
fn addresses(core: &Core, op: &Op) -> (u64, Option<u64>) {
    let base = core.r[usize::from(op.n & 63)];
    let moved = base.wrapping_add(op.imm);
    match op.y {
        place::PRE => (moved, Some(moved)),
        place::POST => (base, Some(moved)),
        place::INDEX => {
            let index = core.r[usize::from(op.m & 63)];
            (base.wrapping_add(alu::extend(index, op.imm as u8, op.a)), None)
        }
        place::LITERAL => ((core.pc & !0xfff).wrapping_add(op.imm), None),
        _ => (moved, None),
    }
}

fn write_back(core: &mut Core, op: &Op, moved: Option<u64>) {
    if let Some(moved) = moved {
        core.r[usize::from(op.n & 63)] = moved;
    }
}

/// LDR, LDUR, STR, STUR.
pub fn one(core: &mut Core, env: &mut Env<'_>, op: &Op, index: usize) -> Result<(), Cause> {
    let (address, moved) = addresses(core, op);
    if op.kind == Kind::VLoad {
        let value = load(core, env, address, op.x, index)?;
        core.simd.set(op.d, value);
    } else {
        store(core, env, address, op.x, core.simd.get(op.d), index)?;
    }
    write_back(core, op, moved);
    Ok(())
}

/// LDP, STP.
pub fn pair(core: &mut Core, env: &mut Env<'_>, op: &Op, index: usize) -> Result<(), Cause> {
    let (address, moved) = addresses(core, op);
    let behind = address.wrapping_add(1 << op.x);
    if op.kind == Kind::VLoadPair {
        let first = load(core, env, address, op.x, index)?;
        let second = load(core, env, behind, op.x, index)?;
        core.simd.set(op.d, first);
        core.simd.set(op.a, second);
    } else {
        store(core, env, address, op.x, core.simd.get(op.d), index)?;
        store(core, env, behind, op.x, core.simd.get(op.a), index)?;
    }
    write_back(core, op, moved);
    Ok(())
}

/// LD1 to LD4, ST1 to ST4. Registers loaded before a fault keep what was loaded: the instruction starts again.
pub fn structure(core: &mut Core, env: &mut Env<'_>, op: &Op, index: usize) -> Result<(), Cause> {
    let shape = Shape(op.x);
    let (registers, repeats, moves) = ((op.imm & 15) as u8, (op.imm >> 4 & 15) as u8, op.imm >> 8 != 0);
    let base = core.r[usize::from(op.n & 63)];
    let which = Structure::of(op);
    let bytes = 1_u64 << shape.log2();
    let mut address = base;
    let (first, behind) = match which {
        Structure::LoadMultiple | Structure::StoreMultiple => (0, shape.lanes()),
        _ => (u32::from(op.a), u32::from(op.a) + 1),
    };
    for repeat in 0..repeats {
        for element in first..behind {
            for register in 0..registers {
                let register = op.d.wrapping_add(repeat + register) & 31;
                let old = core.simd.get(register);
                if matches!(which, Structure::StoreMultiple | Structure::StoreSingle) {
                    let value = lane::get(old, shape, element);
                    core.store_sized(env, address, bytes, value, index).map_err(aborted)?;
                } else {
                    let value = core.load_sized(env, address, bytes, index).map_err(aborted)?;
                    let new = match which {
                        Structure::LoadReplicate => lane::each(shape, |_| value),
                        Structure::LoadMultiple => lane::cut(shape, lane::put(old, shape, element, value)),
                        _ => lane::put(old, shape, element, value),
                    };
                    core.simd.set(register, new);
                }
                address = address.wrapping_add(bytes);
            }
        }
    }
    if moves {
        // Register 31 stands for the bytes that were moved.
        let step = if op.m == 31 { address.wrapping_sub(base) } else { core.r[usize::from(op.m & 63)] };
        core.r[usize::from(op.n & 63)] = base.wrapping_add(step);
    }
    Ok(())
}
