// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads a real-time clock.

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, ioctl, opcode};

use crate::machine::RtcTime;

/// `struct rtc_time` (`linux/rtc.h`): year from 1900, month from 0.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawTime {
    second: i32,
    minute: i32,
    hour: i32,
    day: i32,
    month: i32,
    year: i32,
    week_day: i32,
    year_day: i32,
    summer_time: i32,
}
const _: () = assert!(size_of::<RawTime>() == 36);

/// `RTC_RD_TIME` (`linux/rtc.h`).
const READ_TIME: Opcode = opcode::read::<RawTime>(b'p', 0x09);

/// The clock's time.
pub fn read(device: impl AsFd) -> Result<RtcTime, Errno> {
    #[expect(unsafe_code, reason = "rustix has no typed form of the clock ioctl")]
    // SAFETY: the request fills one `struct rtc_time`, whose size is asserted above.
    let raw = unsafe { ioctl(device, Getter::<READ_TIME, RawTime>::new()) }?;
    Ok(RtcTime {
        year: raw.year + 1900,
        month: raw.month + 1,
        day: raw.day,
        hour: raw.hour,
        minute: raw.minute,
        second: raw.second,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_number_is_that_of_the_header() {
        assert_eq!(READ_TIME, 0x8024_7009);
    }

    #[test]
    fn something_else_than_a_clock_is_refused() {
        let null = std::fs::File::open("/dev/null").expect("opens");
        assert_eq!(read(null), Err(Errno::NOTTY));
    }
}
