// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Names for addresses, from the ELF files of our own build, if the image holds the very bytes of that build.
//!
//! A name from another build would mislead, so a file whose code is not found in the image is not used.

use std::path::Path;

use fw_build::{Failure, Result};
use object::{Object as _, ObjectSegment as _, ObjectSymbol as _, SymbolKind};

/// Functions by their first address, sorted.
#[derive(Debug, Default)]
pub struct Symbols {
    functions: Vec<(u64, u64, String)>,
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
            let functions = file
                .symbols()
                .filter(|s| s.kind() == SymbolKind::Text || s.kind() == SymbolKind::Label)
                .filter_map(|s| Some((s.address(), s.size(), s.name().ok()?.to_owned())))
                // Mapping symbols of the ELF for Arm 64-bit: `$x`, `$d`.
                .filter(|(_, _, name)| !name.is_empty() && !name.starts_with('$'));
            self.functions.extend(functions);
            self.functions.sort();
        }
        Ok(same)
    }

    /// `name+0x10` for an address inside of a function.
    pub fn name(&self, address: u64) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_named_inside_of_functions_only() {
        let symbols =
            Symbols { functions: vec![(0x1000, 0x20, "bl31_main".into()), (0x2000, 0, "vectors".into())] };
        assert_eq!(symbols.name(0x101c).as_deref(), Some("bl31_main+0x1c"));
        assert_eq!(symbols.name(0x1020), None);
        assert_eq!(symbols.name(0x2200).as_deref(), Some("vectors+0x200"));
        assert_eq!((symbols.name(0xfff), symbols.name(0x9000)), (None, None));
    }
}
