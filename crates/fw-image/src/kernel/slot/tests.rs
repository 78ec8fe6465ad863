// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The slot in a made-up image: 1000 bytes of something, a list, the slot, the two counters.

use super::*;

const BUILT_IN: usize = 300;
pub(super) const SLOT_BYTES: usize = 2048;

const MAP: &str = "\
ffff800080000000 T _text
ffff8000800003e8 D system_certificate_list
ffff800080000514 D system_extra_cert
ffff800080000d14 D system_extra_cert_used
ffff800080000d18 D system_certificate_list_size
";

pub(super) fn certificate(fill: u8, len: usize) -> Vec<u8> {
    let mut der = vec![fill; len];
    der[..2].copy_from_slice(&DER_SEQUENCE);
    der[2..4].copy_from_slice(&((len - DER_HEADER_BYTES) as u16).to_be_bytes());
    der
}

pub(super) fn slot() -> Slot {
    Slot::locate(&Symbols::from_system_map(MAP).expect("a map")).expect("all symbols")
}

pub(super) fn image() -> Vec<u8> {
    let mut image = vec![0xee_u8; 1000];
    image.extend(certificate(0xb1, BUILT_IN));
    image.extend(vec![0; SLOT_BYTES]);
    image.extend(0_u32.to_le_bytes());
    image.extend((BUILT_IN as u64).to_le_bytes());
    image.extend(vec![0xee; 100]);
    image
}

#[test]
fn inserts_replaces_and_empties() {
    let (slot, untouched) = (slot(), image());
    assert_eq!((slot.slot_offset_bytes, slot.slot_bytes), (1300, SLOT_BYTES));
    let mut image = untouched.clone();
    let (a, b) = (certificate(1, 1302), certificate(2, 700));
    slot.insert(&mut image, &[&a, &b]).expect("both fit");
    assert_eq!(slot.certificates(&image).expect("three"), [certificate(0xb1, BUILT_IN), a, b.clone()]);
    assert_eq!(le32(&image, slot.used_offset_bytes), Some(2002));
    assert_eq!(le64(&image, slot.list_size_offset_bytes), Some(2302));

    slot.insert(&mut image, &[&b]).expect("one fits");
    assert_eq!(slot.certificates(&image).expect("two").len(), 2);
    assert!(image[slot.slot_offset_bytes + 700..slot.used_offset_bytes].iter().all(|b| *b == 0));

    slot.insert(&mut image, &[]).expect("nothing fits");
    assert_eq!(image, untouched);
}

#[test]
fn a_slot_filled_to_the_last_byte() {
    let mut image = image();
    slot().insert(&mut image, &[&certificate(1, SLOT_BYTES)]).expect("exactly fits");
    assert_eq!(slot().certificates(&image).expect("two").len(), 2);
}

#[test]
fn must_fail_01_does_not_fit() {
    let mut image = image();
    let before = image.clone();
    let refused = slot().insert(&mut image, &[&certificate(1, 1302), &certificate(2, 747)]);
    assert!(matches!(refused, Err(Error::TooLarge { need_bytes: 2049, slot_bytes: SLOT_BYTES })));
    assert_eq!(image, before);
}

#[test]
fn must_fail_02_not_a_certificate() {
    let good = certificate(1, 400);
    let longer = [good.clone(), vec![0]].concat();
    for der in [&b"-----BEGIN CERTIFICATE-----"[..], &[], &good[..399], &longer] {
        assert!(matches!(slot().insert(&mut image(), &[&good, der]), Err(Error::NotDer { index: 1 })));
    }
}

#[test]
fn must_fail_03_truncated_image() {
    let image = image();
    for len in [0, 1300, slot().list_size_offset_bytes + 7] {
        assert!(matches!(slot().certificates(&image[..len]), Err(Error::Outside { .. })), "length {len}");
    }
}

#[test]
fn must_fail_04_symbols_of_another_build() {
    let mut image = image();
    image[slot().list_size_offset_bytes] ^= 1;
    assert!(matches!(slot().certificates(&image), Err(Error::Inconsistent(_))));
    image[slot().used_offset_bytes + 2] = 1;
    assert!(matches!(slot().insert(&mut image, &[]), Err(Error::Inconsistent(_))));
}

#[test]
fn must_fail_05_kernel_without_the_slot() {
    let without = MAP.replace("system_extra_cert", "something_else");
    let refused = Slot::locate(&Symbols::from_system_map(&without).expect("a map"));
    assert!(matches!(refused, Err(Error::Symbols(symbols::Error::Missing(_)))));
}

#[test]
fn must_fail_06_symbol_before_the_image() {
    let before = MAP.replace("ffff800080000000 T", "ffff900080000000 T");
    let refused = Slot::locate(&Symbols::from_system_map(&before).expect("a map"));
    assert!(matches!(refused, Err(Error::BeforeText(_))));
}

#[test]
fn must_fail_07_damaged_list() {
    let mut image = image();
    image[slot().list_offset_bytes + 1] = 0x81;
    assert!(matches!(slot().certificates(&image), Err(Error::NotDer { index: 0 })));
}
