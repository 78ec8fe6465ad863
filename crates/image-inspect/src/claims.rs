// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The map of every byte: who claims which range, what nobody claims, and where two claim the same.

use crate::report::{Range, RangeKind};
use crate::source::Source;

/// Bytes looked at in one go.
const BLOCK_BYTES: usize = 64 << 10;
/// And after an error: a sector of most media.
const SMALL_BYTES: usize = 4096;
/// A gap with more pieces than this is shown as one that is not zero.
const MAX_PIECES: usize = 64;
/// Zeros inside of other bytes are named when there are at least this many.
const MIN_ZEROS: u64 = 64 << 10;
/// Unit of what is told apart.
const SECTOR: usize = 512;

/// Ranges that somebody claims.
#[derive(Debug, Default)]
pub(crate) struct Claims(Vec<Range>);

/// Two claims over each other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overlap {
    pub at: u64,
    pub end: u64,
    pub a: (RangeKind, String),
    pub b: (RangeKind, String),
}

impl Claims {
    /// More than these say nothing that the first ones do not.
    const MAX: usize = 2048;

    pub fn add(&mut self, range: Range) {
        if range.length_bytes > 0 && self.0.len() < Self::MAX {
            self.0.push(range);
        }
    }

    /// Claims that lie over each other, at most a few.
    pub fn overlaps(&self) -> Vec<Overlap> {
        let mut sorted: Vec<&Range> = self.0.iter().collect();
        sorted.sort_by_key(|r| r.offset_bytes);
        let mut found = Vec::new();
        let mut open: Vec<&Range> = Vec::new();
        for range in sorted {
            open.retain(|o| end(o) > range.offset_bytes);
            for other in &open {
                if found.len() < MAX_PIECES {
                    found.push(Overlap {
                        at: range.offset_bytes,
                        end: end(other).min(end(range)),
                        a: (other.kind, other.name.clone()),
                        b: (range.kind, range.name.clone()),
                    });
                }
            }
            open.push(range);
            if open.len() > MAX_PIECES {
                open.remove(0);
            }
        }
        found
    }

    /// Every byte of the source in one range. `budget_bytes` is how many unclaimed bytes are read at most.
    /// Gives the ranges, and the places that the medium does not give back.
    pub fn resolve(self, source: &dyn Source, budget_bytes: u64) -> (Vec<Range>, BadBytes) {
        let size = source.size_bytes();
        let mut edges: Vec<u64> = vec![0, size];
        for r in &self.0 {
            edges.extend([r.offset_bytes.min(size), end(r).min(size)]);
        }
        edges.sort_unstable();
        edges.dedup();
        let mut left = budget_bytes;
        let (mut ranges, mut bad) = (Vec::<Range>::new(), BadBytes::default());
        for pair in edges.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let over: Vec<&Range> =
                self.0.iter().filter(|r| r.offset_bytes < to && end(r) > from).take(4).collect();
            match over[..] {
                [] => ranges.extend(gap(source, from, to, &mut left, &mut bad)),
                [one] if one.offset_bytes == from && end(one) == to => ranges.push(one.clone()),
                [one] => {
                    let inside = one
                        .parts
                        .iter()
                        .filter(|p| p.offset_bytes >= from && end(p) <= to)
                        .cloned()
                        .collect();
                    let detail = "a piece of it".to_owned();
                    ranges.push(Range {
                        detail,
                        parts: inside,
                        sha256: None,
                        ..piece(from, to, one.kind, &one.name)
                    });
                }
                ref many => {
                    let names: Vec<&str> = many.iter().map(|r| r.name.as_str()).collect();
                    ranges.push(piece(from, to, RangeKind::Overlap, &names.join(" and ")));
                }
            }
        }
        (ranges, bad)
    }
}

/// Bytes that nobody claims and that cannot be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct BadBytes {
    /// The first one.
    pub first: Option<u64>,
    /// How many, in blocks of 4 KiB.
    pub count: u64,
}

pub(crate) fn end(range: &Range) -> u64 {
    range.offset_bytes.saturating_add(range.length_bytes)
}

fn piece(from: u64, to: u64, kind: RangeKind, name: &str) -> Range {
    let (offset_bytes, length_bytes) = (from, to - from);
    Range {
        offset_bytes,
        length_bytes,
        kind,
        name: name.to_owned(),
        detail: String::new(),
        sha256: None,
        parts: vec![],
    }
}

/// Zeros, other bytes and what cannot be read, in a range that nobody claims.
fn gap(source: &dyn Source, from: u64, to: u64, left: &mut u64, bad: &mut BadBytes) -> Vec<Range> {
    let mut pieces: Vec<(u64, u64, RangeKind)> = Vec::new();
    let mut push = |start: u64, stop: u64, kind: RangeKind| match pieces.last_mut() {
        Some((_, end, last)) if *last == kind && *end == start => *end = stop,
        _ => pieces.push((start, stop, kind)),
    };
    let mut at = from;
    let mut buffer = vec![0; BLOCK_BYTES];
    while at < to {
        let data = source.next_data(at).min(to);
        if data > at {
            push(at, data, RangeKind::Zero);
            at = data;
            continue;
        }
        let stop = to.min((at / BLOCK_BYTES as u64 + 1).saturating_mul(BLOCK_BYTES as u64));
        if *left < stop - at {
            push(at, to, RangeKind::Unread);
            break;
        }
        *left -= stop - at;
        let block = &mut buffer[..(stop - at) as usize];
        // In small pieces after an error, so that one bad sector does not hide the others.
        let step = if source.read_at(at, block).is_ok() { BLOCK_BYTES } else { SMALL_BYTES };
        for (k, block) in block.chunks_mut(step).enumerate() {
            let here = at + (k * step) as u64;
            if step < BLOCK_BYTES && source.read_at(here, block).is_err() {
                push(here, here + block.len() as u64, RangeKind::Unread);
                bad.first = bad.first.or(Some(here));
                bad.count += block.len() as u64;
                continue;
            }
            for (i, sector) in block.chunks(SECTOR).enumerate() {
                let start = here + (i * SECTOR) as u64;
                let filled = |byte: u8| sector.iter().all(|b| *b == byte);
                let kind = match sector[0] {
                    0 if filled(0) => RangeKind::Zero,
                    0xff if filled(0xff) => RangeKind::Padding,
                    _ => RangeKind::Unknown,
                };
                push(start, start + sector.len() as u64, kind);
            }
        }
        at = stop;
    }
    // Short runs of zeros inside of other bytes are a part of them.
    let mut joined: Vec<(u64, u64, RangeKind)> = Vec::new();
    for (i, &(start, stop, kind)) in pieces.iter().enumerate() {
        let inner = i > 0
            && i + 1 < pieces.len()
            && pieces[i - 1].2 == RangeKind::Unknown
            && pieces[i + 1].2 == RangeKind::Unknown;
        let short = kind != RangeKind::Unread && stop - start < MIN_ZEROS;
        let kind = if inner && short { RangeKind::Unknown } else { kind };
        match joined.last_mut() {
            Some((_, end, last)) if *last == kind => *end = stop,
            _ => joined.push((start, stop, kind)),
        }
    }
    if joined.len() > MAX_PIECES {
        // What was not read stays apart: nothing is known of it.
        let mut coarse: Vec<(u64, u64, RangeKind)> = Vec::new();
        for (start, stop, kind) in joined {
            let kind = if kind == RangeKind::Unread { kind } else { RangeKind::Unknown };
            match coarse.last_mut() {
                Some((_, end, last)) if *last == kind => *end = stop,
                _ => coarse.push((start, stop, kind)),
            }
        }
        // A medium that is worn in hundreds of places: from there on it is not told apart any more.
        if let Some((start, ..)) = coarse.get(MAX_PIECES).copied() {
            coarse.truncate(MAX_PIECES);
            coarse.push((start, to, RangeKind::Unread));
        }
        joined = coarse;
    }
    let name = |kind| match kind {
        RangeKind::Zero => "zeros",
        RangeKind::Padding => "filled with FF",
        RangeKind::Unread => "not read",
        _ => "unknown data",
    };
    joined.into_iter().map(|(start, stop, kind)| piece(start, stop, kind, name(kind))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(from: u64, to: u64, name: &str) -> Range {
        piece(from, to, RangeKind::Partition, name)
    }

    fn shown(ranges: &[Range]) -> Vec<(u64, &str)> {
        ranges.iter().map(|r| (r.offset_bytes, r.name.as_str())).collect()
    }

    #[test]
    fn every_byte_is_in_one_range() {
        let mut bytes = vec![0; 1 << 20];
        bytes[300_000] = 1;
        let source: &[u8] = &bytes;
        let mut claims = Claims::default();
        claims.add(claim(0, 1000, "a"));
        claims.add(claim(4096, 8192, "b"));
        claims.add(claim(6000, 9000, "c"));
        claims.add(claim(1_000_000, u64::MAX, "d"));
        let overlaps = claims.overlaps();
        assert_eq!((overlaps.len(), overlaps[0].at, overlaps[0].end), (1, 6000, 8192));
        let (ranges, _) = claims.resolve(&source, u64::MAX);
        let expected = [
            (0, "a"),
            (1000, "zeros"),
            (4096, "b"),
            (6000, "b and c"),
            (8192, "c"),
            (9000, "zeros"),
            (299_520, "unknown data"),
            (300_032, "zeros"),
            (1_000_000, "d"),
        ];
        assert_eq!(shown(&ranges), expected);
        assert_eq!(ranges.iter().map(|r| r.length_bytes).sum::<u64>(), 1 << 20);
        assert!(ranges.windows(2).all(|w| end(&w[0]) == w[1].offset_bytes), "no gap");
    }

    #[test]
    fn what_is_beyond_the_budget_is_called_unread() {
        let bytes = vec![0; 1 << 20];
        let source: &[u8] = &bytes;
        let (ranges, bad) = Claims::default().resolve(&source, 100_000);
        assert_eq!(bad, BadBytes::default(), "nothing was wrong with it");
        assert_eq!(shown(&ranges), [(0, "zeros"), (65536, "not read")]);
    }

    #[test]
    fn a_striped_gap_is_one_piece() {
        let mut bytes = vec![0; 64 << 20];
        for i in 0..400 {
            bytes[i * 150_000] = 1;
        }
        let source: &[u8] = &bytes;
        assert_eq!(Claims::default().resolve(&source, u64::MAX).0.len(), 1);
    }
}
