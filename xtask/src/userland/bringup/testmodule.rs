// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The module whose altered copies the kernel must refuse: as signed, unsigned, and with one byte changed.
//!
//! They lie outside the module tree, so that nothing loads them but the self-test.

use std::path::Path;

use fs_err as fs;
use fw_build::{Failure, Result};
use fw_image::modsig;

/// Modules that load on any machine and need no other, best first. Small ones: they are kept four times.
pub const HARMLESS: [&str; 4] = ["dummy.ko", "ifb.ko", "dm-zero.ko", "nbd.ko"];

/// The three files and where they come from.
pub struct TestModule {
    /// Relative to the module tree.
    pub path: String,
    /// File name, for the self-test to unload it again.
    pub file_name: String,
    /// As shipped.
    pub good: Vec<u8>,
    /// As the kernel stage gave it.
    pub unsigned: Vec<u8>,
    /// As shipped, one byte of the module changed, its signature untouched.
    pub flipped: Vec<u8>,
}

impl TestModule {
    /// Picks the module and makes the two bad copies.
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
        let mut flipped = good.clone();
        // Anywhere in the module: the kernel looks at the signature before the content.
        flipped[unsigned.len() / 2] ^= 1;
        let file_name = path.rsplit('/').next().unwrap_or(path).to_owned();
        Ok(TestModule { path: path.to_owned(), file_name, good, unsigned, flipped })
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
        put(&unsigned, "kernel/dummy.ko", b"module");
        put(&signed, "kernel/dummy.ko", b"module");
        assert!(why().starts_with("`kernel/dummy.ko` does not serve"), "{}", why());
        put(&signed, "kernel/dummy.ko", &modsig::append(b"module", b"cms").expect("signed"));
        let made = TestModule::make(&signed, &unsigned).expect("fits");
        assert_eq!((made.path.as_str(), made.file_name.as_str()), ("kernel/dummy.ko", "dummy.ko"));
        put(&unsigned, "kernel/dummy.ko", b"other!");
        assert!(why().contains("is not the unsigned module"), "{}", why());
    }
}
