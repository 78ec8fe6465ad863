// SPDX-License-Identifier: Apache-2.0 OR MIT
//! U-Boot for the NanoPi M6: idblock, SPL, FIT.
//!
//! The library is empty on purpose: the crate is a stage. Its recipe is `stage.rs`, its result lies in the
//! store, and `build.rs` publishes key, folder and roles to dependants.
