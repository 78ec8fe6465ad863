// SPDX-License-Identifier: Apache-2.0 OR MIT
//! System calls that `rustix` has no form for, and children.
//!
//! Pointers that are handed to the kernel inside of structures are the caller's duty; each call says why they
//! hold.

use std::io;

use rustix::thread::UnshareFlags;

/// One system call with up to six arguments.
///
/// # Safety
/// The arguments must be what the call takes: pointers valid for what the kernel reads and writes through them.
///
/// # Errors
/// The kernel's answer.
#[expect(unsafe_code, reason = "any system call at all")]
pub unsafe fn syscall(number: libc::c_long, args: [usize; 6]) -> io::Result<usize> {
    let [a, b, c, d, e, f] = args;
    // SAFETY: passed on to the caller.
    let answer = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    usize::try_from(answer).map_err(|_| io::Error::last_os_error())
}

/// Leaves namespaces. The process has one thread when topics run.
///
/// # Errors
/// The kernel's answer.
pub fn unshare(flags: UnshareFlags) -> io::Result<()> {
    #[expect(unsafe_code, reason = "rustix marks it for the flag that splits file descriptors")]
    // SAFETY: `UnshareFlags::FILES` is never among the flags.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}

/// Runs `work` in a child and gives its exit status: 0 to 255, or 256 plus the signal that ended it.
///
/// # Errors
/// No child could be made.
pub fn in_child(work: impl FnOnce() -> u8) -> io::Result<i32> {
    let child = fork(work)?;
    wait(child)
}

/// Starts `work` in a child and gives its process number.
///
/// # Errors
/// No child could be made (`EAGAIN` at a limit).
pub fn fork(work: impl FnOnce() -> u8) -> io::Result<libc::pid_t> {
    #[expect(unsafe_code, reason = "namespaces, limits and filters are for children that are copies")]
    // SAFETY: a topic has one thread, so the copy may do all that the original may.
    let child = unsafe { libc::fork() };
    match child {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or(255);
            #[expect(unsafe_code, reason = "the copy must not run the original's clean-up")]
            // SAFETY: ends this process, nothing else.
            unsafe {
                libc::_exit(status.into())
            }
        }
        child => Ok(child),
    }
}

/// Waits for a child; the status is that of [`in_child`].
///
/// # Errors
/// It is no child of ours.
pub fn wait(child: libc::pid_t) -> io::Result<i32> {
    let mut status = 0;
    #[expect(unsafe_code, reason = "rustix would need another type for the number")]
    // SAFETY: writes one integer.
    if unsafe { libc::waitpid(child, &raw mut status, 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 256 + libc::WTERMSIG(status) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_end_with_their_status() {
        assert_eq!(in_child(|| 7).expect("child"), 7);
        let killed = in_child(|| {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
            0
        });
        assert_eq!(killed.expect("child"), 256 + libc::SIGKILL);
    }
}
