// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ethernet interfaces with hardware behind them, and their addresses.

use std::net::{IpAddr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

const CLASS: &str = "/sys/class/net";
/// `ARPHRD_ETHER` of the kernel's `type`.
const ETHERNET: u32 = 1;
/// `IFA_F_TENTATIVE`, `IFA_F_DADFAILED` (`linux/if_addr.h`): not usable yet, or never.
const UNUSABLE: u32 = 0x40 | 0x08;

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// The kernel's name.
    pub name: String,
    /// Address of the hardware.
    pub mac: String,
    /// Whether a cable is in, and something at its other end.
    pub carrier: bool,
    /// Addresses with the length of their prefix.
    pub addresses: Vec<(IpAddr, u8)>,
}

impl Interface {
    /// The kernel's number for it.
    pub(super) fn index(&self, machine: &Machine<'_>) -> Option<u32> {
        machine.number(format!("{CLASS}/{}/ifindex", self.name))
    }
}

/// Names of the interfaces.
pub(crate) fn names(machine: &Machine<'_>) -> Vec<String> {
    let real = |name: &String| {
        machine.exists(format!("{CLASS}/{name}/device"))
            && machine.number::<u32>(format!("{CLASS}/{name}/type")) == Some(ETHERNET)
    };
    machine.list(CLASS).into_iter().filter(real).collect()
}

/// Every interface.
pub(super) fn list(machine: &Machine<'_>) -> Vec<Interface> {
    let six = machine.read("/proc/net/if_inet6").unwrap_or_default();
    names(machine)
        .into_iter()
        .map(|name| {
            let four = machine.ops.ipv4(&name).map(|(address, prefix)| (IpAddr::from(address), prefix));
            let six = six.lines().filter_map(|line| ipv6(line, &name)).map(|(a, p)| (IpAddr::from(a), p));
            Interface {
                mac: machine.read(format!("{CLASS}/{name}/address")).unwrap_or_default(),
                carrier: machine.number::<u32>(format!("{CLASS}/{name}/carrier")) == Some(1),
                addresses: four.into_iter().chain(six).collect(),
                name,
            }
        })
        .collect()
}

/// One line of `/proc/net/if_inet6`: address, number of the interface, prefix, scope, flags, name; in hexadecimal.
fn ipv6(line: &str, interface: &str) -> Option<(Ipv6Addr, u8)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [address, _, prefix, _, flags, name] = words[..] else { return None };
    if name != interface || address.len() != 32 || u32::from_str_radix(flags, 16).ok()? & UNUSABLE != 0 {
        return None;
    }
    let address = u128::from_str_radix(address, 16).ok()?;
    Some((address.into(), u8::from_str_radix(prefix, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn addresses_of_both_kinds() {
        let f = Fixture::new();
        f.file("/sys/class/net/lo/type", "772\n");
        f.file("/sys/class/net/eth0/device/x", "");
        f.file("/sys/class/net/eth0/type", "1\n");
        f.file("/sys/class/net/eth0/carrier", "1\n");
        f.file("/sys/class/net/eth0/address", "52:54:00:4d:36:01\n");
        f.file(
            "/proc/net/if_inet6",
            "00000000000000000000000000000001 01 80 10 80       lo\n\
             fe80000000000000505400fffe4d3601 02 40 20 80     eth0\n\
             fec0000000000000505400fffe4d3601 02 40 40 40     eth0\n\
             nonsense\n",
        );
        f.ops.ipv4.set(Some(([10, 0, 2, 15].into(), 24)));
        let [eth0] = &list(&f.machine())[..] else { panic!("one interface") };
        assert!(eth0.carrier && eth0.mac == "52:54:00:4d:36:01");
        let texts: Vec<String> = eth0.addresses.iter().map(|(a, p)| format!("{a}/{p}")).collect();
        // The second IPv6 address is still being checked for a double.
        assert_eq!(texts, ["10.0.2.15/24", "fe80::5054:ff:fe4d:3601/64"]);
    }
}
