// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask kconfig figures`: size and time of the kernel that this checkout builds, beside arm64's defconfig.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use fw_build::kconfig::DotConfig;
use fw_build::key::{KeyInputs, files_below};
use fw_build::store::Entry;
use fw_build::{Context as _, Failure, Result};
use object::{Object, ObjectSection};

use super::{KernelSource, pin};
use crate::context::Context;
use crate::exit::Exit;
use crate::screen::Screen;
use crate::stages;

/// The stage that is described.
const STAGE: &str = "linux-collabora";
/// The table stands between these lines of `docs/kernel.md`.
const BEGIN: &str = "<!-- figures: made by `cargo xtask kconfig figures --write` -->";
const END: &str = "<!-- end of figures -->";

/// Prints the table, or writes it into the document.
pub fn run(cx: &Context, write: bool) -> Result<Exit> {
    let kernel = built(cx)?;
    let pin = pin(cx, None)?;
    let screen = Screen::start()?;
    let defconfig = DotConfig::parse(&KernelSource::open(cx, pin, &screen)?.defconfig()?)?;
    drop(screen);
    let table = table(&Ours::read(cx, &kernel)?, &defconfig);
    if !write {
        print!("{table}");
        return Ok(Exit::Done);
    }
    let path = cx.root.join("docs/kernel.md");
    fs::write(&path, replaced(&fs::read_to_string(&path)?, &table)?)?;
    eprintln!("wrote the table in `{}`", path.display());
    Ok(Exit::Done)
}

/// The result in the store for the kernel of this checkout; nothing is built.
fn built(cx: &Context) -> Result<Entry> {
    let dir = tempfile::tempdir()?;
    let env = BTreeMap::from([("FW_BUILD".to_owned(), "explain".to_owned())]);
    stages::run_scripts(&cx.root, &[STAGE], dir.path(), &env)?;
    let inputs: KeyInputs =
        serde_json::from_slice(&fs::read(dir.path().join(format!("{STAGE}.inputs.json")))?)
            .map_err(|e| Failure::new("the stage wrote no inputs").why(e))?;
    cx.store.lookup(STAGE, &inputs.key()).ok_or_else(|| {
        Failure::new("this checkout's kernel is not in the store")
            .hint(format!("`cargo build -p {STAGE}` builds it"))
    })
}

/// What was measured.
struct Ours {
    release: String,
    built_in: usize,
    modules_configured: usize,
    cpu_minutes: Option<f64>,
    warm: bool,
    image_bytes: u64,
    zboot_bytes: Option<u64>,
    module_count: usize,
    module_bytes: u64,
    btf_bytes: u64,
    module_btf_bytes: u64,
}

impl Ours {
    fn read(cx: &Context, kernel: &Entry) -> Result<Ours> {
        let config = DotConfig::parse(&fs::read_to_string(kernel.path("config")?)?)?;
        let (built_in, modules_configured) = config.counts();
        let modules = kernel.path("modules")?;
        let (mut module_count, mut module_bytes, mut module_btf_bytes) = (0, 0, 0);
        for rel in files_below(&modules)?.iter().filter(|p| p.extension().is_some_and(|e| e == "ko")) {
            let path = modules.join(rel);
            module_count += 1;
            module_bytes += fs::metadata(&path)?.len();
            module_btf_bytes += btf_bytes(&path)?;
        }
        Ok(Ours {
            release: fs::read_to_string(kernel.path("release")?)?.trim().to_owned(),
            built_in,
            modules_configured,
            cpu_minutes: kernel.record.cpu_seconds.map(|s| s / 60.0),
            warm: kernel.record.warm,
            image_bytes: fs::metadata(kernel.path("image")?)?.len(),
            zboot_bytes: zboot_bytes(cx, kernel)?,
            module_count,
            module_bytes,
            btf_bytes: btf_bytes(&kernel.path("vmlinux")?)?,
            module_btf_bytes,
        })
    }
}

/// Size of a signed kernel that was made of this one, if one was; the certificate does not change it.
fn zboot_bytes(cx: &Context, kernel: &Entry) -> Result<Option<u64>> {
    let of_this = |e: &Entry| e.record.inputs.iter().any(|(_, value)| value == kernel.record.key.as_str());
    match cx.store.entries("signed-kernel")?.iter().find(|e| of_this(e)) {
        Some(signed) => Ok(Some(fs::metadata(signed.path("vmlinuz")?)?.len())),
        None => Ok(None),
    }
}

/// Size of the type information in an ELF file.
fn btf_bytes(path: &Path) -> Result<u64> {
    let bytes = fs::read(path)?;
    let file = object::File::parse(&*bytes)
        .map_err(|e| Failure::new(format!("`{}` is not an ELF file", path.display())).why(e))?;
    Ok(file.section_by_name(".BTF").map_or(0, |s| s.size()))
}

fn table(ours: &Ours, defconfig: &DotConfig) -> String {
    let mega = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let not_measured = "not measured";
    let (def_built_in, def_modules) = defconfig.counts();
    let cpu = match ours.cpu_minutes {
        Some(minutes) if ours.warm => format!("{minutes:.0} (warm tree)"),
        Some(minutes) => format!("{minutes:.0}"),
        None => not_measured.to_owned(),
    };
    let rows = [
        ("options built in", ours.built_in.to_string(), def_built_in.to_string()),
        ("options as modules", ours.modules_configured.to_string(), def_modules.to_string()),
        ("CPU-minutes", cpu, not_measured.to_owned()),
        ("`Image`", mega(ours.image_bytes), not_measured.to_owned()),
        (
            "zboot kernel, signed",
            ours.zboot_bytes.map_or(not_measured.to_owned(), mega),
            not_measured.to_owned(),
        ),
        (
            "module files, stripped",
            format!("{}, {}", ours.module_count, mega(ours.module_bytes)),
            not_measured.to_owned(),
        ),
        (
            "BTF in the kernel, in modules",
            format!("{}, {}", mega(ours.btf_bytes), mega(ours.module_btf_bytes)),
            "0, 0 (off)".to_owned(),
        ),
    ];
    let mut text = format!("| | {} | arm64 defconfig |\n| --- | --- | --- |\n", ours.release);
    for (name, own, other) in rows {
        text.push_str(&format!("| {name} | {own} | {other} |\n"));
    }
    text
}

/// The document with another table between its two marks.
fn replaced(document: &str, table: &str) -> Result<String> {
    let parts = document.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let (head, tail) = parts
        .ok_or_else(|| {
            Failure::new("no place for the table").why(format!("`{BEGIN}` … `{END}` is not there"))
        })
        .context("`docs/kernel.md` cannot be updated")?;
    Ok(format!("{head}{BEGIN}\n\n{table}\n{END}{tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_put_between_its_marks() {
        let document = format!("head\n\n{BEGIN}\n\nold\n\n{END}\n\ntail\n");
        let once = replaced(&document, "| new |\n").expect("marks are there");
        assert_eq!(once, format!("head\n\n{BEGIN}\n\n| new |\n\n{END}\n\ntail\n"));
        assert_eq!(replaced(&once, "| new |\n").expect("marks are there"), once);
        assert!(replaced("no marks", "").is_err());
    }

    #[test]
    fn what_was_not_measured_is_said() {
        let ours = Ours {
            release: "6.18.15-x".to_owned(),
            built_in: 2,
            modules_configured: 1,
            cpu_minutes: Some(61.6),
            warm: false,
            image_bytes: 30_000_000,
            zboot_bytes: None,
            module_count: 3,
            module_bytes: 4_200_000,
            btf_bytes: 5_000_000,
            module_btf_bytes: 100_000,
        };
        let defconfig = DotConfig::parse("CONFIG_A=y\nCONFIG_B=m\nCONFIG_C=m\n").expect("config");
        let text = table(&ours, &defconfig);
        assert!(text.contains("| options as modules | 1 | 2 |"), "{text}");
        assert!(text.contains("| CPU-minutes | 62 | not measured |"), "{text}");
        assert!(text.contains("| zboot kernel, signed | not measured |"), "{text}");
    }
}
