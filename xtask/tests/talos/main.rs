// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The `talos` userland from a release on a server to a finished initramfs, without root.

mod foreign;
mod server;
mod synthetic;
mod unprivileged;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use fw_build::fetch::{FetchConfig, Fetcher, Network};
use fw_build::key::sha256_file;
use fw_build::manifest::Manifests;
use fw_image::initramfs;
use fw_image::talos::{Line, Support};
use talos_initramfs::append::Modules;
use talos_initramfs::tree::{Kind, Node, Tree};
use talos_initramfs::{Additions, Extension, append, embedded_configuration};
use xtask::userland::talos::{Composed, Inputs, compose};

use server::{Answer, Server};
use synthetic::{Labels, MODULE_LABEL, OUR_RELEASE, STOCK_RELEASE};
use unprivileged::{unprivileged, unprivileged_with};

const VERSION: &str = "v1.10.9";
const ASSET: &str = "initramfs-arm64.xz";

/// A server with a release, and folders for one user of it.
struct Bench {
    dir: tempfile::TempDir,
    server: Server,
    modules: PathBuf,
    manifest: PathBuf,
    rootfs: PathBuf,
    config: FetchConfig,
}

impl Bench {
    fn new(labels: Labels) -> Bench {
        Bench::with_link(labels, None)
    }

    fn with_link(labels: Labels, extra_link: Option<&str>) -> Bench {
        for (tool, package) in [
            ("sqfs2tar", "squashfs-tools-ng"),
            ("tar2sqfs", "squashfs-tools-ng"),
            ("rdsquashfs", "squashfs-tools-ng"),
            ("unsquashfs", "squashfs-tools"),
        ] {
            assert!(which::which(tool).is_ok(), "`{tool}` is missing: install the package `{package}`");
        }
        let dir = tempfile::tempdir().expect("folder");
        let server = Server::start();
        let rootfs = dir.path().join("release.sqsh");
        synthetic::root_image(&rootfs, labels, extra_link);
        let manifest = dir.path().join("vendor-manifests/talos.toml");
        fs::create_dir(dir.path().join("vendor-manifests")).expect("folder");
        let text = format!(
            "# kept\nname = \"talos\"\nlicence = \"MPL-2.0\"\ndescription = \"test\"\ndefault = \"{VERSION}\"\n\
             asset-url = \"{}/{{version}}/{{asset}}\"\n",
            server.base()
        );
        fs::write(&manifest, text).expect("manifest");
        let mut config = FetchConfig::bare(&dir.path().join("store"));
        config.limits.pause = Duration::from_millis(5);
        let modules = synthetic::module_tree(dir.path());
        let bench = Bench { dir, server, modules, manifest, rootfs, config };
        bench.publish(&synthetic::release_initramfs(&bench.rootfs));
        bench
    }

    /// Serves `asset` as the release, with a list of digests that fits it; gives its digest.
    fn publish(&self, asset: &[u8]) -> String {
        let sha256 = self.sha256(asset);
        let other = "0".repeat(64);
        let sums = format!("{other}  vmlinuz-arm64\n{sha256}  {ASSET}\n{other}  talosctl-linux-arm64\n");
        self.put(ASSET, Answer::File(asset.to_vec()));
        self.put("sha256sum.txt", Answer::File(sums.into_bytes()));
        sha256
    }

    fn sha256(&self, bytes: &[u8]) -> String {
        let path = self.dir.path().join("to-hash");
        fs::write(&path, bytes).expect("file");
        sha256_file(&path).expect("digest")
    }

    fn put(&self, asset: &str, answer: Answer) {
        self.server.put(&format!("/{VERSION}/{asset}"), answer);
    }

    /// Serves the made-up release under another version, too.
    fn publish_as(&self, version: &str) {
        let asset = synthetic::release_initramfs(&self.rootfs);
        let sums = format!("{}  {ASSET}\n", self.sha256(&asset));
        self.server.put(&format!("/{version}/{ASSET}"), Answer::File(asset));
        self.server.put(&format!("/{version}/sha256sum.txt"), Answer::File(sums.into_bytes()));
    }

    fn out(&self) -> PathBuf {
        self.dir.path().join("out/initramfs.xz")
    }

    fn compose(&self) -> Result<Composed, String> {
        self.compose_version(VERSION)
    }

    fn compose_version(&self, version: &str) -> Result<Composed, String> {
        let manifests = Manifests::load(&self.dir.path().join("vendor-manifests")).expect("manifest");
        let mut releases = manifests.releases("talos").expect("talos").clone();
        let inputs = Inputs {
            fetcher: &Fetcher::new(self.config.clone()),
            releases: &mut releases,
            version,
            assets_dir: &self.dir.path().join("store/talos"),
            module_tree: &self.modules,
            progress: &(),
        };
        compose(inputs, &self.out()).map_err(|f| f.to_string())
    }

    /// Composes, expects a refusal that contains every text, and that nothing came of it.
    fn refused(&self, texts: &[&str]) {
        let message = self.compose().expect_err("refused");
        for text in texts {
            assert!(message.contains(text), "no `{text}` in:\n{message}");
        }
        assert!(message.contains("\nhint: "), "{message}");
        assert!(!self.out().exists(), "an initramfs is there after:\n{message}");
        let left = fs::read_dir(self.dir.path().join("out")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "something is left in the output folder");
    }

    fn recorded(&self) -> bool {
        fs::read_to_string(&self.manifest).expect("manifest").contains("[releases.")
    }

    fn forget_asset(&self) {
        fs::remove_file(self.dir.path().join("store/talos").join(VERSION).join(ASSET)).expect("was fetched");
    }
}

/// The members of an initramfs by name, with mode; and its root file system as a file.
fn opened(initramfs: &Path, rootfs: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let bytes = fs::read(initramfs).expect("initramfs");
    let segments = initramfs::segments(&bytes).expect("segments");
    assert_eq!(segments.len(), 1);
    assert_eq!(segments[0].compression, initramfs::Compression::Zstd);
    let members = segments[0].members().expect("members");
    assert!(members.iter().all(|m| (m.uid, m.gid) == (0, 0)));
    let names: Vec<&str> = members.iter().map(|m| m.name).collect();
    assert_eq!(names, [".", "init", "rootfs.sqsh"]);
    fs::write(rootfs, members[2].data).expect("file");
    members.iter().map(|m| (m.name.to_owned(), (m.mode, m.data.to_vec()))).collect()
}

fn is_module(path: &str) -> bool {
    path.starts_with("usr/lib/modules/")
}

#[test]
fn every_kept_inode_is_the_same_and_the_modules_are_ours() {
    unprivileged("every_kept_inode_is_the_same_and_the_modules_are_ours", || {
        let bench = Bench::new(Labels::Yes);
        let composed = bench.compose().expect("composes");
        let after = bench.dir.path().join("after.sqsh");
        let members = opened(&composed.initramfs_path, &after);
        assert_eq!(members["init"], (0o100_755, synthetic::init()));
        assert_eq!(members["."].0, 0o040_755);
        assert_eq!(members["rootfs.sqsh"].0, 0o100_644);

        let before = foreign::inodes(&bench.rootfs);
        let now = foreign::inodes(&after);
        let kept = |all: &BTreeMap<String, foreign::Inode>| -> BTreeMap<String, foreign::Inode> {
            all.iter().filter(|(p, _)| !is_module(p)).map(|(p, i)| (p.clone(), i.clone())).collect()
        };
        let (kept_before, kept_now) = (kept(&before), kept(&now));
        for (path, inode) in &kept_before {
            let found = kept_now.get(path).unwrap_or_else(|| panic!("`{path}` is gone"));
            // Without the data, which nobody wants to read.
            let shown = |i: &foreign::Inode| foreign::Inode { data: Vec::new(), ..i.clone() };
            assert_eq!(shown(found), shown(inode), "{path}");
            assert!(found.data == inode.data, "{path}: data");
        }
        assert_eq!(kept_now.len(), kept_before.len());
        assert_eq!(composed.kept_entries, kept_before.len());
        // The comparison would be worth nothing if the release had nothing to lose.
        assert_eq!(before[""].mode, 0o751);
        assert_eq!(before["usr/bin/su"].mode, 0o4755);
        assert_eq!(before["usr/bin/su"].names, ["usr/bin/su", "usr/bin/sudo"]);
        assert_eq!(before["usr/bin/ping"].xattrs["security.capability"].len(), 20);
        assert_eq!(before["etc/odd"].xattrs["trusted.big"].len(), 8000);
        assert_eq!(before["dev/loop"].device, (7, 300));
        assert!(before.values().filter(|i| i.xattrs.contains_key("security.selinux")).count() > 20);
        assert!(!before["etc/no-label"].xattrs.contains_key("security.selinux"));

        let ours: Vec<(&String, &foreign::Inode)> = now.iter().filter(|(p, _)| is_module(p)).collect();
        assert_eq!(ours.len(), 6, "{:?}", ours.iter().map(|(p, _)| p).collect::<Vec<_>>());
        for (path, inode) in ours {
            let below =
                path.strip_prefix(&format!("usr/lib/modules/{OUR_RELEASE}")).expect("our release only");
            let source = bench.modules.join(below.trim_start_matches('/'));
            let data = if source.is_dir() { Vec::new() } else { fs::read(&source).expect("module") };
            assert!(inode.data == data, "{path}: data");
            assert_eq!(inode.mode, if source.is_dir() { 0o755 } else { 0o644 }, "{path}");
            assert_eq!(inode.owner, (0, 0), "{path}");
            assert_eq!(inode.mtime, fw_build::run::SOURCE_DATE_EPOCH, "{path}");
            assert_eq!(
                inode.xattrs,
                BTreeMap::from([("security.selinux".to_owned(), MODULE_LABEL.to_vec())])
            );
        }
        assert_eq!(composed.stock_releases, [STOCK_RELEASE]);
        assert_eq!(composed.kernel_release, OUR_RELEASE);
        assert_eq!(composed.module_label.as_deref(), Some("system_u:object_r:module_t:s0"));

        let foreign_kept = |lines: Vec<String>| -> Vec<String> {
            lines.into_iter().filter(|l| !l.contains("usr/lib/modules/")).collect()
        };
        assert_eq!(
            foreign_kept(foreign::unsquashfs_lines(&after)),
            foreign_kept(foreign::unsquashfs_lines(&bench.rootfs))
        );
        assert_eq!(foreign_kept(foreign::described(&after)), foreign_kept(foreign::described(&bench.rootfs)));
        for path in ["/", "/usr/bin/su", "/usr/bin/ping", "/etc/odd", "/etc/no-label", "/lib", "/dev/loop"] {
            let printed = foreign::printed_xattrs(&after, path);
            assert_eq!(printed, foreign::printed_xattrs(&bench.rootfs, path), "{path}");
            assert_eq!(printed.is_empty(), path == "/etc/no-label", "{path}: {printed:?}");
        }
        let label =
            foreign::printed_xattrs(&after, &format!("/usr/lib/modules/{OUR_RELEASE}/kernel/ours.ko"));
        assert_eq!(label.len(), 1);
        assert!(label[0].starts_with("security.selinux=system_u:object_r:module_t:s0"), "{label:?}");
        let stats = fw_build::run::Cmd::new("unsquashfs").arg("-s").arg(&after).output().expect("unsquashfs");
        let stats = String::from_utf8_lossy(&stats).into_owned();
        for line in ["Compression zstd", "compression-level 18", "Block size 131072"] {
            assert!(stats.contains(line), "no `{line}` in:\n{stats}");
        }
    });
}

#[test]
fn the_second_time_needs_no_network_and_gives_the_same_bytes() {
    unprivileged("the_second_time_needs_no_network_and_gives_the_same_bytes", || {
        let mut bench = Bench::new(Labels::Yes);
        let first = bench.compose().expect("composes");
        assert_eq!(
            bench.server.asked(),
            [format!("/{VERSION}/sha256sum.txt"), format!("/{VERSION}/{ASSET}")]
        );
        let manifest = fs::read_to_string(&bench.manifest).expect("manifest");
        assert!(manifest.starts_with("# kept\n"), "{manifest}");
        assert!(
            manifest
                .contains(&format!("[releases.\"{VERSION}\"]\n\"{ASSET}\" = \"{}\"\n", first.release_sha256)),
            "{manifest}"
        );
        bench.config.network = Network::Forbidden { because: "`FW_OFFLINE` is set".to_owned() };
        fs::remove_file(bench.out()).expect("output");
        // Another order and age of the files on disk must not show.
        fs::write(bench.modules.join("kernel/a.ko"), "").expect("file");
        fs::remove_file(bench.modules.join("kernel/a.ko")).expect("file");
        assert_eq!(bench.compose().expect("composes offline"), first);
        assert_eq!(sha256_file(&bench.out()).expect("digest"), first.sha256);
        assert_eq!(bench.server.asked(), Vec::<String>::new());
    });
}

/// The release's way through this code for every line: fetched, repacked or left alone, with an extension and, where the
/// line reads one, a machine configuration behind it.
#[test]
fn every_line_of_talos_is_composed_and_extended() {
    unprivileged("every_line_of_talos_is_composed_and_extended", || {
        let bench = Bench::new(Labels::Yes);
        let manifest = b"version: v1alpha1\nmetadata:\n  name: hello\n  version: \"1\"\n";
        for line in Line::ALL {
            let version = format!("{line}.0");
            bench.publish_as(&version);
            let composed = bench.compose_version(&version).expect("composes");
            assert_eq!(composed.talos_version, version);
            let base = fs::read(&composed.initramfs_path).expect("initramfs");
            let stock = synthetic::release_initramfs(&bench.rootfs);
            for (base, modules) in [(&base, Modules::InRootfs), (&stock, Modules::AsLayer)] {
                let mut image = Tree::default();
                let file = |data: &[u8]| Node { kind: Kind::File(data.to_vec()), mode: 0o644, label: None };
                image.insert("manifest.yaml", file(manifest)).expect("once");
                image.insert("rootfs/usr/lib/firmware/a.fw", file(b"firmware")).expect("once");
                let mut extensions =
                    vec![Extension::from_tree(image, "made up", String::new()).expect("an extension")];
                if line.embedded_configuration() == Support::Yes {
                    extensions.push(embedded_configuration(b"version: v1alpha1\n").expect("a configuration"));
                }
                let work = tempfile::tempdir_in(bench.dir.path()).expect("folder");
                let additions = Additions {
                    talos: &version,
                    line,
                    release: OUR_RELEASE,
                    module_tree: &bench.modules,
                    modules,
                    extensions,
                };
                let done = append(base, additions, work.path(), &()).expect("appended");
                let layers: Vec<&str> = done.config.layers.iter().map(|l| l.metadata.name.as_str()).collect();
                let mut expected = match modules {
                    Modules::InRootfs => vec!["hello"],
                    Modules::AsLayer => vec!["kernel-modules", "hello"],
                };
                expected.extend((line >= Line::V1_12).then_some("embedded-config"));
                assert_eq!(layers, expected, "{version}");
                let segments = initramfs::segments(&done.initramfs).expect("segments");
                let names: Vec<String> =
                    segments[1].members().expect("members").iter().map(|m| m.name.to_owned()).collect();
                assert!(names.contains(&"usr/lib/firmware/a.fw".to_owned()), "{names:?}");
                assert_eq!(names.contains(&"kmod.sqsh".to_owned()), modules == Modules::AsLayer);
            }
        }
    });
}

#[test]
fn a_release_without_labels_gives_modules_without_labels() {
    unprivileged("a_release_without_labels_gives_modules_without_labels", || {
        let bench = Bench::new(Labels::No);
        let composed = bench.compose().expect("composes");
        let after = bench.dir.path().join("after.sqsh");
        opened(&composed.initramfs_path, &after);
        let now = foreign::inodes(&after);
        assert!(now.keys().any(|p| is_module(p)));
        assert!(now.values().all(|i| !i.xattrs.contains_key("security.selinux")));
        assert_eq!(composed.module_label, None);
    });
}

#[test]
fn a_file_with_another_name_in_the_stock_tree_is_kept() {
    unprivileged("a_file_with_another_name_in_the_stock_tree_is_kept", || {
        // The counterpart to the refusal below: here the name outside comes first, with the content.
        let bench = Bench::with_link(Labels::Yes, Some("./etc/dep"));
        let composed = bench.compose().expect("composes");
        let after = bench.dir.path().join("after.sqsh");
        opened(&composed.initramfs_path, &after);
        let kept = &foreign::inodes(&after)["etc/dep"];
        assert_eq!(kept.data, b"kernel/drivers/stock.ko:\n");
        assert_eq!(kept.names, ["etc/dep"]);
    });
}

#[test]
fn must_fail_asset_that_changed_later() {
    unprivileged("must_fail_asset_that_changed_later", || {
        let bench = Bench::new(Labels::Yes);
        let first = bench.compose().expect("composes").release_sha256;
        let manifest = fs::read_to_string(&bench.manifest).expect("manifest");
        fs::remove_file(bench.out()).expect("output");
        bench.forget_asset();
        // The list of digests changes along: the release's own word does not help it.
        let mut changed = synthetic::release_initramfs(&bench.rootfs);
        changed.extend([0; 4]);
        let second = bench.publish(&changed);
        assert_ne!(first, second);
        bench.refused(&[
            "wrong SHA-256",
            &format!("expected {first}"),
            &format!("actual   {second}"),
            "recorded at the first fetch",
            bench.server.base(),
        ]);
        assert_eq!(fs::read_to_string(&bench.manifest).expect("manifest"), manifest);
    });
}

#[test]
fn must_fail_asset_that_its_own_release_contradicts() {
    unprivileged("must_fail_asset_that_its_own_release_contradicts", || {
        let bench = Bench::new(Labels::Yes);
        let stated = bench.sha256(&synthetic::release_initramfs(&bench.rootfs));
        bench.put(ASSET, Answer::File(b"something else".to_vec()));
        let actual = bench.sha256(b"something else");
        bench.refused(&[
            &format!("expected {stated}"),
            &format!("actual   {actual}"),
            "sha256sum.txt` states",
        ]);
        assert!(!bench.recorded());
    });
}

#[test]
fn must_fail_what_is_not_there() {
    unprivileged("must_fail_what_is_not_there", || {
        let bench = Bench::new(Labels::Yes);
        bench.server.remove(&format!("/{VERSION}/{ASSET}"));
        let asset_url = format!("{}/{VERSION}/{ASSET}: answered 404 Not Found", bench.server.base());
        bench.refused(&[
            "cannot get `initramfs-arm64.xz` of Talos v1.10.9",
            &asset_url,
            "--userland bringup",
        ]);
        bench.put("sha256sum.txt", Answer::File(format!("{}  vmlinuz-arm64\n", "a".repeat(64)).into_bytes()));
        bench.refused(&["`sha256sum.txt` does not name `initramfs-arm64.xz`"]);
        bench.server.remove(&format!("/{VERSION}/sha256sum.txt"));
        bench.refused(&["sha256sum.txt: answered 404 Not Found", "cannot be trusted"]);
        assert!(!bench.recorded());
        let version = bench.compose_version("latest").expect_err("no version");
        assert!(version.contains("`latest` is not a version of the form `vX.Y.Z`"), "{version}");
    });
}

#[test]
fn must_fail_page_instead_of_a_file() {
    unprivileged("must_fail_page_instead_of_a_file", || {
        let bench = Bench::new(Labels::Yes);
        bench.put(ASSET, Answer::Html);
        bench.refused(&["an HTML page titled `Sign in` came instead of the file", ASSET]);
        bench.put("sha256sum.txt", Answer::Html);
        bench.refused(&["an HTML page titled `Sign in` came instead of the file", "sha256sum.txt"]);
        assert!(!bench.recorded());
    });
}

#[test]
fn must_fail_truncated_download_and_the_next_run_carries_on() {
    unprivileged("must_fail_truncated_download_and_the_next_run_carries_on", || {
        let bench = Bench::new(Labels::Yes);
        let asset = synthetic::release_initramfs(&bench.rootfs);
        bench.put(ASSET, Answer::CutAfter(asset.clone(), asset.len() - 1000));
        // What exactly is said is the fetcher's; that the bytes were counted is what matters here.
        bench.refused(&["cannot get `initramfs-arm64.xz` of Talos", ASSET, "attempts)"]);
        assert!(!bench.recorded());
        bench.publish(&asset);
        bench.compose().expect("goes on where it stopped");
        assert!(bench.recorded());
    });
}

#[test]
fn must_fail_offline_with_every_origin_named() {
    unprivileged("must_fail_offline_with_every_origin_named", || {
        let mut bench = Bench::new(Labels::Yes);
        bench.config.network = Network::Forbidden { because: "`FW_OFFLINE` is set".to_owned() };
        let url = format!("{}/{VERSION}/sha256sum.txt: not tried, `FW_OFFLINE` is set", bench.server.base());
        bench.refused(&[
            "cannot get `initramfs-arm64.xz` of Talos v1.10.9",
            &url,
            "`--userland bringup` builds",
        ]);
        assert_eq!(bench.server.asked(), Vec::<String>::new());
        // A mirror folder does without the network.
        let mirror = bench.dir.path().join("mirror").join(VERSION);
        fs::create_dir_all(&mirror).expect("folder");
        let asset = synthetic::release_initramfs(&bench.rootfs);
        fs::write(mirror.join("sha256sum.txt"), format!("{}  {ASSET}\n", bench.sha256(&asset)))
            .expect("file");
        fs::write(mirror.join(ASSET), &asset).expect("file");
        bench.config.mirrors = vec![bench.dir.path().join("mirror")];
        bench.compose().expect("composes from the mirror");
    });
}

#[test]
fn must_fail_containers_and_images_that_are_not_talos() {
    unprivileged("must_fail_containers_and_images_that_are_not_talos", || {
        // The stream has names in order: of this file's names the one in the module tree comes first.
        let bench = Bench::with_link(Labels::Yes, Some("./usr/zz-dep"));
        let image = fs::read(&bench.rootfs).expect("image");
        let init = synthetic::init();
        let refused = |asset: &[u8], texts: &[&str]| {
            // Each asset is another release's first fetch.
            let text = fs::read_to_string(&bench.manifest).expect("manifest");
            let head = text.split("\n[releases.").next().unwrap_or_default().to_owned() + "\n";
            fs::write(&bench.manifest, head).expect("manifest");
            bench.publish(asset);
            let message = bench.compose().expect_err("refused");
            for text in texts {
                assert!(message.contains(text), "no `{text}` in:\n{message}");
            }
            assert!(!bench.out().exists());
        };
        refused(&synthetic::release_initramfs(&bench.rootfs), &["hard link", "stock modules"]);
        let extended = [
            synthetic::release_initramfs(&bench.rootfs),
            synthetic::container(&[("0.sqsh", 0o644, b"hsqs"), ("extensions.yaml", 0o644, b"layers: []")]),
        ];
        refused(&extended.concat(), &["is not an initramfs of Talos", "`0.sqsh`", "system extensions"]);
        refused(
            &synthetic::container(&[("init", 0o755, &init), ("rootfs.sqsh", 0o644, b"ext4")]),
            &["`rootfs.sqsh` in it is no squashfs image"],
        );
        refused(b"\x1f\x8b\x08not zstd", &["is not an initramfs of Talos", "neither zstd, xz nor cpio"]);
        // `sqfs2tar` itself fails: the super block's table positions point behind the end.
        let cut = &image[..image.len() / 2];
        refused(
            &synthetic::container(&[("init", 0o755, &init), ("rootfs.sqsh", 0o644, cut)]),
            &["cannot replace the modules in", "`sqfs2tar` ended with status 1"],
        );
        let empty = bench.dir.path().join("empty.sqsh");
        let mut packer = fw_build::run::Cmd::new("tar2sqfs")
            .arg("--quiet")
            .arg(&empty)
            .spawn(std::process::Stdio::piped(), std::process::Stdio::null(), std::process::Stdio::piped())
            .expect("starts");
        let mut stdin = packer.child.stdin.take().expect("piped");
        std::io::Write::write_all(&mut stdin, &[0; 1024]).expect("an empty tar");
        drop(stdin);
        packer.finish().expect("packs");
        refused(&synthetic::release_initramfs(&empty), &["there is no `usr/lib/modules` in it"]);
    });
}

#[test]
fn must_fail_tool_that_loses_what_it_was_given() {
    // Level 18 is how the image under test is packed; the release itself is packed by the good tool.
    let script = "case \"$*\" in *level=18*) set -- --no-xattr \"$@\";; esac; exec \"$REAL\" \"$@\"";
    unprivileged_with("must_fail_tool_that_loses_what_it_was_given", &[("tar2sqfs", script)], || {
        let bench = Bench::new(Labels::Yes);
        bench.refused(&["is not what was put into it", "has another set of xattrs", "and 23 more"]);
    });
}

#[test]
fn must_fail_tool_that_stops_half_way() {
    let script = "case \"$*\" in *level=18*) head -c 5000 >/dev/null; echo no more room >&2; exit 3;; esac; exec \"$REAL\" \"$@\"";
    unprivileged_with("must_fail_tool_that_stops_half_way", &[("tar2sqfs", script)], || {
        let bench = Bench::new(Labels::Yes);
        bench.refused(&["`tar2sqfs` ended with status 3", "| no more room", "cannot replace the modules"]);
    });
}
