// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Between formats, and to and from integers and fixed point.

use super::{Env, Format, HALF, Kind, Number, Rounding, flag, nan_of, round};

/// `FPConvert`: from one format to another.
pub fn convert(env: &mut Env, n: u64, from: Format, to: Format) -> u64 {
    let a = Number::new(env, n, from);
    let alternative = to == HALF && env.alternative_half;
    match a.kind {
        Kind::Quiet | Kind::Signalling => {
            if a.kind == Kind::Signalling || alternative {
                env.flags |= flag::INVALID;
            }
            if alternative {
                return to.signed(a.sign);
            }
            if env.default_nan {
                return to.default_nan();
            }
            // The payload keeps its upper end.
            let payload = (n & from.fraction_mask()) << (64 - from.fraction) >> (64 - to.fraction);
            to.infinity(a.sign) | to.quiet_bit() | payload
        }
        Kind::Infinite if alternative => {
            env.flags |= flag::INVALID;
            to.signed(a.sign) | (to.sign() - 1)
        }
        Kind::Infinite => to.infinity(a.sign),
        Kind::Zero => to.signed(a.sign),
        Kind::Finite => round(env, a.sign, a.exp, a.mant.into(), to),
    }
}

/// The magnitude as an integer of up to 65 bits, which is too large anyway; and whether it is not exact.
fn integral(number: &Number, exp: i32, rounding: Rounding) -> (u128, bool) {
    let mant = u128::from(number.mant);
    if exp >= 0 {
        return (mant << exp.min(64), false);
    }
    // Below a quarter everything is alike.
    let down = (-exp).min(66) as u32;
    let (whole, rest) = (mant >> down, mant & ((1 << down) - 1));
    // A quarter for what is too small to be seen.
    let rest = if -exp > 66 { 1 } else { rest };
    let up = rounding.up(number.sign, whole & 1 != 0, rest, 1 << (down - 1));
    (whole + u128::from(up), rest != 0)
}

/// `FPRoundInt`: an integral value in the same format. `exact`: an inexact result is an exception.
pub fn round_to_integral(env: &mut Env, n: u64, rounding: Rounding, exact: bool, format: Format) -> u64 {
    let a = Number::new(env, n, format);
    if let Some(nan) = nan_of(env, &[&a], format) {
        return nan;
    }
    if a.kind != Kind::Finite || a.exp >= 0 {
        return a.bits;
    }
    let (whole, inexact) = integral(&a, a.exp, rounding);
    if exact && inexact {
        env.flags |= flag::INEXACT;
    }
    // As large as its own mantissa at most: it needs no rounding.
    round(&mut Env { flush: false, ..*env }, a.sign, 0, whole, format)
}

/// `FPToFixed`: an integer of `width` bits with `fraction_bits` behind the point, saturating.
pub fn to_integer(
    env: &mut Env,
    n: u64,
    format: Format,
    (width, unsigned, fraction_bits): (u32, bool, u32),
    rounding: Rounding,
) -> u64 {
    let a = Number::new(env, n, format);
    let mask = u64::MAX >> (64 - width);
    let top = 1_u128 << (width - 1);
    let (lowest, highest) = if unsigned { (0, 2 * top - 1) } else { (top, top - 1) };
    let (whole, inexact) = match a.kind {
        Kind::Quiet | Kind::Signalling => {
            env.flags |= flag::INVALID;
            return 0;
        }
        Kind::Infinite => (u128::MAX, false),
        Kind::Zero => (0, false),
        Kind::Finite => integral(&a, a.exp + fraction_bits as i32, rounding),
    };
    let limit = if a.sign { lowest } else { highest };
    if whole > limit {
        env.flags |= flag::INVALID;
    } else if inexact {
        env.flags |= flag::INEXACT;
    }
    let magnitude = whole.min(limit) as u64;
    (if a.sign { magnitude.wrapping_neg() } else { magnitude }) & mask
}

/// `FixedToFP`: from an integer of `width` bits with `fraction_bits` behind the point.
pub fn from_integer(
    env: &mut Env,
    value: u64,
    (width, unsigned, fraction_bits): (u32, bool, u32),
    format: Format,
) -> u64 {
    let unused = 64 - width;
    let value =
        if unsigned { value << unused >> unused } else { ((value << unused) as i64 >> unused) as u64 };
    let sign = !unsigned && (value as i64) < 0;
    let magnitude = if sign { value.wrapping_neg() } else { value };
    round(env, sign, -(fraction_bits as i32), magnitude.into(), format)
}
