// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Devices that programs open: TUN, FUSE, KVM.
//!
//! Layouts and numbers: `linux/if_tun.h`, `linux/fuse.h`.

use std::ffi::CString;
use std::fs;
use std::io::Read;
use std::path::Path;

use rustix::fd::AsRawFd;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::{Lines, Network, Outcome, Place, Topic, Trouble, ensure, raw};

pub(super) const TOPIC: Topic =
    Topic { name: "devices", checks: &["dev.tun", "dev.fuse", "dev.kvm"], network: Network::Own, run };

/// `TUNSETIFF`: `_IOW('T', 202, int)`.
const TUN_SET: usize = 0x4004_54ca;
/// `IFF_TUN | IFF_NO_PI`.
const TUN_FLAGS: u16 = 0x1001;
/// `FUSE_INIT`.
const FUSE_INIT: u32 = 26;

fn run(place: &Place, lines: &mut Lines<'_>) {
    lines.add("dev.tun", tun());
    lines.add("dev.fuse", fuse(place));
    lines.add("dev.kvm", kvm());
}

fn tun() -> Outcome {
    let device = fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    // struct ifreq: name, then the flags.
    let mut request = [0_u8; 40];
    request[..5].copy_from_slice(b"t-tun");
    request[16..18].copy_from_slice(&TUN_FLAGS.to_ne_bytes());
    let args = [device.as_raw_fd() as usize, TUN_SET, request.as_mut_ptr() as usize, 0, 0, 0];
    #[expect(unsafe_code, reason = "rustix has no form for this request")]
    // SAFETY: reads and writes one `struct ifreq` of 40 bytes.
    unsafe { raw::syscall(libc::SYS_ioctl, args) }.map_err(Trouble::during("making an interface"))?;
    ensure(Path::new("/sys/class/net/t-tun").exists(), "no interface came of it")?;
    Ok("interface made".into())
}

/// Mounts a file system whose server is this process, and reads the kernel's greeting.
fn fuse(place: &Place) -> Outcome {
    let mut device = fs::OpenOptions::new().read(true).write(true).open("/dev/fuse")?;
    let target = place.folder("fuse")?;
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    let options = CString::new(options).map_err(|e| Trouble::Fail(e.to_string()))?;
    mount("selftest", &target, "fuse", MountFlags::empty(), Some(&*options))?;
    let mut greeting = vec![0; 64 << 10];
    let length = device.read(&mut greeting)?;
    unmount(&target, UnmountFlags::DETACH)?;
    let word =
        |at: usize| u32::from_ne_bytes([greeting[at], greeting[at + 1], greeting[at + 2], greeting[at + 3]]);
    ensure(length >= 48 && word(4) == FUSE_INIT, "the first message is no greeting")?;
    Ok(format!("mounted, protocol {}.{}", word(40), word(44)))
}

fn kvm() -> Outcome {
    if Path::new("/dev/kvm").exists() {
        return Ok("there".into());
    }
    Err(Trouble::Skip("the firmware started the kernel below EL2".into()))
}
