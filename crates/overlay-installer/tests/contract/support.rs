// SPDX-License-Identifier: Apache-2.0 OR MIT
//! An overlay's artifacts, a disk and a mount prefix in a folder of their own, made for the tests: the
//! formats are real (idblock and FIT with their hashes, device trees), the programs in them are not.

use std::path::{Path, PathBuf};

use dtoolkit::model::{DeviceTree, DeviceTreeNode, DeviceTreeProperty};
use overlay_installer::{Places, Refusal, install};
use sha2::{Digest, Sha256};

/// First byte of U-Boot on the disk.
pub const LOADER_AT: usize = 32768;
/// First byte of the FIT in the U-Boot file: sector 16384 of the disk.
pub const FIT_AT: usize = 16384 * 512 - LOADER_AT;
/// The smallest disk with room for the loader's gap, and some more.
pub const DISK_BYTES: usize = 12 << 20;

pub const BOARD: &str = "friendlyarm,nanopi-m6";
pub const DTB: &str = "arm64/dtb/rockchip/rk3588s-nanopi-m6.dtb";
pub const LOADER: &str = "arm64/u-boot/nanopi-m6/u-boot-rockchip.bin";
pub const SUMS: &str = "SHA256SUMS";
pub const DTB_ON_ESP: &str = "boot/EFI/dtb/rockchip/rk3588s-nanopi-m6.dtb";

fn property(name: &str, value: &[u8]) -> DeviceTreeProperty {
    DeviceTreeProperty::new(name, value).expect("a legal name")
}

fn node(name: &str, properties: &[(&str, &[u8])], children: Vec<DeviceTreeNode>) -> DeviceTreeNode {
    let mut node = DeviceTreeNode::new(name).expect("a legal name");
    properties.iter().for_each(|(name, value)| node.add_property(property(name, value)));
    children.into_iter().for_each(|child| node.add_child(child));
    node
}

/// A device tree of a board, with an Ethernet node where the alias says.
pub fn device_tree(compatible: &str) -> Vec<u8> {
    let mut tree = DeviceTree::new();
    tree.root.add_property(property("model", b"FriendlyElec NanoPi M6\0"));
    tree.root.add_property(property("compatible", format!("{compatible}\0rockchip,rk3588s\0").as_bytes()));
    tree.root.add_child(node("aliases", &[("ethernet0", b"/ethernet@fe1c0000\0")], Vec::new()));
    tree.root.add_child(node("ethernet@fe1c0000", &[("phy-mode", b"rgmii-rxid\0")], Vec::new()));
    tree.to_dtb()
}

/// A U-Boot file whose last bytes are `tail`, so that two of them differ.
pub fn loader(compatible: &str, tail: &[u8]) -> Vec<u8> {
    let mut file = vec![0; 2048];
    file.extend(vec![0xd1; 4 * 512]);
    file.extend(vec![0x51; 8 * 512]);
    file[..4].copy_from_slice(b"RKNS");
    file[8..12].copy_from_slice(&((2_u32 << 16) | 384).to_le_bytes());
    file[12] = 1;
    for (index, (start, size)) in [(4_usize, 4_usize), (8, 8)].into_iter().enumerate() {
        let at = 0x78 + index * 0x58;
        file[at..at + 4].copy_from_slice(&((size << 16 | start) as u32).to_le_bytes());
        let digest = Sha256::digest(&file[start * 512..(start + size) * 512]);
        file[at + 0x18..at + 0x38].copy_from_slice(&digest);
    }
    let digest = Sha256::digest(&file[..0x600]);
    file[0x600..0x620].copy_from_slice(&digest);
    file.resize(FIT_AT, 0);
    file.extend(fit(&device_tree(compatible), tail));
    file
}

fn fit(dtb: &[u8], tail: &[u8]) -> Vec<u8> {
    let mut images = Vec::new();
    let mut outside = Vec::new();
    let parts = [
        ("atf-1", "firmware", vec![0xbb; 512]),
        ("fdt-1", "flat_dt", dtb.to_vec()),
        ("u-boot", "standalone", tail.to_vec()),
    ];
    for (name, kind, data) in parts {
        let hash = node("hash", &[("algo", b"sha256\0"), ("value", &Sha256::digest(&data))], Vec::new());
        let position = 0x1000 + outside.len() as u32;
        images.push(node(
            name,
            &[
                ("type", format!("{kind}\0").as_bytes()),
                ("data-position", &position.to_be_bytes()),
                ("data-size", &(data.len() as u32).to_be_bytes()),
            ],
            vec![hash],
        ));
        outside.extend(data);
    }
    let config = node(
        "config-1",
        &[("firmware", b"atf-1\0"), ("loadables", b"u-boot\0"), ("fdt", b"fdt-1\0")],
        Vec::new(),
    );
    let mut tree = DeviceTree::new();
    tree.root.add_child(node("images", &[], images));
    tree.root.add_child(node("configurations", &[("default", b"config-1\0")], vec![config]));
    let mut fit = tree.to_dtb();
    assert!(fit.len() <= 0x1000, "the tree reaches into the data");
    fit.resize(0x1000, 0);
    fit.extend(outside);
    fit
}

/// A folder with artifacts, a disk and nothing else.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub options: String,
}

impl Bench {
    pub fn new() -> Bench {
        let bench = Bench { dir: tempfile::tempdir().expect("folder"), options: String::new() };
        bench.artifact(LOADER, &loader(BOARD, b"U-Boot"));
        bench.artifact(DTB, &device_tree(BOARD));
        bench.disk(&vec![0xee; DISK_BYTES]);
        bench
    }

    /// An artifact that the overlay lists.
    pub fn artifact(&self, path: &str, content: &[u8]) {
        self.write(&format!("artifacts/{path}"), content);
        let folder = self.path("artifacts");
        let mut found = Vec::new();
        walk(&folder, &mut found);
        let mut list = String::new();
        for (path, content) in found.iter().filter(|(path, _)| path.is_file() && !path.ends_with(SUMS)) {
            let name = path.strip_prefix(&folder).expect("below").display();
            list.push_str(&format!("{}  {name}\n", fw_image::hex(&Sha256::digest(content))));
        }
        self.write(&format!("artifacts/{SUMS}"), list.as_bytes());
    }

    pub fn disk(&self, content: &[u8]) {
        self.write("disk.raw", content);
    }

    pub fn write(&self, path: &str, content: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folder");
        std::fs::write(path, content).expect("file");
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// The request as Go's encoder writes it.
    pub fn request(&self) -> String {
        let dir = self.dir.path().display();
        let options =
            if self.options.is_empty() { String::new() } else { format!("extraOptions: {}\n", self.options) };
        format!(
            "installDisk: {dir}/disk.raw\nmountPrefix: {dir}/image\nartifactsPath: {dir}/artifacts\n{options}"
        )
    }

    pub fn install(&self) -> Result<Vec<String>, Refusal> {
        self.install_as(&self.request())
    }

    pub fn install_as(&self, request: &str) -> Result<Vec<String>, Refusal> {
        let mut notes = Vec::new();
        install(request.as_bytes(), &Places::default(), &mut |note| notes.push(note.to_owned()))?;
        Ok(notes)
    }

    /// The reason of a refusal, after checking that it left no byte anywhere.
    pub fn refused(&self) -> String {
        self.refused_as(&self.request())
    }

    pub fn refused_as(&self, request: &str) -> String {
        let before = self.snapshot();
        let refusal = self.install_as(request).expect_err("must be refused");
        assert_eq!(before, self.snapshot(), "something was written: {refusal}");
        refusal.to_string()
    }

    /// Every file with its content.
    fn snapshot(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        walk(self.dir.path(), &mut found);
        found.sort();
        found
    }
}

fn walk(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.push((path.clone(), Vec::new()));
            walk(&path, found);
        } else {
            let content = std::fs::read(&path).expect("file");
            found.push((path, content));
        }
    }
}
