// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The overlay contract, on files: what `install` writes and what it refuses.

mod install;
mod refused;
mod support;
