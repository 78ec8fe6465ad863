// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Where the signing key comes from: the user's files, or one that is generated and kept outside of the tree.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args as ClapArgs;
use fs_err as fs;
use fw_build::key::Key;
use fw_build::run::SOURCE_DATE_EPOCH;
use fw_build::{Failure, Result};
use fw_image::cert::{Certificate, Signer, Validity, generate};

/// A generated certificate is valid for a hundred years: the kernel never looks, and `openssl verify` should
/// not fail on an old image.
const VALID_SECONDS: u64 = 100 * 365 * 24 * 60 * 60;

/// How modules are signed.
#[derive(Debug, Clone, Default, ClapArgs)]
pub struct KeyArgs {
    /// Private key (PEM, RSA 2048 bits or more). Without it a key is generated and reused while the kernel
    /// stays the same.
    #[arg(long, value_name = "PEM", requires = "signing_cert")]
    pub signing_key: Option<PathBuf>,
    /// Certificate that belongs to the key (PEM).
    #[arg(long, value_name = "PEM", requires = "signing_key")]
    pub signing_cert: Option<PathBuf>,
    /// Make a new generated key, even if there is one for this kernel.
    #[arg(long, conflicts_with = "signing_key")]
    pub new_key: bool,
}

/// A certificate, and where its key is.
pub struct Keys {
    certificate: Certificate,
    key_path: PathBuf,
    cert_path: PathBuf,
}

impl KeyArgs {
    /// The key of these arguments for the kernel with `kernel_key`; generates one where none is given or kept.
    ///
    /// # Errors
    /// A file cannot be read, is not what it should be, or is open to others.
    pub fn resolve(&self, kernel_key: &Key) -> Result<Keys> {
        if let (Some(key), Some(cert)) = (&self.signing_key, &self.signing_cert) {
            let keys = Keys::of_files(key, cert)?;
            keys.refuse_expired()?;
            // A pair that does not belong together is refused even when nothing has to be signed now.
            keys.signer()?;
            return Ok(keys);
        }
        let dir = key_dir()?.join(kernel_key.folder());
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        let (key, cert) = (dir.join("key.pem"), dir.join("cert.pem"));
        // Two processes would leave the certificate of one beside the key of the other.
        let lock = fs::OpenOptions::new().create(true).truncate(false).write(true).open(dir.join("lock"))?;
        lock.file().lock()?;
        if self.new_key || !key.exists() || !cert.exists() {
            generate_into(&key, &cert)?;
        }
        Keys::of_files(&key, &cert)
    }
}

impl Keys {
    fn of_files(key: &Path, cert: &Path) -> Result<Keys> {
        let certificate = Certificate::from_pem(&fs::read_to_string(cert)?)
            .map_err(|e| Failure::new(format!("cannot use the certificate `{}`", cert.display())).why(e))?;
        Ok(Keys { certificate, key_path: key.to_owned(), cert_path: cert.to_owned() })
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Reads the private key and checks that it belongs to the certificate.
    ///
    /// # Errors
    /// It does not, or the file cannot be used.
    pub fn signer(&self) -> Result<Signer> {
        let mode = fs::metadata(&self.key_path)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Failure::new(format!("the key `{}` is open to others", self.key_path.display()))
                .why(format!("its mode is {mode:04o}"))
                .hint(format!("chmod 600 {}", self.key_path.display())));
        }
        let key = fs::read_to_string(&self.key_path)?;
        let wrong = |e: &dyn std::fmt::Display| {
            Failure::new(format!("cannot sign with `{}`", self.key_path.display())).why(e)
        };
        // The certificate as it was read, not as its file is now: its digest is in the key of what is signed.
        let cert = self.certificate.to_pem().map_err(|e| wrong(&e))?;
        Signer::from_pem(&key, &cert).map_err(|e| wrong(&e))
    }

    /// The kernel never looks at the validity of a module's certificate, so we do.
    fn refuse_expired(&self) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
        if now > self.certificate.not_after_seconds() {
            return Err(Failure::new(format!("the certificate `{}` has expired", self.cert_path.display()))
                .why(format!("valid until {}", self.certificate.not_after()))
                .hint("make a new certificate for the key, or leave both flags out to have one generated"));
        }
        Ok(())
    }
}

/// `FW_KEYS`, else `talos-nanopi-m6/keys` in the user's state folder. Never inside the store, which may be shared.
fn key_dir() -> Result<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    var("FW_KEYS")
        .or_else(|| var("XDG_STATE_HOME").map(|d| d.join("talos-nanopi-m6/keys")))
        .or_else(|| var("HOME").map(|d| d.join(".local/state/talos-nanopi-m6/keys")))
        .ok_or_else(|| {
            Failure::new("no folder for the generated key").why("neither `FW_KEYS` nor `HOME` is set")
        })
}

fn generate_into(key: &Path, cert: &Path) -> Result<()> {
    let wrong = |e: &dyn std::fmt::Display| Failure::new("cannot generate a signing key").why(e);
    // Fixed start: a clock that is wrong at build time must not show in a shipped certificate.
    let validity = Validity {
        not_before_seconds: SOURCE_DATE_EPOCH,
        not_after_seconds: SOURCE_DATE_EPOCH + VALID_SECONDS,
    };
    let signer = generate(validity).map_err(|e| wrong(&e))?;
    // The old key goes first and the new one comes last: wherever this ends, a key that is there belongs to
    // the certificate beside it, and a certificate alone is replaced.
    if key.exists() {
        fs::remove_file(key)?;
    }
    private_file(cert, signer.certificate().to_pem().map_err(|e| wrong(&e))?.as_bytes())?;
    private_file(key, signer.key().to_pkcs8_pem().map_err(|e| wrong(&e))?.as_bytes())
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
