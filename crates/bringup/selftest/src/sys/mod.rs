// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The real operations: system calls and ioctls. Nothing here decides what an answer means.

mod kmsg;
pub mod loopdev;
mod netif;
mod rtc;
mod topic;
pub mod watchdog;

use std::net::Ipv4Addr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;

use crate::machine::{Amount, Ops, RtcTime, TopicEnd};

/// Bytes per read of a block device: large enough that the request overhead does not count.
const CHUNK_BYTES: usize = 1 << 20;

/// Alignment for `O_DIRECT`: covers every logical block size up to a page.
const DIRECT_ALIGN_BYTES: usize = 4096;

/// Time between two tries of a generator that has nothing yet.
const RANDOM_RETRY: Duration = Duration::from_millis(20);

/// The running kernel.
pub struct Kernel {
    start: Instant,
    log: kmsg::Log,
}

impl Kernel {
    /// The kernel this program runs on.
    pub fn new() -> Self {
        Kernel { start: Instant::now(), log: kmsg::Log::default() }
    }
}

impl Default for Kernel {
    fn default() -> Self {
        Kernel::new()
    }
}

impl Ops for Kernel {
    fn load_module(&self, file: &Path) -> Result<(), Errno> {
        let fd = open_existing(file, OFlags::RDONLY)?;
        rustix::system::finit_module(&fd, c"", 0)
    }

    fn kernel_messages(&self) -> Result<Vec<String>, Errno> {
        self.log.news(Path::new("/dev/kmsg"))
    }

    fn run_topic(&self, topic: &str, limit: Duration) -> TopicEnd {
        topic::run("/proc/self/exe", &["feature", topic], limit)
    }

    fn unload_module(&self, name: &str) -> Result<(), Errno> {
        let name = std::ffi::CString::new(name).map_err(|_| Errno::INVAL)?;
        // `delete_module` without `O_NONBLOCK` would wait for users; with it a busy module is an error.
        rustix::system::delete_module(&name, OFlags::NONBLOCK.bits().cast_signed())
    }

    fn read_device(&self, device: &Path, limit: Duration) -> Result<Amount, Errno> {
        // Without `O_DIRECT` a second run would measure the page cache.
        let fd = match open_existing(device, OFlags::RDONLY | OFlags::DIRECT) {
            Err(Errno::INVAL) => open_existing(device, OFlags::RDONLY)?,
            other => other?,
        };
        let mut space = vec![0_u8; CHUNK_BYTES + DIRECT_ALIGN_BYTES];
        let skip = space.as_ptr().align_offset(DIRECT_ALIGN_BYTES);
        let buffer = &mut space[skip..skip + CHUNK_BYTES];
        let start = Instant::now();
        let mut bytes = 0_u64;
        while start.elapsed() < limit {
            match rustix::io::read(&fd, &mut *buffer) {
                Ok(0) => break,
                Ok(n) => bytes += n as u64,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(Amount { bytes, took: start.elapsed() })
    }

    fn random(&self, device: &Path, bytes: &mut [u8], limit: Duration) -> Result<(), Errno> {
        // A broken generator must not stop the report, so never wait inside the read.
        let fd = open_existing(device, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let start = Instant::now();
        let mut have = 0;
        while have < bytes.len() {
            match rustix::io::read(&fd, &mut bytes[have..]) {
                Ok(0) => return Err(Errno::IO),
                Ok(n) => have += n,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if start.elapsed() < limit => thread::sleep(RANDOM_RETRY),
                Err(Errno::AGAIN) => return Err(Errno::TIMEDOUT),
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    fn read_rtc(&self, device: &Path) -> Result<RtcTime, Errno> {
        rtc::read(&open_existing(device, OFlags::RDONLY)?)
    }

    fn raise_link(&self, interface: &str) -> Result<(), Errno> {
        netif::raise(interface)
    }

    fn ipv4(&self, interface: &str) -> Option<(Ipv4Addr, u8)> {
        // An interface that is gone by now has no address either.
        netif::ipv4(interface).ok()
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn pause(&self, time: Duration) {
        thread::sleep(time);
    }
}

/// Opens a path that exists; never becomes a controlling terminal, never leaks into a child.
pub(crate) fn open_existing(path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    open(path, flags | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_to_its_end_and_counted() {
        let dir = tempfile::tempdir().expect("folder");
        let path = dir.path().join("disk");
        std::fs::write(&path, vec![1_u8; 3 * CHUNK_BYTES]).expect("file");
        let amount = Kernel::new().read_device(&path, Duration::from_secs(20)).expect("readable");
        assert_eq!(amount.bytes, 3 * CHUNK_BYTES as u64);
        assert_eq!(Kernel::new().read_device(&dir.path().join("none"), Duration::ZERO), Err(Errno::NOENT));
    }

    #[test]
    fn a_generator_that_ends_is_an_error() {
        let mut bytes = [0_u8; 16];
        let kernel = Kernel::new();
        kernel.random(Path::new("/dev/urandom"), &mut bytes, Duration::from_secs(1)).expect("fills");
        assert_ne!(bytes, [0; 16]);
        assert_eq!(kernel.random(Path::new("/dev/null"), &mut bytes, Duration::ZERO), Err(Errno::IO));
    }
}
