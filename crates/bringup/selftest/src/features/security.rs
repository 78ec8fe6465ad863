// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Security modules: all of Talos's are there, in its order, and those with a file system show it.

use std::fs;
use std::path::Path;

use rustix::mount::{MountFlags, mount};

use super::{Lines, Network, Outcome, Place, Topic, Trouble, ensure};

pub(super) const TOPIC: Topic = Topic {
    name: "security",
    checks: &["lsm.order", "lsm.selinux", "lsm.apparmor", "lsm.lockdown"],
    network: Network::Own,
    run,
};

/// Talos's order (talos-contracts 6.1) without loadpin, which this kernel does not have, and without AppArmor:
/// SELinux and it exclude each other (`LSM_FLAG_EXCLUSIVE`), and the first one of the list is the one that runs.
/// Lockdown may start before all others (`SECURITY_LOCKDOWN_LSM_EARLY`), wherever it stands; it has a check of its own.
const ORDER: [&str; 5] = ["yama", "selinux", "safesetid", "bpf", "landlock"];

fn run(place: &Place, lines: &mut Lines<'_>) {
    let mounted = place.folder("securityfs").map_err(Trouble::from).and_then(|dir| {
        mount("securityfs", &dir, "securityfs", MountFlags::empty(), None)?;
        Ok(dir)
    });
    let dir = match mounted {
        Ok(dir) => dir,
        Err(_) => {
            for check in TOPIC.checks {
                lines.add(check, Err(Trouble::Fail("no securityfs".into())));
            }
            return;
        }
    };
    lines
        .add("lsm.order", fs::read_to_string(dir.join("lsm")).map_err(Trouble::from).and_then(|l| order(&l)));
    lines.add("lsm.selinux", selinux(place));
    lines.add("lsm.apparmor", apparmor());
    lines.add("lsm.lockdown", lockdown(&dir));
}

fn order(list: &str) -> Outcome {
    let names: Vec<&str> = list.trim().split(',').collect();
    let known: Vec<&str> = names.iter().copied().filter(|n| ORDER.contains(n)).collect();
    ensure(known == ORDER, format!("`{}`, wanted {} in this order", list.trim(), ORDER.join(",")))?;
    Ok(list.trim().to_owned())
}

fn selinux(place: &Place) -> Outcome {
    let dir = place.folder("selinuxfs")?;
    mount("selinuxfs", &dir, "selinuxfs", MountFlags::empty(), None)?;
    let version = fs::read_to_string(dir.join("policyvers"))?;
    Ok(format!("policy version {}", version.trim()))
}

/// It is in the kernel; whether it runs is up to the kernel's arguments.
fn apparmor() -> Outcome {
    ensure(Path::new("/sys/module/apparmor/parameters").is_dir(), "no `/sys/module/apparmor`")?;
    Ok("built in; runs in SELinux's place with the argument `security=apparmor`".into())
}

fn lockdown(securityfs: &Path) -> Outcome {
    let modes = fs::read_to_string(securityfs.join("lockdown"))?;
    ensure(modes.contains("[none]"), format!("`{}`: something turned it on", modes.trim()))?;
    Ok(modes.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_counts_and_further_modules_do_not() {
        for good in [
            "capability,yama,selinux,safesetid,bpf,lockdown,landlock,ima\n",
            "lockdown,capability,yama,selinux,safesetid,bpf,landlock,ima\n",
        ] {
            order(good).expect("Talos's order");
        }
        for bad in [
            "capability,yama,selinux,safesetid,bpf,lockdown",
            "capability,selinux,yama,safesetid,bpf,lockdown,landlock",
        ] {
            assert!(order(bad).is_err(), "{bad}");
        }
    }
}
