// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The NanoPi M6 device tree blob, compiled against the kernel's SoC files.
//!
//! The library is empty on purpose: the crate is a stage. Its recipe is `stage.rs`, its result lies in the
//! store, and `build.rs` publishes key, folder and roles to dependants.
