// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask bump linux-collabora` against a publisher on the loopback address, in a workspace of its own.
//!
//! The published "kernel" is a Kconfig file and a Makefile that gives back what it was asked for: the verb must not
//! care how a kernel is configured, only what comes out.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;

use fs_err as fs;
use fw_build::kconfig::{Btf, FRAGMENTS};
use fw_build::key::sha256_bytes;
use fw_build::run::Cmd;

/// Gives back the requested options; `defconfig` is not asked for.
const MAKEFILE: &str = "allnoconfig:\n\tcp $(KCONFIG_ALLCONFIG) $(O)/.config\n";
const KCONFIG: &str = "config MODULES\n\tbool \"modules\"\n";

/// A workspace, a store, and a publisher.
struct Bench {
    dir: tempfile::TempDir,
    manifest: PathBuf,
}

impl Bench {
    /// `files` are what the publisher has, by the last part of their address.
    fn new(files: &[(&str, Vec<u8>)]) -> Bench {
        let dir = tempfile::tempdir().expect("folder");
        let source = xtask::context::root().expect("workspace");
        for name in ["boards", "vendor-manifests", "kernel-config"] {
            fs::create_dir(dir.path().join(name)).expect("folder");
        }
        fs::copy(source.join("boards/nanopi-m6.toml"), dir.path().join("boards/nanopi-m6.toml"))
            .expect("copy");
        let config = dir.path().join("kernel-config");
        let write = |name: &str, text: &str| fs::write(config.join(name), text).expect("write");
        for name in FRAGMENTS.into_iter().chain([Btf::On.fragment(), Btf::Off.fragment()]) {
            write(name, "# nothing\n");
        }
        write("base.config", "# drivers\nCONFIG_MODULES=y\n");
        write(
            "required.toml",
            "[[group]]\nsource = 'test'\nreason = 'drivers'\nvalues = ['y']\noptions = ['MODULES']\n",
        );
        write("versions.toml", "option = []\n");
        write("kspp.toml", "source = 'none'\ngroup = []\nwaiver = []\nsysctl = []\n");
        let manifest = dir.path().join("vendor-manifests/linux.toml");
        let base = serve(files.iter().map(|(n, b)| ((*n).to_owned(), b.clone())).collect());
        let text = format!(
            "name = \"linux\"\nlicence = \"GPL-2.0-only\"\ndescription = \"test\"\ndefault = \"lts-6.18\"\n\n\
             [upstream]\nsource-url = \"{base}/v{{major}}.x/linux-{{version}}.tar.gz\"\n\
             digests-url = \"{base}/v{{major}}.x/sha256sums.asc\"\nformat = \"tar-gz\"\n\n\
             # A comment about this pin.\n[pins.\"lts-6.18\"]\nversion = \"6.18.15\"\n\
             [[pins.\"lts-6.18\".origins]]\nkind = \"https\"\nurl = \"{base}/gone.tar.gz\"\nformat = \"tar-gz\"\n\
             sha256 = \"{}\"\n",
            "00".repeat(32)
        );
        fs::write(&manifest, text).expect("write");
        Bench { dir, manifest }
    }

    fn bump(&self, version: &str, more: &[&str]) -> Result<String, String> {
        Cmd::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["bump", "linux-collabora", "--version", version])
            .args(more)
            .env("FW_ROOT", self.dir.path())
            .env("FW_STORE", self.dir.path().join("store"))
            .output()
            .map(|out| String::from_utf8_lossy(&out).into_owned())
            .map_err(|e| e.to_string())
    }

    /// What the user is told beside the result.
    fn told(&self, arguments: &[&str]) -> String {
        let out = std::process::Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["bump", "linux-collabora", "--version", "6.18.16"])
            .args(arguments)
            .env("FW_ROOT", self.dir.path())
            .env("FW_STORE", self.dir.path().join("store"))
            .output()
            .expect("runs");
        String::from_utf8_lossy(&out.stderr).into_owned()
    }

    fn manifest(&self) -> String {
        fs::read_to_string(&self.manifest).expect("read")
    }
}

/// Serves files by the last part of the path until the process ends; others are 404.
fn serve(files: BTreeMap<String, Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut lines = BufReader::new(&stream).lines();
            let request = lines.next().and_then(Result::ok).unwrap_or_default();
            while lines.next().and_then(Result::ok).is_some_and(|line| !line.is_empty()) {}
            let path = request.split(' ').nth(1).unwrap_or_default();
            let (status, body) = match files.get(path.rsplit('/').next().unwrap_or_default()) {
                Some(body) => ("200 OK", body.as_slice()),
                None => ("404 Not Found", b"gone".as_slice()),
            };
            // A client that went away is its own business.
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(body);
        }
    });
    base
}

/// The sources as an archive.
fn kernel(makefile: &str, kconfig: &str) -> Vec<u8> {
    let gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gz);
    for (name, text) in [("Makefile", makefile), ("Kconfig", kconfig)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("linux/{name}"), text.as_bytes()).expect("into memory");
    }
    tar.into_inner().and_then(flate2::write::GzEncoder::finish).expect("into memory")
}

/// The publisher's list, in the form of a signed message.
fn list(archive: &[u8]) -> Vec<u8> {
    let digest = sha256_bytes(archive);
    format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{}  linux-6.18.1.tar.gz\n{digest}  linux-6.18.16.tar.gz\n\
         -----BEGIN PGP SIGNATURE-----\n\nnone\n-----END PGP SIGNATURE-----\n",
        "11".repeat(32)
    )
    .into_bytes()
}

#[test]
fn a_published_version_becomes_the_pin_of_its_line() {
    let archive = kernel(MAKEFILE, KCONFIG);
    let bench = Bench::new(&[("linux-6.18.16.tar.gz", archive.clone()), ("sha256sums.asc", list(&archive))]);
    bench.bump("6.18.16", &[]).expect("bumped");
    let text = bench.manifest();
    assert!(
        text.contains("# A comment about this pin.\n[pins.\"lts-6.18\"]\nversion = \"6.18.16\"\n"),
        "{text}"
    );
    assert!(text.contains(&format!("sha256 = \"{}\"", sha256_bytes(&archive))), "{text}");
    assert!(text.contains(&format!("size-bytes = {}", archive.len())), "{text}");
    assert!(!text.contains("gone.tar.gz"), "{text}");
}

#[test]
fn who_vouches_for_the_list_is_told() {
    let archive = kernel(MAKEFILE, KCONFIG);
    let bench = Bench::new(&[("linux-6.18.16.tar.gz", archive.clone()), ("sha256sums.asc", list(&archive))]);
    let warning = "warning: the signature of the publisher's list of digests is not checked";
    let told = bench.told(&[]);
    assert!(told.contains(warning) && told.contains("hint: `--keyring FILE`"), "{told}");
    let told = bench.told(&["--keyring", "none"]);
    assert!(!told.contains(warning), "{told}");
}

#[test]
fn must_fail_what_the_publisher_does_not_vouch_for() {
    let archive = kernel(MAKEFILE, KCONFIG);
    let other = kernel("# another\n", KCONFIG);
    let bench = Bench::new(&[("linux-6.18.16.tar.gz", other), ("sha256sums.asc", list(&archive))]);
    let before = bench.manifest();
    let failure = bench.bump("6.18.16", &[]).expect_err("another file than the list says");
    assert!(failure.contains("cannot get `linux/6.18.16`"), "{failure}");
    let failure = bench.bump("6.18.17", &[]).expect_err("not in the list");
    assert!(failure.contains("the publisher's list has no `linux-6.18.17.tar.gz`"), "{failure}");
    let failure = bench.bump("6.19.1", &[]).expect_err("no pin of that line");
    assert!(failure.contains("hint: `--label NAME` makes a new pin"), "{failure}");
    let keyring = bench.dir.path().join("keyring");
    fs::write(&keyring, "").expect("write");
    let keyring = keyring.display().to_string();
    let failure = bench.bump("6.18.16", &["--keyring", &keyring]).expect_err("no signature");
    assert!(failure.contains("the signature of the list of digests does not hold"), "{failure}");
    assert_eq!(bench.manifest(), before);
}

#[test]
fn must_fail_a_kernel_that_drops_a_request() {
    let archive = kernel(
        "allnoconfig:\n\techo > $(O)/.config\n",
        &KCONFIG.replace("\tbool", "\tdepends on NEW\n\tbool"),
    );
    let bench = Bench::new(&[("linux-6.18.16.tar.gz", archive.clone()), ("sha256sums.asc", list(&archive))]);
    let before = bench.manifest();
    let failure = bench.bump("6.18.16", &[]).expect_err("dropped");
    assert!(failure.contains("`MODULES` depends on `NEW`, which is `n` (Kconfig:1)"), "{failure}");
    assert!(failure.contains("`NEW` does not exist in this kernel"), "{failure}");
    assert_eq!(bench.manifest(), before);
    bench.bump("6.18.16", &["--force"]).expect("by force");
    assert!(bench.manifest().contains("version = \"6.18.16\""));
}
