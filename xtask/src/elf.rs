// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The two things a program for the board or the imager must be: of its processor, and static. Reads the ELF header and the program
//! headers (System V gABI, chapters 4 and 5), nothing else.

use thiserror::Error;

/// `e_machine` of aarch64.
const EM_AARCH64: u16 = 183;
/// `e_machine` of x86-64.
const EM_X86_64: u16 = 62;
/// Program header type that names a dynamic loader.
const PT_INTERP: u32 = 3;
/// Size of a 64-bit program header.
const PHDR_BYTES: usize = 56;

/// Why a program does not run on the board.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ElfError {
    /// Wrong magic, class or byte order.
    #[error("it is not a 64-bit little-endian ELF file")]
    NotElf64,
    /// Ends inside a header.
    #[error("it ends inside its headers")]
    Truncated,
    /// Another processor.
    #[error("it is for ELF machine {0}, not for {1}")]
    Machine(u16, u16),
    /// Wants a dynamic loader.
    #[error("it is not static: it asks for the loader `{0}`")]
    Dynamic(String),
}

/// Checks a program for the board.
///
/// # Errors
/// See [`ElfError`].
pub fn check_static_aarch64(bytes: &[u8]) -> Result<(), ElfError> {
    check_static(bytes, EM_AARCH64)
}

/// Checks a program for x86-64.
///
/// # Errors
/// See [`ElfError`].
pub fn check_static_x86_64(bytes: &[u8]) -> Result<(), ElfError> {
    check_static(bytes, EM_X86_64)
}

fn check_static(bytes: &[u8], wanted: u16) -> Result<(), ElfError> {
    // Magic, class 2 (64 bit), data 1 (little endian).
    if !bytes.starts_with(&[0x7f, b'E', b'L', b'F', 2, 1]) {
        return Err(ElfError::NotElf64);
    }
    let machine = u16::from_le_bytes(array(bytes, 18)?);
    if machine != wanted {
        return Err(ElfError::Machine(machine, wanted));
    }
    let table = index(u64::from_le_bytes(array(bytes, 32)?))?;
    let count = u16::from_le_bytes(array(bytes, 56)?);
    for i in 0..usize::from(count) {
        let at = table.checked_add(i * PHDR_BYTES).ok_or(ElfError::Truncated)?;
        if u32::from_le_bytes(array(bytes, at)?) == PT_INTERP {
            let start = index(u64::from_le_bytes(array(bytes, at + 8)?))?;
            let length = index(u64::from_le_bytes(array(bytes, at + 32)?))?;
            let end = start.checked_add(length).ok_or(ElfError::Truncated)?;
            let name = bytes.get(start..end).ok_or(ElfError::Truncated)?;
            return Err(ElfError::Dynamic(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned()));
        }
    }
    Ok(())
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N], ElfError> {
    let end = at.checked_add(N).ok_or(ElfError::Truncated)?;
    bytes.get(at..end).and_then(|b| b.try_into().ok()).ok_or(ElfError::Truncated)
}

fn index(value: u64) -> Result<usize, ElfError> {
    usize::try_from(value).map_err(|_| ElfError::Truncated)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one program header of type `kind` that covers the text behind it.
    fn program(machine: u16, kind: u32) -> Vec<u8> {
        let mut bytes = vec![0; 64 + PHDR_BYTES];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
        bytes[56..58].copy_from_slice(&1u16.to_le_bytes());
        bytes[64..68].copy_from_slice(&kind.to_le_bytes());
        bytes[72..80].copy_from_slice(&120u64.to_le_bytes());
        bytes[96..104].copy_from_slice(&6u64.to_le_bytes());
        bytes.extend(b"/ld.so");
        bytes
    }

    #[test]
    fn static_aarch64_passes() {
        assert_eq!(check_static_aarch64(&program(EM_AARCH64, 1)), Ok(()));
    }

    #[test]
    fn everything_else_is_named() {
        assert_eq!(check_static_aarch64(b"#!/bin/sh"), Err(ElfError::NotElf64));
        assert_eq!(check_static_aarch64(&program(62, 1)), Err(ElfError::Machine(62, EM_AARCH64)));
        assert_eq!(check_static_x86_64(&program(EM_X86_64, 1)), Ok(()));
        let dynamic = program(EM_AARCH64, PT_INTERP);
        assert_eq!(check_static_aarch64(&dynamic), Err(ElfError::Dynamic("/ld.so".into())));
        assert_eq!(check_static_aarch64(&dynamic[..100]), Err(ElfError::Truncated));
    }

    #[test]
    fn our_own_program_is_not_static() {
        let own = fs_err::read("/proc/self/exe").expect("readable");
        assert!(check_static_aarch64(&own).is_err(), "a test program of this host is dynamic or not aarch64");
    }
}
