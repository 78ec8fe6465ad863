// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask verify modules`: every module of an image or a tree against the kernel that shall load it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use fs_err as fs;
use fw_build::{Failure, Result};
use rayon::prelude::*;

use super::{ImageFile, Trusted};
use crate::exit::Exit;
use crate::signed::{describe, modules_of};

/// `cargo xtask verify modules`.
#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// Image file (`.raw`, `.raw.xz`) or folder with modules.
    #[arg(value_name = "IMAGE|TREE")]
    what: PathBuf,
    /// Kernel, or image with the kernel, that shall load them. Default: the image's own, or `vmlinuz` in the folder.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<Exit> {
    let (modules, own) = if args.what.is_dir() { tree(&args.what)? } else { image(&args.what)? };
    let trusted = match (&args.kernel, own) {
        (Some(kernel), _) => Trusted::of(kernel)?,
        (None, Some(kernel)) => {
            Trusted::of_kernel(&kernel).map_err(|e| e.during(format!("`{}`", args.what.display())))?
        }
        (None, None) => {
            return Err(Failure::new(format!("no kernel to ask about `{}`", args.what.display()))
                .why("there is no `vmlinuz` in it")
                .hint("name the kernel or its image with `--kernel FILE`"));
        }
    };
    let refused = refused(&modules, &trusted);
    for (path, failure) in &refused {
        println!("refused   {}: {}", path.display(), failure.what());
    }
    println!("kernel    {}", trusted.release);
    for certificate in &trusted.certificates {
        println!("trusts    {}", describe(certificate));
    }
    println!("modules   {} verify, {} refused", modules.len() - refused.len(), refused.len());
    if refused.is_empty() {
        return Ok(Exit::Done);
    }
    Err(Failure::new(format!("the kernel would refuse {} of {} modules", refused.len(), modules.len())))
}

/// The modules that the kernel would refuse, and why.
fn refused<'m>(modules: &'m BTreeMap<PathBuf, Vec<u8>>, trusted: &Trusted) -> Vec<(&'m Path, Failure)> {
    let check =
        |(path, bytes): (&'m PathBuf, &'m Vec<u8>)| Some((path.as_path(), trusted.check(bytes).err()?));
    modules.par_iter().filter_map(check).collect()
}

/// Modules by path, and the kernel beside them.
type Found = (BTreeMap<PathBuf, Vec<u8>>, Option<Vec<u8>>);

fn tree(dir: &Path) -> Result<Found> {
    let mut modules = BTreeMap::new();
    for path in modules_of(dir)? {
        let bytes = fs::read(dir.join(&path))?;
        modules.insert(path, bytes);
    }
    if modules.is_empty() {
        return Err(Failure::new(format!("there is no module (`*.ko`) in `{}`", dir.display())));
    }
    let kernel = dir.join("vmlinuz");
    Ok((modules, kernel.is_file().then(|| fs::read(kernel)).transpose()?))
}

fn image(path: &Path) -> Result<Found> {
    let mut image = ImageFile::open(path)?.ok_or_else(|| {
        Failure::new(format!("`{}` is neither an image nor a folder", path.display()))
            .hint("for a single module file name its folder, and the kernel with `--kernel`")
    })?;
    Ok((image.modules()?, Some(image.boot_file("A/vmlinuz")?)))
}
