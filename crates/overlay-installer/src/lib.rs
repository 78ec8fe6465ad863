// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The overlay's installer: the program that Talos's imager and installer run for this board.
//!
//! Two verbs, YAML on standard input: `get-options` answers with kernel arguments and the table's offset,
//! `install` writes U-Boot at byte 32768 of the disk and the device tree to the ESP. Contract:
//! `talos/pkg/machinery/overlay` and `pkg/imager/overlay/executor`, the same from v1.7 to v1.14.
//!
//! Everything is checked first; then the two writes are done, each of them only where something differs. It
//! must not touch another byte of the disk, must not lock it (Talos's installer holds the lock while it
//! waits for us), and must print nothing but the answer on standard output.

mod artifacts;
mod board;
mod disk;
mod esp;
mod install;
mod options;
mod refusal;
mod reply;
mod sums;
mod yaml;

pub use board::Board;
pub use disk::Places;
pub use install::{Request, install};
pub use options::{Bootloader, Options};
pub use refusal::Refusal;
pub use reply::Reply;
pub use yaml::{MAX_INPUT_BYTES, Value};

/// The answer to `get-options` for what came on standard input: the bare map of extra options.
///
/// `note` gets what a reader of the log should know.
///
/// # Errors
/// The input is not such a map, or an option has a value that cannot be used.
pub fn get_options(input: &[u8], note: &mut dyn FnMut(&str)) -> Result<Reply, Refusal> {
    let board = Board::of_this_overlay()?;
    let map = yaml::mapping(input, "the extra options")?;
    let options = Options::read(&map, note)?;
    Ok(Reply::new(&board, &options))
}
