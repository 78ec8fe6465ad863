// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `kernel` of `image_inspect::fuzz`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| image_inspect::fuzz::run("kernel", data));
