// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The bring-up userland: first init, second init and self-test in one static program.
//!
//! What it may rely on: the kernel, sysfs and the few files that the composition puts into
//! `/usr/share/selftest`. It must not need a C library's services, a network or a writable root, and a
//! check must not change the machine beyond loading modules, raising network links, and those of Talos's
//! kernel settings that cannot be set back. On a disk it writes one file, and only where such a file is already:
//! [`publish::esp`].

pub mod boot;
pub mod checks;
pub mod features;
pub mod led;
pub mod luks2;
pub mod machine;
pub mod mods;
pub mod publish;
pub mod report;
pub mod role;
pub mod sys;

#[cfg(test)]
mod testing;
