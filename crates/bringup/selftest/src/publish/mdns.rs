// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Answers to multicast DNS questions (RFC 6762): two names, their addresses, nothing else. No sockets here.
//!
//! The name of all boards is a shared record: with several boards on a link each answers, and the asker takes one. The
//! name with the end of the hardware address is one board's only. Neither is probed for: shared records need none (section
//! 8.1), and the other is as unique as the hardware address.

use std::net::IpAddr;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord, TYPE};

use super::{HOST, Interface};

/// The port of multicast DNS; a question from another one comes from a plain resolver (section 6.7).
pub const PORT: u16 = 5353;
/// Seconds that the answer holds: addresses change when cables do (section 10).
const TTL_S: u32 = 120;
/// Plain resolvers keep it no longer (section 6.7).
const PLAIN_TTL_S: u32 = 10;
/// Questions of one packet that are looked at.
const MAX_QUESTIONS: usize = 32;

/// Names and addresses of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The name of all boards, and the board's own.
    names: Vec<String>,
    addresses: Vec<IpAddr>,
}

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// To the group.
    Everyone(Vec<u8>),
    /// To the asker only.
    Asker(Vec<u8>),
}

impl Host {
    /// What one interface of the board is called.
    pub fn of(interface: &Interface) -> Host {
        let mut names = vec![HOST.to_owned()];
        names.extend(own_name(&interface.mac));
        Host { names, addresses: interface.addresses.iter().map(|(address, _)| *address).collect() }
    }

    /// Records of a name and a type. Only the board's own name may take the place of what others said before.
    fn records(&self, name: &str, kind: QTYPE, ttl: u32) -> Vec<ResourceRecord<'static>> {
        let Some(at) = self.names.iter().position(|n| n.eq_ignore_ascii_case(name)) else {
            return Vec::new();
        };
        let wanted = |address: &&IpAddr| match kind {
            QTYPE::ANY => true,
            QTYPE::TYPE(TYPE::A) => address.is_ipv4(),
            QTYPE::TYPE(TYPE::AAAA) => address.is_ipv6(),
            _ => false,
        };
        let Ok(name) = Name::new(&self.names[at]) else { return Vec::new() };
        let name = name.into_owned();
        let record = |address: &IpAddr| {
            let data = match address {
                IpAddr::V4(a) => RData::A((*a).into()),
                IpAddr::V6(a) => RData::AAAA((*a).into()),
            };
            ResourceRecord::new(name.clone(), CLASS::IN, ttl, data).with_cache_flush(at > 0 && ttl == TTL_S)
        };
        self.addresses.iter().filter(wanted).map(record).collect()
    }

    /// The answer to a packet from a port; nothing when it asks for something else, or is no question at all.
    pub fn answer(&self, packet: &[u8], from_port: u16) -> Option<Reply> {
        let query = Packet::parse(packet).ok()?;
        if query.has_flags(PacketFlag::RESPONSE) {
            return None;
        }
        let plain = from_port != PORT;
        let ttl = if plain { PLAIN_TTL_S } else { TTL_S };
        let mut reply = Packet::new_reply(if plain { query.id() } else { 0 });
        reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        let mut to_asker = true;
        for question in query.questions.iter().take(MAX_QUESTIONS) {
            if !matches!(question.qclass, QCLASS::ANY | QCLASS::CLASS(CLASS::IN)) {
                continue;
            }
            let mut found = self.records(&question.qname.to_string(), question.qtype, ttl);
            found.retain(|record| !reply.answers.contains(record) && !known(&query, record));
            if found.is_empty() {
                continue;
            }
            to_asker &= plain || question.unicast_response;
            reply.answers.extend(found);
            if plain {
                reply.questions.push(question.clone());
            }
        }
        if reply.answers.is_empty() {
            return None;
        }
        let bytes = reply.build_bytes_vec_compressed().ok()?;
        Some(if to_asker { Reply::Asker(bytes) } else { Reply::Everyone(bytes) })
    }

    /// What is said without being asked, when addresses have changed (section 8.3); nothing without an address.
    pub fn announcement(&self) -> Option<Vec<u8>> {
        let mut packet = Packet::new_reply(0);
        packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        packet.answers = self.names.iter().flat_map(|name| self.records(name, QTYPE::ANY, TTL_S)).collect();
        if packet.answers.is_empty() { None } else { packet.build_bytes_vec_compressed().ok() }
    }
}

/// Whether the asker has the record already, for at least half of its time (section 7.1).
fn known(query: &Packet<'_>, record: &ResourceRecord<'_>) -> bool {
    query.answers.iter().any(|a| {
        a.rdata == record.rdata
            && a.ttl >= TTL_S / 2
            && a.name.to_string().eq_ignore_ascii_case(&record.name.to_string())
    })
}

/// `nanopi-m6-bringup-4d3601.local` of a board whose hardware address ends so.
fn own_name(mac: &str) -> Option<String> {
    let digits: String = mac.split(':').collect();
    let end =
        digits.get(6..12).filter(|_| digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    Some(HOST.replacen(".local", &format!("-{}.local", end.to_lowercase()), 1))
}

/// A question for the addresses of [`HOST`].
pub(super) fn question(id: u16) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    let name = Name::new(HOST).ok()?;
    packet.questions.push(Question::new(name, QTYPE::ANY, QCLASS::CLASS(CLASS::IN), false));
    packet.build_bytes_vec().ok()
}

/// The addresses of [`HOST`] in an answer to the question of this number.
pub(super) fn addresses(packet: &[u8], id: u16) -> Vec<IpAddr> {
    let Ok(packet) = Packet::parse(packet) else { return Vec::new() };
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) {
        return Vec::new();
    }
    let ours = |r: &&ResourceRecord<'_>| r.name.to_string().eq_ignore_ascii_case(HOST);
    packet
        .answers
        .iter()
        .filter(ours)
        .filter_map(|record| match &record.rdata {
            RData::A(a) => Some(IpAddr::V4(a.address.into())),
            RData::AAAA(a) => Some(IpAddr::V6(a.address.into())),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host::of(&Interface {
            name: "eth0".into(),
            mac: "52:54:00:4d:36:01".into(),
            carrier: true,
            addresses: vec![("10.0.2.15".parse().expect("v4"), 24), ("fe80::1".parse().expect("v6"), 64)],
        })
    }

    fn ask(name: &'static str, kind: QTYPE, unicast: bool) -> Vec<u8> {
        let mut packet = Packet::new_query(7);
        packet.questions.push(Question::new(
            Name::new(name).expect("name"),
            kind,
            QCLASS::CLASS(CLASS::IN),
            unicast,
        ));
        packet.build_bytes_vec().expect("bytes")
    }

    fn records(bytes: &[u8]) -> Vec<(String, IpAddr, u32, bool)> {
        let packet = Packet::parse(bytes).expect("a packet");
        assert!(packet.has_flags(PacketFlag::RESPONSE | PacketFlag::AUTHORITATIVE_ANSWER));
        let address = |r: &ResourceRecord<'_>| match &r.rdata {
            RData::A(a) => IpAddr::V4(a.address.into()),
            RData::AAAA(a) => IpAddr::V6(a.address.into()),
            other => panic!("{other:?}"),
        };
        packet.answers.iter().map(|r| (r.name.to_string(), address(r), r.ttl, r.cache_flush)).collect()
    }

    #[test]
    fn both_names_in_any_case_for_the_type_that_was_asked_for() {
        let Some(Reply::Everyone(bytes)) =
            host().answer(&ask("NanoPi-M6-bringup.LOCAL", QTYPE::TYPE(TYPE::A), false), PORT)
        else {
            panic!("an answer to everyone");
        };
        assert_eq!(records(&bytes), [(HOST.to_owned(), "10.0.2.15".parse().expect("v4"), TTL_S, false)]);
        assert_eq!(Packet::parse(&bytes).expect("a packet").id(), 0);
        let Some(Reply::Asker(bytes)) =
            host().answer(&ask("nanopi-m6-bringup-4d3601.local", QTYPE::TYPE(TYPE::AAAA), true), PORT)
        else {
            panic!("an answer to the asker");
        };
        let own = "nanopi-m6-bringup-4d3601.local".to_owned();
        assert_eq!(records(&bytes), [(own, "fe80::1".parse().expect("v6"), TTL_S, true)]);
    }

    #[test]
    fn a_plain_resolver_gets_its_number_and_question_back() {
        let Some(Reply::Asker(bytes)) = host().answer(&question(99).expect("a question"), 40000) else {
            panic!("an answer to the asker");
        };
        let packet = Packet::parse(&bytes).expect("a packet");
        assert_eq!((packet.id(), packet.questions.len()), (99, 1));
        assert!(records(&bytes).iter().all(|(_, _, ttl, flush)| *ttl == PLAIN_TTL_S && !flush));
        assert_eq!(addresses(&bytes, 99).len(), 2);
        assert!(addresses(&bytes, 98).is_empty());
        assert!(addresses(&question(99).expect("a question"), 99).is_empty(), "a question is no answer");
    }

    #[test]
    fn what_is_known_or_not_ours_is_not_answered() {
        let known = {
            let bytes = question(0).expect("a question");
            let mut packet = Packet::parse(&bytes).expect("a packet");
            packet.answers = host().records(HOST, QTYPE::ANY, TTL_S);
            packet.build_bytes_vec().expect("bytes")
        };
        assert_eq!(host().answer(&known, PORT), None);
        for (name, kind) in [
            ("nanopi-m6-bringup.local", QTYPE::TYPE(TYPE::MX)),
            ("nanopi-m6.local", QTYPE::ANY),
            ("x.nanopi-m6-bringup.local", QTYPE::ANY),
            ("local", QTYPE::ANY),
        ] {
            assert_eq!(host().answer(&ask(name, kind, false), PORT), None, "{name}");
        }
        assert_eq!(host().answer(&host().announcement().expect("an announcement"), PORT), None);
        let mute = Host { addresses: Vec::new(), ..host() };
        assert_eq!((mute.answer(&question(1).expect("a question"), PORT), mute.announcement()), (None, None));
    }

    #[test]
    fn an_announcement_has_both_names() {
        let bytes = host().announcement().expect("an announcement");
        let names: Vec<(String, bool)> = records(&bytes).into_iter().map(|(n, _, _, f)| (n, f)).collect();
        assert_eq!(names.len(), 4);
        assert!(names.iter().all(|(name, flush)| *flush == (name != HOST)), "{names:?}");
    }

    /// Cut anywhere, with any byte changed, or noise: no panic, no answer that is longer than what it may be.
    #[test]
    fn hostile_packets_are_survived() {
        let good = question(5).expect("a question");
        let mut packets: Vec<Vec<u8>> = (0..good.len()).map(|end| good[..end].to_vec()).collect();
        for at in 0..good.len() {
            for value in [0, 1, 0x3f, 0x40, 0xc0, 0xff] {
                let mut packet = good.clone();
                packet[at] = value;
                packets.push(packet);
            }
        }
        // A name that points at itself, a count of 65535, and a packet full of pointers.
        packets.push([&[0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xc0, 12, 0, 255, 0, 1][..]].concat());
        packets
            .push([&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff][..], &good[12..]].concat());
        packets.push([&good[..12], &[0xc0, 12].repeat(4000)].concat());
        let mut state = 1_u32;
        for length in 0..600 {
            let noise = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            });
            packets.push(noise.take(length).collect());
        }
        for packet in &packets {
            if let Some(Reply::Everyone(bytes) | Reply::Asker(bytes)) = host().answer(packet, PORT) {
                assert!(bytes.len() <= 512, "{packet:?}");
            }
            addresses(packet, 5);
        }
        let many = {
            let mut packet = Packet::new_query(0);
            for _ in 0..500 {
                let name = Name::new(HOST).expect("name");
                packet.questions.push(Question::new(name, QTYPE::ANY, QCLASS::CLASS(CLASS::IN), false));
            }
            packet.build_bytes_vec().expect("bytes")
        };
        for port in [PORT, 40000] {
            let reply = host().answer(&many, port);
            let Some(Reply::Everyone(bytes) | Reply::Asker(bytes)) = reply else { panic!("an answer") };
            assert_eq!(Packet::parse(&bytes).expect("a packet").answers.len(), 2);
            assert!(bytes.len() < many.len());
        }
    }

    #[test]
    fn the_own_name_needs_a_whole_address() {
        assert_eq!(own_name("52:54:00:4D:36:01").as_deref(), Some("nanopi-m6-bringup-4d3601.local"));
        for bad in ["", "52:54:00", "52:54:00:4d:36:zz", "52:54:00:4d:36:01:02", "äöü:äöü"] {
            assert_eq!(own_name(bad), None, "{bad}");
        }
    }
}
