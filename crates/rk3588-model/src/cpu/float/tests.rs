// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Arithmetic against the host's where both must agree, and the rules of the architecture one by one.

use super::*;

/// The image's mode: to nearest, nothing flushed.
fn plain() -> Env {
    Env::new(0)
}

fn with(rounding: Rounding) -> Env {
    Env { rounding, ..plain() }
}

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// No NaN; near one every second time, so that sums meet.
    fn double(&mut self) -> u64 {
        let bits = self.next();
        let exponent = bits >> 52 & 0x7ff;
        match bits & 1 {
            0 => bits & !(0x7ff << 52) | (0x3f8 | exponent & 15) << 52,
            _ if exponent == 0x7ff => bits & !(1 << 62),
            _ => bits,
        }
    }

    fn single(&mut self) -> u64 {
        let bits = self.next() as u32;
        let exponent = bits >> 23 & 0xff;
        let bits = match bits & 1 {
            0 => bits & !(0xff << 23) | (0x78 | exponent & 15) << 23,
            _ if exponent == 0xff => bits & !(1 << 30),
            _ => bits,
        };
        bits.into()
    }
}

#[test]
fn results_to_nearest_are_those_of_the_host() {
    let mut random = Random(0x1234_5678_9abc_def1);
    for _ in 0..200_000 {
        let (a, b, c) = (random.double(), random.double(), random.double());
        let (x, y, z) = (f64::from_bits(a), f64::from_bits(b), f64::from_bits(c));
        let env = &mut plain();
        assert_eq!(add(env, a, b, false, DOUBLE), (x + y).to_bits(), "{x:e} + {y:e}");
        assert_eq!(add(env, a, b, true, DOUBLE), (x - y).to_bits(), "{x:e} - {y:e}");
        assert_eq!(mul(env, a, b, DOUBLE), (x * y).to_bits(), "{x:e} * {y:e}");
        assert_eq!(mul_add(env, a, b, c, DOUBLE), y.mul_add(z, x).to_bits(), "{x:e} + {y:e} * {z:e}");
        assert_eq!(convert(env, a, DOUBLE, SINGLE), u64::from((x as f32).to_bits()), "{x:e}");
        assert_eq!(to_integer(env, a, DOUBLE, (64, false, 0), Rounding::Zero), x as i64 as u64, "{x:e}");
        assert_eq!(to_integer(env, a, DOUBLE, (32, true, 0), Rounding::Zero), u64::from(x as u32), "{x:e}");
        assert_eq!(from_integer(env, a, (64, false, 0), DOUBLE), (a as i64 as f64).to_bits());
        assert_eq!(from_integer(env, a, (64, true, 0), SINGLE), u64::from((a as f32).to_bits()));
        assert_eq!(
            round_to_integral(env, a, Rounding::Even, false, DOUBLE),
            x.round_ties_even().to_bits(),
            "{x:e}"
        );
        assert_eq!(round_to_integral(env, a, Rounding::Away, false, DOUBLE), x.round().to_bits(), "{x:e}");
        assert_eq!(round_to_integral(env, a, Rounding::Down, false, DOUBLE), x.floor().to_bits(), "{x:e}");
        if b << 1 != 0 {
            assert_eq!(div(env, a, b, DOUBLE), (x / y).to_bits(), "{x:e} / {y:e}");
        }
        let positive = a & !DOUBLE.sign();
        assert_eq!(sqrt(env, positive, DOUBLE), x.abs().sqrt().to_bits(), "{x:e}");
        assert_eq!(compare(env, a, b, true, DOUBLE), x.partial_cmp(&y));

        let (a, b, c) = (random.single(), random.single(), random.single());
        let (x, y, z) = (f32::from_bits(a as u32), f32::from_bits(b as u32), f32::from_bits(c as u32));
        let bits = |value: f32| u64::from(value.to_bits());
        assert_eq!(add(env, a, b, false, SINGLE), bits(x + y), "{x:e} + {y:e}");
        assert_eq!(mul(env, a, b, SINGLE), bits(x * y), "{x:e} * {y:e}");
        assert_eq!(mul_add(env, a, b, c, SINGLE), bits(y.mul_add(z, x)), "{x:e} + {y:e} * {z:e}");
        assert_eq!(convert(env, a, SINGLE, DOUBLE), f64::from(x).to_bits());
        assert_eq!(sqrt(env, a & !SINGLE.sign(), SINGLE), bits(x.abs().sqrt()), "{x:e}");
    }
}

#[test]
fn every_half_goes_to_single_and_back() {
    for half in 0..=0xffff_u64 {
        let env = &mut plain();
        let single = convert(env, half, HALF, SINGLE);
        let back = convert(env, single, SINGLE, HALF);
        let is_signalling = half & 0x7e00 == 0x7c00 && half & 0x3ff != 0;
        assert_eq!(back, if is_signalling { half | 0x200 } else { half }, "{half:#x}");
        assert_eq!(env.flags, if is_signalling { flag::INVALID } else { 0 }, "{half:#x}");
        // Without infinities and NaN: the largest exponent is one of numbers.
        let env = &mut Env::new(control::ALTERNATIVE_HALF);
        let single = convert(env, half, HALF, SINGLE);
        assert_eq!((convert(env, single, SINGLE, HALF), env.flags), (half, 0), "{half:#x}");
    }
}

#[test]
fn each_rounding_mode_has_its_neighbour() {
    // 1 + 2^-53 (a tie), 1 + 3 * 2^-53, and a little more than one; both signs.
    let one = 1.0_f64.to_bits();
    let sum = |rounding, n: f64, m: f64| add(&mut with(rounding), n.to_bits(), m.to_bits(), false, DOUBLE);
    let ulp = f64::EPSILON;
    for (rounding, tie, odd_tie, little, negative) in [
        (Rounding::Even, 0, 2, 0, 0),
        (Rounding::Up, 1, 2, 1, 0),
        (Rounding::Down, 0, 1, 0, 1),
        (Rounding::Zero, 0, 1, 0, 0),
        (Rounding::Away, 1, 2, 0, 0),
        (Rounding::Odd, 1, 1, 1, 1),
    ] {
        assert_eq!(sum(rounding, 1.0, ulp / 2.0), one + tie, "{rounding:?}");
        assert_eq!(sum(rounding, 1.0 + ulp, ulp / 2.0), one + odd_tie, "{rounding:?}");
        assert_eq!(sum(rounding, 1.0, 1e-300), one + little, "{rounding:?}");
        assert_eq!(sum(rounding, -1.0, -1e-300), (one + negative) | DOUBLE.sign(), "{rounding:?}");
        // A zero of two signs is negative towards minus infinity only.
        assert_eq!(sum(rounding, 1.0, -1.0) != 0, rounding == Rounding::Down, "{rounding:?}");
        // What is too large.
        let huge = sum(rounding, f64::MAX, f64::MAX);
        let infinite = matches!(rounding, Rounding::Even | Rounding::Up | Rounding::Away);
        assert_eq!(huge == f64::INFINITY.to_bits(), infinite, "{rounding:?}");
    }
}

#[test]
fn nan_rules() {
    let (quiet, signalling, other) = (0x7fc0_0001, 0x7f80_0002, 0xffc0_0003);
    let one = 0x3f80_0000;
    let default = 0x7fc0_0000;
    let check = |n, m, result, flags| {
        let env = &mut plain();
        assert_eq!((add(env, n, m, false, SINGLE), env.flags), (result, flags), "{n:#x} {m:#x}");
        let env = &mut Env::new(control::DEFAULT_NAN);
        assert_eq!((add(env, n, m, false, SINGLE), env.flags), (default, flags), "{n:#x} {m:#x}");
    };
    check(quiet, one, quiet, 0);
    check(one, other, other, 0);
    check(other, quiet, other, 0);
    // A signalling one is first, and becomes quiet.
    check(quiet, signalling, signalling | 0x40_0000, flag::INVALID);
    check(0x7f80_0000, 0xff80_0000, default, flag::INVALID);
    // A quiet addend does not hide zero times infinity.
    let env = &mut plain();
    assert_eq!((mul_add(env, quiet, 0, 0x7f80_0000, SINGLE), env.flags), (default, flag::INVALID));
    let env = &mut plain();
    assert_eq!((mul_extended(env, 0x8000_0000, 0x7f80_0000, SINGLE), env.flags), (0xc000_0000, 0));
    // A number wins against a quiet NaN, a zero of the right sign against the other.
    let env = &mut plain();
    assert_eq!((max_number(env, quiet, one, SINGLE), max(env, quiet, one, SINGLE)), (one, quiet));
    assert_eq!((min(env, 0, 0x8000_0000, SINGLE), max(env, 0x8000_0000, 0, SINGLE)), (0x8000_0000, 0));
    assert_eq!(env.flags, 0);
    assert_eq!((compare(env, quiet, one, false, SINGLE), env.flags), (None, 0));
    assert_eq!((compare(env, quiet, one, true, SINGLE), env.flags), (None, flag::INVALID));
}

/// The root of 2 + 596 ulp goes on with nothing but zeros for as many bits as are computed, and then with others.
#[test]
fn a_root_that_is_nearly_exact_is_not_exact() {
    let (n, root) = (0x4000_0000_0000_0254, 0x3ff6_a09e_667f_3d72);
    let env = &mut plain();
    assert_eq!((sqrt(env, n, DOUBLE), env.flags), (root, flag::INEXACT));
    assert_eq!(sqrt(&mut with(Rounding::Up), n, DOUBLE), root + 1);
}

#[test]
fn exceptions_and_flushing() {
    let flags = |control, f: &dyn Fn(&mut Env) -> u64| {
        let env = &mut Env::new(control);
        (f(env), env.flags)
    };
    let (denormal, smallest, half) = (0x0040_0000, 0x0080_0000, 0x3f00_0000);
    let one = 0x3f80_0000;
    assert_eq!(flags(0, &|env| div(env, one, 0, SINGLE)), (0x7f80_0000, flag::DIVIDE_BY_ZERO));
    assert_eq!(flags(0, &|env| div(env, 0, 0, SINGLE)), (0x7fc0_0000, flag::INVALID));
    assert_eq!(flags(0, &|env| sqrt(env, 0xbf80_0000, SINGLE)), (0x7fc0_0000, flag::INVALID));
    // Denormal and exact is no underflow; inexact is. Flushed, it is an underflow of its own.
    assert_eq!(flags(0, &|env| mul(env, smallest, half, SINGLE)), (denormal, 0));
    assert_eq!(
        flags(0, &|env| mul(env, smallest + 1, half, SINGLE)),
        (denormal, flag::UNDERFLOW | flag::INEXACT)
    );
    assert_eq!(flags(control::FLUSH, &|env| mul(env, smallest, half, SINGLE)), (0, flag::UNDERFLOW));
    assert_eq!(flags(control::FLUSH, &|env| mul(env, denormal, one, SINGLE)), (0, flag::INPUT_DENORMAL));
    // Saturation: NaN is zero.
    let integer = |bits: u64, unsigned| {
        flags(0, &|env| to_integer(env, bits, SINGLE, (32, unsigned, 0), Rounding::Zero))
    };
    assert_eq!(integer(0x7fc0_0000, false), (0, flag::INVALID));
    assert_eq!(integer(0x4f00_0000, false), (0x7fff_ffff, flag::INVALID));
    assert_eq!(integer(0xcf00_0000, false), (0x8000_0000, 0));
    assert_eq!(integer(0xbf80_0000, true), (0, flag::INVALID));
    assert_eq!(integer(0xbf00_0000, true), (0, flag::INEXACT));
    // 1.5 with eight bits behind the point, and back.
    let fixed = (32, false, 8);
    assert_eq!(flags(0, &|env| to_integer(env, 0x3fc0_0000, SINGLE, fixed, Rounding::Zero)), (0x180, 0));
    assert_eq!(flags(0, &|env| from_integer(env, 0x180, fixed, SINGLE)), (0x3fc0_0000, 0));
    // Only one of them is about exactness.
    let rounded =
        |exact| flags(0, &move |env| round_to_integral(env, 0x3fc0_0000, Rounding::Even, exact, SINGLE));
    assert_eq!((rounded(false), rounded(true)), ((0x4000_0000, 0), (0x4000_0000, flag::INEXACT)));
}

#[test]
fn estimates_are_those_of_the_tables() {
    let env = &mut plain();
    // 1, 2 and 1.5: the first entries of both tables.
    assert_eq!(recip_estimate(env, 0x3f80_0000, SINGLE), 0x3f7f_8000);
    assert_eq!(recip_estimate(env, 0x3fc0_0000, SINGLE), 0x3f2a_8000);
    assert_eq!(rsqrt_estimate(env, 0x3f80_0000, SINGLE), 0x3f7f_8000);
    assert_eq!(rsqrt_estimate(env, 0x4080_0000, SINGLE), 0x3eff_8000);
    assert_eq!((unsigned_recip(1 << 31), unsigned_recip(1)), (0xff80_0000, u32::MAX));
    assert_eq!((unsigned_rsqrt(1 << 30), unsigned_rsqrt(1)), (0xff80_0000, u32::MAX));
    assert_eq!(recip_exponent(env, 0x4000_0000, SINGLE), 0x3f80_0000);
    // 2 - 1 * 1, (3 - 1 * 1) / 2.
    assert_eq!(recip_step(env, 0x3f80_0000, 0x3f80_0000, SINGLE), 0x3f80_0000);
    assert_eq!(rsqrt_step(env, 0x3f80_0000, 0x3f80_0000, SINGLE), 0x3f80_0000);
    assert_eq!(env.flags, 0);
}
