// SPDX-License-Identifier: Apache-2.0 OR MIT
//! IPVS, as kube-proxy uses it: a virtual service with a destination.
//!
//! Layouts: `linux/ip_vs.h`.

use std::fs;

use rustix::fd::AsRawFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with};

use super::links::raise_loopback;
use super::{Lines, Network, Outcome, Place, Topic, Trouble, ensure};

pub(super) const TOPIC: Topic = Topic { name: "ipvs", checks: &["ipvs"], network: Network::Own, run };

/// `IP_VS_SO_SET_ADD`, `IP_VS_SO_SET_ADDDEST`.
const ADD_SERVICE: i32 = 64 + 1024 + 64 + 2;
const ADD_DESTINATION: i32 = 64 + 1024 + 64 + 7;

/// `struct ip_vs_service_user` for TCP on 192.0.2.1:80, round robin.
fn service() -> [u8; 44] {
    let mut bytes = [0; 44];
    bytes[..2].copy_from_slice(&6_u16.to_ne_bytes());
    bytes[4..8].copy_from_slice(&[192, 0, 2, 1]);
    bytes[8..10].copy_from_slice(&80_u16.to_be_bytes());
    bytes[16..18].copy_from_slice(b"rr");
    // Netmask: one address.
    bytes[40..].copy_from_slice(&[0xff; 4]);
    bytes
}

/// `struct ip_vs_dest_user` for 192.0.2.2:8080, weight 1.
fn destination() -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..4].copy_from_slice(&[192, 0, 2, 2]);
    bytes[4..6].copy_from_slice(&8080_u16.to_be_bytes());
    bytes[12..16].copy_from_slice(&1_i32.to_ne_bytes());
    bytes
}

fn run(_: &Place, lines: &mut Lines<'_>) {
    lines.add("ipvs", check());
}

fn check() -> Outcome {
    // Without any local address the kernel takes every destination for a broadcast.
    raise_loopback()?;
    let socket = socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, Some(ipproto::RAW))?;
    let set = |option: i32, bytes: &[u8]| {
        #[expect(unsafe_code, reason = "no library has the options of IPVS")]
        // SAFETY: the kernel reads `bytes.len()` bytes from the slice.
        let answer = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_IP,
                option,
                bytes.as_ptr().cast(),
                bytes.len() as libc::socklen_t,
            )
        };
        if answer == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    set(ADD_SERVICE, &service()).map_err(Trouble::during("adding a service"))?;
    let both = [&service()[..], &destination()].concat();
    set(ADD_DESTINATION, &both).map_err(Trouble::during("adding a destination"))?;
    let table = fs::read_to_string("/proc/net/ip_vs")?;
    ensure(table.contains("C0000201:0050 rr"), format!("the service is not in `/proc/net/ip_vs`: {table}"))?;
    ensure(table.contains("C0000202:1F90"), format!("the destination is not in `/proc/net/ip_vs`: {table}"))?;
    Ok("service and destination, scheduler rr".into())
}
