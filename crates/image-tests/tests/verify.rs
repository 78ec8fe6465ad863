// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `verify` on the image that was built: it is what its map says, and each of 1,000 flipped bits is found and named.

use std::collections::BTreeMap;

use fw_image::map::{ImageMap, Region};
use image_inspect::open::Container;
use image_inspect::source::{FileSource, Overlay, Source};
use image_inspect::verify::{Extent, GAP, VerifyError, name_parts, verify};
use image_inspect::{Expect, inspect};
use image_tests::artifacts::Artifacts;

type Failable = Result<(), Box<dyn std::error::Error>>;

const FLIPS: usize = 1000;

/// The same places in every run: a fault must be repeatable.
struct Places(u64);

impl Places {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 20) % below
    }
}

/// Places in mapped regions, each region as often as any other, so that the small ones are not left out.
fn places(map: &ImageMap) -> BTreeMap<u64, (u8, &Region)> {
    let mut numbers = Places(1);
    let mut places = BTreeMap::new();
    while places.len() < FLIPS {
        let region = &map.regions[numbers.next(map.regions.len() as u64) as usize];
        // Where something is, or anywhere: most of the large regions is zero.
        let numbers_of = region.blocks.keys().copied().collect::<Vec<_>>();
        let at = match numbers_of.len() as u64 {
            n if n > 0 && numbers.next(2) == 0 => {
                numbers_of[numbers.next(n) as usize] * fw_image::map::BLOCK_BYTES + numbers.next(65_536)
            }
            _ => numbers.next(region.length_bytes),
        };
        if at < region.length_bytes {
            places.insert(region.offset_bytes + at, (numbers.next(8) as u8, region));
        }
    }
    places
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn each_of_a_thousand_flipped_bits_is_found() -> Failable {
    let a = Artifacts::get();
    let source = FileSource::new(a.raw()?)?;
    let good = verify(&source, &a.map, None, &mut |_| {})?;
    assert!(good.changes.is_empty() && good.good_regions == a.map.regions.len(), "{good:?}");
    assert_eq!(good.compared_bytes, a.map.size_bytes, "all of it was looked at");

    let places = places(&a.map);
    let mut broken = Overlay::new(&source);
    for (at, (bit, _)) in &places {
        broken.flip(*at, *bit)?;
    }
    // With the image at hand: every byte by itself, nothing else. Flips in one sector are told as one range.
    let found = verify(&broken, &a.map, Some(&source), &mut |_| {})?;
    assert!(found.changes.iter().all(|c| c.extent == Extent::Exact));
    for (at, (_, region)) in &places {
        let hit =
            found.changes.iter().find(|c| c.offset_bytes <= *at && *at < c.offset_bytes + c.length_bytes);
        assert_eq!(hit.map(|c| c.region.as_str()), Some(region.name.as_str()), "byte {at:#x}");
    }
    for change in &found.changes {
        let last = change.offset_bytes + change.length_bytes - 1;
        assert!(places.contains_key(&change.offset_bytes) && places.contains_key(&last), "{change:?}");
    }
    // With the map alone: within a block of 64 KiB.
    let found = verify(&broken, &a.map, None, &mut |_| {})?;
    for (at, (_, region)) in &places {
        let hit =
            found.changes.iter().find(|c| c.offset_bytes <= *at && *at < c.offset_bytes + c.length_bytes);
        let hit = hit.ok_or_else(|| format!("byte {at:#x} goes unseen"))?;
        assert!(hit.region == region.name && hit.length_bytes <= fw_image::map::BLOCK_BYTES, "{hit:?}");
    }
    Ok(())
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn each_flip_is_found_when_it_is_the_only_one() -> Failable {
    let a = Artifacts::get();
    let source = FileSource::new(a.raw()?)?;
    for region in &a.map.regions {
        for at in [0, region.length_bytes / 2, region.length_bytes - 1] {
            let mut broken = Overlay::new(&source);
            broken.flip(region.offset_bytes + at, 0)?;
            let found = verify(&broken, &a.map, Some(&source), &mut |_| {})?;
            let hits = &found.changes;
            assert_eq!(hits.len(), 1, "{} at {at}", region.name);
            assert_eq!((hits[0].offset_bytes, hits[0].length_bytes), (region.offset_bytes + at, 1));
        }
    }
    Ok(())
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn changes_are_named_by_what_they_are_in() -> Failable {
    let a = Artifacts::get();
    let source = FileSource::new(a.raw()?)?;
    let report = inspect(&source, "image", Container::Raw, &Expect::any());
    let place = |name: &str| {
        let all = report.ranges.iter().flat_map(|r| std::iter::once(r).chain(&r.parts));
        all.into_iter().find(|r| r.name == name).map(|r| r.offset_bytes + r.length_bytes / 2)
    };
    let dtb = format!("dtb/{}", a.board.dtb);
    for name in ["DDR blob", "SPL", "u-boot", "atf-2", &dtb, "A/vmlinuz", "grub/grub.cfg"] {
        let at = place(name).ok_or_else(|| format!("no range `{name}`"))?;
        let mut broken = Overlay::new(&source);
        broken.flip(at, 1)?;
        let mut found = verify(&broken, &a.map, Some(&source), &mut |_| {})?;
        name_parts(&mut found, &report);
        assert_eq!(found.changes.len(), 1, "{name}");
        assert_eq!(found.changes[0].inside.as_deref(), Some(name));
        assert!(!found.changes[0].meaning().is_empty());
    }
    let mut broken = Overlay::new(&source);
    broken.put(21_000 * 512, b"left over");
    let found = verify(&broken, &a.map, None, &mut |_| {})?;
    assert_eq!((found.changes.len(), found.changes[0].region.as_str()), (1, GAP));
    broken.resize(a.map.size_bytes - 512);
    assert!(matches!(verify(&broken, &a.map, None, &mut |_| {}), Err(VerifyError::TooSmall { .. })));
    Ok(())
}

#[test]
#[cfg_attr(not(artifacts), ignore = "no built image; run `cargo xtask image --userland bringup`")]
fn a_map_of_the_first_form_still_names_the_region() -> Failable {
    let a = Artifacts::get();
    let source = FileSource::new(a.raw()?)?;
    let mut old = a.map.clone();
    old.regions.retain(|r| r.length_bytes <= 16 << 20);
    old.size_bytes = old.regions.iter().map(|r| r.offset_bytes + r.length_bytes).max().unwrap_or(0);
    old.regions.iter_mut().for_each(|r| r.blocks.clear());
    let region = old.region("u-boot").ok_or("no loader")?.clone();
    let mut broken = Overlay::new(&source);
    broken.flip(region.offset_bytes + 70_000, 0)?;
    let found = verify(&broken, &old, None, &mut |_| {})?;
    let hit = found.changes.iter().find(|c| c.region == "u-boot").ok_or("the change goes unseen")?;
    assert_eq!((hit.extent, hit.length_bytes), (Extent::Within, region.length_bytes));
    assert!(broken.size_bytes() >= old.size_bytes);
    Ok(())
}
