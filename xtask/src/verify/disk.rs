// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask verify IMAGE`: an image or a medium against its `.map.json`, byte by byte.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args as ClapArgs;
use fs_err as fs;
use fw_build::{Failure, Result};
use fw_image::map::ImageMap;
use image_inspect::source::Source;
use image_inspect::text::size;
use image_inspect::verify::{Change, Extent, Outcome, name_parts, verify};
use image_inspect::{Expect, Inspector, Options};

use crate::context;
use crate::exit::Exit;
use crate::inspect::open;
use crate::talk;

/// Changes that are printed one by one.
const SHOWN: usize = 40;
/// How often progress is written.
const EVERY: Duration = Duration::from_secs(2);

/// `cargo xtask verify IMAGE`.
#[derive(Debug, ClapArgs)]
pub(super) struct DiskArgs {
    /// Image (raw, .xz, .zst, .gz) or device.
    #[arg(value_name = "IMAGE|DEVICE", required = true)]
    file: Option<PathBuf>,
    /// The map. Default: beside the image, else the one in `out/`.
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// The image as it was built, to tell single bytes. Default: the one beside the map.
    #[arg(long, value_name = "IMAGE")]
    against: Option<PathBuf>,
}

pub(super) fn run(args: &DiskArgs) -> Result<Exit> {
    let Some(file) = &args.file else {
        return Err(
            Failure::new("nothing to verify").hint("name an image or a device; `--help` has examples")
        );
    };
    let map_path = match &args.map {
        Some(path) => path.clone(),
        None => find_map(file)?,
    };
    let map = ImageMap::from_json(&fs::read_to_string(&map_path)?)
        .map_err(|e| Failure::new(format!("`{}` is no image map", map_path.display())).why(e))?;
    let opened = open(file)?;
    if let Some(damage) = &opened.damage {
        println!("stream    ends early: {damage}");
    }
    let compare = |reference: Option<&dyn Source>| {
        let (mut last, talk) = (Instant::now(), talk::bars());
        let mut progress = |bytes: u64| {
            if talk && last.elapsed() >= EVERY {
                last = Instant::now();
                eprintln!("compared {} of {}", size(bytes), size(map.size_bytes));
            }
        };
        verify(&opened.source, &map, reference, &mut progress).map_err(|e| {
            Failure::new(format!("`{}` cannot be compared with `{}`", file.display(), map_path.display()))
                .why(e)
        })
    };
    let mut outcome = compare(None)?;
    let regions = map.regions.len();
    println!("map       {} ({} regions, {})", map_path.display(), regions, size(map.size_bytes));
    if outcome.changes.is_empty() {
        println!("verdict   every byte is the one that was built ({regions} regions)");
        return Ok(Exit::Done);
    }
    // Only now: unpacking the image again is a second that a good medium does not need.
    let original = args.against.clone().or_else(|| beside(&map_path, &map, file));
    let reference = original.as_deref().map(open).transpose()?;
    if let Some(reference) = &reference {
        outcome = compare(Some(&reference.source))?;
    }
    let layout = reference.as_ref().unwrap_or(&opened);
    let mut inspector = Inspector::new(Expect::any(), Options::default());
    let report = inspector.inspect(&layout.source, "", layout.container, None);
    name_parts(&mut outcome, &report);
    show(&outcome, regions);
    Err(Failure::new(format!("`{}` is not what was built", file.display()))
        .hint("write it again; if it differs at other places then, take another card or reader"))
}

fn show(outcome: &Outcome, regions: usize) {
    for change in outcome.changes.iter().take(SHOWN) {
        println!("changed   {}", line(change));
        println!("          {}", change.meaning());
    }
    let left = outcome.changes.len().saturating_sub(SHOWN);
    if left > 0 || outcome.more {
        println!("          and {left}{} more", if outcome.more { " or many" } else { "" });
    }
    println!("verdict   {} of {regions} regions are what was built", outcome.good_regions);
}

/// `BOOT, A/vmlinuz: byte 0x16dcb010` or `EFI: within 0xb00000 to 0xb0ffff`.
fn line(change: &Change) -> String {
    let inside = change.inside.as_ref().map(|i| format!(", {i}")).unwrap_or_default();
    let (first, last) = (change.offset_bytes, change.offset_bytes + change.length_bytes - 1);
    let place = match (change.extent, change.length_bytes) {
        (Extent::Exact, 1) => format!("byte {first:#x}"),
        (Extent::Exact, _) => format!("bytes {first:#x} to {last:#x}"),
        (Extent::Within, _) => format!("somewhere in {first:#x} to {last:#x}"),
        (Extent::Unreadable, _) => format!("cannot read {first:#x} to {last:#x}"),
    };
    format!("{}{inside}: {place}", change.region)
}

/// `NAME.map.json` beside `NAME.raw`, `NAME.raw.xz`, …; for a device the one in `out/`.
fn find_map(file: &Path) -> Result<PathBuf> {
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = name.split(".raw").next().unwrap_or(&name);
    let beside = file.with_file_name(format!("{stem}.map.json"));
    if beside.is_file() {
        return Ok(beside);
    }
    let out = context::root()?.join("out");
    let found = fs::read_dir(&out).ok().into_iter().flatten().flatten().map(|e| e.path());
    let mut maps: Vec<PathBuf> = found.filter(|p| p.to_string_lossy().ends_with(".map.json")).collect();
    match (maps.pop(), maps.is_empty()) {
        (Some(map), true) => Ok(map),
        (one, _) => Err(Failure::new(format!("no map for `{}`", file.display()))
            .why(match one {
                Some(_) => {
                    format!("`{}` is not there, and `{}` has several", beside.display(), out.display())
                }
                None => format!("neither `{}` nor one in `{}`", beside.display(), out.display()),
            })
            .hint("name it with `--map FILE`; `cargo xtask image` writes one beside the image")),
    }
}

/// The image that the map describes, if it lies beside the map and is not the one that is verified.
fn beside(map_path: &Path, map: &ImageMap, file: &Path) -> Option<PathBuf> {
    let candidates =
        ["", ".xz", ".zst"].map(|suffix| map_path.with_file_name(format!("{}{suffix}", map.image)));
    let same = |path: &PathBuf| fs::canonicalize(path).ok() == fs::canonicalize(file).ok();
    candidates.into_iter().find(|path| path.is_file() && !same(path))
}
