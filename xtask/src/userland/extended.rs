// SPDX-License-Identifier: Apache-2.0 OR MIT
//! System extensions, modules as a layer, and an embedded machine configuration, in a segment behind the userland's own
//! initramfs. A result of the store like the userland itself.
//!
//! How it is done is `talos_initramfs`'s business; which userland it is behind does not matter here.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use fs_err as fs;
use fw_build::key::KeyInputs;
use fw_build::run::Cmd;
use fw_build::status::{Phase, Status};
use fw_build::store::{Built, Entry, Origin};
use fw_build::toolchain::first_line;
use fw_build::{Failure, Result};
use fw_image::talos::{Line, Support};
use talos_initramfs::{Additions, Extension, append, embedded_configuration};

use super::{module_tree, packers};
use crate::context::Context;
use crate::image::Selection;
use crate::sign::SignedKernel;

/// Raise it when the appending code changes what it makes.
const RECIPE_VERSION: u32 = 1;

/// Role of the list of layers.
pub const LIST: &str = "extensions";

/// How this kernel's modules get into Talos's initramfs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Modules {
    /// In the root file system, in the place of the stock ones: system extensions can be added later.
    #[default]
    Repack,
    /// As a layer over the release's own root file system, which stays as it is: faster, but Talos's imager drops the layer when it adds extensions later.
    Layer,
}

impl Modules {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Modules::Repack => "repack",
            Modules::Layer => "layer",
        }
    }
}

/// What is added to the initramfs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// How modules get in.
    pub modules: Modules,
    /// Extensions, files.
    pub extensions: Vec<PathBuf>,
    /// Machine configuration, a file.
    pub configuration: Option<PathBuf>,
}

impl Wanted {
    /// Whether nothing is appended.
    pub fn is_empty(&self) -> bool {
        *self == Wanted::default()
    }

    /// Refuses what the line of Talos cannot do.
    ///
    /// # Errors
    /// A machine configuration for a line that reads none from its image.
    pub fn check(&self, line: Line, talos: &str) -> Result<()> {
        match &self.configuration {
            Some(path) if line.embedded_configuration() == Support::No => Err(Failure::new(format!(
                "`{}` cannot be embedded",
                path.display()
            ))
            .why(format!("Talos {talos} reads no machine configuration from its image; v1.12 and later do"))
            .hint(
                "take `--talos v1.13.9`, or apply it in maintenance mode: `talosctl apply-config --insecure`",
            )),
            _ => Ok(()),
        }
    }

    fn load(&self) -> Result<Vec<Extension>> {
        let mut extensions: Vec<Extension> =
            self.extensions.iter().map(|path| Extension::load(path)).collect::<Result<_>>()?;
        // Last, as the imager has it.
        if let Some(path) = &self.configuration {
            let embedded = embedded_configuration(&fs::read(path)?);
            extensions.push(embedded.map_err(|e| e.during(format!("`{}` cannot be used", path.display())))?);
        }
        Ok(extensions)
    }
}

/// Appends what is wanted to the initramfs of `base`, or finds the result in the store.
///
/// # Errors
/// An extension cannot be used, or a tool failed.
pub fn extend(
    cx: &Context,
    selection: &Selection,
    kernel: &SignedKernel,
    base: &Entry,
    status: &Status,
) -> Result<(Entry, Origin)> {
    status.phase(Phase::Building, None);
    status.step("read the extensions");
    let extensions = selection.additions.load()?;
    let mut inputs = KeyInputs::default();
    inputs.add("recipe", format!("userland-extended {RECIPE_VERSION}"))?;
    inputs.add("base", base.record.key.as_str())?;
    inputs.add("talos", selection.talos.as_str())?;
    inputs.add("modules", selection.additions.modules.name())?;
    inputs.add("stage:signed-kernel", kernel.entry.record.key.as_str())?;
    for (i, extension) in extensions.iter().enumerate() {
        inputs.add(format!("extension:{i}"), format!("{} {}", extension.metadata.name, extension.sha256))?;
    }
    packers(&mut inputs)?;
    inputs.add("tool:depmod", first_line(&Cmd::new("depmod").arg("--version"))?)?;
    let outputs = [("initramfs", "initramfs.xz"), (LIST, "extensions.yaml")]
        .map(|(r, p)| (r.to_owned(), PathBuf::from(p)));
    cx.store.ensure(
        "userland-extended",
        &inputs,
        &outputs,
        || status.phase(Phase::Waiting, None),
        |work| {
            base.verify()?;
            let tree: &Path = &module_tree(kernel, &kernel.entry.path("modules")?);
            let additions = Additions {
                talos: &selection.talos,
                line: selection.line,
                release: &kernel.release,
                module_tree: tree,
                modules: match selection.additions.modules {
                    Modules::Repack => append::Modules::InRootfs,
                    Modules::Layer => append::Modules::AsLayer,
                },
                extensions,
            };
            let done = append(&fs::read(base.path("initramfs")?)?, additions, work, status)?;
            fs::write(work.join("out/initramfs.xz"), done.initramfs)?;
            fs::write(work.join("out/extensions.yaml"), done.config.render())?;
            Ok(Built { origins: base.record.origins.clone(), ..Built::default() })
        },
    )
}
