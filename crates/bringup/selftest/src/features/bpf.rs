// SPDX-License-Identifier: Apache-2.0 OR MIT
//! eBPF: a program that counts in a map, one that guards devices of a cgroup, and type information.
//!
//! Layouts and numbers: `linux/bpf.h`, `linux/bpf_common.h`, `linux/btf.h`.

use std::fs;
use std::io;
use std::path::Path;

use rustix::fd::{AsRawFd, FromRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, mount};

use super::{Lines, Network, Outcome, Place, Topic, Trouble, ensure, raw};

pub(super) const TOPIC: Topic = Topic {
    name: "bpf",
    checks: &["bpf.program", "bpf.cgroup-device", "bpf.btf"],
    network: Network::Own,
    run,
};

/// `BPF_MAP_CREATE`, `BPF_MAP_LOOKUP_ELEM`, `BPF_PROG_LOAD`, `BPF_PROG_ATTACH`, `BPF_PROG_TEST_RUN`.
const MAP_CREATE: usize = 0;
const MAP_LOOKUP: usize = 1;
const PROGRAM_LOAD: usize = 5;
const PROGRAM_ATTACH: usize = 8;
const PROGRAM_TEST_RUN: usize = 10;
/// `BPF_MAP_TYPE_ARRAY`.
const ARRAY: u32 = 2;
/// `BPF_PROG_TYPE_SOCKET_FILTER`, `BPF_PROG_TYPE_CGROUP_DEVICE`.
const SOCKET_FILTER: u32 = 1;
const CGROUP_DEVICE: u32 = 15;
/// `BPF_CGROUP_DEVICE`.
const ATTACH_DEVICE: u32 = 6;
/// `BTF_MAGIC`.
const BTF_MAGIC: u16 = 0xeb9f;
const BTF_FILE: &str = "/sys/kernel/btf/vmlinux";
/// What the counting program gives back.
const ANSWER: u32 = 42;

fn run(place: &Place, lines: &mut Lines<'_>) {
    lines.add("bpf.program", program());
    lines.add("bpf.cgroup-device", device_guard(place));
    lines.add("bpf.btf", btf());
}

/// One instruction: operation, destination and source register, offset, immediate.
fn instruction(code: u8, target: u8, source: u8, offset: i16, immediate: i32) -> [u8; 8] {
    let mut bytes = [code, target | source << 4, 0, 0, 0, 0, 0, 0];
    bytes[2..4].copy_from_slice(&offset.to_ne_bytes());
    bytes[4..].copy_from_slice(&immediate.to_ne_bytes());
    bytes
}

/// `union bpf_attr`, filled by 32-bit words; pointers take two.
struct Attr([u8; 128]);

impl Attr {
    fn new() -> Self {
        Attr([0; 128])
    }

    fn word(mut self, at: usize, value: u32) -> Self {
        self.0[at..at + 4].copy_from_slice(&value.to_ne_bytes());
        self
    }

    fn pointer<T: ?Sized>(mut self, at: usize, to: &T) -> Self {
        let address = std::ptr::from_ref(to).cast::<u8>() as u64;
        self.0[at..at + 8].copy_from_slice(&address.to_ne_bytes());
        self
    }

    /// For what the kernel writes.
    fn pointer_mut<T: ?Sized>(mut self, at: usize, to: &mut T) -> Self {
        let address = std::ptr::from_mut(to).cast::<u8>() as u64;
        self.0[at..at + 8].copy_from_slice(&address.to_ne_bytes());
        self
    }

    /// Calls the kernel.
    ///
    /// # Safety
    /// Every pointer in it must be valid for what the command reads and writes.
    #[expect(unsafe_code, reason = "no library for the bpf system call is needed for five commands")]
    unsafe fn call(&mut self, command: usize) -> io::Result<usize> {
        let args = [command, self.0.as_mut_ptr() as usize, self.0.len(), 0, 0, 0];
        // SAFETY: the attribute is a live array of the given length; what it points to is the caller's duty.
        unsafe { raw::syscall(libc::SYS_bpf, args) }
    }
}

fn owned(fd: usize) -> OwnedFd {
    #[expect(unsafe_code, reason = "the kernel just gave this descriptor")]
    // SAFETY: it is new and nobody else has it.
    unsafe {
        OwnedFd::from_raw_fd(fd as i32)
    }
}

fn load(kind: u32, instructions: &[[u8; 8]]) -> Result<OwnedFd, Trouble> {
    let code = instructions.concat();
    let mut log = vec![0_u8; 4096];
    // prog_type, insn_cnt, insns, license, log_level, log_size, log_buf.
    let mut attr = Attr::new()
        .word(0, kind)
        .word(4, instructions.len() as u32)
        .pointer(8, code.as_slice())
        .pointer(16, c"GPL".to_bytes_with_nul())
        .word(24, 1)
        .word(28, log.len() as u32)
        .pointer_mut(32, log.as_mut_slice());
    #[expect(unsafe_code, reason = "see `Attr::call`")]
    // SAFETY: code, licence and log live until the call is over and have the lengths given.
    let answer = unsafe { attr.call(PROGRAM_LOAD) };
    answer.map(owned).map_err(|e| {
        let text = String::from_utf8_lossy(&log);
        Trouble::Fail(format!("loading the program: {e}: {}", text.trim_end_matches('\0')))
    })
}

fn program() -> Outcome {
    // map_type, key_size, value_size, max_entries.
    let mut attr = Attr::new().word(0, ARRAY).word(4, 4).word(8, 8).word(12, 1);
    #[expect(unsafe_code, reason = "see `Attr::call`")]
    // SAFETY: no pointers.
    let map = owned(unsafe { attr.call(MAP_CREATE) }.map_err(Trouble::during("creating a map"))?);
    let program = load(
        SOCKET_FILTER,
        &[
            // A key of zero on the stack, and its address as the second argument.
            instruction(0x62, 10, 0, -4, 0),
            instruction(0xbf, 2, 10, 0, 0),
            instruction(0x07, 2, 0, 0, -4),
            // The map as the first (BPF_PSEUDO_MAP_FD), bpf_map_lookup_elem.
            instruction(0x18, 1, 1, 0, map.as_raw_fd()),
            instruction(0, 0, 0, 0, 0),
            instruction(0x85, 0, 0, 0, 1),
            // Found: add one to the value, atomically.
            instruction(0x15, 0, 0, 2, 0),
            instruction(0xb7, 1, 0, 0, 1),
            instruction(0xdb, 0, 1, 0, 0),
            instruction(0xb7, 0, 0, 0, ANSWER as i32),
            instruction(0x95, 0, 0, 0, 0),
        ],
    )?;
    let packet = [0_u8; 64];
    // prog_fd, retval, data_size_in, data_size_out, data_in, data_out, repeat.
    let mut attr = Attr::new()
        .word(0, program.as_raw_fd().cast_unsigned())
        .word(8, packet.len() as u32)
        .pointer(16, &packet)
        .word(32, 3);
    #[expect(unsafe_code, reason = "see `Attr::call`")]
    // SAFETY: the packet lives until the call is over and has the length given.
    unsafe { attr.call(PROGRAM_TEST_RUN) }.map_err(Trouble::during("running the program"))?;
    let answer = u32::from_ne_bytes([attr.0[4], attr.0[5], attr.0[6], attr.0[7]]);
    ensure(answer == ANSWER, format!("the program gave {answer}, not {ANSWER}"))?;
    let (key, mut value) = (0_u32, 0_u64);
    // map_fd, key, value.
    let mut attr =
        Attr::new().word(0, map.as_raw_fd().cast_unsigned()).pointer(8, &key).pointer_mut(16, &mut value);
    #[expect(unsafe_code, reason = "see `Attr::call`")]
    // SAFETY: key and value have the sizes that the map was made with.
    unsafe { attr.call(MAP_LOOKUP) }.map_err(Trouble::during("reading the map"))?;
    ensure(value == 3, format!("three runs counted {value}"))?;
    Ok("loaded, ran 3 times, counted in a map".into())
}

fn device_guard(place: &Place) -> Outcome {
    let root = place.folder("cgroup")?;
    mount("cgroup2", &root, "cgroup2", MountFlags::empty(), None)?;
    let group = root.join("selftest-bpf");
    fs::create_dir_all(&group)?;
    let outcome = guard(&group);
    let _ = fs::remove_dir(&group);
    outcome
}

/// A program that refuses every device, attached to a group: its member can open none.
fn guard(group: &Path) -> Outcome {
    let program = load(CGROUP_DEVICE, &[instruction(0xb7, 0, 0, 0, 0), instruction(0x95, 0, 0, 0, 0)])?;
    let dir = rustix::fs::open(group, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    // target_fd, attach_bpf_fd, attach_type.
    let mut attr = Attr::new()
        .word(0, dir.as_raw_fd().cast_unsigned())
        .word(4, program.as_raw_fd().cast_unsigned())
        .word(8, ATTACH_DEVICE);
    #[expect(unsafe_code, reason = "see `Attr::call`")]
    // SAFETY: no pointers.
    unsafe { attr.call(PROGRAM_ATTACH) }.map_err(Trouble::during("attaching the program"))?;
    let status = raw::in_child(|| {
        if fs::File::open("/dev/null").is_err() || fs::write(group.join("cgroup.procs"), "0").is_err() {
            return 2;
        }
        match fs::File::open("/dev/null") {
            Err(e) if e.raw_os_error() == Some(libc::EPERM) => 0,
            _ => 1,
        }
    })?;
    ensure(status == 0, format!("a member could open `/dev/null` ({status})"))?;
    Ok("attached, devices refused to its member".into())
}

fn btf() -> Outcome {
    let bytes = match fs::read(BTF_FILE) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            return Err(Trouble::Skip(format!("no `{BTF_FILE}`: built without BTF")));
        }
        Err(e) => return Err(e.into()),
    };
    ensure(bytes.starts_with(&BTF_MAGIC.to_ne_bytes()), "its magic number is wrong")?;
    let modules = fs::read_dir("/sys/kernel/btf").map_or(0, |d| d.count().saturating_sub(1));
    Ok(format!("{} bytes, {modules} loaded modules have their own", bytes.len()))
}
