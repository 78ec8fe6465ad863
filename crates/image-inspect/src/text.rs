// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A report for people at a terminal: verdict and findings first, then the map, then what is in it.

use std::fmt::Write;

use crate::finding::Class;
use crate::report::{Range, Report, Shape, Verdict};

/// Files of a partition that are listed.
const LISTED: usize = 40;

/// The whole report. `colour`: with ANSI colours. What an image says of itself stays on its line and moves no cursor: a
/// partition's name could otherwise write another verdict.
pub fn render(report: &Report, colour: bool) -> String {
    let mut out = String::new();
    write(&plain(report), colour, &mut out).expect("a String takes everything");
    out
}

/// A character, or one that stands for it if it would speak to the terminal or turn the line around (Unicode's
/// bidirectional controls).
pub(crate) fn printable(c: char) -> char {
    match c {
        c if c.is_control() => '\u{fffd}',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    }
}

/// The report with every text that may be an image's own made printable. Findings are it already.
fn plain(report: &Report) -> Report {
    fn clean<'a>(texts: impl IntoIterator<Item = &'a mut String>) {
        for text in texts.into_iter().filter(|t| t.chars().any(|c| printable(c) != c)) {
            *text = text.chars().map(printable).collect();
        }
    }
    fn ranges(all: &mut [Range]) {
        for r in all {
            clean([&mut r.name, &mut r.detail]);
            ranges(&mut r.parts);
        }
    }
    let mut r = report.clone();
    clean([&mut r.subject, &mut r.summary]);
    ranges(&mut r.ranges);
    for fit in &mut r.fits {
        clean([&mut fit.description]);
        clean(fit.model.iter_mut().chain(&mut fit.compatible));
        for c in &mut fit.configurations {
            clean([&mut c.name, &mut c.description].into_iter().chain(&mut c.images));
        }
        fit.images.iter_mut().for_each(|i| clean([&mut i.name, &mut i.kind, &mut i.compression]));
    }
    r.table.iter_mut().for_each(|t| clean(&mut t.differences));
    for p in &mut r.partitions {
        clean([&mut p.name, &mut p.kind, &mut p.filesystem]);
        clean(p.label.iter_mut().chain(&mut p.not_listed).chain(p.files.iter_mut().map(|f| &mut f.path)));
    }
    for tree in &mut r.device_trees {
        clean([&mut tree.path].into_iter().chain(&mut tree.model).chain(&mut tree.compatible));
    }
    for program in &mut r.efi_programs {
        let sections = program.sections.iter_mut().flat_map(|s| [&mut s.name].into_iter().chain(&mut s.text));
        clean([&mut program.path].into_iter().chain(&mut program.detail).chain(sections));
    }
    for e in &mut r.grub {
        clean([&mut e.name, &mut e.linux, &mut e.initrd, &mut e.cmdline]);
    }
    for k in &mut r.kernels {
        clean(
            [&mut k.path].into_iter().chain(&mut k.release).chain(&mut k.banner).chain(&mut k.certificates),
        );
    }
    for i in &mut r.initramfs {
        let members = i.segments.iter_mut().flat_map(|s| &mut s.members).map(|m| &mut m.path);
        clean([&mut i.path].into_iter().chain(&mut i.version).chain(members));
        clean(i.modules.iter_mut().flat_map(|m| &mut m.releases));
        clean(i.extensions.iter_mut().flat_map(|e| [&mut e.name, &mut e.image]));
    }
    r
}

/// Bytes with a unit: `1.31 GB`, `9.4 MB`, `512 B`.
pub fn size(bytes: u64) -> String {
    let b = bytes as f64;
    match bytes {
        0..1000 => format!("{bytes} B"),
        1000..1_000_000 => format!("{:.1} kB", b / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", b / 1e6),
        _ => format!("{:.2} GB", b / 1e9),
    }
}

/// The verdict in words.
pub fn verdict(report: &Report) -> &'static str {
    match report.verdict {
        Verdict::WillNotBoot => "will not boot",
        Verdict::WillMisbehave => "may boot, but will misbehave",
        Verdict::NothingFound => "nothing found against it",
        Verdict::NotBootable => "nothing that a board boots from by itself",
    }
}

fn write(r: &Report, colour: bool, out: &mut String) -> std::fmt::Result {
    let paint = |class: Class, text: &str| match (colour, class) {
        (false, _) => text.to_owned(),
        (true, Class::WillNotBoot) => format!("\x1b[1;31m{text}\x1b[0m"),
        (true, Class::WillMisbehave) => format!("\x1b[1;33m{text}\x1b[0m"),
        (true, Class::Note) => format!("\x1b[36m{text}\x1b[0m"),
    };
    writeln!(out, "file      {} ({})", r.subject, size(r.size_bytes))?;
    writeln!(out, "is        {}", r.summary)?;
    let worst = r.findings.first().map_or(Class::Note, |f| f.kind.class());
    writeln!(
        out,
        "verdict   {}",
        if worst == Class::Note { verdict(r).to_owned() } else { paint(worst, verdict(r)) }
    )?;
    for finding in &r.findings {
        let class = finding.kind.class();
        let at = finding.offset_bytes.map(|at| format!(" at {at:#x}")).unwrap_or_default();
        writeln!(out, "\n{}: {} [{}]{at}", paint(class, class.words()), finding.region, finding.kind)?;
        if !finding.detail.is_empty() {
            writeln!(out, "  found   {}", finding.detail)?;
        }
        writeln!(out, "  reason  {}", finding.kind.reason())?;
        writeln!(out, "  fix     {}", finding.kind.fix())?;
    }
    writeln!(out, "\nmap of every byte\n  {:>14} {:>14}  {:<10} name", "first byte", "bytes", "kind")?;
    for range in &r.ranges {
        row(range, 0, out)?;
    }
    loader(r, out)?;
    table(r, out)?;
    content(r, out)
}

fn row(range: &Range, depth: usize, out: &mut String) -> std::fmt::Result {
    let kind = serde_json::to_value(range.kind).ok().and_then(|v| v.as_str().map(str::to_owned));
    let digest = range.sha256.as_deref().map(|d| format!("  sha256 {}", &d[..16])).unwrap_or_default();
    let detail = if range.detail.is_empty() { String::new() } else { format!("  ({})", range.detail) };
    writeln!(
        out,
        "  {:>#14x} {:>14}  {:<10} {}{}{detail}{digest}",
        range.offset_bytes,
        range.length_bytes,
        kind.unwrap_or_default(),
        "  ".repeat(depth),
        range.name
    )?;
    range.parts.iter().try_for_each(|part| row(part, depth + 1, out))
}

fn good(hash: Option<bool>) -> &'static str {
    match hash {
        Some(true) => "hash good",
        Some(false) => "HASH WRONG",
        None => "no hash",
    }
}

fn loader(r: &Report, out: &mut String) -> std::fmt::Result {
    for idblock in &r.idblocks {
        let header = good(Some(idblock.header_hash_good));
        writeln!(
            out,
            "\nidblock at {:#x}, version {}, header {header}",
            idblock.offset_bytes, idblock.version
        )?;
        for p in &idblock.payloads {
            let version = p.version.as_deref().unwrap_or("unknown version");
            writeln!(
                out,
                "  {:<12} {:>9} bytes  {}  {version}",
                p.name,
                p.length_bytes,
                good(Some(p.hash_good))
            )?;
        }
    }
    for fit in &r.fits {
        writeln!(out, "\nFIT at {:#x}, {} bytes: {}", fit.offset_bytes, fit.length_bytes, fit.description)?;
        for c in &fit.configurations {
            let default = if c.default { " (default)" } else { "" };
            writeln!(out, "  {}{default}: {} — {}", c.name, c.images.join(", "), c.description)?;
        }
        for i in &fit.images {
            let load = i.load.map(|l| format!("load {l:#x}")).unwrap_or_default();
            let (name, kind, length) = (&i.name, &i.kind, i.length_bytes);
            writeln!(out, "  {name:<10} {kind:<11} {length:>9} bytes  {}  {load}", good(i.hash_good))?;
        }
        let rows = [
            ("U-Boot", fit.u_boot_version.clone()),
            ("its tree", fit.model.clone()),
            ("looks for", fit.default_fdt_file.clone()),
            (
                "BL31",
                fit.bl31_version.as_ref().map(|v| format!("{v} ({})", fit.bl31_kind.unwrap_or("unknown"))),
            ),
        ];
        for (what, value) in rows {
            writeln!(out, "  {what:<10} {}", value.as_deref().unwrap_or("unknown"))?;
        }
    }
    Ok(())
}

fn table(r: &Report, out: &mut String) -> std::fmt::Result {
    let Some(table) = &r.table else { return Ok(()) };
    writeln!(out, "\npartition table: {}", table.kind)?;
    for copy in &table.copies {
        match (&copy.damage, copy.entries_lba, copy.usable_lba) {
            (None, Some(entries), Some((first, last))) => {
                writeln!(
                    out,
                    "  header at LBA {}, entries at {entries}, usable {first} to {last}",
                    copy.header_lba
                )?;
            }
            (damage, ..) => {
                let damage = damage.as_deref().unwrap_or("unknown");
                writeln!(out, "  header at LBA {}: {damage}", copy.header_lba)?;
            }
        }
    }
    for difference in &table.differences {
        writeln!(out, "  the copies differ: {difference}")?;
    }
    for p in &r.partitions {
        let label = p.label.as_deref().map(|l| format!(", label {l}")).unwrap_or_default();
        let (name, kind, fs) = (&p.name, &p.kind, &p.filesystem);
        writeln!(out, "  {} {name:<8} {:>10}  {fs}{label}  ({kind})", p.number, size(p.length_bytes))?;
        if let Some(why) = &p.not_listed {
            writeln!(out, "      files not listed: {why}")?;
        }
        for file in p.files.iter().take(LISTED) {
            let digest = file.sha256.as_deref().map(|d| &d[..16]).unwrap_or_default();
            writeln!(out, "      {:<44} {:>10}  {digest}", file.path, file.size_bytes)?;
        }
        if p.files.len() > LISTED {
            writeln!(out, "      and {} more", p.files.len() - LISTED)?;
        }
    }
    Ok(())
}

fn content(r: &Report, out: &mut String) -> std::fmt::Result {
    if r.shape != Shape::Disk && r.kernels.is_empty() && r.efi_programs.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    for tree in &r.device_trees {
        let taken = if tree.taken { "U-Boot takes it" } else { "not taken" };
        writeln!(
            out,
            "device tree  {}: {} ({taken})",
            tree.path,
            tree.model.as_deref().unwrap_or("no model")
        )?;
    }
    for program in &r.efi_programs {
        writeln!(
            out,
            "EFI program  {}: {} {}",
            program.path,
            program.kind,
            program.detail.as_deref().unwrap_or("")
        )?;
        for section in &program.sections {
            let text = section.text.as_deref().unwrap_or("");
            writeln!(out, "  section    {:10} {:>10} {text}", section.name, size(section.size_bytes))?;
        }
    }
    for entry in &r.grub {
        let default = if entry.default { " (default)" } else { "" };
        writeln!(
            out,
            "GRUB entry   {}{default}: {} {}\n             {}",
            entry.name, entry.linux, entry.initrd, entry.cmdline
        )?;
    }
    for kernel in &r.kernels {
        writeln!(
            out,
            "kernel       {}: {} ({})",
            kernel.path,
            kernel.release.as_deref().unwrap_or("unknown"),
            kernel.form
        )?;
        for subject in &kernel.certificates {
            writeln!(out, "             trusts {subject}")?;
        }
    }
    for i in &r.initramfs {
        let (kind, version) = (i.userland.unwrap_or("unknown"), i.version.as_deref().unwrap_or(""));
        writeln!(out, "initramfs    {}: {kind} {version}", i.path)?;
        for s in &i.segments {
            let members: Vec<&str> = s.members.iter().take(8).map(|m| m.path.as_str()).collect();
            writeln!(
                out,
                "             {} segment, {}: {}",
                s.compression,
                size(s.archive_bytes),
                members.join(", ")
            )?;
        }
        if let Some(m) = &i.modules {
            let releases = m.releases.join(", ");
            writeln!(
                out,
                "modules      {} for {releases}, {} signed, {} of them for this kernel",
                m.count, m.signed, m.accepted
            )?;
        }
        for e in &i.extensions {
            writeln!(out, "extension    {} ({})", e.name, e.image)?;
        }
    }
    if let Some(meta) = &r.meta {
        writeln!(out, "META         {}", meta.state)?;
        for record in &meta.records {
            writeln!(
                out,
                "             tag {}: {}, {} bytes",
                record.tag, record.meaning, record.length_bytes
            )?;
        }
    }
    Ok(())
}
