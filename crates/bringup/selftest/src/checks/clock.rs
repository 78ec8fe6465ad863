// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Real-time clocks: they answer, and their oscillator runs.

use std::io::Error;
use std::time::Duration;

use rustix::io::Errno;

use crate::machine::{Machine, RtcTime};
use crate::report::Report;

const CLASS: &str = "/sys/class/rtc";
/// A running clock shows another second within one; the rest is for slow buses.
const LIMIT: Duration = Duration::from_millis(1500);
/// Time between two reads.
const POLL: Duration = Duration::from_millis(100);

/// One line per clock.
pub fn check(machine: &Machine<'_>, report: &mut Report<'_>) {
    let clocks: Vec<String> = machine.list(CLASS);
    if clocks.is_empty() {
        report.skip("rtc", "none");
    }
    for clock in clocks {
        let driver = machine.read(format!("{CLASS}/{clock}/name")).unwrap_or_else(|| "unknown".into());
        let device = machine.path(format!("/dev/{clock}"));
        let read = || machine.ops.read_rtc(&device);
        match read() {
            Ok(first) => {
                if ticks(machine, first, read) {
                    report.pass(&clock, format!("{}, {driver}", text(&first)));
                } else {
                    report.fail(&clock, format!("stands still at {}, {driver}", text(&first)));
                }
            }
            // The chip answered: it knows that it was without power. A fact about the battery, which a
            // board may lack, and not about the clock.
            Err(Errno::INVAL) => report.skip(&clock, format!("has lost the time (battery), {driver}")),
            Err(Errno::NOENT) => {
                report
                    .fail(&clock, format!("has no `/dev/{clock}` (kernel option `RTC_INTF_DEV`), {driver}"));
            }
            Err(errno) => report.fail(&clock, format!("{}, {driver}", Error::from(errno))),
        }
    }
}

/// Whether the time changes within [`LIMIT`].
fn ticks(machine: &Machine<'_>, first: RtcTime, read: impl Fn() -> Result<RtcTime, Errno>) -> bool {
    let start = machine.ops.now();
    while machine.ops.now() - start < LIMIT {
        machine.ops.pause(POLL);
        if read().is_ok_and(|t| t != first) {
            return true;
        }
    }
    false
}

fn text(t: &RtcTime) -> String {
    let RtcTime { year, month, day, hour, minute, second } = t;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    const T: RtcTime = RtcTime { year: 2025, month: 1, day: 2, hour: 3, minute: 4, second: 5 };

    fn line(answers: &[Result<RtcTime, Errno>]) -> String {
        let f = Fixture::new();
        f.file("/sys/class/rtc/rtc0/name", "rtc-hym8563 6-0051\n");
        f.ops.rtc.borrow_mut().extend(answers);
        f.lines(check).remove(0)
    }

    #[test]
    fn a_clock_must_run() {
        let later = RtcTime { second: 6, ..T };
        assert_eq!(line(&[Ok(T), Ok(T), Ok(later)]), "rtc0 pass 2025-01-02T03:04:05Z, rtc-hym8563 6-0051");
        assert_eq!(line(&[Ok(T)]), "rtc0 fail stands still at 2025-01-02T03:04:05Z, rtc-hym8563 6-0051");
        assert_eq!(line(&[Err(Errno::INVAL)]), "rtc0 skip has lost the time (battery), rtc-hym8563 6-0051");
        assert_eq!(
            line(&[Err(Errno::NOENT)]),
            "rtc0 fail has no `/dev/rtc0` (kernel option `RTC_INTF_DEV`), rtc-hym8563 6-0051"
        );
        assert!(line(&[Err(Errno::IO)]).starts_with("rtc0 fail "));
        assert_eq!(Fixture::new().lines(check), ["rtc skip none"]);
    }
}
