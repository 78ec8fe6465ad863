// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Lines to standard output and standard error that may have no reader: `| head` changes no verdict.

use std::fmt::Arguments;
use std::io::Write as _;

/// A line of data, to standard output.
pub fn data(line: Arguments<'_>) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// A line of talk, to standard error.
pub fn talk(line: Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}
