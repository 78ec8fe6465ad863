// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Kernels that are built for the table of figures only: this one with the other choice of BTF, and arm64's defconfig.
//!
//! Both stay in the store, so that the table can be written again without them being built again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use fs_err as fs;
use fw_build::kconfig::Btf;
use fw_build::key::{KeyInputs, files_below};
use fw_build::manifest::Pin;
use fw_build::run::Cmd;
use fw_build::status::{Phase, Status};
use fw_build::store::{Built, Entry, PinUsed};
use fw_build::toolchain::Toolchain;
use fw_build::{Context as _, Failure, Result, unpack};

use crate::context::Context;
use crate::screen::Screen;
use crate::stages;

/// The stage that makes our kernels.
const STAGE: &str = "linux-collabora";
/// Name of the comparison in the store; no stage of the boot chain.
const DEFCONFIG: &str = "linux-defconfig";
/// The results that the table reads, as the kernel stage names them.
const OUTPUTS: [&str; 5] = ["vmlinux", "image", "config", "release", "modules"];

/// A kernel to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Other {
    /// This kernel without type information (some 40 CPU-minutes).
    NoBtf,
    /// The same sources with arm64's default configuration (two CPU-hours or more).
    Defconfig,
}

/// This checkout's kernel with this choice of BTF, if the store has it; nothing is built.
pub fn ours(cx: &Context, btf: Btf) -> Result<Option<Entry>> {
    let root = Root::with(cx, btf)?;
    let dir = tempfile::tempdir()?;
    let mut env = root.env();
    env.insert("FW_BUILD".to_owned(), "explain".to_owned());
    stages::run_scripts(&cx.root, &[STAGE], dir.path(), &env)?;
    let inputs: KeyInputs =
        serde_json::from_slice(&fs::read(dir.path().join(format!("{STAGE}.inputs.json")))?)
            .map_err(|e| Failure::new("the stage wrote no inputs").why(e))?;
    Ok(cx.store.lookup(STAGE, &inputs.key()))
}

/// arm64's default configuration of this pin, if the store has it.
pub fn defconfig(cx: &Context, pin: &Pin) -> Result<Option<Entry>> {
    let inputs = defconfig_inputs(pin, &Toolchain::aarch64()?)?;
    Ok(cx.store.lookup(DEFCONFIG, &inputs.key()))
}

/// Builds what the table shall be filled with, in a fresh tree: a warm one would give no CPU time.
///
/// # Errors
/// A build failed.
pub fn build(cx: &Context, other: Other, pin: &Pin, screen: &Screen) -> Result<()> {
    match other {
        Other::NoBtf => {
            let root = Root::with(cx, Btf::Off)?;
            let mut env = root.env();
            env.insert("FW_WARM".to_owned(), "off".to_owned());
            stages::build(&cx.root, &[STAGE], screen.dir(), &env)?;
        }
        Other::Defconfig => {
            let chain = Toolchain::aarch64()?;
            let outputs: Vec<(String, PathBuf)> =
                OUTPUTS.iter().map(|role| ((*role).to_owned(), PathBuf::from(role))).collect();
            let status = screen.step(DEFCONFIG);
            let (_, origin) = cx
                .store
                .ensure(
                    DEFCONFIG,
                    &defconfig_inputs(pin, &chain)?,
                    &outputs,
                    || status.phase(Phase::Waiting, None),
                    |work| build_defconfig(cx, pin, &chain, work, &status),
                )
                .inspect_err(|_| status.phase(Phase::Failed, None))
                .context("cannot build arm64's default configuration")?;
            status.phase(origin.into(), None);
        }
    }
    Ok(())
}

fn defconfig_inputs(pin: &Pin, chain: &Toolchain) -> Result<KeyInputs> {
    let mut inputs = KeyInputs::default();
    inputs.add("recipe", "linux-defconfig 1")?;
    inputs.add("pin:linux", format!("{} {}", pin.id(), pin.identity()))?;
    for (tool, identity) in chain.fingerprint()? {
        inputs.add(format!("tool:{tool}"), identity)?;
    }
    Ok(inputs)
}

fn build_defconfig(
    cx: &Context,
    pin: &Pin,
    chain: &Toolchain,
    work: &Path,
    status: &Status,
) -> Result<Built> {
    status.phase(Phase::Fetching, None);
    let fetched = cx.fetcher()?.fetch(pin, status)?;
    let tree = work.join("source");
    fs::create_dir_all(&tree)?;
    unpack::unpack(&fetched.path, fetched.format, &tree, 1, None)?;
    // 6.18 prints some 20,000 lines; the number only moves the bar.
    status.phase(Phase::Building, Some(20_000));
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let make = || {
        Cmd::new("make")
            .cwd(&tree)
            .env("MAKEFLAGS", format!("-j{jobs}"))
            .arg("ARCH=arm64")
            .arg(format!("CROSS_COMPILE={}", chain.cross_compile()))
            .arg("LOCALVERSION=-defconfig")
    };
    let modules = work.join("modules");
    make().arg("defconfig").run(&mut &*status)?;
    make().args(["Image", "modules"]).run(&mut &*status)?;
    make()
        .arg(format!("INSTALL_MOD_PATH={}", modules.display()))
        .arg("INSTALL_MOD_STRIP=1")
        .arg("DEPMOD=true")
        .arg("modules_install")
        .run(&mut &*status)?;
    let out = work.join("out");
    fs::rename(modules, out.join("modules"))?;
    for (from, to) in [
        (".config", "config"),
        ("arch/arm64/boot/Image", "image"),
        ("include/config/kernel.release", "release"),
    ] {
        fs::copy(tree.join(from), out.join(to))?;
    }
    let objcopy = Cmd::new(chain.tool("objcopy")).arg("--strip-debug").arg(tree.join("vmlinux"));
    objcopy.arg(out.join("vmlinux")).run(&mut &*status)?;
    let used = PinUsed { version: pin.version.clone(), origin: fetched.origin_label, sha256: fetched.sha256 };
    Ok(Built { origins: BTreeMap::from([(pin.id(), used)]), ..Built::default() })
}

/// A folder that stands in for the workspace's data, with the other choice of BTF in the board's file.
struct Root(tempfile::TempDir);

impl Root {
    fn with(cx: &Context, btf: Btf) -> Result<Root> {
        let dir = tempfile::Builder::new().prefix("fw-figures-").tempdir()?;
        crate::interrupt::removes(dir.path());
        for folder in ["boards", "vendor-manifests", "kernel-config"] {
            let from = cx.root.join(folder);
            for rel in files_below(&from)? {
                let to = dir.path().join(folder).join(&rel);
                fs::create_dir_all(to.parent().unwrap_or(dir.path()))?;
                fs::copy(from.join(&rel), to)?;
            }
        }
        super::set_btf(dir.path(), btf)?;
        Ok(Root(dir))
    }

    fn env(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("FW_ROOT".to_owned(), self.0.path().display().to_string())])
    }
}
