// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every namespace that containers live in.

use std::fs;

use rustix::thread::UnshareFlags;

use super::{Lines, Network, Outcome, Place, Topic, Trouble, ensure, raw};

pub(super) const TOPIC: Topic = Topic {
    name: "namespaces",
    checks: &["ns.mnt", "ns.net", "ns.uts", "ns.ipc", "ns.pid", "ns.cgroup", "ns.time", "ns.user"],
    network: Network::Own,
    run,
};

/// Name of the check, flag, and the link under `/proc/self/ns` that changes.
const KINDS: [(&str, UnshareFlags, &str); 8] = [
    ("ns.mnt", UnshareFlags::NEWNS, "mnt"),
    ("ns.net", UnshareFlags::NEWNET, "net"),
    ("ns.uts", UnshareFlags::NEWUTS, "uts"),
    ("ns.ipc", UnshareFlags::NEWIPC, "ipc"),
    // These two are for the children only.
    ("ns.pid", UnshareFlags::NEWPID, "pid_for_children"),
    ("ns.time", UnshareFlags::NEWTIME, "time_for_children"),
    ("ns.cgroup", UnshareFlags::NEWCGROUP, "cgroup"),
    ("ns.user", UnshareFlags::NEWUSER, "user"),
];

fn run(_: &Place, lines: &mut Lines<'_>) {
    for (check, flag, link) in KINDS {
        lines.add(check, enter(flag, link));
    }
}

/// What a child that failed says with its status.
const UNSHARE_FAILED: u8 = 1;
const SAME: u8 = 2;
const NOT_FIRST: u8 = 3;

fn enter(flag: UnshareFlags, link: &str) -> Outcome {
    let status = raw::in_child(|| {
        let path = format!("/proc/self/ns/{link}");
        let before = fs::read_link(&path).ok();
        if raw::unshare(flag).is_err() {
            return UNSHARE_FAILED;
        }
        // The link of a namespace for children stays empty until there is one.
        let first_child = raw::in_child(|| u8::from(rustix::process::getpid().is_init()));
        if flag == UnshareFlags::NEWPID && first_child.ok() != Some(1) {
            return NOT_FIRST;
        }
        let after = fs::read_link(&path).ok();
        if before == after { SAME } else { 0 }
    })?;
    ensure(status != i32::from(UNSHARE_FAILED), "the kernel refuses it")?;
    ensure(status != i32::from(SAME), format!("`/proc/self/ns/{link}` did not change"))?;
    ensure(status != i32::from(NOT_FIRST), "the first process in it is not number 1")?;
    if status == 0 {
        Ok("entered".into())
    } else {
        Err(Trouble::Fail(format!("the child ended with {status}")))
    }
}
