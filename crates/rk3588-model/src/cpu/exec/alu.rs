// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Operations of data processing that are more than one operator (DDI 0487 chapter C6, shared pseudocode).

/// A shifted operand: 0 LSL, 1 LSR, 2 ASR, 3 ROR; `amount` is below 64.
#[inline(always)]
pub const fn shift64(value: u64, kind: u8, amount: u8) -> u64 {
    match kind & 3 {
        0 => value << (amount & 63),
        1 => value >> (amount & 63),
        2 => ((value as i64) >> (amount & 63)) as u64,
        _ => value.rotate_right((amount & 63) as u32),
    }
}

/// The same in 32 bits; `amount` is below 32.
#[inline(always)]
pub const fn shift32(value: u32, kind: u8, amount: u8) -> u32 {
    match kind & 3 {
        0 => value << (amount & 31),
        1 => value >> (amount & 31),
        2 => ((value as i32) >> (amount & 31)) as u32,
        _ => value.rotate_right((amount & 31) as u32),
    }
}

/// An extended operand: UXTB, UXTH, UXTW, UXTX, SXTB, SXTH, SXTW, SXTX, then shifted left.
#[inline(always)]
pub const fn extend(value: u64, option: u8, shift: u8) -> u64 {
    let extended = match option & 7 {
        0 => value as u8 as u64,
        1 => value as u16 as u64,
        2 => value as u32 as u64,
        4 => value as i8 as i64 as u64,
        5 => value as i16 as i64 as u64,
        6 => value as i32 as i64 as u64,
        _ => value,
    };
    extended << (shift & 7)
}

/// The logical operations: `opc` with the inversion of the operand in bit 2.
#[inline(always)]
pub const fn logic(a: u64, b: u64, operation: u16) -> u64 {
    let b = if operation & 4 != 0 { !b } else { b };
    match operation & 3 {
        1 => a | b,
        2 => a ^ b,
        _ => a & b,
    }
}

/// SDIV: towards zero, 0 for a zero divisor, the dividend for the one overflow.
pub const fn sdiv64(a: i64, b: i64) -> i64 {
    if b == 0 { 0 } else { a.wrapping_div(b) }
}

/// SDIV in 32 bits.
pub const fn sdiv32(a: i32, b: i32) -> i32 {
    if b == 0 { 0 } else { a.wrapping_div(b) }
}

/// SMULH.
pub const fn smulh(a: u64, b: u64) -> u64 {
    ((a as i64 as i128 * b as i64 as i128) >> 64) as u64
}

/// UMULH.
pub const fn umulh(a: u64, b: u64) -> u64 {
    ((a as u128 * b as u128) >> 64) as u64
}

/// CLS: leading bits equal to the sign, without it.
pub const fn cls64(value: u64) -> u64 {
    let signs = value ^ ((value as i64) >> 63) as u64;
    (signs.leading_zeros() - 1) as u64
}

/// CLS in 32 bits.
pub const fn cls32(value: u32) -> u64 {
    let signs = value ^ ((value as i32) >> 31) as u32;
    (signs.leading_zeros() - 1) as u64
}

/// Bytes swapped in every half word.
pub const fn rev16(value: u64) -> u64 {
    (value & 0x00ff_00ff_00ff_00ff) << 8 | (value >> 8 & 0x00ff_00ff_00ff_00ff)
}

/// CRC32 (polynomial 0x04c11db7) or CRC32C (0x1edc6f41), bits reflected, without inversions.
pub const fn crc32(accumulator: u32, value: u64, bytes: u32, castagnoli: bool) -> u32 {
    let polynomial = if castagnoli { 0x82f6_3b78 } else { 0xedb8_8320 };
    let (mut crc, mut at) = (accumulator, 0);
    while at < bytes {
        crc ^= (value >> (8 * at)) as u8 as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = crc >> 1 ^ if crc & 1 != 0 { polynomial } else { 0 };
            bit += 1;
        }
        at += 1;
    }
    crc
}

/// The result of an atomic operation on memory: LDADD, LDCLR, LDEOR, LDSET, LDSMAX, LDSMIN, LDUMAX, LDUMIN.
pub const fn atomic(old: u64, operand: u64, operation: u16, bytes: u64) -> u64 {
    let unused = 64 - 8 * bytes as u32;
    let (signed_old, signed_operand) = ((old << unused) as i64, (operand << unused) as i64);
    let (plain_old, plain_operand) = (old << unused, operand << unused);
    match operation & 7 {
        0 => old.wrapping_add(operand),
        1 => old & !operand,
        2 => old ^ operand,
        3 => old | operand,
        4 => {
            if signed_old >= signed_operand {
                old
            } else {
                operand
            }
        }
        5 => {
            if signed_old <= signed_operand {
                old
            } else {
                operand
            }
        }
        6 => {
            if plain_old >= plain_operand {
                old
            } else {
                operand
            }
        }
        _ => {
            if plain_old <= plain_operand {
                old
            } else {
                operand
            }
        }
    }
}
