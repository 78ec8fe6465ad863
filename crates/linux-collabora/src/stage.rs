// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Kernel and unsigned modules.
//!
//! Compiled once without any key: the certificate goes into a reserved slot after the link, and modules are
//! signed outside of the stage. What the later steps need is kept: `vmlinux`'s symbols and the objects of the EFI
//! zboot wrapper.

use std::path::Path;

use fs_err as fs;
use fw_build::board::Switch;
use fw_build::kconfig::folder::{Folder, expect_requested};
use fw_build::kconfig::required::{Required, expect_required};
use fw_build::kconfig::{Btf, DotConfig, Request, pahole};
use fw_build::key::sha256_bytes;
use fw_build::launcher::Launcher;
use fw_build::run::Cmd;
use fw_build::stage::{BuildCx, Inputs, StageSpec};
use fw_build::toolchain::{Toolchain, first_line};
use fw_build::{Failure, Result};

/// What identifies the builder in `/proc/version`: nothing of the machine or the day.
const BUILD_ENV: [(&str, &str); 4] = [
    ("KBUILD_BUILD_USER", "talos-nanopi-m6"),
    ("KBUILD_BUILD_HOST", "reproducible"),
    ("KBUILD_BUILD_TIMESTAMP", "Wed Jan  1 00:00:00 UTC 2025"),
    ("KBUILD_BUILD_VERSION", "1"),
];

/// The recipe.
pub fn spec(inputs: &Inputs) -> Result<StageSpec> {
    let pin = inputs.pin("linux")?;
    let chain = Toolchain::aarch64()?;
    let btf = inputs.board.kernel.btf;
    let config_dir = inputs.root.join("kernel-config");
    // A request that lacks a required option is refused here, before anything is fetched.
    let folder = Folder::load(&config_dir)?;
    let request = folder.request(btf.into(), &pin.version)?;
    let required = folder.required(&pin.version);
    let patches = inputs.crate_dir.join("patches");
    let version = pin.version.clone();

    let launcher = Launcher::from_env()?;

    let mut spec = StageSpec::new("linux-collabora", 2)?;
    spec.pin(&pin)?.toolchain(&chain)?.tool("depmod", "--version")?;
    // Options and values only: a reworded reason in a fragment does not build a kernel.
    spec.watch(&config_dir).setting("config", sha256_bytes(request.allconfig().as_bytes()))?;
    // The first patch brings the folder with it.
    spec.watch(&inputs.crate_dir);
    if patches.is_dir() {
        spec.file("patches", &patches)?;
    }
    let mut pahole_flags = None;
    if btf == Switch::On {
        spec.tool("pahole", "--version")?;
        pahole_flags = Some(pahole::flags(&first_line(&Cmd::new("pahole").arg("--version"))?)?);
    }
    // Kbuild compares the values of options and the words of every command with those of the last build.
    spec.warm(&["setting:config"]);
    spec.output("vmlinux", "vmlinux")
        .output("image", "Image")
        .output("system-map", "System.map")
        .output("config", "config")
        .output("release", "release")
        .output("modules", "modules")
        .output("zboot-header", "zboot/zboot-header.o")
        .output("zboot-libstub", "zboot/lib.a")
        .output("zboot-lds", "zboot/zboot.lds")
        .steps_estimate(5100);
    Ok(spec.recipe(move |cx| {
        let work = |tree: &Path| {
            let kernel = Kernel { cx, tree, chain: &chain, launcher: launcher.as_ref(), pahole_flags };
            kernel.configure(&request, &required, btf.into())?;
            kernel.compile()?;
            let release = kernel.release(&version)?;
            kernel.keep(&release)?;
            kernel.install_modules(&release)?;
            kernel.drop_links()
        };
        cx.in_tree(&pin, |tree| cx.patch_all(tree, &patches), work)
    }))
}

struct Kernel<'a> {
    cx: &'a BuildCx<'a>,
    tree: &'a Path,
    chain: &'a Toolchain,
    launcher: Option<&'a Launcher>,
    pahole_flags: Option<&'static str>,
}

impl Kernel<'_> {
    fn make(&self) -> Cmd {
        let mut make = self
            .cx
            .make(self.tree)
            .arg("ARCH=arm64")
            .arg(format!("CROSS_COMPILE={}", self.chain.cross_compile()))
            // The suffix ties modules to this very build: another configuration has another release, so its
            // modules are not even looked at.
            .arg(format!("LOCALVERSION=-{}", self.cx.key.short()))
            // The tree's place must show nowhere: not in __FILE__, and not as the folder of compilation in the debug
            // information, which the build id of the kernel and of every module is a hash over.
            .arg(format!("KCFLAGS=-ffile-prefix-map={}=.", self.tree.display()))
            .arg(format!("KAFLAGS=-ffile-prefix-map={}=.", self.tree.display()));
        if let Some(flags) = self.pahole_flags {
            make = make.arg(format!("PAHOLE_FLAGS={flags}"));
        }
        if let Some(launcher) = self.launcher {
            make = launcher.apply(make, &self.chain.tool("gcc"));
        }
        for (name, value) in BUILD_ENV {
            make = make.env(name, value);
        }
        make
    }

    /// Sets the requested values over `allnoconfig` and refuses every one that did not come out as asked for.
    fn configure(&self, request: &Request, required: &Required, btf: Btf) -> Result<()> {
        let all = self.cx.work.join("requested.config");
        fs::write(&all, request.allconfig())?;
        self.cx.run(self.make().env("KCONFIG_ALLCONFIG", &all).arg("allnoconfig"))?;
        let config = DotConfig::parse(&fs::read_to_string(self.tree.join(".config"))?)?;
        expect_requested(request, &config, self.tree)?;
        expect_required(&required.check_config(&config, btf, None))
    }

    fn compile(&self) -> Result<()> {
        self.cx.run(
            self.make()
                // The payload that make wraps here has an empty certificate slot and is thrown away; compressing
                // it takes 15 CPU-seconds. Only the wrapper's objects are kept.
                .arg("ZSTD=true")
                .args(["Image", "vmlinuz.efi", "modules"]),
        )
    }

    fn release(&self, version: &str) -> Result<String> {
        let text = fs::read_to_string(self.tree.join("include/config/kernel.release"))?;
        let release = text.trim().to_owned();
        let wanted = format!("{version}-{}", self.cx.key.short());
        if release == wanted {
            return Ok(release);
        }
        Err(Failure::new(format!("the kernel calls itself `{release}`")).why(format!("expected `{wanted}`")))
    }

    fn keep(&self, release: &str) -> Result<()> {
        let libstub = "drivers/firmware/efi/libstub";
        let vmlinux = self.tree.join("vmlinux");
        fw_build::check::elf_aarch64(&vmlinux)?;
        for (from, to) in [
            ("arch/arm64/boot/Image".to_owned(), "Image"),
            ("System.map".to_owned(), "System.map"),
            (".config".to_owned(), "config"),
            ("arch/arm64/boot/zboot-header.o".to_owned(), "zboot/zboot-header.o"),
            (format!("{libstub}/lib.a"), "zboot/lib.a"),
            (format!("{libstub}/zboot.lds"), "zboot/zboot.lds"),
        ] {
            self.cx.publish(&self.tree.join(from), to)?;
        }
        self.cx.run(
            // Symbols and BTF stay; the debug information that BTF was made from is several hundred megabytes.
            Cmd::new(self.chain.tool("objcopy"))
                .arg("--strip-debug")
                .arg(&vmlinux)
                .arg(self.cx.out().join("vmlinux")),
        )?;
        self.unthin(&self.tree.join(libstub).join("lib.a"))?;
        fs::write(self.cx.out().join("release"), format!("{release}\n"))?;
        Ok(())
    }

    /// Kbuild makes thin archives, which only name their members; the kept one must hold them.
    fn unthin(&self, archive: &Path) -> Result<()> {
        let members = Cmd::new(self.chain.tool("ar")).arg("t").arg(archive).cwd(self.tree).output()?;
        let members = String::from_utf8_lossy(&members).into_owned();
        let full = self.cx.out().join("zboot/lib.a");
        fs::remove_file(&full)?;
        let dir = archive.parent().unwrap_or(self.tree);
        let mut cmd = Cmd::new(self.chain.tool("ar"))
            // q: two members may share their last part, and r would replace the first by the second. D: no times
            // and owners. Without P the folder of a member is not written down.
            .arg("qcsD")
            .arg(&full)
            .cwd(dir);
        for member in members.lines() {
            let member = Path::new(member);
            cmd = cmd.arg(if dir.join(member).exists() { dir.join(member) } else { self.tree.join(member) });
        }
        self.cx.run(cmd)
    }

    /// Removes the intermediate kernels: each link makes them again, and with debug information they are gigabytes.
    fn drop_links(&self) -> Result<()> {
        for entry in fs::read_dir(self.tree)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(".tmp_vmlinux")) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Stripped, unsigned modules with complete depmod data, in the folder where Talos has them.
    fn install_modules(&self, release: &str) -> Result<()> {
        let base = self.cx.work.join("modules");
        self.cx.run(
            self.make()
                .arg(format!("INSTALL_MOD_PATH={}", base.display()))
                // Debug sections are of no use on the board and several times the code's size.
                .arg("INSTALL_MOD_STRIP=1")
                // depmod runs below, with the symbol check that this call does not make fatal.
                .arg("DEPMOD=true")
                .arg("modules_install"),
        )?;
        let dir = base.join("lib/modules").join(release);
        for link in ["build", "source"] {
            match fs::remove_file(dir.join(link)) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
                _ => {}
            }
        }
        self.cx.run(
            Cmd::new("depmod")
                // -e -F: a module that needs a symbol which nothing has is named.
                .args(["-e", "-F"])
                .arg(self.tree.join("System.map"))
                .arg("-b")
                .arg(&base)
                .arg(release),
        )?;
        let to = self.cx.out().join("modules/usr/lib");
        fs::create_dir_all(&to)?;
        fs::rename(base.join("lib/modules"), to.join("modules"))?;
        Ok(())
    }
}
