// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Extensions, module layers and embedded configurations in a made-up initramfs, and whether its modules fit.

mod support;

use fw_build::Failure;
use fw_image::initramfs;
use support::{Bench, OTHER_RELEASE, RELEASE, extension, module};
use talos_initramfs::append::{MODULES_IMAGE, Modules};
use talos_initramfs::layers::Config;
use talos_initramfs::squash::files_below;
use talos_initramfs::tree::{Node, Tree};
use talos_initramfs::{Agreed, Extension, agree, embedded_configuration};

/// Members of the segments behind the first, by name.
fn appended(bytes: &[u8], base: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    assert!(bytes.starts_with(base), "the original is left as it is");
    let segments = initramfs::segments(bytes).expect("segments");
    assert_eq!(segments.len(), 2, "one appended segment");
    let members = segments[1].members().expect("members");
    assert!(members.iter().all(|m| (m.uid, m.gid) == (0, 0)));
    members.iter().map(|m| (m.name.to_owned(), m.mode, m.data.to_vec())).collect()
}

fn names(members: &[(String, u32, Vec<u8>)]) -> Vec<&str> {
    members.iter().map(|m| m.0.as_str()).collect()
}

fn content<'m>(members: &'m [(String, u32, Vec<u8>)], name: &str) -> &'m [u8] {
    &members.iter().find(|m| m.0 == name).unwrap_or_else(|| panic!("no `{name}`")).2
}

/// What a kernel of this build would say: modules carry the name of their build.
fn same_build(bytes: &[u8]) -> fw_build::Result<()> {
    if bytes.windows(7).any(|w| w == b"build-1") {
        Ok(())
    } else {
        Err(Failure::new("signed by a key that is not in the kernel"))
    }
}

fn agreed(bytes: &[u8]) -> Result<Agreed, String> {
    agree(bytes, RELEASE, &same_build).map_err(|f| f.to_string())
}

#[test]
fn extensions_as_the_imager_adds_them() {
    let bench = Bench::new();
    let base = bench.initramfs(RELEASE);
    let firmware = extension(
        "firmware",
        &[
            ("usr/lib/firmware/rtl_nic/a.fw", b"blob"),
            ("usr/lib/firmware/b.fw", b"-> rtl_nic/a.fw"),
            ("usr/local/share/x", b"text"),
        ],
    );
    let driver =
        extension("driver", &[(&format!("usr/lib/modules/{RELEASE}/extras/new.ko"), &module("build-1"))]);
    let configuration = embedded_configuration(b"apiVersion: v1alpha1\nkind: HostnameConfig\nhostname: m6\n");
    let extensions = vec![firmware, driver, configuration.expect("a configuration")];
    let done = bench.append(&base, "v1.13.9", Modules::InRootfs, extensions.clone()).expect("added");

    let members = appended(&done.initramfs, &base);
    assert_eq!(
        names(&members),
        [
            "0.sqsh",
            "1.sqsh",
            "2.sqsh",
            "extensions.yaml",
            "modules.dep.sqsh",
            "usr",
            "usr/lib",
            "usr/lib/firmware",
            "usr/lib/firmware/b.fw",
            "usr/lib/firmware/rtl_nic",
            "usr/lib/firmware/rtl_nic/a.fw",
        ]
    );
    // Firmware lies in the initramfs itself, links as copies, and no longer in the layer.
    assert_eq!(content(&members, "usr/lib/firmware/b.fw"), b"blob");
    let below = |image: &str, folder: &str| files_below(content(&members, image), folder).expect("squashfs");
    assert_eq!(below("0.sqsh", "usr").keys().collect::<Vec<_>>(), ["local/share/x"]);
    assert_eq!(below("2.sqsh", "usr/local/etc/talos")["config.yaml"].len(), 55);
    // One list of all layers, in order, the dependencies on top.
    let config = Config::parse(content(&members, "extensions.yaml")).expect("list");
    assert_eq!(config, done.config);
    let layers: Vec<(&str, &str)> =
        config.layers.iter().map(|l| (l.image.as_str(), l.metadata.name.as_str())).collect();
    assert_eq!(
        layers,
        [
            ("0.sqsh", "firmware"),
            ("1.sqsh", "driver"),
            ("2.sqsh", "embedded-config"),
            ("modules.dep.sqsh", "modules.dep"),
        ]
    );
    assert_eq!(config.layers[3].metadata.version, RELEASE);
    // Rebuilt over the kernel's modules and the extension's.
    let depmod = below("modules.dep.sqsh", "usr/lib/modules");
    assert!(depmod.keys().all(|p| p.starts_with(&format!("{RELEASE}/modules."))), "{:?}", depmod.keys());
    let text = String::from_utf8(depmod[&format!("{RELEASE}/modules.dep")].clone()).expect("text");
    assert!(text.contains("extras/new.ko:") && text.contains("kernel/ours.ko:"), "{text}");
    let fits = agreed(&done.initramfs).expect("the merged view fits");
    assert_eq!(fits.modules, 3);
    assert_eq!(fits.layers.len(), 4);
    // The same bytes once more.
    let again = bench.append(&base, "v1.13.9", Modules::InRootfs, extensions.clone()).expect("added");
    assert!(again.initramfs == done.initramfs, "not reproducible");
    // Adding twice would hide the first list.
    let text = bench.append(&done.initramfs, "v1.13.9", Modules::InRootfs, extensions).expect_err("twice");
    assert!(text.contains("has a `extensions.yaml` already"), "{text}");
}

#[test]
fn labels_are_kept_from_v1_13_on() {
    let bench = Bench::new();
    let base = bench.initramfs(RELEASE);
    let labelled = |version: &str| {
        let configuration = embedded_configuration(b"version: v1alpha1\n").expect("a configuration");
        let done = bench.append(&base, version, Modules::InRootfs, vec![configuration]).expect("added");
        let members = appended(&done.initramfs, &base);
        bench.tar_of(content(&members, "0.sqsh")).windows(27).any(|w| w == b"system_u:object_r:system_st")
    };
    assert!(labelled("v1.13.9"));
    assert!(!labelled("v1.12.11"));
}

#[test]
fn modules_as_a_layer() {
    let bench = Bench::new();
    // The release's own, with the stock modules.
    let base = bench.initramfs(OTHER_RELEASE);
    let text = agreed(&base).expect_err("stock modules only");
    assert!(text.contains(&format!("`{OTHER_RELEASE}`")) && text.contains(RELEASE), "{text}");
    let done = bench.append(&base, "v1.10.9", Modules::AsLayer, Vec::new()).expect("added");
    let members = appended(&done.initramfs, &base);
    assert_eq!(names(&members), ["extensions.yaml", MODULES_IMAGE]);
    let fits = agreed(&done.initramfs).expect("fits");
    assert_eq!((fits.modules, fits.other_releases), (2, vec![OTHER_RELEASE.to_owned()]));
    assert_eq!(fits.layers, [format!("kernel-modules {RELEASE}")]);
    // What the imager does when a user adds extensions later: a list of its own in a further segment.
    let later = bench.segment(&[("0.sqsh", b"hsqs"), ("extensions.yaml", b"layers: []\n")]);
    let text = agreed(&[done.initramfs, later].concat()).expect_err("our layer is not mounted");
    assert!(text.contains("`extensions.yaml` does not name it"), "{text}");
}

#[test]
fn must_fail_an_initramfs_whose_modules_come_from_another_kernel_build() {
    let bench = Bench::new();
    assert_eq!(agreed(&bench.initramfs(RELEASE)).expect("fits").modules, 2);
    // Another release: the kernel does not even look.
    let text = agreed(&bench.initramfs(OTHER_RELEASE)).expect_err("another release");
    for part in [RELEASE, OTHER_RELEASE, "without a single module", "hint: "] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    // The same release, built once more with another key: only the signatures tell.
    let other_build = bench.initramfs_of(RELEASE, "build-2", |_| {});
    let text = agreed(&other_build).expect_err("another build");
    for part in ["would refuse 2 of 2 modules", "kernel/ours.ko", "not in the kernel"] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

#[test]
fn must_fail_module_trees_that_contradict_themselves() {
    let bench = Bench::new();
    type Files = std::collections::BTreeMap<String, Vec<u8>>;
    let text = |change: &dyn Fn(&mut Files)| {
        agreed(&bench.initramfs_of(RELEASE, "build-1", change)).expect_err("refused")
    };
    let without = |name: &'static str| text(&move |files| drop(files.remove(name)));
    assert!(without("modules.dep").contains("no `modules.dep`, without which"));
    assert!(without("modules.dep.bin").contains("no `modules.dep.bin`"));
    let gone = without("kernel/ours.ko");
    assert!(gone.contains("names what is not there: `kernel/ours.ko`, 1 in all"), "{gone}");
    let extra = text(&|files| drop(files.insert("kernel/late.ko".to_owned(), module("build-1"))));
    assert!(extra.contains("does not name: `kernel/late.ko`"), "{extra}");
    let line = text(&|files| drop(files.insert("modules.dep".to_owned(), b"<html>\n".to_vec())));
    assert!(line.contains("has the line `<html>`"), "{line}");
    let empty = text(&|files| files.retain(|path, _| !path.ends_with(".ko")));
    assert!(empty.contains("there is no module in"), "{empty}");
}

#[test]
fn must_fail_an_extension_for_another_kernel_release() {
    let bench = Bench::new();
    let base = bench.initramfs(RELEASE);
    let driver =
        extension("zfs", &[(&format!("usr/lib/modules/{OTHER_RELEASE}/extras/zfs.ko"), &module("build-1"))]);
    let text = bench.append(&base, "v1.13.9", Modules::InRootfs, vec![driver]).expect_err("refused");
    for part in ["extension `zfs` of `made up` is for another kernel", OTHER_RELEASE, RELEASE, "hint: "] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(bench.nothing_written(), "something was written");
}

#[test]
fn must_fail_an_extension_for_another_release_of_talos() {
    let bench = Bench::new();
    let base = bench.initramfs(RELEASE);
    let mut hello = extension("hello", &[("usr/local/bin/hello", b"x")]);
    hello.metadata.compatibility.talos.version = ">= v1.13.0".to_owned();
    let text = bench.append(&base, "v1.12.11", Modules::InRootfs, vec![hello]).expect_err("refused");
    assert!(text.contains("is not for Talos v1.12.11") && text.contains(">= v1.13.0"), "{text}");
}

#[test]
fn must_fail_firmware_that_cannot_be_moved() {
    let bench = Bench::new();
    let base = bench.initramfs(RELEASE);
    let refused = |extensions: Vec<Extension>| {
        bench.append(&base, "v1.13.9", Modules::InRootfs, extensions).expect_err("refused")
    };
    for (target, part) in [
        ("-> /etc/passwd", "leads out of the firmware"),
        ("-> ../../x", "leads out of the firmware"),
        ("-> gone", "what the extension does not have"),
        ("-> loop", "do not end"),
    ] {
        let text = refused(vec![extension("bad", &[("usr/lib/firmware/loop", target.as_bytes())])]);
        assert!(text.contains(part) && text.contains("extension `bad`"), "{target}: {text}");
    }
    let one = |content: &str| extension("one", &[("usr/lib/firmware/a", content.as_bytes())]);
    let text = refused(vec![one("1"), one("2")]);
    assert!(text.contains("two extensions bring `usr/lib/firmware/a`"), "{text}");
    // The same twice is nothing to refuse, whatever label each has.
    let mut labelled = one("1");
    let mut rootfs = Tree::default();
    for (path, node) in labelled.rootfs.iter() {
        let label = Some(b"system_u:object_r:unlabeled_t:s0".to_vec());
        rootfs.insert(path, Node { label, ..node.clone() }).expect("once");
    }
    labelled.rootfs = rootfs;
    bench.append(&base, "v1.13.9", Modules::InRootfs, vec![labelled, one("1")]).expect("the same twice");
}

#[test]
fn oci_layouts_of_strangers() {
    let bench = Bench::new();
    let base = [
        ("manifest.yaml", support::MANIFEST),
        ("rootfs/usr/local/bin/x", "1"),
        ("rootfs/usr/local/old", "1"),
    ];
    let top = [("rootfs/usr/local/bin/x", "2"), ("rootfs/usr/local/.wh.old", "")];
    let good = bench.layout("good", "arm64", &[&base, &top]);
    let read = Extension::load(&good).expect("good");
    assert_eq!(read.metadata.name, "hello");
    assert_eq!(read.rootfs.file("usr/local/bin/x"), Some(&b"2"[..]), "the upper layer's");
    assert!(read.rootfs.get("usr/local/old").is_none(), "hidden by the upper layer");
    assert_eq!(read.sha256.len(), 64);
    let refused = |dir: &std::path::Path, parts: &[&str]| {
        let text = Extension::load(dir).expect_err("refused").to_string();
        for part in parts {
            assert!(text.contains(part), "no `{part}` in:\n{text}");
        }
    };
    refused(
        &bench.layout("other", "amd64", &[&base]),
        &["no image for linux/arm64", "linux/amd64", "hint: `skopeo"],
    );
    let evil = [("manifest.yaml", support::MANIFEST), ("rootfs/../../../etc/cron", "1")];
    refused(&bench.layout("evil", "arm64", &[&evil]), &["evil` cannot be used", "leads upwards"]);
    // Every blob in turn, one byte changed.
    let blobs = |dir: &std::path::Path| -> Vec<std::path::PathBuf> {
        let entries = fs_err::read_dir(dir.join("blobs/sha256")).expect("folder");
        entries.map(|e| e.expect("entry").path()).collect()
    };
    assert_eq!(blobs(&good).len(), 4, "two layers, configuration, manifest");
    for blob in blobs(&good) {
        let bytes = fs_err::read(&blob).expect("blob");
        let mut changed = bytes.clone();
        changed[0] ^= 1;
        fs_err::write(&blob, &changed).expect("blob");
        refused(&good, &["is damaged"]);
        fs_err::write(&blob, bytes).expect("blob");
    }
    Extension::load(&good).expect("good again");
    fs_err::remove_file(good.join("index.json")).expect("index");
    refused(&good, &["good` cannot be used", "neither `index.json`"]);
    assert!(bench.nothing_written());
}

#[test]
fn tar_files_of_strangers() {
    let bench = Bench::new();
    let good =
        bench.tar_file("good.tar", &[("manifest.yaml", support::MANIFEST), ("rootfs/usr/local/bin/x", "1")]);
    assert_eq!(Extension::load(&good).expect("good").metadata.name, "hello");
    let evil =
        bench.tar_file("evil.tar", &[("manifest.yaml", support::MANIFEST), ("rootfs/../../etc/cron", "1")]);
    let text = Extension::load(&evil).expect_err("refused").to_string();
    for part in ["evil.tar` cannot be used", "rootfs/../../etc/cron", "leads upwards"] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
    assert!(bench.nothing_written());
}
