// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where and why a run of the model stopped.

use std::fmt;

use boot_log::Stage;
use rk3588_model::cpu::Exception;
use rk3588_model::machine::Machine;
use rk3588_model::machine::marks::Stage as Entered;
use rk3588_model::soc::LastAccess;

use super::image::Load;
use super::symbols::{self, Symbols};

/// Why a run goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The console said so.
    DeadEnd(String),
    /// Nothing was printed for this many instructions.
    Silent(u64),
    /// `--max-instructions` is used up.
    Limit(u64),
    /// An exception that nobody handles.
    Exception(Exception),
    /// The core waits for an interrupt that cannot come.
    WaitsForEver,
    /// The software asked for a reset of the board.
    Reset(&'static str),
    /// Strict mode: something that the model does not know was touched.
    Unknown,
    /// More memory was written than a run may take.
    Memory,
}

/// A stop, with the state of the core.
#[derive(Debug, Clone)]
pub struct Stop {
    /// Why.
    pub why: Why,
    /// The stage whose code ran last: it is at fault, or what it was given is.
    pub stage: Stage,
    /// Exception level.
    pub el: u8,
    /// Program counter.
    pub pc: u64,
    /// Last exception, when any was taken.
    pub exception: Option<Exception>,
    /// Last line of the console.
    pub last_line: Option<String>,
    /// Last access to a device register.
    pub last_access: Option<LastAccess>,
    /// Instructions executed.
    pub instructions: u64,
}

impl Stop {
    /// The stop of a machine as it is.
    ///
    /// `loads`: which stage's code lies where; `reached`: the last banner.
    pub fn of(
        machine: &Machine,
        loads: &[Load],
        why: Why,
        reached: Option<Stage>,
        last_line: Option<String>,
    ) -> Stop {
        let (el, pc) = (machine.cpu.el(), machine.cpu.pc());
        let entered = machine.marks().iter().map(|m| stage_of(m.stage)).max();
        // A BL31 of another SoC is entered like any code, and does none of what would show that it runs.
        let inside = loads.iter().find(|load| el == 3 && load.range.contains(&pc)).map(|load| load.stage);
        // Nor does one that was put to the wrong place: it has left SPL's code, at SPL's level.
        let at = match &why {
            Why::Exception(exception) => exception.elr,
            _ => pc,
        };
        let left = reached == Some(Stage::Spl) && el == 3 && at >= machine.boot().spl_bytes as u64;
        let inside = inside.max(left.then_some(Stage::Bl31));
        Stop {
            why,
            stage: entered.max(inside).max(reached).unwrap_or(Stage::Spl),
            el,
            pc,
            exception: machine.cpu.last_exception(),
            last_line,
            last_access: machine.soc.last_access(),
            instructions: machine.cpu.instructions(),
        }
    }

    /// The statement for the rules: `model: stopped in BL31: …`.
    pub fn statement(&self) -> String {
        format!("model: stopped in {}: {}", self.stage.name(), self.why)
    }

    /// The lines of the report; `frames` are the return addresses of the calls that led here, the last one first.
    pub fn describe(&self, symbols: &Symbols, frames: &[u64]) -> Vec<String> {
        let at = |pc: u64| match symbols.name(pc) {
            Some(name) => format!("{pc:#x} ({name})"),
            None => format!("{pc:#x}"),
        };
        let mut lines = vec![
            format!("why          {}", self.why),
            format!("where        {}, EL{}, PC {}", self.stage.name(), self.el, at(self.pc)),
        ];
        let callers: Vec<String> = frames.iter().map_while(|at| symbols.name(*at)).collect();
        if !callers.is_empty() {
            lines.push(format!("called from  {}", callers.join(", ")));
        }
        if let Some(e) = self.exception {
            lines.push(format!(
                "exception    {} at {}, EL{} to EL{}, address {:#x}, after {} instructions",
                syndrome(e.esr),
                at(e.elr),
                e.from_el,
                e.to_el,
                e.far,
                e.instructions
            ));
        }
        if let Some(line) = &self.last_line {
            lines.push(format!("last line    `{line}`"));
        }
        if let Some(access) = self.last_access {
            let what = match (access.written, access.read) {
                (Some(value), _) => format!("{value:#x} written to"),
                (None, Some(value)) => format!("{value:#x} read from"),
                (None, None) => "access to".to_owned(),
            };
            let block = access.block.unwrap_or("no known block");
            lines.push(format!(
                "last device  {what} {:#x} ({block}), {} bytes, by {}",
                access.address,
                access.bytes,
                at(access.pc)
            ));
        }
        lines.push(format!("instructions {}", self.instructions));
        lines
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::DeadEnd(line) => write!(f, "the console says `{line}`"),
            Why::Silent(n) => write!(f, "nothing was printed for {} million instructions", n / 1_000_000),
            Why::Limit(n) => write!(f, "the limit of {n} instructions is used up (`--max-instructions`)"),
            Why::Exception(e) => write!(f, "{} that nobody handles", syndrome(e.esr)),
            Why::WaitsForEver => f.write_str("the core waits for an interrupt that cannot come"),
            Why::Reset(by) => write!(f, "the software resets the board ({by})"),
            Why::Unknown => f.write_str("it needs a register that the model does not know"),
            Why::Memory => f.write_str("it writes more memory than a run may take"),
        }
    }
}

/// Calls that are followed back.
const FRAMES: usize = 8;

/// Lets names follow the code that runs, and returns the return addresses of the calls that led to it: each frame
/// record holds the one before it and the return address (AAPCS64, "The Frame Pointer").
pub fn look_back(machine: &mut Machine, stop: &Stop, symbols: &mut Symbols) -> Vec<u64> {
    let Machine { cpu, ram, soc, .. } = machine;
    let mut read = |address: u64, bytes: &mut [u8]| {
        let at = cpu.physical(ram, soc, address);
        at.is_some_and(|at| ram.read_bytes(at, bytes).is_ok())
    };
    let mut frames = Vec::new();
    let mut frame = cpu.x(29);
    while frames.len() < FRAMES && frame != 0 && frame.is_multiple_of(16) {
        let mut record = [0; 16];
        if !read(frame, &mut record) {
            break;
        }
        let record = u128::from_le_bytes(record);
        let (before, back) = (record as u64, (record >> 64) as u64);
        frames.push(back);
        // A stack grows down: a chain that does not go up is none.
        if before <= frame {
            break;
        }
        frame = before;
    }
    let seen = [Some(stop.pc), stop.exception.map(|e| e.elr)].into_iter().flatten();
    for address in seen.chain(frames.iter().copied()) {
        let mut code = [0; symbols::FOLLOWED_BYTES];
        if read(address, &mut code) {
            symbols.follow(address, &code);
        }
    }
    frames
}

/// The stage of the boot chain that an entry of the model stands for.
pub fn stage_of(entered: Entered) -> Stage {
    match entered {
        Entered::Spl => Stage::Spl,
        Entered::Bl31 | Entered::WarmReset => Stage::Bl31,
        Entered::UBoot => Stage::UBoot,
        Entered::Kernel => Stage::Kernel,
    }
}

/// An entry in words.
pub fn entered(entered: Entered) -> &'static str {
    match entered {
        Entered::Spl => "SPL entered",
        Entered::Bl31 => "BL31 runs",
        Entered::WarmReset => "warm reset",
        Entered::UBoot => "U-Boot entered",
        Entered::Kernel => "kernel takes over",
    }
}

/// The exception class of a syndrome in words (Arm ARM, `ESR_ELx.EC`).
pub fn syndrome(esr: u64) -> &'static str {
    match esr >> 26 & 0x3f {
        0x00 => "an undefined instruction",
        0x01 => "a trapped wait",
        0x07 => "a use of floating point that is not enabled",
        0x0e => "an illegal execution state",
        0x15 => "a supervisor call",
        0x16 => "a hypervisor call",
        0x17 => "a secure monitor call",
        0x18 => "a system register that this level may not use",
        0x20 | 0x21 => "an instruction fetch from where there is no code",
        0x22 => "a misaligned program counter",
        0x24 | 0x25 => "an access to an address that does not exist or is not mapped",
        0x26 => "a misaligned stack pointer",
        0x2f => "an SError",
        0x3c => "a breakpoint instruction",
        _ => "an exception",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syndromes_have_names() {
        assert_eq!(syndrome(0), "an undefined instruction");
        assert_eq!(syndrome(0x9600_0045), "an access to an address that does not exist or is not mapped");
        assert_eq!(syndrome(0x5e00_0000), "a secure monitor call");
    }
}
