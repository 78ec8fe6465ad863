// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask sign` and `verify` as users run them, against made-up kernels, and against the kernel's own tool.

mod oracle;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod support;
mod terminal;
mod verbs;
