// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Network links: carrier, speed, and where the MAC address comes from.

use std::io::Error;
use std::time::Duration;

use rustix::io::Errno;

use crate::machine::Machine;
use crate::publish::interfaces;
use crate::report::Report;

const CLASS: &str = "/sys/class/net";
/// Gigabit negotiation takes two to four seconds.
const CARRIER_TIME: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(100);

/// `NET_ADDR_RANDOM` of the kernel's `addr_assign_type` (`include/uapi/linux/netdevice.h`).
const ASSIGNED_RANDOM: u32 = 1;

/// A raised link.
pub struct Link {
    name: String,
    raised: Result<(), Errno>,
    at: Duration,
}

/// Raises every Ethernet interface with hardware behind it; speed and carrier exist only then.
pub fn raise(machine: &Machine<'_>) -> Vec<Link> {
    let names = interfaces::names(machine).into_iter();
    names.map(|name| Link { raised: machine.ops.raise_link(&name), at: machine.ops.now(), name }).collect()
}

/// One line per link that [`raise`] raised.
pub fn check(machine: &Machine<'_>, links: &[Link], report: &mut Report<'_>) {
    if links.is_empty() {
        report.skip("net", "no interfaces");
    }
    for link in links {
        let name = format!("net.{}", link.name);
        let value = |file: &str| machine.read(format!("{CLASS}/{}/{file}", link.name));
        let mac = value("address").unwrap_or_default();
        let assigned = value("addr_assign_type").and_then(|t| t.parse().ok());
        let kind = match MacKind::of(&mac, assigned) {
            Ok(kind) => kind,
            Err(reason) => {
                report.fail(&name, format!("MAC `{mac}`: {reason}"));
                continue;
            }
        };
        if let Err(errno) = link.raised {
            report.fail(&name, format!("cannot be raised: {}", Error::from(errno)));
            continue;
        }
        let carrier = wait_for_carrier(machine, link);
        let speed = match value("speed").and_then(|s| s.parse::<i64>().ok()) {
            Some(mbit) if mbit > 0 => format!("{mbit} Mbit/s"),
            _ => "speed unknown".into(),
        };
        let mac = format!("MAC {mac} {}", kind.text());
        match (kind, carrier) {
            (MacKind::Random, _) => {
                report.fail(&name, format!("{mac}: changes at each boot, the firmware handed over none"));
            }
            (_, true) => report.pass(&name, format!("carrier, {speed}, {mac}")),
            (_, false) => report.skip(&name, format!("no carrier (cable), {mac}")),
        }
    }
}

fn wait_for_carrier(machine: &Machine<'_>, link: &Link) -> bool {
    loop {
        if machine.number::<u32>(format!("{CLASS}/{}/carrier", link.name)) == Some(1) {
            return true;
        }
        if machine.ops.now() - link.at >= CARRIER_TIME {
            return false;
        }
        machine.ops.pause(POLL);
    }
}

/// Where an address comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MacKind {
    /// From a manufacturer's block.
    Universal,
    /// Made by the firmware and stable, for example from the SoC's serial number.
    Local,
    /// Made by the kernel, another one at each boot.
    Random,
}

impl MacKind {
    /// From the text `aa:bb:cc:dd:ee:ff` and the kernel's `addr_assign_type`.
    fn of(mac: &str, assigned: Option<u32>) -> Result<Self, &'static str> {
        let bytes: Vec<u8> = mac.split(':').filter_map(|b| u8::from_str_radix(b, 16).ok()).collect();
        if bytes.len() != 6 || mac.len() != 17 {
            return Err("not an address");
        }
        if bytes.iter().all(|&b| b == 0) {
            return Err("all zero");
        }
        // IEEE 802: the lowest bit of the first byte marks a group, the next one a local address.
        if bytes[0] & 1 != 0 {
            return Err("a group address");
        }
        Ok(match (assigned, bytes[0] & 2) {
            (Some(ASSIGNED_RANDOM), _) => MacKind::Random,
            (_, 0) => MacKind::Universal,
            _ => MacKind::Local,
        })
    }

    fn text(self) -> &'static str {
        match self {
            MacKind::Universal => "universal",
            MacKind::Local => "local",
            MacKind::Random => "random",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    fn interface(f: &Fixture, name: &str, values: &[(&str, &str)]) {
        f.file(&format!("/sys/class/net/{name}/device/x"), "");
        f.file(&format!("/sys/class/net/{name}/type"), "1\n");
        for (file, text) in values {
            f.file(&format!("/sys/class/net/{name}/{file}"), text);
        }
    }

    fn lines(f: &Fixture) -> Vec<String> {
        f.lines(|m, r| check(m, &raise(m), r))
    }

    #[test]
    fn kinds_of_address() {
        assert_eq!(MacKind::of("52:54:00:12:34:56", Some(0)), Ok(MacKind::Local));
        assert_eq!(MacKind::of("00:e0:4c:12:34:56", Some(0)), Ok(MacKind::Universal));
        assert_eq!(MacKind::of("00:e0:4c:12:34:56", Some(1)), Ok(MacKind::Random));
        assert_eq!(MacKind::of("00:00:00:00:00:00", Some(0)), Err("all zero"));
        assert_eq!(MacKind::of("01:00:5e:00:00:01", Some(0)), Err("a group address"));
        assert_eq!(MacKind::of("52:54:00:12:34", None), Err("not an address"));
        assert_eq!(MacKind::of("", None), Err("not an address"));
    }

    #[test]
    fn links_with_and_without_cable() {
        let f = Fixture::new();
        f.file("/sys/class/net/lo/address", "00:00:00:00:00:00\n");
        assert_eq!(lines(&f), ["net skip no interfaces"]);
        let good = [("address", "52:54:00:12:34:56\n"), ("addr_assign_type", "0\n")];
        interface(&f, "eth0", &good);
        interface(&f, "eth1", &good);
        f.file("/sys/class/net/eth0/carrier", "1\n");
        f.file("/sys/class/net/eth0/speed", "1000\n");
        f.file("/sys/class/net/eth1/carrier", "0\n");
        f.file("/sys/class/net/eth1/speed", "-1\n");
        assert_eq!(
            lines(&f),
            [
                "net.eth0 pass carrier, 1000 Mbit/s, MAC 52:54:00:12:34:56 local",
                "net.eth1 skip no carrier (cable), MAC 52:54:00:12:34:56 local",
            ]
        );
        assert_eq!(*f.ops.raised.borrow(), ["eth0", "eth1"]);
        f.file("/sys/class/net/eth0/addr_assign_type", "1\n");
        assert_eq!(
            lines(&f)[0],
            "net.eth0 fail MAC 52:54:00:12:34:56 random: changes at each boot, the firmware handed over none"
        );
        f.file("/sys/class/net/eth0/address", "00:00:00:00:00:00\n");
        assert_eq!(lines(&f)[0], "net.eth0 fail MAC `00:00:00:00:00:00`: all zero");
    }
}
