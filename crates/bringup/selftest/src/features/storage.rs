// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Storage over the network: the drivers are there and answer, as far as they do without a server.

use std::fs;
use std::io;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fd::{AsFd, AsRawFd};

use super::{Lines, Network, Outcome, Place, Topic, Trouble, ensure, raw};
use crate::machine::Machine;
use crate::mods;
use crate::mods::load::{Outcome as Outcomes, Tree};
use crate::sys::Kernel;

pub(super) const TOPIC: Topic = Topic {
    name: "storage",
    checks: &["storage.nbd", "storage.nvme-tcp", "storage.iscsi", "storage.rbd", "storage.nfs"],
    network: Network::Own,
    run,
};

/// `NBD_SET_SOCK`, `NBD_SET_BLKSIZE`, `NBD_DO_IT`, `NBD_SET_SIZE_BLOCKS` (`linux/nbd.h`).
const NBD_SET_SOCKET: usize = 0xab00;
const NBD_SET_BLOCK_BYTES: usize = 0xab01;
const NBD_DO_IT: usize = 0xab03;
const NBD_SET_BLOCKS: usize = 0xab07;
/// `NBD_REQUEST_MAGIC`, `NBD_REPLY_MAGIC`, and the length of a request.
const NBD_REQUEST: [u8; 4] = 0x2560_9513_u32.to_be_bytes();
const NBD_REPLY: [u8; 4] = 0x6744_6698_u32.to_be_bytes();
const NBD_REQUEST_BYTES: usize = 28;
const BLOCK_BYTES: usize = 4096;
/// How long the driver may take to begin.
const START_LIMIT: Duration = Duration::from_secs(3);
/// What our server gives for every byte.
const FILL: u8 = 0x6d;

fn run(_: &Place, lines: &mut Lines<'_>) {
    lines.add("storage.nbd", nbd());
    lines.add("storage.nvme-tcp", nvme_tcp());
    lines.add("storage.iscsi", there("/sys/class/iscsi_transport/tcp", "transport tcp"));
    lines.add("storage.rbd", there("/sys/bus/rbd/add_single_major", "bus rbd"));
    lines.add("storage.nfs", nfs());
}

fn there(path: &str, name: &str) -> Outcome {
    ensure(Path::new(path).exists(), format!("no `{path}`"))?;
    Ok(name.into())
}

/// A block device whose server is a child of ours: one block is read through it.
fn nbd() -> Outcome {
    load("nbd")?;
    let device = fs::OpenOptions::new().read(true).write(true).open("/dev/nbd0")?;
    let (ours, theirs) = UnixStream::pair()?;
    let control = |request: usize, value: usize| {
        let args = [device.as_raw_fd() as usize, request, value, 0, 0, 0];
        #[expect(unsafe_code, reason = "rustix has no form for the requests of NBD")]
        // SAFETY: these requests take a number in the place of a pointer.
        unsafe {
            raw::syscall(libc::SYS_ioctl, args)
        }
    };
    control(NBD_SET_BLOCK_BYTES, BLOCK_BYTES).map_err(Trouble::during("setting the block size"))?;
    control(NBD_SET_BLOCKS, 16).map_err(Trouble::during("setting the size"))?;
    control(NBD_SET_SOCKET, theirs.as_fd().as_raw_fd() as usize)
        .map_err(Trouble::during("giving the socket"))?;
    // It stays in the kernel until the connection ends.
    let driver = raw::fork(|| {
        let _ = control(NBD_DO_IT, 0);
        0
    })?;
    let server = raw::fork(|| u8::from(serve(&ours).is_err()))?;
    drop((ours, theirs));
    // The device has no length before the driver serves requests.
    let started = Instant::now();
    let length = || fs::read_to_string("/sys/block/nbd0/size").unwrap_or_default();
    while matches!(length().trim(), "" | "0") && started.elapsed() < START_LIMIT {
        thread::sleep(Duration::from_millis(5));
    }
    let mut block = [0; BLOCK_BYTES];
    let read = device.read_exact_at(&mut block, 0);
    for child in [server, driver] {
        if let Some(child) = rustix::process::Pid::from_raw(child) {
            let _ = rustix::process::kill_process(child, rustix::process::Signal::KILL);
        }
        raw::wait(child)?;
    }
    read.map_err(Trouble::during("reading a block"))?;
    ensure(block == [FILL; BLOCK_BYTES], "the block is not what the server gave")?;
    Ok("a block was read from a server".into())
}

/// Loads a module with what it needs.
fn load(module: &str) -> Result<(), Trouble> {
    let kernel = Kernel::new();
    let machine = Machine::new("/", &kernel);
    let release = machine.read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let tree = Tree::open(&machine, &release).ok_or_else(|| Trouble::Fail("no modules".into()))?;
    match mods::load::load(machine.ops, &tree, module) {
        Outcomes::Loaded | Outcomes::Present => Ok(()),
        other => Err(Trouble::Fail(format!("`{module}`: {other:?}"))),
    }
}

/// Answers every request for reading.
fn serve(mut socket: &UnixStream) -> io::Result<()> {
    use io::Read;
    loop {
        let mut request = [0; NBD_REQUEST_BYTES];
        socket.read_exact(&mut request)?;
        if !request.starts_with(&NBD_REQUEST) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let length = u32::from_be_bytes([request[24], request[25], request[26], request[27]]) as usize;
        // Magic, no error, the request's own mark, the data.
        let reply = [&NBD_REPLY[..], &[0; 4], &request[8..16], &vec![FILL; length]].concat();
        socket.write_all(&reply)?;
    }
}

/// A connection to where nobody listens: refused by the network, and not for want of a transport.
fn nvme_tcp() -> Outcome {
    let mut fabrics = fs::OpenOptions::new().read(true).write(true).open("/dev/nvme-fabrics")?;
    let request = "transport=tcp,traddr=127.0.0.1,trsvcid=4420,nqn=nqn.2014-08.org.nvmexpress:selftest";
    match fabrics.write(request.as_bytes()) {
        // The loopback link of the new network namespace is down.
        Err(e) if [libc::ECONNREFUSED, libc::ENETUNREACH].map(Some).contains(&e.raw_os_error()) => {
            Ok(format!("transport tcp is there ({e})"))
        }
        Err(e) => Err(Trouble::Fail(format!("connecting: {e}"))),
        Ok(_) => Err(Trouble::Fail("connected to nobody".into())),
    }
}

fn nfs() -> Outcome {
    let kinds = fs::read_to_string("/proc/filesystems")?;
    for kind in ["nfs", "nfs4", "ceph"] {
        ensure(kinds.lines().any(|l| l.trim_start_matches("nodev").trim() == kind), format!("no `{kind}`"))?;
    }
    Ok("nfs, nfs4, ceph registered".into())
}
