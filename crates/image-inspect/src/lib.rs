// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What is in an image or on a medium of a Rockchip board, byte by byte, and what is wrong with it.
//!
//! [`inspect()`] looks at any [`source::Source`] and gives a [`report::Report`]; [`text`], [`html`] and serde's JSON show it.
//! [`summary()`] is the one line that a flasher shows before it overwrites a medium, [`verify`] compares with an image map.
//!
//! Images come from anywhere: whatever they say about their own lengths is held against what is there, and ends in a
//! finding. This crate writes nothing but a nameless temporary file, starts no process and opens no socket.

mod boot;
mod claims;
mod esp;
mod filesystem;
pub mod finding;
mod fit;
pub mod fuzz;
pub mod html;
mod initramfs;
mod kernel;
mod loader;
mod look;
mod meta;
pub mod open;
mod pe;
pub mod report;
mod shape;
pub mod source;
mod summary;
mod table;
pub mod text;
mod uki;
pub mod verify;

pub use look::{Expect, Inspector, Options, inspect};
pub use summary::summary;
