// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A module from elsewhere for a published kernel, key changes, and everything that must be refused.

use fw_image::modsig;

use crate::support::{Place, RELEASE, elliptic, kernel, module};

const SIGN: [&str; 7] =
    ["sign", "module", "extra.ko", "--signing-key", "new.key", "--signing-cert", "new.pem"];

fn sign(more: &[&'static str]) -> Vec<&'static str> {
    SIGN.iter().chain(more).copied().collect()
}

/// A folder with two pairs and an unsigned module.
fn place() -> Place {
    let place = Place::new();
    place.pair("new", &elliptic(1, (-1, 1)));
    place.pair("old", &elliptic(2, (-300, 1)));
    place.write("extra.ko", &module(&place, RELEASE));
    place
}

#[test]
fn a_module_from_elsewhere_is_signed_for_a_published_kernel_and_verifies() {
    let place = place();
    let (new, old) = (elliptic(1, (-1, 1)), elliptic(2, (-300, 1)));
    let unsigned = place.read("extra.ko");
    // Both certificates are in the kernel: the key is being changed.
    place.write("tree/vmlinuz", &kernel(&[&new, &old]));
    place.succeeds(&sign(&["--for", "tree/vmlinuz", "--out", "tree/modules"]));
    assert_eq!(place.read("extra.ko"), unsigned, "with `--out` the file itself stays");
    place.write("tree/modules/old.ko", &modsig::sign(&unsigned, &old).expect("signs"));
    let text = place.succeeds(&["verify", "modules", "tree"]);
    assert!(text.contains("modules   2 verify, 0 refused") && text.contains(RELEASE), "{text}");
    assert_eq!(text.matches("trusts    ").count(), 2, "{text}");

    // In its own place, once; again only when asked for.
    place.succeeds(&sign(&[]));
    assert_eq!(modsig::split(&place.read("extra.ko")).expect("signed").content, unsigned);
    assert!(place.fails(&sign(&[])).contains("already signed"));
    place.succeeds(&sign(&["--replace"]));
    assert_eq!(modsig::split(&place.read("extra.ko")).expect("signed").content, unsigned);
}

#[test]
fn must_fail_modules_that_the_kernel_would_refuse() {
    let place = place();
    let (new, stranger) = (elliptic(1, (-1, 1)), elliptic(3, (-1, 1)));
    let unsigned = place.read("extra.ko");
    let signed = |content: &[u8]| modsig::sign(content, &new).expect("signs");
    let mut flipped = signed(&unsigned);
    flipped[100] ^= 1;
    let cut = signed(&unsigned);
    place.write("tree/vmlinuz", &kernel(&[&new]));
    for (name, bytes) in [
        ("good", signed(&unsigned)),
        ("unsigned", unsigned.clone()),
        ("flipped", flipped),
        ("truncated", cut[..cut.len() - 1].to_vec()),
        ("stranger", modsig::sign(&unsigned, &stranger).expect("signs")),
        ("other", signed(&module(&place, "6.18.16-other"))),
    ] {
        place.write(&format!("tree/modules/{name}.ko"), &bytes);
    }
    let text = place.fails(&["verify", "modules", "tree"]);
    for line in [
        "refused   modules/unsigned.ko: the module is not signed",
        "refused   modules/flipped.ko: the module's signature does not match its content",
        "refused   modules/truncated.ko: the module is not signed",
        "refused   modules/stranger.ko: the module is signed with the key of serial",
        "refused   modules/other.ko: built for `6.18.16-other`, not for `6.18.15-0a1b2c3d`",
        "modules   1 verify, 5 refused",
        "the kernel would refuse 5 of 6 modules",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn must_fail_signing_for_a_kernel_that_would_refuse_it() {
    let place = place();
    let unsigned = place.read("extra.ko");
    place.write("old.image", &kernel(&[&elliptic(2, (-300, 1))]));
    let text = place.fails(&sign(&["--for", "old.image"]));
    assert!(text.contains("the target's kernel would refuse it"), "{text}");
    assert_eq!(place.read("extra.ko"), unsigned, "nothing is written");
    place.write("new.image", &kernel(&[&elliptic(1, (-1, 1))]));
    place.write("extra.ko", &module(&place, "6.12.0"));
    let text = place.fails(&sign(&["--for", "new.image"]));
    assert!(text.contains("built for `6.12.0`, not for `6.18.15-0a1b2c3d`"), "{text}");
    place.write("extra.ko", b"#!/bin/sh\n");
    assert!(place.fails(&sign(&[])).contains("it is no kernel module"));
}

#[test]
fn must_fail_certificates_outside_of_their_term() {
    let place = place();
    for (days, what) in [((-20, -1), "has expired"), ((1, 20), "is not valid yet")] {
        let bad = elliptic(1, days);
        place.pair("new", &bad);
        let text = place.fails(&sign(&[]));
        assert!(text.contains(what) && text.contains("never looks at these dates"), "{text}");
        // The kernel would load it; verifying says what the kernel does not.
        place.write("tree/vmlinuz", &kernel(&[&bad]));
        place.write("tree/good.ko", &modsig::sign(&place.read("extra.ko"), &bad).expect("signs"));
        assert!(place.fails(&["verify", "modules", "tree"]).contains(what));
    }
}

#[test]
fn must_fail_a_kernel_without_certificate_and_a_tree_without_kernel() {
    let place = place();
    place.write("tree/extra.ko", &place.read("extra.ko"));
    assert!(place.fails(&["verify", "modules", "tree"]).contains("hint: name the kernel"));
    place.write("tree/vmlinuz", &kernel(&[]));
    assert!(place.fails(&["verify", "modules", "tree"]).contains("its kernel has no certificate"));
    place.write("tree/vmlinuz", b"no kernel");
    assert!(place.fails(&["verify", "modules", "tree"]).contains("its kernel cannot be read"));
    assert!(place.fails(&["verify", "modules", "extra.ko"]).contains("neither an image nor a folder"));
    std::fs::create_dir(place.path("empty")).expect("folder");
    assert!(place.fails(&["verify", "modules", "empty"]).contains("there is no module"));
}

#[test]
fn a_key_that_others_can_read_is_warned_of() {
    let place = place();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(place.path("new.key"), open).expect("mode");
    let out = place.xtask(&sign(&[]));
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && text.contains("warning: the key `new.key` is open to others"), "{text}");
}
