// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The static program around the sequences: an ELF file whose one segment is loaded where it says.
//!
//! Register use: X0 to X25 are the sequences', X26 is a base register that they may move, X27 points at a cell
//! that is aligned for atomics, X28 at the scratch area, X29 and X30 are this frame's. All V registers are the
//! sequences'.

use super::random::Random;
use super::simd::values::half_register;

/// Address of the segment, which holds the whole file.
pub const BASE: u64 = 0x40_0000;
/// Registers stored after a sequence: X0 to X28, one unused, `FPSR`, flags; then V0 to V31, then the scratch area.
const REGISTERS: usize = 32;
const VECTORS: usize = 32 * 2;
/// Bytes that loads and stores reach; the base stands in the middle.
pub const SCRATCH: usize = 1024;
const RESULT: usize = (REGISTERS + VECTORS) * 8 + SCRATCH;
const HEADERS: usize = 64 + 56;

/// A program with its sequences.
pub struct Program {
    /// The file, which is also what is in memory from [`BASE`] on.
    pub image: Vec<u8>,
    /// Address of the first instruction.
    pub entry: u64,
    /// Address behind the last sequence, where the results are written out.
    pub end: u64,
    /// Address of the results.
    pub results: u64,
    /// Their size in bytes.
    pub result_bytes: usize,
    /// The random words, for messages.
    pub sequences: Vec<Vec<u32>>,
}

/// What the eight bytes at `index` of a result are.
pub fn result_name(index: usize) -> String {
    match index {
        30 => "fpsr".to_owned(),
        31 => "nzcv".to_owned(),
        0..REGISTERS => format!("x{index}"),
        _ if index < REGISTERS + VECTORS => format!("v{}.d[{}]", (index - REGISTERS) / 2, index % 2),
        _ => format!("scratch+{:#x}", (index - REGISTERS - VECTORS) * 8),
    }
}

/// Code under construction.
struct Code(Vec<u32>);

impl Code {
    /// MOVZ and three MOVK.
    fn constant(&mut self, register: u32, value: u64) {
        for part in 0..4 {
            let base = if part == 0 { 0xd280_0000 } else { 0xf280_0000 };
            let half = (value >> (16 * part)) as u32 & 0xffff;
            self.0.push(base | part << 21 | half << 5 | register);
        }
    }
}

impl Program {
    /// The program of a seed; `sequence` gives the words for an address.
    pub fn new(seed: u64, count: usize, sequence: fn(&mut Random, u64) -> Vec<u32>) -> Self {
        let mut random = Random::new(seed);
        let entry = BASE + HEADERS as u64;
        // Results and the scratch area have fixed places far behind the code.
        let scratch = BASE + 0x100_0000;
        let results = scratch + 0x1_0000;
        let mut code = Code(Vec::new());
        let mut sequences = Vec::new();
        for number in 0..count {
            for register in 0..26 {
                // The index of loads is small from the start: a branch may skip what makes it so.
                let value = if register == 25 { 8 } else { random.value() };
                code.constant(register, value);
            }
            code.constant(26, scratch + SCRATCH as u64 / 2);
            code.constant(27, scratch + 256);
            code.constant(28, scratch);
            // Over the values of the V registers, at an even place: b #520; then adr x29, #-512
            if code.0.len().is_multiple_of(2) {
                code.0.push(0xd503_201f);
            }
            code.0.push(0x1400_0000 | 129);
            for _ in 0..VECTORS {
                let half = half_register(&mut random);
                code.0.extend([half as u32, (half >> 32) as u32]);
            }
            code.0.push(0x10ff_f01d);
            for pair in 0..16 {
                // ldp q, q, [x29, #…]
                code.0.push(0xad40_03a0 | (pair * 2) << 15 | (pair * 2 + 1) << 10 | (pair * 2));
            }
            // FPCR: AHP, DN, FZ, RMode, mostly none; msr fpcr, x29; msr fpsr, xzr
            let control = if random.bit() == 0 { 0 } else { random.next() & 0x07c0_0000 };
            code.constant(29, control);
            code.0.extend([0xd51b_441d, 0xd51b_443f]);
            code.constant(29, random.next() & 0xf000_0000);
            // msr nzcv, x29; mov sp, x26
            code.0.extend([0xd51b_421d, 0x9100_035f]);
            let words = sequence(&mut random, entry + 4 * code.0.len() as u64);
            code.0.extend(&words);
            sequences.push(words);
            // Results: stp of pairs to [x30], then the flags, then the scratch area by a loop.
            code.constant(30, results + (number * RESULT) as u64);
            for pair in 0..14 {
                let (first, second) = (pair * 2, pair * 2 + 1);
                code.0.push(0xa900_03c0 | (pair * 2) << 15 | second << 10 | first);
            }
            code.0.extend([
                0xf900_73dc, // str x28, [x30, #224]
                0xd53b_421d, // mrs x29, nzcv
                0xf900_7fdd, // str x29, [x30, #248]
                0xd53b_443d, // mrs x29, fpsr
                0xf900_7bdd, // str x29, [x30, #240]
                0x9104_03de, // add x30, x30, #256
            ]);
            for pair in 0..16 {
                // stp q, q, [x30], #32
                code.0.push(0xac81_03c0 | (pair * 2 + 1) << 10 | (pair * 2));
            }
            code.0.extend([
                0x9110_0380, // add x0, x28, #1024
                0xf840_8781, // loop: ldr x1, [x28], #8
                0xf800_87c1, // str x1, [x30], #8
                0xeb00_039f, // cmp x28, x0
                0x54ff_ffa1, // b.ne loop
            ]);
        }
        // A branch, so that the end begins a block.
        code.0.push(0x1400_0001);
        let end = entry + 4 * code.0.len() as u64;
        let result_bytes = count * RESULT;
        code.constant(19, results);
        code.constant(20, result_bytes as u64);
        code.0.extend([
            0xd280_0020, // loop: mov x0, #1
            0xaa13_03e1, // mov x1, x19
            0xaa14_03e2, // mov x2, x20
            0xd280_0808, // mov x8, #64: write
            0xd400_0001, // svc #0
            0x8b00_0273, // add x19, x19, x0
            0xeb00_0294, // subs x20, x20, x0
            0x54ff_ff21, // b.ne loop
            0xd280_0000, // mov x0, #0
            0xd280_0bc8, // mov x8, #94: exit_group
            0xd400_0001, // svc #0
        ]);
        let image = elf(entry, &code.0, (results - BASE) as usize + result_bytes);
        Self { image, entry, end, results, result_bytes, sequences }
    }
}

/// The file: header, one loadable segment with all rights, code.
fn elf(entry: u64, code: &[u32], memory: usize) -> Vec<u8> {
    let size = HEADERS + 4 * code.len();
    let mut file = Vec::with_capacity(size);
    // e_ident: 64 bit, little endian, version 1.
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    // e_type executable, e_machine 183 (AArch64), e_version.
    file.extend([2, 0, 183, 0, 1, 0, 0, 0]);
    for value in [entry, 64, 0] {
        file.extend(value.to_le_bytes());
    }
    // e_flags, then sizes and counts of headers.
    file.extend([0; 4]);
    for value in [64_u16, 56, 1, 0, 0, 0] {
        file.extend(value.to_le_bytes());
    }
    // p_type load, p_flags read, write, execute.
    file.extend([1, 0, 0, 0, 7, 0, 0, 0]);
    for value in [0, BASE, BASE, size as u64, memory as u64, 0x1000] {
        file.extend(value.to_le_bytes());
    }
    file.extend(code.iter().flat_map(|word| word.to_le_bytes()));
    file
}
