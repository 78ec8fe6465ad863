// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Names for addresses, from the ELF files of our own build, if the image holds the very bytes of that build.
//!
//! A name from another build would mislead, so a file whose code is not found in the image is not used.

use std::path::Path;

use fw_build::{Failure, Result};
use memchr::memmem;
use object::{
    Object as _, ObjectSection as _, ObjectSegment as _, ObjectSymbol as _, SectionKind, SymbolKind,
};

/// The functions of the files that the image was built from.
#[derive(Debug, Default)]
pub struct Symbols {
    programs: Vec<Program>,
}

/// One file.
#[derive(Debug, Default)]
struct Program {
    /// By their first address, sorted: address, length, name.
    functions: Vec<(u64, u64, String)>,
    /// Code as it was linked: address and bytes.
    code: Vec<(u64, Vec<u8>)>,
    /// How far it has moved itself.
    moved_by: Option<u64>,
}

impl Symbols {
    /// Adds the functions of an ELF file, if the first bytes of one of its segments are those that `loaded`
    /// returns for the segment's address. Says whether it did.
    ///
    /// # Errors
    /// The file cannot be read or is no ELF file.
    pub fn add(&mut self, path: &Path, loaded: impl Fn(u64, usize) -> Option<Vec<u8>>) -> Result<bool> {
        let bytes = fs_err::read(path)?;
        let wrong = |e: object::Error| Failure::new(format!("`{}` is no ELF file", path.display())).why(e);
        let file = object::File::parse(&*bytes).map_err(wrong)?;
        let mut same = false;
        for segment in file.segments() {
            let data = segment.data().map_err(wrong)?;
            let data = &data[..data.len().min(COMPARED_BYTES)];
            same |= data.len() == COMPARED_BYTES
                && loaded(segment.address(), data.len()).is_some_and(|l| l == data);
        }
        if same {
            let mut program = Program::default();
            let functions = file
                .symbols()
                .filter(|s| s.kind() == SymbolKind::Text || s.kind() == SymbolKind::Label)
                .filter_map(|s| Some((s.address(), s.size(), s.name().ok()?.to_owned())))
                // Mapping symbols of the ELF for Arm 64-bit: `$x`, `$d`.
                .filter(|(_, _, name)| !name.is_empty() && !name.starts_with('$'));
            program.functions.extend(functions);
            program.functions.sort();
            for section in file.sections().filter(|s| s.kind() == SectionKind::Text) {
                program.code.push((section.address(), section.data().map_err(wrong)?.to_vec()));
            }
            self.programs.push(program);
        }
        Ok(same)
    }

    /// Finds out where programs have moved themselves to, as U-Boot does, from code that runs at `address` and has
    /// no name there: `around` are the instructions in memory from `address` on.
    pub fn follow(&mut self, address: u64, around: &[u8]) {
        if self.name(address).is_some() || around.len() < FOLLOWED_BYTES {
            return;
        }
        for program in self.programs.iter_mut().filter(|p| p.moved_by.is_none()) {
            let mut places = program.code.iter().flat_map(|(start, code)| {
                memmem::find_iter(code, around).map(move |at| start.wrapping_add(at as u64))
            });
            // Code that stands there twice says nothing, and whoever moves keeps the places in a page.
            if let (Some(linked), None) = (places.next(), places.next())
                && address.wrapping_sub(linked).is_multiple_of(PAGE_BYTES)
            {
                program.moved_by = Some(address.wrapping_sub(linked));
                return;
            }
        }
    }

    /// `name+0x10` for an address inside of a function, where it was linked or where it has moved to.
    pub fn name(&self, address: u64) -> Option<String> {
        let moved = |p: &Program| p.name(address.wrapping_sub(p.moved_by?));
        self.programs.iter().find_map(|p| p.name(address).or_else(|| moved(p)))
    }
}

impl Program {
    fn name(&self, address: u64) -> Option<String> {
        let behind = self.functions.partition_point(|(start, ..)| *start <= address);
        let (start, size, name) = self.functions[..behind].last()?;
        // Assembly code often has no size: it reaches to the next name, as long as that is near.
        let reach = if *size == 0 { UNSIZED_BYTES } else { *size };
        (address - start < reach).then(|| format!("{name}+{:#x}", address - start))
    }
}

/// Bytes of a segment that must be those of the image: more than any vector table.
const COMPARED_BYTES: usize = 4096;
/// How far a name without a size may reach.
const UNSIZED_BYTES: u64 = 0x400;
/// Bytes of code by which a program that has moved is found again.
pub const FOLLOWED_BYTES: usize = 64;
/// What a program moves by is a multiple of this.
const PAGE_BYTES: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_named_inside_of_functions_only() {
        let functions = vec![(0x1000, 0x20, "bl31_main".into()), (0x2000, 0, "vectors".into())];
        let symbols = Symbols { programs: vec![Program { functions, ..Program::default() }] };
        assert_eq!(symbols.name(0x101c).as_deref(), Some("bl31_main+0x1c"));
        assert_eq!(symbols.name(0x1020), None);
        assert_eq!(symbols.name(0x2200).as_deref(), Some("vectors+0x200"));
        assert_eq!((symbols.name(0xfff), symbols.name(0x9000)), (None, None));
    }

    /// Code of which no two stretches are the same, and where it was linked.
    fn moving() -> (Symbols, Vec<u8>) {
        let code: Vec<u8> =
            (0..1024_u32).flat_map(|n| (n.wrapping_mul(2_654_435_761)).to_le_bytes()).collect();
        let program = Program {
            functions: vec![(0x1100, 0x40, "malloc".into())],
            code: vec![(0x1000, code.clone())],
            moved_by: None,
        };
        (Symbols { programs: vec![program] }, code)
    }

    #[test]
    fn a_program_that_has_moved_is_followed() {
        let (mut symbols, code) = moving();
        assert_eq!(symbols.name(0xeff3_2110), None);
        symbols.follow(0xeff3_2110, &code[0x110..0x150]);
        assert_eq!(symbols.name(0xeff3_2110).as_deref(), Some("malloc+0x10"));
        assert_eq!(symbols.name(0x1110).as_deref(), Some("malloc+0x10"), "and where it was linked");
    }

    #[test]
    fn must_fail_to_follow_what_is_other_code_or_lies_elsewhere_in_its_page() {
        let (mut symbols, code) = moving();
        symbols.follow(0xeff3_2110, &[0; FOLLOWED_BYTES]);
        symbols.follow(0xeff3_2114, &code[0x110..0x150]);
        symbols.follow(0xeff3_2110, &code[0x110..0x120]);
        assert_eq!(symbols.name(0xeff3_2110), None);
    }
}
