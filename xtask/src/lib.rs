// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The project's verbs as a library: one module per verb, with its arguments and one `run`.
//!
//! `main.rs` parses the command line and turns failures into text; nothing else belongs there. No verb
//! depends on a stage crate: [`stages`] runs cargo and reads where the results are.

pub mod board_binary;
pub mod bump;
pub mod completions;
pub mod conformance;
pub mod context;
pub mod diagnose;
pub mod doctor;
pub mod dt;
pub mod elf;
pub mod exit;
pub mod fetch;
pub mod flash;
pub mod host;
pub mod image;
pub mod inspect;
pub mod installer;
pub mod interrupt;
pub mod kconfig;
pub mod machine_config;
pub mod monitor;
pub mod overlay;
pub mod qemu;
pub mod recover;
pub mod remote;
pub mod screen;
pub mod setup;
pub mod sign;
pub mod simulate;
pub mod stages;
pub mod store;
pub mod talk;
pub mod test;
pub mod userland;
pub mod verify;
pub mod why;
