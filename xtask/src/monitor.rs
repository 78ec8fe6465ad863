// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask monitor [PORT]`: the board's serial console with the stages of the boot as they come, and a diagnosis
//! when nothing more comes. The watching is in crate `serial-monitor`; here are port, keyboard and log file.

use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use boot_log::{Rules, Stage};
use clap::Args as ClapArgs;
use fw_build::{Failure, Result};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use serial_monitor::{BAUDS, ESCAPE, Ends, Port, Settings, Watch, candidates, run as watch_port};

use crate::exit::Exit;
use crate::interrupt;

/// Shows the board's console, its stages, and what is wrong when it stalls.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask monitor                            the only serial adapter of this machine
  cargo xtask monitor /dev/ttyUSB0 --log boot.log
  cargo xtask monitor --list                     the adapters
  cargo xtask monitor /dev/ttyUSB0 --baud 115200 this rate and no other
  cargo xtask monitor /dev/ttyUSB0 --seconds 90 --log boot.log < /dev/null   for scripts

Start it, then power the board. The keyboard goes to the board, Ctrl-C too; Ctrl-] ends. Without text at 1500000 baud it
tries 115200, and back. A signal ends it as Ctrl-] does, with the diagnosis. The console is on standard output, what this program says on standard error.

Exit code 1: the boot is not complete; `cargo xtask diagnose LOG` says the same again later.")]
pub struct Args {
    /// Serial port; without it the only adapter there is.
    #[arg(value_name = "PORT")]
    port: Option<PathBuf>,
    /// List the ports of serial adapters instead.
    #[arg(long, conflicts_with_all = ["port", "log", "baud", "stall", "seconds"])]
    list: bool,
    /// Keep every byte in this file, which must not exist.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Stay at this rate.
    #[arg(long, value_name = "RATE")]
    baud: Option<u32>,
    /// Say what is known after so long without a byte.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    stall: u64,
    /// End after this time.
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<u64>,
}

/// Runs the verb.
///
/// # Errors
/// No port, one that cannot be opened, or an adapter that was pulled out.
pub fn run(args: &Args) -> Result<Exit> {
    let ports = candidates(Path::new("/dev"));
    if args.list {
        for port in &ports {
            println!("{}", port.display());
        }
        return Ok(Exit::Done);
    }
    let path = choose(args.port.as_deref(), &ports)?;
    let bauds = args.baud.map_or_else(|| BAUDS.to_vec(), |baud| vec![baud]);
    let rules = Rules::builtin();
    let mut watch = Watch::new(&rules, Settings { bauds, stall: Duration::from_secs(args.stall) });
    let mut port = Port::open(&path, watch.baud()).map_err(|e| open_failure(&path, &e))?;
    let mut log = args.log.as_ref().map(fs_err::File::create_new).transpose()?;
    eprintln!("`{}` at {} baud; Ctrl-] ends", path.display(), watch.baud());
    let limit = args.seconds.map(Duration::from_secs);
    let ends = {
        let (typed, keys) = channel();
        let _raw = Raw::enter(typed.clone());
        keyboard(typed);
        let (mut screen, mut talk) = (std::io::stdout(), std::io::stderr());
        let log = log.as_mut().map(|l| l as &mut dyn Write);
        watch_port(&mut port, &mut watch, &keys, limit, &mut screen, &mut talk, log)?
    };
    let diagnosis = watch.finish();
    eprintln!("\n{diagnosis}");
    if let Ends::Gone(why) = ends {
        return Err(Failure::new(format!("`{}` is gone", path.display()))
            .why(why)
            .hint("the adapter was pulled out, or its driver gave up; start again when it is back"));
    }
    Ok(if diagnosis.reached == Some(Stage::Ready) { Exit::Done } else { Exit::Failed })
}

fn choose(given: Option<&Path>, ports: &[PathBuf]) -> Result<PathBuf> {
    if let Some(path) = given {
        return Ok(path.to_owned());
    }
    match ports {
        [only] => Ok(only.clone()),
        [] => Err(Failure::new("there is no serial adapter")
            .why("neither `/dev/serial/by-id` nor `/dev/ttyUSB*` nor `/dev/ttyACM*` has a port")
            .hint("an adapter for 3.3 V that does 1500000 baud: FT232, CP2102N, CH343")),
        several => {
            let failure = Failure::new(format!("there are {} serial adapters", several.len()));
            let failure = several.iter().fold(failure, |f, p| f.why(p.display()));
            Err(failure.hint("name the one that the board is at"))
        }
    }
}

fn open_failure(path: &Path, error: &std::io::Error) -> Failure {
    let failure = Failure::new(format!("`{}` cannot be opened as a serial port", path.display())).why(error);
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => {
            failure.hint("add yourself to its group: `sudo usermod -aG dialout $USER`, then log in again")
        }
        std::io::ErrorKind::InvalidInput => failure.hint("the adapter does not do this rate"),
        _ => failure.hint("`cargo xtask monitor --list` shows the ports"),
    }
}

/// What is typed. The thread ends with the process: a read of a terminal cannot be called off.
fn keyboard(typed: Sender<Vec<u8>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 256];
        while let Ok(n @ 1..) = std::io::stdin().lock().read(&mut buffer) {
            if typed.send(buffer[..n].to_vec()).is_err() {
                break;
            }
        }
    });
}

/// The terminal gives every key at once and acts on none, until this is dropped. A signal types Ctrl-].
struct Raw {
    before: Option<Termios>,
    _guard: interrupt::Guard,
}

impl Raw {
    fn enter(typed: Sender<Vec<u8>>) -> Raw {
        let stdin = std::io::stdin();
        let before = if stdin.is_terminal() { tcgetattr(&stdin).ok() } else { None };
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            // A terminal that does not change gives whole lines: inconvenient, and no reason to stop.
            let _ = tcsetattr(&stdin, OptionalActions::Now, &raw);
        }
        let (restore, again) = (before.clone(), AtomicBool::new(false));
        let guard = interrupt::calls(move || {
            if !again.swap(true, Ordering::Relaxed) && typed.send(vec![ESCAPE]).is_ok() {
                return;
            }
            // Once more: a port that takes nothing keeps the session from its end.
            if let Some(before) = &restore {
                let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
            }
            std::process::exit(interrupt::INTERRUPTED);
        });
        Raw { before, _guard: guard }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, before);
        }
    }
}
