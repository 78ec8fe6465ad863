// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A zboot header in front of a planned payload, and the ways it can be wrong.

use super::*;
use crate::kernel::image::tests::sample;

const IMAGE_BYTES: usize = 60_000;
const MEMORY_BYTES: usize = 80_000;

fn symbols() -> Symbols {
    Symbols::from_system_map("00000000013b0000 A _kernel_codesize\n").expect("a map")
}

/// What the linker would make, without the code.
fn wrapped() -> Vec<u8> {
    let plan = plan(&sample(IMAGE_BYTES, MEMORY_BYTES as u64), &symbols(), 3).expect("an image");
    let mut efi = vec![0_u8; 4096];
    efi[..2].copy_from_slice(&DOS_MAGIC);
    efi[4..8].copy_from_slice(&IMAGE_TYPE);
    efi[8..12].copy_from_slice(&4096_u32.to_le_bytes());
    efi[12..16].copy_from_slice(&((plan.payload.len() - SIZE_WORD_BYTES) as u32).to_le_bytes());
    efi[24..28].copy_from_slice(b"zstd");
    efi[0x38..0x3c].copy_from_slice(&LINUX_PE_MAGIC.to_le_bytes());
    efi.extend(plan.payload);
    efi
}

#[test]
fn unpacks_to_the_padded_image() {
    let efi = wrapped();
    let header = Header::parse(&efi).expect("our own header");
    assert_eq!((header.compression.as_str(), header.payload_offset_bytes), ("zstd", 4096));
    let mut padded = sample(IMAGE_BYTES, MEMORY_BYTES as u64);
    padded.resize(MEMORY_BYTES, 0);
    assert_eq!(decompress(&efi).expect("our own payload"), padded);
}

#[test]
fn plan_is_the_same_twice_and_names_every_file() {
    let image = sample(IMAGE_BYTES, MEMORY_BYTES as u64);
    let once = plan(&image, &symbols(), 3).expect("an image");
    assert_eq!(once, plan(&image, &symbols(), 3).expect("an image"));
    assert_eq!(once.payload[once.payload.len() - 4..], (MEMORY_BYTES as u32).to_le_bytes());
    assert!(once.steps[0].arguments.contains(&"zboot_code_size=0x00000000013b0000".to_owned()));
    assert_eq!(once.steps.last().expect("three steps").output, OUTPUT_FILE);
    // Each input is the payload, a kept file or what an earlier step left.
    let mut known: Vec<&str> = KEPT.iter().map(|kept| kept.file).chain([PAYLOAD_FILE]).collect();
    for step in &once.steps {
        let inputs = step.arguments.iter().filter(|a| a.starts_with("vmlinuz") && *a != step.output);
        for input in inputs {
            assert!(known.contains(&input.as_str()), "{input}");
        }
        assert!(step.arguments.iter().any(|argument| argument == step.output));
        known.push(step.output);
    }
}

#[test]
fn must_fail_01_bad_marks() {
    for (at, what) in [(0, "the DOS magic"), (4, "the image type"), (0x38, "the Linux PE magic")] {
        let mut efi = wrapped();
        efi[at] ^= 1;
        assert!(matches!(Header::parse(&efi), Err(Error::Magic { what: found, .. }) if found == what));
    }
}

#[test]
fn must_fail_02_truncated() {
    let efi = wrapped();
    for len in [0, 63, 4096, efi.len() - 1] {
        assert!(matches!(Header::parse(&efi[..len]), Err(Error::Truncated { .. })), "length {len}");
    }
}

#[test]
fn must_fail_03_payload_changed() {
    let mut efi = wrapped();
    let last_of_checksum = efi.len() - SIZE_WORD_BYTES - 1;
    efi[last_of_checksum] ^= 1;
    assert!(matches!(decompress(&efi), Err(Error::Payload(_))));
}

#[test]
fn must_fail_04_size_word_changed() {
    for size in [MEMORY_BYTES as u32 - 1, MEMORY_BYTES as u32 + 1, u32::MAX] {
        let mut efi = wrapped();
        let at = efi.len() - SIZE_WORD_BYTES;
        efi[at..].copy_from_slice(&size.to_le_bytes());
        assert!(matches!(decompress(&efi), Err(Error::Payload(_))), "size {size}");
    }
}

#[test]
fn must_fail_05_gzip() {
    let mut efi = wrapped();
    efi[24..28].copy_from_slice(b"gzip");
    assert!(matches!(decompress(&efi), Err(Error::Compression(name)) if name == "gzip"));
}

#[test]
fn must_fail_06_plan_without_code_size_or_image() {
    let none = Symbols::from_system_map("").expect("an empty map");
    let image = sample(IMAGE_BYTES, MEMORY_BYTES as u64);
    assert!(matches!(plan(&image, &none, 3), Err(Error::Symbols(_))));
    assert!(matches!(plan(&image[..10], &symbols(), 3), Err(Error::Image(_))));
    let huge = sample(IMAGE_BYTES, u64::MAX);
    assert!(matches!(plan(&huge, &symbols(), 3), Err(Error::Payload(_))));
}
