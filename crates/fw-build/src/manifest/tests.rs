// SPDX-License-Identifier: Apache-2.0 OR MIT

use super::*;

const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const SHA1: &str = "0123456789abcdef0123456789abcdef01234567";

const SNAPSHOT: &str = "name = \"debian\"\nlicence = \"x\"\ndescription = \"d\"\n\
    snapshot-url = \"https://snapshot.example/file/{sha1}\"\n";

/// A manifest `m` with two origins; the tests change single lines of it.
fn good() -> String {
    format!(
        "name = \"m\"\nlicence = \"MIT\"\ndescription = \"d\"\ndefault = \"one\"\n\
         [pins.one]\nversion = \"1\"\n\
         [[pins.one.origins]]\nkind = \"debian\"\npool = \"pool/main/m/m/m_1.deb\"\nsnapshot-sha1 = \"{SHA1}\"\n\
         format = \"deb\"\nsha256 = \"{B}\"\nsize-bytes = 5\n\
         [[pins.one.origins]]\nkind = \"https\"\nurl = \"https://x.example/m-1.tar.gz\"\n\
         format = \"tar-gz\"\nsha256 = \"{A}\"\n"
    )
}

fn load(text: &str) -> Result<Manifests> {
    let dir = tempfile::tempdir().expect("dir");
    fs::write(dir.path().join("debian.toml"), SNAPSHOT).expect("write");
    fs::write(dir.path().join("m.toml"), text).expect("write");
    Manifests::load(dir.path())
}

fn refused(from: &str, to: &str) -> String {
    let good = good();
    assert!(good.contains(from), "`{from}` is not in the good manifest");
    let failure = load(&good.replacen(from, to, 1)).map(|_| ()).expect_err(to).to_string();
    assert!(failure.contains("m.toml"), "the file is named: {failure}");
    failure
}

#[test]
fn the_good_one_is_read_as_written() {
    let manifests = load(&good()).expect("good");
    let pin = manifests.pin("m", None).expect("default");
    assert_eq!((pin.id().as_str(), pin.version.as_str(), pin.licence.as_str()), ("m/one", "1", "MIT"));
    assert_eq!(pin.origins[0].label(), "debian:pool/main/m/m/m_1.deb");
    let Location::Debian { snapshot_url, .. } = &pin.origins[0].location else { panic!("kind") };
    assert_eq!(snapshot_url, &format!("https://snapshot.example/file/{SHA1}"));
    assert_eq!((pin.origins[0].size_bytes, pin.origins[1].size_bytes), (Some(5), None));
    assert_eq!((pin.origins[0].format, pin.origins[1].format), (Format::Deb, Format::TarGz));
    assert_eq!(pin.origins[1].file_name(), "m-1.tar.gz");
}

#[test]
fn identity_is_the_sorted_digests_and_nothing_else() {
    let pin = load(&good()).expect("good").pin("m", None).expect("pin").clone();
    assert_eq!(pin.identity(), format!("{A},{B}"));
    let mut other = pin.clone();
    other.origins.reverse();
    other.origins[0].location = Location::Https { url: "https://y.example/z".to_owned() };
    assert_eq!(other.identity(), pin.identity());
    other.origins.pop();
    assert_ne!(other.identity(), pin.identity());
}

#[test]
fn unknown_labels_list_the_known_ones() {
    let manifests = load(&good()).expect("good");
    let label = manifests.pin("m", Some("two")).expect_err("label").to_string();
    assert!(label.contains("no pin `two`") && label.contains("`one` (default `one`)"), "{label}");
    let name = manifests.pin("n", None).expect_err("name").to_string();
    assert!(name.contains("no manifest `n`") && name.contains("`m`"), "{name}");
}

#[test]
fn unknown_keys_are_refused_at_every_level() {
    for (from, to) in [
        ("default =", "colour = \"red\"\ndefault ="),
        ("version =", "colour = \"red\"\nversion ="),
        ("pool =", "colour = \"red\"\npool ="),
        ("url =", "colour = \"red\"\nurl ="),
        ("url =", "pool = \"pool/x/y\"\nurl ="),
    ] {
        let failure = refused(from, to);
        assert!(failure.contains("unknown field"), "{failure}");
    }
}

#[test]
fn values_of_the_wrong_shape_are_refused() {
    for (from, to, says) in [
        (A, &A[1..], "64 lower-case hex digits"),
        (A, &A.to_uppercase(), "64 lower-case hex digits"),
        (SHA1, &SHA1[1..], "40 lower-case hex digits"),
        ("size-bytes = 5", "size-bytes = 0", "an empty file is never a source"),
        ("size-bytes = 5\n", "", "size-bytes"),
        ("size-bytes = 5", "size-bytes = -5", "expected u64"),
        ("https://x.example/", "http://x.example/", "does not start with `https://HOST/`"),
        ("https://x.example/", "https://x.example/a b", "has a blank"),
        ("m-1.tar.gz", "", "file name"),
        ("pool/main", "pool/../main", "not a path of the form"),
        ("pool/main", "/pool/main", "not a path of the form"),
        ("format = \"tar-gz\"", "format = \"rar\"", "unknown variant `rar`"),
        ("kind = \"https\"", "kind = \"ftp\"", "unknown variant `ftp`"),
        ("default = \"one\"", "default = \"two\"", "there is no such pin"),
        ("default = \"one\"\n", "", "`default` is missing"),
        ("licence = \"MIT\"", "licence = \" \"", "`licence` is empty"),
        ("name = \"m\"", "name = \"n\"", "the file's name says `m`"),
        ("[pins.one]", "asset-url = \"https://x.example/{version}/{asset}\"\n[pins.one]", "exactly one of"),
        (&format!("sha256 = \"{A}\""), &format!("sha256 = \"{B}\""), "other size or format"),
    ] {
        let failure = refused(from, to);
        assert!(failure.contains(says), "`{to}`: {failure}");
    }
}

#[test]
fn a_pin_without_origins_or_listed_twice_is_refused() {
    let head = good().split("[[pins").next().expect("head").to_owned();
    let none = load(&head.replace("version = \"1\"", "version = \"1\"\norigins = []")).map(|_| ());
    assert!(none.expect_err("none").to_string().contains("no origin"));
    let https = good().rsplit_once("[[pins").expect("two origins").1.to_owned();
    let twice = load(&format!("{}[[pins{https}", good())).map(|_| ());
    assert!(twice.expect_err("twice").to_string().contains("listed twice"));
}

#[test]
fn debian_origins_need_the_snapshot_manifest() {
    let dir = tempfile::tempdir().expect("dir");
    fs::write(dir.path().join("m.toml"), good()).expect("write");
    let failure = Manifests::load(dir.path()).map(|_| ()).expect_err("no template").to_string();
    assert!(failure.contains("no manifest has the `snapshot-url`"), "{failure}");
}

const ASSETS: &str = "# kept\nname = \"m\"\nlicence = \"MIT\"\ndescription = \"d\"\ndefault = \"v1\"\n\
    asset-url = \"https://x.example/{version}/{asset}\"\n";

#[test]
fn release_digests_are_recorded_once() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("m.toml");
    fs::write(&path, ASSETS).expect("write");
    let mut releases = Manifests::load(dir.path()).expect("load").releases("m").expect("m").clone();
    assert_eq!(releases.url("v1", "a.xz").expect("url"), "https://x.example/v1/a.xz");
    assert_eq!(releases.recorded("v1", "a.xz"), None);
    releases.record("v1", "a.xz", A).expect("first");
    releases.record("v1", "b.xz", B).expect("same version");
    releases.record("v1", "a.xz", A).expect("the same again");
    let changed = releases.record("v1", "a.xz", B).expect_err("changed").to_string();
    assert!(changed.contains(A) && changed.contains(B), "{changed}");
    let again = Manifests::load(dir.path()).expect("load again");
    let again = again.releases("m").expect("m");
    assert_eq!((again.recorded("v1", "a.xz"), again.recorded("v1", "b.xz")), (Some(A), Some(B)));
    let text = fs::read_to_string(&path).expect("read");
    assert!(text.starts_with("# kept\n") && text.matches("[releases.\"v1\"]").count() == 1, "{text}");
}

#[test]
fn release_names_cannot_leave_their_place() {
    let dir = tempfile::tempdir().expect("dir");
    fs::write(dir.path().join("m.toml"), ASSETS).expect("write");
    let mut releases = Manifests::load(dir.path()).expect("load").releases("m").expect("m").clone();
    assert!(releases.url("v1/..", "a").is_err());
    assert!(releases.url("v1", "../a").is_err());
    assert!(releases.record("v1", "a", "no digest").is_err());
    let bad = ASSETS.replace("{asset}", "x");
    fs::write(dir.path().join("m.toml"), bad).expect("write");
    assert!(Manifests::load(dir.path()).is_err());
}

#[test]
fn every_manifest_of_this_workspace_is_usable() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vendor-manifests");
    let manifests = Manifests::load(&dir).expect("all of them");
    let default = |name| manifests.pin(name, None).expect(name).id();
    assert_eq!(default("linux"), "linux/lts-6.18");
    assert_eq!(default("u-boot"), "u-boot/2025.01");
    assert_eq!(default("tf-a"), "tf-a/lts-v2.12.1");
    assert_eq!(default("rkbin"), "rkbin/v1.18");
    assert_eq!(default("grub"), "grub/2.12");
    assert_eq!(default("busybox"), "busybox/1.35");
    for (name, label) in [
        ("linux", "lts-6.12"),
        ("linux", "collabora-6.9"),
        ("u-boot", "2026.01"),
        ("rkbin", "v1.19"),
        ("rkbin", "v1.20"),
    ] {
        manifests.pin(name, Some(label)).expect(label);
    }
    // Debian's copy of U-Boot is upstream's file.
    assert_eq!(manifests.pin("u-boot", None).expect("u-boot").identity().len(), 64);
    let talos = manifests.releases("talos").expect("talos");
    assert!(talos.url(talos.default_version(), "initramfs-arm64.xz").expect("url").starts_with("https://"));
    // A blob has one size; only digests that somebody else published may come without.
    for pin in manifests.pins().filter(|p| p.manifest == "rkbin") {
        assert!(pin.origins.iter().all(|o| o.size_bytes.is_some()), "{}", pin.id());
    }
}

#[test]
fn wheels_are_named_by_file_alone() {
    let wheel = |file: &str| {
        format!(
            "name = \"m\"\nlicence = \"MIT\"\ndescription = \"d\"\ndefault = \"one\"\n[pins.one]\nversion = \"1\"\n\
             [[pins.one.origins]]\nkind = \"pypi\"\nfile = \"{file}\"\nsha256 = \"{A}\"\nsize-bytes = 5\n"
        )
    };
    let manifests = load(&wheel("m_x-1-py3-none-any.whl")).expect("good");
    let pin = manifests.pin("m", None).expect("pin");
    assert_eq!(pin.origins[0].label(), "pypi:m_x-1-py3-none-any.whl");
    assert_eq!(pin.origins[0].file_name(), "m_x-1-py3-none-any.whl");
    assert_eq!(manifests.wheels().map(|p| p.id()).collect::<Vec<_>>(), ["m/one"]);
    assert_eq!(load(&good()).expect("good").wheels().count(), 0);
    for file in [
        "m-1.tar.gz",
        "m-1-cp311-cp311-manylinux_2_17_x86_64.whl",
        "-none-any.whl",
        "../m-1-py3-none-any.whl",
    ] {
        let failure = load(&wheel(file)).map(|_| ()).expect_err(file).to_string();
        assert!(failure.contains(file), "{failure}");
    }
}

#[test]
fn go_modules_are_named_by_path_version_and_hashes() {
    const H1: &str = "h1:AMKxFXAuw8E9o1pCQ7veJuIz18LrEibehUatnGgv3tw=";
    let module = |module: &str, version: &str, h1: &str| {
        format!(
            "name = \"m\"\nlicence = \"MIT\"\ndescription = \"d\"\ndefault = \"one\"\n[pins.one]\nversion = \"1\"\n\
             [[pins.one.origins]]\nkind = \"go\"\nmodule = \"{module}\"\nversion = \"{version}\"\nh1 = \"{h1}\"\n\
             mod-h1 = \"{H1}\"\ntoolchain = \"go1.24.4\"\nsha256 = \"{A}\"\nsize-bytes = 5\n"
        )
    };
    let manifests = load(&module("host.example/o/name/v2", "v2.0.1", H1)).expect("good");
    let pin = manifests.pin("m", None).expect("pin");
    let origin = &pin.origins[0];
    assert_eq!(origin.label(), "go:host.example/o/name/v2@v2.0.1");
    assert_eq!(origin.file_name(), "host.example-o-name-v2-v2.0.1.zip");
    assert_eq!(origin.format, Format::Zip);
    let Location::Go(go) = &origin.location else { panic!("kind") };
    assert_eq!((go.strip_components(), go.h1.as_str()), (4, H1));
    assert_eq!(manifests.pins_of("m").expect("m").map(|p| p.id()).collect::<Vec<_>>(), ["m/one"]);
    assert!(manifests.pins_of("n").map(|_| ()).is_err());
    assert_eq!(pin.go_module().expect("go").toolchain.as_deref(), Some("go1.24.4"));
    assert!(load(&good()).expect("good").pin("m", None).expect("pin").go_module().is_err());
    for toolchain in ["1.24.4", "go1.24", "gccgo1.2.3"] {
        let text = module("host.example/name", "v1.0.0", H1).replace("go1.24.4", toolchain);
        let failure = load(&text).map(|_| ()).expect_err(toolchain).to_string();
        assert!(failure.contains("not a Go toolchain"), "{failure}");
    }
    for (path, version, h1, says) in [
        ("name", "v1.0.0", H1, "not a module path"),
        ("host.example/../name", "v1.0.0", H1, "not a module path"),
        ("host.example//name", "v1.0.0", H1, "not a module path"),
        ("host.example/-x", "v1.0.0", H1, "not a module path"),
        ("host.example/name", "1.0.0", H1, "begin with `v`"),
        ("host.example/name", "v1/2", H1, "other characters"),
        ("host.example/name", "v1.0.0", &H1[3..], "not a hash as in `go.sum`"),
        ("host.example/name", "v1.0.0", &H1.replace('=', ""), "not a hash as in `go.sum`"),
    ] {
        let failure = load(&module(path, version, h1)).map(|_| ()).expect_err(path).to_string();
        assert!(failure.contains(says), "{failure}");
    }
}
