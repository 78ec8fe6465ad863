// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The board that a run has: media, memory, identity of the chip.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use fw_build::{Failure, Result};
use rk3588_model::bootrom::BootSource;
use rk3588_model::dram::DramSize;
use rk3588_model::machine::Board;

use super::image::{self, Load};
use super::medium::Medium;
use super::symbols::Symbols;
use crate::context::Context;

/// `--boot-source`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Source {
    /// Card in the slot.
    Sd,
    /// eMMC.
    Emmc,
    /// Serial flash; without an image the loader that is made for it (`out/nanopi-m6-spi.bin` is one).
    Spi,
}

impl Source {
    fn of_the_model(self) -> BootSource {
        match self {
            Source::Sd => BootSource::Sd,
            Source::Emmc => BootSource::Emmc,
            Source::Spi => BootSource::Spi,
        }
    }
}

/// `--dram`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dram {
    /// 4 GiB.
    #[value(name = "4")]
    Gib4,
    /// 8 GiB.
    #[value(name = "8")]
    Gib8,
    /// 16 GiB.
    #[value(name = "16")]
    Gib16,
    /// 32 GiB.
    #[value(name = "32")]
    Gib32,
}

impl Dram {
    /// Every size.
    pub const ALL: [Dram; 4] = [Dram::Gib4, Dram::Gib8, Dram::Gib16, Dram::Gib32];

    /// In GiB.
    pub fn gib(self) -> u64 {
        match self {
            Dram::Gib4 => 4,
            Dram::Gib8 => 8,
            Dram::Gib16 => 16,
            Dram::Gib32 => 32,
        }
    }

    /// For the model.
    pub fn of_the_model(self) -> DramSize {
        match self {
            Dram::Gib4 => DramSize::Gib4,
            Dram::Gib8 => DramSize::Gib8,
            Dram::Gib16 => DramSize::Gib16,
            Dram::Gib32 => DramSize::Gib32,
        }
    }
}

/// What is plugged in.
#[derive(Debug, Clone)]
pub struct Plugged {
    /// The image, on the medium that it is meant for.
    pub image: Medium,
    /// That medium.
    pub source: Source,
    /// The only medium that the boot ROM looks at.
    pub only: Option<Source>,
    /// Another card.
    pub sd: Option<Medium>,
    /// Another eMMC.
    pub emmc: Option<Medium>,
    /// Memory.
    pub dram: Dram,
    /// Words of the OTP area.
    pub otp: Option<Vec<u32>>,
}

impl Plugged {
    /// A board of 8 GiB with an image on one medium and nothing else.
    ///
    /// # Errors
    /// The image cannot be read.
    pub fn new(image: &Path, source: Source) -> Result<Plugged> {
        Ok(Plugged {
            image: Medium::open(image)?,
            source,
            only: None,
            sd: None,
            emmc: None,
            dram: Dram::Gib8,
            otp: None,
        })
    }

    /// For the model.
    pub fn board(&self, strict: bool) -> Board {
        let on = |source: Source, other: &Option<Medium>| {
            if self.source == source { Some(self.image.disk()) } else { other.as_ref().map(Medium::disk) }
        };
        let mut board = Board {
            dram: self.dram.of_the_model(),
            boot_source: self.only.map(Source::of_the_model),
            spi: on(Source::Spi, &None),
            sd: on(Source::Sd, &self.sd),
            emmc: on(Source::Emmc, &self.emmc),
            strict,
            ..Board::default()
        };
        if let Some(otp) = &self.otp {
            board.otp.clone_from(otp);
        }
        board
    }

    /// What the image's FIT loads.
    ///
    /// # Errors
    /// The image cannot be read.
    pub fn loads(&self) -> Result<Vec<Load>> {
        let fit_lba = if self.source == Source::Spi { image::FLASH_FIT_LBA } else { image::FIT_LBA };
        image::loads(&self.image, fit_lba)
    }

    /// Names from the build in `out/`, as far as the image holds the bytes of that build.
    ///
    /// # Errors
    /// A file that `out/artifacts.tsv` names is not what it should be.
    pub fn symbols(&self) -> Result<Symbols> {
        let mut symbols = Symbols::default();
        let Ok(list) = fs_err::read_to_string(Context::load()?.out().join("artifacts.tsv")) else {
            return Ok(symbols);
        };
        let loads = self.loads()?;
        let loaded = |address: u64, length: usize| {
            let load = loads.iter().find(|load| load.range.contains(&address))?;
            self.image.read(load.offset_bytes + (address - load.range.start), length as u64).ok()
        };
        for line in list.lines() {
            if let [_, "bl31" | "elf" | "spl-elf", path] = line.split('\t').collect::<Vec<_>>()[..]
                && Path::new(path).exists()
            {
                symbols.add(Path::new(path), loaded)?;
            }
        }
        Ok(symbols)
    }
}

/// The image that `cargo xtask image` wrote.
///
/// # Errors
/// There is none.
pub fn default_image() -> Result<PathBuf> {
    let cx = Context::load()?;
    let image = cx.out().join(format!("{}.raw.xz", cx.board.disk.image));
    if image.is_file() {
        return Ok(image);
    }
    Err(Failure::new("there is no image to simulate")
        .why(format!("`{}` does not exist", image.display()))
        .hint("`cargo xtask image` builds one; or name an image: `cargo xtask simulate FILE`"))
}

/// The loader for serial flash as the tree makes it: from the store, or built.
///
/// # Errors
/// It cannot be built.
#[cfg(target_os = "linux")]
pub fn flash_loader() -> Result<PathBuf> {
    use crate::image::{Args, Selection};
    use crate::screen::Screen;
    use crate::stages;

    let cx = Context::load()?;
    let screen = Screen::start()?;
    let selection = Selection::of(&Args::default(), &cx.board)?;
    let built = stages::build(&cx.root, &[FLASH_LOADER], screen.dir(), &selection.env())?;
    built.get(FLASH_LOADER)?.path("u-boot-rockchip-spi")
}

/// There is none: nothing is built here.
///
/// # Errors
/// Always.
#[cfg(not(target_os = "linux"))]
pub fn flash_loader() -> Result<PathBuf> {
    Err(Failure::new("the loader for serial flash is built on Linux only").hint("name the file of one"))
}

/// The stage that makes it.
#[cfg(target_os = "linux")]
const FLASH_LOADER: &str = "u-boot-spi";

/// Bytes of the chip's identity, and where they begin in the OTP area (U-Boot `rockchip_cpuid_from_efuse`:
/// `cpuid` at 7, 16 bytes).
const IDENTITY_BYTES: usize = 16;
const IDENTITY_OFFSET: usize = 7;

/// The OTP area of a chip with this identity, in words.
///
/// # Errors
/// Not hexadecimal, or too long.
pub fn otp_words(hex: &str) -> Result<Vec<u32>> {
    let digits: String =
        hex.trim_start_matches("0x").chars().filter(|c| !matches!(c, ' ' | ':' | '_')).collect();
    let wrong = |why: &str| Failure::new(format!("`--otp {hex}` is not an identity")).why(why);
    if digits.is_empty() || !digits.len().is_multiple_of(2) || !digits.bytes().all(|b| b.is_ascii_hexdigit())
    {
        return Err(wrong("it must be pairs of hexadecimal digits")
            .hint("`--otp 524b3588 00112233 44556677 8899aabb`"));
    }
    if digits.len() > 2 * IDENTITY_BYTES {
        return Err(wrong("it has more than 16 bytes"));
    }
    let mut area = [0; (IDENTITY_OFFSET + IDENTITY_BYTES).next_multiple_of(4)];
    for (n, byte) in area[IDENTITY_OFFSET..].iter_mut().enumerate().take(digits.len() / 2) {
        *byte = u8::from_str_radix(&digits[2 * n..2 * n + 2], 16).map_err(|e| wrong(&e.to_string()))?;
    }
    Ok(area.as_chunks::<4>().0.iter().map(|c| u32::from_le_bytes(*c)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_lies_where_u_boot_reads_it() {
        let words = otp_words("524b3588 0011223344").expect("words");
        assert_eq!(words, [0, 0x5200_0000, 0x0088_354b, 0x4433_2211, 0, 0]);
        assert_eq!(otp_words("00").expect("words"), [0; 6]);
    }

    #[test]
    fn must_fail_what_is_no_identity() {
        for wrong in ["", "5", "xy", "00112233445566778899aabbccddeeff00"] {
            assert!(otp_words(wrong).is_err(), "{wrong}");
        }
    }
}
