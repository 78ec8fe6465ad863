// SPDX-License-Identifier: Apache-2.0 OR MIT
//! PCIe ports: does a link stand, and as fast as both ends can.

use crate::machine::Machine;
use crate::report::Report;

const DEVICES: &str = "/sys/bus/pci/devices";
/// PCI class of a PCI-to-PCI bridge, which a PCIe port is.
const BRIDGE_CLASS: &str = "0x0604";

/// Speed in tenths of GT/s and width in lanes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Link {
    speed: u32,
    width: u32,
}

impl Link {
    /// Reads `current_link_*` or `max_link_*` of a device; `None` when it has no PCIe capability.
    fn read(machine: &Machine<'_>, device: &str, which: &str) -> Option<Self> {
        let speed = machine.read(format!("{DEVICES}/{device}/{which}_link_speed"))?;
        let width = machine.number(format!("{DEVICES}/{device}/{which}_link_width"))?;
        Some(Link { speed: parse_speed(&speed), width })
    }

    fn lower(self, other: Link) -> Link {
        Link { speed: self.speed.min(other.speed), width: self.width.min(other.width) }
    }

    fn text(self) -> String {
        format!("{}.{} GT/s x{}", self.speed / 10, self.speed % 10, self.width)
    }
}

/// The link of one device, for other checks' details.
pub fn link_text(machine: &Machine<'_>, device: &str) -> Option<String> {
    Link::read(machine, device, "current").filter(|l| l.width > 0).map(Link::text)
}

/// One line per port.
pub fn check(machine: &Machine<'_>, report: &mut Report<'_>) {
    let devices = machine.list(DEVICES);
    let is_bridge = |d: &str| {
        machine.read(format!("{DEVICES}/{d}/class")).is_some_and(|class| class.starts_with(BRIDGE_CLASS))
    };
    let mut ports = 0;
    for port in devices.iter().filter(|d| is_bridge(d)) {
        let Some(current) = Link::read(machine, port, "current") else { continue };
        ports += 1;
        let name = format!("pcie.{port}");
        let behind = machine.list(format!("{DEVICES}/{port}")).into_iter().find(|n| is_address(n));
        let Some(behind) = behind else {
            report.skip(&name, "nothing behind this port");
            continue;
        };
        let max = Link::read(machine, port, "max").zip(Link::read(machine, &behind, "max"));
        match max.map(|(port, device)| port.lower(device)) {
            Some(possible) if current.speed < possible.speed || current.width < possible.width => report
                .fail(&name, format!("{} to {behind}, both ends can {}", current.text(), possible.text())),
            _ => report.pass(&name, format!("{} to {behind}", current.text())),
        }
    }
    if ports == 0 {
        report.skip("pcie", "no ports");
    }
}

/// `8.0 GT/s PCIe` in tenths; 0 for `Unknown`.
fn parse_speed(text: &str) -> u32 {
    let number = text.split_whitespace().next().unwrap_or_default();
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    whole.parse::<u32>().unwrap_or(0) * 10 + tenth.parse::<u32>().unwrap_or(0)
}

/// Whether a name is a PCI address such as `0004:41:00.0`.
pub fn is_address(name: &str) -> bool {
    let shape: String = name.chars().map(|c| if c.is_ascii_hexdigit() { 'h' } else { c }).collect();
    shape == "hhhh:hh:hh.h"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    fn device(f: &Fixture, address: &str, class: &str, current: (&str, &str), max: (&str, &str)) {
        for (file, text) in [
            ("class", class),
            ("current_link_speed", current.0),
            ("current_link_width", current.1),
            ("max_link_speed", max.0),
            ("max_link_width", max.1),
        ] {
            f.file(&format!("/sys/bus/pci/devices/{address}/{file}"), text);
        }
    }

    #[test]
    fn speeds_and_addresses() {
        assert_eq!(parse_speed("5.0 GT/s PCIe"), 50);
        assert_eq!(parse_speed("16.0 GT/s PCIe"), 160);
        assert_eq!(parse_speed("Unknown"), 0);
        assert!(is_address("0004:41:00.0"));
        assert!(!is_address("0004:41:00.0:pcie001"));
        assert!(!is_address("power"));
    }

    #[test]
    fn a_port_runs_as_fast_as_both_ends() {
        let f = Fixture::new();
        assert_eq!(f.lines(check), ["pcie skip no ports"]);
        device(&f, "0004:40:00.0", "0x060400\n", ("5.0 GT/s PCIe\n", "1\n"), ("5.0 GT/s PCIe\n", "1\n"));
        assert_eq!(f.lines(check), ["pcie.0004:40:00.0 skip nothing behind this port"]);
        f.file("/sys/bus/pci/devices/0004:40:00.0/0004:41:00.0/x", "");
        device(&f, "0004:41:00.0", "0x010802\n", ("5.0 GT/s PCIe\n", "1\n"), ("16.0 GT/s PCIe\n", "4\n"));
        assert_eq!(f.lines(check), ["pcie.0004:40:00.0 pass 5.0 GT/s x1 to 0004:41:00.0"]);
        assert_eq!(link_text(&f.machine(), "0004:41:00.0").as_deref(), Some("5.0 GT/s x1"));
        device(&f, "0004:40:00.0", "0x060400\n", ("2.5 GT/s PCIe\n", "1\n"), ("5.0 GT/s PCIe\n", "1\n"));
        assert_eq!(
            f.lines(check),
            ["pcie.0004:40:00.0 fail 2.5 GT/s x1 to 0004:41:00.0, both ends can 5.0 GT/s x1"]
        );
    }
}
