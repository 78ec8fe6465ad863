// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask recover`: a board on USB in MaskROM or rockusb mode. The work is in crate `recover`; here are what to
//! press, what should be seen, and the questions.

mod change;
mod device;
mod start;

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use flasher::size::size;
use fw_build::{Failure, Result};
use recover::backup::{self, BackupError, LOADER_AREA_SECTORS};
use recover::flash::{self, FlashError, Span};
use recover::usb::Mode;
use recover::{SECTOR_BYTES, found};
use rockusb::protocol::{ResetOpcode, StorageIndex};

use crate::exit::Exit;
use device::{Where, meter};

/// Reads, saves, writes and starts a board in MaskROM or rockusb mode over USB.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask recover list                                what is on USB, and what to press
  cargo xtask recover start                               DDR blob and SPL of the image in out/, from memory
  cargo xtask recover start --loader MiniLoaderAll.bin    a loader container of Rockchip's, which serves the flash
  cargo xtask recover info                                chip, flash, and the loaders on it
  cargo xtask recover backup factory.bin                  the first 16 MiB, read twice
  cargo xtask recover erase-loader --backup factory.bin   so that the boot ROM goes on to the card
  cargo xtask recover restore factory.bin                 as it was
  cargo xtask recover write --sector 0 --medium emmc out/metal-arm64-nanopi-m6.raw.xz --backup factory.bin
  cargo xtask recover read --sector 64 --count 16320 loader.bin

Nobody has run this on a board yet: it is tested on a model of the protocol (docs/recover.md). What serves the flash is
a usbplug, which this project cannot ship. In the first 16 MiB nothing is lost that is not in a finished backup.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// List boards, their mode, and what to press.
    List {
        /// Wait so long for a board.
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        wait: u64,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Start a loader from memory (MaskROM mode).
    Start(start::Args),
    /// Show chip and flash, and which loaders are on it.
    Info {
        #[command(flatten)]
        at: Where,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Read sectors into a new file.
    Read {
        /// First sector.
        #[arg(long)]
        sector: u64,
        /// How many sectors of 512 bytes.
        #[arg(long)]
        count: u64,
        #[command(flatten)]
        at: Where,
        /// File, which must not exist.
        file: PathBuf,
    },
    /// Save the start of the flash in a file, with a record beside it.
    Backup {
        /// File, which must not exist.
        file: PathBuf,
        /// How many sectors of 512 bytes.
        #[arg(long, default_value_t = LOADER_AREA_SECTORS)]
        sectors: u64,
        #[command(flatten)]
        at: Where,
    },
    /// Write a backup back, whole.
    Restore {
        /// The backup.
        file: PathBuf,
        #[command(flatten)]
        at: Where,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Write a file to sectors, each read back.
    Write {
        /// First sector.
        #[arg(long)]
        sector: u64,
        /// What is written: raw, .xz or .zst.
        file: PathBuf,
        #[command(flatten)]
        rules: change::Rules,
    },
    /// Fill sectors with zeros, each read back.
    Erase {
        /// First sector.
        #[arg(long)]
        sector: u64,
        /// How many sectors of 512 bytes.
        #[arg(long)]
        count: u64,
        #[command(flatten)]
        rules: change::Rules,
    },
    /// Clear the ID blocks, so that the boot ROM goes on to the card.
    EraseLoader {
        #[command(flatten)]
        rules: change::Rules,
    },
    /// Restart the board.
    Reset {
        /// Into MaskROM mode, where the loader on the board can do that.
        #[arg(long)]
        maskrom: bool,
        #[command(flatten)]
        at: Where,
    },
}

/// Runs the verb.
///
/// # Errors
/// No board in the mode that is needed, a transfer that failed, or a file.
pub fn run(args: &Args) -> Result<Exit> {
    match &args.what {
        What::List { wait, json } => return device::list(*wait, *json),
        What::Start(args) => start::run(args)?,
        What::Info { at, json } => info(at, *json)?,
        What::Read { sector, count, at, file } => {
            read(Span { first: *sector, count: *count }, at, file)?;
        }
        What::Backup { file, sectors, at } => save(file, *sectors, at)?,
        What::Restore { file, at, yes } => return change::restore(file, at, *yes),
        What::Write { sector, file, rules } => return change::write(*sector, file, rules),
        What::Erase { sector, count, rules } => {
            return change::erase(Span { first: *sector, count: *count }, rules);
        }
        What::EraseLoader { rules } => return change::erase_loader(rules),
        What::Reset { maskrom, at } => {
            let code = if *maskrom { ResetOpcode::Maskrom } else { ResetOpcode::Reset };
            let mut device = at.in_mode(Mode::Loader)?;
            device.reset_device(code).map_err(|e| {
                Failure::new("the board does not restart")
                    .why(recover::wire::words(&e))
                    .hint("take the supply away and give it again")
            })?;
            eprintln!("restarted; `cargo xtask recover list` shows it again if it stays on USB");
        }
    }
    Ok(Exit::Done)
}

fn info(at: &Where, json: bool) -> Result<()> {
    let mut device = at.flash()?;
    let info = flash::info(&mut device).map_err(failure)?;
    let mut area = Vec::new();
    let span = Span { first: 0, count: LOADER_AREA_SECTORS.min(info.sectors) };
    flash::read(&mut device, span, &mut area, &mut meter("read", span.count)).map_err(failure)?;
    let loaders = found::loaders(&area);
    if json {
        let loaders: Vec<_> = loaders
            .iter()
            .map(|l| serde_json::json!({ "sector": l.sector, "runs": l.runs, "words": l.words }))
            .collect();
        let json = serde_json::json!({
            "chip": info.chip, "flash_id": info.flash_id, "sectors": info.sectors, "medium": info.medium,
            "capabilities": info.capabilities, "loaders": loaders,
        });
        println!("{json:#}");
        return Ok(());
    }
    println!("chip      RK{}", info.chip);
    println!(
        "flash     {} ({})",
        info.medium.as_deref().unwrap_or("the loader does not say which"),
        info.flash_id
    );
    println!("size      {} sectors, {}", info.sectors, size(info.sectors * SECTOR_BYTES));
    println!(
        "can       {}",
        if info.capabilities.is_empty() { "not told".to_owned() } else { info.capabilities.join(", ") }
    );
    for loader in &loaders {
        let runs = if loader.runs { "" } else { " (the boot ROM passes over it)" };
        println!("loader    sector {}: {}{runs}", loader.sector, loader.words);
    }
    if loaders.is_empty() {
        println!("loader    none in the first {}", size(span.count * SECTOR_BYTES));
    }
    Ok(())
}

fn read(span: Span, at: &Where, file: &Path) -> Result<()> {
    let mut device = at.flash()?;
    if file.exists() {
        return Err(Failure::new(format!("`{}` exists", file.display())).hint("give another name"));
    }
    let part = PathBuf::from(format!("{}.part", file.display()));
    let mut out = fs_err::File::create(&part)?;
    flash::read(&mut device, span, &mut out, &mut meter("read", span.count))
        .map_err(|e| failure(e).why(format!("what was read is in `{}`", part.display())))?;
    out.file().sync_all()?;
    fs_err::rename(&part, file)?;
    println!("read      {span} into `{}`", file.display());
    Ok(())
}

fn save(file: &Path, sectors: u64, at: &Where) -> Result<()> {
    let mut device = at.flash()?;
    let (mut first, mut second) = (meter("read", sectors), meter("read again", sectors));
    let mut progress = |what: &str, n| if what == "read" { first(n) } else { second(n) };
    let record = backup::make(&mut device, file, sectors, &mut progress).map_err(backup_failure)?;
    println!("saved     {} sectors of {}, read twice", record.sectors, record.flash_sectors);
    println!("          `{}`, SHA-256 {}", file.display(), record.sha256);
    println!("record    `{}`: keep both", backup::record_path(file).display());
    Ok(())
}

/// What went wrong at the flash, and what it holds now.
fn failure(error: FlashError) -> Failure {
    let what = error.to_string();
    let (state, hint) = match error {
        FlashError::Transfer { gone: true, state, .. } => {
            (state, "another cable or port, without a hub; then begin with `cargo xtask recover start`")
        }
        FlashError::Transfer { state, .. } => (
            state,
            "power the board off and begin with `cargo xtask recover start`; try another cable or port",
        ),
        FlashError::Differs { state, .. } => (
            state,
            "power the board off, start again and repeat; if it stays, the flash is worn or protected",
        ),
        FlashError::Info { .. } => {
            (vec![], "the usbplug does not fit this board, or the flash is not fitted")
        }
        FlashError::Medium { .. } => {
            (vec![], "`cargo xtask recover info` shows which flash the usbplug is at")
        }
        FlashError::Outside(..) => (vec![], "`cargo xtask recover info` shows the size"),
        FlashError::Hidden(_) => {
            (vec![], "Rockchip's U-Boot hides what is behind 32 MiB; use MaskROM mode and a usbplug")
        }
        FlashError::Source { state, .. } => (state, "the same command again writes all of it"),
        FlashError::File(_) => (vec![], "the file must be readable to its end, and the disk not full"),
    };
    state.iter().fold(Failure::new(what), Failure::why).hint(hint)
}

fn backup_failure(error: BackupError) -> Failure {
    let hint = match error {
        BackupError::Flash(e) => return failure(e),
        BackupError::File(e) => return e.into(),
        BackupError::Exists(_) => "give another name; a backup is never written over",
        BackupError::Differs(_) => "another cable or port, without a hub; no backup was made",
        BackupError::Unfinished(_) | BackupError::Record { .. } => {
            "`cargo xtask recover backup FILE` makes one"
        }
        BackupError::Changed { .. } => "take it from where you keep a copy, or make another one",
        BackupError::OtherFlash { .. } => {
            "`--medium` chooses another flash; `cargo xtask recover write --sector 0` writes whatever you say"
        }
    };
    Failure::new(error.to_string()).hint(hint)
}

/// The names that a usbplug's media go by; a mistyped one gets the list.
fn medium(text: &str) -> Result<StorageIndex, String> {
    let known = ["emmc", "sd0", "sd1", "spi-nor", "spi-nand", "pcie", "sata", "ufs"];
    match text.parse() {
        Ok(index) if known.contains(&text) => Ok(index),
        _ => Err(format!("one of {}", known.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_go_by_the_protocols_names() {
        assert_eq!(medium("spi-nor"), Ok(StorageIndex::SpiNor));
        assert!(medium("spi").is_err_and(|e| e.contains("spi-nor")));
        assert!(medium("ram").is_err(), "nobody wants to write there");
    }

    #[test]
    fn a_cable_that_was_pulled_ends_in_the_state_of_the_flash_and_a_hint() {
        let at = Span { first: 192, count: 128 };
        let state = vec!["sectors 64 to 191: written and read back".to_owned()];
        let why = "the board is gone from USB".to_owned();
        let text = failure(FlashError::Transfer { what: "writing", at, why, gone: true, state }).to_string();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "writing sectors 192 to 319: the board is gone from USB");
        assert_eq!(lines[1], "  sectors 64 to 191: written and read back");
        assert!(lines[2].starts_with("hint: another cable"), "{text}");
    }
}
