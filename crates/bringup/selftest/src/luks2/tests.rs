// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The volume that `cryptsetup` made, opened with an AES that shares no code with the kernel's.

use aes::Aes256;
use aes::cipher::KeyInit;
use xts_mode::{Xts128, get_tweak_default};

use super::*;

const VOLUME: &[u8] = crate::luks2::FIXTURE;
const PASSPHRASE: &[u8] = b"nanopi";
const COPY_BYTES: usize = 16 << 10;

/// AES-XTS with the number of a piece of the device in units of 512 bytes, from 0.
fn xts(key: &[u8], bytes: &[u8], sector_bytes: usize) -> Vec<u8> {
    let (data, tweak) = key.split_at(32);
    let cipher = |key: &[u8]| Aes256::new_from_slice(key).expect("32 bytes");
    let mut out = bytes.to_vec();
    for (at, piece) in out.chunks_mut(sector_bytes).enumerate() {
        let number = (at * sector_bytes / 512) as u128;
        Xts128::new(cipher(data), cipher(tweak)).decrypt_sector(piece, get_tweak_default(number));
    }
    out
}

fn area(area: &Area, key: &[u8], length: usize) -> std::io::Result<Vec<u8>> {
    assert_eq!(area.encryption, "aes-xts-plain64");
    let at = area.offset as usize;
    Ok(xts(key, &VOLUME[at..at + length], 512))
}

#[test]
fn the_volume_of_cryptsetup_opens() {
    let header = Header::read(VOLUME).expect("a header");
    assert_eq!(header.copy_bytes, COPY_BYTES);
    let key = unlock(&header, PASSPHRASE, area).expect("opens");
    let segment = header.segment().expect("one segment");
    assert_eq!(
        (segment.encryption.as_str(), segment.sector_size, segment.iv_tweak),
        ("aes-xts-plain64", 4096, 0)
    );
    let content = xts(&key, &VOLUME[segment.offset as usize..], 4096);
    // The magic number of squashfs (`linux/magic.h`).
    assert_eq!(&content[..4], b"hsqs");
}

#[test]
fn must_fail_another_passphrase() {
    let header = Header::read(VOLUME).expect("a header");
    for wrong in [&b""[..], b"nanopj", b"nanopi\n"] {
        assert!(matches!(unlock(&header, wrong, area), Err(Luks2Error::Passphrase)), "{wrong:?}");
    }
}

#[test]
fn must_fail_any_byte_of_both_headers() {
    // Every byte of the binary part, and every 61st of the JSON.
    for at in (0..4096).chain((4096..COPY_BYTES).step_by(61)) {
        let mut damaged = VOLUME.to_vec();
        damaged[at] ^= 1;
        assert!(Header::copy(&damaged, 0).is_err(), "byte {at}");
        assert_eq!(Header::read(&damaged).expect("the second copy").copy_bytes, COPY_BYTES);
        damaged[COPY_BYTES + at] ^= 0x80;
        assert!(Header::read(&damaged).is_err(), "byte {at} of both");
    }
}

#[test]
fn must_fail_a_key_slot_that_was_wiped() {
    let header = Header::read(VOLUME).expect("a header");
    let wiped = |a: &Area, key: &[u8], length: usize| {
        let mut stripes = area(a, key, length)?;
        stripes[length / 2] ^= 1;
        Ok(stripes)
    };
    assert!(matches!(unlock(&header, PASSPHRASE, wiped), Err(Luks2Error::Passphrase)));
    let short = |a: &Area, key: &[u8], length: usize| area(a, key, length - 1);
    assert!(matches!(unlock(&header, PASSPHRASE, short), Err(Luks2Error::Damaged(_))));
}

/// A sound header with other JSON.
fn with_json(from: &str, to: &str) -> Vec<u8> {
    let json = String::from_utf8(VOLUME[4096..COPY_BYTES].to_vec()).expect("text");
    let json = json.trim_end_matches('\0');
    assert!(json.contains(from), "{json}");
    let mut json = json.replace(from, to).into_bytes();
    json.resize(COPY_BYTES - 4096, 0);
    let mut whole = [&VOLUME[..4096], &json].concat();
    whole[448..512].fill(0);
    let digest = Sha256::digest(&whole);
    whole[448..480].copy_from_slice(&digest);
    whole
}

#[test]
fn must_fail_costs_and_kinds_that_cannot_be() {
    for (from, to) in [
        ("\"memory\":32", "\"memory\":4294967295"),
        ("\"time\":4", "\"time\":4294967295"),
        ("\"cpus\":1", "\"cpus\":0"),
        ("\"stripes\":4000", "\"stripes\":18446744073709551615"),
        ("\"stripes\":4000", "\"stripes\":0"),
        ("\"key_size\":64", "\"key_size\":0"),
        ("\"iterations\":1000", "\"iterations\":0"),
        ("\"iterations\":1000", "\"iterations\":4294967295"),
        ("\"keyslots\":[\"0\"]", "\"keyslots\":[]"),
        ("\"type\":\"luks1\"", "\"type\":\"luks9\""),
        ("\"type\":\"pbkdf2\"", "\"type\":\"md5\""),
    ] {
        let header = Header::read(&with_json(from, to)).expect(to);
        let refused = unlock(&header, PASSPHRASE, area);
        assert!(matches!(refused, Err(Luks2Error::Damaged(_) | Luks2Error::Unknown(_))), "{to}: {refused:?}");
    }
    for (from, to) in [("\"argon2id\"", "\"scrypt\""), ("\"32768\"", "\"-1\""), ("\"offset\"", "\"place\"")] {
        assert!(matches!(Header::read(&with_json(from, to)), Err(Luks2Error::Damaged(_))), "{to}");
    }
    for (from, to) in [("\"crypt\"", "\"linear\""), ("\"sector_size\":4096", "\"sector_size\":0")] {
        assert!(Header::read(&with_json(from, to)).expect(to).segment().is_err(), "{to}");
    }
}

#[test]
fn must_fail_no_header_and_a_cut_one() {
    assert!(matches!(Header::read(&[]), Err(Luks2Error::Absent)));
    assert!(matches!(Header::read(&[0; 8192]), Err(Luks2Error::Absent)));
    assert!(matches!(Header::read(&VOLUME[..COPY_BYTES - 1]), Err(Luks2Error::Damaged(_))));
}
