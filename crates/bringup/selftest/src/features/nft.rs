// SPDX-License-Identifier: Apache-2.0 OR MIT
//! nftables: a table that drops what it should and only that, and one that masquerades.
//!
//! Numbers: `linux/netfilter/nfnetlink.h`, `linux/netfilter/nf_tables.h`, `linux/netfilter.h`.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Duration;

use rustix::net::netlink::NETFILTER;

use super::links::raise_loopback;
use super::netlink::{ACK, Attributes, CREATE, Message, REQUEST, Socket};
use super::{Lines, Network, Outcome, Place, Topic, Trouble, ensure};

pub(super) const TOPIC: Topic =
    Topic { name: "nft", checks: &["nft.filter", "nft.nat"], network: Network::Own, run };

/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`.
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
/// `NFT_MSG_NEWTABLE`, `NFT_MSG_DELTABLE`, `NFT_MSG_NEWCHAIN`, `NFT_MSG_NEWRULE`.
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
/// `NFPROTO_INET`, `NFPROTO_IPV4`.
const INET: u8 = 1;
const IPV4: u8 = 2;
/// `NF_INET_LOCAL_IN`, `NF_INET_POST_ROUTING`.
const LOCAL_IN: u32 = 1;
const POST_ROUTING: u32 = 4;
/// `NF_DROP`, `NF_ACCEPT`.
const DROP: u32 = 0;
const ACCEPT: u32 = 1;

/// How long a packet that is not dropped may take on the loopback link.
const PATIENCE: Duration = Duration::from_millis(1000);
/// How long a dropped one is waited for.
const DROP_WAIT: Duration = Duration::from_millis(100);

fn run(_: &Place, lines: &mut Lines<'_>) {
    lines.add("nft.filter", filter());
    lines.add("nft.nat", nat());
}

/// `struct nfgenmsg`.
fn general(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn base_chain(family: u8, kind: &str, hook: u32, policy: u32) -> Vec<u8> {
    // NFTA_HOOK_HOOKNUM, NFTA_HOOK_PRIORITY; NFTA_CHAIN_TABLE, _NAME, _HOOK, _POLICY, _TYPE.
    let hook = Attributes::new().attr(1, &hook.to_be_bytes()).attr(2, &0_u32.to_be_bytes());
    Message::new(NEW_CHAIN, REQUEST | ACK | CREATE)
        .fixed(&general(family, 0))
        .text(1, "selftest")
        .text(3, "base")
        .nested(4, hook)
        .attr(5, &policy.to_be_bytes())
        .text(7, kind)
        .finish()
}

fn table(kind: u16, family: u8) -> Vec<u8> {
    let flags = if kind == NEW_TABLE { REQUEST | ACK | CREATE } else { REQUEST | ACK };
    Message::new(kind, flags).fixed(&general(family, 0)).text(1, "selftest").finish()
}

/// A rule of expressions without parameters.
fn rule(family: u8, expressions: &[&str]) -> Vec<u8> {
    // NFTA_LIST_ELEM around NFTA_EXPR_NAME and NFTA_EXPR_DATA.
    let list = expressions.iter().fold(Attributes::new(), |list, name| {
        list.nested(1, Attributes::new().text(1, name).nested(2, Attributes::new()))
    });
    Message::new(NEW_RULE, REQUEST | ACK | CREATE)
        .fixed(&general(family, 0))
        .text(1, "selftest")
        .text(2, "base")
        .nested(4, list)
        .finish()
}

/// Sends a transaction: all of it takes effect or nothing.
fn transaction(messages: &[Vec<u8>]) -> Result<(), Trouble> {
    let mark = |kind| Message::new(kind, REQUEST).fixed(&general(0, SUBSYSTEM)).finish();
    let all = [mark(BATCH_BEGIN), messages.concat(), mark(BATCH_END)].concat();
    Socket::open(Some(NETFILTER))?.request(&all, messages.len())?;
    Ok(())
}

/// Whether a datagram to ourselves arrives.
fn arrives(wait: Duration) -> Result<bool, Trouble> {
    let receiver = UdpSocket::bind("127.0.0.1:0")?;
    receiver.set_read_timeout(Some(wait))?;
    UdpSocket::bind("127.0.0.1:0")?.send_to(b"selftest", receiver.local_addr()?)?;
    match receiver.recv(&mut [0; 16]) {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

fn filter() -> Outcome {
    raise_loopback()?;
    ensure(arrives(PATIENCE)?, "without a table nothing arrives on the loopback link")?;
    transaction(&[
        table(NEW_TABLE, INET),
        base_chain(INET, "filter", LOCAL_IN, DROP),
        rule(INET, &["counter"]),
    ])?;
    ensure(!arrives(DROP_WAIT)?, "a chain with policy drop lets a packet through")?;
    transaction(&[table(DELETE_TABLE, INET)])?;
    ensure(arrives(PATIENCE)?, "after its deletion the table still drops")?;
    Ok("table loaded, packet dropped, table deleted".into())
}

fn nat() -> Outcome {
    transaction(&[
        table(NEW_TABLE, IPV4),
        base_chain(IPV4, "nat", POST_ROUTING, ACCEPT),
        rule(IPV4, &["counter", "masq"]),
    ])?;
    Ok("chain of type nat with masquerade".into())
}
