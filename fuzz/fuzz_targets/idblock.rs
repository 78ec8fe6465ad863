// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `idblock` of `image_inspect::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| image_inspect::fuzz::run("idblock", data));
