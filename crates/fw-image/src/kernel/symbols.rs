// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Addresses of the few kernel symbols this project needs, from `vmlinux` or from `System.map`.
//!
//! Must not know what the symbols are good for: see [`super::slot`] and [`super::zboot`].

use std::collections::BTreeMap;

use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSymbol};

/// First byte of the raw `Image` (`arch/arm64/kernel/vmlinux.lds.S`).
pub const TEXT: &str = "_text";
/// Bytes of code from `_text` on, an absolute symbol (`arch/arm64/kernel/image-vars.h`).
pub const CODE_SIZE: &str = "_kernel_codesize";
/// The slots of `certs/system_certificates.S`.
pub const CERTIFICATE_LIST: &str = "system_certificate_list";
/// Bytes of the built-in list that are used, plus what was put into the extra slot; 64 bit.
pub const CERTIFICATE_LIST_SIZE: &str = "system_certificate_list_size";
/// The reserved slot of `CONFIG_SYSTEM_EXTRA_CERTIFICATE`.
pub const EXTRA_CERTIFICATE: &str = "system_extra_cert";
/// Bytes of the slot in use; 32 bit.
pub const EXTRA_CERTIFICATE_USED: &str = "system_extra_cert_used";

const WANTED: [&str; 6] =
    [TEXT, CODE_SIZE, CERTIFICATE_LIST, CERTIFICATE_LIST_SIZE, EXTRA_CERTIFICATE, EXTRA_CERTIFICATE_USED];

/// Why symbols could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a 64-bit little-endian ELF file.
    #[error("`vmlinux` is not a readable ELF file: {0}")]
    Elf(object::Error),
    /// A line of `System.map` that is not `address type name`.
    #[error("`System.map` line {line} is not `address type name`")]
    Map {
        /// Number of the line, from 1.
        line: usize,
    },
    /// The kernel does not have it.
    #[error("the kernel has no symbol `{0}`")]
    Missing(&'static str),
}

/// Address and, from `vmlinux` only, size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Symbol {
    address: u64,
    size_bytes: u64,
}

/// The wanted symbols of one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbols {
    found: BTreeMap<&'static str, Symbol>,
}

impl Symbols {
    /// Reads the symbol table of the linked kernel.
    pub fn from_vmlinux(elf: &[u8]) -> Result<Self, Error> {
        let file = ElfFile64::<Endianness>::parse(elf).map_err(Error::Elf)?;
        let mut found = BTreeMap::new();
        for symbol in file.symbols() {
            if let Some(name) = symbol.name().ok().and_then(wanted) {
                found.entry(name).or_insert(Symbol { address: symbol.address(), size_bytes: symbol.size() });
            }
        }
        Ok(Self { found })
    }

    /// Reads `System.map`, which has addresses but no sizes.
    pub fn from_system_map(text: &str) -> Result<Self, Error> {
        let mut found = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let bad = || Error::Map { line: index + 1 };
            let mut words = line.split(' ');
            let (Some(address), Some(_), Some(name)) = (words.next(), words.next(), words.next()) else {
                return Err(bad());
            };
            let address = u64::from_str_radix(address, 16).map_err(|_| bad())?;
            if let Some(name) = wanted(name) {
                found.entry(name).or_insert(Symbol { address, size_bytes: 0 });
            }
        }
        Ok(Self { found })
    }

    /// Address of a symbol; for an absolute one ([`CODE_SIZE`]) its value.
    pub fn address(&self, name: &'static str) -> Result<u64, Error> {
        self.found.get(name).map(|symbol| symbol.address).ok_or(Error::Missing(name))
    }

    /// Size of a symbol, `None` when the source does not say.
    pub fn size_bytes(&self, name: &'static str) -> Result<Option<u64>, Error> {
        let symbol = self.found.get(name).ok_or(Error::Missing(name))?;
        Ok(Some(symbol.size_bytes).filter(|size| *size != 0))
    }
}

fn wanted(name: &str) -> Option<&'static str> {
    WANTED.into_iter().find(|wanted| *wanted == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "ffff800080000000 T _text\nffff800081000000 d __kvm_nvhe__text\n00000000013b0000 A _kernel_codesize\n";

    #[test]
    fn reads_a_map() {
        let symbols = Symbols::from_system_map(MAP).expect("a map");
        assert_eq!(symbols.address(TEXT).expect("_text"), 0xffff_8000_8000_0000);
        assert_eq!(symbols.address(CODE_SIZE).expect("code size"), 0x13b_0000);
        assert_eq!(symbols.size_bytes(TEXT).expect("_text"), None);
    }

    #[test]
    fn must_fail_01_missing_symbol() {
        let symbols = Symbols::from_system_map(MAP).expect("a map");
        assert!(
            matches!(symbols.address(EXTRA_CERTIFICATE), Err(Error::Missing(name)) if name == EXTRA_CERTIFICATE)
        );
    }

    #[test]
    fn must_fail_02_not_a_map() {
        for text in ["ffff8000\n", "zz T _text\n", "\n"] {
            assert!(matches!(Symbols::from_system_map(text), Err(Error::Map { line: 1 })), "{text:?}");
        }
    }

    #[test]
    fn must_fail_03_not_an_elf() {
        assert!(matches!(Symbols::from_vmlinux(b"\x7fELF"), Err(Error::Elf(_))));
        assert!(matches!(Symbols::from_vmlinux(&[0; 64]), Err(Error::Elf(_))));
    }
}
