// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Checks of a stage's outputs that need no format library.

use std::io::Read;
use std::path::Path;

use fs_err as fs;

use crate::failure::{Failure, Result};

/// ELF `e_machine` of AArch64 (ELF for the Arm 64-bit Architecture, section 5.1).
const EM_AARCH64: u16 = 183;

/// The file is an ELF file for aarch64.
///
/// # Errors
/// It is not, or cannot be read.
pub fn elf_aarch64(path: &Path) -> Result<()> {
    let mut head = [0; 20];
    let wrong = |why: &str| Err(Failure::new(format!("`{}` {why}", path.display())));
    if fs::File::open(path)?.read_exact(&mut head).is_err() || head[..4] != *b"\x7fELF" {
        return wrong("is not an ELF file");
    }
    match u16::from_le_bytes([head[18], head[19]]) {
        EM_AARCH64 => Ok(()),
        other => wrong(&format!("is for machine {other}, not for aarch64 ({EM_AARCH64})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn must_fail_host_program_and_text() {
        let me = std::env::current_exe().expect("path");
        if cfg!(target_arch = "x86_64") {
            let failure = elf_aarch64(&me).expect_err("x86-64").to_string();
            assert!(failure.contains("for machine 62, not for aarch64"), "{failure}");
        }
        let text = tempfile::NamedTempFile::new().expect("file");
        fs::write(text.path(), "not a program, but long enough").expect("write");
        assert!(elf_aarch64(text.path()).expect_err("text").to_string().contains("is not an ELF file"));
    }
}
