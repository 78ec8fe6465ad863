// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Watches a board's serial console.
//!
//! [`Watch`] is a state machine without port, clock or screen: bytes and times go in, what to show and which rate to
//! set come out. [`Port`] is the device. [`run`] puts them together with a keyboard.

mod port;
mod session;
mod watch;

pub use port::{Port, candidates};
pub use session::{ESCAPE, Ends, run};
pub use watch::{Action, BAUDS, Settings, Watch};
