// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A LUKS2 volume that `cryptsetup` made, opened as Talos opens its encrypted partitions, and read.
//!
//! The header's arithmetic is [`crate::luks2`]'s. Everything that is encrypted, the area of the key slot and the volume
//! itself, goes through dm-crypt.

use std::fs;
use std::os::unix::fs::FileExt;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use super::dm::Mapped;
use super::{Lines, Network, Outcome, Place, Topic, Trouble, ensure};
use crate::luks2::{Area, Header, Luks2Error, unlock};
use crate::sys::loopdev::{self, Access, Attached};

pub(super) const TOPIC: Topic = Topic {
    name: "luks",
    checks: &["luks2.open", "luks2.wrong-passphrase", "luks2.damaged-header"],
    network: Network::Own,
    run,
};

/// Made by `fixtures/make-luks2.py`.
const VOLUME: &str = "/usr/share/selftest/luks2.img";
const PASSPHRASE: &[u8] = b"nanopi";
/// A file of the file system inside, and its content.
const GREETING: (&str, &str) = ("greeting", "opened\n");
/// The unit of the device mapper's tables, and of the area of a key slot.
const SECTOR_BYTES: u64 = 512;

impl From<Luks2Error> for Trouble {
    fn from(e: Luks2Error) -> Self {
        Trouble::Fail(e.to_string())
    }
}

fn run(place: &Place, lines: &mut Lines<'_>) {
    let prepared =
        fs::read(VOLUME).map_err(Trouble::during(format!("reading `{VOLUME}`"))).and_then(|bytes| {
            let copy = place.path("luks2.img");
            fs::write(&copy, &bytes)?;
            Ok((loopdev::attach(&copy, Access::ReadWrite)?, bytes))
        });
    let (device, bytes) = match prepared {
        Ok(prepared) => prepared,
        Err(_) => {
            for check in TOPIC.checks {
                lines
                    .add(check, Err(Trouble::Fail(format!("`{VOLUME}` cannot be put behind a loop device"))));
            }
            return;
        }
    };
    lines.add("luks2.open", open(place, &device, &bytes));
    lines.add("luks2.wrong-passphrase", wrong_passphrase(&device, &bytes));
    lines.add("luks2.damaged-header", damaged(&bytes));
}

/// Mounts what is inside and reads a file of it.
fn open(place: &Place, device: &Attached, bytes: &[u8]) -> Outcome {
    let header = Header::read(bytes)?;
    let key = unlock(&header, PASSPHRASE, |area, key, length| key_slot(device, area, key, length))?;
    let segment = header.segment()?;
    let sectors = (bytes.len() as u64).saturating_sub(segment.offset) / SECTOR_BYTES;
    let parameters = format!(
        "{} {} {} {} {} 1 sector_size:{}",
        segment.encryption,
        hex(&key),
        segment.iv_tweak,
        device.path.display(),
        segment.offset / SECTOR_BYTES,
        segment.sector_size
    );
    let volume = Mapped::new("selftest-luks2", sectors, "crypt", &parameters)?;
    let inside = place.folder("luks2")?;
    mount(&volume.path, &inside, "squashfs", MountFlags::RDONLY, None)
        .map_err(|e| Trouble::during("mounting what is inside")(e.into()))?;
    let text = fs::read_to_string(inside.join(GREETING.0));
    unmount(&inside, UnmountFlags::empty())?;
    ensure(text? == GREETING.1, "the file inside reads otherwise")?;
    Ok(format!("argon2id, {}, mounted, read", segment.encryption))
}

fn wrong_passphrase(device: &Attached, bytes: &[u8]) -> Outcome {
    let header = Header::read(bytes)?;
    match unlock(&header, b"nanopj", |area, key, length| key_slot(device, area, key, length)) {
        Err(Luks2Error::Passphrase) => Ok("refused by the key's digest".into()),
        Err(other) => Err(other.into()),
        Ok(_) => Err(Trouble::Fail("it opened".into())),
    }
}

/// One byte changed in the first header, then in both.
fn damaged(bytes: &[u8]) -> Outcome {
    let mut bytes = bytes.to_vec();
    let second = Header::read(&bytes)?.copy_bytes;
    // In the middle of the salt: nothing but the checksum tells.
    bytes[120] ^= 1;
    ensure(matches!(Header::copy(&bytes, 0), Err(Luks2Error::Checksum)), "the damaged copy was taken")?;
    Header::read(&bytes)?;
    bytes[second + 120] ^= 1;
    ensure(Header::read(&bytes).is_err(), "a header damaged twice was taken")?;
    Ok("refused by its checksum, the second copy taken".into())
}

/// The decrypted beginning of a key slot's area.
fn key_slot(device: &Attached, area: &Area, key: &[u8], length: usize) -> std::io::Result<Vec<u8>> {
    let sectors = (length as u64).div_ceil(SECTOR_BYTES);
    let parameters = format!(
        "{} {} 0 {} {}",
        area.encryption,
        hex(key),
        device.path.display(),
        area.offset / SECTOR_BYTES
    );
    let mapped = Mapped::new("selftest-keyslot", sectors, "crypt", &parameters)
        .map_err(|trouble| std::io::Error::other(trouble.to_string()))?;
    let mut bytes = vec![0; length];
    fs::File::open(&mapped.path)?.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
