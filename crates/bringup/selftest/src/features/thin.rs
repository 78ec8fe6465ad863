// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A thin pool with a volume and a snapshot, as LVM's CSI drivers make them.

use std::fs;
use std::os::unix::fs::FileExt;

use super::dm::Mapped;
use super::{Lines, Network, Outcome, Place, Topic, ensure};
use crate::sys::loopdev::{self, Access};

pub(super) const TOPIC: Topic = Topic { name: "thin", checks: &["dm.thin"], network: Network::Own, run };

/// 32 MiB of data, 4 MiB of metadata, chunks of 64 KiB, in sectors.
const DATA_SECTORS: u64 = 65_536;
const METADATA_SECTORS: u64 = 8192;
const CHUNK_SECTORS: u64 = 128;
/// The volume is larger than the pool: that is the point.
const VOLUME_SECTORS: u64 = DATA_SECTORS * 4;
const SECTOR_BYTES: u64 = 512;

fn run(place: &Place, lines: &mut Lines<'_>) {
    lines.add("dm.thin", check(place));
}

fn check(place: &Place) -> Outcome {
    let attach = |name: &str, sectors: u64| {
        let path = place.path(name);
        fs::File::create(&path)?.set_len(sectors * SECTOR_BYTES)?;
        loopdev::attach(&path, Access::ReadWrite).map_err(std::io::Error::from)
    };
    let (metadata, data) = (attach("thin-metadata", METADATA_SECTORS)?, attach("thin-data", DATA_SECTORS)?);
    let parameters = format!("{} {} {CHUNK_SECTORS} 0", metadata.path.display(), data.path.display());
    let pool = Mapped::new("selftest-pool", DATA_SECTORS, "thin-pool", &parameters)?;
    pool.message("create_thin 0")?;
    let volume = |number: u32| {
        let name = format!("selftest-thin{number}");
        Mapped::new(&name, VOLUME_SECTORS, "thin", &format!("{} {number}", pool.path.display()))
    };
    let at = (VOLUME_SECTORS - 8) * SECTOR_BYTES;
    let origin = volume(0)?;
    let write = |device: &Mapped, bytes: &[u8; 512]| -> std::io::Result<()> {
        let file = fs::OpenOptions::new().write(true).open(&device.path)?;
        file.write_all_at(bytes, at)?;
        file.sync_all()
    };
    write(&origin, &[1; 512])?;
    // A snapshot of a volume that is not in use.
    drop(origin);
    pool.message("create_snap 1 0")?;
    let (origin, snapshot) = (volume(0)?, volume(1)?);
    write(&origin, &[2; 512])?;
    let mut read = [0; 512];
    fs::File::open(&snapshot.path)?.read_exact_at(&mut read, at)?;
    ensure(read == [1; 512], "the snapshot followed its origin")?;
    Ok("pool, volume larger than it, snapshot".into())
}
