// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keeps the service and one DHCP client per interface running: what process 1 has beside the self-test.
//!
//! The DHCP client is busybox's, with a script of the composition. Without a server an interface keeps its IPv6 link-local
//! address, which mDNS and browsers take as well.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use super::interfaces;
use crate::machine::{Machine, Ops};
use crate::sys::Kernel;

/// How often interfaces and children are looked at.
const LOOK: Duration = Duration::from_secs(2);
/// What the DHCP client runs when it got an address, or lost it.
const SCRIPT: &str = "/usr/share/selftest/dhcp";

/// Starts it all; it goes on until the machine ends.
///
/// # Errors
/// There is no thread to be had.
pub fn start() -> std::io::Result<()> {
    thread::Builder::new().name("supervise".to_owned()).spawn(|| {
        let kernel = Kernel::new();
        // For the check of the service, and for whoever looks from the console.
        let _ = kernel.raise_link("lo");
        let machine = Machine::new("/", &kernel);
        let mut children: BTreeMap<String, Child> = BTreeMap::new();
        loop {
            look(&machine, &mut children, &|place| command(place).spawn().ok());
            kernel.pause(LOOK);
        }
    })?;
    Ok(())
}

/// The empty name is the service, any other an interface.
fn look(
    machine: &Machine<'_>,
    children: &mut BTreeMap<String, Child>,
    start: &dyn Fn(&str) -> Option<Child>,
) {
    // An error means that process 1 has collected it with the orphans.
    children.retain(|_, child| matches!(child.try_wait(), Ok(None)));
    for place in [String::new()].into_iter().chain(interfaces::names(machine)) {
        if children.contains_key(&place) {
            continue;
        }
        if !place.is_empty() {
            // The client waits for the link; the report says when it cannot be raised.
            let _ = machine.ops.raise_link(&place);
        }
        if let Some(child) = start(&place) {
            children.insert(place, child);
        }
    }
}

fn command(place: &str) -> Command {
    let mut command = if place.is_empty() {
        let mut command = Command::new("/proc/self/exe");
        command.arg("serve");
        command
    } else {
        let mut command = Command::new("/bin/udhcpc");
        // -f: a child of ours. -A: seconds until the next try when nobody answers; it never ends by itself.
        command.args(["-f", "-i", place, "-s", SCRIPT, "-A", "5", "-x", "hostname:nanopi-m6-bringup"]);
        command
    };
    // Its talk would land among the report's lines.
    command.env_clear().env("PATH", "/usr/sbin:/usr/bin");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Instant;

    use super::*;
    use crate::testing::Fixture;

    fn sleeper(time: &str) -> Child {
        Command::new("sleep").arg(time).spawn().expect("starts")
    }

    #[test]
    fn each_place_has_one_child_and_a_dead_one_comes_back() {
        let f = Fixture::new();
        f.file("/sys/class/net/eth0/device/x", "");
        f.file("/sys/class/net/eth0/type", "1\n");
        let started = RefCell::new(Vec::new());
        let start = |place: &str| {
            started.borrow_mut().push(place.to_owned());
            Some(sleeper("60"))
        };
        let mut children = BTreeMap::new();
        look(&f.machine(), &mut children, &start);
        look(&f.machine(), &mut children, &start);
        assert_eq!(started.take(), ["", "eth0"]);
        assert_eq!(*f.ops.raised.borrow(), ["eth0"]);
        // An adapter that is plugged in later, and a client that ended.
        f.file("/sys/class/net/eth1/device/x", "");
        f.file("/sys/class/net/eth1/type", "1\n");
        children.get_mut("eth0").expect("running").kill().expect("killed");
        let began = Instant::now();
        while started.borrow().len() < 2 && began.elapsed() < Duration::from_secs(10) {
            look(&f.machine(), &mut children, &start);
            thread::sleep(Duration::from_millis(10));
        }
        let mut again = started.take();
        again.sort();
        assert_eq!(again, ["eth0", "eth1"]);
        for child in children.values_mut() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    #[test]
    fn what_cannot_start_is_tried_again() {
        let f = Fixture::new();
        let mut children = BTreeMap::new();
        look(&f.machine(), &mut children, &|_| None);
        assert!(children.is_empty());
        look(&f.machine(), &mut children, &|_| Some(sleeper("0")));
        assert_eq!(children.len(), 1);
        let _ = children.values_mut().next().expect("one").wait();
    }
}
