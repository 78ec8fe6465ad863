// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `.raw.xz`: the stock tool must accept it, threads must not change it, holes must come back.

mod common;

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::unix::fs::MetadataExt;

use common::{noise, tool};
use fw_image::xz::{BLOCK_BYTES, Summary, XzError, compress, decompress, decompress_bounded};
use sha2::{Digest, Sha256};

/// Zeros, text, noise, and an end in the middle of a block.
fn sample() -> Vec<u8> {
    let mut raw = vec![0; 16 * BLOCK_BYTES + 12_345];
    for (i, byte) in raw[3 * BLOCK_BYTES..4 * BLOCK_BYTES].iter_mut().enumerate() {
        *byte = b"talos nanopi m6 "[i % 16];
    }
    raw[6 * BLOCK_BYTES..9 * BLOCK_BYTES].copy_from_slice(&noise(3 * BLOCK_BYTES, 7));
    // Half noise, half zeros: neither stored nor constant.
    raw[10 * BLOCK_BYTES..10 * BLOCK_BYTES + BLOCK_BYTES / 2].copy_from_slice(&noise(BLOCK_BYTES / 2, 8));
    // Evenly spread bytes that are a mere count.
    for (i, byte) in raw[12 * BLOCK_BYTES..13 * BLOCK_BYTES].iter_mut().enumerate() {
        *byte = i as u8;
    }
    raw
}

fn packed(raw: &[u8], threads: usize) -> (Vec<u8>, Summary) {
    let mut xz = Vec::new();
    let summary = compress(&mut &raw[..], &mut xz, threads).unwrap();
    (xz, summary)
}

#[test]
fn threads_do_not_change_the_bytes() {
    let raw = sample();
    let (one, summary) = packed(&raw, 1);
    for threads in [0, 2, 3, 16] {
        assert!(packed(&raw, threads).0 == one, "{threads} threads");
    }
    let sha256 = |bytes: &[u8]| fw_image::hex(&Sha256::digest(bytes));
    let expected = Summary {
        raw_bytes: raw.len() as u64,
        raw_sha256: sha256(&raw),
        xz_bytes: one.len() as u64,
        xz_sha256: sha256(&one),
    };
    assert_eq!(summary, expected);
    // 3.5 MiB of noise, and little else.
    assert!(one.len() < 3 * BLOCK_BYTES + BLOCK_BYTES / 2 + 40_000, "{} bytes", one.len());
}

#[test]
fn stock_xz_accepts_it() {
    let folder = tempfile::tempdir().unwrap();
    let (raw, path) = (sample(), folder.path().join("sample.raw.xz"));
    let (xz, _) = packed(&raw, 2);
    std::fs::write(&path, &xz).unwrap();
    let name = path.to_str().unwrap();
    tool("xz", "xz-utils", &["-t", "-v", name]);
    let list = tool("xz", "xz-utils", &["--robot", "-l", name]);
    // Streams, blocks, compressed size, uncompressed size, ratio, check, padding.
    let totals: Vec<_> = list.lines().find(|l| l.starts_with("file\t")).unwrap().split('\t').collect();
    assert_eq!(totals[1..5], ["1", "17", &xz.len().to_string(), &raw.len().to_string()]);
    assert_eq!(totals[6], "CRC64");
    // -T2 makes xz use the sizes in the block headers.
    tool("xz", "xz-utils", &["-d", "-k", "-T2", name]);
    assert!(std::fs::read(folder.path().join("sample.raw")).unwrap() == raw);
}

#[test]
fn small_inputs() {
    for raw in [&b""[..], b"x", &[0; 4096], &noise(BLOCK_BYTES, 1), &noise(BLOCK_BYTES + 1, 1)] {
        let (xz, summary) = packed(raw, 2);
        let mut back = tempfile::tempfile().unwrap();
        assert_eq!(decompress(&xz[..], &mut back).unwrap(), summary.raw_bytes);
        assert!(contents(&mut back) == raw);
    }
}

fn contents(file: &mut File) -> Vec<u8> {
    let mut bytes = Vec::new();
    io::Seek::rewind(file).unwrap();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn holes_come_back() {
    let raw = sample();
    let (xz, _) = packed(&raw, 2);
    let mut back = tempfile::tempfile().unwrap();
    io::Write::write_all(&mut back, &vec![0xff; 2 * BLOCK_BYTES]).unwrap(); // must not shine through
    assert_eq!(decompress(&xz[..], &mut back).unwrap(), raw.len() as u64);
    assert!(contents(&mut back) == raw);
    let on_disk = back.metadata().unwrap().blocks() * 512;
    assert!(on_disk < 7 * BLOCK_BYTES as u64, "{on_disk} bytes on disk of {}", raw.len());
}

/// What other programs make is read as well, also several streams in a row.
#[test]
fn reads_what_stock_xz_makes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, sample()).unwrap();
    tool("xz", "xz-utils", &["-1", "-T2", path.to_str().unwrap()]);
    let stream = std::fs::read(folder.path().join("a.xz")).unwrap();
    let mut back = tempfile::tempfile().unwrap();
    let twice = [&stream[..], &stream].concat();
    assert_eq!(decompress(&twice[..], &mut back).unwrap(), 2 * sample().len() as u64);
}

#[test]
fn must_fail_01_damaged_or_truncated_data() {
    let raw = sample();
    let (xz, _) = packed(&raw, 2);
    let mut back = tempfile::tempfile().unwrap();
    let mut refused = |bytes: &[u8]| {
        let error = decompress(Cursor::new(bytes), &mut back).unwrap_err();
        assert!(matches!(error, XzError::Input(_)), "{error}");
    };
    for cut in [0, 11, 12, xz.len() / 2, xz.len() - 1] {
        refused(&xz[..cut]);
    }
    for flip in [0, 7, 20, xz.len() / 2, xz.len() - 20, xz.len() - 1] {
        let mut bad = xz.clone();
        bad[flip] ^= 1;
        refused(&bad);
    }
    refused(&[&xz[..], b"more"].concat());
}

/// An input and an output that fail are told apart.
#[test]
fn must_fail_02_broken_input_and_full_output() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("broken"))
        }
    }
    assert!(matches!(compress(&mut Broken, &mut Vec::new(), 2), Err(XzError::Input(_))));
    let mut full = [0; 100];
    assert!(matches!(compress(&mut &sample()[..], &mut &mut full[..], 2), Err(XzError::Output(_))));
}

#[test]
fn must_fail_a_file_that_unpacks_to_more_than_allowed() {
    let raw = vec![7_u8; 3 * BLOCK_BYTES];
    let mut packed = Vec::new();
    compress(&mut &raw[..], &mut packed, 1).unwrap();
    let mut out = tempfile::tempfile().unwrap();
    assert_eq!(decompress_bounded(&packed[..], &mut out, raw.len() as u64).unwrap(), raw.len() as u64);
    let error = decompress_bounded(&packed[..], &mut out, raw.len() as u64 - 1).unwrap_err();
    assert!(matches!(error, XzError::TooLarge(_)), "{error}");
    assert!(out.metadata().unwrap().len() < raw.len() as u64);
}
