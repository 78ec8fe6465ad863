// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Rockchip's DDR initialisation blob for RK3588, selected and verified.
//!
//! The library is empty on purpose: the crate is a stage. Its recipe is `stage.rs`, its result lies in the
//! store, and `build.rs` publishes key, folder and roles to dependants.
