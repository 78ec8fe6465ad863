// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a process can forbid itself: seccomp filters and Landlock rules.
//!
//! Layouts and numbers: `linux/filter.h`, `linux/seccomp.h`, `linux/landlock.h`.

use std::fs;
use std::io;

use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::{Lines, Network, Outcome, Place, Topic, Trouble, ensure, raw};

pub(super) const TOPIC: Topic =
    Topic { name: "sandbox", checks: &["seccomp", "landlock"], network: Network::Own, run };

/// `SECCOMP_RET_ERRNO` with `EPROTO`, which nothing else gives here; `SECCOMP_RET_ALLOW`.
const RETURN_ERRNO: u32 = 0x0005_0000;
const RETURN_ALLOW: u32 = 0x7fff_0000;
/// `SECCOMP_SET_MODE_FILTER`.
const SET_FILTER: usize = 1;
/// `landlock_create_ruleset` and `landlock_restrict_self`: the same numbers on every processor.
const LANDLOCK_CREATE: libc::c_long = 444;
const LANDLOCK_RESTRICT: libc::c_long = 446;
/// `LANDLOCK_CREATE_RULESET_VERSION`.
const LANDLOCK_VERSION: usize = 1;
/// `LANDLOCK_ACCESS_FS_READ_FILE`.
const READ_FILE: u64 = 1 << 2;

fn run(place: &Place, lines: &mut Lines<'_>) {
    lines.add("seccomp", seccomp());
    lines.add("landlock", landlock(place));
}

/// Without it only root may use either, and a container's processes are not.
fn no_new_privileges() -> io::Result<()> {
    rustix::thread::set_no_new_privs(true).map_err(io::Error::from)
}

/// A filter that answers `uname` with an error of its own.
fn filter() -> io::Result<()> {
    // Load the number of the call; is it `uname`? then the error, else go on.
    let load = libc::sock_filter { code: 0x20, jt: 0, jf: 0, k: 0 };
    let is_uname = libc::sock_filter { code: 0x15, jt: 0, jf: 1, k: libc::SYS_uname as u32 };
    let refuse = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: RETURN_ERRNO | libc::EPROTO as u32 };
    let allow = libc::sock_filter { code: 0x06, jt: 0, jf: 0, k: RETURN_ALLOW };
    let mut code = [load, is_uname, refuse, allow];
    let program = libc::sock_fprog { len: code.len() as u16, filter: code.as_mut_ptr() };
    let args = [SET_FILTER, 0, std::ptr::from_ref(&program) as usize, 0, 0, 0];
    #[expect(unsafe_code, reason = "see `raw::syscall`")]
    // SAFETY: the program and its instructions live until the call is over.
    unsafe { raw::syscall(libc::SYS_seccomp, args) }.map(|_| ())
}

fn uname() -> io::Result<()> {
    let mut space = [0_u8; 512];
    #[expect(unsafe_code, reason = "see `raw::syscall`")]
    // SAFETY: `struct utsname` has 390 bytes.
    unsafe { raw::syscall(libc::SYS_uname, [space.as_mut_ptr() as usize, 0, 0, 0, 0, 0]) }.map(|_| ())
}

fn seccomp() -> Outcome {
    let status = raw::in_child(|| {
        if uname().is_err() || no_new_privileges().is_err() || filter().is_err() {
            return 2;
        }
        match uname() {
            Err(e) if e.raw_os_error() == Some(libc::EPROTO) => 0,
            _ => 1,
        }
    })?;
    match status {
        0 => Ok("a filter answers in the place of a call".into()),
        1 => Err(Trouble::Fail("the filter does nothing".into())),
        _ => Err(Trouble::Fail("no filter can be set".into())),
    }
}

fn landlock(place: &Place) -> Outcome {
    #[expect(unsafe_code, reason = "see `raw::syscall`")]
    // SAFETY: no pointers.
    let version = unsafe { raw::syscall(LANDLOCK_CREATE, [0, 0, LANDLOCK_VERSION, 0, 0, 0]) }
        .map_err(Trouble::during("asking for its version"))?;
    let file = place.path("secret");
    fs::write(&file, "")?;
    let status = raw::in_child(|| {
        if fs::File::open(&file).is_err() || no_new_privileges().is_err() || restrict().is_err() {
            return 2;
        }
        match fs::File::open(&file) {
            Err(e) if e.raw_os_error() == Some(libc::EACCES) => 0,
            _ => 1,
        }
    })?;
    ensure(status == 0, format!("a forbidden file opens ({status})"))?;
    Ok(format!("version {version}, a forbidden file stays closed"))
}

/// Forbids reading any file.
fn restrict() -> io::Result<()> {
    let handled = READ_FILE;
    let create = [std::ptr::from_ref(&handled) as usize, size_of::<u64>(), 0, 0, 0, 0];
    #[expect(unsafe_code, reason = "see `raw::syscall`")]
    // SAFETY: reads eight bytes.
    let ruleset = unsafe { raw::syscall(LANDLOCK_CREATE, create) }?;
    #[expect(unsafe_code, reason = "the kernel just gave this descriptor")]
    // SAFETY: it is new and nobody else has it.
    let ruleset = unsafe { OwnedFd::from_raw_fd(ruleset as i32) };
    #[expect(unsafe_code, reason = "see `raw::syscall`")]
    // SAFETY: no pointers.
    unsafe { raw::syscall(LANDLOCK_RESTRICT, [ruleset.as_raw_fd() as usize, 0, 0, 0, 0, 0]) }.map(|_| ())
}
