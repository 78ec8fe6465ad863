// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What changes a flash: nothing in the loader area goes that is not in a finished backup, and nothing without a word
//! typed by somebody.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args as ClapArgs;
use flasher::image::Image;
use flasher::size::size;
use fw_build::{Failure, Result};
use recover::backup::{self, Backup, LOADER_AREA_SECTORS};
use recover::flash::{self, Span};
use recover::{SECTOR_BYTES, found};

use super::device::{Device, Where, meter};
use super::{backup_failure, failure};
use crate::exit::Exit;
use crate::{interrupt, talk};

/// Under which conditions.
#[derive(Debug, ClapArgs)]
pub struct Rules {
    #[command(flatten)]
    at: Where,
    /// Backup that has what is lost, made with `recover backup`.
    #[arg(long, value_name = "FILE")]
    backup: Option<PathBuf>,
    /// Go on although what is in the loader area is in no backup, and gone for good.
    #[arg(long)]
    lose_unsaved_loader: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

/// What the user types: the flash that is chosen.
fn name(device: &mut Device) -> Result<String> {
    Ok(flash::info(device).map_err(failure)?.medium.unwrap_or_else(|| "flash".to_owned()))
}

fn asked(yes: bool, question: &str, name: &str) -> Result<bool> {
    if yes || talk::typed(question, name)? {
        return Ok(true);
    }
    println!("nothing was written");
    Ok(false)
}

impl Rules {
    /// Refuses a span with something in the loader area that no backup has.
    fn refuse_unsaved(&self, device: &mut Device, spans: &[Span]) -> Result<()> {
        let saved = self.backup.as_deref().map(Backup::load).transpose().map_err(backup_failure)?;
        if self.lose_unsaved_loader {
            return Ok(());
        }
        for span in spans {
            let lost = backup::unsaved(device, *span, saved.as_ref()).map_err(failure)?;
            let Some(lost) = lost else { continue };
            let of = size(LOADER_AREA_SECTORS * SECTOR_BYTES);
            let failure =
                Failure::new(format!("{span}: not written, a loader may be there that no backup has"))
                    .why(format!("{} sectors from sector {} on are not blank", lost.count, lost.sector));
            return Err(match &self.backup {
                None => failure
                    .hint(format!("`cargo xtask recover backup factory.bin` saves the first {of}"))
                    .hint("then the same command with `--backup factory.bin`"),
                Some(path) => failure
                    .why(format!(
                        "`{}` has other bytes there: they were written after it was made",
                        path.display()
                    ))
                    .hint("make another backup; `--lose-unsaved-loader` goes on without"),
            });
        }
        Ok(())
    }
}

/// What is written, until Ctrl-C: then it ends with an error between two steps, and the flash is as that says. Once
/// more ends at once.
struct Stoppable<R> {
    inner: R,
    stop: Arc<AtomicBool>,
    _guard: interrupt::Guard,
}

impl<R: Read> Stoppable<R> {
    fn new(inner: R) -> Stoppable<R> {
        let stop = Arc::new(AtomicBool::new(false));
        let heard = Arc::clone(&stop);
        let guard = interrupt::calls(move || {
            if heard.swap(true, Ordering::Relaxed) {
                eprintln!("\nerror: ended at once; the sectors that were being written may hold anything");
                std::process::exit(interrupt::INTERRUPTED);
            }
            eprintln!("\ninterrupted: ending after what is being written now; once more ends at once");
        });
        Stoppable { inner, stop, _guard: guard }
    }

    /// A failure, which ends the process with the code of an interruption if it was one.
    fn ended(&self, failure: Failure) -> Failure {
        if self.stop.load(Ordering::Relaxed) {
            eprintln!("error: {failure}");
            std::process::exit(interrupt::INTERRUPTED);
        }
        failure
    }
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        self.inner.read(into)
    }
}

/// Writes a file.
pub fn write(sector: u64, file: &Path, rules: &Rules) -> Result<Exit> {
    let mut device = rules.at.flash()?;
    let info = flash::info(&mut device).map_err(failure)?;
    let room = info.sectors.saturating_sub(sector) * SECTOR_BYTES;
    let image = Image::open(file, room).map_err(|e| {
        Failure::new(format!("`{}` is not written", file.display()))
            .why(e)
            .hint(format!("from sector {sector} on, this flash has {}", size(room)))
    })?;
    let span = Span { first: sector, count: image.raw_bytes.div_ceil(SECTOR_BYTES) };
    rules.refuse_unsaved(&mut device, &[span])?;
    let name = name(&mut device)?;
    let question =
        format!("{span} of `{name}` are overwritten with `{}` ({}).", file.display(), size(image.raw_bytes));
    if !asked(rules.yes, &question, &name)? {
        return Ok(Exit::Failed);
    }
    let mut stream = Stoppable::new(image.stream()?);
    flash::write(&mut device, span, &mut stream, &mut meter("written", span.count))
        .map_err(|e| stream.ended(failure(e)))?;
    println!("written   {span} of `{name}`, all of it read back: right");
    Ok(Exit::Done)
}

/// Fills sectors with zeros.
pub fn erase(span: Span, rules: &Rules) -> Result<Exit> {
    let mut device = rules.at.flash()?;
    rules.refuse_unsaved(&mut device, &[span])?;
    let name = name(&mut device)?;
    if !asked(rules.yes, &format!("{span} of `{name}` are filled with zeros."), &name)? {
        return Ok(Exit::Failed);
    }
    let mut zeros = Stoppable::new(io::empty());
    flash::write(&mut device, span, &mut zeros, &mut meter("cleared", span.count))
        .map_err(|e| zeros.ended(failure(e)))?;
    println!("cleared   {span} of `{name}`, all of it read back: right");
    Ok(Exit::Done)
}

/// Clears the ID blocks.
pub fn erase_loader(rules: &Rules) -> Result<Exit> {
    let mut device = rules.at.flash()?;
    let info = flash::info(&mut device).map_err(failure)?;
    let mut area = Vec::new();
    let span = Span { first: 0, count: LOADER_AREA_SECTORS.min(info.sectors) };
    flash::read(&mut device, span, &mut area, &mut meter("read", span.count)).map_err(failure)?;
    let found = found::loaders(&area);
    if found.is_empty() {
        return Err(Failure::new("there is no loader to erase")
            .why(format!("no ID block is in the first {}", size(span.count * SECTOR_BYTES)))
            .hint("another flash: `--medium spi-nor`, `--medium emmc`; without one the boot ROM asks the card anyway"));
    }
    // The copies first: until the last one is gone, the boot ROM finds a whole loader.
    let headers: Vec<Span> =
        found.iter().rev().map(|f| Span { first: f.sector, count: f.header_sectors }).collect();
    rules.refuse_unsaved(&mut device, &headers)?;
    let name = name(&mut device)?;
    for f in &found {
        println!("loader    sector {}: {}", f.sector, f.words);
    }
    if !asked(rules.yes, &format!("The board will not start from `{name}` any more."), &name)? {
        return Ok(Exit::Failed);
    }
    let mut zeros = Stoppable::new(io::empty());
    for header in headers {
        flash::write(&mut device, header, &mut zeros, &mut |_| {}).map_err(|e| zeros.ended(failure(e)))?;
        println!("cleared   {header} of `{name}`, read back: right");
    }
    eprintln!(
        "next: take the supply away, put the card in, give the supply back; the console must show this project's"
    );
    eprintln!("      `U-Boot SPL` line and no other");
    if let Some(path) = &rules.backup {
        eprintln!("hint: `cargo xtask recover restore {}` brings it back", path.display());
    }
    Ok(Exit::Done)
}

/// Writes a backup back.
pub fn restore(file: &Path, at: &Where, yes: bool) -> Result<Exit> {
    let saved = Backup::load(file).map_err(backup_failure)?;
    let mut device = at.flash()?;
    let name = name(&mut device)?;
    let record = &saved.record;
    if let Some(was) = record.medium.as_ref().filter(|was| **was != name) {
        return Err(Failure::new(format!(
            "the backup is of `{was}`, and the flash that is chosen is `{name}`"
        ))
        .hint(format!("`--medium {was}`")));
    }
    let question = format!(
        "The first {} of `{name}` become what they were when `{}` was made; what was written there since, a partition \
         table for instance, is lost.",
        size(record.sectors * SECTOR_BYTES),
        file.display()
    );
    if !asked(yes, &question, &name)? {
        return Ok(Exit::Failed);
    }
    let mut from = Stoppable::new(fs_err::File::open(file)?);
    backup::restore(&mut device, &saved, &mut from, &mut meter("written", record.sectors))
        .map_err(|e| from.ended(backup_failure(e)))?;
    println!("restored  {} sectors of `{name}`, all of them read back: right", record.sectors);
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_ends_when_it_is_interrupted() {
        let mut from = Stoppable::new(&[7_u8; 9][..]);
        let mut got = [0; 4];
        assert_eq!(from.read(&mut got).expect("read"), 4);
        from.stop.store(true, Ordering::Relaxed);
        assert_eq!(from.read(&mut got).expect_err("interrupted").to_string(), "interrupted");
    }
}
