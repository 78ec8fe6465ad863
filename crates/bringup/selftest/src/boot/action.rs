// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What happens after the report: `selftest=` on the kernel's command line.

/// The ways to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// A shell on the console.
    Shell,
    /// Restart.
    Reboot,
    /// Power off.
    PowerOff,
    /// Start the watchdog and leave it alone: it must reset the machine.
    Watchdog,
}

impl Action {
    /// The last `selftest=` counts, as with the kernel's own arguments; none means a shell.
    ///
    /// # Errors
    /// The value, when it is none of the four.
    pub fn from_command_line(line: &str) -> Result<Self, &str> {
        match line.split_whitespace().rev().find_map(|word| word.strip_prefix("selftest=")) {
            None | Some("shell") => Ok(Action::Shell),
            Some("reboot") => Ok(Action::Reboot),
            Some("poweroff") => Ok(Action::PowerOff),
            Some("watchdog") => Ok(Action::Watchdog),
            Some(other) => Err(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_counts() {
        for (line, action) in [
            ("console=ttyS2", Ok(Action::Shell)),
            ("selftest=reboot quiet selftest=poweroff", Ok(Action::PowerOff)),
            ("a selftest=watchdog", Ok(Action::Watchdog)),
            ("selftest=reboot", Ok(Action::Reboot)),
            ("selftest=shell", Ok(Action::Shell)),
            ("selftest=", Err("")),
            ("myselftest=reboot", Ok(Action::Shell)),
            ("selftest=Reboot", Err("Reboot")),
        ] {
            assert_eq!(Action::from_command_line(line), action, "{line}");
        }
    }
}
