// SPDX-License-Identifier: Apache-2.0 OR MIT
//! A kernel file: its release, and what it asks of modules.

use std::io::Read;
use std::rc::Rc;

use fw_image::cert::Certificate;
use fw_image::kernel::slot::Slot;
use fw_image::kernel::{ikconfig, image, zboot};

use crate::finding::Kind;
use crate::look::{Inspector, sha256};
use crate::report::KernelReport;

/// Slots have some kilobytes; a configuration from anywhere could claim 2^64.
const MAX_SLOT_BYTES: usize = 1 << 20;
const SLOT_OPTION: &str = "CONFIG_SYSTEM_EXTRA_CERTIFICATE_SIZE=";

/// What is known about a kernel.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kernel {
    pub digest: [u8; 32],
    pub form: &'static str,
    pub release: Option<String>,
    pub banner: Option<String>,
    pub force: Option<bool>,
    pub certificates: Vec<Certificate>,
    /// Why it is not looked into, and what that means for the boot.
    pub fault: Option<(Kind, String)>,
}

impl Kernel {
    pub fn report(&self) -> KernelReport {
        KernelReport {
            path: String::new(),
            form: self.form,
            release: self.release.clone(),
            banner: self.banner.clone(),
            module_sig_force: self.force,
            certificates: self.certificates.iter().map(Certificate::subject).collect(),
        }
    }
}

impl Inspector {
    /// Looks at a kernel file, unless it has been seen.
    pub(crate) fn kernel(&mut self, bytes: &[u8]) -> Rc<Kernel> {
        let digest = sha256(bytes);
        self.kernels.entry(digest).or_insert_with(|| Rc::new(read(bytes, digest))).clone()
    }
}

fn read(bytes: &[u8], digest: [u8; 32]) -> Kernel {
    let mut kernel = Kernel { digest, form: "image", ..Kernel::default() };
    let unpacked;
    let raw = if image::Header::parse(bytes).is_ok() {
        bytes
    } else {
        kernel.form = "efi-zboot";
        match unpack(bytes) {
            Ok(raw) => {
                unpacked = raw;
                &unpacked
            }
            Err(fault) => {
                kernel.fault = Some(fault);
                return kernel;
            }
        }
    };
    if let Err(e) = image::Header::parse(raw) {
        kernel.fault = Some((Kind::KernelDamaged, e.to_string()));
        return kernel;
    }
    kernel.banner = image::banner(raw).ok();
    kernel.release = image::release(raw).ok();
    if let Ok(config) = ikconfig::extract(raw) {
        kernel.force = Some(config.lines().any(|l| l == "CONFIG_MODULE_SIG_FORCE=y"));
        let size = config.lines().find_map(|l| l.strip_prefix(SLOT_OPTION)?.parse::<usize>().ok());
        if let Some(size) = size.filter(|s| (1..=MAX_SLOT_BYTES).contains(s)) {
            let slot = Slot::search(raw, size).ok().flatten();
            let ders = slot.and_then(|slot| slot.certificates(raw).ok()).unwrap_or_default();
            kernel.certificates = ders.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
        }
    }
    kernel
}

/// The raw kernel inside of the EFI wrap; Talos's is zstd, others' may be gzip.
fn unpack(bytes: &[u8]) -> Result<Vec<u8>, (Kind, String)> {
    let header = zboot::Header::parse(bytes).map_err(|e| (Kind::KernelDamaged, e.to_string()))?;
    match header.compression.as_str() {
        "zstd" => zboot::decompress(bytes).map_err(|e| (Kind::KernelDamaged, e.to_string())),
        "gzip" => gunzip(&header, bytes).map_err(|e| (Kind::KernelDamaged, e)),
        // It may be whole: the kernel unpacks itself.
        other => Err((Kind::KernelPacked, format!("packed with `{other}`"))),
    }
}

fn gunzip(header: &zboot::Header, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let payload = header.payload(bytes);
    // The last word of a gzip member is the size of its content (RFC 1952, section 2.3.1).
    let announced = payload.last_chunk().map_or(0, |word| u32::from_le_bytes(*word)) as usize;
    if announced > zboot::IMAGE_LIMIT_BYTES {
        return Err(format!("zboot payload claims {announced} bytes"));
    }
    let mut raw = Vec::with_capacity(announced);
    // One more than there should be: only at its end does the decoder compare the checksum.
    let mut decoder = flate2::read::GzDecoder::new(payload).take(announced as u64 + 1);
    decoder.read_to_end(&mut raw).map_err(|e| format!("zboot payload does not unpack: {e}"))?;
    if raw.len() != announced {
        return Err(format!("zboot payload is not the {announced} bytes that it claims"));
    }
    Ok(raw)
}
