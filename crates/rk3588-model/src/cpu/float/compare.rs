// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Order, minimum and maximum.

use super::{Env, Format, Kind, Number, flag, nan_of};
use std::cmp::Ordering;

/// The order of two numbers that are no NaN.
fn order(a: &Number, b: &Number) -> Ordering {
    let magnitude = |number: &Number| match number.kind {
        Kind::Zero => (0, 0, 0),
        Kind::Finite => (1, number.exp, number.mant),
        _ => (2, 0, 0),
    };
    let is_negative = |number: &Number| number.sign && number.kind != Kind::Zero;
    match (is_negative(a), is_negative(b)) {
        (false, false) => magnitude(a).cmp(&magnitude(b)),
        (true, true) => magnitude(b).cmp(&magnitude(a)),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
    }
}

/// `FPCompare`: `None` is unordered. `signals`: quiet NaN are invalid as well.
pub fn compare(env: &mut Env, n: u64, m: u64, signals: bool, format: Format) -> Option<Ordering> {
    let (a, b) = (Number::new(env, n, format), Number::new(env, m, format));
    if a.is_nan() || b.is_nan() {
        if signals || a.kind == Kind::Signalling || b.kind == Kind::Signalling {
            env.flags |= flag::INVALID;
        }
        return None;
    }
    Some(order(&a, &b))
}

/// The larger or smaller one of two taken apart.
fn pick(env: &mut Env, a: &Number, b: &Number, want: Ordering, format: Format) -> u64 {
    if let Some(nan) = nan_of(env, &[a, b], format) {
        return nan;
    }
    match order(a, b) {
        // Zeros of both signs are equal: the minimum is the negative one.
        Ordering::Equal if want == Ordering::Greater => a.bits & b.bits,
        Ordering::Equal => a.bits | b.bits,
        found => (if found == want { a } else { b }).bits,
    }
}

/// `FPMax`.
pub fn max(env: &mut Env, n: u64, m: u64, format: Format) -> u64 {
    let (a, b) = (Number::new(env, n, format), Number::new(env, m, format));
    pick(env, &a, &b, Ordering::Greater, format)
}

/// `FPMin`.
pub fn min(env: &mut Env, n: u64, m: u64, format: Format) -> u64 {
    let (a, b) = (Number::new(env, n, format), Number::new(env, m, format));
    pick(env, &a, &b, Ordering::Less, format)
}

/// `FPMaxNum` and `FPMinNum`: a quiet NaN loses against a number.
fn number(env: &mut Env, n: u64, m: u64, want: Ordering, format: Format) -> u64 {
    let (a, b) = (Number::new(env, n, format), Number::new(env, m, format));
    match (a.kind, b.kind) {
        (Kind::Quiet, Kind::Quiet | Kind::Signalling) | (Kind::Signalling, _) => {
            pick(env, &a, &b, want, format)
        }
        (Kind::Quiet, _) => b.bits,
        (_, Kind::Quiet) => a.bits,
        _ => pick(env, &a, &b, want, format),
    }
}

/// `FPMaxNum`.
pub fn max_number(env: &mut Env, n: u64, m: u64, format: Format) -> u64 {
    number(env, n, m, Ordering::Greater, format)
}

/// `FPMinNum`.
pub fn min_number(env: &mut Env, n: u64, m: u64, format: Format) -> u64 {
    number(env, n, m, Ordering::Less, format)
}
