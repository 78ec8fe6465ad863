// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A key in a token (smart card, HSM), reached through its vendor's PKCS#11 library.
//!
//! The key is named by a URI of RFC 7512. The token signs; the key never leaves it, and what it gives is verified
//! before it is used ([`fw_image::cert::Signer::with_token`]).

use std::path::PathBuf;
use std::sync::Mutex;

use cryptoki::context::{CInitializeArgs, Pkcs11};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use fw_build::{Failure, Result};
use fw_image::cert::{self, Algorithm};
use zeroize::Zeroizing;

/// The library when the URI names none: p11-kit hands over to every library that the system knows.
const DEFAULT_MODULE: &str = "p11-kit-proxy.so";

/// `DigestInfo` of SHA-512 up to the digest itself (RFC 8017, 9.2, note 1): the RSA mechanism pads, and nothing
/// more.
const SHA512_INFO: [u8; 19] = [
    0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00,
    0x04, 0x40,
];

/// Bytes of a digest that P-384 uses.
const P384_DIGEST_BYTES: usize = 48;

/// An open session, logged in, and a key in it.
pub(super) struct Token {
    // One session serves one call at a time.
    session: Mutex<Session>,
    key: ObjectHandle,
    algorithm: Algorithm,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token({}, private)", self.algorithm)
    }
}

impl cert::Token for Token {
    fn sign_sha512(&self, digest: &[u8]) -> std::result::Result<Vec<u8>, String> {
        let session = self.session.lock().map_err(|_| "another thread failed with it".to_owned())?;
        let (mechanism, data) = match self.algorithm {
            Algorithm::Rsa(_) => (Mechanism::RsaPkcs, [&SHA512_INFO, digest].concat()),
            Algorithm::EcdsaP384 => {
                (Mechanism::Ecdsa, digest.get(..P384_DIGEST_BYTES).unwrap_or(digest).to_vec())
            }
        };
        let signature = session.sign(&mechanism, self.key, &data).map_err(|e| e.to_string())?;
        match self.algorithm {
            Algorithm::Rsa(_) => Ok(signature),
            Algorithm::EcdsaP384 => cert::ecdsa_der(&signature).map_err(|e| e.to_string()),
        }
    }
}

/// Finds the key of a URI (without its `pkcs11:`); `pin` is asked for only when the token is there.
pub(super) fn open(
    uri: &str,
    algorithm: Algorithm,
    pin: impl FnOnce() -> Result<Zeroizing<Vec<u8>>>,
) -> Result<Token> {
    let uri = Uri::parse(uri)?;
    let module = uri.module.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_MODULE));
    let wrong = |what: &str, e: &dyn std::fmt::Display| {
        Failure::new(format!("cannot use the token through `{}`", module.display())).why(what).why(e)
    };
    let library = Pkcs11::new(&module).map_err(|e| {
        wrong("the library cannot be loaded", &e)
            .hint("name the token's own with `?module-path=/path/to/library.so` at the end of the URI")
    })?;
    library.initialize(CInitializeArgs::OsThreads).map_err(|e| wrong("the library does not start", &e))?;
    let mut seen = Vec::new();
    for slot in library.get_slots_with_token().map_err(|e| wrong("its slots cannot be listed", &e))? {
        let info = library.get_token_info(slot).map_err(|e| wrong("a token cannot be asked", &e))?;
        if uri.token.as_ref().is_some_and(|t| t != info.label())
            || uri.serial.as_ref().is_some_and(|s| s != info.serial_number())
        {
            seen.push(format!("`{}`", info.label()));
            continue;
        }
        let session = library.open_ro_session(slot).map_err(|e| wrong("no session", &e))?;
        let secret = pin()?;
        let secret = String::from_utf8(secret.to_vec()).map_err(|_| wrong("the PIN", &"it is no UTF-8"))?;
        session
            .login(UserType::User, Some(&AuthPin::new(secret)))
            .map_err(|e| wrong("it refuses the PIN", &e))?;
        let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY)];
        template.extend(uri.object.as_ref().map(|label| Attribute::Label(label.clone().into_bytes())));
        template.extend(uri.id.clone().map(Attribute::Id));
        let keys = session.find_objects(&template).map_err(|e| wrong("its keys cannot be listed", &e))?;
        return match keys[..] {
            [key] => Ok(Token { session: Mutex::new(session), key, algorithm }),
            [] => Err(wrong("no private key of that name", &format!("in token `{}`", info.label()))),
            _ => Err(wrong(&format!("{} private keys of that name", keys.len()), &"name one by `id=%01`")),
        };
    }
    let seen =
        if seen.is_empty() { "there is none".to_owned() } else { format!("there are {}", seen.join(", ")) };
    Err(wrong("no token of that name", &seen))
}

/// What of a URI is used here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Uri {
    token: Option<String>,
    serial: Option<String>,
    object: Option<String>,
    id: Option<Vec<u8>>,
    module: Option<PathBuf>,
}

impl Uri {
    /// Reads `token=a;object=b?module-path=c` (RFC 7512, 2.3).
    fn parse(text: &str) -> Result<Uri> {
        let bad = |why: String| {
            Failure::new(format!("`pkcs11:{text}` names no key"))
                .why(why)
                .hint("for example `pkcs11:token=signing;object=modules?module-path=/usr/lib/softhsm/libsofthsm2.so`")
        };
        let mut uri = Uri::default();
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        for part in path.split(';').chain(query.split('&')).filter(|p| !p.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| bad(format!("`{part}` has no value")))?;
            let bytes =
                unescape(value).ok_or_else(|| bad(format!("`{value}` is not escaped as in a URI")))?;
            let word = || String::from_utf8(bytes.clone()).map_err(|_| bad(format!("`{value}` is no UTF-8")));
            match name {
                "token" => uri.token = Some(word()?),
                "serial" => uri.serial = Some(word()?),
                "object" => uri.object = Some(word()?),
                "id" => uri.id = Some(bytes),
                "module-path" => uri.module = Some(word()?.into()),
                // It is looked for among private keys in any case.
                "type" if value == "private" => {}
                "pin-value" => {
                    return Err(bad("a PIN in the command line is seen by every process".to_owned()));
                }
                other => return Err(bad(format!("`{other}` is not supported"))),
            }
        }
        if uri.object.is_none() && uri.id.is_none() {
            return Err(bad("neither `object` nor `id` is given".to_owned()));
        }
        Ok(uri)
    }
}

/// Takes `%41` back to `A`.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_token_and_key() {
        let uri =
            Uri::parse("token=my%20card;id=%01%ff;type=private?module-path=/usr/lib/x.so").expect("valid");
        let expected = Uri {
            token: Some("my card".into()),
            id: Some(vec![1, 0xff]),
            module: Some("/usr/lib/x.so".into()),
            ..Uri::default()
        };
        assert_eq!(uri, expected);
        assert_eq!(Uri::parse("object=a").expect("valid").object.as_deref(), Some("a"));
    }

    #[test]
    fn must_fail_what_names_no_key() {
        for (text, why) in [
            ("token=a", "neither `object` nor `id`"),
            ("object=a;pin-value=1", "seen by every process"),
            ("object=%4", "not escaped"),
            ("object=a;slot-id=1", "`slot-id` is not supported"),
            ("object", "has no value"),
        ] {
            let failure = Uri::parse(text).expect_err(text).to_string();
            assert!(failure.contains(why), "{failure}");
        }
    }
}
