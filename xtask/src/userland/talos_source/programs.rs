// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Compiles the programs: Talos's `init`, `machined` and `talosctl`, and containerd, each from its published module.
//!
//! A result of the store of its own: neither kernel nor packages have a part in it. Flags and tags are those of
//! Talos's own build (its `Makefile`: `GO_BUILDTAGS`, `GO_LDFLAGS`, `CGO_ENABLED`); files that its build generates, and
//! embeds, are in the published modules. Two things differ: `talosctl` is for this machine, and containerd is built without
//! C, where Talos's package has seccomp profiles in it.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::golang::{self, Go};
use fw_build::key::KeyInputs;
use fw_build::manifest::Pin;
use fw_build::run::LineSink;
use fw_build::status::{Phase, Status};
use fw_build::store::{Built, Entry, Origin, PinUsed};
use fw_build::{Context as _, Failure, Result, unpack};

use super::layout;
use crate::context::Context;

/// Raise it when this module changes what it makes.
const RECIPE_VERSION: u32 = 1;

/// The manifests of the modules: Talos's, the one nested in it, containerd's. Pins of all three are named after the
/// release of Talos.
const TALOS: &str = "talos-go";
const MACHINERY: &str = "talos-machinery-go";
const CONTAINERD: &str = "containerd-go";

/// Where Talos's tree has its nested module, which `go.mod` points at (`replace … => ./pkg/machinery`).
const MACHINERY_DIR: &str = "pkg/machinery";

/// Without tables for debuggers, as Talos's `Makefile` has it for a release.
const STRIPPED: &str = "-s -w";

/// What is built: from which module, which packages, with which tags, for the board or for this machine.
struct Build {
    module: &'static str,
    packages: &'static [&'static str],
    tags: &'static str,
    machine: Machine,
}

#[derive(Clone, Copy)]
enum Machine {
    Board,
    Host,
}

const BUILDS: [Build; 3] = [
    Build {
        module: TALOS,
        packages: &["./internal/app/init", "./internal/app/machined"],
        tags: "tcell_minimal,grpcnotrace",
        machine: Machine::Board,
    },
    Build { module: TALOS, packages: &["./cmd/talosctl"], tags: "grpcnotrace", machine: Machine::Host },
    Build {
        module: CONTAINERD,
        packages: &["./cmd/containerd", "./cmd/containerd-shim-runc-v2"],
        tags: "urfave_cli_no_docs,osusergo,netgo,static_build,no_btrfs",
        machine: Machine::Board,
    },
];

/// Roles of the programs.
const BUILT: [&str; 5] = ["init", "machined", "talosctl", "containerd", "containerd-shim-runc-v2"];

/// The compiled programs, and `files`: what Talos's module has for its root file system.
pub struct Programs {
    entry: Entry,
}

impl Programs {
    /// The program or folder with this role.
    ///
    /// # Errors
    /// No such role.
    pub fn path(&self, role: &str) -> Result<PathBuf> {
        self.entry.path(role)
    }

    /// The result's key.
    pub fn key(&self) -> &str {
        self.entry.record.key.as_str()
    }

    /// The modules that went in.
    pub fn origins(&self) -> &std::collections::BTreeMap<String, PinUsed> {
        &self.entry.record.origins
    }
}

/// The release that is compiled: the one that was asked for, else the manifest's default.
///
/// # Errors
/// There is no pin of that release.
pub fn release(cx: &Context, asked: Option<&str>) -> Result<String> {
    let pin = cx.manifests.pin(TALOS, asked).map_err(|failure| {
        failure
            .during("the userland `talos-source` is compiled from pinned source only")
            .hint("take one of these with `--talos`, or the userland `talos`")
    })?;
    Ok(pin.version.clone())
}

/// Compiles the programs of a release, or finds them in the store. Some ten minutes of processor time the first time.
///
/// # Errors
/// No Go, a module cannot be had, or the compiler failed.
pub fn programs(cx: &Context, release: &str, status: &Status) -> Result<(Programs, Origin)> {
    let pins = [TALOS, MACHINERY, CONTAINERD].map(|name| cx.manifests.pin(name, Some(release)));
    let mut inputs = KeyInputs::default();
    inputs.add("recipe", format!("talos-source-programs {RECIPE_VERSION}"))?;
    for pin in pins {
        let pin = pin?;
        let module = pin.go_module()?;
        inputs
            .add(format!("pin:{}", pin.manifest), format!("{} {} {}", pin.id(), pin.identity(), module.h1))?;
        if let Some(toolchain) = &module.toolchain {
            inputs.add(format!("toolchain:{}", pin.manifest), toolchain.as_str())?;
        }
    }
    for build in &BUILDS {
        inputs.add(format!("flags:{}", build.packages.join(",")), format!("{} {STRIPPED}", build.tags))?;
    }
    // `talosctl` runs here.
    inputs.add("host", golang::host_arch())?;
    let mut outputs: Vec<(String, PathBuf)> =
        BUILT.iter().map(|role| ((*role).to_owned(), PathBuf::from(role))).collect();
    outputs.push(("files".to_owned(), PathBuf::from("files")));
    let (entry, origin) = cx.store.ensure(
        "talos-source-programs",
        &inputs,
        &outputs,
        || status.phase(Phase::Waiting, None),
        |work| build(cx, release, work, status),
    )?;
    Ok((Programs { entry }, origin))
}

fn build(cx: &Context, release: &str, work: &Path, status: &Status) -> Result<Built> {
    let fetcher = cx.fetcher()?;
    let mut built = Built::default();
    let mut unpacked = |manifest: &str, dir: &Path| -> Result<Pin> {
        let pin = cx.manifests.pin(manifest, Some(release))?.clone();
        status.phase(Phase::Fetching, None);
        let fetched = fetcher.fetch(&pin, status)?;
        unpack::unpack(&fetched.path, fetched.format, dir, pin.go_module()?.strip_components(), None)?;
        let used =
            PinUsed { version: pin.version.clone(), origin: fetched.origin_label, sha256: fetched.sha256 };
        built.origins.insert(pin.id(), used);
        Ok(pin)
    };
    let (talos, containerd) = (work.join("talos"), work.join("containerd"));
    let talos_pin = unpacked(TALOS, &talos)?;
    unpacked(MACHINERY, &talos.join(MACHINERY_DIR))?;
    let containerd_pin = unpacked(CONTAINERD, &containerd)?;
    let out = work.join("out");
    for build in &BUILDS {
        let (pin, dir) =
            if build.module == TALOS { (&talos_pin, &talos) } else { (&containerd_pin, &containerd) };
        let toolchain = pin
            .go_module()?
            .toolchain
            .as_deref()
            .ok_or_else(|| Failure::new(format!("`{}` names no `toolchain` to build with", pin.id())))?;
        let go = Go::find(cx.store.root())?.bound(toolchain);
        let version_flag =
            format!("{STRIPPED} -X github.com/containerd/containerd/v2/version.Version={}", pin.version);
        let programs = golang::Programs {
            dir,
            packages: build.packages,
            tags: build.tags,
            // containerd says its version from a variable; Talos from a file that is embedded.
            ldflags: if build.module == CONTAINERD { &version_flag } else { STRIPPED },
            target: match build.machine {
                Machine::Board => "arm64",
                Machine::Host => golang::host_arch(),
            },
        };
        status.phase(Phase::Fetching, None);
        fetcher.go_dependencies(&go, &programs, status)?;
        status.phase(Phase::Building, None);
        // A folder of its own: `go build -o` puts every program below it, by the name of its package.
        let bin = work.join("bin");
        fs::create_dir_all(&bin)?;
        go.build(&programs, &bin).run(&mut Packages(status)).context(format!(
            "cannot compile {} of {}",
            build.packages.join(", "),
            pin.version
        ))?;
        for package in build.packages {
            let name = package.rsplit('/').next().unwrap_or(package);
            fs::rename(bin.join(name), out.join(name))?;
        }
    }
    for (from, _) in layout::FROM_TALOS {
        let to = out.join("files").join(from);
        fs::create_dir_all(to.parent().unwrap_or(&out))?;
        fs::copy(talos.join(from), to)?;
    }
    built.steps = status.steps_done();
    Ok(built)
}

/// Each line that `go build -v` prints is a package that it compiles.
struct Packages<'a>(&'a Status);

impl LineSink for Packages<'_> {
    fn line(&mut self, line: &str) {
        self.0.step(&format!("compile {line}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_has_its_package_and_its_place() {
        let names = |machine: fn(&Build) -> bool| -> Vec<&str> {
            let packages = BUILDS.iter().filter(|b| machine(b)).flat_map(|b| b.packages.iter());
            packages.map(|p| p.rsplit('/').next().expect("a name")).collect()
        };
        assert_eq!(names(|_| true), BUILT);
        for (role, _) in layout::COMPILED {
            assert!(
                names(|b| matches!(b.machine, Machine::Board)).contains(role),
                "{role} is not for the board"
            );
        }
    }
}
