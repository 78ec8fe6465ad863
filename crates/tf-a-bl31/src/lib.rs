// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Trusted Firmware-A BL31 (EL3 firmware) for RK3588.
//!
//! The library is empty on purpose: the crate is a stage. Its recipe is `stage.rs`, its result lies in the
//! store, and `build.rs` publishes key, folder and roles to dependants.
