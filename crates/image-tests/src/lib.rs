// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Checks over the built artifacts, driven by the board file.
//!
//! Each check is a function that a test calls twice: on the artifact, and on a damaged copy of it, which the
//! check must refuse.

pub mod artifacts;
pub mod files;
pub mod kernel;
pub mod loader;
pub mod modules;
pub mod mutate;
pub mod paths;
pub mod schema;
pub mod table;
