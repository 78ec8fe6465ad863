// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask qemu --boot-order`: which disk's loader starts, for every row of the board's table.
//!
//! The firmware is that of the rehearsal with the boot settings of the board's own U-Boot ([`settings`]): the same
//! source, another machine. The cards are QEMU's `sdhci-pci`, the drive its `nvme`. A row takes as long as U-Boot needs
//! to start a program that prints its disk's name ([`marker`]). Nothing is shown about the board's controllers.

pub mod disks;
pub mod marker;
pub mod settings;
pub mod table;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use fs_err as fs;
use fw_build::run::Cmd;
use fw_build::status::seconds;
use fw_build::{Failure, Result};

use self::marker::MARK;
use self::table::{Case, Slot};
use super::boot::{Guest, read_in_background};
use super::machine::{PROGRAM, concat};
use super::work::Work;
use crate::console::Lines;
use crate::context::Context;
use crate::exit::Exit;
use crate::screen::Screen;
use crate::stages;

/// Machines at a time: one keeps one core busy.
const WORKERS: usize = 2;
/// Where the firmware looks for the board's environment: `CONFIG_PREBOOT` of `defconfigs/qemu.config`.
const ENVIRONMENT_ADDRESS: &str = "0x50000000";
/// U-Boot's prompt: it found nothing to boot.
const PROMPT: &str = "=>";
/// Lines of the console that a failure quotes.
const QUOTED_LINES: usize = 12;

/// What a machine did.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// The program of this slot's disk started.
    Booted(Slot),
    /// U-Boot is at its prompt.
    Nothing,
}

/// What all machines have in common.
struct Bench<'a> {
    cx: &'a Context,
    dir: &'a Path,
    firmware: PathBuf,
    environment: PathBuf,
    cards: [Slot; 2],
    limit: Duration,
}

/// Runs the test.
///
/// # Errors
/// A stage cannot be built, the firmwares differ, or a row of the table does not hold.
pub fn run(cx: &Context, limit: Duration) -> Result<Exit> {
    let screen = Screen::start()?;
    let (rehearsal, board) = ("u-boot-qemu", "u-boot-nanopi-m6");
    let results = stages::build(&cx.root, &[rehearsal, board], screen.dir(), &Default::default())?;
    drop(screen);
    let (rehearsal, board) = (results.get(rehearsal)?, results.get(board)?);
    settings::same(
        &fs::read_to_string(board.path("config")?)?,
        &fs::read_to_string(rehearsal.path("config")?)?,
    )?;
    let cases = table::load(&cx.root, &cx.board.name)?;
    let work = Work::new(&cx.store.root().join("work"))?;
    let bench = Bench {
        cx,
        dir: work.path(),
        firmware: rehearsal.path("firmware")?,
        environment: board.path("environment")?,
        cards: settings::cards(&fs::read(board.path("dtb")?)?)?,
        limit,
    };
    println!("boot order of the board's own U-Boot: {}", targets(&fs::read_to_string(&bench.environment)?)?);
    // All disks before the first machine: two workers must not make the same one.
    for case in &cases {
        for (slot, disk) in Slot::ALL.into_iter().zip(case.disks) {
            disks::make(bench.dir, &cx.board, slot, disk)?;
        }
    }
    let start = Instant::now();
    let wrong = bench.all(&cases);
    let time = seconds(start.elapsed().as_secs_f64());
    if wrong.is_empty() {
        println!("{} of {} rows as the table says, in {time}", cases.len(), cases.len());
        return Ok(Exit::Done);
    }
    let failure = Failure::new(format!("{} of {} rows are not as the table says", wrong.len(), cases.len()));
    Err(wrong.into_iter().fold(failure, Failure::why))
}

/// The order as the board's environment has it.
fn targets(environment: &str) -> Result<&str> {
    environment
        .lines()
        .find_map(|line| line.strip_prefix("boot_targets="))
        .ok_or_else(|| Failure::new("the environment of the board's U-Boot has no `boot_targets`"))
}

impl Bench<'_> {
    /// Runs every case and returns one text for each that went wrong.
    fn all(&self, cases: &[Case]) -> Vec<String> {
        let queue: Mutex<VecDeque<&Case>> = Mutex::new(cases.iter().collect());
        let wrong = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..WORKERS {
                scope.spawn(|| {
                    while let Some(case) = queue.lock().ok().and_then(|mut q| q.pop_front()) {
                        let verdict = self.judge(case);
                        let word = if verdict.is_ok() { "ok  " } else { "FAIL" };
                        println!("{word} {} -> {}", case.name(), shown(case.boots));
                        if let (Err(text), Ok(mut wrong)) = (verdict, wrong.lock()) {
                            wrong.push(text);
                        }
                    }
                });
            }
        });
        wrong.into_inner().unwrap_or_default()
    }

    fn judge(&self, case: &Case) -> Result<(), String> {
        let mut console = Vec::new();
        let seen = self.boot(case, &mut console);
        let quoted: String =
            console.iter().rev().take(QUOTED_LINES).rev().map(|l| format!("\n  | {l}")).collect();
        match seen {
            Ok(Seen::Booted(slot)) if case.boots == Some(slot) => Ok(()),
            Ok(Seen::Nothing) if case.boots.is_none() => Ok(()),
            Ok(Seen::Booted(slot)) => {
                Err(format!("{}: {} booted, not {}{quoted}", case.name(), slot.name(), shown(case.boots)))
            }
            Ok(Seen::Nothing) => {
                Err(format!("{}: nothing booted, not {}{quoted}", case.name(), shown(case.boots)))
            }
            Err(e) => Err(format!("{}: {e}{quoted}", case.name())),
        }
    }

    fn boot(&self, case: &Case, console: &mut Vec<String>) -> Result<Seen> {
        let (reader, writer) = std::io::pipe()?;
        let (stdout, stderr) = (Stdio::from(writer.try_clone()?), Stdio::from(writer));
        let qemu = Cmd::new(PROGRAM).args(self.arguments(case)?);
        let _guest = Guest(qemu.spawn(Stdio::null(), stdout, stderr)?);
        let bytes = read_in_background(reader);
        let deadline = Instant::now() + self.limit;
        let mut lines = Lines::default();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let chunk = match bytes.recv_timeout(left) {
                Ok(chunk) => chunk,
                Err(RecvTimeoutError::Timeout) => {
                    let limit = self.limit.as_secs();
                    return Err(Failure::new(format!("neither a program nor the prompt after {limit} s")));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Failure::new("QEMU ended")),
            };
            for line in lines.feed(&chunk) {
                let seen = booted(&line);
                console.push(line);
                if let Some(slot) = seen {
                    return Ok(Seen::Booted(slot));
                }
            }
            // The prompt is a line without an end.
            if lines.rest().as_deref() == Some(PROMPT) {
                return Ok(Seen::Nothing);
            }
        }
    }

    fn arguments(&self, case: &Case) -> Result<Vec<OsString>> {
        let mut args: Vec<OsString> =
            ["-no-user-config", "-nodefaults", "-machine", "virt", "-cpu", "cortex-a76"]
                .into_iter()
                .chain(["-m", "1024", "-display", "none", "-serial", "stdio"])
                .map(OsString::from)
                .collect();
        args.extend(["-bios".into(), self.firmware.clone().into()]);
        args.push("-device".into());
        let loader = format!("loader,addr={ENVIRONMENT_ADDRESS},force-raw=on,file=");
        args.push(concat(&loader, &self.environment));
        // U-Boot numbers the cards by their place on the bus, so they stand in the board's order.
        for (place, slot) in self.cards.into_iter().chain([Slot::Nvme]).enumerate() {
            let disk = case.disks[slot as usize];
            let image = disks::make(self.dir, &self.cx.board, slot, disk)?;
            let (name, address) = (slot.name(), place + 2);
            if slot != Slot::Nvme {
                args.extend(["-device".into(), format!("sdhci-pci,id={name}c,addr={address}").into()]);
            }
            let Some(image) = image else { continue };
            args.push("-drive".into());
            // Writes go to a file of this machine's: the same disk may be in two machines at a time.
            args.push(concat(&format!("if=none,id={name},format=raw,snapshot=on,file="), &image));
            args.push("-device".into());
            args.push(match slot {
                Slot::Nvme => format!("nvme,serial={name},drive={name},addr={address}").into(),
                _ => format!("sd-card,bus=pcie.0/{name}c/sd-bus,drive={name}").into(),
            });
        }
        Ok(args)
    }
}

/// The slot whose program says that it started.
fn booted(line: &str) -> Option<Slot> {
    let name = line.strip_prefix(MARK)?.strip_prefix(' ')?.split(' ').next()?;
    Slot::ALL.into_iter().find(|slot| slot.name() == name)
}

fn shown(boots: Option<Slot>) -> &'static str {
    boots.map_or("nothing", Slot::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_line_names_its_slot() {
        assert_eq!(booted("BOOT-ORDER nvme foreign by its BootOrder"), Some(Slot::Nvme));
        assert_eq!(booted("BOOT-ORDER-RETURNED sd"), None);
        assert_eq!(booted("Booting: BOOT-ORDER sd ours"), None);
    }

    #[test]
    fn the_order_is_read_from_the_environment() {
        assert_eq!(targets("arch=arm\nboot_targets=mmc0 nvme\n").expect("there"), "mmc0 nvme");
        assert!(targets("arch=arm\n").is_err());
    }

    #[test]
    fn slots_are_the_tables_columns() {
        for (i, slot) in Slot::ALL.into_iter().enumerate() {
            assert_eq!(slot as usize, i);
        }
    }

    #[test]
    fn the_firmware_looks_where_the_environment_is_put() {
        let config = include_str!("../../../../defconfigs/qemu.config");
        assert!(config.contains(&format!("env import -t {ENVIRONMENT_ADDRESS} - boot_targets bootcmd")));
    }
}
