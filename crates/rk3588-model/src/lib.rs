// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A model of the RK3588 that executes the bytes of a disk image from the boot ROM on.
//!
//! [`cpu`] is one A64 core, [`ram`] is sparse memory, [`bus`] is what the core sees of everything else: [`soc`],
//! with its [`devices`] and media ([`storage`]), each special [`behaviour`] of which can be switched off. Nothing
//! here opens a file, reads a clock or asks for random numbers: the same image gives the same instruction count.
//! What a pass means, and what it never means, is said in `docs/soc-model.md`.

pub mod behaviour;
pub mod bootrom;
pub mod bus;
pub mod console;
pub mod cpu;
pub mod devices;
pub mod dram;
pub mod events;
pub mod machine;
pub mod ram;
pub mod soc;
pub mod storage;
