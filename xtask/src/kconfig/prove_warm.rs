// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask kconfig prove-warm`: a kernel built in a warm tree has the bytes of one built in a fresh tree.
//!
//! The stage's own recipe builds a small configuration three times, in stores of its own: one that leaves a tree, a
//! changed one in that tree, and the changed one again without. The second and the third must not differ in any output.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use fw_build::kconfig::{Btf, FRAGMENTS};
use fw_build::status::seconds;
use fw_build::store::Entry;
use fw_build::{Failure, Result};

use crate::context::Context;
use crate::exit::Exit;
use crate::screen::Screen;
use crate::stages;

const STAGE: &str = "linux-collabora";

/// As little of a kernel as the recipe can work with: an EFI kernel and one module.
const SMALL: &str = "\
# What the recipe keeps or checks: an EFI kernel in a zboot wrapper, modules.
CONFIG_EFI=y
CONFIG_EFI_STUB=y
CONFIG_EFI_ZBOOT=y
CONFIG_KERNEL_ZSTD=y
CONFIG_MODULES=y
CONFIG_BLOCK=y
CONFIG_BLK_DEV=y
CONFIG_BLK_DEV_LOOP=m
# Files that put their names and lines into the kernel, and the debug choice.
CONFIG_PRINTK=y
CONFIG_BUG=y
CONFIG_DEBUG_BUGVERBOSE=y
CONFIG_DEBUG_KERNEL=y
CONFIG_BPF_SYSCALL=y
";

/// The change: an option that other code asks about, one built in, one module less and one more.
const CHANGED: &str = "\
# A feature whose option many files test, a driver that is built in, another module.
CONFIG_NAMESPACES=y
CONFIG_MAGIC_SYSRQ=y
CONFIG_CRYPTO=y
CONFIG_CRYPTO_SHA512=m
";

const REQUIRED: &str = "\
[[group]]
source = 'prove-warm'
reason = 'the recipe installs modules'
values = ['y']
options = ['MODULES']
";

/// Runs the proof.
pub fn run(cx: &Context, btf: Btf) -> Result<Exit> {
    let work = tempfile::Builder::new().prefix("prove-warm-").tempdir_in(cx.store.root().join("work"))?;
    crate::interrupt::removes(work.path());
    let root = work.path().join("root");
    fixture(cx, &root, btf, "")?;
    let build = |store: &str, warm: &str| -> Result<Entry> {
        let store = work.path().join(store);
        let path = |p: &Path| p.display().to_string();
        let env = BTreeMap::from([
            ("FW_ROOT".to_owned(), path(&root)),
            ("FW_STORE".to_owned(), path(&store)),
            ("FW_WARM".to_owned(), warm.to_owned()),
            // The sources are in the real store already.
            ("FW_MIRROR".to_owned(), path(&cx.store.root().join("src"))),
        ]);
        // One per build: they are the same stage, whose record would say that it is done.
        let screen = Screen::start()?;
        Ok(stages::build(&cx.root, &[STAGE], screen.dir(), &env)?.get(STAGE)?.clone())
    };
    let first = build("warm", "on")?;
    fixture(cx, &root, btf, CHANGED)?;
    let warm = build("warm", "on")?;
    let cold = build("cold", "off")?;
    for (name, entry) in [("first", &first), ("warm", &warm), ("cold", &cold)] {
        let record = &entry.record;
        let cpu = record.cpu_seconds.map_or("unknown".to_owned(), seconds);
        println!("{name:6} {}  {cpu} of CPU time", record.key.short());
    }
    judge(&first, &warm, &cold)?;
    println!("warm and cold are equal: {} outputs", cold.record.outputs.len());
    Ok(Exit::Done)
}

fn judge(first: &Entry, warm: &Entry, cold: &Entry) -> Result<()> {
    if first.record.key == warm.record.key || !warm.record.warm || cold.record.warm {
        return Err(
            Failure::new("the proof proved nothing").why("no tree was used again, or it was used twice")
        );
    }
    let differing: Vec<String> = cold
        .record
        .outputs
        .iter()
        .filter(|(role, output)| warm.record.outputs.get(*role).is_none_or(|o| o.sha256 != output.sha256))
        .map(|(role, _)| format!("`{role}`"))
        .collect();
    if differing.is_empty() {
        return Ok(());
    }
    Err(Failure::new("a warm build differs from a cold one")
        .why(differing.join(", "))
        .hint("`FW_WARM=off` builds cold"))
}

/// A workspace root with the real board and pins and a small kernel configuration.
fn fixture(cx: &Context, root: &Path, btf: Btf, more: &str) -> Result<()> {
    for dir in ["boards", "vendor-manifests", "kernel-config"] {
        fs::create_dir_all(root.join(dir))?;
    }
    for entry in fs::read_dir(cx.root.join("vendor-manifests"))? {
        let entry = entry?;
        fs::copy(entry.path(), root.join("vendor-manifests").join(entry.file_name()))?;
    }
    fs::copy(cx.root.join("boards/nanopi-m6.toml"), root.join("boards/nanopi-m6.toml"))?;
    super::set_btf(root, btf)?;
    let config = root.join("kernel-config");
    for name in FRAGMENTS {
        let text = if name == "base.config" { format!("{SMALL}{more}") } else { "# nothing\n".to_owned() };
        fs::write(config.join(name), text)?;
    }
    for name in [Btf::On.fragment(), Btf::Off.fragment()] {
        fs::copy(cx.root.join("kernel-config").join(name), config.join(name))?;
    }
    fs::write(config.join("required.toml"), REQUIRED)?;
    fs::write(config.join("versions.toml"), "option = []\n")?;
    fs::write(config.join("kspp.toml"), "source = 'none'\ngroup = []\nwaiver = []\nsysctl = []\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use fw_build::key::KeyInputs;
    use fw_build::store::{Built, Store};

    use super::*;

    fn entry(dir: &Path, inputs: &str, content: &str, warm: bool) -> Entry {
        let store = Store::at(dir.join(format!("{content}-{warm}"))).expect("store");
        let mut key = KeyInputs::default();
        key.add("x", inputs).expect("once");
        let outputs = [("image".to_owned(), PathBuf::from("Image"))];
        let make = |work: &Path| {
            fs::write(work.join("out/Image"), content)?;
            Ok(Built { warm, ..Built::default() })
        };
        store.ensure("s", &key, &outputs, || (), make).expect("entry").0
    }

    #[test]
    fn equal_bytes_pass_and_others_are_named() {
        let dir = tempfile::tempdir().expect("dir");
        let first = entry(dir.path(), "1", "a", false);
        let (warm, cold) = (entry(dir.path(), "2", "b", true), entry(dir.path(), "2", "b", false));
        assert!(judge(&first, &warm, &cold).is_ok());
        let other = entry(dir.path(), "2", "c", false);
        let failure = judge(&first, &warm, &other).expect_err("differs").to_string();
        assert!(failure.contains("differs from a cold one") && failure.contains("`image`"), "{failure}");
        assert!(judge(&first, &cold, &cold).is_err(), "a cold build proves nothing about warm ones");
    }
}
