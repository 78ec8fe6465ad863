// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What disks the machine has, who uses them, and which of them may be written. Linux: from sysfs and procfs, whose
//! roots are parameters, so that tests can make machines up.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use fs_err as fs;

/// Removable media beyond this are somebody's backup disk more often than a target: cards and M.2 disks for this
/// board mostly end at 1 TB.
pub const LARGE_BYTES: u64 = 1 << 40;
/// sysfs counts sizes in this unit, whatever the device's own block is.
const SYSFS_SECTOR_BYTES: u64 = 512;
/// Mount points of a system that runs.
const SYSTEM: [&str; 7] = ["/", "/boot", "/boot/efi", "/efi", "/home", "/usr", "/var"];

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

/// How a disk is connected, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bus {
    /// USB: a card reader, a stick, an enclosure.
    Usb,
    /// A card in a slot of the machine.
    Sd,
    /// An eMMC on the machine's board.
    Emmc,
    /// NVMe.
    Nvme,
    /// SATA, SCSI, virtio and the rest.
    Other,
    /// A file behind `/dev/loopN`.
    Loop,
}

impl Bus {
    /// For people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Bus::Usb => "USB",
            Bus::Sd => "SD slot",
            Bus::Emmc => "eMMC",
            Bus::Nvme => "NVMe",
            Bus::Other => "internal",
            Bus::Loop => "loop",
        }
    }
}

/// Somebody who uses a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// `what` is mounted at a place.
    Mounted {
        /// Device name: the disk, a partition, or what is built on one.
        what: String,
        /// Mount point.
        at: String,
    },
    /// The machine swaps to it.
    Swap(String),
    /// Another device is built on it: LVM, LUKS, RAID.
    Held {
        /// Disk or partition.
        what: String,
        /// The other device.
        by: String,
    },
}

/// A disk.
#[derive(Debug, Clone)]
pub struct Device {
    /// Kernel name: `sda`, `mmcblk0`.
    pub name: String,
    /// Size; 0 for a reader without a card.
    pub size_bytes: u64,
    /// Maker and model, or the file behind a loop device.
    pub model: String,
    /// Serial number, or a card's CID; of a card reader it is the reader's.
    pub serial: String,
    /// Connection.
    pub bus: Bus,
    /// Whether medium or device can be pulled out.
    pub removable: bool,
    /// Whether it is write-protected.
    pub read_only: bool,
    /// Kernel names of its partitions.
    pub partitions: Vec<String>,
    /// Who uses it.
    pub uses: Vec<Use>,
}

/// Why a disk is not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The machine runs from it. Nothing overrides this.
    #[error("the running system is on it ({0})")]
    System(String),
    /// In use. Nothing overrides this.
    #[error("it is in use: {}", .0.join(", "))]
    InUse(Vec<String>),
    /// The lock of the card, or the kernel's.
    #[error("it is write-protected")]
    ReadOnly,
    /// A reader without a card.
    #[error("there is no medium in it")]
    Empty,
    /// Cannot be pulled out, and was not named in the override.
    #[error("it cannot be pulled out ({0}), and the image is meant for a card or another removable medium")]
    Fixed(&'static str),
    /// Larger than [`LARGE_BYTES`], and was not named in the override.
    #[error("it is larger than 1 TiB, as backup disks are")]
    Large,
    /// Smaller than the image.
    #[error("it has {size_bytes} bytes, the image needs {need_bytes}")]
    TooSmall {
        /// Of the medium.
        size_bytes: u64,
        /// Of the image.
        need_bytes: u64,
    },
}

impl Refusal {
    /// Whether naming the disk in the override admits it.
    #[must_use]
    pub fn can_be_overridden(&self) -> bool {
        matches!(self, Refusal::Fixed(_) | Refusal::Large)
    }
}

/// Why a disk cannot be looked up.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The system's tables cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// A partition: the image has a partition table of its own.
    #[error("`{partition}` is a partition; the image goes onto the whole disk `{disk}`")]
    Partition {
        /// Its name.
        partition: String,
        /// The disk's.
        disk: String,
    },
    /// No such disk.
    #[error("this machine has no disk `{0}`")]
    Unknown(String),
}

impl Device {
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
        let devices: Result<Vec<_>, _> = names.iter().map(|n| Device::named(roots, n)).collect();
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
        };
        device.uses = uses(roots, &device)?;
        Ok(device)
    }

    /// What tells this medium from another: model, serial and size.
    #[must_use]
    pub fn identity(&self) -> String {
        format!("{} | {} | {} bytes", self.model, self.serial, self.size_bytes)
    }

    /// Why an image of this size must not be written to it; `admitted` is the disk that the user named as meant
    /// in spite of being built in or large. All reasons, those that nothing overrides first.
    #[must_use]
    pub fn refusals(&self, need_bytes: u64, admitted: Option<&str>) -> Vec<Refusal> {
        let mut refusals = Vec::new();
        let system = self.uses.iter().find_map(|u| match u {
            Use::Mounted { what, at } if SYSTEM.contains(&at.as_str()) => Some(format!("`{what}` is `{at}`")),
            _ => None,
        });
        if let Some(system) = system {
            refusals.push(Refusal::System(system));
        } else if !self.uses.is_empty() {
            refusals.push(Refusal::InUse(self.uses.iter().map(Use::to_string).collect()));
        }
        if self.read_only {
            refusals.push(Refusal::ReadOnly);
        }
        if self.size_bytes == 0 {
            refusals.push(Refusal::Empty);
        } else if self.size_bytes < need_bytes {
            refusals.push(Refusal::TooSmall { size_bytes: self.size_bytes, need_bytes });
        }
        if admitted != Some(self.name.as_str()) {
            if !self.removable {
                refusals.push(Refusal::Fixed(self.bus.name()));
            }
            if self.size_bytes > LARGE_BYTES {
                refusals.push(Refusal::Large);
            }
        }
        refusals
    }
}

impl std::fmt::Display for Use {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Use::Mounted { what, at } => write!(f, "`{what}` is mounted at `{at}`"),
            Use::Swap(what) => write!(f, "`{what}` is swap space"),
            Use::Held { what, by } => write!(f, "`{by}` is built on `{what}`"),
        }
    }
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
