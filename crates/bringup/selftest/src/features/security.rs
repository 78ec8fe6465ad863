// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Security modules: all of Talos's are there, in its order, and those with a file system show it.

use std::fs;
use std::path::Path;

use rustix::mount::{MountFlags, mount};

use super::{Lines, Network, Outcome, Place, Topic, Trouble, apparmor, ensure};

pub(super) const TOPIC: Topic = Topic {
    name: "security",
    checks: &["lsm.order", "lsm.selinux", "lsm.apparmor", "lsm.apparmor-enforces", "lsm.lockdown"],
    network: Network::Own,
    run,
};

/// Talos's order (talos-contracts 6.1) without loadpin, which this kernel does not have, and without AppArmor:
/// SELinux and it exclude each other (`LSM_FLAG_EXCLUSIVE`), and the first one of the list is the one that runs.
/// Lockdown may start before all others (`SECURITY_LOCKDOWN_LSM_EARLY`), wherever it stands; it has a check of its own.
const ORDER: [&str; 5] = ["yama", "selinux", "safesetid", "bpf", "landlock"];
/// The same with the kernel argument that asks for AppArmor.
const ORDER_WITH_APPARMOR: [&str; 5] = ["yama", "safesetid", "bpf", "apparmor", "landlock"];
const APPARMOR_ARGUMENT: &str = "security=apparmor";

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
    let arguments = fs::read_to_string("/proc/cmdline").unwrap_or_default();
    let instead = arguments.split_whitespace().any(|a| a == APPARMOR_ARGUMENT);
    let wanted = if instead { ORDER_WITH_APPARMOR } else { ORDER };
    let list = fs::read_to_string(dir.join("lsm")).map_err(Trouble::from);
    lines.add("lsm.order", list.and_then(|l| order(&l, &wanted)));
    let (selinux, enforces) = if instead {
        (Err(Trouble::Skip("AppArmor runs in its place".into())), apparmor::enforces(place, &dir))
    } else {
        (
            selinux(place),
            Err(Trouble::Skip(format!("SELinux runs in its place; `{APPARMOR_ARGUMENT}` changes that"))),
        )
    };
    lines.add("lsm.selinux", selinux);
    lines.add("lsm.apparmor", built_in());
    lines.add("lsm.apparmor-enforces", enforces);
    lines.add("lsm.lockdown", lockdown(&dir));
}

fn order(list: &str, wanted: &[&str]) -> Outcome {
    let names: Vec<&str> = list.trim().split(',').collect();
    let known: Vec<&str> =
        names.iter().copied().filter(|n| ORDER.contains(n) || ORDER_WITH_APPARMOR.contains(n)).collect();
    ensure(known == wanted, format!("`{}`, wanted {} in this order", list.trim(), wanted.join(",")))?;
    Ok(list.trim().to_owned())
}

fn selinux(place: &Place) -> Outcome {
    let dir = place.folder("selinuxfs")?;
    mount("selinuxfs", &dir, "selinuxfs", MountFlags::empty(), None)?;
    let version = fs::read_to_string(dir.join("policyvers"))?;
    Ok(format!("policy version {}", version.trim()))
}

/// It is in the kernel; whether it runs is up to the kernel's arguments.
fn built_in() -> Outcome {
    ensure(Path::new("/sys/module/apparmor/parameters").is_dir(), "no `/sys/module/apparmor`")?;
    Ok("built in".into())
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
            order(good, &ORDER).expect("Talos's order");
        }
        for bad in [
            "capability,yama,selinux,safesetid,bpf,lockdown",
            "capability,selinux,yama,safesetid,bpf,lockdown,landlock",
        ] {
            assert!(order(bad, &ORDER).is_err(), "{bad}");
        }
        let with_apparmor = "lockdown,capability,yama,safesetid,bpf,apparmor,landlock,ima\n";
        order(with_apparmor, &ORDER_WITH_APPARMOR).expect("AppArmor in SELinux's place");
        assert!(order(with_apparmor, &ORDER).is_err());
    }
}
