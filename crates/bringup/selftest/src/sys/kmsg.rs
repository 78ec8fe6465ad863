// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The kernel's log, read as it grows.

use std::cell::RefCell;
use std::path::Path;

use rustix::fd::OwnedFd;
use rustix::fs::{OFlags, SeekFrom, seek};
use rustix::io::Errno;

use super::open_existing;

/// No record is longer (`PRINTKRB_RECORD_MAX` of `kernel/printk/internal.h`, with its prefix).
const RECORD_BYTES: usize = 8192;

/// A place in the log.
#[derive(Default)]
pub struct Log(RefCell<Option<OwnedFd>>);

impl Log {
    /// The texts since the last call; the first one only marks the place.
    pub fn news(&self, device: &Path) -> Result<Vec<String>, Errno> {
        let mut place = self.0.borrow_mut();
        let Some(fd) = place.as_ref() else {
            let fd = open_existing(device, OFlags::RDONLY | OFlags::NONBLOCK)?;
            seek(&fd, SeekFrom::End(0))?;
            *place = Some(fd);
            return Ok(Vec::new());
        };
        let mut texts = Vec::new();
        let mut record = vec![0; RECORD_BYTES];
        loop {
            match rustix::io::read(fd, &mut record[..]) {
                Ok(0) | Err(Errno::AGAIN) => return Ok(texts),
                Ok(length) => texts.extend(text(&record[..length])),
                // Records were overwritten before they were read, or a signal came.
                Err(Errno::PIPE | Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
    }
}

/// The first line of a record, `LEVEL,NUMBER,TIME,FLAGS;TEXT` (`Documentation/ABI/testing/dev-kmsg`).
fn text(record: &[u8]) -> Option<String> {
    let record = String::from_utf8_lossy(record);
    let (_, text) = record.lines().next()?.split_once(';')?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_its_text() {
        let record = b"5,339,5140900,-;module: Loading of unsigned module is rejected\n SUBSYSTEM=x\n";
        assert_eq!(text(record).as_deref(), Some("module: Loading of unsigned module is rejected"));
        assert_eq!(text(b"no record"), None);
    }
}
