// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A kernel module file: what it says about itself in `.modinfo`.
//!
//! The kernel's `kernel/module/main.c` reads the same fields (`get_modinfo`) and compares `vermagic` with its own
//! text. This module must not judge signatures: see [`crate::modsig`].

use object::read::elf::ElfFile64;
use object::{Architecture, Endianness, Object, ObjectKind, ObjectSection};

/// Why a file is no module.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a 64-bit little-endian ELF file.
    #[error("it is no readable ELF file: {0}")]
    Elf(String),
    /// A program, a library, or for another processor.
    #[error("it is no relocatable aarch64 object")]
    Kind,
    /// No `.modinfo`: an object file that never was linked as a module.
    #[error("it has no section `.modinfo`")]
    NoInfo,
    /// No `vermagic`: no kernel would load it.
    #[error("its `.modinfo` has no `vermagic`")]
    NoVermagic,
}

/// What a module says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Name in `lsmod`; empty when the file does not say.
    pub name: String,
    /// Kernel release and build flags that it was made for.
    pub vermagic: String,
}

impl Info {
    /// Reads a module file, signed or not.
    ///
    /// # Errors
    /// It is none.
    pub fn read(file: &[u8]) -> Result<Info, Error> {
        let elf = ElfFile64::<Endianness>::parse(file).map_err(|e| Error::Elf(e.to_string()))?;
        if elf.architecture() != Architecture::Aarch64 || elf.kind() != ObjectKind::Relocatable {
            return Err(Error::Kind);
        }
        let section = elf.section_by_name(".modinfo").ok_or(Error::NoInfo)?;
        let data = section.data().map_err(|e| Error::Elf(e.to_string()))?;
        let field = |name: &str| {
            let fields = data.split(|b| *b == 0).map(String::from_utf8_lossy);
            fields.filter_map(|f| f.strip_prefix(name)?.strip_prefix('=').map(str::to_owned)).next()
        };
        Ok(Info {
            name: field("name").unwrap_or_default(),
            vermagic: field("vermagic").ok_or(Error::NoVermagic)?,
        })
    }

    /// The release it was made for: the first word of `vermagic`.
    pub fn release(&self) -> &str {
        self.vermagic.split(' ').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ELF constants: `ET_REL`, `ET_DYN`, `EM_AARCH64`, `EM_X86_64`.
    const REL: u16 = 1;
    const DYN: u16 = 3;
    const AARCH64: u16 = 183;
    const X86_64: u16 = 62;

    /// An object file with one section besides the table of names.
    fn elf(kind: u16, machine: u16, section: &str, data: &[u8]) -> Vec<u8> {
        let names = format!("\0{section}\0.shstrtab\0");
        let (data_at, names_at) = (64_u64, 64 + data.len() as u64);
        let table_at = (names_at + names.len() as u64).next_multiple_of(8);
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(16, 0);
        for word in [kind, machine] {
            file.extend(word.to_le_bytes());
        }
        file.extend(1_u32.to_le_bytes());
        for word in [0, 0, table_at] {
            file.extend(u64::to_le_bytes(word));
        }
        file.extend(0_u32.to_le_bytes());
        for word in [64_u16, 0, 0, 64, 3, 2] {
            file.extend(word.to_le_bytes());
        }
        file.extend(data);
        file.extend(names.as_bytes());
        file.resize(table_at as usize, 0);
        let header = |name: u32, kind: u32, at: u64, size: u64| {
            let mut bytes = [name.to_le_bytes(), kind.to_le_bytes()].concat();
            for word in [0, 0, at, size, 0, 1, 0] {
                // link and info are two halves of one word here, and zero.
                bytes.extend(u64::to_le_bytes(word));
            }
            bytes
        };
        file.extend([0; 64]);
        file.extend(header(1, 1, data_at, data.len() as u64));
        file.extend(header(2 + section.len() as u32, 3, names_at, names.len() as u64));
        file
    }

    const INFO: &[u8] = b"license=GPL\0name=dummy\0\0vermagic=6.18.15-abc SMP mod_unload aarch64\0";

    #[test]
    fn reads_name_and_release() {
        let info = Info::read(&elf(REL, AARCH64, ".modinfo", INFO)).expect("a module");
        assert_eq!((info.name.as_str(), info.release()), ("dummy", "6.18.15-abc"));
        // A signature behind it is no part of the ELF file.
        let signed = [&elf(REL, AARCH64, ".modinfo", INFO)[..], b"~Module signature appended~\n"].concat();
        assert_eq!(Info::read(&signed).expect("a module"), info);
    }

    #[test]
    fn must_fail_what_is_no_module() {
        for (file, error) in [
            (elf(DYN, AARCH64, ".modinfo", INFO), Error::Kind),
            (elf(REL, X86_64, ".modinfo", INFO), Error::Kind),
            (elf(REL, AARCH64, ".notinfo", INFO), Error::NoInfo),
            (elf(REL, AARCH64, ".modinfo", b"name=vermagic=1\0xvermagic=1\0"), Error::NoVermagic),
        ] {
            assert_eq!(Info::read(&file), Err(error));
        }
        assert!(matches!(Info::read(b"\x7fELF"), Err(Error::Elf(_))));
    }
}
