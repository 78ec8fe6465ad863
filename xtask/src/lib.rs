// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The project's verbs as a library: one module per verb, with its arguments and one `run`.
//!
//! `main.rs` parses the command line and turns failures into text; nothing else belongs there. No verb
//! depends on a stage crate: `stages` runs cargo and reads where the results are.
//!
//! Nothing is built but on Linux. What works with an image that is there compiles on macOS, too: `inspect`, `flash`,
//! `verify`, `simulate`, `monitor`, `diagnose`, `recover`, `machine-config`.

#[cfg(target_os = "linux")]
pub mod board_binary;
#[cfg(target_os = "linux")]
pub mod bump;
pub mod completions;
#[cfg(target_os = "linux")]
pub mod conformance;
pub mod console;
pub mod context;
pub mod diagnose;
#[cfg(target_os = "linux")]
pub mod doctor;
#[cfg(target_os = "linux")]
pub mod dt;
pub mod elf;
pub mod exit;
#[cfg(target_os = "linux")]
pub mod fetch;
pub mod flash;
#[cfg(target_os = "linux")]
pub mod host;
#[cfg(target_os = "linux")]
pub mod image;
pub mod inspect;
#[cfg(target_os = "linux")]
pub mod installer;
pub mod interrupt;
#[cfg(target_os = "linux")]
pub mod kconfig;
pub mod machine_config;
pub mod monitor;
#[cfg(target_os = "linux")]
pub mod overlay;
#[cfg(target_os = "linux")]
pub mod qemu;
pub mod recover;
#[cfg(target_os = "linux")]
pub mod remote;
pub mod screen;
mod selftest_lines;
#[cfg(target_os = "linux")]
pub mod setup;
#[cfg(target_os = "linux")]
pub mod sign;
pub mod signed;
pub mod simulate;
#[cfg(target_os = "linux")]
pub mod stages;
#[cfg(target_os = "linux")]
pub mod store;
pub mod talk;
#[cfg(target_os = "linux")]
pub mod test;
#[cfg(target_os = "linux")]
pub mod userland;
pub mod verify;
#[cfg(target_os = "linux")]
pub mod why;
