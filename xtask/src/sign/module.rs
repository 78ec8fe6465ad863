// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask sign module`: signs module files that were built elsewhere, for a published image if one is
//! named.

use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use fs_err as fs;
use fw_build::{Failure, Result};
use fw_image::cert::Signer;
use fw_image::kmod::Info;
use fw_image::modsig;
use rayon::prelude::*;

use super::KeyArgs;
use crate::exit::Exit;
use crate::signed::describe;
use crate::verify::Trusted;

/// `cargo xtask sign module`.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Module files (`.ko`), built for the kernel that shall load them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The key.
    #[command(flatten)]
    signing: KeyArgs,
    /// Image (`.raw`, `.raw.xz`) or kernel file that shall load them: refuse a module it would refuse.
    #[arg(long = "for", value_name = "IMAGE")]
    target: Option<PathBuf>,
    /// Folder for the signed files; without it they take the place of the unsigned ones.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Take an existing signature off first; without it a signed module is refused.
    #[arg(long)]
    replace: bool,
}

pub(super) fn run(args: &Args) -> Result<Exit> {
    let signer = args.signing.given()?.ok_or_else(|| {
        Failure::new("no key to sign with")
            .hint("give `--signing-key KEY --signing-cert PEM`: those the image was made with")
            .hint("a generated key is `key.pem` beside `cert.pem` in `~/.local/state/talos-nanopi-m6/keys`")
    })?;
    let target = args.target.as_deref().map(Trusted::of).transpose()?;
    if let Some(out) = &args.out {
        fs::create_dir_all(out)?;
    }
    // All or none: the first pass writes nothing.
    let signed: Vec<Vec<u8>> = args
        .files
        .par_iter()
        .map(|file| {
            sign(&fs::read(file)?, args.replace, &signer, target.as_ref())
                .map_err(|e| e.during(format!("cannot sign `{}`", file.display())))
        })
        .collect::<Result<_>>()?;
    for (file, bytes) in args.files.iter().zip(&signed) {
        let to = match &args.out {
            Some(out) => out.join(file.file_name().unwrap_or(file.as_os_str())),
            None => file.clone(),
        };
        replace(&to, bytes)?;
        println!("{}", to.display());
    }
    eprintln!("signed by {}", describe(signer.certificate()));
    if target.is_none() {
        eprintln!("hint: `--for IMAGE` also checks that the kernel of an image would load them");
    }
    Ok(Exit::Done)
}

/// The signed module; with a target only if its kernel would load it.
fn sign(file: &[u8], replace: bool, signer: &Signer, target: Option<&Trusted>) -> Result<Vec<u8>> {
    let content = match modsig::split(file) {
        Ok(signed) if replace => signed.content,
        Ok(_) => {
            return Err(Failure::new("the module is already signed")
                .hint("`--replace` takes the signature off first"));
        }
        Err(modsig::Error::NotSigned) => file,
        Err(e) => return Err(Failure::new("its signature is damaged").why(e)),
    };
    Info::read(content).map_err(|e| Failure::new("it is no kernel module").why(e))?;
    let signed = modsig::sign(content, signer).map_err(|e| Failure::new("signing failed").why(e))?;
    if let Some(trusted) = target {
        trusted.check(&signed).map_err(|e| e.during("the target's kernel would refuse it"))?;
    }
    Ok(signed)
}

/// Writes the file complete or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = path.parent().filter(|d| !d.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temp = tempfile::NamedTempFile::new_in(dir)?;
    std::io::Write::write_all(&mut temp, bytes)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    temp.as_file().set_permissions(mode)?;
    temp.persist(path)
        .map_err(|e| Failure::new(format!("cannot write `{}`", path.display())).why(e.error))?;
    Ok(())
}
