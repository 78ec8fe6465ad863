// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The signing step: modules signed, the certificate put into the finished kernel, the EFI wrap made again.
//!
//! It works on the kernel stage's unsigned result; nothing is recompiled.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::key::{KeyInputs, files_below};
use fw_build::run::Cmd;
use fw_build::status::{Phase, Status};
use fw_build::store::{Built, Entry};
use fw_build::toolchain::Toolchain;
use fw_build::{Context as _, Failure, Result};
use fw_image::cert::Certificate;
use fw_image::kernel::slot::Slot;
use fw_image::kernel::symbols::Symbols;
use fw_image::kernel::zboot;
use fw_image::modsig;
use rayon::prelude::*;

use super::keys::{GeneratedKeys, KeyArgs, Keys};
use crate::context::Context;
use crate::screen::Screen;
use crate::signed::modules_of;
use crate::stages::Results;

/// Raise it when this step's code changes what it makes.
const RECIPE_VERSION: u32 = 1;

/// The stage whose result is signed.
pub(super) const STAGE: &str = "linux-collabora";

/// Roles of the signed result: the kernel in its EFI wrap and without, the module tree, the certificate (DER).
pub(super) const OUTPUTS: [&str; 4] = ["vmlinuz", "image", "modules", "certificate"];

/// A kernel with its certificate, and the modules that it will load.
#[derive(Debug)]
pub struct SignedKernel {
    /// The result in the store: `vmlinuz`, `image`, `modules`, `certificate`.
    pub entry: Entry,
    /// `uname -r` of the kernel.
    pub release: String,
    /// Signed modules.
    pub module_count: usize,
    /// SHA-256 of the DER form of the certificate that modules are signed for, in hex.
    pub certificate_sha256: String,
    /// All certificates in the kernel: that one first, then those of `--trust-cert`.
    pub trusted: Vec<Certificate>,
}

/// Signs, or finds the signed result of the same kernel and certificate in the store.
///
/// # Errors
/// The key cannot be used, or a module or the kernel is not what it should be.
pub fn signed_kernel(
    cx: &Context,
    stages: &Results,
    args: &KeyArgs,
    screen: &Screen,
) -> Result<SignedKernel> {
    let kernel = stages.get(STAGE)?;
    let keys = args.resolve(&GeneratedKeys { cx, kernel: &kernel.record.key })?;
    let certificate_sha256 = fw_image::hex(&keys.certificate().sha256());
    let mut inputs = KeyInputs::default();
    inputs.add("recipe", format!("signed-kernel {RECIPE_VERSION}"))?;
    inputs.add("stage:linux-collabora", kernel.record.key.as_str())?;
    inputs.add("certificate", certificate_sha256.as_str())?;
    for (index, certificate) in keys.also_trusted().iter().enumerate() {
        inputs.add(format!("trusted:{index}"), fw_image::hex(&certificate.sha256()))?;
    }
    // The same linker and objcopy as the kernel's; their versions are part of its key.
    inputs.add("zstd", zstd::zstd_safe::version_string())?;
    let outputs: Vec<(String, PathBuf)> =
        OUTPUTS.iter().map(|role| ((*role).to_owned(), PathBuf::from(role))).collect();
    let status = screen.step("sign");
    let (entry, origin) = cx
        .store
        .ensure(
            "signed-kernel",
            &inputs,
            &outputs,
            || status.phase(Phase::Waiting, None),
            |work| {
                kernel.verify()?;
                // Only here: looking for the compiler starts it, and a hit must start nothing.
                let chain = Toolchain::aarch64()?;
                let step = SignStep { kernel, chain: &chain, keys: &keys, work, status: &status };
                step.modules()?;
                step.kernel()?;
                fs::write(work.join("out/certificate"), keys.certificate().der())?;
                Ok(Built::default())
            },
        )
        .inspect_err(|_| status.phase(Phase::Failed, None))
        .context("cannot sign kernel and modules")?;
    status.phase(origin.into(), None);
    let release = fs::read_to_string(kernel.path("release")?)?.trim().to_owned();
    let module_count = modules_of(&entry.path("modules")?)?.len();
    let trusted = keys.all_certificates().cloned().collect();
    Ok(SignedKernel { entry, release, module_count, certificate_sha256, trusted })
}

struct SignStep<'a> {
    kernel: &'a Entry,
    chain: &'a Toolchain,
    keys: &'a Keys,
    work: &'a Path,
    status: &'a Status,
}

impl SignStep<'_> {
    /// Copies the module tree, every module with its signature.
    fn modules(&self) -> Result<()> {
        let from = self.kernel.path("modules")?;
        let to = self.work.join("out/modules");
        let files = files_below(&from)?;
        if modules_of(&from)?.is_empty() {
            return Err(Failure::new("the kernel stage has no modules"));
        }
        self.status.phase(Phase::Building, Some(files.len() as u64 + 1));
        files.par_iter().try_for_each(|rel| {
            let target = to.join(rel);
            fs::create_dir_all(target.parent().unwrap_or(&to))?;
            if rel.extension().is_some_and(|e| e == "ko") {
                let module = fs::read(from.join(rel))?;
                let signed = modsig::sign(&module, self.keys.signer())
                    .map_err(|e| Failure::new(format!("cannot sign `{}`", rel.display())).why(e))?;
                fs::write(&target, signed)?;
            } else {
                fs::copy(from.join(rel), &target)?;
            }
            self.status.step(&format!("sign {}", rel.file_name().unwrap_or_default().to_string_lossy()));
            Ok(())
        })
    }

    /// Puts the certificate into the raw image and makes the EFI wrap again.
    fn kernel(&self) -> Result<()> {
        self.status.step("compress the kernel");
        let wrong = |what: &str, e: &dyn std::fmt::Display| {
            Failure::new(format!("cannot use the kernel's {what}")).why(e)
        };
        let mut image = fs::read(self.kernel.path("image")?)?;
        let symbols = Symbols::from_vmlinux(&fs::read(self.kernel.path("vmlinux")?)?)
            .map_err(|e| wrong("symbols", &e))?;
        let slot = Slot::locate(&symbols).map_err(|e| wrong("certificate slot", &e))?;
        let certificates: Vec<&[u8]> = self.keys.all_certificates().map(Certificate::der).collect();
        slot.insert(&mut image, &certificates).map_err(|e| wrong("certificate slot", &e))?;
        fs::write(self.work.join("out/image"), &image)?;

        let plan = zboot::plan(&image, &symbols, zboot::KERNEL_LEVEL).map_err(|e| wrong("image", &e))?;
        let wrap = self.work.join("zboot");
        fs::create_dir_all(&wrap)?;
        fs::write(wrap.join(zboot::PAYLOAD_FILE), &plan.payload)?;
        for (role, kept) in ["zboot-header", "zboot-libstub", "zboot-lds"].iter().zip(&zboot::KEPT) {
            fs::copy(self.kernel.path(role)?, wrap.join(kept.file))?;
        }
        for step in &plan.steps {
            let tool = match step.tool {
                zboot::Tool::Objcopy => "objcopy",
                zboot::Tool::Ld => "ld",
            };
            Cmd::new(self.chain.tool(tool)).args(&step.arguments).cwd(&wrap).output()?;
        }
        let efi = fs::read(wrap.join(zboot::OUTPUT_FILE))?;
        // What was wrapped comes out again: the unpacked kernel, with BSS as zeros behind it.
        let unpacked = zboot::decompress(&efi).map_err(|e| wrong("EFI wrap", &e))?;
        if !unpacked.starts_with(&image) {
            return Err(Failure::new("the EFI wrap holds another kernel than the one that was put in"));
        }
        fs::write(self.work.join("out/vmlinuz"), efi)?;
        Ok(())
    }
}
