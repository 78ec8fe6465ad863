// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Keys, modules and kernels that the tests are about.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use fw_build::run::Cmd;
use fw_build::toolchain::Toolchain;
use fw_image::cert::{Signer, SigningKey, Validity, self_signed};
use tempfile::TempDir;

pub const RELEASE: &str = "6.18.15-0a1b2c3d";
const SLOT_BYTES: usize = 8192;
const DAY: u64 = 24 * 60 * 60;

/// A folder with files for one test.
pub struct Place(TempDir);

impl Place {
    pub fn new() -> Place {
        Place(tempfile::tempdir().expect("folder"))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(&path, bytes).expect("file");
        path
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("file")
    }

    /// Writes `NAME.key` and `NAME.pem` of a pair.
    pub fn pair(&self, name: &str, signer: &Signer) {
        let key = signer.key().expect("here").to_pkcs8_pem().expect("PEM");
        let path = self.write(&format!("{name}.key"), key.as_bytes());
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, private).expect("mode");
        self.write(&format!("{name}.pem"), signer.certificate().to_pem().expect("PEM").as_bytes());
    }

    /// Runs the program in this folder, with a store and keys of its own.
    pub fn xtask(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(arguments)
            .current_dir(self.0.path())
            .env("FW_STORE", self.path("store"))
            .env("FW_KEYS", self.path("keys"))
            .output()
            .expect("runs")
    }

    /// As [`Place::xtask`], and it must succeed.
    pub fn succeeds(&self, arguments: &[&str]) -> String {
        let out = self.xtask(arguments);
        assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).expect("UTF-8")
    }

    /// As [`Place::xtask`], and it must end with 1; gives both outputs.
    pub fn fails(&self, arguments: &[&str]) -> String {
        let out = self.xtask(arguments);
        let text = [out.stdout, out.stderr].concat();
        let text = String::from_utf8(text).expect("UTF-8");
        assert_eq!(out.status.code(), Some(1), "{arguments:?}: {text}");
        text
    }
}

/// A P-384 pair; `days` says from when to when it is valid, counted from today.
pub fn elliptic(number: u8, days: (i64, i64)) -> Signer {
    let key = SigningKey::p384_from_scalar(&[number; 48]).expect("a key");
    self_signed(key, &format!("test {number}"), validity(days)).expect("a pair")
}

/// An RSA pair.
pub fn rsa() -> Signer {
    let key = SigningKey::generate(2048).expect("a key");
    self_signed(key, "test rsa", validity((-1, 1))).expect("a pair")
}

fn validity((from, to): (i64, i64)) -> Validity {
    // Once per process: the same pair made twice must have the same certificate.
    static NOW: OnceLock<u64> = OnceLock::new();
    let now =
        *NOW.get_or_init(|| SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs());
    let at = |days: i64| now.checked_add_signed(days * DAY as i64).expect("a date");
    Validity { not_before_seconds: at(from), not_after_seconds: at(to) }
}

/// A module file, from the compiler that compiles modules.
pub fn module(place: &Place, release: &str) -> Vec<u8> {
    let source = format!(
        "static const char n[] __attribute__((section(\".modinfo\"), used)) = \"name=extra\";\n\
         static const char v[] __attribute__((section(\".modinfo\"), used)) = \"vermagic={release} SMP aarch64\";\n"
    );
    place.write("module.c", source.as_bytes());
    let chain = Toolchain::aarch64().expect("the cross compiler");
    Cmd::new(chain.tool("gcc"))
        .args(["-c", "module.c", "-o", "module.o"])
        .cwd(place.path(""))
        .output()
        .expect("compiles");
    place.read("module.o")
}

/// A raw kernel image with these certificates in its slot.
pub fn kernel(certificates: &[&Signer]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    writeln!(gzip, "CONFIG_SYSTEM_EXTRA_CERTIFICATE_SIZE={SLOT_BYTES}").expect("into memory");
    let mut image = vec![0; 64];
    image[56..60].copy_from_slice(b"ARM\x64");
    image[16..24].copy_from_slice(&(1_u64 << 20).to_le_bytes());
    image.extend(format!("Linux version {RELEASE} (fw@fw) (gcc) #1 SMP\n\0").as_bytes());
    image.extend([&b"IKCFG_ST"[..], &gzip.finish().expect("into memory"), b"IKCFG_ED"].concat());
    image.resize(image.len().next_multiple_of(8), 0);
    let ders: Vec<&[u8]> = certificates.iter().map(|s| s.certificate().der()).collect();
    let list = ders.concat();
    let mut slot = list.clone();
    slot.resize(SLOT_BYTES, 0);
    image.extend(slot);
    image.extend((list.len() as u32).to_le_bytes());
    image.extend([0; 4]);
    image.extend((list.len() as u64).to_le_bytes());
    image
}

/// The path as an argument.
pub fn word(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}
