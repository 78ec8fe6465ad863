// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Loads, stores, exclusives, atomics, and code that changes.

use super::{Bench, CODE, DEVICE, run};
use crate::bus::Width;
use crate::cpu::Stop;

const DATA: u64 = 0x2_0000;

/// One instruction with X0 as base at [`DATA`]; the bench behind it.
fn access(word: u32, sources: &[u64], memory: u64) -> Bench {
    let mut bench = Bench::new(&[word]);
    bench.cpu.set_x(0, DATA);
    for (at, value) in sources.iter().enumerate() {
        bench.cpu.set_x(at as u8 + 1, *value);
    }
    bench.ram.write(DATA, Width::Double, memory).unwrap();
    assert_eq!(bench.run(1), Stop::Limit);
    assert_eq!(bench.cpu.last_exception(), None, "{word:#x}");
    bench
}

#[test]
fn loads_extend_as_they_say() {
    let memory = 0xf1e2_d3c4_b5a6_9788;
    for (word, result) in [
        (0x3940_0003, 0x88),                  // ldrb w3, [x0]
        (0x7940_0003, 0x9788),                // ldrh w3, [x0]
        (0xb940_0003, 0xb5a6_9788),           // ldr w3, [x0]
        (0xf940_0003, memory),                // ldr x3, [x0]
        (0x3980_0003, 0xffff_ffff_ffff_ff88), // ldrsb x3, [x0]
        (0x39c0_0003, 0xffff_ff88),           // ldrsb w3, [x0]
        (0x7980_0003, 0xffff_ffff_ffff_9788), // ldrsh x3, [x0]
        (0x79c0_0003, 0xffff_9788),           // ldrsh w3, [x0]
        (0xb980_0003, 0xffff_ffff_b5a6_9788), // ldrsw x3, [x0]
    ] {
        assert_eq!(access(word, &[], memory).cpu.x(3), result, "{word:#x}");
    }
    // ldr w3, [x0, x1, lsl #2] with x1 = 1; ldr w3, [x0, w1, sxtw #2] from one word above with w1 = -1.
    assert_eq!(access(0xb861_7803, &[1], memory).cpu.x(3), 0xf1e2_d3c4);
    let mut bench = Bench::new(&[0xb861_d803]);
    bench.cpu.set_x(0, DATA + 4);
    bench.cpu.set_x(1, 0xffff_ffff);
    bench.ram.write(DATA, Width::Double, memory).unwrap();
    bench.run(1);
    assert_eq!(bench.cpu.x(3), 0xb5a6_9788);
}

#[test]
fn stores_and_write_back() {
    // str w1, [x0, #4]; the low half stays.
    let bench = access(0xb900_0401, &[0x1_2345_6789], 7);
    assert_eq!(bench.ram.read(DATA, Width::Double), Ok(0x2345_6789_0000_0007));
    // str x1, [x0, #16]!; str x1, [x0], #-16; ldp x1, x2, [x0], #16; stp w1, w2, [x0, #-8]!
    for (word, base, place) in [
        (0xf801_0c01, DATA + 16, DATA + 16),
        (0xf81f_0401, DATA - 16, DATA),
        (0x29bf_0801, DATA - 8, DATA - 8),
    ] {
        let bench = access(word, &[0x55, 0x66], 0);
        assert_eq!((bench.cpu.x(0), bench.ram.read(place, Width::Word)), (base, Ok(0x55)), "{word:#x}");
    }
    let bench = access(0xa8c1_0801, &[9, 9], 0x77);
    assert_eq!((bench.cpu.x(0), bench.cpu.x(1), bench.cpu.x(2)), (DATA + 16, 0x77, 0));
    // dc zva, x0 with x0 in the middle of a line.
    let mut bench = Bench::new(&[0xd50b_7420]);
    bench.ram.write_bytes(DATA, &[0xff; 192]).unwrap();
    bench.cpu.set_x(0, DATA + 100);
    bench.run(1);
    assert_eq!(bench.ram.read(DATA + 64, Width::Double), Ok(0));
    assert_eq!(bench.ram.read(DATA + 127, Width::Half), Ok(0xff00));
    assert_eq!(bench.ram.read(DATA + 63, Width::Half), Ok(0x00ff));
}

#[test]
fn an_exclusive_store_needs_its_load() {
    // stxr w3, x1, [x0] alone; ldxr x2, [x0]; stxr; the same store again; clrex between.
    let (ldxr, stxr, clrex) = (0xc85f_7c02, 0xc803_7c01, 0xd503_3f5f);
    for (words, status, memory) in [
        (&[stxr][..], 1, 5),
        (&[ldxr, stxr], 0, 9),
        (&[ldxr, stxr, stxr], 1, 9),
        (&[ldxr, clrex, stxr], 1, 5),
        // Loaded from another address.
        (&[0x9100_2000, ldxr, 0xd100_2000, stxr], 1, 5),
    ] {
        let mut bench = Bench::new(words);
        bench.cpu.set_x(0, DATA);
        bench.cpu.set_x(1, 9);
        bench.ram.write(DATA, Width::Double, 5).unwrap();
        bench.run(words.len() as u64);
        assert_eq!((bench.cpu.x(3), bench.ram.read(DATA, Width::Double)), (status, Ok(memory)), "{words:x?}");
    }
}

#[test]
fn atomics_return_the_old_value() {
    for (word, old, operand, new) in [
        (0xf861_0003, 5, 7, 12),              // ldadd x1, x3, [x0]
        (0xf861_1003, 0xff, 0x0f, 0xf0),      // ldclr
        (0xf861_2003, 0xff, 0x0f, 0xf0),      // ldeor
        (0xf861_3003, 0xf0, 0x0f, 0xff),      // ldset
        (0xf861_4003, u64::MAX, 3, 3),        // ldsmax
        (0xf861_5003, u64::MAX, 3, u64::MAX), // ldsmin
        (0xf861_6003, u64::MAX, 3, u64::MAX), // ldumax
        (0xf861_7003, u64::MAX, 3, 3),        // ldumin
        (0xf861_8003, 1, 2, 2),               // swp
        (0x3821_4003, 0x1280, 0x01, 0x1201),  // ldsmaxb: 0x80 is negative
    ] {
        let bench = access(word, &[operand], old);
        let loaded = if word >> 30 == 0 { old & 0xff } else { old };
        assert_eq!((bench.cpu.x(3), bench.ram.read(DATA, Width::Double)), (loaded, Ok(new)), "{word:#x}");
    }
    // cas x1, x2, [x0]: stores X2 where memory is X1.
    let bench = access(0xc8a1_7c02, &[5, 6], 5);
    assert_eq!((bench.cpu.x(1), bench.ram.read(DATA, Width::Double)), (5, Ok(6)));
    let bench = access(0xc8a1_7c02, &[4, 6], 5);
    assert_eq!((bench.cpu.x(1), bench.ram.read(DATA, Width::Double)), (5, Ok(5)));
}

#[test]
fn devices_see_address_width_and_value() {
    // str w1, [x0]; ldrb w3, [x0, #4]
    let mut bench = Bench::new(&[0xb900_0001, 0x3940_1003]);
    bench.cpu.set_x(0, DEVICE);
    bench.cpu.set_x(1, 0x1_0000_0abc);
    bench.run(2);
    assert_eq!(bench.device.accesses, [(DEVICE, Width::Word, Some(0xabc)), (DEVICE + 4, Width::Byte, None)]);
    assert_eq!(bench.cpu.x(3), 0xbc);
    // A device may end the run; the instruction is complete then.
    let mut bench = Bench::new(&[0xb900_0001]);
    bench.cpu.set_x(0, DEVICE);
    bench.cpu.set_x(1, 0xdead);
    assert_eq!((bench.run(1000), bench.device.value), (Stop::Requested, 0xdead));
}

#[test]
fn code_that_was_overwritten_is_decoded_again() {
    // A function called twice; between the calls its first instruction is replaced.
    // bl f; str w2, [x1]; isb; bl f; b .; f: add x3, x3, #1; ret
    let words = [0x9400_0005, 0xb900_0022, 0xd503_3fdf, 0x9400_0002, 0x1400_0000, 0x9100_0463, 0xd65f_03c0];
    let mut bench = Bench::new(&words);
    bench.cpu.set_x(1, CODE + 20);
    // add x3, x3, #16
    bench.cpu.set_x(2, 0x9100_4063);
    bench.run(8);
    assert_eq!(bench.cpu.x(3), 17);
    // The same by a device that writes memory itself.
    bench.ram.write(CODE + 20, Width::Word, 0x9104_0063).unwrap();
    bench.core().pc = CODE;
    bench.cpu.set_x(1, DATA);
    bench.run(3);
    assert_eq!(bench.cpu.x(3), 17 + 256);
    // Data in the page of code does not drop it: only the line counts.
    let slot = bench.ram.slot(CODE).unwrap();
    bench.ram.write(CODE + 0x800, Width::Word, 1).unwrap();
    assert!(bench.ram.has_code(slot));
}

#[test]
fn code_in_a_page_that_was_written_before_is_seen_to_change() {
    // str w2, [x1]; blr x1; str w4, [x1]; isb; blr x1: the first store leaves the page in the TLB.
    let mut bench = Bench::new(&[0xb900_0022, 0xd63f_0020, 0xb900_0024, 0xd503_3fdf, 0xd63f_0020]);
    bench.put(DATA + 4, &[0xd65f_03c0]);
    // add x3, x3, #1; add x3, x3, #16
    for (register, value) in [(1, DATA), (2, 0x9100_0463), (4, 0x9100_4063)] {
        bench.cpu.set_x(register, value);
    }
    bench.run(9);
    assert_eq!(bench.cpu.x(3), 17);
}

#[test]
fn the_memory_limit_ends_the_run() {
    // str x0, [x0]; add x0, x0, #4096; b .-8
    let mut bench = Bench::new(&[0xf900_0000, 0x9140_0400, 0x17ff_fffe]);
    bench.ram = crate::ram::Ram::new(std::slice::from_ref(&(0..0x100_0000)), 0x1_0000);
    bench.put(CODE, &[0xf900_0000, 0x9140_0400, 0x17ff_fffe]);
    bench.cpu.set_x(0, DATA);
    assert_eq!(bench.run(1_000_000), Stop::MemoryLimit);
    assert!(bench.ram.resident_bytes() <= 0x1_0000);
}

#[test]
fn a_run_is_repeatable() {
    let words = [0xd53b_e020, 0x8b00_0063, 0xd280_0c84, 0xf100_0484, 0x54ff_ffe1, 0x17ff_fffb];
    let state = || {
        let mut bench = Bench::new(&words);
        bench.run(100_000);
        (bench.cpu.instructions(), bench.cpu.ticks(), bench.cpu.x(3))
    };
    assert_eq!(state(), state());
    assert!(run(&words, &[]).ticks() >= 24);
}
