// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask kconfig figures`: size and time of the kernel that this checkout builds, beside the same kernel with the
//! other choice of BTF and arm64's defconfig.

use std::path::Path;

use fs_err as fs;
use fw_build::kconfig::{Btf, DotConfig};
use fw_build::key::files_below;
use fw_build::store::Entry;
use fw_build::{Context as _, Failure, Result};
use object::{Object, ObjectSection};

use super::measure::{self, Other};
use super::{KernelSource, folder, pin};
use crate::context::Context;
use crate::exit::Exit;
use crate::screen::Screen;

/// The table stands between these lines of `docs/kernel.md`.
const BEGIN: &str = "<!-- figures: made by `cargo xtask kconfig figures --write` -->";
const END: &str = "<!-- end of figures -->";
/// A cell for what only a build gives.
const NOT_MEASURED: &str = "not measured";

/// Prints the table, or writes it into the document; builds `others` first.
pub fn run(cx: &Context, write: bool, others: &[Other]) -> Result<Exit> {
    let pin = pin(cx, None)?;
    let screen = Screen::start()?;
    for other in others {
        measure::build(cx, *other, pin, &screen)?;
    }
    let kernel = measure::ours(cx, super::board_btf(cx))?.ok_or_else(|| {
        Failure::new("this checkout's kernel is not in the store")
            .hint("`cargo build -p linux-collabora` builds it")
    })?;
    let source = KernelSource::open(cx, pin, &screen)?;
    let without_btf = source.requested(&folder(cx)?.request(Btf::Off, &pin.version)?)?;
    let columns = [
        Column::of(cx, "this kernel", None, Some(&kernel))?,
        Column::of(cx, "without BTF", Some(&without_btf), measure::ours(cx, Btf::Off)?.as_ref())?,
        Column::of(cx, "arm64 defconfig", Some(&source.defconfig()?), measure::defconfig(cx, pin)?.as_ref())?,
    ];
    drop(screen);
    let table = table(&columns);
    if !write {
        print!("{table}");
        return Ok(Exit::Done);
    }
    let path = cx.root.join("docs/kernel.md");
    fs::write(&path, replaced(&fs::read_to_string(&path)?, &table)?)?;
    eprintln!("wrote the table in `{}`", path.display());
    Ok(Exit::Done)
}

/// One kernel of the table.
struct Column {
    title: &'static str,
    /// Options built in, and as modules.
    options: (usize, usize),
    /// Only of a kernel that was built.
    built: Option<Figures>,
}

impl Column {
    /// `config` is for a kernel that was not built; one that was has its own.
    fn of(cx: &Context, title: &'static str, config: Option<&str>, built: Option<&Entry>) -> Result<Column> {
        let own =
            built.map(|entry| Ok::<_, Failure>(fs::read_to_string(entry.path("config")?)?)).transpose()?;
        let config = own.as_deref().or(config).unwrap_or_default();
        Ok(Column {
            title,
            options: DotConfig::parse(config)?.counts(),
            built: built.map(|entry| Figures::read(cx, entry)).transpose()?,
        })
    }
}

/// What was measured on one kernel.
struct Figures {
    release: String,
    cpu_minutes: Option<f64>,
    warm: bool,
    image_bytes: u64,
    zboot_bytes: Option<u64>,
    module_count: usize,
    module_bytes: u64,
    btf_bytes: u64,
    module_btf_bytes: u64,
}

impl Figures {
    fn read(cx: &Context, kernel: &Entry) -> Result<Figures> {
        let modules = kernel.path("modules")?;
        let (mut module_count, mut module_bytes, mut module_btf_bytes) = (0, 0, 0);
        for rel in files_below(&modules)?.iter().filter(|p| p.extension().is_some_and(|e| e == "ko")) {
            let path = modules.join(rel);
            module_count += 1;
            module_bytes += fs::metadata(&path)?.len();
            module_btf_bytes += btf_bytes(&path)?;
        }
        Ok(Figures {
            release: fs::read_to_string(kernel.path("release")?)?.trim().to_owned(),
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

/// The table as Markdown: a row for each figure, a column for each kernel.
fn table(columns: &[Column]) -> String {
    let mega = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let measured = |cell: &dyn Fn(&Figures) -> String| -> Vec<String> {
        let cell = |c: &Column| c.built.as_ref().map_or_else(|| NOT_MEASURED.to_owned(), cell);
        columns.iter().map(cell).collect()
    };
    let rows = [
        ("release", measured(&|f| format!("`{}`", f.release))),
        ("options built in", columns.iter().map(|c| c.options.0.to_string()).collect()),
        ("options as modules", columns.iter().map(|c| c.options.1.to_string()).collect()),
        ("CPU-minutes", measured(&cpu)),
        ("`Image`", measured(&|f| mega(f.image_bytes))),
        ("zboot kernel, signed", measured(&|f| f.zboot_bytes.map_or("not made".to_owned(), mega))),
        ("module files, stripped", measured(&|f| format!("{}, {}", f.module_count, mega(f.module_bytes)))),
        (
            "BTF in the kernel, in modules",
            measured(&|f| match f.btf_bytes + f.module_btf_bytes {
                0 => "none".to_owned(),
                _ => format!("{}, {}", mega(f.btf_bytes), mega(f.module_btf_bytes)),
            }),
        ),
    ];
    let line = |name: &str, cells: &[String]| format!("| {name} | {} |\n", cells.join(" | "));
    let titles: Vec<String> = columns.iter().map(|c| c.title.to_owned()).collect();
    let rules = vec!["---".to_owned(); columns.len()];
    let mut text = line("", &titles).replacen("|  |", "| |", 1) + &line("---", &rules);
    for (name, cells) in &rows {
        text.push_str(&line(name, cells));
    }
    text
}

fn cpu(figures: &Figures) -> String {
    match figures.cpu_minutes {
        Some(minutes) if figures.warm => format!("{minutes:.0} (warm tree)"),
        Some(minutes) => format!("{minutes:.0}"),
        None => NOT_MEASURED.to_owned(),
    }
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
        let built = Figures {
            release: "6.18.15-x".to_owned(),
            cpu_minutes: Some(61.6),
            warm: false,
            image_bytes: 30_000_000,
            zboot_bytes: None,
            module_count: 3,
            module_bytes: 4_200_000,
            btf_bytes: 5_000_000,
            module_btf_bytes: 100_000,
        };
        let columns = [
            Column { title: "this", options: (2, 1), built: Some(built) },
            Column { title: "other", options: (1, 2), built: None },
        ];
        let text = table(&columns);
        assert!(text.starts_with("| | this | other |\n| --- | --- | --- |\n"), "{text}");
        assert!(text.contains("| options as modules | 1 | 2 |"), "{text}");
        assert!(text.contains("| CPU-minutes | 62 | not measured |"), "{text}");
        assert!(text.contains("| zboot kernel, signed | not made | not measured |"), "{text}");
    }
}
