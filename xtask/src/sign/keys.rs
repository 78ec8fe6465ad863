// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where the signing key comes from: the user's files or token, or one that is generated and kept outside of
//! the tree. What the kernel does not look at (validity) or would fail on silently (pairs) is refused here.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use fs_err as fs;
use fw_build::key::Key;
use fw_build::run::SOURCE_DATE_EPOCH;
use fw_build::{Failure, Result};
use fw_image::cert::{Certificate, Signer, SigningKey, Validity, generate};
use zeroize::Zeroizing;

use super::{folder, passphrase};
use crate::context::Context;
use crate::signed::{describe, now_seconds, refuse_outside_term};
use crate::userland::bringup::evidence;

/// A generated certificate is valid for a hundred years: the kernel never looks, and `openssl verify` should
/// not fail on an old image.
const VALID_SECONDS: u64 = 100 * 365 * 24 * 60 * 60;

/// What a key in a token is written as (RFC 7512).
const PKCS11: &str = "pkcs11:";

/// How modules are signed.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct KeyArgs {
    /// Private key: a PEM file (RSA of 2048, 3072 or 4096 bits, or ECDSA P-384; may be encrypted), or
    /// `pkcs11:token=NAME;object=NAME` for a key in a token. Without it a key is generated and reused while
    /// the kernel stays the same.
    #[arg(long, value_name = "KEY", requires = "signing_cert")]
    pub signing_key: Option<PathBuf>,
    /// Certificate that belongs to the key (PEM).
    #[arg(long, value_name = "PEM", requires = "signing_key")]
    pub signing_cert: Option<PathBuf>,
    /// File whose first line is the key's passphrase or the token's PIN; without it the terminal is asked.
    #[arg(long, value_name = "FILE", requires = "signing_key")]
    pub passphrase_file: Option<PathBuf>,
    /// Further certificate (PEM) whose modules the kernel loads, such as the old one while keys change; may be
    /// given several times.
    #[arg(long, value_name = "PEM")]
    pub trust_cert: Vec<PathBuf>,
    /// Make a new generated key, even if there is one for this kernel.
    #[arg(long, conflicts_with = "signing_key")]
    pub new_key: bool,
}

/// Where generated keys are kept, and for which kernel.
pub(super) struct GeneratedKeys<'a> {
    /// Store and checkout.
    pub(super) cx: &'a Context,
    /// Key of the kernel stage.
    pub(super) kernel: &'a Key,
}

/// A key that signs, and the certificates that go into the kernel.
#[derive(Debug)]
pub(super) struct Keys {
    signer: Signer,
    also_trusted: Vec<Certificate>,
}

impl KeyArgs {
    /// The key of these arguments; generates one where none is given or kept.
    ///
    /// # Errors
    /// A file cannot be read or is not what it should be, a certificate is outside of its validity, or two of
    /// them cannot stand beside each other.
    pub(super) fn resolve(&self, generated: &GeneratedKeys<'_>) -> Result<Keys> {
        let signer = match self.given()? {
            Some(signer) => signer,
            None => self.generated(generated)?,
        };
        let mut also_trusted: Vec<Certificate> = Vec::new();
        for path in &self.trust_cert {
            let certificate = read_certificate(path)?;
            refuse_outside_term(&certificate, &path.display().to_string(), now_seconds())?;
            let known = std::iter::once(signer.certificate()).chain(&also_trusted);
            if let Some(same) = known.into_iter().find(|c| c.has_identity_of(&certificate)) {
                return Err(Failure::new(format!(
                    "`{}` cannot be trusted beside the others",
                    path.display()
                ))
                .why(format!("issuer and serial number are those of {}", describe(same)))
                .why("the kernel tells certificates apart by these two only"));
            }
            also_trusted.push(certificate);
        }
        for certificate in std::iter::once(signer.certificate()).chain(&also_trusted) {
            if evidence::is_public(certificate)? {
                return Err(Failure::new(format!("`{}` must be in no kernel", certificate.subject()))
                    .why("its secret number stands in this program's source, for the self-test"));
            }
        }
        Ok(Keys { signer, also_trusted })
    }

    /// The user's own key, if one is given.
    ///
    /// # Errors
    /// As [`KeyArgs::resolve`].
    pub(super) fn given(&self) -> Result<Option<Signer>> {
        let (Some(key), Some(cert)) = (&self.signing_key, &self.signing_cert) else { return Ok(None) };
        let certificate = read_certificate(cert)?;
        refuse_outside_term(&certificate, &cert.display().to_string(), now_seconds())?;
        let passphrase = self.passphrase_file.as_deref();
        let signer = match key.to_str().and_then(|k| k.strip_prefix(PKCS11)) {
            Some(uri) => in_token(uri, passphrase, certificate)?,
            None => in_file(key, passphrase, certificate)?,
        };
        Ok(Some(signer))
    }

    fn generated(&self, place: &GeneratedKeys<'_>) -> Result<Signer> {
        let dir = folder::of(place.cx)?.join(place.kernel.folder());
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let (key, cert) = (dir.join("key.pem"), dir.join("cert.pem"));
        // Two processes would leave the certificate of one beside the key of the other.
        let lock = fs::OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("lock"))?;
        lock.file().lock()?;
        if self.new_key || !key.exists() || !cert.exists() {
            generate_into(&key, &cert)?;
        }
        in_file(&key, None, read_certificate(&cert)?)
    }
}

impl Keys {
    /// What signs.
    pub(super) fn signer(&self) -> &Signer {
        &self.signer
    }

    /// The certificate that modules are signed for.
    pub(super) fn certificate(&self) -> &Certificate {
        self.signer.certificate()
    }

    /// The further certificates.
    pub(super) fn also_trusted(&self) -> &[Certificate] {
        &self.also_trusted
    }

    /// All certificates for the kernel, that of the signer first.
    pub(super) fn all_certificates(&self) -> impl Iterator<Item = &Certificate> {
        std::iter::once(self.certificate()).chain(&self.also_trusted)
    }
}

/// The first certificate of a PEM file.
pub(super) fn read_certificate(path: &Path) -> Result<Certificate> {
    Certificate::from_pem(&fs::read_to_string(path)?)
        .map_err(|e| Failure::new(format!("cannot use the certificate `{}`", path.display())).why(e))
}

fn cannot_sign(key: &str, e: impl std::fmt::Display) -> Failure {
    Failure::new(format!("cannot sign with `{key}`")).why(e)
}

fn in_file(path: &Path, passphrase_file: Option<&Path>, certificate: Certificate) -> Result<Signer> {
    let shown = path.display().to_string();
    let mode = fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        eprintln!("warning: the key `{shown}` is open to others (mode {mode:04o})\nhint: chmod 600 {shown}");
    }
    let text = Zeroizing::new(fs::read_to_string(path)?);
    let secret = if SigningKey::is_encrypted(&text) {
        Some(passphrase::read(passphrase_file, &format!("the key `{shown}`"))?)
    } else {
        None
    };
    let key = SigningKey::from_pem(&text, secret.as_ref().map(|s| s.as_slice()))
        .map_err(|e| cannot_sign(&shown, e))?;
    Signer::new(key, certificate).map_err(|e| cannot_sign(&shown, e))
}

#[cfg(feature = "pkcs11")]
fn in_token(uri: &str, passphrase_file: Option<&Path>, certificate: Certificate) -> Result<Signer> {
    let shown = format!("{PKCS11}{uri}");
    let token = super::pkcs11::open(uri, certificate.algorithm(), || {
        passphrase::read(passphrase_file, &format!("the token of `{shown}`"))
    })?;
    Signer::with_token(Box::new(token), certificate).map_err(|e| cannot_sign(&shown, e))
}

#[cfg(not(feature = "pkcs11"))]
fn in_token(uri: &str, _: Option<&Path>, _: Certificate) -> Result<Signer> {
    Err(cannot_sign(&format!("{PKCS11}{uri}"), "this program was built without support for tokens")
        .hint("`cargo run -p xtask --features pkcs11 -- sign ...` builds it in"))
}

fn generate_into(key: &Path, cert: &Path) -> Result<()> {
    let wrong = |e: &dyn std::fmt::Display| Failure::new("cannot generate a signing key").why(e);
    // Fixed start: a clock that is wrong at build time must not show in a shipped certificate.
    let validity = Validity {
        not_before_seconds: SOURCE_DATE_EPOCH,
        not_after_seconds: SOURCE_DATE_EPOCH + VALID_SECONDS,
    };
    let signer = generate(validity).map_err(|e| wrong(&e))?;
    let pem = match signer.key() {
        Some(key) => key.to_pkcs8_pem().map_err(|e| wrong(&e))?,
        None => return Err(wrong(&"it is not at hand")),
    };
    // The old key goes first and the new one comes last: wherever this ends, a key that is there belongs to
    // the certificate beside it, and a certificate alone is replaced.
    if key.exists() {
        fs::remove_file(key)?;
    }
    private_file(cert, signer.certificate().to_pem().map_err(|e| wrong(&e))?.as_bytes())?;
    private_file(key, pem.as_bytes())
}

/// Writes a file that only its owner can read, complete or not at all.
fn private_file(path: &Path, content: &[u8]) -> Result<()> {
    let temp = path.with_extension("part");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temp)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&temp, path)?;
    Ok(())
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
