// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `overlay --push`, and `installer` with its base from a registry and its result into one: the verbs themselves, against
//! Debian's `docker-registry` on a loopback port. Needs the image in `out/`, as CI has it by then.

#[path = "../../crates/registry/tests/loopback/server.rs"]
#[expect(dead_code, reason = "the crate's own tests use the other half")]
mod server;

use std::path::Path;
use std::process::{Command, Output};

use fw_image::oci::{self, Compression, Config, Image, Layer, Layout, Platform, Tree};
use registry::DockerConfig;
use serde_json::{Value, json};

use server::{REPOSITORY, Server};

/// The workspace, by the name that a user's cargo has for it: by another one cargo would compile everything again.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

fn xtask(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(arguments)
        .env("FW_ROOT", root())
        // The verbs build what is missing, whatever this test was compiled with.
        .env_remove("FW_BUILD")
        // Nothing of this machine's user.
        .env("DOCKER_CONFIG", "/nonexistent")
        .output()
        .expect("runs")
}

fn succeeds(arguments: &[&str]) -> String {
    let out = xtask(arguments);
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("UTF-8")
}

fn out(path: &str) -> Vec<u8> {
    let path = root().join("out").join(path);
    fs_err::read(path).expect("`cargo xtask image --userland bringup` makes an image")
}

/// The layout in `out/`, as it lies in the registry: every document and blob by its digest.
fn arrived(server: &Server, tag: &str, layout: &str) -> oci::Index {
    let index = out(&format!("{layout}/index.json"));
    assert_eq!(server.get(&format!("manifests/{tag}")).0, index);
    let index: oci::Index = serde_json::from_slice(&index).expect("JSON");
    for descriptor in &index.manifests {
        let (manifest, named) = server.get(&format!("manifests/{}", descriptor.digest));
        assert_eq!((&oci::digest(&manifest), &named), (&descriptor.digest, &descriptor.digest));
        let manifest: oci::Manifest = serde_json::from_slice(&manifest).expect("JSON");
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            assert_eq!(oci::digest(&server.get(&format!("blobs/{}", blob.digest)).0), blob.digest);
        }
    }
    index
}

#[test]
fn the_overlay_is_sent_once() {
    let server = Server::start(None);
    let reference = format!("127.0.0.1:{}/{REPOSITORY}:v1", server.port);
    let push = ["overlay", "--source", "https://example.org/nanopi-m6", "--push", &reference];
    let said = succeeds(&push);
    let index = arrived(&server, "v1", "overlay-oci");
    let platforms: Vec<String> =
        index.manifests.iter().filter_map(|d| Some(d.platform.as_ref()?.to_string())).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    let digest = oci::digest(&out("overlay-oci/index.json"));
    assert!(said.contains(&format!("pushed    {reference}@{digest} (7 of 7 parts, ")), "{said}");
    let said = succeeds(&push);
    assert!(said.contains(&format!("pushed    {reference}@{digest} (0 of 7 parts, 0 B)")), "{said}");
}

#[test]
fn must_fail_01_nothing_is_built_for_a_reference_that_is_none() {
    let out = xtask(&["overlay", "--push", "Not A Reference"]);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{text}");
    assert!(text.contains("is not an image reference") && !text.contains("u-boot"), "{text}");
}

/// An installer base as Sidero's: one layer, its version in the environment.
fn base(version: &str) -> Layout {
    let mut tree = Tree::new();
    tree.file("bin/installer", 0o755, b"made up".to_vec()).expect("path");
    let layer = Layer::new(tree.tar(0).expect("tar"), Compression::Gzip);
    let run = json!({"Entrypoint": ["/bin/installer"], "Env": ["PATH=/bin", format!("VERSION={version}")]});
    let config = Config { run, created: "2025-01-01T00:00:00Z".to_owned() };
    let image = Image::new(Platform::linux("arm64"), &config, vec![layer], &Default::default());
    Layout::new(&[image.expect("an image")], &Default::default()).expect("a layout")
}

#[test]
fn an_installer_of_a_base_in_a_registry() {
    let map: Value = serde_json::from_slice(&out("metal-arm64-nanopi-m6.map.json")).expect("JSON");
    let version = map["talos_version"].as_str().expect("a version");
    let server = Server::start(None);
    server.open("base", &DockerConfig::none()).push(&base(version), &()).expect("pushed");
    let place = |tag: &str| format!("docker://127.0.0.1:{}/{REPOSITORY}:{tag}", server.port);
    let image = root().join("out/metal-arm64-nanopi-m6.raw.xz").display().to_string();
    let (from, to) = (place("base"), place("installer"));
    let common = ["installer", "--image", &image, "--talos", version, "--rehearsal", "--base"];
    let said = succeeds(&[&common[..], &[&from, "--push", &to]].concat());
    assert!(said.contains("pushed    "), "{said}");

    let index = arrived(&server, "installer", "installer-oci");
    let manifest = server.get(&format!("manifests/{}", index.manifests[0].digest)).0;
    let manifest: oci::Manifest = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest.layers.len(), 3, "base, kernel, overlay");
    let config: Value =
        serde_json::from_slice(&server.get(&format!("blobs/{}", manifest.config.digest)).0).expect("JSON");
    assert_eq!(config["config"]["Entrypoint"], json!(["/bin/installer"]));
    assert_eq!(config["architecture"], "arm64");

    // A tag that is not there, before anything is built.
    let refused = xtask(&[&common[..], &[&place("nothing")]].concat());
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("cannot fetch the manifest") && text.contains("crane pull"), "{text}");
}
