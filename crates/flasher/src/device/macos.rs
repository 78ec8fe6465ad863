// SPDX-License-Identifier: Apache-2.0 OR MIT
//! macOS: from what `diskutil list -plist`, `diskutil info -plist diskN` and `mount` print.
//!
//! Tested on fixtures, never on a Mac. So nothing is guessed: a list that is not understood is an error, and of a disk
//! every word that a decision needs must be there in the form that is known, else it is a doubt, and refused.

use std::collections::BTreeMap;
use std::io::Cursor;

use plist::{Dictionary, Value};

use super::{Bus, Device, LookupError, Use};

/// What the programs printed.
#[derive(Debug, Clone, Default)]
pub struct Tables {
    /// `diskutil list -plist`.
    pub list: Vec<u8>,
    /// `diskutil info -plist diskN` by disk, where it ended well.
    pub info: BTreeMap<String, Vec<u8>>,
    /// `mount`.
    pub mounts: Vec<u8>,
}

/// Whether this is the name of a whole disk: `disk4`, not `disk4s1` and not `rdisk4`.
#[must_use]
pub fn is_whole(name: &str) -> bool {
    name.strip_prefix("disk").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// The whole disks of a list: those to ask `diskutil info` about.
///
/// # Errors
/// The list is not understood.
pub fn whole_disks(list: &[u8]) -> Result<Vec<String>, LookupError> {
    Ok(List::read(list)?.0.into_iter().map(|entry| entry.name).collect())
}

/// All disks, by name.
///
/// # Errors
/// The list is not understood.
pub fn all(tables: &Tables) -> Result<Vec<Device>, LookupError> {
    let (list, mounts) = (List::read(&tables.list)?, mounts(&tables.mounts)?);
    // What is mounted from a disk that the list lacks may lie on any of those that it has.
    if let Some((id, _)) = mounts.iter().find(|(id, _)| !list.0.iter().any(|e| is_of(id, &e.name))) {
        return Err(LookupError::Form(format!("`{id}` is mounted and not in it")));
    }
    let mut devices: Vec<Device> = list.0.iter().map(|entry| device(entry, &list, &mounts, tables)).collect();
    devices.sort_by_key(|d| (d.name.len(), d.name.clone()));
    Ok(devices)
}

/// The disk of that name.
///
/// # Errors
/// See [`LookupError`].
pub fn named(tables: &Tables, name: &str) -> Result<Device, LookupError> {
    let mut all = all(tables)?;
    match all.iter().position(|d| is_of(name, &d.name)) {
        Some(at) if all[at].name == name => Ok(all.swap_remove(at)),
        Some(at) => Err(LookupError::Partition { partition: name.to_owned(), disk: all[at].name.clone() }),
        None => Err(LookupError::Unknown(name.to_owned())),
    }
}

/// Whether `id` is the disk or something on it: `disk1s2s1` is of `disk1`, `disk10` is not.
fn is_of(id: &str, disk: &str) -> bool {
    id.strip_prefix(disk).is_some_and(|rest| rest.is_empty() || rest.starts_with('s'))
}

/// `AllDisksAndPartitions`.
struct List(Vec<Entry>);

/// A whole disk in the list.
struct Entry {
    name: String,
    /// The system's own, by the list.
    system: bool,
    partitions: Vec<String>,
    /// Where the disk, its partitions, or the volumes of this container are mounted.
    mounted: Vec<(String, String)>,
    /// Partitions that CoreStorage or a RAID uses.
    held: Vec<String>,
    /// Of an APFS container: what it lies on.
    stores: Vec<String>,
}

impl List {
    fn read(list: &[u8]) -> Result<List, LookupError> {
        let form = |what: &str| LookupError::Form(format!("`diskutil list -plist`: {what}"));
        let list = dictionary(list).map_err(|e| form(&e))?;
        let disks = list.get("AllDisksAndPartitions").and_then(Value::as_array);
        let disks = disks.ok_or_else(|| form("no `AllDisksAndPartitions`"))?;
        disks.iter().map(|d| Entry::read(d).map_err(|e| form(&e))).collect::<Result<_, _>>().map(List)
    }
}

impl Entry {
    fn read(disk: &Value) -> Result<Entry, String> {
        let (name, disk) = identified(disk)?;
        if !is_whole(&name) {
            return Err(format!("`{name}` stands where whole disks stand"));
        }
        let mut entry = Entry {
            system: optional(disk, "OSInternal", Value::as_boolean)?.unwrap_or(false),
            partitions: Vec::new(),
            mounted: mounted(&name, disk)?,
            held: Vec::new(),
            stores: Vec::new(),
            name,
        };
        for partition in array(disk, "Partitions")? {
            let (id, partition) = identified(partition)?;
            let content = optional(partition, "Content", Value::as_string)?.unwrap_or_default();
            if content.contains("CoreStorage") || content.contains("RAID") {
                entry.held.push(id.clone());
            }
            entry.mounted.extend(mounted(&id, partition)?);
            entry.partitions.push(id);
        }
        for volume in array(disk, "APFSVolumes")? {
            let (id, volume) = identified(volume)?;
            entry.mounted.extend(mounted(&id, volume)?);
        }
        for store in array(disk, "APFSPhysicalStores")? {
            entry.stores.push(identified(store)?.0);
        }
        Ok(entry)
    }
}

/// Where it is mounted, itself or a snapshot of it, as a sealed system volume is.
fn mounted(id: &str, what: &Dictionary) -> Result<Vec<(String, String)>, String> {
    let mut points: Vec<&str> = optional(what, "MountPoint", Value::as_string)?.into_iter().collect();
    for snapshot in array(what, "MountedSnapshots")? {
        let snapshot =
            snapshot.as_dictionary().ok_or_else(|| format!("a snapshot of `{id}` has no words"))?;
        points.extend(optional(snapshot, "SnapshotMountPoint", Value::as_string)?);
    }
    Ok(points.into_iter().filter(|p| !p.is_empty()).map(|p| (id.to_owned(), p.to_owned())).collect())
}

fn dictionary(bytes: &[u8]) -> Result<Dictionary, String> {
    let value = Value::from_reader(Cursor::new(bytes)).map_err(|e| e.to_string())?;
    value.into_dictionary().ok_or_else(|| "no dictionary".to_owned())
}

fn identified(value: &Value) -> Result<(String, &Dictionary), String> {
    let found = value.as_dictionary();
    let id = found.and_then(|d| d.get("DeviceIdentifier")).and_then(Value::as_string);
    match (found, id) {
        (Some(found), Some(id)) if id.starts_with("disk") => Ok((id.to_owned(), found)),
        _ => Err("a part without a `DeviceIdentifier`".to_owned()),
    }
}

/// Nothing, or a list.
fn array<'a>(of: &'a Dictionary, key: &str) -> Result<&'a [Value], String> {
    match of.get(key) {
        None => Ok(&[]),
        Some(value) => value.as_array().map(Vec::as_slice).ok_or_else(|| format!("`{key}` is no list")),
    }
}

/// Nothing, or a value of this kind.
fn optional<'a, T>(
    of: &'a Dictionary,
    key: &str,
    kind: impl Fn(&'a Value) -> Option<T>,
) -> Result<Option<T>, String> {
    of.get(key).map(|value| kind(value).ok_or_else(|| format!("`{key}` is of another kind"))).transpose()
}

/// Device and mount point of each line of `mount` (`/dev/disk3s1s1 on / (apfs, sealed, local)`) that names a disk.
fn mounts(text: &[u8]) -> Result<Vec<(String, String)>, LookupError> {
    let text = String::from_utf8_lossy(text);
    let line = |line: &str| {
        let (device, rest) = line.strip_prefix("/dev/")?.split_once(" on ")?;
        let (at, _) = rest.rsplit_once(" (")?;
        Some((device.to_owned(), at.to_owned()))
    };
    let disks = text.lines().filter(|l| l.starts_with("/dev/disk"));
    let found: Vec<_> = disks
        .map(|l| line(l).ok_or_else(|| LookupError::Form(format!("`mount`: {l}"))))
        .collect::<Result<_, _>>()?;
    // Some root is always mounted.
    if found.is_empty() {
        return Err(LookupError::Form("`mount` names no disk".to_owned()));
    }
    Ok(found)
}

fn device(entry: &Entry, list: &List, mounts: &[(String, String)], tables: &Tables) -> Device {
    let name = &entry.name;
    // The disk, and every container that lies on it.
    let containers = list.0.iter().filter(|e| e.stores.iter().any(|s| is_of(s, name)));
    let parts: Vec<&Entry> = std::iter::once(entry).chain(containers).collect();
    let of_a_part = |id: &str| parts.iter().any(|p| is_of(id, &p.name));
    let listed = parts.iter().flat_map(|p| &p.mounted);
    let also = mounts.iter().filter(|(id, _)| of_a_part(id));
    let use_of = |(what, at): &(String, String)| Use::Mounted { what: what.clone(), at: at.clone() };
    let mut uses: Vec<Use> = Vec::new();
    for mounted in listed.chain(also).map(use_of) {
        if !uses.contains(&mounted) {
            uses.push(mounted);
        }
    }
    let held =
        entry.held.iter().map(|what| Use::Held { what: what.clone(), by: "CoreStorage or a RAID".into() });
    uses.extend(held);
    let mut words = Words { info: Dictionary::new(), doubts: Vec::new() };
    match tables.info.get(name).map(|text| dictionary(text)) {
        Some(Ok(info)) if !info.is_empty() => words.info = info,
        Some(Ok(_)) => words.doubts.push("`diskutil info` says nothing".to_owned()),
        Some(Err(e)) => words.doubts.push(format!("`diskutil info` ({e})")),
        None => words.doubts.push("`diskutil info` gave nothing".to_owned()),
    }
    if entry.system || words.may("SystemImage") || words.may("OSInternalMedia") {
        uses.push(Use::System(format!("macOS calls `{name}` its own")));
    }
    words.must("DeviceIdentifier", |v| v.as_string().filter(|id| id == name).map(|_| ()));
    words.must("WholeDisk", |v| v.as_boolean().filter(|whole| *whole).map(|_| ()));
    words.must("Internal", Value::as_boolean);
    let removable = words.must("RemovableMediaOrExternalDevice", Value::as_boolean).unwrap_or(false);
    let writable = words.must("WritableMedia", Value::as_boolean).unwrap_or(false);
    let size_bytes = words.must("TotalSize", Value::as_unsigned_integer).unwrap_or(0);
    if words.info.get("Size").is_some_and(|s| s.as_unsigned_integer() != Some(size_bytes)) {
        words.doubts.push("`Size` and `TotalSize` differ".to_owned());
    }
    let bus = words.must("BusProtocol", |v| v.as_string().map(str::to_owned)).unwrap_or_default();
    let physical = words.must("VirtualOrPhysical", |v| match v.as_string() {
        Some("Physical") => Some(true),
        Some("Virtual") => Some(false),
        // `Unknown` is what the built-in SSD of an Apple silicon Mac has.
        _ => None,
    });
    let model = ["MediaName", "IORegistryEntryName"].iter().find_map(|key| words.info.get(key)?.as_string());
    Device {
        name: name.clone(),
        size_bytes,
        model: model.map(|m| m.trim().to_owned()).unwrap_or_default(),
        // `diskutil` shows none.
        serial: String::new(),
        bus: match bus.as_str() {
            _ if physical == Some(false) || !entry.stores.is_empty() => Bus::Virtual,
            "Disk Image" => Bus::Virtual,
            "USB" => Bus::Usb,
            "Secure Digital" => Bus::Sd,
            "PCI-Express" | "NVMe" | "Apple Fabric" => Bus::Nvme,
            _ => Bus::Other,
        },
        removable,
        read_only: !writable && words.info.contains_key("WritableMedia"),
        partitions: entry.partitions.clone(),
        uses,
        doubts: words.doubts,
    }
}

/// `diskutil info` of a disk, and what is missing in it.
struct Words {
    info: Dictionary,
    doubts: Vec<String>,
}

impl Words {
    /// A word that a decision needs.
    fn must<T>(&mut self, key: &str, kind: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let found = self.info.get(key).and_then(kind);
        if found.is_none() && !self.info.is_empty() {
            self.doubts.push(match self.info.get(key) {
                Some(Value::String(text)) => format!("`{key}` is `{text}`"),
                Some(_) => format!("`{key}` is of another kind"),
                None => format!("no `{key}`"),
            });
        }
        found
    }

    /// A word that older systems do not say; anything but a plain no is a yes.
    fn may(&self, key: &str) -> bool {
        self.info.get(key).is_some_and(|v| v.as_boolean() != Some(false))
    }
}
