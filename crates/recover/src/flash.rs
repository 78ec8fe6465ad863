// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The flash behind a usbplug: information, reading, writing. Every sector that was written is read back before the
//! next is sent, and an error says exactly what the flash holds then.
//!
//! Erasing is writing zeros: the protocol's own erase commands go down to erase groups, and U-Boot's rockusb widens
//! the span to whole groups (`mmc_berase`, `drivers/mmc/mmc_write.c`) and takes the neighbours with it.

use std::fmt;
use std::io::{self, Read, Write};

use fw_image::{hex, idblock};
use rockusb::device::Error as UsbError;
use rockusb::protocol::StorageIndex;

use crate::wire::{Wire, WireError, words};
use crate::{Device, SECTOR_BYTES};

/// Sectors of one command; what crate `rockusb` and Rockchip's own tools use at most.
const STEP_SECTORS: u64 = 128;
/// Rockchip's U-Boot sends 0xcc in place of everything behind this sector and says that all is well
/// (`RKUSB_READ_LIMIT_ADDR`, `cmd/rockusb.c`).
const READ_LIMIT_SECTOR: u64 = 32 * 2048;
/// What it sends.
const READ_LIMIT_FILLER: u8 = 0xcc;

/// Some sectors in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// First one.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl Span {
    /// One behind the last.
    #[must_use]
    pub fn end(self) -> u64 {
        self.first.saturating_add(self.count)
    }

    /// In steps of what one command takes.
    fn steps(self) -> impl Iterator<Item = Span> {
        (self.first..self.end()).step_by(STEP_SECTORS as usize).map(move |first| {
            let count = STEP_SECTORS.min(self.end() - first);
            Span { first, count }
        })
    }

    fn bytes(self) -> usize {
        // Of one step.
        (self.count * SECTOR_BYTES) as usize
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            0 => write!(f, "no sector"),
            1 => write!(f, "sector {}", self.first),
            _ => write!(f, "sectors {} to {}", self.first, self.end() - 1),
        }
    }
}

/// Why it did not work.
#[derive(Debug, thiserror::Error)]
pub enum FlashError {
    /// The device refused a command, or is gone.
    #[error("{what} {at}: {why}")]
    Transfer {
        /// `reading`, `writing` or `reading back`.
        what: &'static str,
        /// Where.
        at: Span,
        /// Why.
        why: String,
        /// Whether it left the bus.
        gone: bool,
        /// What the flash holds now, in lines; empty where nothing was to be changed.
        state: Vec<String>,
    },
    /// What was written did not come back.
    #[error("sector {sector} reads back as something else than was written")]
    Differs {
        /// The first of them.
        sector: u64,
        /// What the flash holds now, in lines.
        state: Vec<String>,
    },
    /// The device does not say what it is.
    #[error("the board does not answer what {what} it has: {why}")]
    Info {
        /// The question.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// The usbplug stays at another flash.
    #[error("the usbplug does not switch to `{medium}`: {why}")]
    Medium {
        /// What was asked for.
        medium: String,
        /// Why.
        why: String,
    },
    /// Beyond the end of the flash.
    #[error("{0} are not on this flash of {1} sectors")]
    Outside(Span, u64),
    /// The loader hides the content.
    #[error("{0}: the loader on the board sends 0xcc in place of what is there")]
    Hidden(Span),
    /// A file.
    #[error("{0}")]
    File(#[from] io::Error),
    /// What was to be written ended with an error, or was ended.
    #[error("{why}")]
    Source {
        /// Why.
        why: io::Error,
        /// What the flash holds now, in lines.
        state: Vec<String>,
    },
}

/// What the board says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// Chip, such as `3588`, or what it says in hexadecimal.
    pub chip: String,
    /// Flash ID, as text where it is text (`EMMC`).
    pub flash_id: String,
    /// Size of the flash.
    pub sectors: u64,
    /// Which flash is chosen; none where the loader does not tell.
    pub medium: Option<String>,
    /// What the loader says that it can.
    pub capabilities: Vec<&'static str>,
}

/// Asks for chip and flash.
///
/// # Errors
/// [`FlashError::Info`]: in MaskROM mode nobody answers these.
pub fn info<W: Wire>(device: &mut Device<W>) -> Result<Info, FlashError> {
    let no = |what| move |e: UsbError<WireError>| FlashError::Info { what, why: words(&e) };
    let chip = chip(device.chip_info().map_err(no("chip"))?.inner());
    let flash_id = device.flash_id().map_err(no("flash"))?.to_str().trim().escape_default().to_string();
    let sectors = u64::from(device.flash_info().map_err(no("flash size"))?.sectors());
    // The next two are newer than some loaders.
    let medium = device.storage().ok().map(|index| index.to_string());
    let capabilities = device.capability().map_or_else(
        |_| Vec::new(),
        |c| {
            let all = [
                (c.direct_lba(), "direct sectors"),
                (c.vendor_storage(), "vendor storage"),
                (c.first_4m_access(), "first 4 MiB"),
                (c.read_lba(), "reading sectors"),
                (c.new_idb(), "new ID block"),
                (c.switch_storage(), "switching the flash"),
            ];
            all.into_iter().filter(|(can, _)| *can).map(|(_, what)| what).collect()
        },
    );
    Ok(Info { chip, flash_id, sectors, medium, capabilities })
}

/// The first word holds the chip's number as text, last character first.
fn chip(bytes: &[u8]) -> String {
    let word: Vec<u8> = bytes.iter().take(4).rev().copied().collect();
    if word.iter().all(u8::is_ascii_alphanumeric) {
        String::from_utf8_lossy(&word).into_owned()
    } else {
        hex(bytes)
    }
}

/// Chooses the flash, and asks which is chosen: a usbplug that ignores the request would have the next command change
/// another one.
///
/// # Errors
/// [`FlashError::Medium`].
pub fn choose<W: Wire>(device: &mut Device<W>, medium: StorageIndex) -> Result<(), FlashError> {
    let refused = |why| FlashError::Medium { medium: medium.to_string(), why };
    device.switch_storage(medium).map_err(|e| refused(words(&e)))?;
    let now = device.storage().map_err(|e| refused(words(&e)))?;
    if now == medium { Ok(()) } else { Err(refused(format!("it says that it is at `{now}`"))) }
}

/// What is done with a step that was read.
pub type Take<'a> = dyn FnMut(Span, &[u8]) -> Result<(), FlashError> + 'a;

/// Reads sectors, each step given to `take`; `progress` hears how many are done.
///
/// # Errors
/// See [`FlashError`].
pub fn read_steps<W: Wire>(
    device: &mut Device<W>,
    span: Span,
    take: &mut Take<'_>,
    progress: &mut dyn FnMut(u64),
) -> Result<(), FlashError> {
    check(device, span)?;
    for step in span.steps() {
        let bytes = get(device, step, "reading")?;
        // Of a step over the limit only the part behind it says something.
        let open = (READ_LIMIT_SECTOR.saturating_sub(step.first) * SECTOR_BYTES) as usize;
        let hidden = bytes.get(open..).filter(|rest| !rest.is_empty());
        if hidden.is_some_and(|rest| rest.iter().all(|b| *b == READ_LIMIT_FILLER)) {
            return Err(FlashError::Hidden(step));
        }
        take(step, &bytes)?;
        progress(step.end() - span.first);
    }
    Ok(())
}

/// Reads sectors into `out`.
///
/// # Errors
/// See [`FlashError`].
pub fn read<W: Wire>(
    device: &mut Device<W>,
    span: Span,
    out: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<(), FlashError> {
    read_steps(device, span, &mut |_, bytes| Ok(out.write_all(bytes)?), progress)
}

/// Writes as many bytes as the span has, zeros where `from` ends before (all of them, to erase), and reads each step
/// back.
///
/// A step at the start that holds an ID block is cleared first and written last, so that the boot ROM never finds a
/// loader of which only a part is there.
///
/// # Errors
/// See [`FlashError`]; nothing is written when it does not fit.
pub fn write<W: Wire>(
    device: &mut Device<W>,
    span: Span,
    from: &mut dyn Read,
    progress: &mut dyn FnMut(u64),
) -> Result<(), FlashError> {
    check(device, span)?;
    let mut state = State { span, held: None, cleared: false, done: span.first };
    let mut held = None;
    for step in span.steps() {
        let mut bytes = Vec::with_capacity(step.bytes());
        let read = from.take(step.bytes() as u64).read_to_end(&mut bytes);
        read.map_err(|why| FlashError::Source { why, state: state.lines(None) })?;
        bytes.resize(step.bytes(), 0);
        if step.first == span.first && has_idblock(&bytes) {
            state.held = Some(step);
            put(device, step, &vec![0; bytes.len()], &state)?;
            state.cleared = true;
            held = Some((step, bytes));
        } else {
            put(device, step, &bytes, &state)?;
            progress(step.end() - span.first);
        }
        state.done = step.end();
    }
    if let Some((step, bytes)) = held {
        put(device, step, &bytes, &state)?;
        progress(span.count);
    }
    Ok(())
}

fn has_idblock(bytes: &[u8]) -> bool {
    bytes.chunks(SECTOR_BYTES as usize).any(|sector| sector.starts_with(&idblock::MAGIC))
}

/// How far a writing is.
struct State {
    span: Span,
    /// The step that is written last.
    held: Option<Span>,
    cleared: bool,
    /// Everything before is written, but for `held`.
    done: u64,
}

impl State {
    /// What the flash holds when writing this step went wrong; none: between two steps.
    fn lines(&self, at: Option<Span>) -> Vec<String> {
        let body = self.held.map_or(self.span.first, Span::end).min(self.done);
        let written = Span { first: body, count: self.done - body };
        let mut lines = Vec::new();
        if let Some(held) = self.held.filter(|held| self.cleared && Some(*held) != at) {
            lines.push(format!("{held} are cleared: the boot ROM finds no loader there"));
        }
        if written.count > 0 {
            lines.push(format!("{written}: written and read back"));
        }
        lines.extend(at.map(|at| format!("{at}: may hold the old bytes, the new ones, or some of each")));
        let first = at.map_or(self.done, |at| self.done.max(at.end()));
        let rest = Span { first, count: self.span.end() - first };
        if rest.count > 0 {
            lines.push(format!("{rest}: not touched"));
        }
        lines.push("nothing else was touched".to_owned());
        lines
    }
}

fn get<W: Wire>(device: &mut Device<W>, at: Span, what: &'static str) -> Result<Vec<u8>, FlashError> {
    let mut bytes = vec![0; at.bytes()];
    let sector = sector32(at)?;
    let got = device.read_lba(sector, &mut bytes).map_err(|e| transfer(what, at, &e))?;
    if got as usize == bytes.len() {
        return Ok(bytes);
    }
    let why = format!("the board says that it sent {got} of {} bytes", bytes.len());
    Err(FlashError::Transfer { what, at, why, gone: false, state: vec![] })
}

fn put<W: Wire>(device: &mut Device<W>, at: Span, bytes: &[u8], state: &State) -> Result<(), FlashError> {
    let with_state = |e| match e {
        FlashError::Transfer { what, at, why, gone, .. } => {
            FlashError::Transfer { what, at, why, gone, state: state.lines(Some(at)) }
        }
        other => other,
    };
    let sector = sector32(at)?;
    let taken = device.write_lba(sector, bytes).map_err(|e| with_state(transfer("writing", at, &e)))?;
    if taken as usize != bytes.len() {
        let why = format!("the board says that it took {taken} of {} bytes", bytes.len());
        return Err(with_state(FlashError::Transfer {
            what: "writing",
            at,
            why,
            gone: false,
            state: vec![],
        }));
    }
    let there = get(device, at, "reading back").map_err(with_state)?;
    match there.iter().zip(bytes).position(|(a, b)| a != b) {
        None => Ok(()),
        Some(byte) => {
            let sector = at.first + byte as u64 / SECTOR_BYTES;
            Err(FlashError::Differs { sector, state: state.lines(Some(at)) })
        }
    }
}

fn transfer(what: &'static str, at: Span, e: &UsbError<WireError>) -> FlashError {
    let gone = matches!(e, UsbError::UsbError(WireError::Gone));
    FlashError::Transfer { what, at, why: words(e), gone, state: vec![] }
}

/// The protocol has 32 bits for a sector.
fn sector32(at: Span) -> Result<u32, FlashError> {
    u32::try_from(at.first).map_err(|_| FlashError::Outside(at, u64::from(u32::MAX)))
}

fn check<W: Wire>(device: &mut Device<W>, span: Span) -> Result<(), FlashError> {
    let no = |e: UsbError<WireError>| FlashError::Info { what: "flash size", why: words(&e) };
    let sectors = u64::from(device.flash_info().map_err(no)?.sectors());
    if span.end() > sectors { Err(FlashError::Outside(span, sectors)) } else { Ok(()) }
}
