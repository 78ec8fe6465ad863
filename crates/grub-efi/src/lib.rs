// SPDX-License-Identifier: Apache-2.0 OR MIT
//! GRUB for arm64 EFI as Talos uses it.
//!
//! The library is empty on purpose: the crate is a stage. Its recipe is `stage.rs`, its result lies in the
//! store, and `build.rs` publishes key, folder and roles to dependants.
