// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The module whose altered copies the kernel must refuse, each in its own way.
//!
//! They lie outside the module tree, so that nothing loads them but the self-test.

use std::path::Path;

use fs_err as fs;
use fw_build::{Failure, Result};
use fw_image::cert::Signer;
use fw_image::modsig;

use super::evidence;

/// Modules that load on any machine and need no other, best first. Small ones: they are kept many times.
pub const HARMLESS: [&str; 4] = ["dummy.ko", "ifb.ko", "dm-zero.ko", "nbd.ko"];

/// The copies and where they come from.
pub struct TestModule {
    /// Relative to the module tree.
    pub path: String,
    /// File name, for the self-test to unload it again.
    pub file_name: String,
    /// Contents by name: `good` as shipped, the others as the self-test's list says.
    pub copies: Vec<(&'static str, Vec<u8>)>,
}

impl TestModule {
    /// Picks the module and makes the bad copies.
    ///
    /// # Errors
    /// None of [`HARMLESS`] is in the tree, it is not signed, or it is not the unsigned one plus a signature.
    pub fn make(signed_tree: &Path, unsigned_tree: &Path) -> Result<TestModule> {
        let dep = fs::read_to_string(signed_tree.join("modules.dep")).map_err(|e| {
            Failure::from(e).hint("give the folder `usr/lib/modules/RELEASE` that the signing step made")
        })?;
        let path = HARMLESS.iter().find_map(|file| find(&dep, file)).ok_or_else(|| {
            Failure::new("no module to test the signature check with")
                .why(format!("`{}` has none of `{}`", signed_tree.display(), HARMLESS.join("`, `")))
                .hint("set `CONFIG_DUMMY=m` in `kernel-config/`")
        })?;
        let (good, unsigned) = (fs::read(signed_tree.join(path))?, fs::read(unsigned_tree.join(path))?);
        let what = || Failure::new(format!("`{path}` does not serve to test the signature check"));
        let signed = modsig::split(&good).map_err(|e| what().why(e))?;
        if signed.content != unsigned {
            return Err(what().why("without its signature it is not the unsigned module").why(format!(
                "compared `{}` and `{}`",
                signed_tree.display(),
                unsigned_tree.display()
            )));
        }
        let (at, signature_at) = (unsigned.len() / 2, unsigned.len() + signed.cms.len());
        let changed = |at: usize, bits: u8| {
            let mut copy = good.clone();
            copy[at] ^= bits;
            copy
        };
        let by = |signer: Signer| modsig::sign(&unsigned, &signer).map_err(|e| what().why(e));
        // `struct module_signature` stands behind the message: kind in byte 2, length in bytes 8 to 11, and the
        // length's first byte says megabytes.
        let copies = vec![
            ("good", good.clone()),
            ("unsigned", unsigned.clone()),
            // Anywhere in the module: the kernel looks at the signature before the content.
            ("flipped", changed(at, 1)),
            // The message ends in the signature's number.
            ("flipped-signature", changed(signature_at - 1, 1)),
            ("truncated", good[..good.len() - 1].to_vec()),
            ("shortened", [&good[..at], &good[at + 16..]].concat()),
            ("overlong", changed(signature_at + 8, 0x40)),
            ("foreign-kind", changed(signature_at + 2, 3)),
            ("stranger", by(evidence::stranger()?)?),
            ("expired", by(evidence::expired()?)?),
        ];
        let file_name = path.rsplit('/').next().unwrap_or(path).to_owned();
        Ok(TestModule { path: path.to_owned(), file_name, copies })
    }
}

/// The path of a module file in `modules.dep`, if it needs no other module.
fn find<'a>(dep: &'a str, file: &str) -> Option<&'a str> {
    dep.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(path, needed)| path.rsplit('/').next() == Some(file) && needed.trim().is_empty())
        .map(|(path, _)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/a/nbd.ko:\nkernel/b/my-dummy.ko:\nkernel/b/ifb.ko: kernel/c/x.ko\n";

    #[test]
    fn a_module_that_needs_others_is_passed_over() {
        assert_eq!(find(DEP, "dummy.ko"), None);
        assert_eq!(find(DEP, "ifb.ko"), None);
        assert_eq!(HARMLESS.iter().find_map(|file| find(DEP, file)), Some("kernel/a/nbd.ko"));
    }

    #[test]
    fn trees_that_do_not_fit_are_refused() {
        let dir = tempfile::tempdir().expect("folder");
        let (signed, unsigned) = (dir.path().join("s"), dir.path().join("u"));
        let put = |tree: &Path, path: &str, bytes: &[u8]| {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().expect("folder")).expect("made");
            fs::write(path, bytes).expect("written");
        };
        let why = || TestModule::make(&signed, &unsigned).err().expect("refused").to_string();
        assert!(why().contains("modules.dep"), "{}", why());
        put(&signed, "modules.dep", b"kernel/x.ko:\n");
        assert!(why().starts_with("no module to test the signature check with"), "{}", why());
        put(&signed, "modules.dep", b"kernel/dummy.ko:\n");
        let module = [b'm'; 64];
        put(&unsigned, "kernel/dummy.ko", &module);
        put(&signed, "kernel/dummy.ko", &module);
        assert!(why().starts_with("`kernel/dummy.ko` does not serve"), "{}", why());
        put(&signed, "kernel/dummy.ko", &modsig::append(&module, b"cms").expect("signed"));
        let made = TestModule::make(&signed, &unsigned).expect("fits");
        assert_eq!((made.path.as_str(), made.file_name.as_str()), ("kernel/dummy.ko", "dummy.ko"));
        let split = |name: &str| {
            let (_, copy) = made.copies.iter().find(|(n, _)| *n == name).expect(name);
            modsig::split(copy).map(|s| (s.content.to_vec(), s.cms.to_vec()))
        };
        assert_eq!(split("good").expect("signed"), (module.to_vec(), b"cms".to_vec()));
        assert!(matches!(split("unsigned"), Err(modsig::Error::NotSigned)));
        assert!(matches!(split("truncated"), Err(modsig::Error::NotSigned)));
        assert_eq!(split("shortened").expect("signed").0.len(), module.len() - 16);
        assert_eq!(split("flipped-signature").expect("signed"), (module.to_vec(), b"cmr".to_vec()));
        assert_ne!(split("flipped").expect("signed").0, module);
        assert!(
            matches!(split("overlong"), Err(modsig::Error::Trailer(t)) if t.contains("signature bytes in"))
        );
        assert!(matches!(split("foreign-kind"), Err(modsig::Error::Trailer(t)) if t.contains("type 1")));
        for name in ["stranger", "expired"] {
            assert_eq!(split(name).expect("signed").0, module);
        }
        put(&unsigned, "kernel/dummy.ko", b"other");
        assert!(why().contains("is not the unsigned module"), "{}", why());
    }
}
