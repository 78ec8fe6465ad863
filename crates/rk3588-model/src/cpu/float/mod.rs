// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Floating point in integers: the architecture's rules bit by bit, in every rounding mode, with its exceptions.
//!
//! The host's arithmetic rounds to nearest only and has NaN rules of its own, so it is not used. Semantics are the
//! shared functions of DDI 0487, chapter J1 (`FPAdd`, `FPRound`, `FPProcessNaNs`, …). A value is kept as
//! `mant * 2^exp`, exact or with its last bit set when something below was lost, and rounded once at the end.

mod arithmetic;
mod compare;
mod convert;
mod estimate;
#[cfg(test)]
mod tests;

pub use arithmetic::{add, div, mul, mul_add, mul_extended, recip_step, rsqrt_step, sqrt};
pub use compare::{compare, max, max_number, min, min_number};
pub use convert::{convert, from_integer, round_to_integral, to_integer};
pub use estimate::{recip_estimate, recip_exponent, rsqrt_estimate, unsigned_recip, unsigned_rsqrt};

/// `FPSR`: cumulative exceptions, C5.2.9.
pub mod flag {
    pub const INVALID: u32 = 1;
    pub const DIVIDE_BY_ZERO: u32 = 1 << 1;
    pub const OVERFLOW: u32 = 1 << 2;
    pub const UNDERFLOW: u32 = 1 << 3;
    pub const INEXACT: u32 = 1 << 4;
    pub const INPUT_DENORMAL: u32 = 1 << 7;
    /// Saturation of integer instructions.
    pub const SATURATED: u32 = 1 << 27;
    /// All that the register keeps.
    pub const ALL: u32 = SATURATED | INPUT_DENORMAL | 0x1f;
}

/// `FPCR`, C5.2.8.
pub mod control {
    pub const ALTERNATIVE_HALF: u32 = 1 << 26;
    pub const DEFAULT_NAN: u32 = 1 << 25;
    pub const FLUSH: u32 = 1 << 24;
    pub const ROUNDING_AT: u32 = 22;
    /// All that the register keeps: traps and half-precision flushing are not there.
    pub const ALL: u32 = ALTERNATIVE_HALF | DEFAULT_NAN | FLUSH | 3 << ROUNDING_AT;
}

/// An interchange format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Bits of the fraction.
    pub fraction: u32,
    /// Bits of the exponent.
    pub exponent: u32,
}

/// 16 bits.
pub const HALF: Format = Format { fraction: 10, exponent: 5 };
/// 32 bits.
pub const SINGLE: Format = Format { fraction: 23, exponent: 8 };
/// 64 bits.
pub const DOUBLE: Format = Format { fraction: 52, exponent: 11 };

impl Format {
    /// The format of 2, 4 or 8 bytes by its logarithm.
    pub const fn of(log2: u8) -> Self {
        match log2 {
            1 => HALF,
            2 => SINGLE,
            _ => DOUBLE,
        }
    }

    const fn bias(self) -> i32 {
        (1 << (self.exponent - 1)) - 1
    }

    const fn exponent_mask(self) -> u64 {
        (1 << self.exponent) - 1
    }

    const fn fraction_mask(self) -> u64 {
        (1 << self.fraction) - 1
    }

    /// The sign bit.
    pub const fn sign(self) -> u64 {
        1 << (self.fraction + self.exponent)
    }

    const fn signed(self, sign: bool) -> u64 {
        if sign { self.sign() } else { 0 }
    }

    const fn infinity(self, sign: bool) -> u64 {
        self.signed(sign) | self.exponent_mask() << self.fraction
    }

    /// The largest finite number.
    const fn largest(self, sign: bool) -> u64 {
        self.infinity(sign) - 1
    }

    /// `FPDefaultNaN`.
    const fn default_nan(self) -> u64 {
        self.infinity(false) | self.quiet_bit()
    }

    const fn quiet_bit(self) -> u64 {
        1 << (self.fraction - 1)
    }

    /// `1.0` with another exponent: a power of two.
    const fn power(self, sign: bool, exponent: i32) -> u64 {
        self.signed(sign) | ((self.bias() + exponent) as u64) << self.fraction
    }
}

/// How a result is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// To nearest, ties to even.
    Even,
    /// Towards plus infinity.
    Up,
    /// Towards minus infinity.
    Down,
    /// Towards zero.
    Zero,
    /// To nearest, ties away from zero.
    Away,
    /// To the odd one of both neighbours.
    Odd,
}

impl Rounding {
    /// By its number in this list.
    pub const fn numbered(number: u64) -> Self {
        match number {
            0 => Self::Even,
            1 => Self::Up,
            2 => Self::Down,
            3 => Self::Zero,
            4 => Self::Away,
            _ => Self::Odd,
        }
    }

    /// `FPCR.RMode` and the `rmode` field of conversions.
    pub const fn of(mode: u32) -> Self {
        match mode & 3 {
            0 => Self::Even,
            1 => Self::Up,
            2 => Self::Down,
            _ => Self::Zero,
        }
    }

    /// Whether the magnitude goes up, by its last bit and what is below it.
    const fn up(self, sign: bool, odd: bool, rest: u128, half: u128) -> bool {
        match self {
            Self::Even => rest > half || rest == half && odd,
            Self::Up => !sign && rest != 0,
            Self::Down => sign && rest != 0,
            Self::Zero => false,
            Self::Away => rest >= half,
            Self::Odd => rest != 0 && !odd,
        }
    }

    /// Whether what is too large becomes an infinity.
    const fn overflows(self, sign: bool) -> bool {
        match self {
            Self::Even | Self::Away => true,
            Self::Up => !sign,
            Self::Down => sign,
            Self::Zero | Self::Odd => false,
        }
    }
}

/// The control register's part in one instruction, and the exceptions that it raises.
#[derive(Debug, Clone, Copy)]
pub struct Env {
    pub rounding: Rounding,
    pub flush: bool,
    pub default_nan: bool,
    pub alternative_half: bool,
    /// Exceptions so far, as in `FPSR`.
    pub flags: u32,
}

impl Env {
    /// By the value of `FPCR`.
    pub const fn new(control: u32) -> Self {
        Self {
            rounding: Rounding::of(control >> control::ROUNDING_AT),
            flush: control & control::FLUSH != 0,
            default_nan: control & control::DEFAULT_NAN != 0,
            alternative_half: control & control::ALTERNATIVE_HALF != 0,
            flags: 0,
        }
    }

    fn invalid(&mut self, format: Format) -> u64 {
        self.flags |= flag::INVALID;
        format.default_nan()
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Zero,
    Finite,
    Infinite,
    Quiet,
    Signalling,
}

/// A value taken apart.
#[derive(Debug, Clone, Copy)]
struct Number {
    bits: u64,
    kind: Kind,
    sign: bool,
    exp: i32,
    /// For finite numbers the top bit is set, otherwise 0.
    mant: u64,
}

impl Number {
    const fn is_nan(&self) -> bool {
        matches!(self.kind, Kind::Quiet | Kind::Signalling)
    }

    /// Takes `bits` apart; a denormal number may be flushed.
    fn new(env: &mut Env, bits: u64, format: Format) -> Self {
        let exponent = bits >> format.fraction & format.exponent_mask();
        let fraction = bits & format.fraction_mask();
        let sign = bits & format.sign() != 0;
        let number = |kind, exp, mant| Self { bits, kind, sign, exp, mant };
        // FZ is not about half precision.
        let flush = env.flush && format != HALF;
        if exponent == 0 {
            if fraction == 0 {
                return number(Kind::Zero, 0, 0);
            }
            if flush {
                env.flags |= flag::INPUT_DENORMAL;
                return Self { bits: format.signed(sign), ..number(Kind::Zero, 0, 0) };
            }
            let zeros = fraction.leading_zeros();
            let exp = 1 - format.bias() - format.fraction as i32 - zeros as i32;
            return number(Kind::Finite, exp, fraction << zeros);
        }
        if exponent == format.exponent_mask() && !(format == HALF && env.alternative_half) {
            return match fraction {
                0 => number(Kind::Infinite, 0, 0),
                _ if fraction & format.quiet_bit() != 0 => number(Kind::Quiet, 0, 0),
                _ => number(Kind::Signalling, 0, 0),
            };
        }
        let mant = (1 << format.fraction | fraction) << (63 - format.fraction);
        number(Kind::Finite, exponent as i32 - format.bias() - 63, mant)
    }
}

/// `FPProcessNaN`.
fn quieted(env: &mut Env, number: &Number, format: Format) -> u64 {
    if number.kind == Kind::Signalling {
        env.flags |= flag::INVALID;
    }
    if env.default_nan { format.default_nan() } else { number.bits | format.quiet_bit() }
}

/// `FPProcessNaNs`: the first signalling operand, else the first quiet one.
fn nan_of(env: &mut Env, numbers: &[&Number], format: Format) -> Option<u64> {
    let first = |kind| numbers.iter().find(|number| number.kind == kind);
    let nan = first(Kind::Signalling).or_else(|| first(Kind::Quiet))?;
    Some(quieted(env, nan, format))
}

/// Right shift that keeps a set bit at the end for what is lost.
const fn shift_jamming(value: u128, by: u32) -> u128 {
    match by {
        0 => value,
        1..128 => value >> by | (value << (128 - by) != 0) as u128,
        _ => (value != 0) as u128,
    }
}

/// `FPRound`: `mant * 2^exp` in a format. The last bit of a `mant` that is longer than the format may stand for what
/// was lost; zero has no sign of its own but the given one.
fn round(env: &mut Env, sign: bool, exp: i32, mant: u128, format: Format) -> u64 {
    if mant == 0 {
        return format.signed(sign);
    }
    let zeros = mant.leading_zeros();
    let mut mant = mant << zeros;
    let mut exponent = exp - zeros as i32 + 127 + format.bias();
    let is_tiny = exponent <= 0;
    if is_tiny {
        if env.flush && format != HALF {
            env.flags |= flag::UNDERFLOW;
            return format.signed(sign);
        }
        mant = shift_jamming(mant, (1 - exponent) as u32);
        exponent = 1;
    }
    let dropped = 127 - format.fraction;
    let kept = (mant >> dropped) as u64;
    let rest = mant & ((1 << dropped) - 1);
    let up = env.rounding.up(sign, kept & 1 != 0, rest, 1 << (dropped - 1));
    // The leading one counts in the exponent, and so does a carry; a denormal number has neither.
    let bits = ((exponent as u64 - 1) << format.fraction) + kept + u64::from(up);
    let alternative = format == HALF && env.alternative_half;
    let limit = format.exponent_mask() + u64::from(alternative);
    if bits >> format.fraction >= limit {
        if alternative {
            env.flags |= flag::INVALID;
            return format.signed(sign) | (format.sign() - 1);
        }
        env.flags |= flag::OVERFLOW | flag::INEXACT;
        return if env.rounding.overflows(sign) { format.infinity(sign) } else { format.largest(sign) };
    }
    if rest != 0 {
        env.flags |= flag::INEXACT | if is_tiny { flag::UNDERFLOW } else { 0 };
    }
    format.signed(sign) | bits
}
