// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Estimates of reciprocals and reciprocal roots, whose eight bits the architecture fixes.

use super::{Env, Format, Kind, Number, SINGLE, flag, nan_of};

/// `RecipEstimate`: of 256 to 511, which is 0.5 to 1.
const fn recip(a: u32) -> u32 {
    ((1 << 19) / (a * 2 + 1)).div_ceil(2)
}

/// `RecipSqrtEstimate`: of 128 to 511, which is 0.25 to 1.
const fn rsqrt(a: u32) -> u32 {
    let a = if a < 256 { a * 2 + 1 } else { (a | 1) * 2 };
    let mut b = 512;
    while a * (b + 1) * (b + 1) < 1 << 28 {
        b += 1;
    }
    b.div_ceil(2)
}

/// `UnsignedRecipEstimate`, of 32 bits.
pub const fn unsigned_recip(n: u32) -> u32 {
    if n >> 31 == 0 { u32::MAX } else { recip(n >> 23) << 23 }
}

/// `UnsignedRSqrtEstimate`, of 32 bits.
pub const fn unsigned_rsqrt(n: u32) -> u32 {
    if n >> 30 == 0 { u32::MAX } else { rsqrt(n >> 23) << 23 }
}

/// `FPRecipEstimate`.
pub fn recip_estimate(env: &mut Env, n: u64, format: Format) -> u64 {
    let a = Number::new(env, n, format);
    if let Some(nan) = nan_of(env, &[&a], format) {
        return nan;
    }
    // Exponent as that of a normal number.
    let exponent = a.exp + 63 + format.bias();
    match a.kind {
        Kind::Infinite => format.signed(a.sign),
        Kind::Zero => {
            env.flags |= flag::DIVIDE_BY_ZERO;
            format.infinity(a.sign)
        }
        // Below a quarter of the smallest normal number.
        _ if exponent < -1 => {
            env.flags |= flag::OVERFLOW | flag::INEXACT;
            if env.rounding.overflows(a.sign) { format.infinity(a.sign) } else { format.largest(a.sign) }
        }
        // The result would be denormal.
        _ if env.flush && exponent >= 2 * format.bias() - 1 => {
            env.flags |= flag::UNDERFLOW;
            format.signed(a.sign)
        }
        _ => {
            let estimate = u64::from(recip((a.mant >> 55) as u32)) & 0xff;
            let fraction = estimate << (format.fraction - 8);
            let bits = match 2 * format.bias() - 1 - exponent {
                0 => 1 << (format.fraction - 1) | fraction >> 1,
                -1 => 1 << (format.fraction - 2) | fraction >> 2,
                exponent => (exponent as u64) << format.fraction | fraction,
            };
            format.signed(a.sign) | bits
        }
    }
}

/// `FPRSqrtEstimate`.
pub fn rsqrt_estimate(env: &mut Env, n: u64, format: Format) -> u64 {
    let a = Number::new(env, n, format);
    if let Some(nan) = nan_of(env, &[&a], format) {
        return nan;
    }
    match a.kind {
        Kind::Zero => {
            env.flags |= flag::DIVIDE_BY_ZERO;
            format.infinity(a.sign)
        }
        _ if a.sign => env.invalid(format),
        Kind::Infinite => 0,
        _ => {
            let exponent = a.exp + 63 + format.bias();
            let scaled = if exponent & 1 == 0 { a.mant >> 55 } else { a.mant >> 56 };
            let estimate = u64::from(rsqrt(scaled as u32)) & 0xff;
            let result = (3 * format.bias() - 1 - exponent) >> 1;
            (result as u64) << format.fraction | estimate << (format.fraction - 8)
        }
    }
}

/// `FPRecpX`: a power of two near the reciprocal.
pub fn recip_exponent(env: &mut Env, n: u64, format: Format) -> u64 {
    let a = Number::new(env, n, format);
    if let Some(nan) = nan_of(env, &[&a], format) {
        return nan;
    }
    let mask = format.exponent_mask();
    let exponent = match n >> format.fraction & mask {
        0 => mask - 1,
        exponent => exponent ^ mask,
    };
    format.signed(a.sign) | exponent << format.fraction
}

const _: () = assert!(SINGLE.bias() == 127 && recip(256) == 511 && rsqrt(511) == 256);
