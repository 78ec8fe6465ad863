// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the boot ROM is given over USB: programs for its SRAM (request 0x471: memory initialisation), then for the DRAM
//! that works after it (request 0x472: a usbplug, or SPL).
//!
//! The boot ROM of the RK3588 takes both as they are, not scrambled with RC4 as older SoCs have them (xrock's table
//! of SoCs; rkbin, `RKBOOT/RK3588MINIALL.ini`). Crate `rockusb` puts the CRC behind each.

use std::io::{self, Read};
use std::time::Duration;

use fw_image::{ddr, idblock};
use rockfile::boot::{RkBootEntry, RkBootHeader, RkBootHeaderEntry};
use rockusb::device::Error as UsbError;

use crate::Device;
use crate::wire::{Wire, WireError};

/// Where the ID block is on a medium and in an image: sector 64.
const IDBLOCK_OFFSET_BYTES: u64 = 64 * 512;
/// It ends before the FIT at sector 16384.
const IDBLOCK_MAX_BYTES: u64 = (16384 - 64) * 512;
/// Nothing that a boot ROM runs is larger.
const PROGRAM_MAX_BYTES: usize = 16 << 20;
/// `wIndex` for a program that is run in SRAM (rkdeveloptool, `DownloadBoot`).
const AREA_SRAM: u16 = 0x471;
/// `wIndex` for a program that is run in DRAM.
const AREA_DRAM: u16 = 0x472;
/// What Rockchip's loaders for this SoC ask for between the two (`Sleep=1` in rkbin's INI file).
const PAUSE: Duration = Duration::from_millis(1);
/// No container asks for more.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Size of a container's header and of an entry (rkdeveloptool, `RKBoot.h`).
const HEADER_BYTES: usize = 102;
const ENTRY_BYTES: usize = 57;
/// The container's chip, as text.
const CHIP: &[u8; 4] = b"3588";

/// One program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Where it is from, for people.
    pub name: String,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How long the board needs before the next.
    pub pause: Duration,
}

/// What is started, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loader {
    /// For SRAM: the DDR blob.
    pub sram: Vec<Program>,
    /// For DRAM: a usbplug or SPL.
    pub dram: Vec<Program>,
}

/// Why there is no loader.
#[derive(Debug, thiserror::Error)]
pub enum LoaderError {
    /// It cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// The image's ID block is not right.
    #[error("{0}")]
    IdBlock(#[from] idblock::Error),
    /// It has other parts than DDR blob and SPL.
    #[error("its ID block has {0} programs, not two")]
    Programs(usize),
    /// Not a container.
    #[error("it begins with neither `LDR ` nor `BOOT`: no loader container of Rockchip's")]
    NotAContainer,
    /// Cut off, or lengths that point behind its end.
    #[error("the container is damaged: {0}")]
    Damaged(String),
    /// For another SoC.
    #[error("the container is for chip `{0}`, not 3588")]
    OtherChip(String),
    /// Without DDR blob or usbplug.
    #[error("the container has no program for {0}")]
    Lacks(&'static str),
    /// Not a program.
    #[error("`{name}` has {bytes} bytes: not a program")]
    Size {
        /// Which.
        name: String,
        /// Its length.
        bytes: usize,
    },
    /// A DDR blob that is known not to work.
    #[error("{0}")]
    Ddr(#[from] ddr::Error),
}

impl Loader {
    /// DDR blob and SPL out of a raw image or medium, their hashes verified.
    ///
    /// # Errors
    /// See [`LoaderError`].
    pub fn of_image(image: &mut dyn Read) -> Result<Loader, LoaderError> {
        io::copy(&mut image.take(IDBLOCK_OFFSET_BYTES), &mut io::sink())?;
        let mut block = Vec::new();
        image.take(IDBLOCK_MAX_BYTES).read_to_end(&mut block)?;
        let parsed = idblock::verify(&block)?;
        let [blob, spl] = &parsed.entries[..] else {
            return Err(LoaderError::Programs(parsed.entries.len()));
        };
        Loader::of_parts(
            program("DDR blob of the image", blob.payload(&block)?.to_vec())?,
            program("SPL of the image", spl.payload(&block)?.to_vec())?,
        )
    }

    /// A container (`rk3588_spl_loader_*.bin`, `MiniLoaderAll.bin`), its checksum verified.
    ///
    /// # Errors
    /// See [`LoaderError`].
    pub fn of_container(bytes: &[u8]) -> Result<Loader, LoaderError> {
        let damaged = |why: &str| LoaderError::Damaged(why.to_owned());
        if !bytes.starts_with(b"LDR ") && !bytes.starts_with(b"BOOT") {
            return Err(LoaderError::NotAContainer);
        }
        let head = bytes.first_chunk::<HEADER_BYTES>().ok_or_else(|| damaged("it ends in its header"))?;
        let header = RkBootHeader::from_bytes(head).ok_or(LoaderError::NotAContainer)?;
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(|| damaged("it ends in its header"))?;
        if checksum(body) != u32::from_le_bytes(*sum) {
            return Err(damaged("its checksum is wrong"));
        }
        if header.supported_chip != *CHIP {
            let chip = String::from_utf8_lossy(&header.supported_chip).escape_default().to_string();
            return Err(LoaderError::OtherChip(chip));
        }
        let (sram, dram) = (programs(bytes, &header.entry_471)?, programs(bytes, &header.entry_472)?);
        match (sram.is_empty(), dram.is_empty()) {
            (true, _) => Err(LoaderError::Lacks("SRAM (471)")),
            (_, true) => Err(LoaderError::Lacks("DRAM (472)")),
            _ => Ok(Loader { sram, dram }),
        }
    }

    /// From two programs.
    ///
    /// # Errors
    /// See [`LoaderError`].
    pub fn of_parts(sram: Program, dram: Program) -> Result<Loader, LoaderError> {
        Ok(Loader { sram: vec![sram], dram: vec![dram] })
    }

    /// The DDR blob's version and build line. None: it is not one, or scrambled, which this SoC does not take.
    #[must_use]
    pub fn ddr(&self) -> Option<ddr::Blob> {
        self.sram.iter().find_map(|p| ddr::parse(&p.bytes).ok())
    }

    /// Refuses a DDR blob that is known not to work on this board.
    ///
    /// # Errors
    /// [`LoaderError::Ddr`].
    pub fn accepted(self) -> Result<Loader, LoaderError> {
        if let Some(blob) = self.ddr() {
            blob.accepted()?;
        }
        Ok(self)
    }
}

/// A program out of a file.
///
/// # Errors
/// [`LoaderError::Size`]: empty, or larger than anything that a boot ROM runs.
pub fn program(name: &str, bytes: Vec<u8>) -> Result<Program, LoaderError> {
    if bytes.is_empty() || bytes.len() > PROGRAM_MAX_BYTES {
        return Err(LoaderError::Size { name: name.to_owned(), bytes: bytes.len() });
    }
    Ok(Program { name: name.to_owned(), bytes, pause: PAUSE })
}

fn programs(bytes: &[u8], table: &RkBootHeaderEntry) -> Result<Vec<Program>, LoaderError> {
    let damaged = |what: &str| LoaderError::Damaged(format!("{what} lies behind its end"));
    if table.count > 0 && usize::from(table.size) < ENTRY_BYTES {
        return Err(LoaderError::Damaged(format!("its entries have {} bytes", table.size)));
    }
    let mut programs = Vec::new();
    for index in 0..u64::from(table.count) {
        let at = u64::from(table.offset) + index * u64::from(table.size);
        let entry = slice(bytes, at, ENTRY_BYTES as u64).and_then(|e| e.first_chunk::<ENTRY_BYTES>());
        let entry = RkBootEntry::from_bytes(entry.ok_or_else(|| damaged("an entry"))?);
        let name: Vec<u16> = entry.name.into_iter().take_while(|c| *c != 0).collect();
        let name: String = String::from_utf16_lossy(&name).chars().filter(|c| !c.is_control()).collect();
        let data = slice(bytes, u64::from(entry.data_offset), u64::from(entry.data_size));
        let data = data.ok_or_else(|| damaged(&format!("`{name}`")))?;
        let pause = Duration::from_millis(u64::from(entry.data_delay)).min(PAUSE_MAX);
        programs.push(Program { pause, ..program(&name, data.to_vec())? });
    }
    Ok(programs)
}

fn slice(bytes: &[u8], at: u64, length: u64) -> Option<&[u8]> {
    let (from, to) = (usize::try_from(at).ok()?, usize::try_from(at.checked_add(length)?).ok()?);
    bytes.get(from..to)
}

/// The container's checksum: a CRC-32 with polynomial 0x04c10db7, one bit from the usual one, most significant bit
/// first, starting at zero (rkdeveloptool, `crc.cpp`).
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte) << 24, |crc: u32, _| {
            if crc >> 31 == 1 { crc << 1 ^ 0x04c1_0db7 } else { crc << 1 }
        })
    })
}

/// A step of [`start`].
#[derive(Debug, Clone, Copy)]
pub struct Sent<'a> {
    /// 0x471 or 0x472.
    pub area: u16,
    /// What was sent.
    pub program: &'a Program,
}

/// Starts a loader on a board in MaskROM mode: the boot ROM runs each program when it has it, and takes the next when
/// that returns. `pause` waits as long as the board needs.
///
/// # Errors
/// Which program was refused, and why.
pub fn start<W: Wire>(
    device: &mut Device<W>,
    loader: &Loader,
    sent: &mut dyn FnMut(Sent<'_>),
    pause: &mut dyn FnMut(Duration),
) -> Result<(), (String, UsbError<WireError>)> {
    let areas = [(AREA_SRAM, &loader.sram), (AREA_DRAM, &loader.dram)];
    for (area, program) in areas.into_iter().flat_map(|(area, all)| all.iter().map(move |p| (area, p))) {
        device.write_maskrom_area(area, &program.bytes).map_err(|e| (program.name.clone(), e))?;
        sent(Sent { area, program });
        pause(program.pause);
    }
    Ok(())
}
