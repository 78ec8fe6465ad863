// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask machine-config`: patches of Talos machine configurations for this board.
//!
//! The texts are `machine_config`'s business. Here they are written, read again and, where `talosctl` is given, put to
//! Talos's own validation behind a generated configuration.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum};
use fs_err as fs;
use fw_build::run::Cmd;
use fw_build::{Context as _, Failure, Result};
use fw_image::talos::Line;
use machine_config::{Addressing, Link, Options, Patch, SideroLink, Volume};

use crate::context::Context;
use crate::exit::Exit;

/// Writes patches of machine configurations for this board.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask machine-config --hostname m6-1
  cargo xtask machine-config --mac 02:00:5e:10:00:01 --address 192.0.2.10/24 --gateway 192.0.2.1 --nameserver 192.0.2.53
  cargo xtask machine-config --medium sd --volume data            a volume on the NVMe disk, at /var/mnt/data
  cargo xtask machine-config --siderolink 'https://omni.example/?jointoken=TOKEN'
  cargo xtask machine-config --talosctl ./talosctl                validate them with Talos's own program

Use them with `talosctl gen config NAME https://ADDRESS:6443 --install-disk '' --config-patch @FILE`. The address of the link is kept
in the configuration, so it survives installation and upgrades; values in META are for maintenance mode.
`machine.install.disk` is ignored on a node that booted from a flashed image: it is installed already.")]
pub struct Args {
    /// Release of Talos [default: the board file's].
    #[arg(long, value_name = "VERSION")]
    talos: Option<String>,
    /// Host name.
    #[arg(long)]
    hostname: Option<String>,
    /// Permanent MAC address of the link; without it the link is found by its driver.
    #[arg(long)]
    mac: Option<String>,
    /// Fixed address with prefix length; without it DHCP.
    #[arg(long, value_name = "CIDR", requires = "gateway")]
    address: Option<String>,
    /// Gateway.
    #[arg(long, value_name = "IP", requires = "address")]
    gateway: Option<String>,
    /// Name server; may be given several times.
    #[arg(long = "nameserver", value_name = "IP", requires = "address")]
    nameservers: Vec<String>,
    /// Medium that the image is flashed to.
    #[arg(long, value_enum, default_value = "emmc")]
    medium: Medium,
    /// Name of a volume on the NVMe disk.
    #[arg(long, value_name = "NAME")]
    volume: Option<String>,
    /// What EPHEMERAL may take where Talos lies on the NVMe disk.
    #[arg(long, value_name = "GIB", default_value_t = 64)]
    ephemeral_gib: u64,
    /// URL with the join token of Omni or another SideroLink server.
    #[arg(long, value_name = "URL")]
    siderolink: Option<String>,
    /// Folder for the patches [default: out/machine-config].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// `talosctl` of this release: validates the patches behind a generated configuration.
    #[arg(long, value_name = "PATH")]
    talosctl: Option<PathBuf>,
}

/// `--medium`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Medium {
    /// The eMMC.
    Emmc,
    /// The card.
    Sd,
    /// The NVMe disk.
    Nvme,
}

/// Runs the verb.
///
/// # Errors
/// A value that Talos would not read, or a patch that its own validation refuses.
pub fn run(args: &Args) -> Result<Exit> {
    let cx = Context::load()?;
    let talos = args.talos.clone().map_or_else(|| cx.board.selected("talos"), Ok)?;
    let made = machine_config::patches(&options(args, &talos)?).map_err(|e| {
        Failure::new("no machine configuration can be made")
            .why(e)
            .hint("`cargo xtask machine-config --help` has examples")
    })?;
    let dir = args.out.clone().unwrap_or_else(|| cx.out().join("machine-config"));
    fs::create_dir_all(&dir)?;
    for patch in &made {
        // What cannot be read back as it is meant is not written.
        machine_config::check(&patch.text)
            .map_err(|e| Failure::new(format!("`{}` is not what it should be", patch.file)).why(e))?;
        let path = dir.join(patch.file);
        fs::write(&path, &patch.text)?;
        println!("patch     {} ({})", path.display(), patch.purpose);
    }
    if let Some(url) = &args.siderolink {
        for argument in (SideroLink { api_url: url.clone() }).kernel_arguments() {
            println!("argument  {argument}");
        }
    }
    if let Some(talosctl) = &args.talosctl {
        let paths: Vec<PathBuf> = made.iter().map(|p: &Patch| dir.join(p.file)).collect();
        println!("validated {}", validate(talosctl, &paths)?);
    }
    eprintln!(
        "note: `machine.install.disk` is ignored on a node that booted from a flashed image: it is installed already"
    );
    Ok(Exit::Done)
}

fn options(args: &Args, talos: &str) -> Result<Options> {
    let line = Line::of(talos).map_err(|e| {
        Failure::new(format!("no machine configuration can be made for Talos {talos}")).why(e)
    })?;
    let addressing = match (&args.address, &args.gateway) {
        (Some(address), Some(gateway)) => Addressing::Static {
            address: address.clone(),
            gateway: gateway.clone(),
            nameservers: args.nameservers.clone(),
        },
        _ => Addressing::Dhcp,
    };
    Ok(Options {
        line,
        hostname: args.hostname.clone(),
        link: args.mac.clone().map_or(Link::Driver, Link::Mac),
        addressing,
        medium: match args.medium {
            Medium::Emmc => machine_config::Medium::Emmc,
            Medium::Sd => machine_config::Medium::Sd,
            Medium::Nvme => machine_config::Medium::Nvme,
        },
        volume: args.volume.clone().map(|name| Volume { name, ephemeral_gib: args.ephemeral_gib }),
        siderolink: args.siderolink.clone().map(|api_url| SideroLink { api_url }),
    })
}

/// Puts patches behind a configuration that `talosctl` generates, and lets it validate both kinds of node; gives its version.
///
/// # Errors
/// It cannot be run, or refuses one.
pub fn validate(talosctl: &Path, patches: &[PathBuf]) -> Result<String> {
    let talosctl = fs::canonicalize(talosctl)?;
    let work = tempfile::tempdir()?;
    let run =
        |args: &[&str]| Cmd::new(&talosctl).args(args).env("HOME", work.path()).cwd(work.path()).output();
    // An address of nobody (RFC 5737): nothing is contacted.
    let mut generate = vec!["gen", "config", "check", "https://192.0.2.10:6443", "--install-disk", ""];
    let patches: Vec<String> =
        patches.iter().map(|p| Ok(format!("@{}", fs::canonicalize(p)?.display()))).collect::<Result<_>>()?;
    for patch in &patches {
        generate.extend(["--config-patch", patch]);
    }
    run(&generate).context("`talosctl` does not take the patches")?;
    for file in ["controlplane.yaml", "worker.yaml"] {
        run(&["validate", "--config", file, "--mode", "metal", "--strict"])
            .context(format!("`talosctl` refuses `{file}` with the patches"))?;
    }
    let version = String::from_utf8_lossy(&run(&["version", "--client", "--short"])?).into_owned();
    let version = version.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or_default();
    Ok(format!("control plane and worker by `talosctl`, {}", version.trim()))
}
