// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask kconfig diff`.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Read as _;
use std::path::Path;

use fs_err as fs;
use fw_build::kconfig::{DotConfig, Value};
use fw_build::{Context as _, Failure, Result};
use fw_image::kernel::{ikconfig, zboot};

use super::{board_btf, pin, requested};
use crate::context::Context;
use crate::exit::Exit;
use crate::screen::Screen;

/// Compares and prints: data on stdout, the summary on stderr.
pub fn run(cx: &Context, against: Option<&Path>, kernel: Option<&str>) -> Result<Exit> {
    let selected = pin(cx, None)?;
    let other = kernel.map(|label| pin(cx, Some(label))).transpose()?;
    let screen = Screen::start()?;
    let now = requested(cx, selected, board_btf(cx), &screen)?;
    let (old_name, old, new_name, new) = match (against, other) {
        (Some(file), _) => (file.display().to_string(), read(file)?, selected.id(), now),
        (None, Some(other)) => {
            let theirs = requested(cx, other, board_btf(cx), &screen)?;
            (selected.id(), now, other.id(), theirs)
        }
        (None, None) => {
            let last = cx.store.last("linux-collabora").ok_or_else(|| {
                Failure::new("there is no earlier kernel build to compare with")
                    .hint("`--against FILE` compares with a file, `--kernel PIN` with another kernel")
            })?;
            let text = fs::read_to_string(last.path("config")?)?;
            (format!("build {}", last.record.key.short()), text, selected.id(), now)
        }
    };
    drop(screen);
    let lines = differences(&DotConfig::parse(&old)?, &DotConfig::parse(&new)?);
    for line in &lines {
        println!("{line}");
    }
    eprintln!("{} options differ: {old_name} -> {new_name}", lines.len());
    Ok(Exit::Done)
}

/// One option that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffLine {
    /// Option, without `CONFIG_`.
    pub option: String,
    /// Value on the left; off where it is not named.
    pub old: Value,
    /// Value on the right.
    pub new: Value,
}

impl fmt::Display for DiffLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.old, &self.new) {
            (Value::No, new) => write!(f, "+{} {new}", self.option),
            (old, Value::No) => write!(f, "-{} {old}", self.option),
            (old, new) => write!(f, " {} {old} -> {new}", self.option),
        }
    }
}

/// What differs, by option. An option that is off is the same as one that is absent.
pub fn differences(old: &DotConfig, new: &DotConfig) -> Vec<DiffLine> {
    let names: BTreeSet<&str> = old.iter().chain(new.iter()).map(|(option, _)| option).collect();
    let value = |config: &DotConfig, option: &str| config.get(option).unwrap_or(&Value::No).clone();
    names
        .into_iter()
        .map(|o| DiffLine { option: o.to_owned(), old: value(old, o), new: value(new, o) })
        .filter(|line| line.old != line.new)
        .collect()
}

/// The configuration in a file: `.config`, the same in gzip (`/proc/config.gz`), or a kernel that carries it.
fn read(path: &Path) -> Result<String> {
    let what = || format!("cannot read a configuration from `{}`", path.display());
    let bytes = fs::read(path)?;
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut text = String::new();
        flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text).context(what())?;
        return Ok(text);
    }
    let failed = |e: &dyn fmt::Display| {
        Failure::new(what())
            .why(e)
            .hint("a kernel must be built with CONFIG_IKCONFIG to carry its configuration")
    };
    if zboot::Header::parse(&bytes).is_ok() {
        let image = zboot::decompress(&bytes).map_err(|e| failed(&e))?;
        return ikconfig::extract(&image).map_err(|e| failed(&e));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(e) => ikconfig::extract(e.as_bytes()).map_err(|e| failed(&e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_removed_and_changed() {
        let parse = |text| DotConfig::parse(text).expect("config");
        let old = parse("CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\nCONFIG_D=1\nCONFIG_SAME=y\n");
        let new = parse("CONFIG_B=y\nCONFIG_D=2\nCONFIG_E=\"x\"\nCONFIG_SAME=y\n");
        let lines: Vec<String> = differences(&old, &new).iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["-A y", " B m -> y", " D 1 -> 2", "+E \"x\""]);
    }

    #[test]
    fn files_are_told_apart_by_their_content() {
        let dir = tempfile::tempdir().expect("dir");
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            fs::write(&path, bytes).expect("write");
            path
        };
        let text = "CONFIG_A=y\n";
        assert_eq!(read(&write("config", text.as_bytes())).expect("text"), text);
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut gz, text.as_bytes()).expect("gzip");
        let gz = gz.finish().expect("gzip");
        assert_eq!(read(&write("config.gz", &gz)).expect("gzip"), text);
        let kernel = [b"\xff\xfecode IKCFG_ST".as_slice(), &gz, b"IKCFG_ED\xff"].concat();
        assert_eq!(read(&write("Image", &kernel)).expect("kernel"), text);
        let failure = read(&write("other", b"\xff\xfe\xfd")).expect_err("no configuration").to_string();
        assert!(failure.contains("CONFIG_IKCONFIG"), "{failure}");
    }
}
