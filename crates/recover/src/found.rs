// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which loaders a flash holds: ID blocks anywhere in the loader area, by the lines that they would print.

use fw_image::{ddr, idblock};

use crate::SECTOR_BYTES;

/// First bytes of an ID block of older SoCs, scrambled with RC4 (U-Boot, `tools/rkcommon.c`); the RK3588 passes
/// over it.
const VERSION_1: [u8; 4] = [0x3b, 0x8c, 0xdc, 0xfc];
/// How U-Boot's first stage introduces itself, whoever built it.
const SPL_LINE: &[u8] = b"U-Boot SPL ";

/// An ID block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Where it begins.
    pub sector: u64,
    /// How many sectors its header has; clearing them hides it from the boot ROM.
    pub header_sectors: u64,
    /// What it would print, or what is wrong with it.
    pub words: String,
    /// Whether the boot ROM of this SoC would run it: version 2, all hashes right.
    pub runs: bool,
}

/// Finds the ID blocks in the first sectors of a flash. The boot ROM looks at some places only; a block at any other
/// is shown, too, because which places those are is not documented for this SoC.
#[must_use]
pub fn loaders(area: &[u8]) -> Vec<Found> {
    let header_sectors = (idblock::HEADER_BYTES as u64) / SECTOR_BYTES;
    let sectors = (0..).zip(area.chunks_exact(SECTOR_BYTES as usize));
    sectors
        .filter(|(_, bytes)| bytes.starts_with(&idblock::MAGIC) || bytes.starts_with(&VERSION_1))
        .map(|(sector, _)| {
            let block = &area[(sector * SECTOR_BYTES) as usize..];
            let (words, runs) = match idblock::verify(block) {
                Ok(parsed) => (describe(&parsed, block), true),
                Err(e) => (e.to_string(), false),
            };
            Found { sector, header_sectors, words, runs }
        })
        .collect()
}

fn describe(parsed: &idblock::IdBlock, block: &[u8]) -> String {
    let mut words = Vec::new();
    for entry in &parsed.entries {
        let Ok(payload) = entry.payload(block) else { continue };
        if let Ok(blob) = ddr::parse(payload) {
            words.push(blob.build);
        } else if let Some(line) = line(payload) {
            words.push(line);
        }
    }
    if words.is_empty() { format!("{} unknown programs", parsed.entries.len()) } else { words.join("; ") }
}

fn line(payload: &[u8]) -> Option<String> {
    let at = payload.windows(SPL_LINE.len()).position(|w| w == SPL_LINE)?;
    let printable = payload[at..].iter().take(60).take_while(|b| (0x20..0x7f).contains(*b));
    Some(printable.map(|b| char::from(*b)).collect::<String>().trim_end().to_owned())
}
