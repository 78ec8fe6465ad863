// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a build machine needs: the table of tools, how each is found, and which packages bring it.
//!
//! Looks only; [`crate::setup`] is the module that changes the machine.

pub mod apt;
pub mod distro;
pub mod probe;
pub mod rust;
pub mod tools;

pub use distro::Distro;
pub use probe::{Finding, Machine};
pub use rust::{RustRoute, rust_amd64_target, rust_board_target};
