// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Puts a file behind a loop device.

use std::path::{Path, PathBuf};

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, Setter, ioctl};

use super::open_existing;

/// `LOOP_CTL_GET_FREE` (`linux/loop.h`).
const GET_FREE: Opcode = 0x4C82;
/// `LOOP_CONFIGURE` (`linux/loop.h`), Linux 5.8.
const CONFIGURE: Opcode = 0x4C0A;
/// `LO_FLAGS_READ_ONLY`.
const READ_ONLY: u32 = 1;
/// `LO_FLAGS_AUTOCLEAR`: freed by the last unmount.
const AUTOCLEAR: u32 = 4;

/// What may be done with the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

/// `struct loop_config` with its `struct loop_info64` (`linux/loop.h`).
#[repr(C)]
#[derive(Clone, Copy)]
struct Config {
    fd: u32,
    block_size: u32,
    /// `lo_device`, `lo_inode`, `lo_rdevice`, `lo_offset`, `lo_sizelimit`.
    places: [u64; 5],
    /// `lo_number`, `lo_encrypt_type`, `lo_encrypt_key_size`.
    numbers: [u32; 3],
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
    reserved: [u64; 8],
}
const _: () = assert!(size_of::<Config>() == 304);

/// Asks for the number of a free loop device; the answer is the ioctl's return value.
struct GetFree;

#[expect(unsafe_code, reason = "no ready pattern returns the ioctl's own value")]
// SAFETY: the request takes no argument and touches no memory.
unsafe impl Ioctl for GetFree {
    type Output = u32;
    const IS_MUTATING: bool = false;

    fn opcode(&self) -> Opcode {
        GET_FREE
    }

    fn as_ptr(&mut self) -> *mut std::ffi::c_void {
        std::ptr::null_mut()
    }

    unsafe fn output_from_ptr(value: IoctlOutput, _: *mut std::ffi::c_void) -> Result<u32, Errno> {
        u32::try_from(value).map_err(|_| Errno::RANGE)
    }
}

/// An attached loop device; it stays attached while this or a mount of it lives.
pub struct Attached {
    _device: OwnedFd,
    /// Its node under `/dev`.
    pub path: PathBuf,
}

/// Attaches `file` to a free loop device. `/dev` must be mounted.
///
/// # Errors
/// No loop driver (`ENOENT`), or the kernel's answer.
pub fn attach(file: &Path, access: Access) -> Result<Attached, Errno> {
    let (mode, read_only) = match access {
        Access::ReadOnly => (OFlags::RDONLY, READ_ONLY),
        Access::ReadWrite => (OFlags::RDWR, 0),
    };
    let backing = open_existing(file, mode)?;
    let control = open_existing(Path::new("/dev/loop-control"), OFlags::RDWR)?;
    #[expect(unsafe_code, reason = "rustix has no typed form of the loop ioctls")]
    // SAFETY: see `GetFree`.
    let number = unsafe { ioctl(&control, GetFree) }?;
    let path = PathBuf::from(format!("/dev/loop{number}"));
    let device = open_existing(&path, OFlags::RDWR)?;
    let config = Config {
        fd: backing.as_raw_fd().cast_unsigned(),
        block_size: 0,
        places: [0; 5],
        numbers: [0; 3],
        flags: AUTOCLEAR | read_only,
        file_name: [0; 64],
        crypt_name: [0; 64],
        encrypt_key: [0; 32],
        init: [0; 2],
        reserved: [0; 8],
    };
    #[expect(unsafe_code, reason = "rustix has no typed form of the loop ioctls")]
    // SAFETY: the request reads one `struct loop_config`, whose size is asserted above; the descriptor in
    // it stays open until the kernel has taken its own reference.
    unsafe {
        ioctl(&device, Setter::<CONFIGURE, Config>::new(config))?;
    }
    Ok(Attached { _device: device, path })
}
