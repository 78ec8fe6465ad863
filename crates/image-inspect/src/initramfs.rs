// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An initramfs: segments, root file system, modules against the kernel that boots with it, extensions.

use std::collections::BTreeSet;
use std::rc::Rc;

use fw_image::initramfs::{Compression, Error, Segment, segments_within};
use fw_image::kmod::Info;
use fw_image::modsig;
use fw_image::squashfs::{Entry, Kind as FileKind, Squashfs};

use crate::finding::Kind;
use crate::kernel::Kernel;
use crate::look::{Inspector, sha256};
use crate::report::{ExtensionReport, FileReport, InitramfsReport, ModulesReport, SegmentReport};

/// Where modules are, in Talos and in the self-test.
const TREE: &str = "usr/lib/modules/";
/// The largest module (amdgpu) has some twenty megabytes without its debug information.
const MODULE_BYTES: u64 = 128 << 20;
/// Modules that are read, all together: a hostile list names one file a hundred thousand times.
const MODULES_BYTES: u64 = 2 << 30;
/// How the kernel's other formats begin (Linux `lib/decompress.c`): neither Talos nor this project packs with them.
const OTHER_PACKING: [(&str, &[u8]); 5] = [
    ("gzip", b"\x1f\x8b"),
    ("bzip2", b"BZh"),
    ("lz4", b"\x02\x21\x4c\x18"),
    ("lzo", b"\x89LZO"),
    ("lzma", b"\x5d\0\0"),
];
/// Folders of which a system that lives in its initramfs has one; Talos has `init` and squashfs images.
const ROOT_FOLDERS: [&str; 5] = ["bin/", "etc/", "lib/", "sbin/", "usr/"];
/// Members of a segment that are listed.
const LISTED: usize = 200;

/// What is known about an initramfs together with a kernel.
#[derive(Debug, Clone)]
pub(crate) struct Userland {
    pub report: InitramfsReport,
    pub findings: Vec<(Kind, String)>,
}

impl Inspector {
    /// Looks at an initramfs, unless it has been seen with this kernel.
    pub(crate) fn userland(&mut self, bytes: &[u8], kernel: Option<&Kernel>) -> Rc<Userland> {
        let key = (sha256(bytes), kernel.map(|k| k.digest).unwrap_or_default());
        let unpack = self.options.unpack_bytes;
        self.userlands.entry(key).or_insert_with(|| Rc::new(read(bytes, kernel, unpack))).clone()
    }
}

fn read(bytes: &[u8], kernel: Option<&Kernel>, unpack_bytes: u64) -> Userland {
    let report = InitramfsReport {
        path: String::new(),
        segments: vec![],
        userland: None,
        version: None,
        modules: None,
        extensions: vec![],
    };
    let mut userland = Userland { report, findings: vec![] };
    match segments_within(bytes, unpack_bytes) {
        Ok(segments) => userland.segments(&segments, kernel),
        Err(Error::Magic { offset_bytes, found }) => {
            let rest = &bytes[offset_bytes..];
            let packed = OTHER_PACKING.iter().find(|(_, magic)| rest.starts_with(magic));
            // With a slot for certificates it is of this project, which unpacks xz and zstd.
            let ours = kernel.is_some_and(|kernel| !kernel.certificates.is_empty());
            let (kind, detail) = match packed {
                Some((name, _)) if ours => (
                    Kind::InitramfsDamaged,
                    format!("packed with `{name}`, which this kernel does not unpack"),
                ),
                Some((name, _)) => (Kind::InitramfsPacked, format!("packed with `{name}`")),
                None => (Kind::InitramfsDamaged, Error::Magic { offset_bytes, found }.to_string()),
            };
            userland.findings.push((kind, detail));
        }
        Err(e) => userland.findings.push((Kind::InitramfsDamaged, e.to_string())),
    }
    userland
}

/// What the module trees of all layers come to.
#[derive(Default)]
struct Modules {
    releases: BTreeSet<String>,
    count: usize,
    accepted: usize,
    signed: usize,
    read_bytes: u64,
}

impl Userland {
    fn segments(&mut self, segments: &[Segment], kernel: Option<&Kernel>) {
        let (mut init, mut root, mut modules) = (false, None, Modules::default());
        let mut lives_here = false;
        for segment in segments {
            let members = match segment.members() {
                Ok(members) => members,
                Err(e) => return self.findings.push((Kind::InitramfsDamaged, e.to_string())),
            };
            let listed = members.iter().take(LISTED).map(|m| FileReport {
                path: m.name.to_owned(),
                size_bytes: m.data.len() as u64,
                sha256: Some(fw_image::hex(&sha256(m.data))),
            });
            self.report.segments.push(SegmentReport {
                compression: match segment.compression {
                    Compression::None => "none",
                    Compression::Zstd => "zstd",
                    Compression::Xz => "xz",
                },
                size_bytes: segment.size_bytes as u64,
                archive_bytes: segment.archive.len() as u64,
                members: listed.collect(),
            });
            init |= members.iter().any(|m| m.name == "init" && !m.data.is_empty());
            lives_here |=
                members.iter().any(|m| ROOT_FOLDERS.iter().any(|folder| m.name.starts_with(folder)));
            for member in members.iter().filter(|m| m.name.ends_with(".sqsh")).take(LISTED) {
                let is_root = member.name == "rootfs.sqsh";
                match self.layer(member.name, member.data, kernel, &mut modules) {
                    Ok(()) if is_root => root = Some(Ok(())),
                    Ok(()) => {}
                    Err(e) if is_root => root = Some(Err(e)),
                    Err(e) => self.findings.push((Kind::InitramfsDamaged, format!("`{}`: {e}", member.name))),
                }
            }
            if let Some(list) = members.iter().find(|m| m.name == "extensions.yaml") {
                self.report.extensions = extensions(&String::from_utf8_lossy(list.data));
            }
        }
        if !init {
            self.findings.push((Kind::InitMissing, "no member `init`".to_owned()));
        }
        match root {
            Some(Ok(())) => self.judge(&modules, kernel),
            Some(Err(e)) => self.findings.push((Kind::RootMissing, e)),
            None if lives_here => {}
            None => self.findings.push((Kind::RootMissing, "no member `rootfs.sqsh`".to_owned())),
        }
        let Modules { releases, count, accepted, signed, .. } = modules;
        self.report.modules =
            Some(ModulesReport { releases: releases.into_iter().collect(), count, accepted, signed });
    }

    /// A squashfs: the root file system or an extension.
    fn layer(
        &mut self,
        name: &str,
        data: &[u8],
        kernel: Option<&Kernel>,
        modules: &mut Modules,
    ) -> Result<(), String> {
        let mut squashfs = Squashfs::open(data).map_err(|e| e.to_string())?;
        let entries = squashfs.list().map_err(|e| e.to_string())?;
        if name == "rootfs.sqsh" {
            self.identity(&mut squashfs, &entries);
        }
        for entry in entries.iter().filter(|e| e.kind == FileKind::File) {
            let Some(below) = entry.path.strip_prefix(TREE) else { continue };
            if !below.ends_with(".ko") {
                continue;
            }
            modules.count += 1;
            let release = below.split('/').next().unwrap_or_default();
            if modules.releases.len() < LISTED {
                modules.releases.insert(release.to_owned());
            }
            modules.read_bytes += entry.size_bytes;
            if modules.read_bytes > MODULES_BYTES {
                return Err(format!("its modules have more than {MODULES_BYTES} bytes"));
            }
            match squashfs.read(entry, MODULE_BYTES) {
                Ok(bytes) => self.module(&entry.path, release, &bytes, kernel, modules),
                Err(e) => self.findings.push((Kind::ModuleDamaged, format!("`{}`: {e}", entry.path))),
            }
        }
        Ok(())
    }

    fn module(
        &mut self,
        path: &str,
        release: &str,
        bytes: &[u8],
        kernel: Option<&Kernel>,
        modules: &mut Modules,
    ) {
        let short = path.rsplit('/').next().unwrap_or(path);
        let info = match Info::read(bytes) {
            Ok(info) => info,
            Err(e) => return self.findings.push((Kind::ModuleDamaged, format!("`{short}`: {e}"))),
        };
        if info.release() != release {
            let detail =
                format!("`{short}` was built for {}, and lies in the tree of {release}", info.release());
            self.findings.push((Kind::ModulesOther, detail));
        }
        let Some(kernel) = kernel else { return };
        // A kernel without a slot may have a key of its own, which only it knows.
        if kernel.certificates.is_empty() {
            match modsig::split(bytes) {
                Ok(_) => modules.signed += 1,
                Err(_) if kernel.force == Some(true) => {
                    self.findings.push((Kind::ModuleUnsigned, format!("`{short}`")));
                }
                Err(_) => {}
            }
            return;
        }
        match modsig::verify(bytes, &kernel.certificates) {
            Ok(_) => {
                modules.signed += 1;
                modules.accepted += 1;
            }
            Err(modsig::Error::NotSigned) => {
                self.findings.push((Kind::ModuleUnsigned, format!("`{short}`")));
            }
            Err(e) => {
                modules.signed += 1;
                self.findings.push((Kind::ModuleSignature, format!("`{short}`: {e}")));
            }
        }
    }

    /// The tree against the kernel.
    fn judge(&mut self, modules: &Modules, kernel: Option<&Kernel>) {
        let Some(release) = kernel.and_then(|k| k.release.as_ref()) else { return };
        if modules.releases.is_empty() {
            self.findings.push((Kind::ModulesMissing, format!("no module in `{TREE}{release}`")));
        } else if !modules.releases.contains(release) {
            let others: Vec<&str> = modules.releases.iter().map(String::as_str).collect();
            let detail = format!("the kernel is {release}, the modules are for {}", others.join(", "));
            self.findings.push((Kind::ModulesOther, detail));
        }
    }

    /// Whose root file system it is.
    fn identity(&mut self, squashfs: &mut Squashfs<'_>, entries: &[Entry]) {
        let find = |path: &str| entries.iter().find(|e| e.path == path && e.kind == FileKind::File);
        let release = find("etc/os-release").or_else(|| find("usr/lib/os-release"));
        let text = release.and_then(|e| squashfs.read(e, 1 << 16).ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let value = |key: &str| {
            let value = text.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix('='))?;
            Some(value.trim_matches('"').chars().take(80).collect::<String>())
        };
        self.report.version = value("VERSION_ID").or_else(|| value("VERSION"));
        self.report.userland = if entries.iter().any(|e| e.path.starts_with("usr/share/selftest")) {
            Some("bringup")
        } else if value("ID").as_deref() == Some("talos") {
            Some("talos")
        } else {
            None
        };
    }
}

/// The layers of `extensions.yaml`, as Talos's imager writes it: scalars on lines of their own.
fn extensions(text: &str) -> Vec<ExtensionReport> {
    let mut all: Vec<ExtensionReport> = Vec::new();
    for line in text.lines().take(10_000) {
        let line = line.trim().trim_start_matches("- ");
        let Some((key, value)) = line.split_once(':') else { continue };
        let value: String = value.trim().trim_matches(['"', '\'']).chars().take(200).collect();
        if key.trim() == "image" {
            if all.len() == LISTED {
                break;
            }
            all.push(ExtensionReport { image: value, name: String::new() });
            continue;
        }
        let Some(last) = all.last_mut() else { continue };
        match key.trim() {
            "name" if last.name.is_empty() => last.name = value,
            "version" if !last.name.is_empty() && !last.name.contains(' ') => {
                last.name = format!("{} {value}", last.name);
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_have_name_and_version() {
        let text = "layers:\n    - image: 1.sqsh\n      metadata:\n        name: iscsi-tools\n        version: v0.1.6\n        \
                    compatibility:\n            talos:\n                version: '>= v1.5.0'\n";
        let found = extensions(text);
        assert_eq!(
            (found.len(), found[0].image.as_str(), found[0].name.as_str()),
            (1, "1.sqsh", "iscsi-tools v0.1.6")
        );
        assert!(extensions("nothing").is_empty());
    }
}
