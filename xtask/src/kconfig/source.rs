// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The part of a kernel's sources that decides a configuration: unpacked once, kept in the store.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::kconfig::Request;
use fw_build::key::sha256_bytes;
use fw_build::manifest::Pin;
use fw_build::run::Cmd;
use fw_build::status::Phase;
use fw_build::store::remove_dir_if_there;
use fw_build::toolchain::Toolchain;
use fw_build::{Context as _, Result, unpack};

use crate::context::Context;
use crate::screen::Screen;

/// Present in a folder that is unpacked completely.
const READY: &str = ".ready";

/// Sources of one pin, enough for `make config` and its relatives.
pub struct KernelSource {
    tree: PathBuf,
    chain: Toolchain,
}

impl KernelSource {
    /// Fetches and unpacks, unless the store has it.
    ///
    /// # Errors
    /// No origin of the pin answers, or there is no compiler: Kconfig asks it what it can do.
    pub fn open(cx: &Context, pin: &Pin, screen: &Screen) -> Result<KernelSource> {
        let chain = Toolchain::aarch64()?;
        let id = sha256_bytes(pin.identity().as_bytes())[..16].to_owned();
        let tree = cx.store.root().join("kconfig").join(&id);
        let _lock = cx.store.lock(&format!("kconfig-{id}"), || ())?;
        if !tree.join(READY).exists() {
            let status = screen.step(&format!("kconfig {}", pin.label));
            status.phase(Phase::Fetching, None);
            let fetched = cx.fetcher()?.fetch(pin, &status)?;
            status.step("unpack");
            remove_dir_if_there(&tree)?;
            fs::create_dir_all(&tree)?;
            unpack::unpack(&fetched.path, fetched.format, &tree, 1, Some(&decides))?;
            fs::write(tree.join(READY), "")?;
            status.phase(Phase::Built, None);
        }
        Ok(KernelSource { tree, chain })
    }

    /// Folder of the sources.
    pub fn tree(&self) -> &Path {
        &self.tree
    }

    /// The `.config` that the kernel makes of a request, as the stage does it.
    ///
    /// # Errors
    /// `make` failed.
    pub fn requested(&self, request: &Request) -> Result<String> {
        self.make("allnoconfig", Some(&request.allconfig()))
    }

    /// The `.config` of arm64's own default configuration.
    ///
    /// # Errors
    /// `make` failed.
    pub fn defconfig(&self) -> Result<String> {
        self.make("defconfig", None)
    }

    fn make(&self, goal: &str, allconfig: Option<&str>) -> Result<String> {
        let out = tempfile::tempdir()?;
        let mut make = Cmd::new("make")
            .cwd(&self.tree)
            .arg(format!("O={}", out.path().display()))
            .arg("ARCH=arm64")
            .arg(format!("CROSS_COMPILE={}", self.chain.cross_compile()));
        if let Some(text) = allconfig {
            let file = out.path().join("requested.config");
            fs::write(&file, text)?;
            make = make.env("KCONFIG_ALLCONFIG", file);
        }
        make.arg(goal).output().context("the kernel cannot be configured")?;
        Ok(fs::read_to_string(out.path().join(".config"))?)
    }
}

/// Whether a file of the tree is needed for a configuration: Kconfig files, make files of the top and of arm64, and
/// the scripts that Kconfig is made of and calls.
fn decides(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    name.starts_with("Kconfig")
        || path.components().count() == 1
        || path.starts_with("scripts")
        || path == Path::new("arch/arm64/Makefile")
        || path == Path::new("arch/arm64/configs/defconfig")
}
