// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Every shipped module with a matching device loads; so do some that need no hardware.

use std::collections::BTreeSet;
use std::fs;
use std::io::Error;
use std::path::Path;
use std::time::Duration;

use super::SHARE;
use crate::machine::Machine;
use crate::mods::alias::Aliases;
use crate::mods::load::{Outcome, Tree, load};
use crate::report::Report;

/// A driver's devices appear some time after it was loaded; when nothing new came for this long, nothing will.
/// The slowest that announces itself by nothing else is a USB stick: its driver waits one second before it looks.
const QUIET: Duration = Duration::from_millis(1500);
/// Time between two looks.
const POLL: Duration = Duration::from_millis(100);
/// End of the search in any case: a device that comes and goes must not hold up the report for ever.
const LIMIT: Duration = Duration::from_secs(60);

/// Counts of what loading gave.
#[derive(Default)]
struct Count {
    loaded: usize,
    present: usize,
    no_device: usize,
    failed: Vec<String>,
}

impl Count {
    fn add(&mut self, module: &str, outcome: Outcome) {
        match outcome {
            Outcome::Loaded => self.loaded += 1,
            Outcome::Present => self.present += 1,
            Outcome::NoDevice => self.no_device += 1,
            Outcome::NotShipped => self.failed.push(format!("{module}: not in `modules.dep`")),
            Outcome::Failed { file, errno } => {
                self.failed.push(format!("{module} (`{file}`): {}", Error::from(errno)));
            }
        }
    }
}

/// Loads what the devices ask for, again and again while that brings up more devices.
pub fn devices(machine: &Machine<'_>, report: &mut Report<'_>) {
    let release = machine.read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let aliases = machine.read(Path::new("/usr/lib/modules").join(&release).join("modules.alias"));
    let (Some(tree), Some(aliases)) = (Tree::open(machine, &release), aliases) else {
        report
            .fail("modules", format!("no `modules.dep` and `modules.alias` in `/usr/lib/modules/{release}`"));
        return;
    };
    let aliases = Aliases::parse(&aliases);
    let mut seen_devices = BTreeSet::new();
    let mut seen_modules = BTreeSet::new();
    let mut seen_results = BTreeSet::new();
    let mut count = Count::default();
    let start = machine.ops.now();
    let mut last_news = start;
    loop {
        let mut news = starting(machine);
        for modalias in identifications(&machine.path("/sys/devices")) {
            if seen_devices.contains(&modalias) {
                continue;
            }
            news = true;
            for module in aliases.modules_for(&modalias) {
                if seen_modules.insert(module.clone()) {
                    count.add(&module, load(machine.ops, &tree, &module));
                }
            }
            seen_devices.insert(modalias);
        }
        for class in ["block", "net"] {
            let names = machine.list(format!("/sys/class/{class}"));
            news |= names.into_iter().filter(|name| seen_results.insert(name.clone())).count() > 0;
        }
        // After the loading: on a slow machine it takes longer than the quiet time.
        let now = machine.ops.now();
        if news {
            last_news = now;
        }
        if now - last_news >= QUIET || now - start >= LIMIT {
            break;
        }
        machine.ops.pause(POLL);
    }
    let detail = format!(
        "shipped={} devices={} matched={} loaded={} present={} nodevice={}",
        tree.deps.len(),
        seen_devices.len(),
        seen_modules.len(),
        count.loaded,
        count.present,
        count.no_device
    );
    if count.failed.is_empty() {
        report.pass("modules", detail);
    } else {
        report
            .fail("modules", format!("{detail} failed={}: {}", count.failed.len(), count.failed.join("; ")));
    }
}

/// Loads the modules that the composition lists: they need no hardware, so each must load.
pub fn listed(machine: &Machine<'_>, report: &mut Report<'_>) {
    let release = machine.read("/proc/sys/kernel/osrelease").unwrap_or_default();
    let names = machine.read(format!("{SHARE}/load-modules")).unwrap_or_default();
    let Some(tree) = Tree::open(machine, &release) else {
        report.fail("load-modules", format!("no `modules.dep` in `/usr/lib/modules/{release}`"));
        return;
    };
    let names: Vec<&str> = names.split_whitespace().collect();
    if names.is_empty() {
        report.skip("load-modules", format!("`{SHARE}/load-modules` names none"));
        return;
    }
    let mut count = Count::default();
    for name in &names {
        match load(machine.ops, &tree, name) {
            Outcome::NoDevice => count.failed.push(format!("{name}: says that it has no device")),
            outcome => count.add(name, outcome),
        }
    }
    if count.failed.is_empty() {
        report.pass("load-modules", names.join(" "));
    } else {
        report.fail("load-modules", count.failed.join("; "));
    }
}

/// Whether an NVMe controller is still on its way: it may take seconds between its driver and its disk.
fn starting(machine: &Machine<'_>) -> bool {
    let state = |name| machine.read(format!("/sys/class/nvme/{name}/state"));
    let mut states = machine.list("/sys/class/nvme").into_iter().filter_map(state);
    states.any(|state| ["new", "connecting", "resetting"].contains(&state.as_str()))
}

/// Every device's identification: its `modalias` file, or the same in its `uevent` (memory cards and
/// others have only that).
fn identifications(devices: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![devices.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries.flatten() {
            // Links lead back up and sideways; the folders alone are a tree.
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                folders.push(entry.path());
            } else if entry.file_name() == "modalias" {
                found.extend(fs::read_to_string(entry.path()).ok().map(|t| t.trim().to_owned()));
            } else if entry.file_name() == "uevent" {
                let text = fs::read_to_string(entry.path()).unwrap_or_default();
                found.extend(text.lines().find_map(|l| l.strip_prefix("MODALIAS=")).map(str::to_owned));
            }
        }
    }
    found.remove("");
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::Ops;
    use crate::testing::Fixture;
    use rustix::io::Errno;

    fn fixture() -> Fixture {
        let f = Fixture::new();
        f.file("/proc/sys/kernel/osrelease", "6.18\n");
        f.file(
            "/usr/lib/modules/6.18/modules.alias",
            "alias pci:v1* host\nalias usb:v2* stick\nalias mmc:block mmc_block\nalias cpu:* crypto\n",
        );
        f.file(
            "/usr/lib/modules/6.18/modules.dep",
            "k/host.ko: k/core.ko\nk/core.ko:\nk/stick.ko:\nk/mmc_block.ko:\nk/crypto.ko:\nk/dummy.ko:\n",
        );
        f.file("/sys/devices/pci0/modalias", "pci:v1d1\n");
        f.file("/sys/devices/mmc0/mmc0:1/uevent", "DRIVER=x\nMODALIAS=mmc:block\n");
        f.file("/sys/devices/other/modalias", "platform:unknown\n");
        f.file("/sys/devices/empty/modalias", "\n");
        f
    }

    #[test]
    fn devices_behind_a_new_driver_are_found_too() {
        let f = fixture();
        let usb = f.machine().path("/sys/devices/pci0/usb1/modalias");
        *f.ops.on_load.borrow_mut() = Some(Box::new(move |file| {
            if file == "host.ko" {
                fs::create_dir_all(usb.parent().expect("folder")).expect("made");
                fs::write(&usb, "usb:v2p3\n").expect("written");
            }
        }));
        f.ops.module_answers.borrow_mut().insert("mmc_block.ko".into(), Errno::NODEV);
        assert_eq!(
            f.lines(devices),
            ["modules pass shipped=6 devices=4 matched=3 loaded=2 present=0 nodevice=1"]
        );
        assert_eq!(*f.ops.loaded.borrow(), ["mmc_block.ko", "core.ko", "host.ko", "stick.ko"]);
    }

    #[test]
    fn a_slow_disk_is_waited_for_and_an_endless_start_is_not() {
        let f = fixture();
        f.lines(devices);
        let quiet = f.ops.now();
        assert!(quiet >= QUIET && quiet < QUIET + 2 * POLL, "{quiet:?}");
        let nvme = f.machine().path("/sys/class/nvme/nvme0/state");
        f.file("/sys/class/nvme/nvme0/state", "connecting\n");
        *f.ops.on_pause.borrow_mut() = Some(Box::new(move |now| {
            if now > quiet + Duration::from_secs(4) {
                fs::write(&nvme, "live\n").expect("written");
            }
        }));
        f.lines(devices);
        let slow = f.ops.now() - quiet;
        assert!(slow >= Duration::from_secs(4) + QUIET && slow < Duration::from_secs(6), "{slow:?}");
        *f.ops.on_pause.borrow_mut() = None;
        f.file("/sys/class/nvme/nvme0/state", "resetting\n");
        let before = f.ops.now();
        f.lines(devices);
        assert!(f.ops.now() - before >= LIMIT);
    }

    #[test]
    fn loading_that_takes_longer_than_the_quiet_time_is_no_silence() {
        let f = fixture();
        let block = f.machine().path("/sys/class/block/vda");
        let usb = f.machine().path("/sys/devices/pci0/usb1/modalias");
        *f.ops.on_load.borrow_mut() = Some(Box::new(move |file| {
            if file == "host.ko" {
                fs::create_dir_all(&block).expect("made");
            }
        }));
        let made = std::cell::Cell::new(false);
        *f.ops.on_pause.borrow_mut() = Some(Box::new(move |now| {
            if now > Duration::from_secs(10) && !made.replace(true) {
                fs::create_dir_all(usb.parent().expect("folder")).expect("made");
                fs::write(&usb, "usb:v2p3\n").expect("written");
            }
        }));
        f.ops.load_time.set(Duration::from_secs(5));
        assert_eq!(
            f.lines(devices),
            ["modules pass shipped=6 devices=4 matched=3 loaded=3 present=0 nodevice=0"]
        );
    }

    #[test]
    fn a_refused_module_is_named() {
        let f = fixture();
        f.ops.module_answers.borrow_mut().insert("host.ko".into(), Errno::KEYREJECTED);
        let line = f.lines(devices).remove(0);
        assert!(line.starts_with("modules fail shipped=6 devices=3 matched=2 loaded=1"), "{line}");
        assert!(line.contains("failed=1: host (`k/host.ko`): "), "{line}");
    }

    #[test]
    fn another_release_has_no_tree() {
        let f = fixture();
        f.file("/proc/sys/kernel/osrelease", "6.19\n");
        assert_eq!(
            f.lines(devices),
            ["modules fail no `modules.dep` and `modules.alias` in `/usr/lib/modules/6.19`"]
        );
        assert_eq!(f.lines(listed), ["load-modules fail no `modules.dep` in `/usr/lib/modules/6.19`"]);
    }

    #[test]
    fn listed_modules_must_load() {
        let f = fixture();
        assert_eq!(f.lines(listed), ["load-modules skip `/usr/share/selftest/load-modules` names none"]);
        f.file("/usr/share/selftest/load-modules", "dummy\n");
        f.ops.module_answers.borrow_mut().insert("dummy.ko".into(), Errno::EXIST);
        assert_eq!(f.lines(listed), ["load-modules pass dummy"]);
        f.file("/usr/share/selftest/load-modules", "dummy\nnbd\ncrypto\n");
        f.ops.module_answers.borrow_mut().insert("crypto.ko".into(), Errno::NODEV);
        assert_eq!(
            f.lines(listed),
            ["load-modules fail nbd: not in `modules.dep`; crypto: says that it has no device"]
        );
    }
}
