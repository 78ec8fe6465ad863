// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The interpreter: executes the operations of one block.
//!
//! Semantics are those of DDI 0487 chapter C6; the decoder has resolved every choice that does not depend on
//! register values.

pub mod alu;
mod atomic;
mod memory;
pub mod simd;
mod system;

use super::core::{Core, Env, Fault, add32, add64, holds, nz32, nz64};
use super::exception::Cause;
use super::op::{Kind, Op, back};
use crate::bus::SysReg;

/// How a block ended early: which of its instructions, and why.
pub type Interrupted = (usize, Cause);

/// Executes `ops`, one for each instruction from [`Core::pc`] on, and leaves the next address there. Returns how many
/// of them are to be counted: a branch that is taken leaves in the middle, or goes on inside of the block, as far as
/// nothing is due ([`Core::check_at`]); then [`Core::instructions`] is what it would be if the block had been entered
/// straight towards the target.
pub fn block(core: &mut Core, env: &mut Env<'_>, ops: &[Op]) -> Result<usize, Interrupted> {
    let start = core.pc;
    let page = start & !0xfff;
    let mut next = start.wrapping_add(4 * ops.len() as u64);
    let mut index = 0;
    while let Some(mut op) = ops.get(index) {
        macro_rules! r {
            ($register:expr) => {
                core.r[($register & 63) as usize]
            };
        }
        // 64-bit and 32-bit sources, results in either width.
        macro_rules! n64 {
            () => {
                r!(op.n)
            };
        }
        macro_rules! m64 {
            () => {
                r!(op.m)
            };
        }
        macro_rules! n32 {
            () => {
                r!(op.n) as u32
            };
        }
        macro_rules! m32 {
            () => {
                r!(op.m) as u32
            };
        }
        macro_rules! set {
            ($value:expr) => {
                r!(op.d) = $value
            };
        }
        macro_rules! set32 {
            ($value:expr) => {
                r!(op.d) = u64::from($value)
            };
        }
        macro_rules! flags64 {
            ($a:expr, $b:expr, $carry:expr) => {{
                let (result, nzcv) = add64($a, $b, $carry);
                core.nzcv = nzcv;
                set!(result);
            }};
        }
        macro_rules! flags32 {
            ($a:expr, $b:expr, $carry:expr) => {{
                let (result, nzcv) = add32($a, $b, $carry);
                core.nzcv = nzcv;
                set32!(result);
            }};
        }
        // To an instruction by its number in the block, which may lie outside of it.
        macro_rules! go {
            ($target:expr, $executed:expr) => {{
                let (target, executed): (u64, usize) = ($target, $executed);
                let now = core.instructions + executed as u64;
                if target < ops.len() as u64 && now < core.check_at {
                    core.instructions = now.wrapping_sub(target);
                    index = target as usize;
                    continue;
                }
                core.pc = start.wrapping_add(target.wrapping_mul(4));
                return Ok(executed);
            }};
        }
        macro_rules! branch {
            ($taken:expr) => {
                if $taken {
                    go!((page.wrapping_add(op.imm).wrapping_sub(start) as i64 >> 2) as u64, index + 1);
                }
            };
        }
        // A comparison joined with the branch behind it.
        macro_rules! branch_behind {
            () => {
                index += 1;
                if holds(op.x, core.nzcv) {
                    go!((index as u64 + 1).wrapping_add(op.y as i16 as u64), index + 1);
                }
            };
        }
        // On to the second operation of a pair; the block has it.
        macro_rules! second {
            () => {
                index += 1;
                let Some(behind) = ops.get(index) else { break };
                op = behind;
            };
        }
        macro_rules! load {
            ($bytes:literal, $address:expr) => {
                match core.load::<$bytes>(env, $address, index) {
                    Ok(value) => value,
                    Err(Fault) => return Err((index, Cause::DataAbort)),
                }
            };
        }
        macro_rules! store {
            ($bytes:literal, $address:expr, $value:expr) => {
                match core.store::<$bytes>(env, $address, $value, index) {
                    Ok(()) => {}
                    Err(Fault) => return Err((index, Cause::DataAbort)),
                }
            };
        }
        macro_rules! long {
            ($result:expr) => {
                if let Err(cause) = $result {
                    return Err((index, cause));
                }
            };
        }
        macro_rules! at {
            () => {
                n64!().wrapping_add(op.imm)
            };
        }
        match op.kind {
            Kind::MovImm => set!(op.imm),
            Kind::PageRelative => set!(page.wrapping_add(op.imm)),
            Kind::MovK64 => set!(n64!() & !(0xffff << (op.a & 63)) | op.imm),
            Kind::MovK32 => set!(n64!() & 0xffff_ffff & !(0xffff << (op.a & 63)) | op.imm),
            Kind::AddImm64 => set!(at!()),
            Kind::AddImm32 => set32!(at!() as u32),
            Kind::AddsImm64 => flags64!(n64!(), op.imm, false),
            Kind::AddsImm32 => flags32!(n32!(), op.imm as u32, false),
            Kind::SubsImm64 => flags64!(n64!(), !op.imm, true),
            Kind::SubsImm32 => flags32!(n32!(), !op.imm as u32, true),
            Kind::AndImm => set!(n64!() & op.imm),
            Kind::OrrImm64 => set!(n64!() | op.imm),
            Kind::OrrImm32 => set32!(n32!() | op.imm as u32),
            Kind::EorImm64 => set!(n64!() ^ op.imm),
            Kind::EorImm32 => set32!(n32!() ^ op.imm as u32),
            Kind::AndsImm64 => {
                let result = n64!() & op.imm;
                core.nzcv = nz64(result);
                set!(result);
            }
            Kind::AndsImm32 => {
                let result = n32!() & op.imm as u32;
                core.nzcv = nz32(result);
                set32!(result);
            }
            Kind::Ubfx => set!(n64!() >> (op.a & 63) & op.imm),
            Kind::Ubfiz => set!((n64!() & op.imm) << (op.a & 63)),
            Kind::Sbfm64 => set!(((n64!() << (op.a & 63)) as i64 >> (op.x & 63)) as u64),
            Kind::Sbfm32 => set32!(((n64!() << (op.a & 63)) as i64 >> (op.x & 63)) as u32),
            Kind::BfmRight64 => set!(m64!() & !op.imm | n64!() >> (op.a & 63) & op.imm),
            Kind::BfmRight32 => set32!((m64!() & !op.imm | n64!() >> (op.a & 63) & op.imm) as u32),
            Kind::BfmLeft64 => set!(m64!() & !op.imm | n64!() << (op.a & 63) & op.imm),
            Kind::BfmLeft32 => set32!((m64!() & !op.imm | n64!() << (op.a & 63) & op.imm) as u32),
            Kind::Extr64 => {
                let both = u128::from(n64!()) << 64 | u128::from(m64!());
                set!((both >> (op.a & 63)) as u64);
            }
            Kind::Extr32 => {
                let both = u64::from(n32!()) << 32 | u64::from(m32!());
                set32!((both >> (op.a & 31)) as u32);
            }

            Kind::Mov64 => set!(m64!()),
            Kind::Mov32 => set32!(m32!()),
            Kind::And64 => set!(n64!() & m64!()),
            Kind::And32 => set32!(n32!() & m32!()),
            Kind::Orr64 => set!(n64!() | m64!()),
            Kind::Orr32 => set32!(n32!() | m32!()),
            Kind::Eor64 => set!(n64!() ^ m64!()),
            Kind::Eor32 => set32!(n32!() ^ m32!()),
            Kind::Ands64 => {
                let result = n64!() & m64!();
                core.nzcv = nz64(result);
                set!(result);
            }
            Kind::Ands32 => {
                let result = n32!() & m32!();
                core.nzcv = nz32(result);
                set32!(result);
            }
            Kind::LogicSh64 => {
                let result = alu::logic(n64!(), alu::shift64(m64!(), op.x, op.a), op.y);
                if op.y & 3 == 3 {
                    core.nzcv = nz64(result);
                }
                set!(result);
            }
            Kind::LogicSh32 => {
                let operand = u64::from(alu::shift32(m32!(), op.x, op.a));
                let result = alu::logic(n64!(), operand, op.y) as u32;
                if op.y & 3 == 3 {
                    core.nzcv = nz32(result);
                }
                set32!(result);
            }
            Kind::Add64 => set!(n64!().wrapping_add(m64!())),
            Kind::Add32 => set32!(n32!().wrapping_add(m32!())),
            Kind::Sub64 => set!(n64!().wrapping_sub(m64!())),
            Kind::Sub32 => set32!(n32!().wrapping_sub(m32!())),
            Kind::AddLsl64 => set!(n64!().wrapping_add(m64!() << (op.a & 63))),
            Kind::Adds64 => flags64!(n64!(), m64!(), false),
            Kind::Adds32 => flags32!(n32!(), m32!(), false),
            Kind::Subs64 => flags64!(n64!(), !m64!(), true),
            Kind::Subs32 => flags32!(n32!(), !m32!(), true),
            Kind::AddSubSh64 | Kind::AddSubExt64 => {
                let operand = if op.kind == Kind::AddSubSh64 {
                    alu::shift64(m64!(), op.x, op.a)
                } else {
                    alu::extend(m64!(), op.x, op.a)
                };
                let subtract = op.y & 2 != 0;
                let (result, nzcv) = add64(n64!(), if subtract { !operand } else { operand }, subtract);
                if op.y & 1 != 0 {
                    core.nzcv = nzcv;
                }
                set!(result);
            }
            Kind::AddSubSh32 | Kind::AddSubExt32 => {
                let operand = if op.kind == Kind::AddSubSh32 {
                    alu::shift32(m32!(), op.x, op.a)
                } else {
                    alu::extend(m64!(), op.x, op.a) as u32
                };
                let subtract = op.y & 2 != 0;
                let (result, nzcv) = add32(n32!(), if subtract { !operand } else { operand }, subtract);
                if op.y & 1 != 0 {
                    core.nzcv = nzcv;
                }
                set32!(result);
            }
            Kind::Adc64 => {
                let operand = if op.y & 2 != 0 { !m64!() } else { m64!() };
                let (result, nzcv) = add64(n64!(), operand, core.nzcv & 2 != 0);
                if op.y & 1 != 0 {
                    core.nzcv = nzcv;
                }
                set!(result);
            }
            Kind::Adc32 => {
                let operand = if op.y & 2 != 0 { !m32!() } else { m32!() };
                let (result, nzcv) = add32(n32!(), operand, core.nzcv & 2 != 0);
                if op.y & 1 != 0 {
                    core.nzcv = nzcv;
                }
                set32!(result);
            }
            Kind::Ccmp64 => {
                let operand = m64!() | op.imm;
                core.nzcv = match (holds(op.x, core.nzcv), op.y & 2 != 0) {
                    (false, _) => u32::from(op.a),
                    (true, true) => add64(n64!(), !operand, true).1,
                    (true, false) => add64(n64!(), operand, false).1,
                };
            }
            Kind::Ccmp32 => {
                let operand = m32!() | op.imm as u32;
                core.nzcv = match (holds(op.x, core.nzcv), op.y & 2 != 0) {
                    (false, _) => u32::from(op.a),
                    (true, true) => add32(n32!(), !operand, true).1,
                    (true, false) => add32(n32!(), operand, false).1,
                };
            }
            Kind::Csel64 => set!(if holds(op.x, core.nzcv) { n64!() } else { m64!() }),
            Kind::Csel32 => set32!(if holds(op.x, core.nzcv) { n32!() } else { m32!() }),
            Kind::Csinc64 => set!(if holds(op.x, core.nzcv) { n64!() } else { m64!().wrapping_add(1) }),
            Kind::Csinc32 => set32!(if holds(op.x, core.nzcv) { n32!() } else { m32!().wrapping_add(1) }),
            Kind::Csinv64 => set!(if holds(op.x, core.nzcv) { n64!() } else { !m64!() }),
            Kind::Csinv32 => set32!(if holds(op.x, core.nzcv) { n32!() } else { !m32!() }),
            Kind::Csneg64 => set!(if holds(op.x, core.nzcv) { n64!() } else { m64!().wrapping_neg() }),
            Kind::Csneg32 => set32!(if holds(op.x, core.nzcv) { n32!() } else { m32!().wrapping_neg() }),
            Kind::Lslv64 => set!(n64!() << (m64!() & 63)),
            Kind::Lslv32 => set32!(n32!() << (m32!() & 31)),
            Kind::Lsrv64 => set!(n64!() >> (m64!() & 63)),
            Kind::Lsrv32 => set32!(n32!() >> (m32!() & 31)),
            Kind::Asrv64 => set!((n64!() as i64 >> (m64!() & 63)) as u64),
            Kind::Asrv32 => set32!((n32!() as i32 >> (m32!() & 31)) as u32),
            Kind::Rorv64 => set!(n64!().rotate_right(m32!() & 63)),
            Kind::Rorv32 => set32!(n32!().rotate_right(m32!() & 31)),
            Kind::Udiv64 => set!(n64!().checked_div(m64!()).unwrap_or(0)),
            Kind::Udiv32 => set32!(n32!().checked_div(m32!()).unwrap_or(0)),
            Kind::Sdiv64 => set!(alu::sdiv64(n64!() as i64, m64!() as i64) as u64),
            Kind::Sdiv32 => set32!(alu::sdiv32(n32!() as i32, m32!() as i32) as u32),
            Kind::Madd64 => set!(r!(op.a).wrapping_add(n64!().wrapping_mul(m64!()))),
            Kind::Madd32 => set32!((r!(op.a) as u32).wrapping_add(n32!().wrapping_mul(m32!()))),
            Kind::Msub64 => set!(r!(op.a).wrapping_sub(n64!().wrapping_mul(m64!()))),
            Kind::Msub32 => set32!((r!(op.a) as u32).wrapping_sub(n32!().wrapping_mul(m32!()))),
            Kind::Smaddl => {
                let product = i64::from(n32!() as i32) * i64::from(m32!() as i32);
                set!(r!(op.a).wrapping_add(product as u64));
            }
            Kind::Smsubl => {
                let product = i64::from(n32!() as i32) * i64::from(m32!() as i32);
                set!(r!(op.a).wrapping_sub(product as u64));
            }
            Kind::Umaddl => set!(r!(op.a).wrapping_add(u64::from(n32!()) * u64::from(m32!()))),
            Kind::Umsubl => set!(r!(op.a).wrapping_sub(u64::from(n32!()) * u64::from(m32!()))),
            Kind::Smulh => set!(alu::smulh(n64!(), m64!())),
            Kind::Umulh => set!(alu::umulh(n64!(), m64!())),
            Kind::Rbit64 => set!(n64!().reverse_bits()),
            Kind::Rbit32 => set32!(n32!().reverse_bits()),
            Kind::Rev64 => set!(n64!().swap_bytes()),
            Kind::Rev32 => set32!(n32!().swap_bytes()),
            Kind::Rev16In64 => set!(alu::rev16(n64!())),
            Kind::Rev16In32 => set!(alu::rev16(n64!() & 0xffff_ffff)),
            Kind::Rev32In64 => set!(n64!().swap_bytes().rotate_left(32)),
            Kind::Clz64 => set32!(n64!().leading_zeros()),
            Kind::Clz32 => set32!(n32!().leading_zeros()),
            Kind::Cls64 => set!(alu::cls64(n64!())),
            Kind::Cls32 => set!(alu::cls32(n32!())),
            Kind::Crc32 => set32!(alu::crc32(n32!(), m64!(), 1 << op.a, op.y != 0)),

            Kind::Ldr8 => set!(load!(1, at!())),
            Kind::Ldr16 => set!(load!(2, at!())),
            Kind::Ldr32 => set!(load!(4, at!())),
            Kind::Ldr64 => set!(load!(8, at!())),
            Kind::Ldrs8To64 => set!(load!(1, at!()) as i8 as u64),
            Kind::Ldrs8To32 => set32!(load!(1, at!()) as i8 as u32),
            Kind::Ldrs16To64 => set!(load!(2, at!()) as i16 as u64),
            Kind::Ldrs16To32 => set32!(load!(2, at!()) as i16 as u32),
            Kind::Ldrs32 => set!(load!(4, at!()) as i32 as u64),
            Kind::Str8 => store!(1, at!(), r!(op.d)),
            Kind::Str16 => store!(2, at!(), r!(op.d)),
            Kind::Str32 => store!(4, at!(), r!(op.d)),
            Kind::Str64 => store!(8, at!(), r!(op.d)),
            Kind::LdrReg64 => set!(load!(8, n64!().wrapping_add(m64!() << (op.a & 3)))),
            Kind::LdrReg32 => set!(load!(4, n64!().wrapping_add(m64!() << (op.a & 3)))),
            Kind::LdrReg8 => set!(load!(1, n64!().wrapping_add(m64!()))),
            Kind::StrReg8 => store!(1, n64!().wrapping_add(m64!()), r!(op.d)),
            Kind::LdrReg => {
                let address = n64!().wrapping_add(alu::extend(m64!(), op.y as u8, op.a));
                long!(system::load(core, env, op, address, index));
            }
            Kind::StrReg => {
                let address = n64!().wrapping_add(alu::extend(m64!(), op.y as u8, op.a));
                match op.x >> 2 {
                    0 => store!(1, address, r!(op.d)),
                    1 => store!(2, address, r!(op.d)),
                    2 => store!(4, address, r!(op.d)),
                    _ => store!(8, address, r!(op.d)),
                }
            }
            Kind::LdrBack => {
                let (base, moved) = (n64!(), at!());
                long!(system::load(core, env, op, if op.y == back::PRE { moved } else { base }, index));
                // Loading the base itself with write-back is unpredictable; the written-back value is allowed.
                r!(op.n) = moved;
            }
            Kind::StrBack => {
                let (base, moved) = (n64!(), at!());
                let address = if op.y == back::PRE { moved } else { base };
                match op.x >> 2 {
                    0 => store!(1, address, r!(op.d)),
                    1 => store!(2, address, r!(op.d)),
                    2 => store!(4, address, r!(op.d)),
                    _ => store!(8, address, r!(op.d)),
                }
                r!(op.n) = moved;
            }
            Kind::LdrLiteral => long!(system::load(core, env, op, page.wrapping_add(op.imm), index)),
            Kind::Ldp64 => {
                let (base, moved) = (n64!(), at!());
                let address = if op.y == back::POST { base } else { moved };
                let first = load!(8, address);
                let second = load!(8, address.wrapping_add(8));
                if op.y != back::NONE {
                    r!(op.n) = moved;
                }
                set!(first);
                r!(op.a) = second;
            }
            Kind::Stp64 => {
                let (base, moved) = (n64!(), at!());
                let address = if op.y == back::POST { base } else { moved };
                store!(8, address, r!(op.d));
                store!(8, address.wrapping_add(8), r!(op.a));
                if op.y != back::NONE {
                    r!(op.n) = moved;
                }
            }
            Kind::LdpOther => {
                let (base, moved) = (n64!(), at!());
                let address = if op.y == back::POST { base } else { moved };
                let first = load!(4, address);
                let second = load!(4, address.wrapping_add(4));
                if op.y != back::NONE {
                    r!(op.n) = moved;
                }
                let extend = |value: u64| if op.x != 0 { value as i32 as u64 } else { value };
                set!(extend(first));
                r!(op.a) = extend(second);
            }
            Kind::StpOther => {
                let (base, moved) = (n64!(), at!());
                let address = if op.y == back::POST { base } else { moved };
                store!(4, address, r!(op.d));
                store!(4, address.wrapping_add(4), r!(op.a));
                if op.y != back::NONE {
                    r!(op.n) = moved;
                }
            }
            Kind::Ldtr => long!(system::load_unprivileged(core, env, op, at!(), index)),
            Kind::Sttr => long!(system::store_unprivileged(core, env, op, at!(), index)),
            Kind::Ldxr
            | Kind::Stxr
            | Kind::Ldxp
            | Kind::Stxp
            | Kind::Ldar
            | Kind::Stlr
            | Kind::Cas
            | Kind::Casp
            | Kind::Swp
            | Kind::LdAdd => {
                long!(atomic::execute(core, env, op, index).map_err(|Fault| Cause::DataAbort));
            }
            Kind::Clrex => core.monitor = None,

            Kind::B => branch!(true),
            Kind::Bl => {
                r!(30) = next;
                next = page.wrapping_add(op.imm);
            }
            Kind::BCond => branch!(holds(op.x, core.nzcv)),
            Kind::Cbz64 => branch!(n64!() == 0),
            Kind::Cbz32 => branch!(n32!() == 0),
            Kind::Cbnz64 => branch!(n64!() != 0),
            Kind::Cbnz32 => branch!(n32!() != 0),
            Kind::Tbz => branch!(n64!() >> (op.a & 63) & 1 == 0),
            Kind::Tbnz => branch!(n64!() >> (op.a & 63) & 1 != 0),
            Kind::Br | Kind::Ret => next = n64!(),
            Kind::Blr => {
                let target = n64!();
                r!(30) = next;
                next = target;
            }

            Kind::SubsImm64BCond => {
                flags64!(n64!(), !op.imm, true);
                branch_behind!();
            }
            Kind::SubsImm32BCond => {
                flags32!(n32!(), !op.imm as u32, true);
                branch_behind!();
            }
            Kind::Subs64BCond => {
                flags64!(n64!(), !m64!(), true);
                branch_behind!();
            }
            Kind::Subs32BCond => {
                flags32!(n32!(), !m32!(), true);
                branch_behind!();
            }

            Kind::AddImm64Subs64BCond => {
                set!(at!());
                second!();
                flags64!(n64!(), !m64!(), true);
                branch_behind!();
            }
            Kind::LdrReg8StrReg8 => {
                set!(load!(1, n64!().wrapping_add(m64!())));
                second!();
                store!(1, n64!().wrapping_add(m64!()), r!(op.d));
            }
            Kind::MovImmMovImm => {
                set!(op.imm);
                second!();
                set!(op.imm);
            }

            Kind::Nop | Kind::Isb => {}
            Kind::Mrs => match system::read(core, env, SysReg(op.imm as u16), index) {
                Ok(value) => set!(value),
                Err(cause) => return Err((index, cause)),
            },
            Kind::DcZva => long!(system::zero_line(core, env, r!(op.n), index)),
            Kind::Eret if core.el > 0 => {
                core.exception_return();
                return Ok(index + 1);
            }
            Kind::VThree
            | Kind::VPair
            | Kind::VFloat
            | Kind::VFloatPair
            | Kind::VWide
            | Kind::VMisc
            | Kind::VNarrow
            | Kind::VFloatMisc
            | Kind::VAcross
            | Kind::VShift
            | Kind::VShiftNarrow
            | Kind::VCopy
            | Kind::VPermute
            | Kind::VImmediate
            | Kind::VScalar
            | Kind::VLoad
            | Kind::VStore
            | Kind::VLoadPair
            | Kind::VStorePair
            | Kind::VStructure => long!(simd::execute(core, env, op, index)),
            _ => long!(system::execute(core, env, op, index)),
        }
        index += 1;
    }
    core.pc = next;
    Ok(ops.len())
}
