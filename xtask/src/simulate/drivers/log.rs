// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What the kernel's log says about devices and drivers. Pure: lines in, facts out.
//!
//! With `initcall_debug` the driver core reports every call of a driver's `probe` (Linux `drivers/base/dd.c`,
//! `really_probe_debug`); without, only failures are there (`really_probe`: "probe with driver … failed").

use std::collections::BTreeMap;

/// What the kernel is told to log, on top of the image's own arguments.
pub const ARGUMENTS: &str = "initcall_debug ignore_loglevel";

/// `EPROBE_DEFER`, `ENODEV`, `ENXIO` (Linux `include/linux/errno.h`, `include/uapi/asm-generic/errno-base.h`).
const PROBE_DEFER: u32 = 517;
const NO_DEVICE: [u32; 2] = [19, 6];
/// Names of the errors that probes return.
const NAMES: [(u32, &str); 12] = [
    (1, "EPERM"),
    (2, "ENOENT"),
    (5, "EIO"),
    (6, "ENXIO"),
    (12, "ENOMEM"),
    (16, "EBUSY"),
    (17, "EEXIST"),
    (19, "ENODEV"),
    (22, "EINVAL"),
    (110, "ETIMEDOUT"),
    (121, "EREMOTEIO"),
    (PROBE_DEFER, "EPROBE_DEFER"),
];

/// How a device stands with its drivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A driver has it.
    Bound,
    /// Its driver waits for another device.
    Deferred,
    /// Its driver says that it is not there, or not for it: the driver core does not count this as an error.
    Declined(u32),
    /// Its driver failed with this error number.
    Failed(u32),
}

impl Outcome {
    fn of(returned: i64) -> Outcome {
        // The driver core gives a driver's own errors positive, those from before its call negative.
        match u32::try_from(returned.unsigned_abs()).unwrap_or(u32::MAX) {
            0 => Outcome::Bound,
            PROBE_DEFER => Outcome::Deferred,
            number if NO_DEVICE.contains(&number) => Outcome::Declined(number),
            number => Outcome::Failed(number),
        }
    }
}

/// `EINVAL (22)`.
pub fn error_name(number: u32) -> String {
    let name = NAMES.iter().find(|(n, _)| *n == number).map(|(_, name)| *name);
    name.map_or_else(|| format!("error {number}"), |name| format!("{name} ({number})"))
}

/// What the log says of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// How it stands after the last probe.
    pub outcome: Outcome,
    /// How often a driver was called, or would have been, had its suppliers been there.
    pub probes: u32,
    /// The last thing that its driver said about it before a probe that did not bind it.
    pub reason: Option<String>,
}

/// What a log says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Log {
    /// By the name that the device has in the kernel.
    pub probes: BTreeMap<String, Probe>,
    /// Whether every probe is reported, or only failures are.
    pub complete: bool,
}

/// Reads a log; lines that are not the kernel's are passed over.
pub fn read<'a>(lines: impl IntoIterator<Item = &'a str>) -> Log {
    let mut log = Log::default();
    // The last words about a device, until its next probe ends.
    let mut said: BTreeMap<String, String> = BTreeMap::new();
    for line in lines {
        let Some(message) = message(line) else { continue };
        if let Some((device, returned)) = reported(message) {
            log.complete = true;
            log.note(device, Outcome::of(returned), said.remove(device));
        } else if let Some((device, error)) = failed(message) {
            let outcome = Outcome::of(error);
            // The report of the same probe follows, if there are reports, and needs the words.
            if !log.complete {
                let reason = said.remove(device);
                log.note(device, outcome, reason);
            }
        } else if let Some((device, text)) = about(message) {
            said.insert(device.to_owned(), text.to_owned());
        }
    }
    log
}

impl Log {
    fn note(&mut self, device: &str, outcome: Outcome, reason: Option<String>) {
        let new = Probe { outcome, probes: 0, reason: None };
        let probe = self.probes.entry(device.to_owned()).or_insert(new);
        probe.probes += 1;
        // Once bound, another driver's refusal changes nothing.
        if probe.probes == 1 || probe.outcome != Outcome::Bound {
            probe.outcome = outcome;
            probe.reason = reason.filter(|_| outcome != Outcome::Bound);
        }
    }
}

/// What follows the time stamp: `[   37.591601] `.
fn message(line: &str) -> Option<&str> {
    let (stamp, message) = line.trim_start().strip_prefix('[')?.split_once(']')?;
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (seconds, fraction) = stamp.trim().split_once('.')?;
    (number(seconds) && number(fraction)).then(|| message.trim())
}

/// `probe of fc000000.usb returned 22 after 4510 usecs`.
fn reported(message: &str) -> Option<(&str, i64)> {
    let (device, rest) = message.strip_prefix("probe of ")?.split_once(" returned ")?;
    Some((device, rest.split(' ').next()?.parse().ok()?))
}

/// `dwc3 fc000000.usb: probe with driver dwc3 failed with error -22`.
fn failed(message: &str) -> Option<(&str, i64)> {
    let (device, text) = about(message)?;
    let (_, error) = text.strip_prefix("probe with driver ")?.split_once(" failed with error ")?;
    Some((device, error.trim().parse().ok()?))
}

/// A driver about a device: `DRIVER DEVICE: text`. Drivers have one word, and devices have no blanks.
fn about(message: &str) -> Option<(&str, &str)> {
    let (head, text) = message.split_once(": ")?;
    let (driver, device) = head.split_once(' ')?;
    (!driver.is_empty() && !device.is_empty() && !device.contains(' ')).then_some((device, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "
        [   37.172506] probe of fd58a000.syscon returned 19 after 50 usecs
        [   37.498922] arm-smmu-v3 fc900000.iommu: no translation support!
        [   37.499025] probe of fc900000.iommu returned 6 after 2851 usecs
        [   37.564218] probe of spi2.0 returned -517 after 9 usecs
        [   37.591515] dwc3 fc000000.usb: Controller does not support host mode.
        [   37.591601] dwc3 fc000000.usb: probe with driver dwc3 failed with error -22
        [   37.591769] probe of fc000000.usb returned 22 after 4510 usecs
        [   37.669363] probe of fe2c0000.mmc returned -517 after 23 usecs
        [   37.700000] probe of spi2.0 returned 0 after 100 usecs
        [   37.700001] probe of spi2.0 returned 19 after 1 usecs
        U-Boot said: probe of x returned 0 after 1 usecs";

    #[test]
    fn the_last_probe_counts_and_a_driver_that_has_a_device_keeps_it() {
        let log = read(LOG.lines());
        let outcome = |name: &str| log.probes[name].outcome;
        assert!(log.complete);
        assert_eq!(outcome("fd58a000.syscon"), Outcome::Declined(19));
        assert_eq!(outcome("fe2c0000.mmc"), Outcome::Deferred);
        assert_eq!((outcome("spi2.0"), log.probes["spi2.0"].probes), (Outcome::Bound, 3));
        assert_eq!(outcome("fc000000.usb"), Outcome::Failed(22));
        assert_eq!(log.probes["fc000000.usb"].probes, 1, "the failure's two lines are one probe");
        assert_eq!(log.probes.len(), 5, "what is not the kernel's does not count");
    }

    #[test]
    fn a_failure_has_its_drivers_words() {
        let log = read(LOG.lines());
        let iommu = log.probes["fc900000.iommu"].reason.as_deref();
        assert_eq!(iommu, Some("no translation support!"));
        assert_eq!(log.probes["spi2.0"].reason, None);
    }

    #[test]
    fn without_reports_failures_are_still_seen_and_the_rest_is_not_claimed() {
        let few = LOG.lines().filter(|line| !line.contains("probe of "));
        let log = read(few);
        assert!(!log.complete);
        assert_eq!(log.probes.len(), 1);
        let usb = &log.probes["fc000000.usb"];
        assert_eq!(usb.outcome, Outcome::Failed(22));
        assert_eq!(usb.reason.as_deref(), Some("Controller does not support host mode."));
    }

    #[test]
    fn errors_have_names() {
        assert_eq!(error_name(22), "EINVAL (22)");
        assert_eq!(error_name(4000), "error 4000");
    }
}
