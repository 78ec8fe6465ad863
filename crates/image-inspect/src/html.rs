// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A report as one page that needs nothing else: no script, no font, no address. Whatever an image says about itself is
//! escaped: a page made from somebody else's image must not run anything.

mod draw;

use std::fmt::{Display, Write};

use crate::finding::Class;
use crate::report::{Range, Report};
use crate::text;

/// The first part of a disk, where loaders and tables are: drawn once more at its own scale.
const ZOOM_BYTES: u64 = 16 << 20;

const STYLE: &str = "
:root{--bg:#fff;--fg:#1c1e21;--soft:#5c6370;--line:#d7dae0;--card:#f6f7f9}
@media(prefers-color-scheme:dark){:root{--bg:#16181d;--fg:#e6e8ec;--soft:#9aa2b1;--line:#343944;--card:#1f232b}}
body{background:var(--bg);color:var(--fg);font:15px/1.5 system-ui,sans-serif;margin:0 auto;padding:24px;max-width:1120px}
h1{font-size:22px;margin:0 0 4px}h2{font-size:17px;margin:32px 0 8px}
.sub{color:var(--soft);margin:0 0 16px;overflow-wrap:anywhere}
.verdict{display:inline-block;padding:4px 12px;border-radius:14px;font-weight:600;color:#fff}
.will-not-boot{background:#b3261e}.will-misbehave{background:#9a5b00}.note{background:#2f6690}.good{background:#2e7d32}
.finding{background:var(--card);border-left:4px solid;padding:8px 14px;margin:10px 0;border-radius:4px;background-clip:padding-box}
.finding.will-not-boot{background:var(--card);border-color:#b3261e}
.finding.will-misbehave{background:var(--card);border-color:#c77700}
.finding.note{background:var(--card);border-color:#2f6690}
.finding b{font-weight:600}.finding p{margin:2px 0;overflow-wrap:anywhere}.tag{color:var(--soft);font-size:13px}
table{border-collapse:collapse;width:100%;font-size:13.5px}
th{text-align:left;color:var(--soft);font-weight:500}
td,th{padding:3px 10px 3px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
code,.m{font:12.5px ui-monospace,monospace}
svg{width:100%;height:auto;display:block;background:var(--card);border-radius:6px;margin:6px 0 14px}
svg text{font:11px system-ui,sans-serif;fill:var(--fg)}svg .t{fill:var(--soft)}svg line{stroke:var(--soft);stroke-width:.6}
.bad{color:#d0342c;font-weight:600}.in td:first-child{padding-left:20px}
";

/// Text with the five characters of HTML replaced.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c if c.is_control() => f.write_char('\u{fffd}'),
            c => f.write_char(c),
        })
    }
}

/// The page.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    write(report, &mut out).expect("a String takes everything");
    out
}

fn write(r: &Report, out: &mut String) -> std::fmt::Result {
    let subject = Escaped(&r.subject);
    write!(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{subject}</title>")?;
    write!(
        out,
        "<meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>"
    )?;
    let size = text::size(r.size_bytes);
    write!(out, "<h1>{subject}</h1><p class=\"sub\">{size} · {}</p>", Escaped(&r.summary))?;
    let worst = r.findings.first().map(|f| f.kind.class()).filter(|c| *c != Class::Note);
    let class = worst.map_or("good", Class::name);
    writeln!(out, "<p><span class=\"verdict {class}\">{}</span></p>", text::verdict(r))?;
    for finding in &r.findings {
        let (kind, at) =
            (finding.kind, finding.offset_bytes.map(|at| format!(" at {at:#x}")).unwrap_or_default());
        let class = kind.class();
        write!(
            out,
            "<div class=\"finding {}\"><b>{}: {}</b>",
            class.name(),
            class.words(),
            Escaped(&finding.region)
        )?;
        write!(out, " <span class=\"tag\">{kind}{at}</span><p>{}</p>", Escaped(&finding.detail))?;
        writeln!(out, "<p>{}.</p><p><b>Fix:</b> {}.</p></div>", Escaped(kind.reason()), Escaped(kind.fix()))?;
    }
    write!(out, "<h2>The whole {}, to scale</h2>", text::size(r.size_bytes))?;
    draw::bar(r, r.size_bytes, out)?;
    if r.size_bytes > ZOOM_BYTES {
        write!(out, "<h2>The first 16 MiB, to scale</h2>")?;
        draw::bar(r, ZOOM_BYTES, out)?;
    }
    draw::legend(out)?;
    map(r, out)?;
    loader(r, out)?;
    partitions(r, out)?;
    content(r, out)?;
    writeln!(out, "</body></html>")
}

fn map(r: &Report, out: &mut String) -> std::fmt::Result {
    write!(
        out,
        "<h2>Map of every byte</h2><table><tr><th>name<th>first byte<th>bytes<th>what<th>SHA-256</tr>"
    )?;
    for range in &r.ranges {
        row(range, "", out)?;
        range.parts.iter().try_for_each(|part| row(part, "in", out))?;
    }
    write!(out, "</table>")
}

fn row(range: &Range, class: &str, out: &mut String) -> std::fmt::Result {
    let digest = range.sha256.as_deref().unwrap_or_default();
    writeln!(
        out,
        "<tr class=\"{class}\"><td>{}<td class=\"n m\">{:#x}<td class=\"n\">{}<td>{}<td class=\"m\">{digest}</tr>",
        Escaped(&range.name),
        range.offset_bytes,
        range.length_bytes,
        Escaped(&range.detail)
    )
}

fn hash(good: Option<bool>) -> &'static str {
    match good {
        Some(true) => "good",
        Some(false) => "<span class=\"bad\">wrong</span>",
        None => "none",
    }
}

fn loader(r: &Report, out: &mut String) -> std::fmt::Result {
    for idblock in &r.idblocks {
        write!(
            out,
            "<h2>Idblock at {:#x}</h2><table><tr><th>payload<th>bytes<th>hash<th>version</tr>",
            idblock.offset_bytes
        )?;
        write!(
            out,
            "<tr><td>header<td class=\"n\">2048<td>{}<td>version {}</tr>",
            hash(Some(idblock.header_hash_good)),
            idblock.version
        )?;
        for p in &idblock.payloads {
            let version = Escaped(p.version.as_deref().unwrap_or("unknown")).to_string();
            let (name, good) = (Escaped(&p.name), hash(Some(p.hash_good)));
            write!(out, "<tr><td>{name}<td class=\"n\">{}<td>{good}<td>{version}</tr>", p.length_bytes)?;
        }
        write!(out, "</table>")?;
    }
    for fit in &r.fits {
        write!(out, "<h2>FIT at {:#x}</h2><table>", fit.offset_bytes)?;
        let facts = [
            ("U-Boot", fit.u_boot_version.as_deref()),
            ("its device tree", fit.model.as_deref()),
            ("looks on the EFI partition for", fit.default_fdt_file.as_deref()),
            ("BL31", fit.bl31_version.as_deref()),
            ("BL31 is", fit.bl31_kind),
        ];
        for (what, value) in facts {
            write!(out, "<tr><td>{what}<td>{}</tr>", Escaped(value.unwrap_or("unknown")))?;
        }
        for c in &fit.configurations {
            let default = if c.default { " (default)" } else { "" };
            write!(out, "<tr><td>{}{default}<td>{}</tr>", Escaped(&c.name), Escaped(&c.images.join(", ")))?;
        }
        write!(out, "</table><table><tr><th>image<th>type<th>bytes<th>load<th>hash<th>SHA-256</tr>")?;
        for i in &fit.images {
            let load = i.load.map(|l| format!("{l:#x}")).unwrap_or_default();
            write!(
                out,
                "<tr><td>{}<td>{}<td class=\"n\">{}",
                Escaped(&i.name),
                Escaped(&i.kind),
                i.length_bytes
            )?;
            writeln!(
                out,
                "<td class=\"m\">{load}<td>{}<td class=\"m\">{}</tr>",
                hash(i.hash_good),
                i.sha256
            )?;
        }
        write!(out, "</table>")?;
    }
    Ok(())
}

fn partitions(r: &Report, out: &mut String) -> std::fmt::Result {
    let Some(table) = &r.table else { return Ok(()) };
    write!(out, "<h2>Partition table ({})</h2><table>", table.kind)?;
    for copy in &table.copies {
        let state = match (&copy.damage, copy.entries_lba) {
            (Some(damage), _) => format!("<span class=\"bad\">{}</span>", Escaped(damage)),
            (None, entries) => format!("good, entries at LBA {}", entries.unwrap_or_default()),
        };
        write!(out, "<tr><td>header at LBA {}<td>{state}</tr>", copy.header_lba)?;
    }
    for difference in &table.differences {
        write!(out, "<tr><td>the copies differ<td>{}</tr>", Escaped(difference))?;
    }
    write!(out, "</table><table><tr><th>#<th>partition<th>size<th>file system<th>type</tr>")?;
    for p in &r.partitions {
        let (name, fs, kind) = (Escaped(&p.name), Escaped(&p.filesystem), Escaped(&p.kind));
        writeln!(
            out,
            "<tr><td>{}<td>{name}<td class=\"n\">{}<td>{fs}<td>{kind}</tr>",
            p.number,
            text::size(p.length_bytes)
        )?;
    }
    write!(out, "</table>")?;
    for p in r.partitions.iter().filter(|p| !p.files.is_empty() || p.not_listed.is_some()) {
        write!(out, "<h2>Files of {}</h2><table>", Escaped(&p.name))?;
        if let Some(why) = &p.not_listed {
            write!(out, "<tr><td>{}</tr>", Escaped(why))?;
        }
        for f in p.files.iter().take(500) {
            let digest = f.sha256.as_deref().unwrap_or_default();
            writeln!(
                out,
                "<tr><td>{}<td class=\"n\">{}<td class=\"m\">{digest}</tr>",
                Escaped(&f.path),
                f.size_bytes
            )?;
        }
        write!(out, "</table>")?;
    }
    Ok(())
}

fn content(r: &Report, out: &mut String) -> std::fmt::Result {
    let mut rows: Vec<(String, String)> = Vec::new();
    for t in &r.device_trees {
        let taken = if t.taken { "U-Boot takes it" } else { "not taken" };
        rows.push((
            format!("device tree {}", t.path),
            format!("{} ({taken})", t.model.as_deref().unwrap_or("no model")),
        ));
    }
    for p in &r.efi_programs {
        rows.push((
            format!("EFI program {}", p.path),
            format!("{} {}", p.kind, p.detail.as_deref().unwrap_or_default()),
        ));
        for s in &p.sections {
            let text = s.text.as_deref().unwrap_or_default();
            rows.push((format!("section {}", s.name), format!("{} bytes {text}", s.size_bytes)));
        }
    }
    for e in &r.grub {
        let default = if e.default { " (default)" } else { "" };
        rows.push((
            format!("GRUB: {}{default}", e.name),
            format!("{} {} — {}", e.linux, e.initrd, e.cmdline),
        ));
    }
    for k in &r.kernels {
        rows.push((
            format!("kernel {}", k.path),
            format!("{} ({})", k.banner.as_deref().unwrap_or("unknown"), k.form),
        ));
        rows.extend(k.certificates.iter().map(|c| ("it trusts".to_owned(), c.clone())));
    }
    for i in &r.initramfs {
        let (kind, version) = (i.userland.unwrap_or("unknown"), i.version.as_deref().unwrap_or_default());
        rows.push((format!("initramfs {}", i.path), format!("{kind} {version}")));
        if let Some(m) = &i.modules {
            let text = format!(
                "{} for {}: {} signed, {} accepted",
                m.count,
                m.releases.join(", "),
                m.signed,
                m.accepted
            );
            rows.push(("modules".to_owned(), text));
        }
        rows.extend(
            i.extensions.iter().map(|e| ("extension".to_owned(), format!("{} ({})", e.name, e.image))),
        );
    }
    if let Some(meta) = &r.meta {
        let tags: Vec<String> = meta.records.iter().map(|m| format!("{} ({})", m.tag, m.meaning)).collect();
        rows.push(("META".to_owned(), format!("{} {}", meta.state, tags.join(", "))));
    }
    if rows.is_empty() {
        return Ok(());
    }
    write!(out, "<h2>What boots</h2><table>")?;
    for (what, value) in &rows {
        writeln!(out, "<tr><td>{}<td>{}</tr>", Escaped(what), Escaped(value))?;
    }
    write!(out, "</table>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_cannot_put_markup_into_the_page() {
        let hostile = "</title><script>alert('x')</script>&\u{1b}[31m";
        let escaped = Escaped(hostile).to_string();
        assert!(!escaped.contains(['<', '>', '\'', '\u{1b}']), "{escaped}");
        let bytes: &[u8] = b"RKFW";
        let report = crate::inspect(&bytes, hostile, crate::open::Container::Raw, &crate::Expect::any());
        let page = render(&report);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"));
        assert!(page.starts_with("<!DOCTYPE html>") && !page.contains("http"), "nothing from elsewhere");
    }
}
