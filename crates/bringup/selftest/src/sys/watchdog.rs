// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Arms a watchdog that nobody will feed.

use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

use super::open_existing;

/// `WDIOC_SETTIMEOUT` (`linux/watchdog.h`): takes seconds, gives back what the hardware made of them.
const SET_TIMEOUT: Opcode = opcode::read_write::<i32>(b'W', 6);

/// An armed watchdog. Closing it is no way out on purpose: without the magic byte the kernel keeps it
/// running.
pub struct Armed {
    _device: OwnedFd,
    /// Seconds until it bites.
    pub timeout_s: i32,
}

/// Opens the device, which starts the timer, and asks for a timeout.
///
/// # Errors
/// It cannot be opened, or refuses the timeout.
pub fn arm(device: &Path, timeout_s: i32) -> Result<Armed, Errno> {
    let fd = open_existing(device, OFlags::WRONLY)?;
    let mut timeout_s = timeout_s;
    #[expect(unsafe_code, reason = "rustix has no typed form of the watchdog ioctls")]
    // SAFETY: the request reads and writes one C `int`.
    unsafe {
        ioctl(&fd, Updater::<SET_TIMEOUT, i32>::new(&mut timeout_s))?;
    }
    Ok(Armed { _device: fd, timeout_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_number_is_that_of_the_header() {
        assert_eq!(SET_TIMEOUT, 0xc004_5706);
    }

    #[test]
    fn something_else_than_a_watchdog_is_refused() {
        assert_eq!(arm(Path::new("/dev/null"), 1).err(), Some(Errno::NOTTY));
    }
}
