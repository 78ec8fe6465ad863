// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask qemu`: boots the image file in `out/` in QEMU and judges what came up.
//!
//! What boots is the very file that would be flashed, through firmware of our own (stage `u-boot-qemu`): EFI
//! partition, GRUB, kernel, userland. It proves nothing about the board's own loader and devices.
//!
//! What is judged depends on the userland: the self-test's report, or what Talos says of itself ([`talos`]).
//!
//! The image is never written: QEMU gets a layer over it ([`layer`]), and a file that nobody may write to.

pub mod boot;
pub mod broken;
pub mod expect;
pub mod judge;
pub mod layer;
pub mod machine;
pub mod order;
pub mod published;
pub mod rotation;
pub mod talos;
pub mod work;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Args as ClapArgs, Parser, ValueEnum};
use fs_err::File;
use fw_build::run::Cmd;
use fw_build::status::{Phase, seconds};
use fw_build::{Context as _, Failure, Result};
use fw_image::map::{ImageMap, Userland};

use self::expect::{Expectation, Mode};
use self::judge::Judge;
use self::machine::{Console, Forward, Start};
use self::work::Work;
use crate::context::Context;
use crate::exit::Exit;
use crate::screen::Screen;
use crate::userland::talos_source::{self, LABEL};
use crate::{image, stages};

/// Longest time of one boot where none is given.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The stage that makes the firmware of the machine, and the role of its result.
const FIRMWARE: (&str, &str) = ("u-boot-qemu", "firmware");

/// Boots the image in QEMU and checks what came up.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask qemu                      the image in out/: report, power off, restart, watchdog, rotation
  cargo xtask qemu --userland bringup   builds that image first
  cargo xtask qemu --userland talos-source
                                        Talos's own machined, compiled: maintenance mode, talosctl, configuration
  cargo xtask qemu --userland talos-source --talos v1.12.0
                                        the same of a newer line
  cargo xtask qemu --mode report        one boot of the image, unmodified to the last byte
  cargo xtask qemu --keep               leaves the machine running, its console on this terminal
  cargo xtask qemu --broken             five copies, each broken in one way: is stage and cause named?
  cargo xtask qemu --boot-order         which disk boots, for every row of boards/nanopi-m6.boot-order

Ends with 0 only if U-Boot, GRUB, this build's kernel and `BRINGUP RESULT ... fail=0` were seen in this
order, every check of something that QEMU's machine has was passed, and none was skipped that the machine
does not lack. The report on the EFI partition, and the one that the machine serves over HTTP, must say the
same as its console. Mode rotation starts the image's kernel without loader, with a second, expired certificate in
its slot: a module of that key must load then, and only then.")]
pub struct Args {
    /// Build the image with this userland first.
    #[arg(long, value_enum)]
    userland: Option<image::Userland>,
    /// Release of Talos to build the image for; with `talos-source` one that is pinned.
    #[arg(long, value_name = "VERSION", requires = "userland")]
    talos: Option<String>,
    /// What the self-test does after its report.
    #[arg(long, value_enum, default_value = "all")]
    mode: Choice,
    /// Leave the machine running with its console on the terminal (report mode).
    #[arg(long, conflicts_with = "mode")]
    keep: bool,
    /// Test the order in which the board's U-Boot searches its disks, with the board's own settings.
    #[arg(long, conflicts_with_all = ["userland", "mode", "keep"])]
    boot_order: bool,
    /// Boot copies of the image that are broken on purpose, and judge what `diagnose` says of their consoles.
    #[arg(long, conflicts_with_all = ["mode", "keep", "boot_order"])]
    broken: bool,
    /// How long one boot may take; 300 unless given, 3600 with `talos-source`.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u64>,
}

/// `--mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Choice {
    /// Every mode, one boot each.
    All,
    /// The report only.
    Report,
    /// Report, then power off.
    Poweroff,
    /// Report, then restart.
    Reboot,
    /// Report, then wait for the watchdog's reset.
    Watchdog,
    /// The report of the image's kernel with a second certificate in its slot, one that has expired.
    Rotation,
}

impl Choice {
    fn modes(self) -> &'static [Mode] {
        match self {
            Choice::All => &Mode::ALL,
            Choice::Report => &[Mode::Report],
            Choice::Poweroff => &[Mode::Poweroff],
            Choice::Reboot => &[Mode::Reboot],
            Choice::Watchdog => &[Mode::Watchdog],
            Choice::Rotation => &[Mode::Rotation],
        }
    }
}

impl Args {
    fn limit(&self, default: Duration) -> Duration {
        self.timeout.map_or(default, Duration::from_secs)
    }
}

/// The arguments of `cargo xtask image`, with its own defaults.
#[derive(Parser)]
struct ImageCommand {
    #[command(flatten)]
    args: image::Args,
}

/// Runs the verb.
///
/// # Errors
/// The image cannot be built, no image, an image of another userland, or a rehearsal that did not pass.
pub fn run(args: &Args) -> Result<Exit> {
    if args.boot_order {
        return order::run(&Context::load()?, args.limit(TIMEOUT));
    }
    if let Some(userland) = args.userland {
        let defaults = ImageCommand::parse_from(["image"]).args;
        let built =
            image::run(&image::Args { userland: Some(userland), talos: args.talos.clone(), ..defaults })?;
        if built != Exit::Done {
            return Ok(built);
        }
    }
    let cx = Context::load()?;
    let (image, map) = find_image(&cx.out(), &cx.board.disk.image)?;
    if map.userland == Userland::Talos && !args.keep {
        return Err(Failure::new(format!("`{}` cannot be judged", image.display()))
            .why("its userland is `talos`, which prints no self-test report")
            .hint("`cargo xtask qemu --userland talos-source` compiles Talos's own programs and rehearses with them")
            .hint("`cargo xtask qemu --userland bringup` builds and boots the self-test image")
            .hint("`cargo xtask qemu --keep` boots this one, for you to look at"));
    }
    let firmware = firmware(&cx)?;
    let work = Work::new(&cx.store.root().join("work"))?;
    let raw = raw_image(&image, &map, work.path())?;
    println!("rehearsal of `{}`, kernel {}", image.display(), map.kernel_release);
    if args.broken {
        broken::run(work.path(), &raw, &map, &firmware, args.limit(TIMEOUT))?;
        return Ok(Exit::Done);
    }
    if args.keep {
        rehearse(args, &map, &firmware, &raw, work.path(), Mode::Report, Console::Terminal)?;
        return Ok(Exit::Done);
    }
    if map.userland == Userland::TalosSource {
        let talosctl = talosctl(&cx, &map.talos_version)?;
        let limit = args.limit(talos::TIMEOUT);
        let rehearsal = talos::Rehearsal {
            map: &map,
            firmware: &firmware,
            raw: &raw,
            dir: work.path(),
            talosctl: &talosctl,
            limit,
        };
        let report = rehearsal.run().context("the rehearsal with Talos's own programs failed")?;
        println!("\nTalos {}, {LABEL}:", map.talos_version);
        for line in report {
            println!("{line}");
        }
        return Ok(Exit::Done);
    }
    let mut summary = Vec::new();
    for &mode in args.mode.modes() {
        println!("\n--- {} ---", mode.name());
        summary.push(
            rehearse(args, &map, &firmware, &raw, work.path(), mode, Console::Piped)
                .context(format!("the rehearsal failed in mode `{}`", mode.name()))?,
        );
    }
    println!();
    for line in summary {
        println!("{line}");
    }
    Ok(Exit::Done)
}

/// One boot in one mode; returns the line for the summary.
fn rehearse(
    args: &Args,
    map: &ImageMap,
    firmware: &Path,
    raw: &Path,
    dir: &Path,
    mode: Mode,
    console: Console,
) -> Result<String> {
    let boot = map.region("BOOT").ok_or_else(|| Failure::new("the image's map has no region `BOOT`"))?;
    // Talos itself is only watched here, and needs room for STATE and EPHEMERAL.
    let watched = map.userland != Userland::Bringup;
    let layer = if watched {
        layer::sized(dir, raw, "talos", talos::DISK_BYTES)?
    } else {
        layer::make(dir, raw, boot.offset_bytes, boot.length_bytes, mode)?
    };
    let begin = match mode {
        Mode::Rotation => rotation::start(dir, raw)?,
        _ => Start::Firmware(firmware.to_owned()),
    };
    let expected = Expectation::of(mode, map.btf);
    let mut judge = Judge::new(mode, &map.kernel_release, &expected);
    let start = Instant::now();
    let port = published::free_port()?;
    let forward = if watched { Forward::talos(port) } else { Forward::report(port) };
    let qemu = Cmd::new(machine::PROGRAM).args(machine::arguments(&begin, &layer, console, forward));
    if console == Console::Terminal {
        if watched {
            eprintln!("rehearsal: `talosctl get disks --insecure --nodes 127.0.0.1:{port}` will be answered");
        } else {
            eprintln!("rehearsal: the report will be at http://127.0.0.1:{port}/");
        }
    }
    boot::run(&qemu, console, args.limit(TIMEOUT), &mut judge, |judge| {
        // The other modes leave no time for it.
        if mode == Mode::Report && map.userland == Userland::Bringup {
            println!("{}", published::check_network(port, judge)?);
        }
        Ok(())
    })?;
    if console == Console::Piped {
        let efi = map.region("EFI").ok_or_else(|| Failure::new("the image's map has no region `EFI`"))?;
        println!("{}", published::check_medium(dir, &layer, efi.offset_bytes, efi.length_bytes, &judge)?);
    }
    let (passed, skipped) = judge.tally();
    let features = judge.features().map_or(String::new(), |f| format!(", features {f}"));
    let time = seconds(start.elapsed().as_secs_f64());
    Ok(format!("{:9} passed in {time} ({passed} checks passed, {skipped} skipped{features})", mode.name()))
}

/// The image in `out/` and its map: the compressed one, else the raw one.
fn find_image(out: &Path, name: &str) -> Result<(PathBuf, ImageMap)> {
    let candidates = [format!("{name}.raw.xz"), format!("{name}.raw")].map(|f| out.join(f));
    let Some(image) = candidates.iter().find(|p| p.is_file()) else {
        return Err(Failure::new("there is no image to boot")
            .why(format!("neither `{}` nor `{}` exists", candidates[0].display(), candidates[1].display()))
            .hint("`cargo xtask qemu --userland bringup` builds one first"));
    };
    let map_path = out.join(format!("{name}.map.json"));
    let map = ImageMap::from_json(&fs_err::read_to_string(&map_path)?)
        .map_err(|e| Failure::new(format!("`{}` cannot be read", map_path.display())).why(e))?;
    Ok((image.clone(), map))
}

fn firmware(cx: &Context) -> Result<PathBuf> {
    let (stage, role) = FIRMWARE;
    let screen = Screen::start()?;
    let results = stages::build(&cx.root, &[stage], screen.dir(), &BTreeMap::new())?;
    results.get(stage)?.path(role)
}

/// `talosctl` of the same source as the image's `machined`.
fn talosctl(cx: &Context, release: &str) -> Result<PathBuf> {
    let screen = Screen::start()?;
    let status = screen.step("talosctl");
    let (programs, origin) =
        talos_source::programs(cx, release, &status).inspect_err(|_| status.phase(Phase::Failed, None))?;
    status.phase(origin.into(), None);
    programs.path("talosctl")
}

/// The raw image: the file itself, or decompressed into the work folder, sparse and read-only.
fn raw_image(image: &Path, map: &ImageMap, dir: &Path) -> Result<PathBuf> {
    let raw = if image.extension().is_some_and(|e| e == "xz") {
        if std::io::stderr().is_terminal() {
            eprintln!("decompressing `{}`", image.display());
        }
        let raw = dir.join("image.raw");
        let mut file = std::fs::File::create_new(&raw)?;
        fw_image::xz::decompress(File::open(image)?, &mut file)
            .map_err(|e| Failure::new(format!("cannot decompress `{}`", image.display())).why(e))?;
        fs_err::set_permissions(&raw, std::fs::Permissions::from_mode(0o444))?;
        raw
    } else {
        image.to_owned()
    };
    let size = fs_err::metadata(&raw)?.len();
    if size != map.size_bytes {
        return Err(Failure::new(format!("`{}` is not the image that its map describes", image.display()))
            .why(format!("it has {size} bytes, the map says {}", map.size_bytes))
            .hint("`cargo xtask image` writes both anew"));
    }
    Ok(raw)
}

#[cfg(test)]
#[path = "verb_tests.rs"]
mod tests;
