// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether the kernel loads what is signed and refuses what is not.
//!
//! Three files of one module, made at composition: as shipped, without signature, with one byte changed. The
//! kernel looks at the signature before anything else in the file, so its answer is about nothing else.

use std::io::Error;

use rustix::io::Errno;

use super::SHARE;
use crate::machine::Machine;
use crate::mods::name_of_file;
use crate::report::Report;

/// Loads the good one, takes it out again, then tries the two bad ones.
pub fn check(machine: &Machine<'_>, report: &mut Report<'_>) {
    let module = name_of_file(&machine.read(format!("{SHARE}/test-module")).unwrap_or_default());
    let path = |file: &str| machine.path(format!("{SHARE}/{file}"));
    match machine.ops.load_module(&path("good.ko")) {
        // If it stayed loaded, a bad copy that slipped through would be told as `EEXIST`.
        Ok(()) => match machine.ops.unload_module(&module) {
            Ok(()) => report.pass("signature.good", format!("`{module}` loaded")),
            Err(errno) => {
                report.fail("signature.good", format!("`{module}` loaded but stays: {}", Error::from(errno)))
            }
        },
        // The signature is checked before the name: it was accepted.
        Err(Errno::EXIST) => report.pass("signature.good", format!("`{module}` was loaded before")),
        Err(errno) => report.fail("signature.good", format!("`{module}` refused: {}", Error::from(errno))),
    }
    for kind in ["unsigned", "flipped"] {
        let name = format!("signature.{kind}");
        match machine.ops.load_module(&path(&format!("{kind}.ko"))) {
            Err(Errno::KEYREJECTED) => report.pass(&name, "refused"),
            Err(errno) => report.fail(&name, format!("refused for another reason: {}", Error::from(errno))),
            Ok(()) => {
                let detail = match machine.ops.unload_module(&module) {
                    Ok(()) => "the kernel loaded it".to_owned(),
                    Err(errno) => format!("the kernel loaded it, and it stays: {}", Error::from(errno)),
                };
                report.fail(&name, detail);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    fn fixture(answers: &[(&str, Errno)]) -> Fixture {
        let f = Fixture::new();
        f.file("/usr/share/selftest/test-module", "dummy.ko\n");
        f.ops.module_answers.borrow_mut().extend(answers.iter().map(|(n, e)| ((*n).to_owned(), *e)));
        f
    }

    #[test]
    fn an_enforcing_kernel_passes() {
        let f = fixture(&[("unsigned.ko", Errno::KEYREJECTED), ("flipped.ko", Errno::KEYREJECTED)]);
        assert_eq!(
            f.lines(check),
            [
                "signature.good pass `dummy` loaded",
                "signature.unsigned pass refused",
                "signature.flipped pass refused"
            ]
        );
        assert_eq!(*f.ops.loaded.borrow(), ["good.ko", "unsigned.ko", "flipped.ko"]);
        assert_eq!(*f.ops.unloaded.borrow(), ["dummy"]);
    }

    #[test]
    fn a_lax_kernel_fails_and_is_cleaned_up() {
        let f = fixture(&[("flipped.ko", Errno::NOEXEC)]);
        let lines = f.lines(check);
        assert_eq!(lines[1], "signature.unsigned fail the kernel loaded it");
        assert!(lines[2].starts_with("signature.flipped fail refused for another reason: "), "{lines:?}");
        assert_eq!(*f.ops.unloaded.borrow(), ["dummy", "dummy"]);
    }

    #[test]
    fn a_kernel_without_the_certificate_fails_on_the_good_one() {
        let f = fixture(&[
            ("good.ko", Errno::KEYREJECTED),
            ("unsigned.ko", Errno::KEYREJECTED),
            ("flipped.ko", Errno::KEYREJECTED),
        ]);
        assert!(f.lines(check)[0].starts_with("signature.good fail `dummy` refused: "));
    }
}
