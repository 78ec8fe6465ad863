// SPDX-License-Identifier: Apache-2.0 OR MIT
//! U-Boot for the SPI NOR flash of a NanoPi M6 without eMMC.
//!
//! The library is empty on purpose: the crate is a stage. Its recipe is that of `u-boot-nanopi-m6`, its result lies in the
//! store, and `build.rs` publishes key, folder and roles to dependants.
