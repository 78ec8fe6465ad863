// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Asks our own service, as a computer on the network would: the line in the report says what was seen, not what was started.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::document::Document;
use super::{Interface, mdns};

/// The service starts with the self-test, so it is up long before; an emulated machine may still be slow.
const LIMIT: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);
/// RFC 6762, section 3.
const GROUP: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), mdns::PORT);
/// More than a report has.
const MAX_BYTES: u64 = 1 << 20;

/// Fetches the report over the loopback link and compares it.
///
/// # Errors
/// Why not, in the end.
pub fn http(expected: &Document) -> Result<(), String> {
    let began = Instant::now();
    loop {
        let outcome = fetch().map_err(|e| e.to_string()).and_then(|answer| {
            let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
            if !head.starts_with("HTTP/1.1 200 ") {
                return Err(format!("it answers `{}`", head.lines().next().unwrap_or_default()));
            }
            if Document::parse(body).as_ref() == Some(expected) {
                Ok(())
            } else {
                Err("another report is served".into())
            }
        });
        match outcome {
            Err(_) if began.elapsed() < LIMIT => thread::sleep(PAUSE),
            decided => return decided,
        }
    }
}

fn fetch() -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, 80)), LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(b"GET /bringup-report.json HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut text = String::new();
    stream.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Asks for the name on an interface and returns the addresses that came.
///
/// # Errors
/// No answer, or another one than the interface's addresses. Without an IPv4 address there is nothing to ask from.
pub fn mdns(interface: &Interface) -> Result<String, String> {
    let four = interface.addresses.iter().find_map(|(address, _)| match address {
        std::net::IpAddr::V4(address) => Some(*address),
        std::net::IpAddr::V6(_) => None,
    });
    let Some(four) = four else { return Err("no IPv4 address: no DHCP server answered".to_owned()) };
    let found = ask(four).map_err(|e| e.to_string())?;
    let mut wanted: Vec<_> = interface.addresses.iter().map(|(address, _)| *address).collect();
    let mut got = found.clone();
    wanted.sort();
    got.sort();
    let text = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    if got == wanted { Ok(text) } else { Err(format!("the answer was `{text}`")) }
}

fn ask(from: Ipv4Addr) -> std::io::Result<Vec<std::net::IpAddr>> {
    let socket = UdpSocket::bind((from, 0))?;
    // Our own address decides on which link the question goes out.
    rustix::net::sockopt::set_ip_multicast_if(&socket, &from)?;
    let id = socket.local_addr()?.port();
    let question = mdns::question(id).ok_or(std::io::ErrorKind::InvalidInput)?;
    let began = Instant::now();
    while began.elapsed() < LIMIT {
        socket.send_to(&question, GROUP)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        let mut buffer = [0; 1500];
        if let Ok((length, _)) = socket.recv_from(&mut buffer) {
            let found = mdns::addresses(&buffer[..length], id);
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }
    Err(std::io::ErrorKind::TimedOut.into())
}
