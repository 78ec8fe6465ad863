// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask installer`: the image for `talosctl upgrade`, so that kernel, modules, U-Boot and device tree stay together.
//!
//! Kernel and initramfs come out of a finished disk image: what a node gets at an upgrade is what others flash.

mod base;
mod options;
mod stub;

use std::path::PathBuf;

use clap::Args as ClapArgs;
use fs_err as fs;
use fw_build::run::SOURCE_DATE_EPOCH;
use fw_build::status::{bytes, seconds};
use fw_build::{Context as _, Failure, Result};
use fw_image::cmdline::Cmdline;
use fw_image::installer::{self, Upgrade};
use fw_image::map::{self, ImageMap};
use fw_image::oci::{self, Layout, Platform, ReadImage, Tarball, Tree};
use fw_image::talos::Line;
use fw_image::uki::{self, Stub, Uki};

use crate::context::Context;
use crate::exit::Exit;
use crate::overlay::folder::{replace, replace_file};
use crate::remote::Remote;
use crate::screen::Screen;
use crate::verify::{ImageFile, Trusted, initramfs};
use crate::{image, overlay, sign};

/// Makes the installer image.
#[derive(Debug, Clone, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask installer --base installer-base.tar --from v1.10.5
  cargo xtask installer --base base-layout/ --image out/metal-arm64-nanopi-m6.raw.xz
  cargo xtask installer --base installer-base.tar --overlay-option mac=02:00:c0:ff:ee:01
  cargo run -p xtask --features push -- installer --push registry.example.org/nanopi-m6-installer:v1.10.9

The base is ghcr.io/siderolabs/installer-base of the same Talos version, for linux/arm64; with the feature `push` it is
fetched from there unless `--base` says otherwise.
Results: out/installer-arm64.tar (for `crane push`, `docker load`), out/installer-oci (OCI layout).
docs/overlay.md tells how nodes are upgraded with it.")]
pub struct Args {
    /// Installer base: a tarball (`docker save`, `crane pull`), an OCI layout, or an image in a registry
    /// (`registry.example.org/installer-base:v1.10.9`, `docker://…`; feature `push`).
    #[arg(long, value_name = "PATH|REF")]
    pub base: Option<String>,
    /// Finished disk image to take kernel and initramfs from; without it one is built.
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// Talos release, for example v1.10.9.
    #[arg(long, value_name = "VERSION")]
    pub talos: Option<String>,
    /// Release that the nodes have now: says whether they will accept this installer.
    #[arg(long, value_name = "VERSION")]
    pub from: Option<String>,
    /// Option of the overlay, `key=value`, or `@FILE` for all in YAML; nodes cannot change them at an upgrade.
    #[arg(long = "overlay-option", value_name = "KEY=VALUE|@FILE")]
    pub overlay_options: Vec<String>,
    /// Further kernel argument; may be given several times. A leading `-` removes one.
    #[arg(long = "extra-kernel-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub extra_kernel_args: Vec<String>,
    /// systemd-stub, or a UKI with one (an official one, for example); without it Debian's.
    #[arg(long, value_name = "FILE")]
    pub stub: Option<PathBuf>,
    /// systemd-boot; without it Debian's.
    #[arg(long, value_name = "FILE")]
    pub systemd_boot: Option<PathBuf>,
    /// Name that the tarball carries.
    #[arg(long, value_name = "REF")]
    pub tag: Option<String>,
    /// Send the image to a registry, too, with the credentials of the docker configuration (feature `push`).
    #[arg(long, value_name = "REF")]
    pub push: Option<String>,
    /// Speak plain HTTP with the registries of `--base` and `--push`; with one on this machine that is so anyway.
    #[arg(long)]
    pub plain_http: bool,
    /// Take an image with another userland than Talos's, for rehearsals: nodes would come up with it.
    #[arg(long)]
    pub rehearsal: bool,
    /// Address of the sources for the overlay's annotations.
    #[arg(long, value_name = "URL")]
    pub source: Option<String>,
    /// How modules are signed.
    #[command(flatten)]
    pub signing: sign::KeyArgs,
}

/// Runs the verb.
///
/// # Errors
/// The base cannot be had or is another image, or a part does not fit the others.
pub fn run(args: &Args) -> Result<Exit> {
    let cx = Context::load()?;
    let version = match &args.talos {
        Some(version) => version.clone(),
        None => cx.board.selected("talos")?,
    };
    let line = Line::of(&version).map_err(|e| Failure::new("no installer for this release").why(e))?;
    judge_upgrade(&version, args.from.as_deref())?;
    let options = options::Options::of(&args.overlay_options)?;
    // Before anything is built: these are what is most often missing.
    let remote =
        args.push.as_deref().map(|reference| Remote::open(reference, args.plain_http)).transpose()?;
    let base = base::load(args.base.as_deref(), &version, args.plain_http)?;
    let base = ReadImage::for_platform(&base, &Platform::linux("arm64"))
        .map_err(|e| Failure::new("the base cannot be used").why(e))?;
    let path = match &args.image {
        Some(path) => path.clone(),
        None => {
            let wanted = image::Args {
                talos: Some(version.clone()),
                extra_kernel_args: args.extra_kernel_args.clone(),
                signing: args.signing.clone(),
                ..image::Args::default()
            };
            image::build(&wanted)?;
            cx.out().join(format!("{}.raw.xz", cx.board.disk.image))
        }
    };
    let screen = Screen::start()?;
    check_userland(&path, &version, args.rehearsal)?;
    let parts = Taken::from(&path)?;
    let cmdline = Cmdline::metal_arm64(line, &options.kernel_args, &args.extra_kernel_args)
        .map_err(|e| Failure::new("the kernel arguments cannot be used").why(e))?;
    let boot = stub::load(&cx, args.stub.as_deref(), args.systemd_boot.as_deref(), &screen)?;
    let uki = parts.uki(&boot.stub, &version, cmdline.to_string())?;
    let overlay_args = overlay::Args { source: args.source.clone(), ..overlay::Args::default() };
    let made = overlay::build(&cx, &overlay_args, &screen)?;
    let tree = made.trees.get("arm64").ok_or_else(|| Failure::new("the overlay has no tree for arm64"))?;
    let entries = entries(tree)?;
    let parts = installer::Parts {
        version: &version,
        overlay_name: &cx.board.name,
        uki,
        systemd_boot: boot.systemd_boot,
        overlay: &entries,
        extra_options: &options.yaml,
    };
    let refused = |e: &dyn std::fmt::Display| Failure::new("the installer image cannot be made").why(e);
    let made =
        installer::compose(base, parts, overlay::CREATED, SOURCE_DATE_EPOCH).map_err(|e| refused(&e))?;
    let tag = args.tag.clone().unwrap_or_else(|| format!("{}-installer:{version}", cx.board.name));
    let tar = oci::docker_archive(&made, &tag, SOURCE_DATE_EPOCH).map_err(|e| refused(&e))?;
    let layout = Layout::new(&[made], &Default::default()).map_err(|e| refused(&e))?;
    // Both are read again, with every digest compared.
    Tarball::read(&tar[..]).and_then(|tarball| oci::open(&tarball)).map_err(|e| refused(&e))?;
    oci::open(&layout).map_err(|e| refused(&e))?;
    let out = cx.out();
    fs::create_dir_all(&out)?;
    let tarball_bytes = replace_file(&out.join("installer-arm64.tar"), &tar)?;
    let files = layout.files().map(|(path, content)| (path, 0o644, content));
    let layout_bytes = replace(&out.join("installer-oci"), files)?;
    let pushed = remote.map(|remote| remote.send(&layout, &screen)).transpose()?;
    let elapsed = screen.elapsed();
    drop(screen);
    println!("installer out/installer-arm64.tar ({}), `{tag}`", bytes(tarball_bytes));
    println!("layout    out/installer-oci ({})", bytes(layout_bytes));
    println!("digest    {}", layout.digest());
    if let Some(pushed) = pushed {
        println!("pushed    {pushed}");
    }
    println!("time      {}", seconds(elapsed));
    Ok(Exit::Done)
}

/// Says which nodes accept the installer, and refuses to make one for nodes that will not.
fn judge_upgrade(version: &str, from: Option<&str>) -> Result<()> {
    let Some(from) = from else {
        eprintln!("note: `--from VERSION` checks whether your nodes will accept an installer of {version}");
        return Ok(());
    };
    let rule =
        installer::upgrade(version, from).map_err(|e| Failure::new("the upgrade cannot be judged").why(e))?;
    match rule {
        Upgrade::Usual => Ok(()),
        Upgrade::Back => {
            eprintln!(
                "note: {from} to {version} goes back a minor version; Talos accepts it, configuration of the newer one may not load"
            );
            Ok(())
        }
        Upgrade::Skips { between } => {
            eprintln!(
                "note: {from} to {version} skips {between}; the installer accepts it, Talos recommends one minor version at a time"
            );
            Ok(())
        }
        Upgrade::Refused { accepted: [oldest, newest] } => {
            Err(Failure::new(format!("nodes of {from} will not accept an installer of {version}"))
                .why(format!("it accepts nodes of {oldest} to {newest}"))
                .hint("upgrade by way of a version between, one minor at a time"))
        }
    }
}

/// What the map beside an image says; an image without a map is taken at its word.
fn check_userland(path: &std::path::Path, version: &str, rehearsal: bool) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = name.trim_end_matches(".xz").trim_end_matches(".raw");
    let Ok(text) = fs::read_to_string(path.with_file_name(format!("{stem}.map.json"))) else { return Ok(()) };
    let map =
        ImageMap::from_json(&text).map_err(|e| Failure::new("the image's map cannot be read").why(e))?;
    let refused = |why: String| {
        Failure::new(format!("`{}` is no image to make an installer of", path.display())).why(why)
    };
    if map.userland != map::Userland::Talos && !rehearsal {
        return Err(refused("nodes would come up with the self-test in the place of Talos".to_owned())
            .hint("`cargo xtask image` makes one with Talos; `--rehearsal` takes this one all the same"));
    }
    if map.talos_version != version {
        return Err(refused(format!("it is of Talos {}, the installer of {version}", map.talos_version))
            .hint(format!("give `--talos {}`, or another `--image`", map.talos_version)));
    }
    Ok(())
}

/// Kernel and initramfs of an image, which belong together.
struct Taken {
    kernel: Vec<u8>,
    initramfs: Vec<u8>,
    release: String,
}

impl Taken {
    fn from(path: &std::path::Path) -> Result<Taken> {
        let mut image = ImageFile::open(path)?
            .ok_or_else(|| Failure::new(format!("`{}` is not a disk image", path.display())))?;
        let (kernel, packed) = (image.boot_file("A/vmlinuz")?, image.boot_file("A/initramfs.xz")?);
        let trusted = Trusted::of_kernel(&kernel)?;
        initramfs::fits(&packed, &trusted).context(format!("`{}`", path.display()))?;
        Ok(Taken { kernel, initramfs: packed, release: trusted.release })
    }

    /// The UKI, read again as Talos reads it at an upgrade.
    fn uki(self, stub: &Stub, version: &str, cmdline: String) -> Result<Vec<u8>> {
        let wrong = |e: &dyn std::fmt::Display| Failure::new("the UKI cannot be made").why(e);
        let parts = uki::Parts {
            os_release: uki::os_release(version),
            cmdline: cmdline.clone(),
            kernel_release: Some(self.release),
            linux: self.kernel.clone(),
            initrd: self.initramfs.clone(),
        };
        let made = uki::assemble(stub, parts.sections(), SOURCE_DATE_EPOCH as u32).map_err(|e| wrong(&e))?;
        let read = Uki::parse(&made).map_err(|e| wrong(&e))?;
        for (name, wanted) in
            [(".linux", &self.kernel), (".initrd", &self.initramfs), (".cmdline", &cmdline.into_bytes())]
        {
            if read.section(name).map_err(|e| wrong(&e))? != wanted.as_slice() {
                return Err(wrong(&format!("`{name}` reads back differently")));
            }
        }
        Ok(made)
    }
}

fn entries(tree: &Tree) -> Result<Vec<oci::Entry>> {
    let wrong = |e: oci::Error| Failure::new("the overlay cannot be read").why(e);
    oci::rootfs(&tree.tar(SOURCE_DATE_EPOCH).map_err(wrong)?).map_err(wrong)
}
