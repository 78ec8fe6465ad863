// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which disks may be written on a Mac, on tables that are made up in the form in which `diskutil` prints them.

use flasher::device::macos::{self, Tables};
use flasher::device::{Bus, Device, LookupError, Refusal, Use};

const GB: u64 = 1_000_000_000;
const IMAGE_BYTES: u64 = 1_306_525_696;

fn plist(body: &str) -> Vec<u8> {
    let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
                <!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n";
    format!("{head}<plist version=\"1.0\">{body}</plist>\n").into_bytes()
}

fn text(key: &str, value: &str) -> String {
    format!("<key>{key}</key><string>{value}</string>")
}

fn list(key: &str, items: &[String]) -> String {
    let items: String = items.iter().map(|i| format!("<dict>{i}</dict>")).collect();
    format!("<key>{key}</key><array>{items}</array>")
}

fn id(name: &str) -> String {
    text("DeviceIdentifier", name)
}

fn part(name: &str, content: &str, mount_point: Option<&str>) -> String {
    let mounted = mount_point.map(|at| text("MountPoint", at)).unwrap_or_default();
    text("Content", content) + &id(name) + &mounted + "<key>Size</key><integer>1000000</integer>"
}

/// `diskutil info` of a card of 32 GB in a USB reader.
fn card(name: &str) -> String {
    let flag = |key: &str, yes: bool| format!("<key>{key}</key><{yes}/>");
    let size = |key: &str| format!("<key>{key}</key><integer>{}</integer>", 32 * GB);
    [
        text("BusProtocol", "USB"),
        id(name),
        text("DeviceNode", &format!("/dev/{name}")),
        "<key>DeviceBlockSize</key><integer>512</integer>".to_owned(),
        flag("Ejectable", true),
        flag("Internal", false),
        text("IORegistryEntryName", "Generic MassStorageClass Media"),
        text("MediaName", "MassStorageClass"),
        flag("OSInternalMedia", false),
        flag("RemovableMedia", true),
        flag("RemovableMediaOrExternalDevice", true),
        size("Size"),
        flag("SystemImage", false),
        size("TotalSize"),
        text("VirtualOrPhysical", "Physical"),
        flag("WholeDisk", true),
        flag("WritableMedia", true),
    ]
    .concat()
}

/// The same with one value replaced, or taken away.
fn without(info: &str, key: &str, instead: &str) -> String {
    let at = info.find(&format!("<key>{key}</key>")).expect(key);
    let rest = &info[at + 1..];
    let next = rest.find("<key>").map_or(info.len(), |n| at + 1 + n);
    format!("{}{instead}{}", &info[..at], &info[next..])
}

/// An Apple silicon Mac with a card: `disk0` is its SSD, `disk3` the container that it runs from.
struct Mac {
    disks: Vec<String>,
    mounts: String,
    info: Vec<(&'static str, String)>,
}

impl Mac {
    fn new() -> Mac {
        let ssd = [part("disk0s1", "Apple_APFS_ISC", None), part("disk0s2", "Apple_APFS", None)];
        let snapshot = text("SnapshotMountPoint", "/") + &text("SnapshotBSD", "disk3s1s1");
        let volumes = [
            part("disk3s1", "41504653-0000-11AA-AA11-0030654", None) + &list("MountedSnapshots", &[snapshot]),
            part("disk3s5", "41504653-0000-11AA-AA11-0030654", Some("/System/Volumes/Data")),
        ];
        let container = text("Content", "Apple_APFS_Container")
            + &id("disk3")
            + &list("APFSPhysicalStores", &[id("disk0s2")])
            + &list("APFSVolumes", &volumes)
            + "<key>Partitions</key><array/>";
        let internal = without(&card("disk0"), "VirtualOrPhysical", &text("VirtualOrPhysical", "Unknown"));
        let internal = without(&internal, "BusProtocol", &text("BusProtocol", "Apple Fabric"));
        let internal = without(
            &internal,
            "RemovableMediaOrExternalDevice",
            "<key>RemovableMediaOrExternalDevice</key><false/>",
        );
        let internal = without(&internal, "Internal", "<key>Internal</key><true/>");
        let synthesized = without(&card("disk3"), "VirtualOrPhysical", &text("VirtualOrPhysical", "Virtual"));
        let mut mac = Mac {
            disks: vec![id("disk0") + &list("Partitions", &ssd), container],
            mounts: "/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)\n\
                     devfs on /dev (devfs, local, nobrowse)\n\
                     /dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse, protect)\n\
                     map auto_home on /System/Volumes/Data/home (autofs, automounted, nobrowse)\n"
                .to_owned(),
            info: vec![("disk0", internal), ("disk3", synthesized)],
        };
        mac.card(&[part("disk4s1", "EFI", None)]);
        mac
    }

    fn card(&mut self, partitions: &[String]) {
        self.disks.truncate(2);
        self.disks
            .push(text("Content", "GUID_partition_scheme") + &id("disk4") + &list("Partitions", partitions));
        self.info("disk4", card("disk4"));
    }

    fn info(&mut self, name: &'static str, info: String) {
        self.info.retain(|(n, _)| *n != name);
        self.info.push((name, info));
    }

    fn tables(&self) -> Tables {
        Tables {
            list: plist(&format!("<dict>{}</dict>", list("AllDisksAndPartitions", &self.disks))),
            info: self
                .info
                .iter()
                .map(|(n, i)| ((*n).to_owned(), plist(&format!("<dict>{i}</dict>"))))
                .collect(),
            mounts: self.mounts.clone().into_bytes(),
        }
    }

    fn named(&self, name: &str) -> Device {
        macos::named(&self.tables(), name).expect(name)
    }

    /// Whatever is allowed.
    fn refusals(&self, name: &str) -> Vec<Refusal> {
        self.named(name).refusals(IMAGE_BYTES, Some(name))
    }
}

#[test]
fn a_card_in_a_reader_is_welcome() {
    let mac = Mac::new();
    let card = mac.named("disk4");
    assert_eq!(card.refusals(IMAGE_BYTES, None), []);
    assert_eq!((card.bus, card.removable, card.size_bytes), (Bus::Usb, true, 32 * GB));
    assert_eq!(
        (card.model.as_str(), &card.partitions[..]),
        ("MassStorageClass", &["disk4s1".to_owned()][..])
    );
    let names: Vec<_> = macos::all(&mac.tables()).expect("all").into_iter().map(|d| d.name).collect();
    assert_eq!(names, ["disk0", "disk3", "disk4"]);
    assert_eq!(macos::whole_disks(&mac.tables().list).expect("list"), names);
}

#[test]
fn a_card_in_the_slot_of_a_mac_is_internal_and_welcome() {
    let mut mac = Mac::new();
    let slot = without(&card("disk4"), "Internal", "<key>Internal</key><true/>");
    mac.info("disk4", without(&slot, "BusProtocol", &text("BusProtocol", "Secure Digital")));
    assert_eq!((mac.named("disk4").bus, mac.refusals("disk4")), (Bus::Sd, vec![]));
}

#[test]
fn the_disk_of_the_system_is_found_through_its_container() {
    let mut mac = Mac::new();
    for list_only in [false, true] {
        let refusals = mac.refusals("disk0");
        assert_eq!(refusals[0], Refusal::System("`disk3s1` is `/`".to_owned()), "{list_only}");
        assert!(!refusals[0].can_be_overridden());
        // That the flag is `Unknown` is a refusal of its own.
        assert!(
            refusals.contains(&Refusal::Doubt(vec!["`VirtualOrPhysical` is `Unknown`".to_owned()])),
            "{refusals:?}"
        );
        // `mount` says nothing of it: the list alone is enough.
        mac.mounts = "/dev/disk4s1 on /elsewhere (msdos)\n".to_owned();
    }
    // And `mount` alone is.
    let mut mac = Mac::new();
    mac.disks[1] = id("disk3") + &list("APFSPhysicalStores", &[id("disk0s2")]);
    assert_eq!(mac.refusals("disk0")[0], Refusal::System("`disk3s1s1` is `/`".to_owned()));
    assert!(mac.refusals("disk3").contains(&Refusal::Virtual));
    // Not mounted, but macOS says that it is its own.
    let mut mac = Mac::new();
    for key in ["SystemImage", "OSInternalMedia"] {
        mac.info("disk4", without(&card("disk4"), key, &format!("<key>{key}</key><true/>")));
        assert!(matches!(&mac.refusals("disk4")[..], [Refusal::System(_)]), "{key}");
    }
    mac.info("disk4", card("disk4"));
    mac.disks[2].push_str("<key>OSInternal</key><true/>");
    assert!(matches!(&mac.refusals("disk4")[..], [Refusal::System(_)]));
}

#[test]
fn what_is_mounted_is_refused_by_partition_by_disk_and_through_a_container() {
    let mut mac = Mac::new();
    mac.card(&[part("disk4s1", "DOS_FAT_32", Some("/Volumes/MY CARD"))]);
    let at = Use::Mounted { what: "disk4s1".into(), at: "/Volumes/MY CARD".into() };
    assert_eq!(mac.named("disk4").uses, std::slice::from_ref(&at));
    mac.mounts.push_str("/dev/disk4s1 on /Volumes/MY CARD (msdos, local, nodev, nosuid, noowners)\n");
    assert_eq!(mac.named("disk4").uses, [at], "said once");
    assert!(matches!(&mac.refusals("disk4")[..], [Refusal::InUse(_)]));
    // A disk without partitions, and one of which only `mount` knows.
    mac.card(&[]);
    mac.mounts = Mac::new().mounts + "/dev/disk4 on /Volumes/odd (name) (msdos, local)\n";
    assert_eq!(
        mac.named("disk4").uses,
        [Use::Mounted { what: "disk4".into(), at: "/Volumes/odd (name)".into() }]
    );
    // A backup disk: its volume lies in a container, the container on its partition.
    let mut mac = Mac::new();
    mac.card(&[part("disk4s2", "Apple_APFS", None)]);
    let volume = part("disk5s1", "41504653-0000-11AA-AA11-0030654", Some("/Volumes/Backup"));
    mac.disks
        .push(id("disk5") + &list("APFSPhysicalStores", &[id("disk4s2")]) + &list("APFSVolumes", &[volume]));
    mac.info("disk5", without(&card("disk5"), "VirtualOrPhysical", &text("VirtualOrPhysical", "Virtual")));
    assert_eq!(
        mac.named("disk4").uses,
        [Use::Mounted { what: "disk5s1".into(), at: "/Volumes/Backup".into() }]
    );
    assert!(mac.refusals("disk5").contains(&Refusal::Virtual));
    // Unmounted, it may be written.
    mac.disks[3] = id("disk5") + &list("APFSPhysicalStores", &[id("disk4s2")]);
    assert_eq!(mac.refusals("disk4"), []);
    // `disk40` is another disk than `disk4`.
    let volume = part("disk41s1", "41504653-0000-11AA-AA11-0030654", Some("/Volumes/y"));
    mac.disks.push(id("disk40") + &list("Partitions", &[part("disk40s1", "DOS_FAT_32", Some("/Volumes/x"))]));
    mac.disks.push(
        id("disk41") + &list("APFSPhysicalStores", &[id("disk40s2")]) + &list("APFSVolumes", &[volume]),
    );
    mac.mounts.push_str("/dev/disk40s1 on /Volumes/x (msdos, local)\n");
    assert_eq!(mac.refusals("disk4"), []);
}

#[test]
fn raids_images_locks_and_sizes_are_refused() {
    let mut mac = Mac::new();
    for content in ["Apple_CoreStorage", "Apple_RAID", "Apple_RAID_Offline"] {
        mac.card(&[part("disk4s2", content, None)]);
        assert!(matches!(&mac.refusals("disk4")[..], [Refusal::InUse(_)]), "{content}");
    }
    mac.card(&[]);
    let changed = |key: &str, instead: &str| {
        let mut mac = Mac::new();
        mac.info("disk4", without(&card("disk4"), key, instead));
        mac
    };
    let image = changed("BusProtocol", &text("BusProtocol", "Disk Image"));
    assert_eq!(image.refusals("disk4"), [Refusal::Virtual]);
    let image = changed("VirtualOrPhysical", &text("VirtualOrPhysical", "Virtual"));
    assert_eq!(image.refusals("disk4"), [Refusal::Virtual]);
    assert!(!Refusal::Virtual.can_be_overridden());
    assert_eq!(
        changed("WritableMedia", "<key>WritableMedia</key><false/>").refusals("disk4"),
        [Refusal::ReadOnly]
    );
    let fixed = "<key>RemovableMediaOrExternalDevice</key><false/>";
    let fixed = changed("RemovableMediaOrExternalDevice", fixed).named("disk4");
    assert_eq!(fixed.refusals(IMAGE_BYTES, None), [Refusal::Fixed("USB")]);
    assert_eq!(fixed.refusals(IMAGE_BYTES, Some("disk4")), []);
    let sized = |bytes: u64| {
        let mut mac = Mac::new();
        let info =
            without(&card("disk4"), "TotalSize", &format!("<key>TotalSize</key><integer>{bytes}</integer>"));
        mac.info("disk4", without(&info, "Size", &format!("<key>Size</key><integer>{bytes}</integer>")));
        mac.named("disk4")
    };
    assert_eq!(sized(0).refusals(IMAGE_BYTES, None), [Refusal::Empty]);
    assert!(matches!(sized(GB).refusals(IMAGE_BYTES, None)[..], [Refusal::TooSmall { .. }]));
    assert_eq!(sized(8_000 * GB).refusals(IMAGE_BYTES, None), [Refusal::Large]);
}

/// Every word that a decision needs: gone, or of another kind, it is a refusal that nothing overrides.
#[test]
fn what_is_not_said_is_refused() {
    let needed = [
        "DeviceIdentifier",
        "WholeDisk",
        "Internal",
        "RemovableMediaOrExternalDevice",
        "WritableMedia",
        "TotalSize",
        "BusProtocol",
        "VirtualOrPhysical",
    ];
    for key in needed {
        for instead in [String::new(), format!("<key>{key}</key><date>2026-01-01T00:00:00Z</date>")] {
            let mut mac = Mac::new();
            mac.info("disk4", without(&card("disk4"), key, &instead));
            let refusals = mac.refusals("disk4");
            let doubts =
                refusals.iter().find(|r| matches!(r, Refusal::Doubt(d) if d.iter().any(|d| d.contains(key))));
            assert!(doubts.is_some_and(|d| !d.can_be_overridden()), "{key} {instead}: {refusals:?}");
        }
    }
    let doubted = |info: Option<String>| {
        let mut mac = Mac::new();
        mac.info.retain(|(n, _)| *n != "disk4");
        mac.info.extend(info.map(|i| ("disk4", i)));
        mac.refusals("disk4").iter().any(|r| matches!(r, Refusal::Doubt(_)))
    };
    assert!(!doubted(Some(card("disk4"))), "the check can fail");
    assert!(doubted(None), "`diskutil info` failed");
    assert!(doubted(Some(card("disk5"))), "about another disk");
    assert!(
        doubted(Some(without(&card("disk4"), "Size", "<key>Size</key><integer>1</integer>"))),
        "two sizes"
    );
    assert!(doubted(Some("<key>".to_owned())), "no property list");
    assert!(doubted(Some(String::new())), "an empty one");
    let mut mac = Mac::new();
    for key in ["SystemImage", "OSInternalMedia"] {
        mac.info("disk4", without(&card("disk4"), key, &text(key, "maybe")));
        assert!(matches!(&mac.refusals("disk4")[..], [Refusal::System(_)]), "{key}");
    }
}

#[test]
fn a_list_that_is_not_understood_gives_no_disk_at_all() {
    let fails = |tables: &Tables| matches!(macos::all(tables), Err(LookupError::Form(_)));
    assert!(!fails(&Mac::new().tables()), "the check can fail");
    let body = |body: &str| Tables { list: plist(body), ..Mac::new().tables() };
    for list in ["", "<array/>", "<dict/>", "<dict><key>AllDisksAndPartitions</key><string>x</string></dict>"]
    {
        assert!(fails(&body(list)), "{list}");
    }
    let cut = Mac::new().tables();
    assert!(fails(&Tables { list: cut.list[..cut.list.len() / 2].to_vec(), ..cut }));
    for odd in [
        text("Content", "a disk without a name"),
        id("sda"),
        id("disk7s1"),
        id("disk7") + &list("Partitions", &[text("Content", "Apple_HFS")]),
        id("disk7") + &list("APFSPhysicalStores", &[text("Store", "disk4s1")]),
        id("disk7") + &text("Partitions", "disk7s1"),
        id("disk7") + "<key>MountPoint</key><integer>1</integer>",
        id("disk7") + &list("APFSVolumes", &[id("disk7s1") + &text("MountedSnapshots", "/")]),
    ] {
        let mut mac = Mac::new();
        mac.disks.push(odd.clone());
        assert!(fails(&mac.tables()), "{odd}");
    }
    for mounts in ["", "devfs on /dev (devfs)\n", "/dev/disk3s1s1 /\n", "/dev/disk9s1 on /Volumes/x (apfs)\n"]
    {
        assert!(fails(&Tables { mounts: mounts.into(), ..Mac::new().tables() }), "{mounts}");
    }
}

#[test]
fn partitions_and_unknown_names_are_told_apart() {
    let tables = Mac::new().tables();
    for (name, of) in [("disk4s1", "disk4"), ("disk3s1s1", "disk3")] {
        let error = macos::named(&tables, name).expect_err("a partition");
        assert!(matches!(&error, LookupError::Partition { disk, .. } if disk == of), "{error}");
    }
    for name in ["disk9", "disk9s1", "rdisk4", "disk", "sda", ""] {
        assert!(matches!(macos::named(&tables, name), Err(LookupError::Unknown(_))), "{name}");
    }
}
