// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Two system calls that databases and live migration use: io_uring and userfaultfd.
//!
//! Layouts and numbers: `linux/io_uring.h`, `linux/userfaultfd.h`.

use std::io;
use std::ptr;

use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::{Lines, Network, Outcome, Place, Topic, Trouble, ensure, raw};

pub(super) const TOPIC: Topic =
    Topic { name: "uring", checks: &["io_uring", "userfaultfd"], network: Network::Own, run };

/// `IORING_ENTER_GETEVENTS`.
const GET_EVENTS: usize = 1;
/// `IORING_OFF_SQ_RING`, `IORING_OFF_SQES`.
const QUEUES_OFFSET: i64 = 0;
const ENTRIES_OFFSET: i64 = 0x1000_0000;
/// Of `struct io_uring_params`: where the offsets of both queues begin.
const SUBMIT_OFFSETS: usize = 40;
const COMPLETE_OFFSETS: usize = 80;
const PARAMETER_BYTES: usize = 120;
const MAPPED_BYTES: usize = 4096;
/// What the request carries and its answer must give back.
const MARK: u64 = 0x6d36_6d36;

/// `UFFDIO_API`, `UFFDIO_REGISTER`, `UFFDIO_ZEROPAGE`.
const UFFD_API: usize = 0xc018_aa3f;
const UFFD_REGISTER: usize = 0xc020_aa00;
const UFFD_ZEROPAGE: usize = 0xc020_aa04;
/// The version `UFFD_API` itself.
const UFFD_VERSION: u64 = 0xaa;

fn run(_: &Place, lines: &mut Lines<'_>) {
    lines.add("io_uring", io_uring());
    lines.add("userfaultfd", userfaultfd());
}

/// A shared or private mapping, gone when dropped.
struct Mapping(*mut u8, usize);

impl Mapping {
    fn new(length: usize, flags: i32, file: i32, offset: i64) -> io::Result<Self> {
        #[expect(unsafe_code, reason = "memory that is shared with the kernel")]
        // SAFETY: a new mapping at a place of the kernel's choice touches nothing of ours.
        let at = unsafe {
            libc::mmap(ptr::null_mut(), length, libc::PROT_READ | libc::PROT_WRITE, flags, file, offset)
        };
        if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Mapping(at.cast(), length)) }
    }

    fn read(&self, at: usize) -> u32 {
        assert!(at.is_multiple_of(4) && at + 4 <= self.1, "inside of the mapping");
        #[expect(unsafe_code, reason = "the kernel writes there")]
        // SAFETY: inside of the mapping and aligned, as was just asserted.
        unsafe {
            ptr::read_volatile(self.0.add(at).cast::<u32>())
        }
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.1, "inside of the mapping");
        for (index, byte) in bytes.iter().enumerate() {
            #[expect(unsafe_code, reason = "the kernel reads there")]
            // SAFETY: inside of the mapping, as was just asserted.
            unsafe {
                ptr::write_volatile(self.0.add(at + index), *byte)
            }
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "see `Mapping::new`")]
        // SAFETY: it is ours, and nothing borrows from it.
        unsafe {
            libc::munmap(self.0.cast(), self.1);
        }
    }
}

fn owned(fd: usize) -> OwnedFd {
    #[expect(unsafe_code, reason = "the kernel just gave this descriptor")]
    // SAFETY: it is new and nobody else has it.
    unsafe {
        OwnedFd::from_raw_fd(fd as i32)
    }
}

/// One request that does nothing, submitted and answered.
fn io_uring() -> Outcome {
    let mut parameters = [0_u8; PARAMETER_BYTES];
    let setup = [1, parameters.as_mut_ptr() as usize, 0, 0, 0, 0];
    #[expect(unsafe_code, reason = "see `raw::syscall`")]
    // SAFETY: the kernel fills one `struct io_uring_params` of 120 bytes.
    let ring = owned(unsafe { raw::syscall(libc::SYS_io_uring_setup, setup) }?);
    let word = |at: usize| {
        u32::from_ne_bytes([parameters[at], parameters[at + 1], parameters[at + 2], parameters[at + 3]])
            as usize
    };
    // Both queues share one mapping (`IORING_FEAT_SINGLE_MMAP`, Linux 5.4).
    let queues = Mapping::new(MAPPED_BYTES, libc::MAP_SHARED, ring.as_raw_fd(), QUEUES_OFFSET)?;
    let entries = Mapping::new(MAPPED_BYTES, libc::MAP_SHARED, ring.as_raw_fd(), ENTRIES_OFFSET)?;
    // Entry 0 is IORING_OP_NOP, all zero but its mark; slot 0 of the queue names it; the tail moves behind it.
    entries.write(32, &MARK.to_ne_bytes());
    queues.write(word(SUBMIT_OFFSETS + 24), &0_u32.to_ne_bytes());
    queues.write(word(SUBMIT_OFFSETS + 4), &1_u32.to_ne_bytes());
    let enter = [ring.as_raw_fd() as usize, 1, 1, GET_EVENTS, 0, 0];
    #[expect(unsafe_code, reason = "see `raw::syscall`")]
    // SAFETY: no pointers; the queues are mapped.
    let submitted = unsafe { raw::syscall(libc::SYS_io_uring_enter, enter) }?;
    ensure(submitted == 1, format!("{submitted} requests were taken, not one"))?;
    let answer = word(COMPLETE_OFFSETS + 20);
    ensure(queues.read(answer) == MARK as u32, "the answer is not that of the request")?;
    Ok("a request was answered".into())
}

/// A page that is missing until this process, told by the kernel, provides it.
fn userfaultfd() -> Outcome {
    #[expect(unsafe_code, reason = "see `raw::syscall`")]
    // SAFETY: no pointers.
    let handle = unsafe { raw::syscall(libc::SYS_userfaultfd, [libc::O_CLOEXEC as usize, 0, 0, 0, 0, 0]) };
    let handle = owned(handle?);
    let control = |request: usize, words: &mut [u64; 4]| {
        let args = [handle.as_raw_fd() as usize, request, words.as_mut_ptr() as usize, 0, 0, 0];
        #[expect(unsafe_code, reason = "rustix has no form for these requests")]
        // SAFETY: each request reads and writes at most four words; the range in it is a mapping of ours.
        unsafe { raw::syscall(libc::SYS_ioctl, args) }.map(|_| ())
    };
    control(UFFD_API, &mut [UFFD_VERSION, 0, 0, 0]).map_err(Trouble::during("agreeing on the version"))?;
    let page = Mapping::new(MAPPED_BYTES, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0)?;
    let range = [page.0 as u64, MAPPED_BYTES as u64];
    // UFFDIO_REGISTER_MODE_MISSING.
    control(UFFD_REGISTER, &mut [range[0], range[1], 1, 0]).map_err(Trouble::during("registering a page"))?;
    control(UFFD_ZEROPAGE, &mut [range[0], range[1], 0, 0]).map_err(Trouble::during("providing the page"))?;
    ensure(page.read(0) == 0, "the page is not zero")?;
    Ok("page registered and provided".into())
}
