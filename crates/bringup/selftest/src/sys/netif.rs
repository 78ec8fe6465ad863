// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Raises a network interface and reads its address with the old ioctls: no netlink library for so little.

use std::net::Ipv4Addr;

use rustix::ioctl::{Opcode, Updater, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use rustix::io::Errno;

/// `SIOCGIFFLAGS` (`linux/sockios.h`).
const GET_FLAGS: Opcode = 0x8913;
/// `SIOCSIFFLAGS` (`linux/sockios.h`).
const SET_FLAGS: Opcode = 0x8914;
/// `SIOCGIFADDR`, `SIOCGIFNETMASK` (`linux/sockios.h`).
const GET_ADDRESS: Opcode = 0x8915;
const GET_MASK: Opcode = 0x891b;
/// `IFF_UP` (`linux/if.h`).
const UP: u16 = 1;
/// `IFNAMSIZ` (`linux/if.h`), the final NUL included.
const NAME_BYTES: usize = 16;

/// `struct ifreq` (`linux/if.h`): the name and a union of 24 bytes, of which the flags are the first two.
#[repr(C)]
#[derive(Clone, Copy)]
struct IfReq {
    name: [u8; NAME_BYTES],
    flags: u16,
    rest: [u16; 11],
}
const _: () = assert!(size_of::<IfReq>() == 40);

impl IfReq {
    fn new(interface: &str) -> Result<Self, Errno> {
        let mut request = IfReq { name: [0; NAME_BYTES], flags: 0, rest: [0; 11] };
        if interface.len() >= NAME_BYTES {
            return Err(Errno::INVAL);
        }
        request.name[..interface.len()].copy_from_slice(interface.as_bytes());
        Ok(request)
    }

    /// The address in an answer: the union is a `struct sockaddr_in` then, whose family comes first, then the port.
    fn ipv4(&self) -> Ipv4Addr {
        let [a, b] = self.rest[1].to_ne_bytes();
        let [c, d] = self.rest[2].to_ne_bytes();
        Ipv4Addr::new(a, b, c, d)
    }
}

/// The first IPv4 address of an interface and the length of its prefix.
pub fn ipv4(interface: &str) -> Result<(Ipv4Addr, u8), Errno> {
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let (mut address, mut mask) = (IfReq::new(interface)?, IfReq::new(interface)?);
    #[expect(unsafe_code, reason = "rustix has no typed form of the interface ioctls")]
    // SAFETY: both requests read and write one `struct ifreq`, whose size is asserted above.
    unsafe {
        ioctl(&socket, Updater::<GET_ADDRESS, IfReq>::new(&mut address))?;
        ioctl(&socket, Updater::<GET_MASK, IfReq>::new(&mut mask))?;
    }
    // A mask is at most 32 bits long.
    Ok((address.ipv4(), u32::from(mask.ipv4()).leading_ones() as u8))
}

/// Sets the interface's up flag.
pub fn raise(interface: &str) -> Result<(), Errno> {
    let mut request = IfReq::new(interface)?;
    let socket = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    #[expect(unsafe_code, reason = "rustix has no typed form of the interface ioctls")]
    // SAFETY: both requests read and write one `struct ifreq`, whose size is asserted above.
    unsafe {
        ioctl(&socket, Updater::<GET_FLAGS, IfReq>::new(&mut request))?;
        request.flags |= UP;
        ioctl(&socket, Updater::<SET_FLAGS, IfReq>::new(&mut request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_and_overlong_names_are_refused() {
        assert_eq!(raise("no-such-if"), Err(Errno::NODEV));
        assert_eq!(raise("a-name-of-sixteen"), Err(Errno::INVAL));
        assert_eq!(ipv4("no-such-if"), Err(Errno::NODEV));
    }

    #[test]
    fn the_loopback_link_has_its_address() {
        assert_eq!(ipv4("lo"), Ok((Ipv4Addr::LOCALHOST, 8)));
    }
}
