// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The process that talks to the network: `selftest serve`.
//!
//! It takes its port, gives its rights away, and then answers for ever. It may only read.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::ExitCode;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, socket_with, sockopt};
use rustix::process::{Gid, Resource, Rlimit, Uid, setrlimit};

use super::mdns::{Host, Reply};
use super::{Document, SERVED, http, interfaces, mdns};
use crate::machine::Machine;
use crate::sys::Kernel;

/// `nobody`, who owns nothing.
const NOBODY: u32 = 65_534;
/// Memory that it may map: stacks for all connections and then some.
const MAX_MEMORY_BYTES: u64 = 64 << 20;
const MAX_FILES: u64 = 64;
/// How often interfaces are looked for: cables and USB adapters come later.
const LOOK: Duration = Duration::from_secs(2);
/// Interfaces that are served at most.
const MAX_INTERFACES: usize = 8;
/// RFC 6762, section 3.
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);
/// The answer to a shared name waits a little, so that not all boards answer at once (section 6).
const ANSWER_PAUSE: Duration = Duration::from_millis(20);
/// Answers to all in a second (section 6 wants no more than one of a record).
const MAX_ANSWERS_PER_S: u32 = 20;
/// A thread that answers needs no more.
const STACK_BYTES: usize = 256 << 10;

/// Serves until it is ended.
pub fn main() -> ExitCode {
    match run() {
        Ok(never) => match never {},
        Err(e) => {
            eprintln!("selftest: the report cannot be served: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> io::Result<std::convert::Infallible> {
    let listener = listen()?;
    give_up_rights()?;
    let builder = || thread::Builder::new().stack_size(STACK_BYTES);
    builder().spawn(move || http::serve(&listener, || Document::parse(&fs::read_to_string(SERVED).ok()?)))?;
    let kernel = Kernel::new();
    let machine = Machine::new("/", &kernel);
    let mut answering: BTreeMap<(String, Family), JoinHandle<()>> = BTreeMap::new();
    loop {
        answering.retain(|_, thread| !thread.is_finished());
        for interface in interfaces::list(&machine).into_iter().take(MAX_INTERFACES) {
            let Some(index) = interface.index(&machine) else { continue };
            for family in [Family::V4, Family::V6] {
                let place = (interface.name.clone(), family);
                if answering.contains_key(&place) {
                    continue;
                }
                // Not yet: an interface without an address of the family cannot join the group.
                let Ok(socket) = family.socket(&interface.name, index) else { continue };
                let name = interface.name.clone();
                let thread = builder().spawn(move || answer(&socket, &name, family, index))?;
                answering.insert(place, thread);
            }
        }
        thread::sleep(LOOK);
    }
}

/// Both families on one socket; without IPv6 the other one alone.
fn listen() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv6Addr::UNSPECIFIED, 80)).or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)))
}

/// No privileges, no new ones, bounded memory and files. Before there is a second thread: they are per thread.
fn give_up_rights() -> io::Result<()> {
    let limit = |resource, value| setrlimit(resource, Rlimit { current: Some(value), maximum: Some(value) });
    limit(Resource::As, MAX_MEMORY_BYTES)?;
    limit(Resource::Nofile, MAX_FILES)?;
    limit(Resource::Core, 0)?;
    let (user, group) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_thread_res_uid(user, user, user)?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// Which IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    V4,
    V6,
}

impl Family {
    fn group(self, index: u32) -> SocketAddr {
        match self {
            Family::V4 => (GROUP_V4, mdns::PORT).into(),
            Family::V6 => std::net::SocketAddrV6::new(GROUP_V6, mdns::PORT, 0, index).into(),
        }
    }

    /// A socket that hears and sends on one interface only.
    fn socket(self, interface: &str, index: u32) -> io::Result<UdpSocket> {
        let family = match self {
            Family::V4 => AddressFamily::INET,
            Family::V6 => AddressFamily::INET6,
        };
        let socket = socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(ipproto::UDP))?;
        // One socket per interface and family on the same port.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind_to_interface(&socket, interface)?;
        match self {
            Family::V4 => {
                bind(&socket, &SocketAddr::from((Ipv4Addr::UNSPECIFIED, mdns::PORT)))?;
                sockopt::set_ip_add_membership_with_ifindex(
                    &socket,
                    &GROUP_V4,
                    &Ipv4Addr::UNSPECIFIED,
                    index,
                )?;
                // RFC 6762, section 11: 255, so that nothing from behind a router is taken for an answer.
                sockopt::set_ip_multicast_ttl(&socket, 255)?;
            }
            Family::V6 => {
                sockopt::set_ipv6_v6only(&socket, true)?;
                bind(&socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, mdns::PORT)))?;
                sockopt::set_ipv6_add_membership(&socket, &GROUP_V6, index)?;
                sockopt::set_ipv6_multicast_hops(&socket, 255)?;
            }
        }
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(LOOK))?;
        Ok(socket)
    }
}

/// `SO_BINDTODEVICE`, which since Linux 5.7 needs no privilege.
fn bind_to_interface(socket: &OwnedFd, interface: &str) -> io::Result<()> {
    let (name, length) = (interface.as_ptr().cast(), interface.len() as libc::socklen_t);
    #[expect(unsafe_code, reason = "rustix has no form for it")]
    // SAFETY: the kernel reads `length` bytes of a name that outlives the call.
    let answer = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name, length)
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Answers on one socket until its interface is gone; says its names when its addresses change.
fn answer(socket: &UdpSocket, interface: &str, family: Family, index: u32) {
    let kernel = Kernel::new();
    let machine = Machine::new("/", &kernel);
    let mut said: Option<Host> = None;
    let mut budget = Budget::new();
    let mut buffer = [0; 1500];
    loop {
        let received = socket.recv_from(&mut buffer);
        let Some(host) = interfaces::list(&machine).iter().find(|i| i.name == interface).map(Host::of) else {
            return;
        };
        if said.as_ref() != Some(&host) {
            // A link that is down sends nothing; the next change says it again.
            let _ = host.announcement().map(|a| socket.send_to(&a, family.group(index)));
            said = Some(host.clone());
        }
        match received {
            Ok((length, from)) => {
                if !budget.take() {
                    continue;
                }
                let sent = match host.answer(&buffer[..length], from.port()) {
                    Some(Reply::Asker(bytes)) => socket.send_to(&bytes, from),
                    Some(Reply::Everyone(bytes)) => {
                        thread::sleep(ANSWER_PAUSE);
                        socket.send_to(&bytes, family.group(index))
                    }
                    None => continue,
                };
                // The asker asks again.
                let _ = sent;
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            // Such as a link that went down; another try in a while.
            Err(_) => thread::sleep(LOOK),
        }
    }
}

/// How many packets are still looked at in this second.
struct Budget {
    second: Instant,
    left: u32,
}

impl Budget {
    fn new() -> Self {
        Budget { second: Instant::now(), left: MAX_ANSWERS_PER_S }
    }

    fn take(&mut self) -> bool {
        if self.second.elapsed() >= Duration::from_secs(1) {
            *self = Budget::new();
        }
        let some = self.left > 0;
        self.left = self.left.saturating_sub(1);
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_answered_in_part() {
        let mut budget = Budget::new();
        let taken = (0..1000).filter(|_| budget.take()).count();
        // A second may pass on a busy machine.
        assert!((MAX_ANSWERS_PER_S as usize..500).contains(&taken), "{taken}");
    }

    #[test]
    fn a_socket_hears_its_interface_and_answers_a_plain_question() {
        // The loopback link has no multicast flag; a question to its address needs none.
        let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
        bind_to_interface(&OwnedFd::from(socket.try_clone().expect("a copy")), "lo").expect("lo is there");
        assert!(bind_to_interface(&OwnedFd::from(socket), "no-such-if").is_err());
    }
}
