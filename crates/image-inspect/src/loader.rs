// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The loader: idblock with DDR blob and SPL at sector 64, FIT at sector 16384, and what they reach into.

use fw_image::ddr::{self, Verdict};
use fw_image::fdt;
use fw_image::idblock::{self, Error};
use fw_image::lba::SECTOR_BYTES;

use crate::claims::end;
use crate::finding::Kind;
use crate::look::{Look, find, range, sha256, text_at};
use crate::report::{IdBlock, PartitionReport, Payload, Range, RangeKind, Shape};
use crate::{fit, shape};

/// Where the boot ROM looks (sector 64).
pub(crate) const IDBLOCK_BYTES: usize = 64 * 512;
/// Where SPL looks (`CONFIG_SYS_MMCSD_RAW_MODE_U_BOOT_SECTOR`, sector 16384).
pub(crate) const FIT_BYTES: usize = 16384 * 512;
/// The vendor's slot for `uboot.img` (parameter file of its SD tools).
const VENDOR_SLOT_BYTES: u64 = 4 << 20;
/// Magic of version 1, `RC4` scrambled (`tools/rkcommon.c`).
const VERSION_1: [u8; 4] = [0x3b, 0x8c, 0xdc, 0xfc];
/// What tools fill up the end of an `idbloader.img` to at most.
const FILL_BYTES: u64 = 512 << 10;
/// Candidates that are looked at: a hostile file could have one in every sector.
const MAX_CANDIDATES: usize = 4;

/// Where things should be in this file.
struct Places {
    idblock: usize,
    fit: usize,
}

/// Whether an idblock begins there.
pub(crate) fn has_magic(head: &[u8], at: usize) -> bool {
    head.get(at..).is_some_and(|b| b.starts_with(&idblock::MAGIC) || b.starts_with(&VERSION_1))
}

pub(crate) fn look(look: &mut Look<'_>) {
    let places = match look.report.shape {
        Shape::Loader => Places { idblock: 0, fit: FIT_BYTES - IDBLOCK_BYTES },
        // From the flash's first byte (`rk3588-u-boot.dtsi`, `simple-bin-spi`).
        Shape::SpiLoader => Places { idblock: 0x8000, fit: 0x6_0000 },
        Shape::Fit => {
            fit::look(look, 0, true);
            look.findings.add(Kind::LoaderPart, "FIT", Some(0), "a FIT for sector 16384");
            return overlaps(look);
        }
        _ => Places { idblock: IDBLOCK_BYTES, fit: FIT_BYTES },
    };
    let (mut idblocks, mut fits) = candidates(look, &places);
    // Files of a partition are its own affair, where the loader is in its place.
    if has_magic(&look.head, places.idblock) {
        idblocks.retain(|at| !is_content(look, *at));
    }
    if shape::is_fit(&look.head, places.fit) {
        fits.retain(|at| !is_content(look, *at));
    }
    idblock(look, &places, &idblocks, &fits);
    the_fit(look, &places, &fits);
    vendor_slot(look);
    overlaps(look);
}

/// Whether a place is inside of a partition that is not there for a loader.
fn is_content(look: &Look<'_>, at: usize) -> bool {
    let inside = |p: &PartitionReport| {
        (p.offset_bytes..p.offset_bytes.saturating_add(p.length_bytes)).contains(&(at as u64))
    };
    look.report.partitions.iter().any(|p| inside(p) && !is_loaders(p))
}

/// Sectors where an idblock or a FIT begins, beside those where they should.
fn candidates(look: &Look<'_>, places: &Places) -> (Vec<usize>, Vec<usize>) {
    let (mut idblocks, mut fits) = (Vec::new(), Vec::new());
    let mut skip_to = 0;
    for at in (0..look.head.len()).step_by(SECTOR_BYTES as usize) {
        if at != places.idblock
            && idblocks.len() < MAX_CANDIDATES
            && look.head[at..].starts_with(&idblock::MAGIC)
        {
            idblocks.push(at);
        }
        let begins = at >= skip_to && look.head[at..].starts_with(&fdt::MAGIC.to_be_bytes());
        if !begins || fits.len() == MAX_CANDIDATES {
            continue;
        }
        if at != places.fit && shape::is_fit(&look.head, at) {
            fits.push(at);
        }
        // A tree inside of a FIT is none of its own; and no byte is read as a part of two trees.
        skip_to = shape::tree_extent(&look.head, at).map_or(skip_to, |length| at + length);
    }
    (idblocks, fits)
}

fn idblock(look: &mut Look<'_>, places: &Places, others: &[usize], fits: &[usize]) {
    let at = places.idblock;
    if has_magic(&look.head, at) {
        one_idblock(look, at);
    } else if let Some(other) = others.first() {
        let detail = format!("one is at sector {}", *other as u64 / SECTOR_BYTES);
        look.findings.add(Kind::IdblockMisplaced, "idblock", Some(*other as u64), detail);
    } else if look.report.shape == Shape::Disk {
        let before_fit = look.head.get(at..at + 2048).unwrap_or_default();
        if before_fit.iter().all(|b| *b == 0) && fits.is_empty() && !shape::is_fit(&look.head, places.fit) {
            look.findings.add(Kind::LoaderAbsent, "loader", Some(at as u64), "sector 64 is zero");
        } else {
            let begin: String = before_fit.iter().take(4).map(|b| format!("{b:02x}")).collect();
            look.findings.add(
                Kind::IdblockMissing,
                "idblock",
                Some(at as u64),
                format!("sector 64 begins with {begin}"),
            );
        }
    }
    for other in others {
        one_idblock(look, *other);
    }
}

fn one_idblock(look: &mut Look<'_>, at: usize) {
    const REGION: &str = "idblock";
    let block = &look.head[at..];
    let here = Some(at as u64);
    let header_end = block.len().min(idblock::HEADER_BYTES);
    let parsed = match idblock::parse(block) {
        Ok(parsed) => parsed,
        Err(e) => {
            let kind = if e == Error::Version1 { Kind::IdblockVersion1 } else { Kind::IdblockDamaged };
            look.findings.add(kind, REGION, here, e.to_string());
            look.claims.add(range(RangeKind::Loader, REGION, at as u64, header_end as u64, "damaged"));
            return;
        }
    };
    let header_hash_good = sha256(&block[..0x600]) == parsed.header_sha256;
    if !header_hash_good {
        look.findings.add(Kind::IdblockHash, REGION, here, "the SHA-256 at its byte 0x600 is another");
    }
    let mut parts = vec![Range {
        sha256: Some(fw_image::hex(&sha256(&block[..idblock::HEADER_BYTES]))),
        ..range(RangeKind::Loader, "idblock header", at as u64, idblock::HEADER_BYTES as u64, "version 2")
    }];
    let mut report = IdBlock {
        offset_bytes: at as u64,
        version: 2,
        header_hash_good,
        payloads: vec![],
        ddr_version: None,
        ddr_build: None,
        spl_version: None,
    };
    let mut findings: Vec<(Kind, String, u64, String)> = Vec::new();
    for entry in &parsed.entries {
        let (offset, length) = ((at + entry.offset_bytes()) as u64, entry.size_bytes() as u64);
        let name = match entry.index {
            0 => "DDR blob".to_owned(),
            1 => "SPL".to_owned(),
            n => format!("payload {n}"),
        };
        let Ok(bytes) = entry.payload(block) else {
            findings.push((Kind::IdblockDamaged, name.clone(), offset, "it lies past the end".to_owned()));
            report.payloads.push(Payload {
                name,
                offset_bytes: offset,
                length_bytes: length,
                hash_good: false,
                version: None,
            });
            continue;
        };
        let digest = sha256(bytes);
        let hash_good = digest == entry.sha256;
        if !hash_good {
            let detail = format!("{name}: its SHA-256 is not the one of the header");
            findings.push((Kind::IdblockPayloadHash, name.clone(), offset, detail));
        }
        let version = match entry.index {
            0 => ddr_blob(bytes, &mut report, offset, &mut findings),
            1 => {
                report.spl_version = find(bytes, b"U-Boot SPL 20").map(|at| text_at(bytes, at, 120));
                report.spl_version.clone()
            }
            _ => None,
        };
        parts.push(Range {
            sha256: Some(fw_image::hex(&digest)),
            ..range(RangeKind::Loader, name.clone(), offset, length, version.clone().unwrap_or_default())
        });
        report.payloads.push(Payload {
            name,
            offset_bytes: offset,
            length_bytes: length,
            hash_good,
            version,
        });
    }
    if parsed.entries.len() < 2 {
        let detail = format!("{} payload", parsed.entries.len());
        findings.push((Kind::SplMissing, REGION.to_owned(), at as u64, detail));
    }
    for (kind, region, at, detail) in findings {
        look.findings.add(kind, region, Some(at), detail);
    }
    let length = (parsed.end_bytes() as u64).min(look.source.size_bytes() - at as u64);
    let whole = range(RangeKind::Loader, REGION, at as u64, length, "what the boot ROM loads");
    look.claims.add(Range { parts, ..whole });
    look.report.idblocks.push(report);
}

fn ddr_blob(
    bytes: &[u8],
    report: &mut IdBlock,
    at: u64,
    findings: &mut Vec<(Kind, String, u64, String)>,
) -> Option<String> {
    let mut add = |kind, detail: String| findings.push((kind, "DDR blob".to_owned(), at, detail));
    match ddr::parse(bytes) {
        Ok(blob) => {
            match blob.version.verdict() {
                Verdict::Accepted => {}
                Verdict::KnownBad => add(Kind::DdrKnownBad, blob.build.clone()),
                Verdict::TooOld => add(Kind::DdrTooOld, blob.build.clone()),
            }
            report.ddr_version = Some(blob.version.to_string());
            report.ddr_build = Some(blob.build.clone());
            Some(blob.build)
        }
        Err(e) => {
            add(Kind::DdrUnknown, e.to_string());
            None
        }
    }
}

fn the_fit(look: &mut Look<'_>, places: &Places, others: &[usize]) {
    let at = places.fit;
    let has_loader = !look.report.idblocks.is_empty() || !others.is_empty() || shape::is_fit(&look.head, at);
    if shape::is_fit(&look.head, at) {
        fit::look(look, at, true);
    } else if !has_loader {
        return;
    } else if look.report.shape == Shape::Loader && look.head.len() <= at && !goes_on(look) {
        // The file ends before: `idbloader.img`.
        if others.is_empty() {
            look.findings.add(Kind::LoaderPart, "idblock", Some(0), "an idblock without FIT, for sector 64");
        }
    } else if let Some(slot) = uboot_partition(look).filter(|p| others.contains(&(p.offset_bytes as usize))) {
        // The vendor's SPL goes by the partition's name.
        fit::look(look, slot.offset_bytes as usize, true);
    } else if let Some(other) = others.first() {
        let detail = format!(
            "one is at sector {}, none at {}",
            *other as u64 / SECTOR_BYTES,
            at as u64 / SECTOR_BYTES
        );
        look.findings.add(Kind::FitMisplaced, "FIT", Some(*other as u64), detail);
    } else {
        let begin: String = look.head.iter().skip(at).take(4).map(|b| format!("{b:02x}")).collect();
        let detail = if begin.is_empty() {
            "the file ends before".to_owned()
        } else {
            format!("sector {} begins with {begin}", at as u64 / SECTOR_BYTES)
        };
        look.findings.add(Kind::FitMissing, "FIT", Some(at as u64), detail);
    }
    for other in others {
        if !look.report.fits.iter().any(|f| f.offset_bytes == *other as u64) {
            fit::look(look, *other, false);
        }
    }
}

/// Whether a file goes on far behind its idblock: then it had a FIT before it was cut.
fn goes_on(look: &Look<'_>) -> bool {
    let end = look.report.idblocks.iter().flat_map(|i| &i.payloads).map(|p| p.offset_bytes + p.length_bytes);
    end.max().is_some_and(|end| look.head.len() as u64 > end + FILL_BYTES)
}

fn uboot_partition(look: &Look<'_>) -> Option<PartitionReport> {
    look.report.partitions.iter().find(|p| p.name == "uboot").cloned()
}

/// Whether the vendor's tools made the loader: its slot is larger than its content.
fn vendor_slot(look: &mut Look<'_>) {
    let Some(fit) = look.report.fits.first() else { return };
    if !fit.u_boot_version.as_deref().is_some_and(is_vendor) {
        return;
    }
    let (from, to) = (fit.offset_bytes, fit.offset_bytes + VENDOR_SLOT_BYTES);
    let crossed = look
        .report
        .partitions
        .iter()
        .find(|p| p.offset_bytes > from && p.offset_bytes < to && !is_loaders(p));
    if let Some(p) = crossed {
        let (at, detail) = (
            p.offset_bytes,
            format!("`{}` begins at {:.1} MiB, the slot ends at {:.1}", p.name, mib(p.offset_bytes), mib(to)),
        );
        look.findings.add(Kind::VendorSlot, p.name.clone(), Some(at), detail);
    }
}

pub(crate) fn is_vendor(version: &str) -> bool {
    version.contains("U-Boot 2017.09")
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

/// Partitions that are there for the loader.
fn is_loaders(p: &PartitionReport) -> bool {
    matches!(
        p.name.as_str(),
        "uboot" | "loader" | "loader1" | "loader2" | "trust" | "idbloader" | "spl" | "misc"
    )
}

/// Hands partitions over to the map, with the loader's parts inside of those that are there for it, and says where
/// anything lies over anything else.
fn overlaps(look: &mut Look<'_>) {
    let mut loaders = Vec::new();
    for fit in &look.report.fits {
        let parts = fit.images.iter().map(|i| Range {
            sha256: Some(i.sha256.clone()),
            ..range(RangeKind::Loader, i.name.clone(), i.offset_bytes, i.length_bytes, i.kind.clone())
        });
        let detail = fit.u_boot_version.clone().unwrap_or_else(|| fit.description.clone());
        let whole = range(RangeKind::Loader, "FIT", fit.offset_bytes, fit.length_bytes, detail);
        loaders.push(Range { parts: parts.collect(), ..whole });
    }
    for p in look.report.partitions.clone() {
        let p_end = p.offset_bytes.saturating_add(p.length_bytes);
        let inside = |r: &Range| is_loaders(&p) && r.offset_bytes >= p.offset_bytes && end(r) <= p_end;
        let (parts, rest): (Vec<_>, Vec<_>) = loaders.into_iter().partition(inside);
        loaders = rest;
        let detail = format!("{}, {}", p.kind, p.filesystem);
        let whole = range(RangeKind::Partition, p.name.clone(), p.offset_bytes, p.length_bytes, detail);
        look.claims.add(Range { parts, ..whole });
    }
    for loader in loaders {
        look.claims.add(loader);
    }
    for overlap in look.claims.overlaps() {
        let kinds = [overlap.a.0, overlap.b.0];
        let has = |kind| kinds.contains(&kind);
        let kind = if has(RangeKind::Loader) && has(RangeKind::Partition) {
            Kind::LoaderOverPartition
        } else if has(RangeKind::Loader) && has(RangeKind::Table) {
            Kind::LoaderOverTable
        } else if kinds == [RangeKind::Loader; 2] {
            Kind::LoaderOverlap
        } else {
            continue;
        };
        let detail =
            format!("`{}` and `{}`, {:#x} to {:#x}", overlap.a.1, overlap.b.1, overlap.at, overlap.end);
        look.findings.add(kind, overlap.b.1, Some(overlap.at), detail);
    }
}
