// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask simulate`: executes a disk image's own bytes on the model of the SoC, from the boot ROM to the
//! kernel, and says how far it comes.
//!
//! [`medium`] opens what is plugged in, [`session`] runs the model and follows its console, [`stop`] says where
//! it ended, [`report`] writes it down. The image is never written. What a pass means, and what it never means,
//! is said in `docs/soc-model.md`.

pub mod check;
pub mod drivers;
pub mod faults;
pub mod grub;
pub mod image;
pub mod interactive;
pub mod kernel_tree;
pub mod medium;
pub mod report;
pub mod say;
pub mod selftest;
pub mod session;
pub mod setup;
#[cfg(test)]
mod sketch;
pub mod stop;
pub mod suite;
pub mod symbols;
pub mod trace;

use std::io::Write as _;
use std::path::PathBuf;

use boot_log::{Rules, Stage};
use clap::{Args as ClapArgs, ValueEnum};
use fw_build::{Failure, Result};
use rk3588_model::machine::Machine;

use self::grub::Typist;
use self::report::Report;
use self::selftest::SelfTest;
use self::session::{End, Goal, Session};
use self::setup::{Dram, Plugged, Source};
use crate::exit::Exit;
use crate::selftest_lines::RESULT;

/// Instructions of a run by default: twice what the self-test's report needs.
const MAX_INSTRUCTIONS: u64 = 12_000_000_000;

/// Executes an image on a model of the RK3588, from the boot ROM on.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask simulate                             the image in out/, until the kernel has taken over
  cargo xtask simulate --until u-boot some.img     any RK3588 or RK3588S image; raw, .xz or a block device
  cargo xtask simulate --until shell --type 'printenv boot_targets; mmc list'
  cargo xtask simulate --interactive               U-Boot's prompt on this terminal (end: Ctrl-])
  cargo xtask simulate --dram 16 --emmc other.img  another board
  cargo xtask simulate --boot-source spi --until shell
                                                   the loader for serial flash; `--sd other.img` adds a system
  cargo xtask simulate --until init                the kernel's drivers: which devices are bound, which are not
  cargo xtask simulate --until report              the self-test image's own report, with what the model lacks for it
  cargo xtask simulate --until init --append 'earlycon loglevel=8'
                                                   arguments for the kernel, typed into GRUB's editor
  cargo xtask simulate --until spl --trace mmio    every access to a device register
  cargo xtask simulate --check                     what every image of this project must show
  cargo xtask simulate --faults                    known faults, one at a time: is each of them named?
  cargo xtask simulate --faults=usb                those with `usb` in their names

A pass never means \"boots on the board\": DDR training, voltages, PHYs, pins and timing are not modelled
(docs/soc-model.md). The M.2 slot is always empty: there is no model of a PCIe link.
Exit codes: 0 the goal was reached; 3 it was not, or a check of the self-test failed that needs no device which the
model lacks: do not flash this image; 1 the model itself came to its end
(instructions, memory, a device it does not have).")]
pub struct Args {
    /// Image or block device; by default the image in `out/`, on serial flash the loader for it.
    #[arg(value_name = "IMAGE|DEVICE")]
    image: Option<PathBuf>,
    /// How far to go.
    #[arg(long, value_enum, default_value = "kernel")]
    until: Until,
    /// Memory of the board in GiB.
    #[arg(long, value_enum, value_name = "GIB", default_value = "8")]
    dram: Dram,
    /// What the image is put on; the boot ROM then looks nowhere else.
    #[arg(long, value_enum, value_name = "MEDIUM")]
    boot_source: Option<Source>,
    /// Identity of the chip, up to 16 bytes in hexadecimal: MAC address and serial number are made from it.
    #[arg(long, value_name = "HEX")]
    otp: Option<String>,
    /// Card in the slot.
    #[arg(long, value_name = "FILE")]
    sd: Option<PathBuf>,
    /// Content of the eMMC.
    #[arg(long, value_name = "FILE")]
    emmc: Option<PathBuf>,
    /// Commands for U-Boot's prompt, separated by `;`; the boot goes on behind them if the goal is later.
    #[arg(long = "type", value_name = "COMMANDS")]
    commands: Option<String>,
    /// Arguments for the kernel, typed into GRUB's editor; nothing on the medium is changed.
    #[arg(long, value_name = "ARGS", conflicts_with_all = ["interactive", "check", "faults"])]
    append: Option<String>,
    /// U-Boot's prompt on this terminal.
    #[arg(long, conflicts_with_all = ["json", "commands", "trace"])]
    interactive: bool,
    /// Print what happens, to standard error.
    #[arg(long, value_enum, value_name = "LEVEL")]
    trace: Option<trace::Level>,
    /// Stop at the first register that the model does not know.
    #[arg(long)]
    strict: bool,
    /// Boot the image on several boards and check what every image of this project must show.
    #[arg(long, conflicts_with_all = ["faults", "interactive", "commands", "trace", "sd", "emmc", "otp", "boot_source"])]
    check: bool,
    /// Put known faults into the image (those whose name contains NAME) and check that each is named.
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "",
          conflicts_with_all = ["interactive", "commands", "trace", "sd", "emmc", "otp", "boot_source"])]
    faults: Option<String>,
    /// Print JSON instead of console and report.
    #[arg(long)]
    json: bool,
    /// Give up after so many instructions; 16 bytes that a device moves count as one.
    #[arg(long, value_name = "N", default_value_t = MAX_INSTRUCTIONS)]
    max_instructions: u64,
}

/// `--until`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Until {
    /// SPL's banner.
    Spl,
    /// BL31's banner.
    Bl31,
    /// U-Boot's banner.
    UBoot,
    /// U-Boot's prompt; autoboot is stopped.
    Shell,
    /// GRUB's greeting.
    Grub,
    /// The kernel runs at its own addresses.
    Kernel,
    /// The kernel starts its first program: every built-in driver has been asked.
    Init,
    /// The self-test image has written its report.
    Report,
}

impl Until {
    /// What the session waits for.
    pub fn goal(self) -> Goal {
        match self {
            Until::Spl => Goal::Banner(Stage::Spl),
            Until::Bl31 => Goal::Banner(Stage::Bl31),
            Until::UBoot => Goal::Banner(Stage::UBoot),
            Until::Shell => Goal::Prompt,
            Until::Grub => Goal::Banner(Stage::Grub),
            Until::Kernel => Goal::KernelTakesOver,
            // Linux `init/main.c`, `run_init_process`.
            Until::Init => Goal::Line("Run /init as init process".to_owned()),
            Until::Report => Goal::WholeLine(RESULT.to_owned()),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Until::Spl => "SPL's banner",
            Until::Bl31 => "BL31's banner",
            Until::UBoot => "U-Boot's banner",
            Until::Shell => "U-Boot's prompt",
            Until::Grub => "GRUB",
            Until::Kernel => "the kernel's take-over",
            Until::Init => "the kernel's first program",
            Until::Report => "the self-test's report",
        }
    }
}

/// Runs the verb.
///
/// # Errors
/// A medium cannot be read, or the options do not fit together.
pub fn run(args: &Args) -> Result<Exit> {
    if args.check || args.faults.is_some() {
        let image = args.image.clone().map_or_else(setup::default_image, Ok)?;
        return match &args.faults {
            Some(filter) => suite::faults(&image, filter, args.json),
            None => suite::check(&image, args.json),
        };
    }
    let plugged = plug(args)?;
    let rules = Rules::builtin();
    let board = plugged.board(args.strict);
    let machine = match Machine::power_on(board) {
        Ok(machine) => machine,
        Err(error) => return refused(args, &rules, &plugged, &error),
    };
    if !args.json {
        for refusal in &machine.boot().refused {
            say::talk(format_args!("boot ROM: {}: {}", refusal.source, refusal.reason));
        }
    }
    let mut symbols = plugged.symbols()?;
    let mut session = Session::new(machine, plugged.loads()?, &rules, args.max_instructions);
    if args.interactive {
        return interactive::run(session);
    }
    if let Some(arguments) = appended(args)? {
        session.at_menu(Typist::with_arguments(&arguments));
    }
    let mut tracer = trace::Tracer::new(args.trace, &symbols).with_signs_of_life();
    let quiet = args.json;
    let mut show = |bytes: &[u8]| {
        if !quiet {
            let mut out = std::io::stdout().lock();
            // A reader that went away (a pager that was closed) does not change the verdict.
            let _ = out.write_all(bytes).and_then(|()| out.flush());
        }
    };
    let end = drive(args, &mut session, &mut tracer, &mut show);
    let drivers = if args.until == Until::Init { session.drivers() } else { None };
    let lines = session.lines().iter().map(String::as_str);
    let selftest = if args.until == Until::Report { SelfTest::read(lines) } else { None };
    let report = Report::new(args.until.name(), &plugged, session, end, &mut symbols)
        .with_drivers(drivers)
        .with_selftest(selftest);
    if args.json {
        say::data(format_args!("{}", report.json()));
    } else {
        say::data(format_args!("\n\n{report}"));
    }
    Ok(report.exit())
}

/// What is typed behind the kernel's arguments: for its first program's sake it must tell about its drivers.
fn appended(args: &Args) -> Result<Option<String>> {
    let wanted = (args.until == Until::Init).then_some(drivers::log::ARGUMENTS);
    let words: Vec<&str> = wanted.into_iter().chain(args.append.as_deref()).collect();
    let text = words.join(" ");
    if text.bytes().any(|b| !matches!(b, b' '..=b'~')) {
        return Err(Failure::new("`--append` cannot be typed into GRUB's editor")
            .why("it has characters that are not printable ASCII"));
    }
    Ok((!text.is_empty()).then_some(text))
}

/// What the options plug in.
fn plug(args: &Args) -> Result<Plugged> {
    let source = args.boot_source.unwrap_or(Source::Sd);
    let other = match source {
        Source::Sd => (&args.sd, "--sd"),
        Source::Emmc => (&args.emmc, "--emmc"),
        Source::Spi => (&None, ""),
    };
    let image = match (&args.image, other) {
        (Some(_), (Some(_), option)) => {
            return Err(Failure::new(format!("the image and `{option}` are for the same medium"))
                .hint("give one of them, or `--boot-source` for another medium"));
        }
        // The medium's own option names it, and nothing else has to.
        (None, (Some(path), _)) => path.clone(),
        (Some(path), _) => path.clone(),
        (None, _) if source == Source::Spi => setup::flash_loader()?,
        (None, _) => setup::default_image()?,
    };
    let mut plugged = Plugged::new(&image, source)?;
    plugged.only = args.boot_source;
    plugged.dram = args.dram;
    if source != Source::Sd {
        plugged.sd = args.sd.as_deref().map(medium::Medium::open).transpose()?;
    }
    if source != Source::Emmc {
        plugged.emmc = args.emmc.as_deref().map(medium::Medium::open).transpose()?;
    }
    if let Some(hex) = &args.otp {
        plugged.otp = Some(setup::otp_words(hex)?);
    }
    Ok(plugged)
}

/// Goes to the goal, by way of the prompt when something is to be typed.
fn drive(
    args: &Args,
    session: &mut Session<'_>,
    tracer: &mut trace::Tracer<'_>,
    show: &mut dyn FnMut(&[u8]),
) -> End {
    if let Some(commands) = &args.commands {
        if let End::Stopped(stop) = session.run_traced(&Goal::Prompt, tracer, show) {
            return End::Stopped(stop);
        }
        for command in commands.split([';', '\n']).map(str::trim).filter(|c| !c.is_empty()) {
            if let Err(stop) = session.command(command, show) {
                return End::Stopped(stop);
            }
        }
        if !matches!(args.until, Until::Grub | Until::Kernel | Until::Init | Until::Report) {
            return End::Reached;
        }
        session.boot();
    }
    session.run_traced(&args.until.goal(), tracer, show)
}

/// The boot ROM took nothing.
fn refused(
    args: &Args,
    rules: &Rules,
    plugged: &Plugged,
    error: &rk3588_model::bootrom::Error,
) -> Result<Exit> {
    let mut scanner = boot_log::Scanner::new(rules);
    scanner.note(&format!("model: {error}"));
    let report = Report::refused(args.until.name(), plugged, scanner.finish());
    if args.json {
        say::data(format_args!("{}", report.json()));
    } else {
        say::data(format_args!("{report}"));
    }
    Ok(report.exit())
}
