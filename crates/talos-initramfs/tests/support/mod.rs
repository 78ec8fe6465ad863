// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Made-up module trees, initramfs and extensions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::run::Cmd;
use fw_image::oci::{Compression, Config, Image, Layer, Layout, Platform};
use fw_image::talos::Line;
use fw_image::{cpio, initramfs};
use talos_initramfs::append::{Additions, Appended, Modules, append};
use talos_initramfs::layers::{Constraint, Metadata};
use talos_initramfs::squash::{self, files_below};
use talos_initramfs::tree::{Kind, Labels, Node, Tree};
use talos_initramfs::{Extension, modules};

/// Release of the kernel.
pub const RELEASE: &str = "6.18.15-0123abcd";
/// Release of another one.
pub const OTHER_RELEASE: &str = "6.12.63-talos";
/// Manifest of an extension.
pub const MANIFEST: &str = "version: v1alpha1\nmetadata:\n  name: hello\n  version: v1\n";

/// A module file of a build: as much of an ELF file as `depmod` wants to see.
pub fn module(build: &str) -> Vec<u8> {
    // ELF gABI: a 64-byte header, `.modinfo`, the names, and three section headers.
    let info = format!("license=GPL\0vermagic={RELEASE} {build}\0");
    let names = b"\0.modinfo\0.shstrtab\0";
    let names_at = 64 + info.len() as u64;
    let table_at = (names_at + names.len() as u64).next_multiple_of(8);
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    // ET_REL, EM_AARCH64.
    file.extend([1_u16, 183].iter().flat_map(|w| w.to_le_bytes()));
    file.extend(1_u32.to_le_bytes());
    file.extend([0, 0, table_at].iter().flat_map(|w| w.to_le_bytes()));
    file.extend(0_u32.to_le_bytes());
    file.extend([64_u16, 0, 0, 64, 3, 2].iter().flat_map(|w| w.to_le_bytes()));
    file.extend(info.as_bytes());
    file.extend(names);
    file.resize(table_at as usize + 64, 0);
    for (name, kind, at, size) in
        [(1_u32, 1_u32, 64, info.len() as u64), (10, 3, names_at, names.len() as u64)]
    {
        file.extend([name, kind].iter().flat_map(|w| w.to_le_bytes()));
        file.extend([0, 0, at, size, 0, 1, 0].iter().flat_map(|w| u64::to_le_bytes(*w)));
    }
    file
}

/// An extension with these files; content of the form `-> x` makes a link.
pub fn extension(name: &str, files: &[(&str, &[u8])]) -> Extension {
    let mut rootfs = Tree::default();
    for (path, content) in files {
        let kind = match content.strip_prefix(b"-> ") {
            Some(target) => Kind::Link(String::from_utf8(target.to_vec()).expect("text")),
            None => Kind::File(content.to_vec()),
        };
        rootfs.insert(path, Node { kind, mode: 0o644, label: None }).expect("once");
    }
    let mut metadata = Metadata { name: name.to_owned(), version: "1".to_owned(), ..Metadata::default() };
    metadata.compatibility.talos = Constraint { version: ">= 1.0.0".to_owned() };
    Extension { metadata, rootfs, origin: "made up".to_owned(), sha256: String::new() }
}

/// A folder with the module tree of `RELEASE`.
pub struct Bench {
    dir: tempfile::TempDir,
    module_tree: PathBuf,
}

impl Bench {
    pub fn new() -> Bench {
        for (tool, package) in
            [("sqfs2tar", "squashfs-tools-ng"), ("tar2sqfs", "squashfs-tools-ng"), ("depmod", "kmod")]
        {
            Cmd::new(tool).arg("--version").output().unwrap_or_else(|e| panic!("install `{package}`: {e}"));
        }
        let dir = tempfile::tempdir().expect("folder");
        fs::create_dir(dir.path().join("work")).expect("folder");
        let module_tree = write_tree(&dir.path().join("kernel"), RELEASE, "build-1");
        Bench { dir, module_tree }
    }

    /// An initramfs whose root file system has the modules of a release, of the first build.
    pub fn initramfs(&self, release: &str) -> Vec<u8> {
        self.initramfs_of(release, "build-1", |_| {})
    }

    /// An initramfs with modules of a build, whose files below the release's folder are changed.
    pub fn initramfs_of(
        &self,
        release: &str,
        build: &str,
        change: impl Fn(&mut BTreeMap<String, Vec<u8>>),
    ) -> Vec<u8> {
        let dir = tempfile::tempdir_in(self.dir.path()).expect("folder");
        let source = write_tree(dir.path(), release, build);
        let mut tree = modules::layer(&source, release).expect("tree");
        let below = format!("usr/lib/modules/{release}");
        let taken = tree.take(&below);
        let mut files: BTreeMap<String, Vec<u8>> =
            taken.iter().filter_map(|(p, _)| Some((p.to_owned(), taken.file(p)?.to_vec()))).collect();
        change(&mut files);
        for (path, content) in files {
            let node = Node { kind: Kind::File(content), mode: 0o644, label: None };
            tree.insert(&format!("{below}/{path}"), node).expect("once");
        }
        let image = dir.path().join("rootfs.sqsh");
        squash::pack(&tree, Labels::Dropped, dir.path(), &image).expect("packs");
        self.segment(&[("init", b"program"), ("rootfs.sqsh", &fs::read(image).expect("image"))])
    }

    /// A segment with these members.
    pub fn segment(&self, members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = cpio::Writer::new(Vec::new(), 1);
        writer.directory(".", 0o755).expect("memory");
        for (name, data) in members {
            writer.file(name, 0o755, data).expect("memory");
        }
        initramfs::compress(&writer.finish().expect("memory"), 3, 1).expect("memory")
    }

    pub fn append(
        &self,
        base: &[u8],
        talos: &str,
        way: Modules,
        extensions: Vec<Extension>,
    ) -> Result<Appended, String> {
        let additions = Additions {
            talos,
            line: Line::of(talos).expect("a line"),
            release: RELEASE,
            module_tree: &self.module_tree,
            modules: way,
            extensions,
        };
        append(base, additions, &self.work(), &()).map_err(|f| f.to_string())
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// Whether the work folder is empty.
    pub fn nothing_written(&self) -> bool {
        fs::read_dir(self.work()).expect("folder").next().is_none()
    }

    /// The tar stream of an image, labels and all.
    pub fn tar_of(&self, image: &[u8]) -> Vec<u8> {
        assert!(!files_below(image, "usr").expect("squashfs").is_empty());
        let path = self.dir.path().join("image.sqsh");
        fs::write(&path, image).expect("file");
        Cmd::new("sqfs2tar").arg(path).output().expect("sqfs2tar")
    }

    /// An OCI layout with one image of these layers, the lowest first.
    pub fn layout(&self, name: &str, architecture: &str, layers: &[&[(&str, &str)]]) -> PathBuf {
        let layers = layers.iter().map(|entries| {
            Layer::new(fs::read(self.tar_file("layer.tar", entries)).expect("tar"), Compression::Gzip)
        });
        let config = Config { run: serde_json::json!({}), created: "2026-01-01T00:00:00Z".to_owned() };
        let (platform, none) = (Platform::linux(architecture), BTreeMap::new());
        let image = Image::new(platform, &config, layers.collect(), &none).expect("an image");
        let dir = self.dir.path().join(name);
        for (path, content) in Layout::new(&[image], &none).expect("a layout").files() {
            let path = dir.join(path);
            fs::create_dir_all(path.parent().expect("below")).expect("folder");
            fs::write(path, content).expect("file");
        }
        dir
    }

    /// A tar file with these entries, whatever their paths.
    pub fn tar_file(&self, name: &str, entries: &[(&str, &str)]) -> PathBuf {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(content.len() as u64);
            header.as_gnu_mut().expect("gnu").name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            builder.append(&header, content.as_bytes()).expect("memory");
        }
        let path = self.dir.path().join(name);
        fs::write(&path, builder.into_inner().expect("memory")).expect("file");
        path
    }
}

/// A module tree with two modules and everything that kmod looks at.
fn write_tree(below: &Path, release: &str, build: &str) -> PathBuf {
    let dir = below.join(release);
    fs::create_dir_all(dir.join("kernel")).expect("folder");
    for name in ["kernel/ours.ko", "kernel/other.ko"] {
        fs::write(dir.join(name), module(build)).expect("file");
    }
    fs::write(dir.join("modules.dep"), "kernel/ours.ko: kernel/other.ko\nkernel/other.ko:\n").expect("file");
    for index in ["modules.dep.bin", "modules.alias.bin", "modules.symbols.bin"] {
        fs::write(dir.join(index), "index").expect("file");
    }
    for list in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        fs::write(dir.join(list), "").expect("file");
    }
    dir
}
