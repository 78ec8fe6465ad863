// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The project's verbs: one module per verb, one `run` each; owns the screen.

fn main() {}
