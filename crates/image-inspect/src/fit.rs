// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A FIT: its images, hashes and configurations, and what U-Boot, BL31 and the device tree in it call themselves.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read};

use fw_image::bl31;
use fw_image::fdt::Tree;
use fw_image::fit::{Configuration, Error, Fit, Image};

use crate::finding::Kind;
use crate::loader::is_vendor;
use crate::look::{Look, find, sha256, text_at};
use crate::report::{FitConfiguration, FitImage, FitReport, Shape};

/// An unpacked U-Boot is about a megabyte, BL31 and OP-TEE less.
const UNPACKED_BYTES: u64 = 32 << 20;
/// PMU SRAM, where BL31's second segment goes (TF-A, `rk3588_def.h`).
const PMU_SRAM: std::ops::Range<u64> = 0xff10_0000..0xff12_0000;

/// Looks at the FIT at a byte of the head. `taken`: SPL takes this one, so what is wrong with it counts.
pub(crate) fn look(look: &mut Look<'_>, at: usize, taken: bool) {
    const REGION: &str = "FIT";
    let head = std::mem::take(&mut look.head);
    let bytes = &head[at..];
    let mut found: Vec<(Kind, Option<u64>, String)> = Vec::new();
    match Fit::parse(bytes) {
        Ok(fit) => {
            let report = report(&fit, bytes, at as u64, look, &mut found);
            look.report.fits.push(report);
        }
        Err(e) => {
            let kind = if matches!(e, Error::Data { .. }) { Kind::FitData } else { Kind::FitDamaged };
            found.push((kind, Some(at as u64), e.to_string()));
        }
    }
    look.head = head;
    if taken {
        for (kind, at, detail) in found {
            look.findings.add(kind, REGION, at, detail);
        }
    }
}

fn report(
    fit: &Fit,
    bytes: &[u8],
    at: u64,
    look: &Look<'_>,
    found: &mut Vec<(Kind, Option<u64>, String)>,
) -> FitReport {
    let mut images = Vec::new();
    for image in &fit.images {
        let data = fit.data(bytes, &image.name).unwrap_or_default();
        let digest = sha256(data);
        let hash_good = image.sha256.as_ref().map(|wanted| wanted.as_slice() == digest);
        let here = at + image.offset_bytes as u64;
        if hash_good == Some(false) {
            found.push((Kind::FitHash, Some(here), format!("image `{}`", image.name)));
        }
        if data.is_empty() {
            found.push((Kind::FitData, Some(here), format!("image `{}` is empty", image.name)));
        }
        images.push(FitImage {
            name: image.name.clone(),
            kind: image.kind.clone(),
            offset_bytes: here,
            length_bytes: image.size_bytes as u64,
            load: image.load,
            compression: image.compression.clone(),
            hash_good,
            sha256: fw_image::hex(&digest),
        });
    }
    let without: Vec<&str> =
        fit.images.iter().filter(|i| i.sha256.is_none()).map(|i| i.name.as_str()).collect();
    if !without.is_empty() {
        found.push((Kind::FitNoHash, Some(at), without.join(", ")));
    }
    let configurations = fit.configurations.iter().map(|c| FitConfiguration {
        name: c.name.clone(),
        default: fit.default.as_ref() == Some(&c.name),
        description: c.description.clone(),
        images: names(c).map(str::to_owned).collect(),
    });
    let mut report = FitReport {
        offset_bytes: at,
        length_bytes: fit.end_bytes() as u64,
        description: fit.description.clone(),
        configurations: configurations.collect(),
        images,
        u_boot_version: None,
        default_fdt_file: None,
        model: None,
        compatible: vec![],
        bl31_version: None,
        bl31_kind: None,
    };
    match fit.default_configuration() {
        Ok(configuration) => default(fit, configuration, bytes, at, look, &mut report, found),
        Err(e) => found.push((Kind::FitConfiguration, Some(at), e.to_string())),
    }
    report
}

/// Images of a configuration: firmware, loadables, device trees.
fn names(c: &Configuration) -> impl Iterator<Item = &str> {
    c.firmware.iter().chain(&c.loadables).chain(&c.fdt).map(String::as_str)
}

/// What SPL would load and start.
fn default(
    fit: &Fit,
    configuration: &Configuration,
    bytes: &[u8],
    at: u64,
    look: &Look<'_>,
    report: &mut FitReport,
    found: &mut Vec<(Kind, Option<u64>, String)>,
) {
    let mut images: Vec<&Image> = Vec::new();
    for name in names(configuration) {
        match fit.image(name) {
            Ok(image) => images.push(image),
            Err(e) => {
                found.push((Kind::FitConfiguration, Some(at), format!("`{}`: {e}", configuration.name)))
            }
        }
    }
    let mut left = UNPACKED_BYTES;
    let mut contents: BTreeMap<&str, Cow<'_, [u8]>> = BTreeMap::new();
    for image in &images {
        if contents.contains_key(image.name.as_str()) {
            continue;
        }
        let packed = fit.data(bytes, &image.name).unwrap_or_default();
        let content = unpacked(image, packed, &mut left).unwrap_or_else(|e| {
            let here = Some(at + image.offset_bytes as u64);
            found.push((Kind::FitData, here, format!("image `{}` does not unpack: {e}", image.name)));
            Cow::Borrowed(&[])
        });
        contents.insert(&image.name, content);
    }
    let data = |image: &Image| contents.get(image.name.as_str()).map_or(&[][..], |content| &**content);
    let is_bl31 = |i: &&&Image| i.os == "arm-trusted-firmware" || i.name.starts_with("atf");
    let is_u_boot = |i: &&&Image| {
        i.os.eq_ignore_ascii_case("u-boot") || i.name.starts_with("u-boot") || i.name == "uboot"
    };
    let monitors: Vec<&Image> = images.iter().filter(is_bl31).copied().collect();
    let loads = format!("it loads {}", images.iter().map(|i| i.name.as_str()).collect::<Vec<_>>().join(", "));
    if monitors.is_empty() {
        found.push((Kind::FitNoBl31, Some(at), loads.clone()));
    } else {
        monitor(&monitors, &data, at, report, found);
    }
    match images.iter().find(is_u_boot) {
        Some(image) => {
            let program = data(image);
            report.u_boot_version = find(program, b"U-Boot 20").map(|at| text_at(program, at, 120));
            let names = find(program, b"fdtfile=").map(|at| text_at(program, at + 8, 200));
            report.default_fdt_file = names.filter(|n| n.ends_with(".dtb"));
        }
        None => found.push((Kind::FitNoUboot, Some(at), loads)),
    }
    overlaps(&images, &data, at, found);
    match configuration.fdt.first().and_then(|name| fit.image(name).ok()) {
        Some(image) => tree(image, data(image), at, look, report, found),
        None => found.push((Kind::FitNoTree, Some(at), format!("`{}`", configuration.name))),
    }
}

fn monitor<'c>(
    monitors: &[&Image],
    data: &dyn Fn(&Image) -> &'c [u8],
    at: u64,
    report: &mut FitReport,
    found: &mut Vec<(Kind, Option<u64>, String)>,
) {
    for image in monitors {
        let bytes = data(image);
        if report.bl31_kind.is_none() {
            (report.bl31_version, report.bl31_kind) = version(bytes);
        }
        let Some(load) = image.load else { continue };
        let end = load.saturating_add(bytes.len() as u64);
        if !bl31::WINDOWS.iter().any(|(_, low, high)| *low <= load && end <= *high) {
            let detail = format!("`{}` to {load:#x}", image.name);
            found.push((Kind::Bl31Address, Some(at + image.offset_bytes as u64), detail));
        }
    }
    if !monitors.iter().any(|i| i.load.is_some_and(|load| PMU_SRAM.contains(&load))) {
        let loads: Vec<String> =
            monitors.iter().map(|i| format!("`{}` to {:#x}", i.name, i.load.unwrap_or(0))).collect();
        found.push((Kind::Bl31Segment, Some(at), loads.join(", ")));
    }
}

/// What BL31 calls itself. Rockchip's has TF-A's version line, too, and its own key behind it.
fn version(bytes: &[u8]) -> (Option<String>, Option<&'static str>) {
    if let Some(at) = find(bytes, b"fwver: v") {
        return (Some(text_at(bytes, at + 7, 40)), Some("rockchip"));
    }
    for mark in [b"(release):".as_slice(), b"(debug):"] {
        if let Some(at) = find(bytes, mark) {
            let before = bytes[..at].iter().rev().take_while(|b| (0x21..0x7f).contains(*b)).count().min(40);
            return (Some(text_at(bytes, at - before, 120)), Some("tf-a"));
        }
    }
    (None, None)
}

/// By what each image has when it is unpacked: that is what lies in memory.
fn overlaps<'c>(
    images: &[&Image],
    data: &dyn Fn(&Image) -> &'c [u8],
    at: u64,
    found: &mut Vec<(Kind, Option<u64>, String)>,
) {
    let mut loads: Vec<(u64, u64, &str)> = images
        .iter()
        .filter_map(|i| Some((i.load?, i.load?.saturating_add(data(i).len() as u64), i.name.as_str())))
        .collect();
    loads.sort_unstable();
    loads.dedup();
    for pair in loads.windows(2).filter(|pair| pair[0].1 > pair[1].0) {
        let detail =
            format!("`{}` up to {:#x} and `{}` from {:#x}", pair[0].2, pair[0].1, pair[1].2, pair[1].0);
        found.push((Kind::FitLoadOverlap, Some(at), detail));
    }
}

fn tree(
    image: &Image,
    bytes: &[u8],
    at: u64,
    look: &Look<'_>,
    report: &mut FitReport,
    found: &mut Vec<(Kind, Option<u64>, String)>,
) {
    let here = Some(at + image.offset_bytes as u64);
    let tree = match Tree::parse(bytes) {
        Ok(tree) => tree,
        Err(e) => return found.push((Kind::FitDamaged, here, format!("`{}`: {e}", image.name))),
    };
    report.model = tree.model().ok();
    report.compatible = tree.compatible().unwrap_or_default();
    // The vendor's U-Boot finds out on the board which one it is on.
    let vendor = report.u_boot_version.as_deref().is_some_and(is_vendor);
    let wanted = look.expect.compatible.as_ref().filter(|_| !vendor);
    if let Some(wanted) = wanted.filter(|w| !report.compatible.contains(w)) {
        let model = report.model.clone().unwrap_or_default();
        found.push((Kind::UbootOtherBoard, here, format!("`{model}`, not `{wanted}`")));
    }
    if vendor && look.talos && look.report.shape == Shape::Disk {
        found.push((Kind::UbootNoEfi, Some(at), report.u_boot_version.clone().unwrap_or_default()));
    }
}

/// The content of an image that is packed with gzip or not at all; others are not looked into.
/// `left_bytes` is what all of them together may unpack to.
fn unpacked<'d>(image: &Image, data: &'d [u8], left_bytes: &mut u64) -> io::Result<Cow<'d, [u8]>> {
    if image.compression != "gzip" {
        return Ok(Cow::Borrowed(data));
    }
    let mut out = Vec::new();
    let got = flate2::read::GzDecoder::new(data).take(*left_bytes + 1).read_to_end(&mut out)? as u64;
    let more = || io::Error::other(format!("more than {UNPACKED_BYTES} bytes in all"));
    *left_bytes = left_bytes.checked_sub(got).ok_or_else(more)?;
    Ok(Cow::Owned(out))
}
