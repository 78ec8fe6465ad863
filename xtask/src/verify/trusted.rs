// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What a kernel would ask of a module, read out of the kernel itself: its release and its certificates.

use std::path::Path;

use fs_err as fs;
use fw_build::{Failure, Result};
use fw_image::cert::Certificate;
use fw_image::kernel::slot::Slot;
use fw_image::kernel::{ikconfig, image, zboot};
use fw_image::kmod::Info;
use fw_image::modsig;

use super::ImageFile;
use crate::signed::{now_seconds, refuse_outside_term};

/// The option that says how large the certificate slot is.
const SLOT_OPTION: &str = "CONFIG_SYSTEM_EXTRA_CERTIFICATE_SIZE=";

/// A kernel's demands.
#[derive(Debug, Clone)]
pub struct Trusted {
    /// `uname -r`.
    pub release: String,
    /// The certificates in it, in the order of the kernel's list.
    pub certificates: Vec<Certificate>,
}

impl Trusted {
    /// Those of the kernel in an image file, or of a kernel file (`vmlinuz`, raw `Image`).
    ///
    /// # Errors
    /// It is neither, or as [`Trusted::of_kernel`].
    pub fn of(path: &Path) -> Result<Trusted> {
        let kernel = match ImageFile::open(path)? {
            Some(mut image) => image.boot_file("A/vmlinuz")?,
            None => fs::read(path)?,
        };
        Trusted::of_kernel(&kernel).map_err(|e| e.during(format!("`{}`", path.display())))
    }

    /// Those of a kernel, in its EFI wrap or without.
    ///
    /// # Errors
    /// It is no kernel of ours, has no certificate, or one that is outside of its validity.
    pub fn of_kernel(kernel: &[u8]) -> Result<Trusted> {
        let wrong = |e: &dyn std::fmt::Display| Failure::new("its kernel cannot be read").why(e);
        let unwrapped;
        let raw = if image::Header::parse(kernel).is_ok() {
            kernel
        } else {
            unwrapped = zboot::decompress(kernel).map_err(|e| wrong(&e))?;
            &unwrapped
        };
        let release = image::release(raw).map_err(|e| wrong(&e))?;
        let slot = Trusted::slot(raw)?;
        let ders = slot.certificates(raw).map_err(|e| wrong(&e))?;
        let certificates: Vec<Certificate> = ders
            .iter()
            .map(|der| Certificate::from_der(der).map_err(|e| wrong(&e)))
            .collect::<Result<_>>()?;
        for certificate in &certificates {
            refuse_outside_term(certificate, &certificate.subject(), now_seconds())?;
        }
        Ok(Trusted { release, certificates })
    }

    /// The certificate slot of a raw kernel, found by its own configuration.
    ///
    /// # Errors
    /// It has none, or no certificate in it.
    pub fn slot(raw: &[u8]) -> Result<Slot> {
        let wrong = |e: &dyn std::fmt::Display| Failure::new("its kernel cannot be read").why(e);
        let config = ikconfig::extract(raw).map_err(|e| wrong(&e))?;
        let slot_bytes = config
            .lines()
            .find_map(|line| line.strip_prefix(SLOT_OPTION)?.parse::<usize>().ok())
            .ok_or_else(|| wrong(&"it was built without a certificate slot"))?;
        let slot = Slot::search(raw, slot_bytes).map_err(|e| wrong(&e))?;
        slot.ok_or_else(|| Failure::new("its kernel has no certificate").why("it would refuse every module"))
    }

    /// Whether the kernel would load the module; gives the certificate that it is signed for.
    ///
    /// # Errors
    /// Why it would not.
    pub fn check(&self, module: &[u8]) -> Result<&Certificate> {
        let certificate =
            modsig::verify(module, &self.certificates).map_err(|e| Failure::new(e.to_string()))?;
        let info = Info::read(module).map_err(|e| Failure::new(e.to_string()))?;
        if info.release() != self.release {
            return Err(Failure::new(format!("built for `{}`, not for `{}`", info.release(), self.release)));
        }
        Ok(certificate)
    }
}
