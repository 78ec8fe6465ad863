// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Hand-overs between the stages of a boot, as the hardware sees them: no symbol and no console text is used.

/// A stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// SPL, at EL3, from the boot ROM.
    Spl,
    /// The secure firmware has started: it has read the register that asks for the warm reset.
    Bl31,
    /// The warm reset that it asked for.
    WarmReset,
    /// The first instruction below EL3: U-Boot proper.
    UBoot,
    /// The kernel runs at its own virtual addresses.
    Kernel,
}

impl Stage {
    /// Name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Spl => "spl",
            Self::Bl31 => "bl31",
            Self::WarmReset => "warm reset",
            Self::UBoot => "u-boot",
            Self::Kernel => "kernel",
        }
    }
}

/// A hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// What begins.
    pub stage: Stage,
    /// Instructions executed before it.
    pub instructions: u64,
    /// Where it begins.
    pub pc: u64,
    /// At which exception level.
    pub el: u8,
}
