// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Whether the kernel loads what is signed and refuses what is not, with the words that it has for each.
//!
//! Copies of one module, made at composition. The kernel looks at the signature before anything else in the
//! file (`module_sig_check` of `kernel/module/signing.c`), so its answer is about nothing else.

use std::io::Error;

use rustix::io::Errno;

use super::SHARE;
use crate::machine::Machine;
use crate::mods::name_of_file;
use crate::report::{Report, Verdict};

/// The words with which the kernel refuses one that it would load if signatures were not enforced.
const REFUSAL: &str = "Loading of ";
const UNSIGNED: &str = "Loading of unsigned module is rejected";
const NO_KEY: &str = "Loading of module with unavailable key is rejected";
const NO_CRYPTO: &str = "Loading of module with unsupported crypto is rejected";

/// How the kernel must refuse a copy.
struct Bad {
    /// Name of the file and of the check.
    kind: &'static str,
    errno: Errno,
    /// Its message; `None` where it has none: what is signed and damaged is refused without a word.
    message: Option<&'static str>,
}

const fn bad(kind: &'static str, errno: Errno, message: Option<&'static str>) -> Bad {
    Bad { kind, errno, message }
}

const BAD: [Bad; 8] = [
    bad("unsigned", Errno::KEYREJECTED, Some(UNSIGNED)),
    // The end is missing, and with it the mark of a signature.
    bad("truncated", Errno::KEYREJECTED, Some(UNSIGNED)),
    // A part of the module is missing, the signature is whole.
    bad("shortened", Errno::KEYREJECTED, None),
    bad("flipped", Errno::KEYREJECTED, None),
    bad("flipped-signature", Errno::KEYREJECTED, None),
    // The trailer says that the signature is longer than the file.
    bad("overlong", Errno::BADMSG, None),
    // The trailer names another kind of signature.
    bad("foreign-kind", Errno::KEYREJECTED, Some(NO_CRYPTO)),
    bad("stranger", Errno::KEYREJECTED, Some(NO_KEY)),
];

/// What the description of the expired certificate's key begins with in `/proc/keys`; the composition makes it.
const EXPIRED_KEY: &str = "talos-nanopi-m6: expired test key: ";

/// Loads the good one, takes it out again, then tries the others.
pub fn check(machine: &Machine<'_>, report: &mut Report<'_>) {
    let module = name_of_file(&machine.read(format!("{SHARE}/test-module")).unwrap_or_default());
    loads(machine, report, &module, "signature.good", "good.ko");
    for bad in &BAD {
        refused(machine, report, &module, &format!("signature.{}", bad.kind), bad);
    }
    // The kernel never looks at the validity of a certificate: what counts is whether it has it. A shipped
    // kernel does not have this one; a rehearsal puts it there (`cargo xtask qemu --mode rotation`).
    let trusted = machine.read("/proc/keys").unwrap_or_default().contains(EXPIRED_KEY);
    if trusted {
        loads(machine, report, &module, "signature.expired-trusted", "expired.ko");
    } else {
        let stranger = bad("expired", Errno::KEYREJECTED, Some(NO_KEY));
        refused(machine, report, &module, "signature.expired-unknown", &stranger);
    }
}

fn loads(machine: &Machine<'_>, report: &mut Report<'_>, module: &str, check: &str, file: &str) {
    match machine.ops.load_module(&machine.path(format!("{SHARE}/{file}"))) {
        // If it stayed loaded, a bad copy that slipped through would be told as `EEXIST`.
        Ok(()) => match machine.ops.unload_module(module) {
            Ok(()) => report.pass(check, format!("`{module}` loaded")),
            Err(errno) => {
                report.fail(check, format!("`{module}` loaded but stays: {}", Error::from(errno)));
            }
        },
        // The signature is checked before the name: it was accepted.
        Err(Errno::EXIST) => report.pass(check, format!("`{module}` was loaded before")),
        Err(errno) => report.fail(check, format!("`{module}` refused: {}", Error::from(errno))),
    }
}

fn refused(machine: &Machine<'_>, report: &mut Report<'_>, module: &str, check: &str, bad: &Bad) {
    // Marks the place in the log; if it cannot be read, the second call says so.
    let _ = machine.ops.kernel_messages();
    let answer = machine.ops.load_module(&machine.path(format!("{SHARE}/{}.ko", bad.kind)));
    let messages = machine.ops.kernel_messages();
    let (verdict, detail) = match (answer, messages) {
        (Ok(()), _) => {
            let stays = machine.ops.unload_module(module).err();
            let stays = stays.map_or(String::new(), |e| format!(", and it stays: {}", Error::from(e)));
            (Verdict::Fail, format!("the kernel loaded it{stays}"))
        }
        (Err(errno), _) if errno != bad.errno => {
            (Verdict::Fail, format!("refused for another reason: {}", Error::from(errno)))
        }
        (Err(_), Err(errno)) => {
            (Verdict::Fail, format!("refused, but its words cannot be read: {}", Error::from(errno)))
        }
        (Err(errno), Ok(messages)) => judge(errno, &messages, bad.message),
    };
    report.add(check, verdict, detail);
}

/// Compares what the kernel wrote with what it should have written.
fn judge(errno: Errno, messages: &[String], wanted: Option<&str>) -> (Verdict, String) {
    let said = messages.iter().find(|m| m.contains(REFUSAL));
    match (said, wanted) {
        (None, None) => (Verdict::Pass, format!("refused: {}", Error::from(errno))),
        (Some(said), Some(wanted)) if said.ends_with(wanted) => (Verdict::Pass, format!("refused: {said}")),
        (Some(said), _) => (Verdict::Fail, format!("refused with other words: {said}")),
        (None, Some(wanted)) => (Verdict::Fail, format!("refused without the words `{wanted}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    /// A kernel that answers each copy as it should, except for the changes.
    fn fixture(changes: &[(&str, Option<Errno>, Option<&str>)]) -> Fixture {
        let f = Fixture::new();
        f.file("/usr/share/selftest/test-module", "dummy.ko\n");
        let expired = bad("expired", Errno::KEYREJECTED, Some(NO_KEY));
        for bad in BAD.iter().chain([&expired]) {
            let change = changes.iter().find(|(kind, ..)| *kind == bad.kind);
            let (errno, message) =
                change.map_or((Some(bad.errno), bad.message), |(_, errno, message)| (*errno, *message));
            let file = format!("{}.ko", bad.kind);
            if let Some(errno) = errno {
                f.ops.module_answers.borrow_mut().insert(file.clone(), errno);
            }
            if let Some(message) = message {
                f.ops.messages.borrow_mut().insert(file, format!("module: {message}"));
            }
        }
        f
    }

    fn line(f: &Fixture, check_name: &str) -> String {
        let lines = f.lines(check);
        let found = lines.iter().find(|l| l.starts_with(&format!("{check_name} ")));
        found.unwrap_or_else(|| panic!("{check_name} in {lines:#?}")).clone()
    }

    #[test]
    fn an_enforcing_kernel_passes() {
        let f = fixture(&[]);
        let lines = f.lines(check);
        assert_eq!(lines.len(), BAD.len() + 2);
        assert!(lines.iter().all(|l| l.contains(" pass ")), "{lines:#?}");
        assert_eq!(lines[0], "signature.good pass `dummy` loaded");
        assert_eq!(lines[1], format!("signature.unsigned pass refused: module: {UNSIGNED}"));
        assert!(lines[9].starts_with("signature.expired-unknown pass refused: "), "{}", lines[9]);
        assert_eq!(*f.ops.unloaded.borrow(), ["dummy"]);
    }

    #[test]
    fn an_expired_certificate_that_the_kernel_has_is_as_good_as_any() {
        let f = fixture(&[("expired", None, None)]);
        assert_eq!(
            line(&f, "signature.expired-unknown"),
            "signature.expired-unknown fail the kernel loaded it"
        );
        let key =
            format!("1a2b3c4d I------ 1 perm 1f030000 0 0 asymmetri {EXPIRED_KEY}0102: X509.ecdsa []\n");
        f.file("/proc/keys", &key);
        assert_eq!(line(&f, "signature.expired-trusted"), "signature.expired-trusted pass `dummy` loaded");
    }

    #[test]
    fn must_fail_a_lax_kernel_which_is_cleaned_up() {
        let f = fixture(&[("unsigned", None, None), ("flipped", Some(Errno::NOEXEC), None)]);
        assert_eq!(line(&f, "signature.unsigned"), "signature.unsigned fail the kernel loaded it");
        let flipped = line(&f, "signature.flipped");
        assert!(flipped.starts_with("signature.flipped fail refused for another reason: "), "{flipped}");
        assert_eq!(f.ops.unloaded.borrow().iter().filter(|m| *m == "dummy").count(), 4);
    }

    #[test]
    fn must_fail_a_refusal_with_other_words() {
        let errno = Some(Errno::KEYREJECTED);
        let f = fixture(&[
            ("stranger", errno, Some(UNSIGNED)),
            ("unsigned", errno, None),
            ("flipped", errno, Some(NO_KEY)),
        ]);
        assert_eq!(
            line(&f, "signature.stranger"),
            format!("signature.stranger fail refused with other words: module: {UNSIGNED}")
        );
        assert!(line(&f, "signature.unsigned").contains("fail refused without the words"));
        assert!(line(&f, "signature.flipped").contains("fail refused with other words"));
    }

    #[test]
    fn must_fail_a_kernel_without_the_certificate() {
        let f = fixture(&[]);
        f.ops.module_answers.borrow_mut().insert("good.ko".into(), Errno::KEYREJECTED);
        assert!(line(&f, "signature.good").starts_with("signature.good fail `dummy` refused: "));
    }
}
