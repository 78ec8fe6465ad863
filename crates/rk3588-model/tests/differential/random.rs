// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Random valid instructions, with a generator of its own so that a seed names the same sequence for ever.

use super::program::SCRATCH;

/// xorshift64*, Vigna 2016.
pub struct Random(u64);

impl Random {
    /// From a seed other than 0.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Any 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `end`.
    pub fn below(&mut self, end: u32) -> u32 {
        ((self.next() >> 32) % u64::from(end)) as u32
    }

    /// A register value: often one at a border.
    pub fn value(&mut self) -> u64 {
        let value = self.next();
        match value & 7 {
            0 => value >> 8 & 3,
            1 => 0_u64.wrapping_sub(value >> 8 & 3),
            2 => 1 << (value >> 8 & 63),
            3 => (1 << (value >> 8 & 63)) - 1,
            4 => value >> 32,
            _ => self.next(),
        }
    }

    /// Zero or one.
    pub fn bit(&mut self) -> u32 {
        self.below(2)
    }

    /// A source register: X0 to X25 or the zero register.
    pub fn source(&mut self) -> u32 {
        let register = self.below(27);
        if register == 26 { 31 } else { register }
    }

    /// A register that may be written: X0 to X23, since X24 is the status of exclusives and X25 the index of loads.
    pub fn target(&mut self) -> u32 {
        self.below(24)
    }
}

/// Instructions in a sequence.
const LENGTH: usize = 16;

/// A sequence that stands at `address`.
pub fn sequence(random: &mut Random, address: u64) -> Vec<u32> {
    let mut words = Vec::new();
    while words.len() < LENGTH {
        let at = address + 4 * words.len() as u64;
        match random.below(14) {
            0 => words.push(add_sub_immediate(random)),
            1 => words.push(logical_immediate(random)),
            2 => words.push(move_or_address(random)),
            3 => words.push(bit_field(random)),
            4 => words.push(logical_or_add_shifted(random)),
            5 => words.push(extended_or_carry(random)),
            6 => words.push(conditional(random)),
            7 => words.push(sources(random)),
            8 => words.push(load_store_offset(random)),
            9 => words.extend(load_store_register(random)),
            10 => words.push(load_store_pair(random)),
            11 => words.extend(exclusive_or_atomic(random)),
            12 => branch(random, &mut words),
            _ => words.push(literal(random, at)),
        }
    }
    // Branches go at most three instructions on.
    words.extend([0xd503_201f; 3]);
    words
}

fn rd_rn_rm(random: &mut Random) -> u32 {
    random.target() | random.source() << 5 | random.source() << 16
}

fn sf(random: &mut Random) -> u32 {
    random.bit() << 31
}

fn add_sub_immediate(random: &mut Random) -> u32 {
    let fields = random.below(8) << 29 | random.below(0x2000) << 10;
    // 31 as a source is the stack pointer, which holds the base here.
    0x1100_0000 | fields | random.source() << 5 | random.target()
}

fn logical_immediate(random: &mut Random) -> u32 {
    let log = 1 + random.below(6);
    let (size, is64) = (1 << log, if log == 6 { 1 } else { random.bit() });
    let length = random.below(size - 1);
    // The element's size is in the ones above the length: 111110 for 2, 0xxxxx and N for 64.
    let imms = (0x3f ^ (2 * size - 1)) & 0x3f | length;
    let n = u32::from(log == 6);
    let immr = random.below(if is64 == 1 { 64 } else { 32 });
    let word = 0x1200_0000 | is64 << 31 | random.below(4) << 29 | n << 22 | immr << 16 | imms << 10;
    word | random.source() << 5 | random.target()
}

fn move_or_address(random: &mut Random) -> u32 {
    let is64 = random.bit();
    match random.below(5) {
        0 => 0x1000_0000 | (random.next() as u32 & 0xe0ff_ffe0) | random.target(),
        kind => {
            let opc = [0, 0, 2, 3, 3][kind as usize];
            let hw = random.below(if is64 == 1 { 4 } else { 2 });
            is64 << 31 | 0x1280_0000 | opc << 29 | hw << 21 | random.below(0x1_0000) << 5 | random.target()
        }
    }
}

fn bit_field(random: &mut Random) -> u32 {
    let is64 = random.bit();
    let end = 32 << is64;
    let (immr, imms) = (random.below(end), random.below(end));
    let common = is64 << 31 | is64 << 22 | imms << 10 | random.source() << 5 | random.target();
    match random.below(4) {
        3 => 0x1380_0000 | common | random.source() << 16,
        opc => 0x1300_0000 | opc << 29 | common | immr << 16,
    }
}

fn logical_or_add_shifted(random: &mut Random) -> u32 {
    let is64 = random.bit();
    let amount = if random.bit() == 0 { 0 } else { random.below(32 << is64) };
    let common = is64 << 31 | random.below(4) << 29 | amount << 10 | rd_rn_rm(random);
    if random.bit() == 0 {
        0x0a00_0000 | common | random.below(4) << 22 | random.bit() << 21
    } else {
        0x0b00_0000 | common | random.below(3) << 22
    }
}

fn extended_or_carry(random: &mut Random) -> u32 {
    let common = random.below(8) << 29 | rd_rn_rm(random);
    if random.bit() == 0 {
        0x0b20_0000 | common | random.below(8) << 13 | random.below(5) << 10
    } else {
        0x1a00_0000 | common
    }
}

fn conditional(random: &mut Random) -> u32 {
    let condition = random.below(16) << 12;
    if random.bit() == 0 {
        let select = sf(random) | random.bit() << 30 | random.bit() << 10;
        return 0x1a80_0000 | select | condition | rd_rn_rm(random);
    }
    let compare = sf(random) | random.bit() << 30 | random.bit() << 11 | random.below(16);
    let second = if compare >> 11 & 1 == 1 { random.below(32) } else { random.source() };
    0x3a40_0000 | compare | condition | random.source() << 5 | second << 16
}

fn sources(random: &mut Random) -> u32 {
    let is64 = random.bit();
    let top = is64 << 31;
    match random.below(4) {
        0 => {
            let opcode = [0, 1, 2, 4, 5][random.below(5) as usize];
            0x5ac0_0000 | top | opcode << 10 | random.source() << 5 | random.target()
        }
        1 => 0xdac0_0c00 | random.source() << 5 | random.target(),
        2 => {
            let opcode = [2, 3, 8, 9, 10, 11, 16, 20][random.below(8) as usize];
            let crc = opcode >= 16;
            let (top, opcode) = if !crc {
                (top, opcode)
            } else if is64 == 1 {
                (top, opcode | 3)
            } else {
                (0, opcode | random.below(3))
            };
            0x1ac0_0000 | top | opcode << 10 | rd_rn_rm(random)
        }
        _ => {
            let common = random.bit() << 15 | random.source() << 10 | rd_rn_rm(random);
            match random.below(5) {
                0 => 0x9b20_0000 | common,
                1 => 0x9ba0_0000 | common,
                2 => 0x9b40_7c00 | rd_rn_rm(random),
                3 => 0x9bc0_7c00 | rd_rn_rm(random),
                _ => 0x1b00_0000 | top | common,
            }
        }
    }
}

/// A size code of loads and stores: `size << 2 | opc`, all integer ones.
fn size_code(random: &mut Random) -> (u32, u32) {
    [(0, 0), (1, 0), (2, 0), (3, 0), (0, 1), (1, 1), (2, 1), (3, 1), (0, 2), (1, 2), (2, 2), (0, 3), (1, 3)]
        [random.below(13) as usize]
}

/// An immediate offset from the base, which is in the middle of the scratch area; aligned, since memory without
/// translation is device memory.
fn load_store_offset(random: &mut Random) -> u32 {
    let (size, opc) = size_code(random);
    let common = size << 30 | opc << 22 | random.target();
    match random.below(4) {
        // From X28, the start of the area.
        0 => 0x3900_0000 | common | 28 << 5 | random.below((SCRATCH as u32) >> size) << 10,
        form => {
            let scaled = (random.below(16) as i32 - 8) * (1 << size);
            // Write-back keeps the base a multiple of 8.
            let offset = if form == 1 { scaled } else { (random.below(9) as i32 - 4) * 8 };
            0x3800_0000 | common | 26 << 5 | (offset as u32 & 0x1ff) << 12 | [0, 0, 1, 3][form as usize] << 10
        }
    }
}

/// An index register, prepared by an AND to a small multiple of 8.
fn load_store_register(random: &mut Random) -> [u32; 2] {
    let (size, opc) = size_code(random);
    // and x25, xN, #0x38
    let and = 0x927d_0800 | random.source() << 5 | 25;
    let option = [2, 3, 6, 7][random.below(4) as usize];
    let word = 0x3820_0800 | size << 30 | opc << 22 | 25 << 16 | option << 13 | random.bit() << 12 | 28 << 5;
    [and, word | random.target()]
}

fn load_store_pair(random: &mut Random) -> u32 {
    let load = random.bit();
    let first = random.target();
    // A pair never loads one register twice.
    let second = if load == 1 { (first + 1 + random.below(23)) % 24 } else { random.source() };
    let form = random.below(4);
    // LDPSW is a load and has no non-temporal form.
    let opc = match random.below(3) {
        1 if load == 1 && form != 0 => 1,
        1 => 0,
        other => other,
    };
    let imm = if opc == 2 { random.below(5) as i32 - 2 } else { (random.below(5) as i32 - 2) * 2 };
    let common = opc << 30 | load << 22 | (imm as u32 & 0x7f) << 15 | second << 10 | 26 << 5 | first;
    0x2800_0000 | form << 23 | common
}

/// On the cell of X27: an exclusive pair of load and store, or one atomic instruction.
fn exclusive_or_atomic(random: &mut Random) -> Vec<u32> {
    let size = random.below(4) << 30;
    let (a, mut b) = (random.target(), random.source());
    if b == 24 {
        b = 31;
    }
    let order = random.bit() << 15;
    let atomic = size | random.below(4) << 22 | 27 << 5 | b << 16 | a;
    match random.below(6) {
        // The status register is neither the data nor the base.
        0 => vec![
            0x085f_7c00 | order | size | 27 << 5 | a,
            0x0800_7c00 | order | size | 24 << 16 | 27 << 5 | b,
        ],
        1 => {
            let size = 0x8000_0000 | random.bit() << 30;
            let second = (a + 1) % 24;
            let load = 0x087f_0000 | order | size | second << 10 | 27 << 5 | a;
            vec![load, 0x0820_0000 | order | size | 24 << 16 | second << 10 | 27 << 5 | b]
        }
        2 => vec![0x08df_fc00 | size | 27 << 5 | a, 0x089f_fc00 | size | 27 << 5 | b],
        // CAS; the compared register is a target.
        3 => vec![0x08a0_7c00 | size | random.bit() << 22 | order | random.target() << 16 | 27 << 5 | b],
        4 => vec![0x3820_8000 | atomic],
        _ => vec![0x3820_0000 | atomic | random.below(8) << 12],
    }
}

/// A branch over one to three instructions, or a call that sets X30.
fn branch(random: &mut Random, words: &mut Vec<u32>) {
    let distance = 1 + random.below(3);
    let source = random.source();
    let word = match random.below(7) {
        0 => 0x1400_0000 | distance,
        1 => 0x9400_0000 | distance,
        2 => 0x5400_0000 | distance << 5 | random.below(16),
        3 => 0x3400_0000 | sf(random) | random.bit() << 24 | distance << 5 | source,
        4 => 0x3600_0000 | random.bit() << 24 | sf(random) | random.below(32) << 19 | distance << 5 | source,
        // Compare and branch, which the model takes as one.
        5 => {
            words.push(0x6b00_001f | sf(random) | source << 5 | random.source() << 16);
            0x5400_0000 | distance << 5 | random.below(16)
        }
        _ => {
            words.push(0x7100_001f | sf(random) | source << 5 | random.below(0x1000) << 10);
            0x5400_0000 | distance << 5 | random.below(16)
        }
    };
    words.push(word);
}

/// A literal in the code around, aligned to its size.
fn literal(random: &mut Random, address: u64) -> u32 {
    let opc = random.below(3);
    let distance = random.below(16) as i32 - 8;
    let odd = (address as i64 / 4 + i64::from(distance)) & 1 != 0;
    let distance = if opc == 1 && odd { distance + 1 } else { distance };
    0x1800_0000 | opc << 30 | (distance as u32 & 0x7_ffff) << 5 | random.target()
}
