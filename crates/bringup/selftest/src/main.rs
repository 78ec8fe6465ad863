// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The bring-up userland's init and self-test.

fn main() {}
