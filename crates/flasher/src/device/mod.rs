// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What disks the machine has, who uses them, and which of them may be written: [`linux`] and [`macos`] say what is
//! there, the refusals are the same. Neither calls the system but for files below roots that it is given, so both are
//! compiled and tested everywhere.

pub mod linux;
pub mod macos;

use std::io;

/// Removable media beyond this are somebody's backup disk more often than a target: cards and M.2 disks for this
/// board mostly end at 1 TB.
pub const LARGE_BYTES: u64 = 1 << 40;
/// Mount points of a system that runs.
const SYSTEM: [&str; 7] = ["/", "/boot", "/boot/efi", "/efi", "/home", "/usr", "/var"];
/// Where macOS mounts its other volumes: data, virtual memory, firmware.
const SYSTEM_BELOW: [&str; 2] = ["/System/", "/private/var/"];

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
    /// macOS: a disk image, or a disk that is made of parts of others (an APFS container).
    Virtual,
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
            Bus::Virtual => "virtual",
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
    /// The system calls it its own.
    System(String),
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
    /// What the system should have said of it and did not, or not in a way that is understood.
    pub doubts: Vec<String>,
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
    /// No medium at all. Nothing overrides this.
    #[error("it is a disk image, or made of parts of other disks")]
    Virtual,
    /// Not known well enough. Nothing overrides this.
    #[error("what the system says of it is not understood: {}", .0.join(", "))]
    Doubt(Vec<String>),
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
    /// They are not of the form that is known.
    #[error("the list of disks is not understood: {0}")]
    Form(String),
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
            Use::Mounted { what, at } if is_system(at) => Some(format!("`{what}` is `{at}`")),
            Use::System(what) => Some(what.clone()),
            _ => None,
        });
        if let Some(system) = system {
            refusals.push(Refusal::System(system));
        } else if !self.uses.is_empty() {
            refusals.push(Refusal::InUse(self.uses.iter().map(Use::to_string).collect()));
        }
        if !self.doubts.is_empty() {
            refusals.push(Refusal::Doubt(self.doubts.clone()));
        }
        if self.bus == Bus::Virtual {
            refusals.push(Refusal::Virtual);
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
            Use::System(what) => f.write_str(what),
            Use::Held { what, by } => write!(f, "`{by}` is built on `{what}`"),
        }
    }
}

fn is_system(mount_point: &str) -> bool {
    SYSTEM.contains(&mount_point) || SYSTEM_BELOW.iter().any(|below| mount_point.starts_with(below))
}
