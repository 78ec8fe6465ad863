// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads what a board says on its console: which stage of the boot chain was reached last, and which known
//! symptoms were seen, with their causes in the order in which they are worth testing.
//!
//! The knowledge is data (`rules.toml`): one rule a symptom, each with its source. The reader is fed in pieces,
//! as they come from a serial line, a log file or a model of the SoC, and keeps a bounded amount of memory.
//! This crate opens nothing, waits for nothing and prints nothing.

mod diagnosis;
mod lines;
mod rules;
mod scanner;
mod stage;

pub use diagnosis::{Diagnosis, Finding};
pub use rules::{Cause, Class, Error, Rule, Rules};
pub use scanner::{Event, Scanner};
pub use stage::Stage;
