// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One entry for each parser that meets files from anywhere: any bytes in, and it must come back, soon and in little
//! memory. Used by `fuzz/` (cargo-fuzz) and by the mutation runner of this crate's tests; docs/fuzzing.md.
//!
//! Checksums that would turn nearly every changed byte away are made right first: the code behind them counts.

use fw_image::crc::{crc32, crc32c};
use fw_image::fat::Volume;
use fw_image::fdt::Tree;
use fw_image::fit::Fit;
use fw_image::gpt;
use fw_image::map::ImageMap;
use fw_image::squashfs::Squashfs;
use fw_image::xfs::{EntryKind, Xfs};
use fw_image::{bl31, cpio, ddr, grubcfg, idblock, initramfs, kmod, meta, modsig};

use crate::look::{Expect, Inspector, Options};
use crate::open::{Container, Limits};
use crate::report::Report;
use crate::source::{Cursor, Overlay, Source};
use crate::{html, pe, summary, text};

/// What everything may unpack to here: inputs are small.
const UNPACK_BYTES: u64 = 16 << 20;
/// Files of a file system that are read.
const FILES: usize = 32;
/// Sparse inputs are records of a chunk's number (32 bits, little-endian) and its bytes.
pub const CHUNK_BYTES: usize = 4096;
/// Size of the medium that sparse inputs are laid on.
const MEDIUM_BYTES: u64 = 2 << 30;

/// A parser's entry.
pub type Entry = fn(&[u8]);

/// All entries by name: those of `fuzz/fuzz_targets`.
pub const TARGETS: &[(&str, Entry)] = &[
    ("idblock", |data| {
        let _ = idblock::verify(data);
        let _ = ddr::parse(data);
    }),
    ("fdt", |data| {
        if let Ok(tree) = Tree::parse(data) {
            let _ = (tree.model(), tree.compatible(), tree.children("/"), tree.node("/aliases").is_ok());
        }
    }),
    ("fit", |data| {
        if let Ok(fit) = Fit::parse(data) {
            let _ = (fit.verify(data).is_ok(), fit.end_bytes(), fit.device_tree(data).is_ok());
        }
    }),
    ("elf", |data| {
        let _ = bl31::parse(data);
        let _ = kmod::Info::read(data);
        let _ = pe::parse(data).map(|program| pe::kind(data, &program));
    }),
    ("modsig", |data| {
        let _ = modsig::split(data);
        let _ = modsig::verify(data, &[]);
        let _ = fw_image::cert::Certificate::from_der(data);
    }),
    ("gpt", |data| {
        let disk = sealed_table(data);
        if let Ok(image) = gpt::Image::read(&mut Cursor::new(&&disk[..])) {
            let _ = image.problems();
        }
        drop(look(&&disk[..]));
    }),
    ("fat", |data| {
        let medium = sparse(data);
        let Ok(mut volume) = Volume::open(Cursor::new(&medium)) else { return };
        for entry in volume.list().unwrap_or_default().iter().filter(|e| !e.directory).take(FILES) {
            let _ = (volume.read(entry, UNPACK_BYTES).is_ok(), volume.extents(entry).is_ok());
        }
    }),
    ("xfs", |data| {
        let sealed = sealed_xfs(data);
        let medium = sparse(&sealed);
        let Ok(mut xfs) = Xfs::open(Cursor::new(&medium)) else { return };
        for entry in xfs.list().unwrap_or_default().iter().filter(|e| e.kind == EntryKind::File).take(FILES) {
            let _ = xfs.extents(&entry.path);
            if entry.size_bytes <= UNPACK_BYTES {
                let _ = xfs.read(&entry.path);
            }
        }
    }),
    ("squashfs", |data| {
        let Ok(mut squashfs) = Squashfs::open(data) else { return };
        for entry in squashfs.list().unwrap_or_default().iter().take(FILES) {
            let _ = squashfs.read(entry, UNPACK_BYTES);
        }
    }),
    ("initramfs", |data| {
        let _ = cpio::read(data);
        for segment in initramfs::segments_within(data, UNPACK_BYTES).unwrap_or_default() {
            let _ = segment.members().map(|m| m.len());
        }
        let mut inspector = Inspector::new(Expect::any(), options());
        let kernel = inspector.kernel(b"no kernel");
        drop(inspector.userland(data, Some(&kernel)));
    }),
    ("kernel", |data| drop(Inspector::new(Expect::any(), options()).kernel(data))),
    ("text", |data| {
        let text = String::from_utf8_lossy(data);
        let _ = grubcfg::parse(&text);
        let _ = ImageMap::from_json(&text);
        let mut partition = data.to_vec();
        partition.resize(meta::PARTITION_BYTES, 0);
        let _ = meta::Meta::read(&partition);
    }),
    ("container", |data| {
        let mut file = tempfile::tempfile().expect("a temporary file");
        std::io::Write::write_all(&mut file, data).expect("written");
        let limits = Limits { image_bytes: UNPACK_BYTES, data_bytes: UNPACK_BYTES };
        drop(crate::open::open(file, &limits, &mut |_| {}));
    }),
    ("inspect", |data| drop(look(&data))),
    ("disk", |data| drop(look(&sparse(data)))),
];

fn options() -> Options {
    Options { scan_bytes: UNPACK_BYTES, file_bytes: UNPACK_BYTES, unpack_bytes: UNPACK_BYTES }
}

/// A whole look, shown in every form; what it says must hold together.
fn look(source: &dyn Source) -> Report {
    let mut inspector = Inspector::new(Expect::nanopi_m6(), options());
    let report = inspector.inspect(source, "fuzz", Container::Raw, None);
    let mut at = 0;
    for range in &report.ranges {
        assert_eq!(range.offset_bytes, at, "a gap before `{}`", range.name);
        assert!(range.length_bytes > 0, "an empty range");
        at += range.length_bytes;
    }
    assert_eq!(at, source.size_bytes(), "the map does not end where the image ends");
    let shown = text::render(&report, false).len() + html::render(&report).len();
    assert!(serde_json::to_vec(&report).is_ok() && shown > 0);
    let _ = summary(source);
    report
}

/// A medium of zeros with the chunks of a sparse input on it. Cut records are left out.
fn sparse(data: &[u8]) -> Overlay<'static> {
    const NOTHING: &[u8] = &[];
    let mut medium = Overlay::new(&NOTHING);
    medium.resize(MEDIUM_BYTES);
    for record in data.chunks_exact(4 + CHUNK_BYTES).take(256) {
        let number = u64::from(u32::from_le_bytes([record[0], record[1], record[2], record[3]]));
        medium.put(number % (MEDIUM_BYTES / CHUNK_BYTES as u64) * CHUNK_BYTES as u64, &record[4..]);
    }
    medium
}

/// A disk of half a megabyte with the input behind its first sector, and the checksums of both table copies made right.
fn sealed_table(data: &[u8]) -> Vec<u8> {
    const BYTES: usize = 512 << 10;
    let mut disk = vec![0; BYTES];
    let take = data.len().min(BYTES);
    disk[..take].copy_from_slice(&data[..take]);
    for at in [512, BYTES - 512] {
        let word = |disk: &[u8], i: usize| {
            u32::from_le_bytes([disk[at + i], disk[at + i + 1], disk[at + i + 2], disk[at + i + 3]])
        };
        let start = (word(&disk, 72) as usize).saturating_mul(512);
        let length = (word(&disk, 80) as usize).saturating_mul(word(&disk, 84) as usize);
        if let Some(entries) = start.checked_add(length).and_then(|end| disk.get(start..end)) {
            let crc = crc32(entries);
            disk[at + 88..at + 92].copy_from_slice(&crc.to_le_bytes());
        }
        disk[at + 16..at + 20].fill(0);
        let crc = crc32(&disk[at..at + 92]);
        disk[at + 16..at + 20].copy_from_slice(&crc.to_le_bytes());
    }
    disk
}

/// A sparse input with the CRCs of superblocks, inodes and inode trees made right.
fn sealed_xfs(data: &[u8]) -> Vec<u8> {
    let mut sealed = data.to_vec();
    for record in sealed.chunks_exact_mut(4 + CHUNK_BYTES) {
        let chunk = &mut record[4..];
        if chunk.starts_with(b"IAB3") {
            seal(chunk, 52);
        }
        for sector in chunk.chunks_exact_mut(512) {
            if sector.starts_with(b"XFSB") {
                seal(sector, 224);
            } else if sector.starts_with(b"IN") {
                seal(sector, 100);
            }
        }
    }
    sealed
}

fn seal(structure: &mut [u8], crc_at: usize) {
    let crc = crc32c(&[&structure[..crc_at], &[0; 4], &structure[crc_at + 4..]]);
    structure[crc_at..crc_at + 4].copy_from_slice(&crc.to_le_bytes());
}

/// The entry of that name.
///
/// # Panics
/// There is none.
pub fn run(name: &str, data: &[u8]) {
    let entry = TARGETS.iter().find(|(n, _)| *n == name);
    entry.unwrap_or_else(|| panic!("no target `{name}`")).1(data);
}
