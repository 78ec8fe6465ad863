// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Says whether a file can be the BL31 of an RK3588: an ELF file whose load segments lie where U-Boot's SPL can put
//! them and nobody else needs the memory.
//!
//! SPL loads each segment as an image of the FIT (`atf-1`, `atf-2`, …) and enters the first. This module must not
//! judge what the program does: a BL31 for another SoC that happens to lie well passes.

use std::fmt;

use object::Endianness;
use object::elf::{EM_AARCH64, ET_EXEC, PT_LOAD};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader};

use crate::bytes::find;

/// Memory that a segment may use.
///
/// DRAM from 0x40000, the end of SPL (`CONFIG_SPL_MAX_SIZE`) and TF-A's `BL31_BASE`, to Rockchip's ATAGs at 0x1fe000
/// (U-Boot, arch-rockchip/atags.h); system and PMU SRAM (TF-A, rk3588_def.h: `SRAM_BASE`, `PMUSRAM_BASE` + 128 KiB).
pub const WINDOWS: [(&str, u64, u64); 2] =
    [("DRAM", 0x4_0000, 0x1f_e000), ("SRAM", 0xff00_0000, 0xff12_0000)];

/// Why a file is not a BL31 for this SoC.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A file of length zero: what a failed download leaves behind.
    #[error("the file is empty")]
    Empty,
    /// Some other file; a raw image (`.bin`) does not say where it belongs.
    #[error("it is not a 64-bit ELF file ({0}); a raw image does not say where it is loaded to")]
    NotElf(String),
    /// For another processor.
    #[error("it is for ELF machine {0}, not for aarch64 (183)")]
    Machine(u16),
    /// Relocatable, shared or a core dump.
    #[error("it is not an executable at fixed addresses (ELF type {0})")]
    Type(u16),
    /// Nothing to load.
    #[error("it has no load segment")]
    NoSegment,
    /// The headers point outside of the file.
    #[error("segment {index} reaches past the end of the file")]
    Truncated {
        /// Number among the load segments, from 1.
        index: usize,
    },
    /// Outside of [`WINDOWS`].
    #[error("segment {index} (0x{start:x} to 0x{end:x}) lies outside of what BL31 may use: {allowed}")]
    Outside {
        /// Number among the load segments, from 1.
        index: usize,
        /// First address.
        start: u64,
        /// First address behind it.
        end: u64,
        /// The windows, as text.
        allowed: String,
    },
    /// Two segments want the same memory.
    #[error("segments {0} and {1} overlap")]
    Overlap(usize, usize),
    /// SPL enters the first image, at the address that the ELF header names.
    #[error("the entry point 0x{entry:x} is not in the first segment")]
    Entry {
        /// `e_entry`.
        entry: u64,
    },
}

/// A segment that SPL loads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Physical address.
    pub start: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Bytes in the file; the rest of the memory is zero.
    pub file_bytes: u64,
}

impl Segment {
    /// First address behind it.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.memory_bytes)
    }
}

/// What the headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bl31 {
    /// Where SPL enters it, in EL3.
    pub entry: u64,
    /// Load segments in file order, without those that have no bytes in the file.
    pub segments: Vec<Segment>,
    /// What it calls itself.
    pub maker: Maker,
}

/// Whose BL31 it says that it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Maker {
    /// Rockchip's, with the version after `fwver: ` in the line that it prints at start, as in its DDR blob.
    Rockchip(String),
    /// Anybody else's, TF-A's own among them.
    Other,
}

impl fmt::Display for Maker {
    /// `vendor-v1.48` or `other`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Maker::Rockchip(version) => write!(f, "vendor-{version}"),
            Maker::Other => f.write_str("other"),
        }
    }
}

/// Reads and judges a BL31.
///
/// # Errors
/// See [`Error`].
pub fn parse(bytes: &[u8]) -> Result<Bl31, Error> {
    if bytes.is_empty() {
        return Err(Error::Empty);
    }
    let not_elf = |e: object::read::Error| Error::NotElf(e.to_string());
    let file = ElfFile64::<Endianness>::parse(bytes).map_err(not_elf)?;
    let (header, endian) = (file.elf_header(), file.endian());
    let (machine, kind) = (header.e_machine(endian), header.e_type(endian));
    if machine != EM_AARCH64 {
        return Err(Error::Machine(machine.0));
    }
    if kind != ET_EXEC {
        return Err(Error::Type(kind.0));
    }
    let mut segments = Vec::new();
    for program in header.program_headers(endian, bytes).map_err(not_elf)? {
        // binman leaves out what has no bytes (tools/binman/elf.py, read_loadable_segments).
        if program.p_type(endian) != PT_LOAD || program.p_filesz(endian) == 0 {
            continue;
        }
        let index = segments.len() + 1;
        program.data(endian, bytes).map_err(|()| Error::Truncated { index })?;
        segments.push(Segment {
            start: program.p_paddr(endian),
            memory_bytes: program.p_memsz(endian).max(program.p_filesz(endian)),
            file_bytes: program.p_filesz(endian),
        });
    }
    let entry = header.e_entry(endian);
    places(&segments, entry)?;
    Ok(Bl31 { entry, segments, maker: maker(bytes) })
}

/// The mark that Rockchip's tools put in front of a firmware's version.
const VERSION_KEY: &[u8] = b"fwver: ";

fn maker(bytes: &[u8]) -> Maker {
    let Some(at) = find(bytes, VERSION_KEY) else { return Maker::Other };
    let version: String = bytes[at + VERSION_KEY.len()..]
        .iter()
        .map(|b| char::from(*b))
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_'))
        .collect();
    if version.starts_with('v') { Maker::Rockchip(version) } else { Maker::Other }
}

fn places(segments: &[Segment], entry: u64) -> Result<(), Error> {
    let first = segments.first().ok_or(Error::NoSegment)?;
    for (i, segment) in segments.iter().enumerate() {
        let (index, start, end) = (i + 1, segment.start, segment.end());
        if !WINDOWS.iter().any(|(_, low, high)| *low <= start && end <= *high) {
            let allowed =
                WINDOWS.map(|(name, low, high)| format!("{name} 0x{low:x} to 0x{high:x}")).join(", ");
            return Err(Error::Outside { index, start, end, allowed });
        }
        if let Some(other) = segments[..i].iter().position(|s| s.start < end && start < s.end()) {
            return Err(Error::Overlap(other + 1, index));
        }
    }
    if !(first.start..first.end()).contains(&entry) {
        return Err(Error::Entry { entry });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use object::elf::{FileType, Machine, PT_GNU_STACK, ProgramType};

    use super::*;

    /// An ELF file with these segments: type, physical address, bytes in the file, bytes in memory.
    fn elf(
        machine: Machine,
        kind: FileType,
        entry: u64,
        segments: &[(ProgramType, u64, u64, u64)],
    ) -> Vec<u8> {
        let mut out = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
        out.resize(16, 0);
        out.extend(kind.0.to_le_bytes());
        out.extend(machine.0.to_le_bytes());
        out.extend(1u32.to_le_bytes());
        out.extend(entry.to_le_bytes());
        out.extend(64u64.to_le_bytes());
        out.extend([0; 12]);
        for half in [64u16, 56, segments.len() as u16, 64, 0, 0] {
            out.extend(half.to_le_bytes());
        }
        let mut at = 64 + 56 * segments.len() as u64;
        for (kind, address, file, memory) in segments {
            out.extend(kind.0.to_le_bytes());
            out.extend(7u32.to_le_bytes());
            for word in [at, *address, *address, *file, *memory, 0x1000] {
                out.extend(word.to_le_bytes());
            }
            at += file;
        }
        out.resize(at as usize, 0xaa);
        out
    }

    fn judged(entry: u64, segments: &[(ProgramType, u64, u64, u64)]) -> Result<Bl31, Error> {
        parse(&elf(EM_AARCH64, ET_EXEC, entry, segments))
    }

    const MAIN: (ProgramType, u64, u64, u64) = (PT_LOAD, 0x4_0000, 64, 0x5_a000);
    const PMU: (ProgramType, u64, u64, u64) = (PT_LOAD, 0xff10_0000, 32, 0x2000);

    #[test]
    fn segments_as_tf_a_and_rockchip_have_them() {
        let two = judged(0x4_0000, &[MAIN, PMU, (PT_GNU_STACK, 0, 0, 0)]).expect("TF-A's form");
        assert_eq!((two.entry, two.segments.len()), (0x4_0000, 2));
        assert_eq!(two.segments[0].end(), 0x9_a000);
        judged(0x4_0000, &[MAIN, (PT_LOAD, 0xf_0000, 16, 16), PMU]).expect("Rockchip's form");
    }

    #[test]
    fn the_vendors_names_its_version() {
        let with = |text: &str| {
            let mut bytes = elf(EM_AARCH64, ET_EXEC, 0x4_0000, &[MAIN]);
            bytes.extend(text.as_bytes());
            parse(&bytes).expect("a BL31").maker.to_string()
        };
        assert_eq!(with("v2.3-868-g040d2de11:x, fwver: v1.48\0"), "vendor-v1.48");
        assert_eq!(with("v2.12.1(release):lts-v2.12.1"), "other");
        assert_eq!(with("fwver: %s"), "other");
    }

    #[test]
    fn must_fail_01_other_files() {
        assert_eq!(parse(&[]), Err(Error::Empty));
        assert!(matches!(parse(b"<html>404</html>"), Err(Error::NotElf(_))));
        assert!(matches!(parse(&[0; 4096]), Err(Error::NotElf(_))));
        let whole = elf(EM_AARCH64, ET_EXEC, 0x4_0000, &[MAIN]);
        assert!(matches!(parse(&whole[..80]), Err(Error::NotElf(_))));
        assert_eq!(parse(&whole[..130]), Err(Error::Truncated { index: 1 }));
    }

    #[test]
    fn must_fail_02_other_machine_or_type() {
        assert_eq!(parse(&elf(Machine(62), ET_EXEC, 0x4_0000, &[MAIN])), Err(Error::Machine(62)));
        assert_eq!(parse(&elf(EM_AARCH64, FileType(3), 0x4_0000, &[MAIN])), Err(Error::Type(3)));
    }

    #[test]
    fn must_fail_03_nothing_to_load() {
        assert_eq!(judged(0x4_0000, &[]), Err(Error::NoSegment));
        assert_eq!(judged(0x4_0000, &[(PT_LOAD, 0x4_0000, 0, 0x1000)]), Err(Error::NoSegment));
    }

    #[test]
    fn must_fail_04_memory_of_others() {
        // SPL itself, ATAGs, U-Boot, OP-TEE's place, device registers, the end of the address space.
        for (address, memory) in [
            (0x0, 0x1000),
            (0x4_0000, 0x1c_0000),
            (0xa0_0000, 0x1000),
            (0x840_0000, 0x1000),
            (0xfeb5_0000, 0x100),
            (u64::MAX - 8, 0x1000),
        ] {
            let found = judged(address, &[(PT_LOAD, address, 16, memory)]);
            assert!(matches!(found, Err(Error::Outside { index: 1, .. })), "{address:x}: {found:?}");
        }
    }

    #[test]
    fn must_fail_05_overlap_and_entry() {
        assert_eq!(judged(0x4_0000, &[MAIN, (PT_LOAD, 0x9_9000, 16, 16)]), Err(Error::Overlap(1, 2)));
        assert_eq!(judged(0xff10_0000, &[MAIN, PMU]), Err(Error::Entry { entry: 0xff10_0000 }));
    }
}
