// SPDX-License-Identifier: Apache-2.0 OR MIT
//! CPUs: all on line, and their frequency scaling.

use crate::machine::Machine;
use crate::report::Report;

const CPU: &str = "/sys/devices/system/cpu";

/// Every CPU that the firmware describes must be on line: a missing cluster means a secondary start failed.
pub fn online(machine: &Machine<'_>, report: &mut Report<'_>) {
    let count = |file: &str| machine.read(format!("{CPU}/{file}")).as_deref().and_then(count_of_list);
    match (count("online"), count("present")) {
        (Some(online), Some(present)) if online == present => report.pass("cpus", format!("{online} online")),
        (Some(online), Some(present)) => report.fail("cpus", format!("{online} online of {present} present")),
        _ => report.fail("cpus", format!("`{CPU}/online` or `present` cannot be read")),
    }
}

/// One line per frequency policy (a cluster).
pub fn frequency(machine: &Machine<'_>, report: &mut Report<'_>) {
    let dir = format!("{CPU}/cpufreq");
    let policies: Vec<String> = machine.list(&dir).into_iter().filter(|n| n.starts_with("policy")).collect();
    if policies.is_empty() {
        report.skip("cpufreq", "no policies");
    }
    for policy in policies {
        let name = format!("cpufreq.{policy}");
        let value = |file: &str| machine.read(format!("{dir}/{policy}/{file}")).filter(|v| !v.is_empty());
        let mhz = |file: &str| value(file).and_then(|v| v.parse::<u64>().ok()).map(|khz| khz / 1000);
        let driver = value("scaling_driver").unwrap_or_else(|| "unknown".into());
        let cpus = value("related_cpus").unwrap_or_else(|| "unknown".into());
        match (
            value("scaling_governor"),
            mhz("cpuinfo_min_freq"),
            mhz("cpuinfo_max_freq"),
            mhz("scaling_cur_freq"),
        ) {
            (Some(governor), Some(min), Some(max), Some(now)) => report.pass(
                &name,
                format!(
                    "cpus {cpus}, governor {governor}, driver {driver}, {min} to {max} MHz, now {now} MHz"
                ),
            ),
            (None, ..) => report.fail(&name, "no governor"),
            _ => report.fail(&name, "a frequency cannot be read"),
        }
    }
}

/// Counts a kernel CPU list such as `0-3,6`; `None` when it is not one.
fn count_of_list(text: &str) -> Option<usize> {
    text.trim()
        .split(',')
        .map(|part| match part.split_once('-') {
            None => part.parse::<usize>().ok().map(|_| 1),
            Some((first, last)) => {
                let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
                last.checked_sub(first).map(|n| n + 1)
            }
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn cpu_lists() {
        assert_eq!(count_of_list("0-3,6\n"), Some(5));
        assert_eq!(count_of_list("0"), Some(1));
        assert_eq!(count_of_list("3-1"), None);
        assert_eq!(count_of_list(""), None);
    }

    #[test]
    fn a_cluster_that_stays_down_fails() {
        let f = Fixture::new();
        f.file("/sys/devices/system/cpu/present", "0-7\n");
        f.file("/sys/devices/system/cpu/online", "0-7\n");
        assert_eq!(f.lines(online), ["cpus pass 8 online"]);
        f.file("/sys/devices/system/cpu/online", "0-3\n");
        assert_eq!(f.lines(online), ["cpus fail 4 online of 8 present"]);
    }

    #[test]
    fn policies() {
        let f = Fixture::new();
        assert_eq!(f.lines(frequency), ["cpufreq skip no policies"]);
        let policy = "/sys/devices/system/cpu/cpufreq/policy4";
        for (file, text) in [
            ("scaling_driver", "cpufreq-dt\n"),
            ("related_cpus", "4 5\n"),
            ("scaling_governor", "schedutil\n"),
            ("cpuinfo_min_freq", "408000\n"),
            ("cpuinfo_max_freq", "2400000\n"),
            ("scaling_cur_freq", "1200000\n"),
        ] {
            f.file(&format!("{policy}/{file}"), text);
        }
        assert_eq!(
            f.lines(frequency),
            [
                "cpufreq.policy4 pass cpus 4 5, governor schedutil, driver cpufreq-dt, 408 to 2400 MHz, now 1200 MHz"
            ]
        );
        f.file(&format!("{policy}/scaling_cur_freq"), "<unknown>\n");
        assert_eq!(f.lines(frequency), ["cpufreq.policy4 fail a frequency cannot be read"]);
        f.file(&format!("{policy}/scaling_governor"), "\n");
        assert_eq!(f.lines(frequency), ["cpufreq.policy4 fail no governor"]);
    }
}
