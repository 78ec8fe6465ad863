// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sums, products, quotients, roots.

use super::{Env, Format, Kind, Number, Rounding, flag, nan_of, round, shift_jamming};

/// A finite value on its way to be rounded.
#[derive(Clone, Copy)]
struct Wide {
    sign: bool,
    exp: i32,
    mant: u128,
}

impl Wide {
    const fn of(number: &Number) -> Self {
        Self { sign: number.sign, exp: number.exp, mant: number.mant as u128 }
    }

    /// With the top bit at 126, so that a sum has room. The products of two mantissas end in zeros.
    const fn normal(self) -> Self {
        if self.mant == 0 {
            return self;
        }
        let zeros = self.mant.leading_zeros() as i32;
        match zeros {
            0 => Self { exp: self.exp + 1, mant: shift_jamming(self.mant, 1), ..self },
            _ => Self { exp: self.exp - zeros + 1, mant: self.mant << (zeros - 1), ..self },
        }
    }

    /// The exact sum, or one with a set last bit. Of operands that are equal but for their sign it is zero.
    fn plus(self, other: Self) -> Self {
        let (a, b) = (self.normal(), other.normal());
        if a.mant == 0 || b.mant == 0 {
            return if a.mant == 0 { b } else { a };
        }
        let (large, small) = if (a.exp, a.mant) >= (b.exp, b.mant) { (a, b) } else { (b, a) };
        let shifted = shift_jamming(small.mant, (large.exp - small.exp) as u32);
        let mant = if large.sign == small.sign { large.mant + shifted } else { large.mant - shifted };
        Self { mant, ..large }
    }
}

/// The sign of an exact zero that is a sum of two values of different sign.
fn zero_sign(env: &Env) -> bool {
    env.rounding == Rounding::Down
}

fn sum(env: &mut Env, a: Wide, b: Wide, format: Format) -> u64 {
    let total = a.plus(b);
    let sign = if total.mant != 0 {
        total.sign
    } else if a.sign == b.sign {
        a.sign
    } else {
        zero_sign(env)
    };
    round(env, sign, total.exp, total.mant, format)
}

/// `FPAdd`; `FPSub` with the second operand's sign turned only if it is a number.
pub fn add(env: &mut Env, n: u64, m: u64, subtract: bool, format: Format) -> u64 {
    let (a, mut b) = (Number::new(env, n, format), Number::new(env, m, format));
    if let Some(nan) = nan_of(env, &[&a, &b], format) {
        return nan;
    }
    b.sign ^= subtract;
    match (a.kind, b.kind) {
        (Kind::Infinite, Kind::Infinite) if a.sign != b.sign => env.invalid(format),
        (Kind::Infinite, _) => format.infinity(a.sign),
        (_, Kind::Infinite) => format.infinity(b.sign),
        _ => sum(env, Wide::of(&a), Wide::of(&b), format),
    }
}

fn product(a: &Number, b: &Number) -> Wide {
    Wide { sign: a.sign != b.sign, exp: a.exp + b.exp, mant: u128::from(a.mant) * u128::from(b.mant) }
}

fn is_zero_times_infinity(a: &Number, b: &Number) -> bool {
    matches!((a.kind, b.kind), (Kind::Zero, Kind::Infinite) | (Kind::Infinite, Kind::Zero))
}

/// `FPMul`, `FPMulX`: the product, where zero times infinity is two or invalid.
fn multiply(env: &mut Env, n: u64, m: u64, extended: bool, format: Format) -> u64 {
    let (a, b) = (Number::new(env, n, format), Number::new(env, m, format));
    if let Some(nan) = nan_of(env, &[&a, &b], format) {
        return nan;
    }
    let sign = a.sign != b.sign;
    if is_zero_times_infinity(&a, &b) {
        return if extended { format.power(sign, 1) } else { env.invalid(format) };
    }
    if a.kind == Kind::Infinite || b.kind == Kind::Infinite {
        return format.infinity(sign);
    }
    let wide = product(&a, &b);
    round(env, sign, wide.exp, wide.mant, format)
}

/// `FPMul`.
pub fn mul(env: &mut Env, n: u64, m: u64, format: Format) -> u64 {
    multiply(env, n, m, false, format)
}

/// `FPMulX`.
pub fn mul_extended(env: &mut Env, n: u64, m: u64, format: Format) -> u64 {
    multiply(env, n, m, true, format)
}

/// `FPMulAdd`: `addend + n * m`, rounded once.
pub fn mul_add(env: &mut Env, addend: u64, n: u64, m: u64, format: Format) -> u64 {
    let c = Number::new(env, addend, format);
    let (a, b) = (Number::new(env, n, format), Number::new(env, m, format));
    let undefined = is_zero_times_infinity(&a, &b);
    if c.kind == Kind::Quiet && undefined {
        return env.invalid(format);
    }
    if let Some(nan) = nan_of(env, &[&c, &a, &b], format) {
        return nan;
    }
    let sign = a.sign != b.sign;
    let is_infinite = a.kind == Kind::Infinite || b.kind == Kind::Infinite;
    if undefined || (is_infinite && c.kind == Kind::Infinite && c.sign != sign) {
        return env.invalid(format);
    }
    if is_infinite || c.kind == Kind::Infinite {
        return format.infinity(if is_infinite { sign } else { c.sign });
    }
    sum(env, Wide::of(&c), product(&a, &b), format)
}

/// `FPDiv`.
pub fn div(env: &mut Env, n: u64, m: u64, format: Format) -> u64 {
    let (a, b) = (Number::new(env, n, format), Number::new(env, m, format));
    if let Some(nan) = nan_of(env, &[&a, &b], format) {
        return nan;
    }
    let sign = a.sign != b.sign;
    match (a.kind, b.kind) {
        (Kind::Infinite, Kind::Infinite) | (Kind::Zero, Kind::Zero) => env.invalid(format),
        (Kind::Infinite, _) => format.infinity(sign),
        (_, Kind::Zero) => {
            env.flags |= flag::DIVIDE_BY_ZERO;
            format.infinity(sign)
        }
        (Kind::Zero, _) | (_, Kind::Infinite) => format.signed(sign),
        _ => {
            let (dividend, divisor) = (u128::from(a.mant) << 63, u128::from(b.mant));
            let quotient = (dividend / divisor) << 1 | u128::from(dividend % divisor != 0);
            round(env, sign, a.exp - b.exp - 64, quotient, format)
        }
    }
}

/// `FPSqrt`.
pub fn sqrt(env: &mut Env, n: u64, format: Format) -> u64 {
    let a = Number::new(env, n, format);
    if let Some(nan) = nan_of(env, &[&a], format) {
        return nan;
    }
    match a.kind {
        Kind::Zero => a.bits,
        _ if a.sign => env.invalid(format),
        Kind::Infinite => a.bits,
        _ => {
            // An even exponent.
            let shift = 62 + (a.exp & 1);
            let square = u128::from(a.mant) << shift;
            let root = square.isqrt();
            let jammed = root << 1 | u128::from(root * root != square);
            round(env, false, (a.exp - shift) / 2 - 1, jammed, format)
        }
    }
}

/// `FPRecipStepFused`: `2 - n * m`; `FPRSqrtStepFused`: `(3 - n * m) / 2`.
fn step(env: &mut Env, n: u64, m: u64, halved: bool, format: Format) -> u64 {
    let (a, b) = (Number::new(env, n ^ format.sign(), format), Number::new(env, m, format));
    if let Some(nan) = nan_of(env, &[&a, &b], format) {
        return nan;
    }
    if is_zero_times_infinity(&a, &b) {
        // 2 or 1.5.
        return if halved { format.power(false, 0) | format.quiet_bit() } else { format.power(false, 1) };
    }
    let wide = product(&a, &b);
    if a.kind == Kind::Infinite || b.kind == Kind::Infinite {
        return format.infinity(wide.sign);
    }
    let start = Wide { sign: false, exp: 0, mant: if halved { 3 } else { 2 } };
    let total = start.plus(wide);
    let sign = if total.mant == 0 { zero_sign(env) } else { total.sign };
    round(env, sign, total.exp - i32::from(halved), total.mant, format)
}

/// `FPRecipStepFused`.
pub fn recip_step(env: &mut Env, n: u64, m: u64, format: Format) -> u64 {
    step(env, n, m, false, format)
}

/// `FPRSqrtStepFused`.
pub fn rsqrt_step(env: &mut Env, n: u64, m: u64, format: Format) -> u64 {
    step(env, n, m, true, format)
}
