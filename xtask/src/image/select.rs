// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the flags and the board file choose together.

use std::collections::BTreeMap;

use clap::ValueEnum;
use fw_build::board::{Board, Disk, select_var};
use fw_build::manifest::Pin;
use fw_build::{Failure, Result};
use fw_image::meta::Meta;
use fw_image::talos::{Line, VersionError};

use super::Args;
use crate::context::Context;
use crate::stages::{ALL, LOADER};
use crate::userland::extended::Wanted;
use crate::userland::talos_source;

/// What runs after the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Userland {
    /// The Talos release's own initramfs with our modules.
    Talos,
    /// The self-test: prints what works on every console.
    Bringup,
    /// Talos's own programs compiled from their source, for the rehearsal only; not an official build of Talos.
    TalosSource,
}

impl Userland {
    /// As in file names and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Userland::Talos => "talos",
            Userland::Bringup => "bringup",
            Userland::TalosSource => "talos-source",
        }
    }
}

/// Whether the image carries the loader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Bootloader {
    /// U-Boot at sector 64.
    UBoot,
    /// U-Boot beside the image, for the SPI flash of a board without eMMC; the image carries none.
    Spi,
    /// None: the board has one in SPI flash or eMMC.
    None,
}

impl Bootloader {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Bootloader::UBoot => "u-boot",
            Bootloader::Spi => "spi",
            Bootloader::None => "none",
        }
    }
}

/// The resolved choices.
#[derive(Debug, Clone)]
pub struct Selection {
    /// Userland.
    pub userland: Userland,
    /// Bootloader.
    pub bootloader: Bootloader,
    /// Talos release with its leading `v`.
    pub talos: String,
    /// Its line, which decides layout and kernel arguments, with either userland.
    pub line: Line,
    /// The disk layout of that line.
    pub disk: Disk,
    /// Values for META.
    pub meta: Meta,
    /// What is added to the initramfs.
    pub additions: Wanted,
    /// Kernel arguments of the user.
    pub extra_kernel_args: Vec<String>,
    overrides: BTreeMap<String, String>,
}

impl Selection {
    /// Flags first, then the board file.
    ///
    /// # Errors
    /// A value is not known.
    pub fn of(args: &Args, board: &Board) -> Result<Selection> {
        let mut overrides = BTreeMap::new();
        for (name, value) in
            [("linux", &args.kernel), ("talos", &args.talos), ("dt-variant", &args.dt_variant)]
        {
            if let Some(value) = value {
                overrides.insert(select_var(name), value.clone());
            }
        }
        if let Some(ddr) = &args.ddr {
            overrides.insert(select_var("rkbin"), label_or_path(ddr)?);
        }
        // `tf-a` is the board file's pin, which no override is.
        if let Some(bl31) = args.bl31.as_deref().filter(|b| *b != "tf-a") {
            overrides.insert(select_var("tf-a"), label_or_path(bl31)?);
        }
        let word = |name: &str| -> Result<String> { board.selected(name) };
        let userland = match args.userland {
            Some(userland) => userland,
            None => parse("userland", &word("userland")?)?,
        };
        let bootloader = match args.bootloader {
            Some(bootloader) => bootloader,
            None => parse("bootloader", &word("bootloader")?)?,
        };
        let talos = args.talos.clone().map_or_else(|| word("talos"), Ok)?;
        let line = line_of(&talos)?;
        let disk = board.disk.for_talos(line.name())?;
        let meta = Meta::from_arguments(&args.meta).map_err(|e| {
            Failure::new("the META values cannot be used")
                .why(e)
                .hint("give them as in `--meta metal-network=...`")
        })?;
        let additions = Wanted {
            modules: args.modules.unwrap_or_default(),
            extensions: args.extensions.clone(),
            configuration: args.embedded_config.clone(),
        };
        additions.check(line, &talos)?;
        if userland == Userland::Bringup && !additions.is_empty() {
            return Err(Failure::new(
                "the self-test takes no extensions, no layer and no machine configuration",
            )
            .why("Talos's own `init` reads them")
            .hint(
                "`--userland talos` makes an image that has them, `--userland talos-source` one to rehearse",
            ));
        }
        let extra_kernel_args = args.extra_kernel_args.clone();
        Ok(Selection {
            userland,
            bootloader,
            talos,
            line,
            disk,
            meta,
            additions,
            extra_kernel_args,
            overrides,
        })
    }

    /// Refuses a kernel that is too old for the line of Talos, by its version, for example `6.12.107`.
    ///
    /// # Errors
    /// It is too old. The self-test runs on any.
    pub fn require_kernel(&self, version: &str) -> Result<()> {
        let mut numbers = version.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
        let found = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
        let oldest = self.line.oldest_kernel();
        if self.userland == Userland::Bringup || found >= oldest {
            return Ok(());
        }
        Err(Failure::new(format!("kernel {version} is too old for Talos {}", self.talos))
            .why(format!(
                "{} makes mount calls that Linux {}.{} was the first to have",
                self.line, oldest.0, oldest.1
            ))
            .hint("take `--kernel lts-6.18`, or an older line of Talos with `--talos`"))
    }

    /// For the userland `talos-source`: the release that is compiled, and the layout of that release's line.
    ///
    /// # Errors
    /// It is of no line that images are made for.
    pub fn of_compiled(self, compiled: &str, board: &Board) -> Result<Selection> {
        let line = line_of(compiled)?;
        let disk = board.disk.for_talos(line.name())?;
        Ok(Selection { talos: compiled.to_owned(), line, disk, ..self })
    }

    /// The kernel's pin.
    ///
    /// # Errors
    /// No such pin.
    pub fn kernel<'a>(&self, cx: &'a Context) -> Result<&'a Pin> {
        let label = match self.overrides.get(&select_var("linux")) {
            Some(label) => label.clone(),
            None => cx.board.selected("linux")?,
        };
        cx.manifests.pin("linux", Some(&label))
    }

    /// Stages that the image and its rehearsal need.
    pub fn stages(&self) -> Vec<&'static str> {
        let unwanted: &[&str] = match self.bootloader {
            Bootloader::UBoot => &["u-boot-spi"],
            Bootloader::Spi => &["u-boot-nanopi-m6"],
            Bootloader::None => &LOADER,
        };
        ALL.into_iter().filter(|stage| !unwanted.contains(stage)).collect()
    }

    /// What is selected under a name: the flag, else the environment's or the board file's.
    ///
    /// # Errors
    /// The name is not selectable.
    pub fn selected(&self, board: &Board, name: &str) -> Result<String> {
        self.overrides.get(&select_var(name)).map_or_else(|| board.selected(name), |value| Ok(value.clone()))
    }

    /// Environment of the stages' build scripts.
    pub fn env(&self) -> BTreeMap<String, String> {
        self.overrides.clone()
    }

    /// One line for people.
    pub fn describe(&self) -> String {
        match self.userland {
            Userland::Talos => format!("talos {}", self.talos),
            Userland::Bringup => format!("bringup (self-test), laid out as for talos {}", self.talos),
            Userland::TalosSource => format!("talos {} ({})", self.talos, talos_source::LABEL),
        }
    }
}

/// The line of a release, or what is wrong with the release.
fn line_of(talos: &str) -> Result<Line> {
    Line::of(talos).map_err(|e| match e {
        VersionError::Form(_) => {
            Failure::new(format!("`{talos}` is not a Talos release")).hint("give it as in `--talos v1.10.9`")
        }
        VersionError::Unsupported { .. } => {
            Failure::new(format!("images for Talos {talos} are not supported")).why(e).hint(format!(
                "take a release of {} to {}, as in `--talos v1.13.9`",
                Line::ALL[0],
                Line::ALL[Line::ALL.len() - 1]
            ))
        }
    })
}

/// A label as it is; what looks like a file as its absolute path, which is how stages tell them apart.
fn label_or_path(word: &str) -> Result<String> {
    if !word.contains('/') && !std::path::Path::new(word).is_file() {
        return Ok(word.to_owned());
    }
    let path = fs_err::canonicalize(word)?;
    path.into_os_string().into_string().map_err(|path| {
        Failure::new(format!("`{}` cannot be used", path.display())).why("its name is not UTF-8 text")
    })
}

fn parse<T: ValueEnum>(what: &str, word: &str) -> Result<T> {
    T::from_str(word, false).map_err(|_| {
        let known: Vec<String> = T::value_variants()
            .iter()
            .filter_map(|v| v.to_possible_value().map(|p| p.get_name().to_owned()))
            .collect();
        Failure::new(format!("`{word}` is not a {what}")).why(format!("known: {}", known.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bootloader_has_its_stages() {
        let board = Board::load(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), "nanopi-m6");
        let board = board.expect("the board file");
        for (bootloader, wanted) in [
            (Bootloader::UBoot, &["rkbin-ddr", "tf-a-bl31", "u-boot-nanopi-m6"][..]),
            (Bootloader::Spi, &["rkbin-ddr", "tf-a-bl31", "u-boot-spi"]),
            (Bootloader::None, &[]),
        ] {
            let args = Args { bootloader: Some(bootloader), ..Args::default() };
            let stages = Selection::of(&args, &board).expect("a selection").stages();
            let loaders: Vec<&str> = stages.into_iter().filter(|s| LOADER.contains(s)).collect();
            assert_eq!(loaders, wanted, "{bootloader:?}");
        }
    }

    #[test]
    fn each_line_of_talos_has_its_layout() {
        let board = Board::load(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), "nanopi-m6");
        let board = board.expect("the board file");
        let select =
            |talos: &str| Selection::of(&Args { talos: Some(talos.to_owned()), ..Args::default() }, &board);
        // Every line that `fw_image` and the kernel's table of options know has a layout, and no other.
        assert_eq!(Line::ALL.map(Line::name), fw_build::kconfig::required::TALOS_LINES);
        for line in Line::ALL {
            let selection = select(&format!("{line}.0")).expect("a layout");
            let boot_mib = if line == Line::V1_10 { 1000 } else { 2000 };
            assert_eq!((selection.line, selection.disk.partitions[2].size_mib), (line, boot_mib));
        }
        let kernel = |talos: &str, userland, version: &str| {
            let args = Args { talos: Some(talos.to_owned()), userland: Some(userland), ..Args::default() };
            Selection::of(&args, &board).expect("known").require_kernel(version)
        };
        assert_eq!(kernel("v1.14.0", Userland::Talos, "6.18.15"), Ok(()));
        assert_eq!(kernel("v1.13.9", Userland::Talos, "6.12.107"), Ok(()));
        assert_eq!(kernel("v1.14.0", Userland::Bringup, "6.12.107"), Ok(()));
        let text = kernel("v1.14.0", Userland::Talos, "6.12.107").expect_err("too old").to_string();
        assert!(
            text.contains("6.12.107 is too old for Talos v1.14.0") && text.contains("Linux 6.13"),
            "{text}"
        );
        let refusal = |talos: &str| select(talos).expect_err(talos).to_string();
        let text = refusal("v1.9.6");
        for part in [
            "Talos v1.9.6 are not supported",
            "known are those of v1.10, v1.11",
            "\nhint: take a release of v1.10 to v1.14",
        ] {
            assert!(text.contains(part), "no `{part}` in:\n{text}");
        }
        assert!(refusal("1.10").contains("is not a Talos release"));
        let embedded = |talos: &str, userland| {
            let embedded_config = Some("config.yaml".into());
            let args = Args { talos: Some(talos.to_owned()), embedded_config, userland, ..Args::default() };
            Selection::of(&args, &board).map(|s| s.additions.is_empty())
        };
        assert_eq!(embedded("v1.12.0", Some(Userland::Talos)), Ok(false));
        let text = embedded("v1.11.6", Some(Userland::Talos)).expect_err("v1.11 reads none").to_string();
        assert!(
            text.contains("Talos v1.11.6 reads no machine configuration") && text.contains("hint: "),
            "{text}"
        );
        let text = embedded("v1.13.9", Some(Userland::Bringup)).expect_err("not the self-test").to_string();
        assert!(text.contains("takes no extensions"), "{text}");
        let meta = |value: &str| {
            Selection::of(&Args { meta: vec![value.to_owned()], ..Args::default() }, &board).map(|s| s.meta)
        };
        assert_eq!(meta("0xc=a").expect("good").values()[&12], b"a");
        let text = meta("6=A").expect_err("upgrade marker").to_string();
        assert!(text.contains("META values cannot be used") && text.contains("hint: "), "{text}");
    }

    #[test]
    fn the_compiled_release_decides_its_own_layout() {
        let board = Board::load(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), "nanopi-m6");
        let board = board.expect("the board file");
        let args = Args { userland: Some(Userland::TalosSource), ..Args::default() };
        let selection = Selection::of(&args, &board).expect("a selection");
        let source = selection.of_compiled("v1.12.0", &board).expect("compiled");
        let line = line_of("v1.12.0").expect("a line");
        assert_eq!((source.talos.as_str(), source.line), ("v1.12.0", line));
        assert_eq!(source.disk, board.disk.for_talos(line.name()).expect("a layout"));
    }

    #[test]
    fn labels_and_files() {
        assert_eq!(label_or_path("v1.19").expect("a label"), "v1.19");
        let dir = tempfile::tempdir().expect("folder");
        let file = dir.path().join("ddr.bin");
        fs_err::write(&file, "x").expect("file");
        let path = label_or_path(&format!("{}/../ddr.bin", dir.path().join(".").display()));
        assert!(path.is_err(), "no such file: {path:?}");
        let path = label_or_path(file.to_str().expect("text")).expect("a file");
        assert!(path.starts_with('/') && path.ends_with("ddr.bin"), "{path}");
    }

    #[test]
    fn unknown_words_list_the_known_ones() {
        let text = parse::<Userland>("userland", "debian").expect_err("unknown").to_string();
        assert!(text.contains("known: talos, bringup, talos-source"), "{text}");
    }
}
