// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Finds the slot in an image without symbols: a published image has no `System.map` beside it.
//!
//! The layout of `certs/system_certificates.S` is strict enough to be recognised: certificates one behind the
//! other, zeros to the end of the slot, the counter that says how many bytes are used, the size of the list.

use super::{Error, Slot, der_length};
use crate::bytes::{le32, le64};

/// The least alignment of the list's size, a 64-bit number.
const LIST_SIZE_ALIGN_BYTES: usize = 8;
/// The assembler's `.align 8` before it means 2^8 bytes on arm64, 8 on others.
const LIST_SIZE_REACH_BYTES: usize = 1 << 8;
/// And its `.align 4` before the counter 2^4 bytes, or 4.
const USED_REACH_BYTES: usize = 1 << 4;
/// The least alignment of the counter.
const USED_ALIGN_BYTES: usize = 4;
/// A list longer than this is none: distributions' lists have some ten kilobytes.
const MAX_LIST_BYTES: usize = 1 << 16;
/// Places that are looked at. This project's kernel of 41 MB has 40 million, an image of nothing but small numbers a
/// thousand for each of its words.
const MAX_PLACES: usize = 1 << 29;

impl Slot {
    /// Finds a slot of `slot_bytes` (`CONFIG_SYSTEM_EXTRA_CERTIFICATE_SIZE` of the image's own configuration)
    /// that holds at least one certificate; `None` when there is none, which is also the answer for an empty
    /// slot: it looks like any other zeros.
    ///
    /// # Errors
    /// Several places look like one, or more could be one than are looked at.
    pub fn search(image: &[u8], slot_bytes: usize) -> Result<Option<Slot>, Error> {
        Self::search_places(image, slot_bytes, MAX_PLACES)
    }

    fn search_places(image: &[u8], slot_bytes: usize, max_places: usize) -> Result<Option<Slot>, Error> {
        let (mut found, mut places) = (Vec::new(), 0);
        let mut at = 0;
        while let Some(list_size) = le64(image, at) {
            if (1..=MAX_LIST_BYTES as u64).contains(&list_size) {
                found.extend(candidate(image, at, list_size as usize, slot_bytes, &mut places));
            }
            if places > max_places {
                let why = format!("more than {max_places} places could be a certificate slot");
                return Err(Error::Inconsistent(why));
            }
            at += LIST_SIZE_ALIGN_BYTES;
        }
        match found[..] {
            [] => Ok(None),
            [slot] => Ok(Some(slot)),
            _ => Err(Error::Inconsistent(format!("{} places look like a certificate slot", found.len()))),
        }
    }
}

/// The slot whose list size stands at `list_size_offset_bytes`, if everything before it fits.
fn candidate(
    image: &[u8],
    list_size_offset_bytes: usize,
    list_size: usize,
    slot_bytes: usize,
    places: &mut usize,
) -> Option<Slot> {
    let back = (USED_ALIGN_BYTES..=LIST_SIZE_REACH_BYTES).step_by(USED_ALIGN_BYTES);
    let used_offset_bytes = back.filter_map(|back| list_size_offset_bytes.checked_sub(back));
    for used_offset_bytes in used_offset_bytes {
        let Some(used) = le32(image, used_offset_bytes).map(|n| n as usize) else { continue };
        if used == 0 || used > slot_bytes || used > list_size {
            continue;
        }
        for padding in 0..USED_REACH_BYTES {
            *places += 1;
            let Some(slot_offset_bytes) = used_offset_bytes.checked_sub(padding + slot_bytes) else {
                continue;
            };
            let Some(list_offset_bytes) = slot_offset_bytes.checked_sub(list_size - used) else { continue };
            let slot = Slot {
                list_offset_bytes,
                slot_offset_bytes,
                slot_bytes,
                used_offset_bytes,
                list_size_offset_bytes,
            };
            let rest = &image[slot_offset_bytes + used..used_offset_bytes];
            // Each for itself: the border between built-in list and slot is one between certificates.
            let (built_in, own) = image[list_offset_bytes..][..list_size].split_at(list_size - used);
            if holds_certificates(built_in) && holds_certificates(own) && rest.iter().all(|b| *b == 0) {
                return Some(slot);
            }
        }
    }
    None
}

/// Whether the bytes are DER sequences one behind the other, to the last byte.
fn holds_certificates(mut list: &[u8]) -> bool {
    while !list.is_empty() {
        match der_length(list) {
            Some(length) if length <= list.len() => list = &list[length..],
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::tests::{SLOT_BYTES, certificate, image, slot};
    use super::*;

    #[test]
    fn finds_what_the_symbols_say() {
        for certificates in [&[certificate(1, 1302)][..], &[certificate(1, 400), certificate(2, 700)]] {
            let mut image = image();
            let ders: Vec<&[u8]> = certificates.iter().map(Vec::as_slice).collect();
            slot().insert(&mut image, &ders).expect("fits");
            assert_eq!(Slot::search(&image, SLOT_BYTES).expect("one"), Some(slot()));
        }
    }

    #[test]
    fn finds_it_with_the_alignment_of_arm64() {
        // As in a kernel: the list at a multiple of 256, the counter right behind the slot, the size 256 later.
        let der = certificate(1, 1374);
        let mut image = vec![0xee; 512];
        image.extend(&der);
        image.resize(512 + SLOT_BYTES, 0);
        image.extend((der.len() as u32).to_le_bytes());
        image.resize(512 + SLOT_BYTES + 256, 0);
        image.extend((der.len() as u64).to_le_bytes());
        let found = Slot::search(&image, SLOT_BYTES).expect("one").expect("found");
        assert_eq!((found.slot_offset_bytes, found.list_offset_bytes), (512, 512));
        assert_eq!(found.certificates(&image).expect("one"), [der]);
    }

    #[test]
    fn an_empty_slot_and_another_size_are_not_found() {
        let mut image = image();
        assert_eq!(Slot::search(&image, SLOT_BYTES).expect("none"), None);
        slot().insert(&mut image, &[&certificate(1, 1302)]).expect("fits");
        assert_eq!(Slot::search(&image, SLOT_BYTES + 8).expect("none"), None);
    }

    #[test]
    fn an_image_of_small_numbers_is_given_up() {
        let image = 64_u64.to_le_bytes().repeat(4096);
        let all = Slot::search_places(&image, SLOT_BYTES, usize::MAX).expect("looked at to its end");
        assert_eq!(all, None);
        let given_up = Slot::search_places(&image, SLOT_BYTES, 1 << 20).expect_err("too many");
        assert!(given_up.to_string().contains("more than 1048576 places"), "{given_up}");
    }

    #[test]
    fn must_fail_08_damaged_and_doubled() {
        let mut one = image();
        slot().insert(&mut one, &[&certificate(1, 1302)]).expect("fits");
        let used = slot().used_offset_bytes;
        for at in [slot().slot_offset_bytes, used - 1, used, used + 4] {
            let mut damaged = one.clone();
            damaged[at] ^= 1;
            assert_eq!(Slot::search(&damaged, SLOT_BYTES).expect("none"), None, "byte {at}");
        }
        one.resize(one.len().next_multiple_of(8), 0);
        let twice = [one.clone(), one].concat();
        assert!(matches!(Slot::search(&twice, SLOT_BYTES), Err(Error::Inconsistent(_))));
    }
}
