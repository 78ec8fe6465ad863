// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The kernel's own `scripts/sign-file`, compiled from the pinned source: what it makes and what we make are the
//! same.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use fw_build::board::Board;
use fw_build::fetch::{FetchConfig, Fetcher};
use fw_build::manifest::Manifests;
use fw_build::run::Cmd;
use fw_build::store::Store;
use fw_build::unpack::unpack;
use fw_image::cert::Signer;
use fw_image::modsig;

use crate::support::{Place, elliptic, rsa, word};

/// What it is made of.
const SOURCES: [&str; 2] = ["scripts/sign-file.c", "scripts/ssl-common.h"];

/// The compiled program: made once per source, kept in the target folder, as nothing drops what a static holds.
fn sign_file() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let board = Board::load(&root, "nanopi-m6").expect("the board file");
        let manifests = Manifests::load(&root.join("vendor-manifests")).expect("manifests");
        let label = board.selected("linux").expect("a kernel");
        let pin = manifests.pin("linux", Some(&label)).expect("a pin");
        let store = Store::from_env().expect("a store");
        let fetcher = Fetcher::new(FetchConfig::from_env(&root, store.root()).expect("settings"));
        let source = fetcher.fetch(pin, &()).unwrap_or_else(|e| panic!("{e}"));
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = kept.join(format!("sign-file-{}", source.sha256));
        if program.exists() {
            return program;
        }
        let dir = tempfile::tempdir_in(kept).expect("folder");
        let wanted = |path: &Path| SOURCES.iter().any(|s| Path::new(s) == path);
        unpack(&source.path, source.format, dir.path(), 1, Some(&wanted)).unwrap_or_else(|e| panic!("{e}"));
        Cmd::new("gcc")
            .args(["-o", "sign-file", "scripts/sign-file.c", "-lcrypto"])
            .cwd(dir.path())
            .output()
            .unwrap_or_else(|e| panic!("{e}\nhint: install the package `libssl-dev`"));
        // In one step: another run of the tests may want it, too.
        fs_err::rename(dir.path().join("sign-file"), &program).expect("in its place");
        program
    })
}

/// What the kernel's tool makes of a module.
fn oracle(place: &Place, signer: &Signer, module: &[u8]) -> Vec<u8> {
    place.pair("key", signer);
    let from = place.write("module", module);
    let to = place.path("signed");
    let pair = [place.path("key.key"), place.path("key.pem")];
    Cmd::new(sign_file())
        .args(["sha512", word(&pair[0]), word(&pair[1]), word(&from), word(&to)])
        .output()
        .unwrap_or_else(|e| panic!("{e}"));
    place.read("signed")
}

const MODULE: &[u8] = b"\x7fELF, what stands for a module\n\x00\xff";

#[test]
fn with_rsa_both_make_the_same_bytes() {
    let place = Place::new();
    let signer = rsa();
    let theirs = oracle(&place, &signer, MODULE);
    assert_eq!(modsig::sign(MODULE, &signer).expect("signs"), theirs);
}

#[test]
fn with_p384_all_but_the_random_number_is_the_same() {
    let place = Place::new();
    let signer = elliptic(1, (-1, 1));
    let (theirs, ours) = (oracle(&place, &signer, MODULE), modsig::sign(MODULE, &signer).expect("signs"));
    // Each verifies, which also compares every byte of the message but those of the signature.
    for file in [&theirs, &ours] {
        modsig::verify(file, &[signer.certificate().clone()]).expect("verifies");
    }
    let trailer = |file: &[u8]| file[file.len() - 12 - modsig::MARKER.len()..][..8].to_vec();
    assert_eq!(trailer(&theirs), trailer(&ours));
    // A signature of other content does not.
    let other = oracle(&place, &signer, b"another module");
    let grafted = modsig::append(MODULE, modsig::split(&other).expect("signed").cms).expect("short");
    assert!(modsig::verify(&grafted, &[signer.certificate().clone()]).is_err());
}
