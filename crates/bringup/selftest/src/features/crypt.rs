// SPDX-License-Identifier: Apache-2.0 OR MIT
//! dm-crypt with the cipher of LUKS2 volumes, against a published test vector.
//!
//! [`super::luks`] opens a whole volume; the vector here has no tool's arithmetic in it.

use std::fs;
use std::os::unix::fs::FileExt;

use super::dm::Mapped;
use super::{Lines, Network, Outcome, Place, Topic, ensure};
use crate::sys::loopdev::{self, Access};

pub(super) const TOPIC: Topic = Topic { name: "crypt", checks: &["dm.crypt"], network: Network::Own, run };

/// Key 1 and key 2 of IEEE 1619-2007 (2018 edition: annex B), vector 10, XTS-AES-256: LUKS2's default cipher.
const KEY: &str = "27182818284590452353602874713526\
                   62497757247093699959574966967627\
                   31415926535897932384626433832795\
                   02884197169399375105820974944592";
/// Its data unit: `plain64` numbers sectors of 512 bytes.
const SECTOR: u64 = 0xff;
/// How its ciphertext begins. The plaintext is 00 to ff, twice.
const CIPHERTEXT: [u8; 16] =
    [0x1c, 0x3b, 0x3a, 0x10, 0x2f, 0x77, 0x03, 0x86, 0xe4, 0x83, 0x6c, 0x99, 0xe3, 0x70, 0xcf, 0x9b];
const SECTOR_BYTES: u64 = 512;
const SECTORS: u64 = 2048;

fn run(place: &Place, lines: &mut Lines<'_>) {
    lines.add("dm.crypt", check(place));
}

fn check(place: &Place) -> Outcome {
    let file = place.path("crypt.img");
    fs::File::create(&file)?.set_len(SECTORS * SECTOR_BYTES)?;
    let below = loopdev::attach(&file, Access::ReadWrite)?;
    let parameters = format!("aes-xts-plain64 {KEY} 0 {} 0", below.path.display());
    let mapped = Mapped::new("selftest-crypt", SECTORS, "crypt", &parameters)?;
    let plaintext: Vec<u8> = (0..SECTOR_BYTES).map(|i| i as u8).collect();
    let above = fs::OpenOptions::new().read(true).write(true).open(&mapped.path)?;
    above.write_all_at(&plaintext, SECTOR * SECTOR_BYTES)?;
    above.sync_all()?;
    let mut stored = vec![0; SECTOR_BYTES as usize];
    // The loop device writes through to its file.
    fs::File::open(&file)?.read_exact_at(&mut stored, SECTOR * SECTOR_BYTES)?;
    ensure(stored.starts_with(&CIPHERTEXT), format!("the stored sector begins with {:02x?}", &stored[..16]))?;
    drop((above, mapped));
    // A second opening reads it back; a wrong key does not.
    let mapped = Mapped::new("selftest-crypt", SECTORS, "crypt", &parameters)?;
    let mut read = vec![0; SECTOR_BYTES as usize];
    fs::File::open(&mapped.path)?.read_exact_at(&mut read, SECTOR * SECTOR_BYTES)?;
    ensure(read == plaintext, "it reads back otherwise")?;
    drop(mapped);
    let wrong = parameters.replacen("2718", "2719", 1);
    let mapped = Mapped::new("selftest-crypt", SECTORS, "crypt", &wrong)?;
    fs::File::open(&mapped.path)?.read_exact_at(&mut read, SECTOR * SECTOR_BYTES)?;
    ensure(read != plaintext, "another key reads the same")?;
    Ok("aes-xts-plain64 as in IEEE 1619, written, opened again, read".into())
}
