// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Linux: from sysfs and procfs, whose roots are parameters, so that tests can make machines up.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::{Bus, Device, LookupError, Use};

/// sysfs counts sizes in this unit, whatever the device's own block is.
const SYSFS_SECTOR_BYTES: u64 = 512;

/// Where the system's tables are.
#[derive(Debug, Clone)]
pub struct Roots {
    /// `/sys`.
    pub sys: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
}

impl Default for Roots {
    fn default() -> Roots {
        Roots { sys: "/sys".into(), proc: "/proc".into() }
    }
}

/// All disks, by name; RAM disks and devices without a size that nothing can be put into are left out.
///
/// # Errors
/// sysfs cannot be read.
pub fn all(roots: &Roots) -> Result<Vec<Device>, LookupError> {
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(roots.sys.join("block"))? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    // dm and md are built on disks; zram, ram and nbd are none; loop devices without a file are nothing.
    names.retain(|n| !["dm-", "md", "zram", "ram", "nbd", "sr", "fd"].iter().any(|p| n.starts_with(p)));
    let devices: Result<Vec<_>, _> = names.iter().map(|n| named(roots, n)).collect();
    Ok(devices?.into_iter().filter(|d| d.bus != Bus::Loop || d.size_bytes > 0).collect())
}

/// The disk of that kernel name.
///
/// # Errors
/// See [`LookupError`].
pub fn named(roots: &Roots, name: &str) -> Result<Device, LookupError> {
    let dir = roots.sys.join("block").join(name);
    if !dir.is_dir() {
        return Err(partition_of(roots, name).unwrap_or_else(|| LookupError::Unknown(name.to_owned())));
    }
    let text = |file: &str| read_line(&dir.join(file));
    let number = |file: &str| text(file).and_then(|t| t.parse::<u64>().ok()).unwrap_or_default();
    // The real path names every bus on the way to the device.
    let real = fs::canonicalize(&dir)?;
    let bus = bus_of(name, &real, text("device/type").as_deref());
    let partitions = partitions(&dir)?;
    let mut device = Device {
        name: name.to_owned(),
        size_bytes: number("size").saturating_mul(SYSFS_SECTOR_BYTES),
        model: model(&dir),
        serial: serial(&dir, &real),
        bus,
        removable: number("removable") == 1 || matches!(bus, Bus::Usb | Bus::Sd),
        read_only: number("ro") == 1,
        partitions,
        uses: Vec::new(),
        doubts: Vec::new(),
    };
    device.uses = uses(roots, &device)?;
    Ok(device)
}

fn read_line(path: &Path) -> Option<String> {
    let text = fs::read(path).ok()?;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// `sda1` is a folder of `sda`.
fn partition_of(roots: &Roots, name: &str) -> Option<LookupError> {
    let disks = fs::read_dir(roots.sys.join("block")).ok()?;
    let disk = disks.filter_map(Result::ok).find(|d| d.path().join(name).join("partition").is_file())?;
    let disk = disk.file_name().to_string_lossy().into_owned();
    Some(LookupError::Partition { partition: name.to_owned(), disk })
}

fn partitions(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.path().join("partition").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

fn bus_of(name: &str, real: &Path, mmc_type: Option<&str>) -> Bus {
    if real.components().any(|c| c.as_os_str().to_string_lossy().starts_with("usb")) {
        return Bus::Usb;
    }
    match (name, mmc_type) {
        (n, Some("SD")) if n.starts_with("mmcblk") => Bus::Sd,
        (n, _) if n.starts_with("mmcblk") => Bus::Emmc,
        (n, _) if n.starts_with("nvme") => Bus::Nvme,
        (n, _) if n.starts_with("loop") => Bus::Loop,
        _ => Bus::Other,
    }
}

fn model(dir: &Path) -> String {
    let parts = ["device/vendor", "device/model", "device/name", "loop/backing_file"];
    // virtio and PCI give numbers as vendor: no name for people.
    let parts = parts.iter().filter_map(|p| read_line(&dir.join(p))).filter(|t| !t.starts_with("0x"));
    parts.collect::<Vec<_>>().join(" ")
}

fn serial(dir: &Path, real: &Path) -> String {
    let own = ["device/cid", "device/serial", "serial", "device/wwid", "wwid"];
    let own = own.iter().find_map(|p| read_line(&dir.join(p)));
    // A USB disk has it at the USB device, some folders up.
    let usb = || {
        let device = real.ancestors().find(|d| d.join("idVendor").is_file())?;
        read_line(&device.join("serial"))
    };
    usb().or(own).unwrap_or_default()
}

/// Everybody who uses the disk, its partitions, or what is built on them.
fn uses(roots: &Roots, device: &Device) -> Result<Vec<Use>, LookupError> {
    let block = roots.sys.join("block");
    let own = block.join(&device.name);
    let mut uses = Vec::new();
    // Names to look at, and where their folders are.
    let mut queue: Vec<(String, PathBuf)> = vec![(device.name.clone(), own.clone())];
    queue.extend(device.partitions.iter().map(|p| (p.clone(), own.join(p))));
    let mut seen = BTreeSet::new();
    let mut numbers = Vec::new();
    while let Some((name, dir)) = queue.pop() {
        if !seen.insert(name.clone()) {
            continue;
        }
        if let Some(number) = read_line(&dir.join("dev")) {
            numbers.push((number, name.clone()));
        }
        let Ok(holders) = fs::read_dir(dir.join("holders")) else { continue };
        for holder in holders {
            let by = holder?.file_name().to_string_lossy().into_owned();
            uses.push(Use::Held { what: name.clone(), by: by.clone() });
            queue.push((by.clone(), block.join(&by)));
        }
    }
    let mounts = fs::read_to_string(roots.proc.join("self/mountinfo"))?;
    for (number, source, at) in mounts.lines().filter_map(mount) {
        // btrfs and other file systems over several devices have a made-up number, and name one device.
        let by_number = numbers.iter().find(|(n, _)| *n == number).map(|(_, name)| name.clone());
        let by_source = || {
            let name = source.strip_prefix("/dev/").map(|s| s.strip_prefix("mapper/").unwrap_or(s))?;
            seen.contains(name).then(|| name.to_owned())
        };
        if let Some(what) = by_number.or_else(by_source) {
            uses.push(Use::Mounted { what, at });
        }
    }
    // Not every kernel has swap.
    let swaps = fs::read_to_string(roots.proc.join("swaps")).unwrap_or_default();
    for line in swaps.lines().skip(1) {
        let name = line.split_whitespace().next().and_then(|path| path.strip_prefix("/dev/"));
        if let Some(name) = name.filter(|n| seen.contains(*n)) {
            uses.push(Use::Swap(name.to_owned()));
        }
    }
    uses.sort_by_key(|u| matches!(u, Use::Held { .. }));
    uses.dedup();
    Ok(uses)
}

/// Number, source and mount point of a line of `mountinfo` (`proc_pid_mountinfo(5)`).
fn mount(line: &str) -> Option<(String, String, String)> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let source = right.split(' ').nth(1)?;
    Some(((*left.get(2)?).to_owned(), unescape(source), unescape(left.get(4)?)))
}

/// Blanks and the like are `\040` there.
fn unescape(text: &str) -> String {
    ["\\040 ", "\\011\t", "\\012\n", "\\134\\"]
        .iter()
        .fold(text.to_owned(), |text, pair| text.replace(&pair[..4], &pair[4..]))
}
