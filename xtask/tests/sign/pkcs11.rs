// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys in a token: SoftHSM, which is a token in a file.

use std::process::Command;

use fw_image::cert::Signer;
use fw_image::modsig;

use crate::support::{Place, RELEASE, elliptic, module, rsa, word};

const PIN: &str = "1234";
/// Where distributions put the library.
const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
];

/// A token with the key of a pair.
struct Token {
    place: Place,
    uri: String,
}

impl Token {
    fn with(signer: &Signer) -> Token {
        let place = Place::new();
        place.pair("key", signer);
        std::fs::create_dir(place.path("tokens")).expect("folder");
        let config = format!("directories.tokendir = {}\nlog.level = ERROR\n", word(&place.path("tokens")));
        place.write("softhsm2.conf", config.as_bytes());
        place.write("pin", PIN.as_bytes());
        place.write("wrong-pin", b"4321");
        let library = MODULES.iter().find(|m| std::path::Path::new(m).exists());
        let library = library.expect("hint: install the package `softhsm2`");
        let token =
            Token { place, uri: format!("pkcs11:token=signing;object=modules?module-path={library}") };
        token.util(&["--init-token", "--free", "--label", "signing", "--pin", PIN, "--so-pin", "5678"]);
        let key = token.place.path("key.key");
        token.util(&[
            "--import",
            word(&key),
            "--token",
            "signing",
            "--label",
            "modules",
            "--id",
            "01",
            "--pin",
            PIN,
        ]);
        let unsigned = module(&token.place, RELEASE);
        token.place.write("extra.ko", &unsigned);
        token
    }

    fn util(&self, arguments: &[&str]) {
        let out = Command::new("softhsm2-util")
            .args(arguments)
            .env("SOFTHSM2_CONF", self.place.path("softhsm2.conf"))
            .output()
            .expect("hint: install the package `softhsm2`");
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    }

    fn sign(&self, uri: &str, pin: &str) -> (bool, String) {
        let out = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args([
                "sign",
                "module",
                "extra.ko",
                "--replace",
                "--signing-key",
                uri,
                "--signing-cert",
                "key.pem",
            ])
            .args(["--passphrase-file", pin])
            .current_dir(self.place.path(""))
            .env("SOFTHSM2_CONF", self.place.path("softhsm2.conf"))
            .output()
            .expect("runs");
        (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
    }
}

#[test]
fn a_token_signs_as_a_file_does() {
    for signer in [rsa(), elliptic(1, (-1, 1))] {
        let token = Token::with(&signer);
        let unsigned = token.place.read("extra.ko");
        let (done, text) = token.sign(&token.uri, "pin");
        assert!(done, "{text}");
        let signed = token.place.read("extra.ko");
        modsig::verify(&signed, &[signer.certificate().clone()]).expect("verifies");
        if signer.certificate().algorithm().to_string().starts_with("RSA") {
            assert_eq!(signed, modsig::sign(&unsigned, &signer).expect("signs"), "the same bytes");
        }
    }
}

#[test]
fn must_fail_wrong_names_pins_and_certificates() {
    let token = Token::with(&elliptic(1, (-1, 1)));
    for (uri, pin, why) in [
        (token.uri.replace("token=signing", "token=other"), "pin", "no token of that name"),
        (token.uri.replace("object=modules", "object=other"), "pin", "no private key of that name"),
        (token.uri.clone(), "wrong-pin", "it refuses the PIN"),
        ("pkcs11:object=modules?module-path=/no/such.so".to_owned(), "pin", "the library cannot be loaded"),
    ] {
        let (done, text) = token.sign(&uri, pin);
        assert!(!done && text.contains(why), "{text}");
    }
    token.place.pair("key", &elliptic(2, (-1, 1)));
    let (done, text) = token.sign(&token.uri, "pin");
    assert!(!done && text.contains("does not belong to the certificate"), "{text}");
}
