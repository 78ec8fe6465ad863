// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Ranges as a bar to scale (SVG), with names below it wherever there is room.

use std::fmt::Write;

use super::Escaped;
use crate::report::{Range, RangeKind, Report};
use crate::text::size;

const WIDTH: f64 = 1072.0;
const MARGIN: f64 = 12.0;
const BAR_TOP: f64 = 24.0;
const BAR_HEIGHT: f64 = 44.0;
const ROW: f64 = 15.0;
/// Rows of names; what finds no room is in the table below and in the tooltip.
const ROWS: usize = 7;
/// A name of eleven pixels is about this wide per character.
const CHARACTER: f64 = 6.1;

const KINDS: [(RangeKind, &str, &str); 9] = [
    (RangeKind::Loader, "#c2571a", "loader"),
    (RangeKind::Table, "#6a4fb3", "partition table"),
    (RangeKind::Partition, "#3f7cac", "partition"),
    (RangeKind::File, "#1f9e89", "file"),
    (RangeKind::Overlap, "#d0021b", "claimed twice"),
    (RangeKind::Unknown, "#8a8f98", "unknown data"),
    (RangeKind::Padding, "#b9bec7", "filled with FF"),
    (RangeKind::Zero, "#e4e7ec", "zeros"),
    (RangeKind::Unread, "#4b4f58", "not read"),
];

fn colour(kind: RangeKind) -> &'static str {
    KINDS.iter().find(|(k, ..)| *k == kind).map_or("#000", |(_, colour, _)| colour)
}

/// The bytes from 0 to `end_bytes`.
pub(super) fn bar(report: &Report, end_bytes: u64, out: &mut String) -> std::fmt::Result {
    let height = BAR_TOP + BAR_HEIGHT + 8.0 + ROW * ROWS as f64;
    write!(out, "<svg viewBox=\"0 0 {} {height}\" role=\"img\">", WIDTH + 2.0 * MARGIN)?;
    let scale = WIDTH / end_bytes.max(1) as f64;
    let x = |at: u64| MARGIN + at.min(end_bytes) as f64 * scale;
    for tick in 0..=8_u64 {
        let at = u128::from(end_bytes) * u128::from(tick) / 8;
        let (at, anchor) =
            (at as u64, ["start", "middle", "end"][(tick > 0) as usize + (tick == 8) as usize]);
        let label = if end_bytes == super::ZOOM_BYTES { format!("{} MiB", at >> 20) } else { size(at) };
        write!(out, "<text class=\"t\" x=\"{:.1}\" y=\"16\" text-anchor=\"{anchor}\">{label}</text>", x(at))?;
    }
    let mut names: Vec<(f64, &str)> = Vec::new();
    for range in report.ranges.iter().filter(|r| r.offset_bytes < end_bytes) {
        block(range, 0.0, 1.0, &x, out)?;
        if !matches!(range.kind, RangeKind::Zero | RangeKind::Padding) {
            names.push((middle(range, &x), &range.name));
        }
        for part in range.parts.iter().filter(|p| p.offset_bytes < end_bytes) {
            block(part, 0.5, 0.5, &x, out)?;
            names.push((middle(part, &x), &part.name));
        }
    }
    labels(names, out)?;
    writeln!(out, "</svg>")
}

fn middle(range: &Range, x: &dyn Fn(u64) -> f64) -> f64 {
    (x(range.offset_bytes) + x(range.offset_bytes.saturating_add(range.length_bytes))) / 2.0
}

fn block(range: &Range, from: f64, part: f64, x: &dyn Fn(u64) -> f64, out: &mut String) -> std::fmt::Result {
    let left = x(range.offset_bytes);
    // What is narrower than a pixel is still drawn.
    let width = (x(range.offset_bytes.saturating_add(range.length_bytes)) - left).max(1.2);
    let (y, height) = (BAR_TOP + BAR_HEIGHT * from, BAR_HEIGHT * part);
    let (name, detail) = (Escaped(&range.name), Escaped(&range.detail));
    // Neighbours of one colour are told apart by a line, where there is room for one.
    let edge = if width > 4.0 { " stroke=\"var(--bg)\" stroke-width=\"0.8\"" } else { "" };
    write!(
        out,
        "<rect x=\"{left:.2}\" y=\"{y}\" width=\"{width:.2}\" height=\"{height}\" fill=\"{}\"{edge}>",
        colour(range.kind)
    )?;
    write!(
        out,
        "<title>{name}: {:#x}, {} {detail}</title></rect>",
        range.offset_bytes,
        size(range.length_bytes)
    )
}

/// Names below the bar, each in the first row where it fits.
fn labels(mut names: Vec<(f64, &str)>, out: &mut String) -> std::fmt::Result {
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    names.dedup_by(|a, b| a.1 == b.1 && (a.0 - b.0).abs() < 40.0);
    let mut ends = [0.0_f64; ROWS];
    for (at, name) in names {
        let short: String = name.chars().take(34).collect();
        let width = short.chars().count() as f64 * CHARACTER;
        let left = (at + 3.0).min(MARGIN + WIDTH - width).max(MARGIN);
        let Some(row) = ends.iter().position(|end| *end < left) else { continue };
        ends[row] = left + width + 6.0;
        let bottom = BAR_TOP + BAR_HEIGHT;
        let y = bottom + 8.0 + ROW * (row as f64 + 0.7);
        write!(out, "<line x1=\"{at:.1}\" y1=\"{bottom}\" x2=\"{at:.1}\" y2=\"{:.1}\"/>", y - 3.0)?;
        write!(out, "<text x=\"{left:.1}\" y=\"{y:.1}\">{}</text>", Escaped(&short))?;
    }
    Ok(())
}

/// What the colours mean.
pub(super) fn legend(out: &mut String) -> std::fmt::Result {
    write!(out, "<p class=\"tag\">")?;
    for (_, colour, name) in KINDS {
        write!(
            out,
            "<svg viewBox=\"0 0 12 12\" style=\"display:inline;width:12px;height:12px;margin:0 4px 0 0\">\
             <rect width=\"12\" height=\"12\" fill=\"{colour}\"/></svg>{name} &nbsp; "
        )?;
    }
    writeln!(out, "</p>")
}
