// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The exit codes of xtask, in one place.

use std::process::ExitCode;

/// How a verb ended. A [`fw_build::Failure`] ends with the code of [`Exit::Failed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done (0).
    Done,
    /// Something failed, and the verb has already said what (1).
    Failed,
    /// The command line made no sense (2, as clap uses it).
    Usage,
    /// An image exists but must not be flashed (3).
    DoNotFlash,
}

impl Exit {
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::DoNotFlash => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_readme() {
        let all = [Exit::Done, Exit::Failed, Exit::Usage, Exit::DoNotFlash];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3]);
    }
}
