// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which board, in which mode, at which flash; what to press; and progress.

use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use flasher::size::size;
use fw_build::{Failure, Result};
use indicatif::{ProgressBar, ProgressStyle};
use recover::usb::{Board, Mode, OpenError, RK3588, Usb, VENDOR, boards};
use recover::{SECTOR_BYTES, flash};
use rockusb::protocol::StorageIndex;

use super::{failure, medium};
use crate::exit::Exit;
use crate::talk;

/// How a board gets into MaskROM mode (docs/recover.md has what is certain of it).
pub const PRESS: &str = "take the supply and the card away; cable from this machine to the board's USB 3 type-A socket; \
                         hold the MASK key while you give the supply back; let it go when `cargo xtask recover list` \
                         shows `2207:350b MaskROM`";
/// So that a user needs not be root (systemd's `uaccess`: whoever sits at the machine).
const UDEV: &str = "as root once: echo 'SUBSYSTEM==\"usb\", ATTR{idVendor}==\"2207\", TAG+=\"uaccess\"' > \
                    /etc/udev/rules.d/70-rockusb.rules && udevadm control --reload; then plug the board in again";

/// A board with its protocol.
pub type Device = recover::Device<Usb>;

/// Which board and which flash.
#[derive(Debug, ClapArgs)]
pub struct Where {
    /// Board, as `list` shows it, where there are several.
    #[arg(long, value_name = "BUS:ADDRESS")]
    pub board: Option<String>,
    /// Flash: `emmc`, `sd0`, `spi-nor`, `pcie` (NVMe) and others; else the one that the usbplug has chosen.
    #[arg(long, value_name = "MEDIUM", value_parser = medium)]
    pub medium: Option<StorageIndex>,
}

impl Where {
    /// The board, open, in this mode.
    ///
    /// # Errors
    /// There is none, there are several, it is in another mode, or this user may not.
    pub fn in_mode(&self, mode: Mode) -> Result<Device> {
        let all = find()?;
        let board = pick(&all, self.board.as_deref())?;
        if board.mode != mode {
            let failure = Failure::new(format!("the board is in {} mode", board.mode.name()));
            return Err(match mode {
                Mode::MaskRom => failure.why("a loader runs on it already").hint(PRESS),
                Mode::Loader => failure.why("its boot ROM knows no flash; a usbplug does").hint(
                    "`cargo xtask recover start --loader FILE` first (docs/recover.md says where from)",
                ),
            });
        }
        board.open().map_err(|e| open_failure(board, &e))
    }

    /// The board with the flash chosen.
    ///
    /// # Errors
    /// As [`Where::in_mode`], and a usbplug that does not switch.
    pub fn flash(&self) -> Result<Device> {
        let mut device = self.in_mode(Mode::Loader)?;
        if let Some(index) = self.medium {
            flash::choose(&mut device, index).map_err(failure)?;
        }
        Ok(device)
    }
}

/// Every Rockchip device.
///
/// # Errors
/// The system does not list USB devices.
pub fn find() -> Result<Vec<Board>> {
    boards().map_err(|e| {
        Failure::new("the USB devices of this machine cannot be listed").why(e).hint(
            "a virtual machine or container needs its host's USB passed on: `/sys/bus/usb`, `/dev/bus/usb`",
        )
    })
}

fn pick<'a>(all: &'a [Board], place: Option<&str>) -> Result<&'a Board> {
    let line = |b: &Board| format!("{} {}", b.place, words(b));
    if let Some(place) = place {
        let found = all.iter().find(|b| b.place == place);
        let failure =
            || all.iter().fold(Failure::new(format!("no board is at `{place}`")), |f, b| f.why(line(b)));
        return found.ok_or_else(failure);
    }
    let ours: Vec<&Board> = all.iter().filter(|b| b.product == RK3588).collect();
    match ours[..] {
        [only] => Ok(only),
        [] => {
            let failure = Failure::new("no RK3588 board is on USB in MaskROM or rockusb mode");
            Err(all.iter().fold(failure, |f, b| f.why(line(b))).hint(PRESS))
        }
        _ => {
            let failure = Failure::new(format!("there are {} boards on USB", ours.len()));
            let failure = ours.iter().fold(failure, |f, b| f.why(line(b)));
            Err(failure.hint("name one with `--board`, or unplug the others"))
        }
    }
}

fn words(board: &Board) -> String {
    let chip = if board.product == RK3588 { "RK3588 or RK3588S" } else { "another Rockchip SoC" };
    format!("{VENDOR:04x}:{:04x} {} ({chip})", board.product, board.mode.name())
}

fn open_failure(board: &Board, error: &OpenError) -> Failure {
    let failure = Failure::new(format!("the board at {} cannot be opened", board.place)).why(error);
    match error {
        OpenError::Permission(_) => failure.hint(UDEV),
        OpenError::Busy(_) => {
            failure.hint("end the other program: rkdeveloptool, upgrade_tool, a virtual machine")
        }
        OpenError::Usb(_) | OpenError::NoEndpoints => {
            failure.hint("plug it in again, or power the board off and on")
        }
    }
}

/// Lists boards; waits for one where asked to.
///
/// # Errors
/// See [`find`].
pub fn list(wait_seconds: u64, json: bool) -> Result<Exit> {
    let began = Instant::now();
    let mut all = find()?;
    if all.is_empty() && wait_seconds > 0 {
        eprintln!("no Rockchip board is on USB; waiting {wait_seconds} s\nhint: {PRESS}");
    }
    while all.is_empty() && began.elapsed().as_secs() < wait_seconds {
        std::thread::sleep(Duration::from_millis(250));
        all = find()?;
    }
    if json {
        let boards: Vec<_> = all
            .iter()
            .map(|b| serde_json::json!({ "place": b.place, "product": b.product, "mode": b.mode.name() }))
            .collect();
        println!("{:#}", serde_json::Value::from(boards));
    }
    for board in &all {
        if !json {
            println!("{} {}", board.place, words(board));
        }
        match board.mode {
            Mode::MaskRom => eprintln!("hint: its boot ROM waits: `cargo xtask recover start`"),
            Mode::Loader => eprintln!("hint: a loader serves its flash: `cargo xtask recover info`"),
        }
    }
    if all.is_empty() {
        eprintln!("no Rockchip board is on USB\nhint: {PRESS}");
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}

/// Progress over so many sectors: a bar on a terminal, a line every 15 s elsewhere, nothing with `--quiet`.
pub fn meter(what: &'static str, sectors: u64) -> impl FnMut(u64) {
    let bar = talk::bars().then(|| {
        let bar = ProgressBar::new(sectors);
        if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {msg}, {eta} left") {
            bar.set_style(style);
        }
        bar
    });
    let began = Instant::now();
    let mut last = began;
    move |done| {
        let (bytes, seconds) = (done * SECTOR_BYTES, began.elapsed().as_secs_f64());
        let line = || {
            let rate = bytes as f64 / seconds.max(0.001) / 1e6;
            format!("{what} {} of {} at {rate:.1} MB/s", size(bytes), size(sectors * SECTOR_BYTES))
        };
        match &bar {
            Some(bar) if done >= sectors => bar.finish_and_clear(),
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(line());
            }
            None if !talk::quiet() && last.elapsed() >= talk::line_interval() => {
                last = Instant::now();
                eprintln!("{}", line());
            }
            None => {}
        }
    }
}
