// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The build engine behind every stage crate and xtask.
//!
//! Only [`fetch`] opens a socket; only [`run`] starts a process.

pub mod failure;

pub use failure::{Context, Failure, Result};
