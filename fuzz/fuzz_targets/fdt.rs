// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `fdt` of `image_inspect::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| image_inspect::fuzz::run("fdt", data));
