// SPDX-License-Identifier: Apache-2.0 OR MIT
//! One look at one image: what is known so far, and the order in which its parts are looked at.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use sha2::{Digest, Sha256};

use crate::claims::{Claims, end};
use crate::finding::{Class, Finding, Findings, Kind};
use crate::initramfs::Userland;
use crate::kernel::Kernel;
use crate::open::Container;
use crate::report::{Range, RangeKind, Report, SCHEMA_VERSION, Shape, Verdict};
use crate::source::Source;
use crate::{boot, esp, loader, meta, shape, table};

/// Bytes at the start that are read as a whole: idblock, FIT and everything before the first partition of any layout.
const HEAD_BYTES: u64 = 32 << 20;

/// What the image is held against. Everything that is not about a board is a fact of the RK3588.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expect {
    /// `compatible` of the board, first string; `None`: any board is right.
    pub compatible: Option<String>,
    /// Path of its device tree below `dtb/`, for images without a U-Boot that names one.
    pub dtb: Option<String>,
}

impl Expect {
    /// The NanoPi M6.
    pub fn nanopi_m6() -> Expect {
        Expect {
            compatible: Some("friendlyarm,nanopi-m6".to_owned()),
            dtb: Some("rockchip/rk3588s-nanopi-m6.dtb".to_owned()),
        }
    }

    /// Any board.
    pub fn any() -> Expect {
        Expect { compatible: None, dtb: None }
    }
}

/// How thoroughly to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes outside of everything known that are read to say whether they are zero.
    pub scan_bytes: u64,
    /// The largest file that is read out of a file system.
    pub file_bytes: u64,
    /// What an initramfs may unpack to.
    pub unpack_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { scan_bytes: 4 << 30, file_bytes: 512 << 20, unpack_bytes: 1 << 30 }
    }
}

/// Looks at images one after the other, and remembers kernels and root file systems that it has seen.
pub struct Inspector {
    expect: Expect,
    pub(crate) options: Options,
    pub(crate) kernels: HashMap<[u8; 32], Rc<Kernel>>,
    pub(crate) userlands: HashMap<([u8; 32], [u8; 32]), Rc<Userland>>,
}

/// Looks at one image.
pub fn inspect(source: &dyn Source, subject: &str, container: Container, expect: &Expect) -> Report {
    Inspector::new(expect.clone(), Options::default()).inspect(source, subject, container, None)
}

impl Inspector {
    /// Nothing is seen yet.
    pub fn new(expect: Expect, options: Options) -> Inspector {
        Inspector { expect, options, kernels: HashMap::new(), userlands: HashMap::new() }
    }

    /// Looks at an image. `damage`: why the stream that it came from ended early.
    pub fn inspect(
        &mut self,
        source: &dyn Source,
        subject: &str,
        container: Container,
        damage: Option<&str>,
    ) -> Report {
        let mut look = Look::new(source, self.expect.clone(), self.options, subject, container);
        if let Some(damage) = damage {
            let at = Some(source.size_bytes());
            look.findings.add(Kind::StreamDamaged, "file", at, damage);
        }
        look.run(self);
        look.finish()
    }
}

/// Everything that the parts share.
pub(crate) struct Look<'a> {
    pub source: &'a dyn Source,
    pub expect: Expect,
    pub options: Options,
    /// The first bytes; what could not be read is zero.
    pub head: Vec<u8>,
    pub claims: Claims,
    /// Ranges inside of partitions, by the partition's name.
    pub parts: BTreeMap<String, Vec<Range>>,
    pub findings: Findings,
    pub report: Report,
    /// Whether it is laid out as Talos does it: what Talos wants then counts.
    pub talos: bool,
}

impl<'a> Look<'a> {
    fn new(
        source: &'a dyn Source,
        expect: Expect,
        options: Options,
        subject: &str,
        container: Container,
    ) -> Look<'a> {
        let report = Report {
            schema_version: SCHEMA_VERSION,
            subject: subject.to_owned(),
            container,
            size_bytes: source.size_bytes(),
            shape: Shape::Unknown,
            summary: String::new(),
            verdict: Verdict::NothingFound,
            findings: vec![],
            ranges: vec![],
            idblocks: vec![],
            fits: vec![],
            table: None,
            partitions: vec![],
            device_trees: vec![],
            efi_programs: vec![],
            grub: vec![],
            kernels: vec![],
            initramfs: vec![],
            meta: None,
        };
        let (claims, findings) = (Claims::default(), Findings::default());
        let (head, parts) = (vec![], BTreeMap::new());
        Look { source, expect, options, head, claims, parts, findings, report, talos: false }
    }

    fn run(&mut self, inspector: &mut Inspector) {
        if self.source.size_bytes() == 0 {
            self.findings.add(Kind::Empty, "file", None, "no byte");
            return;
        }
        self.read_head();
        self.report.shape = shape::of(self);
        match self.report.shape {
            Shape::Disk => {
                table::look(self);
                loader::look(self);
                esp::look(self);
                boot::look(self, inspector);
                meta::look(self);
            }
            Shape::Loader | Shape::SpiLoader | Shape::Fit => loader::look(self),
            other => shape::alone(self, other, inspector),
        }
        if self.report.initramfs.iter().any(|i| i.userland == Some("bringup")) {
            self.findings.add(Kind::SelfTest, "BOOT", None, "its root file system is the self-test's");
        }
    }

    fn read_head(&mut self) {
        let size = self.source.size_bytes().min(HEAD_BYTES) as usize;
        self.head = vec![0; size];
        if self.source.read_at(0, &mut self.head).is_ok() {
            return;
        }
        // In small pieces, so that one bad sector does not hide the others.
        let (mut first, mut bad) = (None, 0_u64);
        for (i, piece) in self.head.chunks_mut(4096).enumerate() {
            if self.source.read_at(i as u64 * 4096, piece).is_err() {
                piece.fill(0);
                first = first.or(Some(i as u64 * 4096));
                bad += piece.len() as u64;
            }
        }
        self.findings.add(
            Kind::Unreadable,
            "start of the medium",
            first,
            format!("{bad} bytes cannot be read"),
        );
    }

    /// Says that a part cannot be read or is damaged, by the kind of error.
    pub fn unreadable(&mut self, region: &str, at: u64, error: &dyn std::fmt::Display) {
        self.findings.add(Kind::Unreadable, region, Some(at), error.to_string());
    }

    fn finish(mut self) -> Report {
        let size = self.source.size_bytes();
        let (mut ranges, bad) =
            std::mem::take(&mut self.claims).resolve(self.source, self.options.scan_bytes);
        if bad.count > 0 {
            let detail = format!("{} bytes cannot be read", bad.count);
            self.findings.add(Kind::Unreadable, "outside of everything known", bad.first, detail);
        }
        for range in ranges.iter_mut().filter(|r| r.kind == RangeKind::Partition) {
            // Names are not unique, and an overlap cuts a partition into pieces: the place decides.
            let inside = self.parts.get(&range.name).into_iter().flatten();
            let (from, to) = (range.offset_bytes, end(range));
            range.parts.extend(inside.filter(|p| p.offset_bytes >= from && end(p) <= to).cloned());
            range.parts.sort_by(|a, b| (a.offset_bytes, &a.name).cmp(&(b.offset_bytes, &b.name)));
            range.parts.dedup();
        }
        let unknown: Vec<&Range> = ranges.iter().filter(|r| r.kind == RangeKind::Unknown).collect();
        let whole = unknown.first().is_some_and(|r| r.length_bytes == size);
        if let (Some(first), false) = (unknown.first(), whole) {
            let sum: u64 = unknown.iter().map(|r| r.length_bytes).sum();
            let detail = format!("{sum} bytes in {} ranges", unknown.len());
            self.findings.add(Kind::UnknownData, "unknown data", Some(first.offset_bytes), detail);
        }
        self.report.ranges = ranges;
        self.report.findings = self.findings.sorted();
        self.report.verdict = verdict(self.report.shape, &self.report.findings);
        self.report.summary = crate::summary::line(&self.report);
        self.report
    }
}

fn verdict(shape: Shape, findings: &[Finding]) -> Verdict {
    let worst = findings.iter().map(|f| f.kind.class()).min();
    let part = shape != Shape::Disk && findings.iter().any(|f| f.kind == Kind::LoaderPart);
    match (worst, shape) {
        (Some(Class::WillNotBoot), _) => Verdict::WillNotBoot,
        _ if part => Verdict::NotBootable,
        (_, Shape::Disk | Shape::Loader | Shape::SpiLoader) => match worst {
            Some(Class::WillMisbehave) => Verdict::WillMisbehave,
            _ => Verdict::NothingFound,
        },
        _ => Verdict::NotBootable,
    }
}

/// SHA-256 of bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A range of the map.
pub(crate) fn range(
    kind: RangeKind,
    name: impl Into<String>,
    at: u64,
    length: u64,
    detail: impl Into<String>,
) -> Range {
    Range {
        offset_bytes: at,
        length_bytes: length,
        kind,
        name: name.into(),
        detail: detail.into(),
        sha256: None,
        parts: vec![],
    }
}

/// Printable text at a place, up to the first byte that is none.
pub(crate) fn text_at(bytes: &[u8], at: usize, limit: usize) -> String {
    let rest = bytes.get(at..).unwrap_or_default();
    rest.iter().take(limit).take_while(|b| (0x20..0x7f).contains(*b)).map(|b| char::from(*b)).collect()
}

/// First place of `needle`.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let (&first, rest) = needle.split_first()?;
    let mut from = 0;
    while let Some(at) = haystack.get(from..)?.iter().position(|b| *b == first) {
        let start = from + at;
        if haystack[start + 1..].starts_with(rest) {
            return Some(start);
        }
        from = start + 1;
    }
    None
}
