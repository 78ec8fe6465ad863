// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What must not be called fine, and what must not be called broken.

use std::io::Write;

use fw_image::fat;
use fw_image::guid::Guid;
use fw_image::lba::Lba;
use image_inspect::finding::Kind;
use image_inspect::open::Container;
use image_inspect::report::{RangeKind, Report, Verdict};
use image_inspect::source::{Overlay, Source};
use image_inspect::{Expect, inspect, text};

use crate::builders::{DISK_BYTES, boot, disk};
use crate::fixtures::Worn;
use crate::seeds::{fit, fit_of, idblock, medium, tree};

fn look(source: &dyn Source) -> Report {
    inspect(source, "x", Container::Raw, &Expect::any())
}

fn loader() -> (Vec<u8>, Vec<u8>) {
    (idblock(b"DDR x,fwver: v1.18"), fit(&tree("M", "friendlyarm,nanopi-m6")))
}

#[test]
fn a_file_that_is_a_loader_is_no_loader_that_reaches_into_a_partition() {
    let (block, body) = loader();
    let mut damaged = block.clone();
    damaged[2600] ^= 1;
    // Distributions have `idbloader.img` and `u-boot.itb` as files of their root file system.
    let files = [&damaged[..], &[0; 8192 - 3072], &body].concat();
    let source = disk(&[("root", Guid::LINUX_DATA, 16, &files)], &[(64 * 512, &block), (16384 * 512, &body)]);
    let report = look(&source);
    assert_eq!(report.verdict, Verdict::NothingFound, "{:?}", report.findings);
    // Where the loader is missing, they are still named.
    let source = disk(&[("root", Guid::LINUX_DATA, 16, &files)], &[]);
    let report = look(&source);
    assert!(report.has(Kind::IdblockMisplaced) && report.has(Kind::FitMisplaced), "{:?}", report.findings);
}

#[test]
fn one_part_of_a_loader_is_nothing_that_boots_by_itself() {
    let (block, _) = loader();
    let report = look(&&block[..]);
    assert!(report.has(Kind::LoaderPart));
    assert_eq!(report.verdict, Verdict::NotBootable, "{:?}", report.findings);
    // The same with padding far behind its end was a whole loader before it was cut.
    let mut cut = block.clone();
    cut.resize(4 << 20, 0xff);
    let report = look(&&cut[..]);
    assert!(report.has(Kind::FitMissing) && report.verdict == Verdict::WillNotBoot, "{:?}", report.findings);
}
