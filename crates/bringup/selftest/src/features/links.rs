// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Network links: each kind that CNIs create is created, and raised.
//!
//! Numbers: `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_tunnel.h`.

use std::fs;
use std::io;

use super::netlink::{ACK, Attributes, CREATE, Message, REQUEST, ROUTE, Socket};
use super::{Lines, Network, Outcome, Place, Topic, Trouble};

pub(super) const TOPIC: Topic = Topic {
    name: "links",
    checks: &[
        "link.dummy",
        "link.bridge",
        "link.bond",
        "link.vlan",
        "link.veth",
        "link.vxlan",
        "link.geneve",
        "link.wireguard",
        "link.netkit",
        "link.macvlan",
        "link.ipvlan",
        "link.vrf",
        "link.ipip",
        "link.ifb",
    ],
    network: Network::Own,
    run,
};

/// `RTM_NEWLINK`.
const NEW_LINK: u16 = 16;
/// `IFLA_IFNAME`, `IFLA_LINK`, `IFLA_LINKINFO`.
const NAME: u16 = 3;
const LINK: u16 = 5;
const INFO: u16 = 18;
/// `IFLA_INFO_KIND`, `IFLA_INFO_DATA`.
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
/// `IFF_UP`.
const UP: u32 = 1;
/// `VETH_INFO_PEER` and `IFLA_NETKIT_PEER_INFO`.
const PEER: u16 = 1;

/// `struct ifinfomsg`: flags and mask of the flags that change; the link is named by attribute.
fn info_message(flags: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

fn run(_: &Place, lines: &mut Lines<'_>) {
    let parent = create("dummy", Attributes::new(), None);
    lines.add("link.dummy", parent);
    let parent = fs::read_to_string("/sys/class/net/t-dummy/ifindex");
    let parent: Option<u32> = parent.ok().and_then(|text| text.trim().parse().ok());
    let peer = |name: &str| {
        Attributes::new().nested(PEER, Attributes::new().fixed(&info_message(0)).text(NAME, name))
    };
    for (kind, data) in [
        ("bridge", Attributes::new()),
        ("bond", Attributes::new()),
        ("ifb", Attributes::new()),
        ("wireguard", Attributes::new()),
        ("veth", peer("t-veth-peer")),
        ("netkit", peer("t-netkit-peer")),
        // `IFLA_VXLAN_ID`, `IFLA_VXLAN_PORT`.
        ("vxlan", Attributes::new().attr(1, &7_u32.to_ne_bytes()).attr(15, &4789_u16.to_be_bytes())),
        // `IFLA_GENEVE_ID`, `IFLA_GENEVE_REMOTE`.
        ("geneve", Attributes::new().attr(1, &7_u32.to_ne_bytes()).attr(2, &[192, 0, 2, 1])),
        // `IFLA_VRF_TABLE`.
        ("vrf", Attributes::new().attr(1, &10_u32.to_ne_bytes())),
        // `IFLA_IPTUN_LOCAL`, `IFLA_IPTUN_REMOTE`.
        ("ipip", Attributes::new().attr(2, &[192, 0, 2, 1]).attr(3, &[192, 0, 2, 2])),
    ] {
        lines.add(&format!("link.{kind}"), create(kind, data, None));
    }
    for (kind, data) in [
        // `IFLA_VLAN_ID`.
        ("vlan", Attributes::new().attr(1, &100_u16.to_ne_bytes())),
        // `IFLA_MACVLAN_MODE`: bridge.
        ("macvlan", Attributes::new().attr(1, &4_u32.to_ne_bytes())),
        // `IFLA_IPVLAN_MODE`: L3.
        ("ipvlan", Attributes::new().attr(1, &1_u16.to_ne_bytes())),
    ] {
        // Macvlan and ipvlan exclude each other on one parent.
        let outcome = match (parent, kind) {
            (None, _) => Err(Trouble::Fail("no `dummy` link to put it on".into())),
            (Some(_), "ipvlan") => other_parent().and_then(|parent| create(kind, data, Some(parent))),
            (Some(parent), _) => create(kind, data, Some(parent)),
        };
        lines.add(&format!("link.{kind}"), outcome);
    }
}

/// Raises the loopback link of a new network namespace; it has number 1 in each. With it come local addresses.
pub(super) fn raise_loopback() -> io::Result<()> {
    let mut link = info_message(UP);
    link[4..8].copy_from_slice(&1_u32.to_ne_bytes());
    Socket::open(ROUTE)?.request(&Message::new(NEW_LINK, REQUEST | ACK).fixed(&link).finish(), 1)
}

/// A second link for what cannot share the first.
fn other_parent() -> Result<u32, Trouble> {
    request("t-other", "dummy", Attributes::new(), None)?;
    let index = fs::read_to_string("/sys/class/net/t-other/ifindex")?;
    index.trim().parse().map_err(|_| Trouble::Fail(format!("`{index}` is no number of a link")))
}

/// Creates a link, raises it, and looks whether it is there.
fn create(kind: &str, data: Attributes, parent: Option<u32>) -> Outcome {
    let name = format!("t-{kind}");
    request(&name, kind, data, parent).map_err(Trouble::during("creating it"))?;
    let raise = Message::new(NEW_LINK, REQUEST | ACK).fixed(&info_message(UP)).text(NAME, &name);
    Socket::open(ROUTE)?.request(&raise.finish(), 1).map_err(Trouble::during("raising it"))?;
    let flags = fs::read_to_string(format!("/sys/class/net/{name}/flags"))?;
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16).unwrap_or(0);
    super::ensure(flags & UP != 0, "it was created and does not rise")?;
    Ok("created and up".into())
}

fn request(name: &str, kind: &str, data: Attributes, parent: Option<u32>) -> io::Result<()> {
    let mut message = Message::new(NEW_LINK, REQUEST | ACK | CREATE).fixed(&info_message(0)).text(NAME, name);
    if let Some(parent) = parent {
        message = message.attr(LINK, &parent.to_ne_bytes());
    }
    let info = Attributes::new().text(INFO_KIND, kind).nested(INFO_DATA, data);
    Socket::open(ROUTE)?.request(&message.nested(INFO, info).finish(), 1)
}
