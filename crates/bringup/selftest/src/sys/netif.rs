// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Raises a network interface with the old ioctl pair: no netlink library for one flag.

use rustix::ioctl::{Opcode, Updater, ioctl};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use rustix::io::Errno;

/// `SIOCGIFFLAGS` (`linux/sockios.h`).
const GET_FLAGS: Opcode = 0x8913;
/// `SIOCSIFFLAGS` (`linux/sockios.h`).
const SET_FLAGS: Opcode = 0x8914;
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

/// Sets the interface's up flag.
pub fn raise(interface: &str) -> Result<(), Errno> {
    let mut request = IfReq { name: [0; NAME_BYTES], flags: 0, rest: [0; 11] };
    if interface.len() >= NAME_BYTES {
        return Err(Errno::INVAL);
    }
    request.name[..interface.len()].copy_from_slice(interface.as_bytes());
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
    }
}
