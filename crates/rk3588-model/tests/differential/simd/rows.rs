// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which instructions of floating point and SIMD there are (DDI 0487, C4.1), without what came after Armv8.0.

/// Sizes that an instruction has, one bit for each.
pub const BHW: u32 = 0b0111;
pub const HW: u32 = 0b0110;
pub const ALL: u32 = 0b1111;
pub const B: u32 = 0b0001;
pub const D: u32 = 0b1000;
pub const SD: u32 = 0b1100;

/// U, opcode, sizes as vector, sizes as scalar.
pub type Row = (u32, u32, u32, u32);

/// "Advanced SIMD three same", integers.
#[rustfmt::skip] // A table: one row on a line would hide it.
pub const THREE_SAME: [Row; 43] = [
    (0, 0, BHW, 0), (1, 0, BHW, 0), (0, 1, ALL, ALL), (1, 1, ALL, ALL), (0, 2, BHW, 0), (1, 2, BHW, 0),
    (0, 3, ALL, 0), (1, 3, ALL, 0), (0, 4, BHW, 0), (1, 4, BHW, 0), (0, 5, ALL, ALL), (1, 5, ALL, ALL),
    (0, 6, ALL, D), (1, 6, ALL, D), (0, 7, ALL, D), (1, 7, ALL, D), (0, 8, ALL, D), (1, 8, ALL, D),
    (0, 9, ALL, ALL), (1, 9, ALL, ALL), (0, 10, ALL, D), (1, 10, ALL, D), (0, 11, ALL, ALL),
    (1, 11, ALL, ALL), (0, 12, BHW, 0), (1, 12, BHW, 0), (0, 13, BHW, 0), (1, 13, BHW, 0), (0, 14, BHW, 0),
    (1, 14, BHW, 0), (0, 15, BHW, 0), (1, 15, BHW, 0), (0, 16, ALL, D), (1, 16, ALL, D), (0, 17, ALL, D),
    (1, 17, ALL, D), (0, 18, BHW, 0), (1, 18, BHW, 0), (0, 19, BHW, 0), (1, 19, B, 0), (0, 22, HW, HW),
    (1, 22, HW, HW), (0, 23, ALL, 0),
];
/// Those with neighbours: SMAXP, UMAXP, SMINP, UMINP.
#[rustfmt::skip] // A table: one row on a line would hide it.
pub const PAIRS: [Row; 4] = [
    (0, 20, BHW, 0), (1, 20, BHW, 0), (0, 21, BHW, 0), (1, 21, BHW, 0),
];
/// The same for numbers: U, upper bit of the size and opcode, whether vector, whether scalar.
#[rustfmt::skip] // A table: one row on a line would hide it.
pub const THREE_SAME_FLOAT: [Row; 24] = [
    (0, 24, 1, 0), (0, 25, 1, 0), (0, 26, 1, 0), (0, 27, 1, 1), (0, 28, 1, 1), (0, 30, 1, 0), (0, 31, 1, 1),
    (0, 56, 1, 0), (0, 57, 1, 0), (0, 58, 1, 0), (0, 62, 1, 0), (0, 63, 1, 1), (1, 24, 1, 0), (1, 26, 1, 0),
    (1, 27, 1, 0), (1, 28, 1, 1), (1, 29, 1, 1), (1, 30, 1, 0), (1, 31, 1, 0), (1, 56, 1, 0), (1, 58, 1, 1),
    (1, 60, 1, 1), (1, 61, 1, 1), (1, 62, 1, 0),
];
/// "Advanced SIMD three different".
#[rustfmt::skip] // A table: one row on a line would hide it.
pub const THREE_DIFFERENT: [Row; 25] = [
    (0, 0, BHW, 0), (1, 0, BHW, 0), (0, 1, BHW, 0), (1, 1, BHW, 0), (0, 2, BHW, 0), (1, 2, BHW, 0),
    (0, 3, BHW, 0), (1, 3, BHW, 0), (0, 4, BHW, 0), (1, 4, BHW, 0), (0, 5, BHW, 0), (1, 5, BHW, 0),
    (0, 6, BHW, 0), (1, 6, BHW, 0), (0, 7, BHW, 0), (1, 7, BHW, 0), (0, 8, BHW, 0), (1, 8, BHW, 0),
    (0, 9, HW, HW), (0, 10, BHW, 0), (1, 10, BHW, 0), (0, 11, HW, HW), (0, 12, BHW, 0), (1, 12, BHW, 0),
    (0, 13, HW, HW),
];
/// "Advanced SIMD two-register miscellaneous", integers.
#[rustfmt::skip] // A table: one row on a line would hide it.
pub const TWO_REGISTER: [Row; 31] = [
    (0, 0, BHW, 0), (1, 0, 0b11, 0), (0, 1, B, 0), (0, 2, BHW, 0), (1, 2, BHW, 0), (0, 3, ALL, ALL),
    (1, 3, ALL, ALL), (0, 4, BHW, 0), (1, 4, BHW, 0), (0, 5, B, 0), (1, 5, 0b11, 0), (0, 6, BHW, 0),
    (1, 6, BHW, 0), (0, 7, ALL, ALL), (1, 7, ALL, ALL), (0, 8, ALL, D), (1, 8, ALL, D), (0, 9, ALL, D),
    (1, 9, ALL, D), (0, 10, ALL, D), (0, 11, ALL, D), (1, 11, ALL, D), (0, 18, BHW, 0), (1, 18, BHW, BHW),
    (1, 19, BHW, 0), (0, 20, BHW, BHW), (1, 20, BHW, BHW), (0, 22, 0b11, 0), (1, 22, 0b10, 0b10),
    (0, 23, 0b11, 0), (0, 1, B, 0),
];
/// The same for numbers: U, upper bit of the size and opcode, sizes (of which the upper bit is set here).
#[rustfmt::skip] // A table: one row on a line would hide it.
pub const TWO_REGISTER_FLOAT: [Row; 37] = [
    (0, 24, SD, 0), (1, 24, SD, 0), (0, 25, SD, 0), (1, 25, SD, 0), (0, 26, SD, SD), (1, 26, SD, SD),
    (0, 27, SD, SD), (1, 27, SD, SD), (0, 28, SD, SD), (1, 28, SD, SD), (0, 29, SD, SD), (1, 29, SD, SD),
    (0, 44, SD, SD), (1, 44, SD, SD), (0, 45, SD, SD), (1, 45, SD, SD), (0, 46, SD, SD), (0, 47, SD, 0),
    (1, 47, SD, 0), (0, 56, SD, 0), (0, 57, SD, 0), (1, 57, SD, 0), (0, 58, SD, SD), (1, 58, SD, SD),
    (0, 59, SD, SD), (1, 59, SD, SD), (0, 60, 0b0100, 0), (1, 60, 0b0100, 0), (0, 61, SD, SD),
    (1, 61, SD, SD), (0, 63, 0, SD), (1, 63, SD, 0), (0, 61, SD, SD), (1, 61, SD, SD), (0, 29, SD, SD),
    (1, 29, SD, SD), (1, 63, SD, 0),
];
/// "Advanced SIMD across lanes".
#[rustfmt::skip] // A table: one row on a line would hide it.
pub const ACROSS: [Row; 7] = [
    (0, 3, BHW, 0), (1, 3, BHW, 0), (0, 10, BHW, 0), (1, 10, BHW, 0), (0, 26, BHW, 0), (1, 26, BHW, 0),
    (0, 27, BHW, 0),
];
/// "Advanced SIMD vector x indexed element".
#[rustfmt::skip] // A table: one row on a line would hide it.
pub const ELEMENT: [Row; 19] = [
    (1, 0, HW, 0), (1, 4, HW, 0), (0, 8, HW, 0), (0, 2, HW, 0), (1, 2, HW, 0), (0, 6, HW, 0), (1, 6, HW, 0),
    (0, 10, HW, 0), (1, 10, HW, 0), (0, 3, HW, HW), (0, 7, HW, HW), (0, 11, HW, HW), (0, 12, HW, HW),
    (0, 13, HW, HW), (0, 1, SD, SD), (0, 5, SD, SD), (0, 9, SD, SD), (1, 9, SD, SD), (0, 1, SD, SD),
];
/// "Advanced SIMD shift by immediate".
#[rustfmt::skip] // A table: one row on a line would hide it.
pub const SHIFT: [Row; 26] = [
    (0, 0, ALL, D), (1, 0, ALL, D), (0, 2, ALL, D), (1, 2, ALL, D), (0, 4, ALL, D), (1, 4, ALL, D),
    (0, 6, ALL, D), (1, 6, ALL, D), (1, 8, ALL, D), (0, 10, ALL, D), (1, 10, ALL, D), (1, 12, ALL, ALL),
    (0, 14, ALL, ALL), (1, 14, ALL, ALL), (0, 16, BHW, 0), (1, 16, BHW, BHW), (0, 17, BHW, 0),
    (1, 17, BHW, BHW), (0, 18, BHW, BHW), (1, 18, BHW, BHW), (0, 19, BHW, BHW), (1, 19, BHW, BHW),
    (0, 20, BHW, 0), (1, 20, BHW, 0), (0, 28, SD, SD), (0, 31, SD, SD),
];
