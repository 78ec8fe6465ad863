// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Temperatures.

use crate::machine::Machine;
use crate::report::Report;

const ZONES: &str = "/sys/class/thermal";

/// What a running board can show, in thousandths of a degree Celsius: an unpowered or uncalibrated sensor
/// reads far outside, and RK3588 shuts itself down at 120 degrees.
const SANE_MILLI_C: std::ops::RangeInclusive<i64> = -20_000..=115_000;

/// One line per thermal zone.
pub fn check(machine: &Machine<'_>, report: &mut Report<'_>) {
    let zones: Vec<String> =
        machine.list(ZONES).into_iter().filter(|n| n.starts_with("thermal_zone")).collect();
    if zones.is_empty() {
        report.skip("thermal", "no zones");
    }
    for zone in zones {
        let kind = machine.read(format!("{ZONES}/{zone}/type")).unwrap_or_else(|| zone.clone());
        let name = format!("thermal.{kind}");
        match machine.number::<i64>(format!("{ZONES}/{zone}/temp")) {
            Some(t) if SANE_MILLI_C.contains(&t) => report.pass(&name, degrees(t)),
            Some(t) => report.fail(&name, format!("{} cannot be", degrees(t))),
            None => report.fail(&name, "the sensor gives no value"),
        }
    }
}

fn degrees(milli: i64) -> String {
    let sign = if milli < 0 { "-" } else { "" };
    format!("{sign}{}.{} C", milli.abs() / 1000, milli.abs() % 1000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn zones() {
        let f = Fixture::new();
        f.file("/sys/class/thermal/cooling_device0/type", "fan\n");
        assert_eq!(f.lines(check), ["thermal skip no zones"]);
        f.file("/sys/class/thermal/thermal_zone0/type", "package-thermal\n");
        f.file("/sys/class/thermal/thermal_zone0/temp", "46230\n");
        f.file("/sys/class/thermal/thermal_zone1/type", "gpu-thermal\n");
        f.file("/sys/class/thermal/thermal_zone1/temp", "-273000\n");
        f.file("/sys/class/thermal/thermal_zone2/type", "npu-thermal\n");
        assert_eq!(
            f.lines(check),
            [
                "thermal.package-thermal pass 46.2 C",
                "thermal.gpu-thermal fail -273.0 C cannot be",
                "thermal.npu-thermal fail the sensor gives no value"
            ]
        );
    }
}
