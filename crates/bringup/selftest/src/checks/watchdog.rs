// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Watchdogs, looked at only: opening one would start it. The mode `selftest=watchdog` proves that it bites.

use crate::machine::Machine;
use crate::report::Report;

const CLASS: &str = "/sys/class/watchdog";

/// One line per watchdog.
pub fn check(machine: &Machine<'_>, report: &mut Report<'_>) {
    let watchdogs = machine.list(CLASS);
    if watchdogs.is_empty() {
        report.skip("watchdog", "none");
    }
    for dog in watchdogs {
        let value = |file: &str| machine.read(format!("{CLASS}/{dog}/{file}")).filter(|v| !v.is_empty());
        match (value("identity"), value("timeout"), value("state")) {
            (Some(identity), Some(timeout), state) => {
                let state = state.unwrap_or_else(|| "state unknown".into());
                report.pass(&dog, format!("{identity}, timeout {timeout} s, {state}"));
            }
            _ => report.fail(&dog, "gives no identity and timeout in sysfs (kernel option `WATCHDOG_SYSFS`)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn watchdogs() {
        let f = Fixture::new();
        assert_eq!(f.lines(check), ["watchdog skip none"]);
        f.file("/sys/class/watchdog/watchdog0/dev", "10:130\n");
        assert_eq!(
            f.lines(check),
            ["watchdog0 fail gives no identity and timeout in sysfs (kernel option `WATCHDOG_SYSFS`)"]
        );
        f.file("/sys/class/watchdog/watchdog0/identity", "Synopsys DesignWare Watchdog\n");
        f.file("/sys/class/watchdog/watchdog0/timeout", "44\n");
        f.file("/sys/class/watchdog/watchdog0/state", "inactive\n");
        assert_eq!(f.lines(check), ["watchdog0 pass Synopsys DesignWare Watchdog, timeout 44 s, inactive"]);
    }
}
