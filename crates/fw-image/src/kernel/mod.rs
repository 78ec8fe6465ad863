// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The arm64 kernel: its raw `Image`, what can be read out of it, the certificate slot in it, and the
//! EFI zboot wrap around it.
//!
//! Nothing here compiles or links: [`zboot::plan`] says which processes have to run, `xtask` runs them.

pub mod drivers;
pub mod ikconfig;
pub mod image;
pub mod slot;
pub mod symbols;
pub mod zboot;
