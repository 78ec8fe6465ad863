// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The device mapper's control device: devices made from tables, as `dmsetup` makes them.
//!
//! Layouts and numbers: `linux/dm-ioctl.h`. What a table says is with the callers.

use std::io;
use std::path::PathBuf;

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};

use super::{Trouble, raw};

/// `DM_VERSION_MAJOR`; any minor serves.
const MAJOR_VERSION: u32 = 4;
/// `_IOWR(0xfd, n, struct dm_ioctl)` without n: direction 3, size 312.
const REQUEST: usize = 3 << 30 | HEADER_BYTES << 16 | 0xfd << 8;
/// `DM_DEV_CREATE`, `DM_DEV_REMOVE`, `DM_DEV_SUSPEND` (which also resumes), `DM_TABLE_LOAD`, `DM_TARGET_MSG`.
const CREATE: usize = 3;
const REMOVE: usize = 4;
const RESUME: usize = 6;
const TABLE_LOAD: usize = 9;
const MESSAGE: usize = 14;
/// `struct dm_ioctl` with its seven bytes of data and the padding.
const HEADER_BYTES: usize = 312;
/// `struct dm_target_spec`.
const TARGET_BYTES: usize = 40;
/// Room for tables and messages.
const BUFFER_BYTES: usize = 4096;

/// A mapped device; removed when dropped.
pub struct Mapped {
    control: OwnedFd,
    name: String,
    /// Its node.
    pub path: PathBuf,
}

impl Mapped {
    /// Makes a device of one target over its whole length.
    ///
    /// # Errors
    /// The kernel refuses the table.
    pub fn new(name: &str, sectors: u64, target: &str, parameters: &str) -> Result<Mapped, Trouble> {
        let control = open("/dev/mapper/control", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .map_err(|e| Trouble::during("opening `/dev/mapper/control`")(e.into()))?;
        let answer =
            call(&control, CREATE, name, &[], 0).map_err(Trouble::during(format!("creating `{name}`")))?;
        let mapped = Mapped { control, name: name.to_owned(), path: node(&answer) };
        mapped
            .call(TABLE_LOAD, &table(sectors, target, parameters), 1)
            .map_err(Trouble::during(format!("loading the table `0 {sectors} {target} {parameters}`")))?;
        mapped.call(RESUME, &[], 0).map_err(Trouble::during(format!("starting `{name}`")))?;
        Ok(mapped)
    }

    /// Sends a message to its target.
    ///
    /// # Errors
    /// The target refuses it.
    pub fn message(&self, text: &str) -> Result<(), Trouble> {
        // struct dm_target_msg: a sector, then the text.
        let data = [&[0; 8], text.as_bytes(), b"\0"].concat();
        self.call(MESSAGE, &data, 0).map_err(Trouble::during(format!("sending `{text}`")))?;
        Ok(())
    }

    fn call(&self, command: usize, data: &[u8], targets: u32) -> io::Result<Vec<u8>> {
        call(&self.control, command, &self.name, data, targets)
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // A device that is left stays until the restart; nothing depends on it.
        let _ = self.call(REMOVE, &[], 0);
    }
}

/// A header with data behind it.
fn request(name: &str, data: &[u8], targets: u32) -> Vec<u8> {
    let mut buffer = vec![0; BUFFER_BYTES];
    // version, data_size, data_start, target_count; the name after five more words and the device number.
    for (at, value) in
        [(0, MAJOR_VERSION), (12, BUFFER_BYTES as u32), (16, HEADER_BYTES as u32), (20, targets)]
    {
        buffer[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    buffer[48..48 + name.len()].copy_from_slice(name.as_bytes());
    buffer[HEADER_BYTES..HEADER_BYTES + data.len()].copy_from_slice(data);
    buffer
}

/// One target: start, length, where the next one begins, name, and its parameters with their NUL.
fn table(sectors: u64, target: &str, parameters: &str) -> Vec<u8> {
    let mut bytes = vec![0; TARGET_BYTES];
    bytes[8..16].copy_from_slice(&sectors.to_ne_bytes());
    bytes[24..24 + target.len()].copy_from_slice(target.as_bytes());
    bytes.extend(parameters.as_bytes());
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    let next = bytes.len() as u32;
    bytes[20..24].copy_from_slice(&next.to_ne_bytes());
    bytes
}

fn call(control: &OwnedFd, command: usize, name: &str, data: &[u8], targets: u32) -> io::Result<Vec<u8>> {
    let mut buffer = request(name, data, targets);
    let args = [control.as_raw_fd() as usize, REQUEST | command, buffer.as_mut_ptr() as usize, 0, 0, 0];
    #[expect(unsafe_code, reason = "rustix has no form for requests with data behind them")]
    // SAFETY: the request reads and writes at most the buffer's length, which stands in its header.
    unsafe { raw::syscall(libc::SYS_ioctl, args) }?;
    Ok(buffer)
}

/// The node of a device: `dm-` and the minor number, from the device number in an answer.
fn node(answer: &[u8]) -> PathBuf {
    let mut number = [0; 8];
    number.copy_from_slice(&answer[40..48]);
    let number = u64::from_ne_bytes(number);
    // The major number is in bits 8 to 19 (`new_encode_dev` of `linux/kdev_t.h`).
    PathBuf::from(format!("/dev/dm-{}", number & 0xff | number >> 12 & 0xf_ff00))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_says_where_it_ends() {
        let bytes = table(8, "zero", "");
        assert_eq!(bytes.len(), TARGET_BYTES + 8);
        assert_eq!(bytes[20..24], (bytes.len() as u32).to_ne_bytes());
        assert_eq!(&bytes[24..28], b"zero");
        let header = request("name", &bytes, 1);
        assert_eq!(&header[48..53], b"name\0");
        assert_eq!(header[HEADER_BYTES..HEADER_BYTES + bytes.len()], bytes);
    }

    #[test]
    fn the_node_has_the_minor_number() {
        let mut answer = [0; HEADER_BYTES];
        // 253:300, as `new_encode_dev` has it.
        answer[40..48].copy_from_slice(&(300_u64 & 0xff | 253 << 8 | (300 & !0xff) << 12).to_ne_bytes());
        assert_eq!(node(&answer), PathBuf::from("/dev/dm-300"));
    }

    #[test]
    fn the_request_number_is_that_of_the_header() {
        // DM_DEV_CREATE as strace prints it.
        assert_eq!(REQUEST | CREATE, 0xc138_fd03);
    }
}
