// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Signing: the step of `cargo xtask image`, and `cargo xtask sign` for what is outside of it.
//!
//! The private key is used here and goes nowhere else: not into the store, a key, a log or an image.

mod folder;
mod kernel;
mod keys;
mod module;
mod passphrase;
#[cfg(feature = "pkcs11")]
mod pkcs11;

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, Subcommand};
use fs_err as fs;
use fw_build::key::files_below;
use fw_build::{Failure, Result};

pub use kernel::{SignedKernel, signed_kernel};
pub use keys::KeyArgs;

use crate::context::Context;
use crate::exit::Exit;
use crate::image::{self, Selection};
use crate::screen::Screen;
use crate::signed::describe;
use crate::stages;

/// Signs a kernel's modules again, or a module from elsewhere.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask sign module zfs.ko --signing-key key.pem --signing-cert cert.pem --for out/IMAGE.raw.xz
  cargo xtask sign kernel --signing-key new.pem --signing-cert new-cert.pem --trust-cert old-cert.pem --out signed/
  cargo xtask sign kernel --signing-key 'pkcs11:token=signing;object=modules' --signing-cert cert.pem

docs/signing.md tells how to make a key, to change it, and to sign for a published image.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// This checkout's kernel and all its modules: nothing is compiled again.
    Kernel(KernelArgs),
    /// Module files that were built elsewhere for a kernel of ours.
    Module(module::Args),
}

/// `cargo xtask sign kernel`.
#[derive(Debug, ClapArgs)]
struct KernelArgs {
    /// How modules are signed.
    #[command(flatten)]
    signing: KeyArgs,
    /// Kernel pin of `vendor-manifests/linux.toml`.
    #[arg(long, value_name = "PIN")]
    kernel: Option<String>,
    /// Folder for kernel, modules and certificate; it must not exist. Without it they stay in the store.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// The key cannot be used, the kernel cannot be built, or a file is not what it should be.
pub fn run(args: &Args) -> Result<Exit> {
    match &args.what {
        What::Kernel(args) => sign_kernel(args),
        What::Module(args) => module::run(args),
    }
}

fn sign_kernel(args: &KernelArgs) -> Result<Exit> {
    if let Some(out) = args.out.as_ref().filter(|out| out.exists()) {
        return Err(Failure::new(format!("`{}` is there already", out.display()))
            .hint("give a folder that does not exist, so that nothing of an older signing stays in it"));
    }
    let cx = Context::load()?;
    let selection =
        Selection::of(&image::Args { kernel: args.kernel.clone(), ..image::Args::default() }, &cx.board)?;
    let screen = Screen::start()?;
    let results = stages::build(&cx.root, &[kernel::STAGE], screen.dir(), &selection.env())?;
    let signed = signed_kernel(&cx, &results, &args.signing, &screen)?;
    drop(screen);
    let place = match &args.out {
        Some(out) => copy_out(&signed, out)?,
        None => signed.entry.dir.clone(),
    };
    println!("kernel    {}, {} modules", signed.release, signed.module_count);
    for (word, certificate) in
        std::iter::once("signed by").chain(std::iter::repeat("trusts")).zip(&signed.trusted)
    {
        println!("{word:9} {}", describe(certificate));
    }
    println!("files     {}", place.display());
    Ok(Exit::Done)
}

/// Copies the result out of the store: it may go when the store is cleaned.
fn copy_out(signed: &SignedKernel, out: &Path) -> Result<PathBuf> {
    for role in kernel::OUTPUTS {
        let from = signed.entry.path(role)?;
        let files = if from.is_dir() { files_below(&from)? } else { vec![PathBuf::new()] };
        for rel in files {
            let (source, target) = (join(&from, &rel), join(&out.join(role), &rel));
            fs::create_dir_all(target.parent().unwrap_or(out))?;
            fs::copy(source, target)?;
        }
    }
    Ok(out.to_owned())
}

/// Joining an empty path would add a slash, which names a folder.
fn join(base: &Path, rel: &Path) -> PathBuf {
    if rel.as_os_str().is_empty() { base.to_owned() } else { base.join(rel) }
}
