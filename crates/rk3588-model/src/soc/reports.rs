// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What strict mode reports: places that the model does not know, each once, with who touched them first.

use std::collections::BTreeMap;

use crate::bus::SysReg;

/// A place that the model does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// No block at this address (rounded down to 4 KiB).
    Block(u64),
    /// A register of a known block.
    Register(u64),
    /// A system register of the core.
    System(SysReg),
}

/// First use of an unknown place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What was touched.
    pub place: Place,
    /// Name of the block, if it is known.
    pub block: Option<&'static str>,
    /// Value that was written, or `None` for a read.
    pub written: Option<u64>,
    /// Address of the instruction.
    pub pc: u64,
    /// Exception level.
    pub el: u8,
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place {
            Place::Block(address) => write!(f, "unknown block at {address:#x}")?,
            Place::Register(address) => {
                write!(f, "unknown register {address:#x} of {}", self.block.unwrap_or("an unknown block"))?;
            }
            Place::System(register) => write!(f, "unknown system register {register:?}")?,
        }
        match self.written {
            Some(value) => write!(f, ", written {value:#x}")?,
            None => write!(f, ", read")?,
        }
        write!(f, " by EL{} at {:#x}", self.el, self.pc)
    }
}

/// Reports kept; a guest that sprays addresses ends in this many lines.
const LIMIT: usize = 4096;

/// All reports of a run.
#[derive(Debug, Default)]
pub struct Reports {
    seen: BTreeMap<Place, Report>,
}

impl Reports {
    /// Notes a use; the first one of each place stays. True when it is new.
    pub fn note(&mut self, report: Report) -> bool {
        if self.seen.len() >= LIMIT || self.seen.contains_key(&report.place) {
            return false;
        }
        self.seen.insert(report.place, report);
        true
    }

    /// All, by place.
    pub fn all(&self) -> impl Iterator<Item = &Report> {
        self.seen.values()
    }
}
