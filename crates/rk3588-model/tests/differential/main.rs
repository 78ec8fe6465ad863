// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The interpreter against a second implementation: random sequences of valid instructions on random registers,
//! run by `qemu-aarch64` and by the model; registers, flags and memory afterwards must be the same.
//!
//! One static program holds all sequences, written byte by byte: no assembler, no C library. Both run the same
//! bytes at the same addresses.

mod program;
mod random;
mod simd;

use fw_build::run::Cmd;
use program::{BASE, Program};
use random::Random;
use rk3588_model::bus::{Access, BusFault, Mmio, Width};
use rk3588_model::cpu::{Cpu, Stop};
use rk3588_model::ram::Ram;
use std::os::unix::fs::PermissionsExt;

/// Sequences in one program, and programs.
const SEQUENCES: usize = 1000;
const PROGRAMS: u64 = 4;

/// The sequences reach no device.
struct Nothing;

impl Mmio for Nothing {
    fn read(&mut self, _: &mut Access<'_>, _: u64, _: Width) -> Result<u64, BusFault> {
        Err(BusFault)
    }

    fn write(&mut self, _: &mut Access<'_>, _: u64, _: Width, _: u64) -> Result<(), BusFault> {
        Err(BusFault)
    }
}

/// What the model leaves in the result area.
fn model(program: &Program) -> Result<Vec<u8>, String> {
    let mut ram = Ram::new(std::slice::from_ref(&(BASE..BASE + 0x200_0000)), 0x200_0000);
    ram.write_bytes(BASE, &program.image).map_err(|error| error.to_string())?;
    let mut cpu = Cpu::new(program.entry);
    cpu.stop_on_fault([true; 4]);
    cpu.watch(std::slice::from_ref(&(program.end..program.end + 4)));
    match cpu.run(&mut ram, &mut Nothing, 4_000_000) {
        Stop::Watch => {}
        stop => return Err(format!("{stop:?} at {:#x}: {:x?}", cpu.pc(), cpu.last_exception())),
    }
    let mut results = vec![0; program.result_bytes];
    ram.read_bytes(program.results, &mut results).map_err(|error| error.to_string())?;
    Ok(results)
}

/// What the second implementation writes to its standard output.
fn second(program: &Program) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("temporary folder");
    let file = folder.path().join("sequences");
    fs_err::write(&file, &program.image).expect("write the program");
    fs_err::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("make it executable");
    Cmd::new("qemu-aarch64")
        .arg(&file)
        .output()
        .expect("`qemu-aarch64` of package qemu-user runs the sequences")
}

/// The first sequence whose results differ.
fn compare(program: &Program, ours: &[u8], theirs: &[u8]) -> Result<(), String> {
    if ours.len() != theirs.len() {
        return Err(format!("{} bytes of results against {}", ours.len(), theirs.len()));
    }
    let size = program.result_bytes / program.sequences.len();
    for (number, words) in program.sequences.iter().enumerate() {
        let part = number * size..(number + 1) * size;
        let (ours, theirs) = (&ours[part.clone()], &theirs[part]);
        if let Some(at) = (0..size / 8).find(|at| ours[at * 8..at * 8 + 8] != theirs[at * 8..at * 8 + 8]) {
            let value =
                |bytes: &[u8]| u64::from_le_bytes(bytes[at * 8..at * 8 + 8].try_into().unwrap_or_default());
            return Err(format!(
                "sequence {number}: {} is {:#x}, the second implementation has {:#x}\n{}",
                program::result_name(at),
                value(ours),
                value(theirs),
                words.iter().map(|word| format!("  .inst {word:#010x}\n")).collect::<String>()
            ));
        }
    }
    Ok(())
}

fn agree(sequence: fn(&mut Random, u64) -> Vec<u32>) {
    for seed in 1..=PROGRAMS {
        let program = Program::new(seed, SEQUENCES, sequence);
        let ours = model(&program).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        if let Err(error) = compare(&program, &ours, &second(&program)) {
            panic!("seed {seed}, {error}");
        }
    }
}

#[test]
fn the_model_agrees_with_a_second_implementation() {
    agree(random::sequence);
}

#[test]
fn floating_point_and_simd_agree_with_a_second_implementation() {
    agree(simd::sequence);
}

#[test]
fn must_fail_a_wrong_flag_and_a_wrong_register() {
    let program = Program::new(7, 20, random::sequence);
    let good = model(&program).expect("the sequences run");
    assert_eq!(compare(&program, &good, &good), Ok(()));
    let size = program.result_bytes / 20;
    for (at, name) in [(3 * size + 8, "sequence 3: x1"), (5 * size + 31 * 8 + 3, "sequence 5: nzcv")] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        let error = compare(&program, &good, &bad).expect_err("a difference");
        assert!(error.starts_with(name), "{error}");
    }
    assert!(compare(&program, &good, &good[8..]).is_err());
}
