// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A real registry on this machine: Debian's `docker-registry`, on a loopback port, with and without a password.

mod server;

use std::collections::BTreeMap;

use fw_image::oci::{
    self, Compression, Config, Image, Layer, Layout, Platform, ReadImage, Source, Tree, annotations,
};
use registry::DockerConfig;

use server::{Server, Told, dead_port, open, proxy, told};

/// htpasswd line of `user` with the password `secret` (bcrypt, cost 4, by crypt(3)).
const HTPASSWD: &str = "user:$2y$04$CpJ0VzBL2sJHYuELBwBSkuCuH/CTr7xJEdh/9nCY/TPjM3ycrgWOu\n";

fn none() -> DockerConfig {
    DockerConfig::none()
}

fn image(architecture: &str, content: &[u8]) -> Image {
    let mut tree = Tree::new();
    tree.file(&format!("bin/{architecture}"), 0o755, content.to_vec()).expect("path");
    let layers = vec![Layer::new(tree.tar(0).expect("tar"), Compression::None)];
    let config = Config { run: serde_json::json!({}), created: "2025-01-01T00:00:00Z".to_owned() };
    let notes = BTreeMap::from([(annotations::TITLE.to_owned(), "test".to_owned())]);
    Image::new(Platform::linux(architecture), &config, layers, &notes).expect("an image")
}

/// Images for both processors, that for arm64 with a layer of 12 MB.
fn layout(content: &[u8]) -> Layout {
    let noise: Vec<u8> =
        (0..3_000_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let images = [image("amd64", content), image("arm64", &noise)];
    Layout::new(&images, &BTreeMap::new()).expect("a layout")
}

#[test]
fn the_index_and_both_platforms_arrive_with_their_digests() {
    let server = Server::start(None);
    let layout = layout(b"amd64");
    let told = told();
    let pushed = server.open("v1", &none()).push(&layout, &told).expect("pushed");
    // Two layers, two configurations, two manifests, the index.
    assert_eq!((pushed.sent, pushed.present, &pushed.digest), (7, 0, &layout.digest()));
    assert_eq!(told.steps("send sha256:").len(), 7, "{:?}", told.steps(""));

    // Read back over plain HTTP.
    let (index, named) = server.get("manifests/v1");
    assert_eq!(index, layout.read("index.json").expect("index"));
    assert_eq!((oci::digest(&index), named), (layout.digest(), layout.digest()));
    let index: oci::Index = serde_json::from_slice(&index).expect("JSON");
    let platforms: Vec<String> =
        index.manifests.iter().filter_map(|d| Some(d.platform.as_ref()?.to_string())).collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"]);
    for descriptor in &index.manifests {
        let (manifest, named) = server.get(&format!("manifests/{}", descriptor.digest));
        assert_eq!((&oci::digest(&manifest), &named), (&descriptor.digest, &descriptor.digest));
        let manifest: oci::Manifest = serde_json::from_slice(&manifest).expect("JSON");
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            let (content, named) = server.get(&format!("blobs/{}", blob.digest));
            assert_eq!((&oci::digest(&content), &named), (&blob.digest, &blob.digest));
            assert_eq!(content.len() as u64, blob.size);
        }
    }
}

#[test]
fn what_is_sent_comes_back() {
    let server = Server::start(None);
    let registry = server.open("v1", &none());
    registry.push(&layout(b"amd64"), &()).expect("pushed");
    for architecture in ["amd64", "arm64"] {
        let platform = Platform::linux(architecture);
        let pulled = registry.pull(&platform, &told()).expect("pulled");
        let images = oci::open(&pulled).expect("sound");
        let image = ReadImage::for_platform(&images, &platform).expect("there");
        assert_eq!(image.annotations[annotations::TITLE], "test");
        let entries = oci::rootfs(&image.layers[0].tar().expect("tar")).expect("a tree");
        assert_eq!(entries[1].path, format!("bin/{architecture}"));
    }
    let missing = registry.pull(&Platform::linux("riscv64"), &()).expect_err("not there").to_string();
    assert!(missing.contains("no image for linux/riscv64"), "{missing}");
    let nowhere = server.open("v2", &none()).pull(&Platform::linux("arm64"), &()).expect_err("no such tag");
    let nowhere = nowhere.to_string();
    assert!(
        nowhere.contains("cannot fetch the manifest") && nowhere.contains("is the tag there"),
        "{nowhere}"
    );
}

#[test]
fn a_second_push_sends_nothing_and_another_only_what_is_new() {
    let server = Server::start(None);
    let registry = server.open("v1", &none());
    registry.push(&layout(b"amd64"), &()).expect("pushed");
    let before = server.requests().len();
    let again = registry.push(&layout(b"amd64"), &()).expect("pushed");
    assert_eq!((again.sent, again.present, again.sent_bytes), (0, 7, 0));
    let requests = server.requests().split_off(before);
    let writes = |line: &&String| ["PUT ", "POST ", "PATCH "].iter().any(|verb| line.contains(verb));
    assert!(requests.len() >= 7, "{requests:#?}");
    assert_eq!(requests.iter().filter(writes).count(), 0, "{requests:#?}");
    // One other layer: that, its configuration and manifest, and the index.
    let files = server.blob_files();
    let other = registry.push(&layout(b"another"), &()).expect("pushed");
    assert_eq!((other.sent, other.present), (4, 3));
    assert_eq!(server.blob_files(), files + 4);
    // The same under another tag: its index has a place of its own.
    let tagged = server.open("v2", &none()).push(&layout(b"another"), &()).expect("pushed");
    assert_eq!((tagged.sent, tagged.present), (1, 6));
}

#[test]
fn credentials_of_the_docker_configuration() {
    let server = Server::start(Some(HTPASSWD));
    let layout = layout(b"amd64");
    let refused = |config: &DockerConfig| {
        server.open("v1", config).push(&layout, &()).expect_err("refused").to_string()
    };
    let anonymous = refused(&none());
    assert!(anonymous.contains("no credentials were found"), "{anonymous}");
    assert!(anonymous.contains(&format!("`docker login 127.0.0.1:{}`", server.port)), "{anonymous}");
    // base64 of `user:wrong`.
    let wrong = refused(&server.login("dXNlcjp3cm9uZw=="));
    assert!(wrong.contains("credentials of the docker configuration were not accepted"), "{wrong}");
    assert!(!wrong.contains("wrong") && !wrong.contains("tried"), "{wrong}");
    assert_eq!(server.blob_files(), 0);
    // base64 of `user:secret`.
    let config = server.login("dXNlcjpzZWNyZXQ=");
    server.open("v1", &config).push(&layout, &()).expect("the right password");
    server.open("v1", &config).pull(&Platform::linux("arm64"), &()).expect("the right password");
    let wrong = server.open("v1", &server.login("dXNlcjp3cm9uZw==")).pull(&Platform::linux("arm64"), &());
    assert!(wrong.expect_err("refused").to_string().contains("not accepted"));
}

#[test]
fn must_fail_01_a_damaged_layout_is_not_sent() {
    struct Damaged(Layout);
    impl Source for Damaged {
        fn read(&self, path: &str) -> std::io::Result<Vec<u8>> {
            let mut bytes = self.0.read(path)?;
            if path.starts_with("blobs/") && bytes.len() > 100_000 {
                bytes[50_000] ^= 1;
            }
            Ok(bytes)
        }
    }
    let server = Server::start(None);
    let failed = server.open("v1", &none()).push(&Damaged(layout(b"x")), &());
    assert!(failed.expect_err("damaged").to_string().contains("nothing was sent"));
    let digest = format!("127.0.0.1:{}/a/b@sha256:{}", server.port, "0".repeat(64));
    let by_digest = registry::Registry::open(&digest, registry::Scheme::Usual, &none()).expect("a reference");
    let refused = by_digest.push(&layout(b"x"), &()).expect_err("no tag").to_string();
    assert!(refused.contains("give a tag"), "{refused}");
    assert_eq!(server.blob_files(), 0);
}

#[test]
fn a_connection_that_breaks_is_tried_again() {
    let server = Server::start(None);
    // The first two connections end before they answer.
    let port = proxy(server.port, &[0, 0]);
    let told = told();
    open(port, "v1", &none()).push(&layout(b"x"), &told).expect("after some attempts");
    assert!(told.steps("").iter().any(|step| step.ends_with("attempt 2 of 4")), "{:?}", told.steps(""));
    let failed = open(dead_port(), "v1", &none()).push(&layout(b"x"), &()).expect_err("nobody listens");
    let failed = failed.to_string();
    assert!(failed.contains("tried 4 times") && failed.contains("Connection refused"), "{failed}");
}

#[test]
fn a_registry_that_dies_midway_is_named_with_the_blob_and_the_next_push_carries_on() {
    let server = Server::start(None);
    let layout = layout(b"amd64");
    // Layer and configuration for amd64 arrive; the large layer finds nobody.
    let told = Told::calling(|number| {
        if number == 3 {
            server.kill();
        }
    });
    let failed = server.open("v1", &none()).push(&layout, &told).expect_err("it died").to_string();
    let last = told.steps("send sha256:").pop().expect("a step");
    let digest = last.split(' ').nth(1).expect("a digest").to_owned();
    assert!(failed.contains(&format!("cannot send the blob {digest}")), "{failed}");
    assert!(failed.contains("tried 4 times") && failed.contains("the same command carries on"), "{failed}");
    server.run();
    let rest = server.open("v1", &none()).push(&layout, &()).expect("pushed");
    assert_eq!((rest.sent, rest.present), (5, 2));
    assert_eq!(oci::digest(&server.get("manifests/v1").0), layout.digest());
}

#[test]
fn a_fetch_goes_on_where_it_broke() {
    let server = Server::start(None);
    server.open("v1", &none()).push(&layout(b"amd64"), &()).expect("pushed");
    // The connection ends in the middle of the large layer.
    let port = proxy(server.port, &[5_000_000]);
    let told = told();
    let pulled = open(port, "v1", &none()).pull(&Platform::linux("arm64"), &told).expect("pulled");
    oci::open(&pulled).expect("sound");
    assert!(
        told.steps("fetch the blob").iter().any(|s| s.ends_with("attempt 2 of 4")),
        "{:?}",
        told.steps("")
    );
    // Apache's form ends in status and bytes: what was asked for again is the rest.
    let partial: Vec<u64> = server
        .requests()
        .iter()
        .filter(|line| line.contains("\" 206 "))
        .filter_map(|line| line.split("\" 206 ").nth(1)?.split(' ').next()?.parse().ok())
        .collect();
    assert!(partial.iter().any(|bytes| (1_000_000..8_000_000).contains(bytes)), "{partial:?}");
}
