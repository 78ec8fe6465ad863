// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The build engine behind every stage crate and xtask.
//!
//! Only [`fetch`] opens a socket; only [`run`] starts a process.

pub mod board;
pub mod check;
pub mod device_tree;
pub mod failure;
pub mod fetch;
pub mod golang;
pub mod kconfig;
pub mod key;
pub mod launcher;
pub mod manifest;
pub mod mix;
pub mod python;
pub mod run;
pub mod stage;
pub mod status;
pub mod store;
pub mod toolchain;
pub mod trace;
pub mod u_boot;
pub mod unpack;
pub mod warm;

pub use failure::{Context, Failure, Result};
pub use stage::stage_main;
