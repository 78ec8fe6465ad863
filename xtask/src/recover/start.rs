// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask recover start`: which two programs the boot ROM gets, and what must be seen then.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args as ClapArgs;
use flasher::image::Image;
use fw_build::{Failure, Result};
use recover::loader::{self, Loader, LoaderError, Program, Sent};
use recover::usb::{Mode, wait_for};

use super::device::{Where, find};

/// How long a usbplug may take to come back to the bus.
const COMES_BACK: Duration = Duration::from_secs(15);
/// ID block and everything before it: up to the FIT at sector 16384.
const HEAD_BYTES: u64 = 16384 * 512;

/// What is started.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Image whose DDR blob and SPL are taken: raw, .xz or .zst.
    #[arg(long, value_name = "IMAGE", default_value = "out/metal-arm64-nanopi-m6.raw.xz")]
    image: PathBuf,
    /// A loader container of Rockchip's instead (`rk3588_spl_loader_*.bin`, `MiniLoaderAll.bin`).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["code471", "code472"])]
    loader: Option<PathBuf>,
    /// The program for SRAM instead of the image's DDR blob.
    #[arg(long, value_name = "FILE")]
    code471: Option<PathBuf>,
    /// The program for DRAM instead of the image's SPL: a usbplug.
    #[arg(long, value_name = "FILE")]
    code472: Option<PathBuf>,
    #[command(flatten)]
    at: Where,
}

/// Runs it.
///
/// # Errors
/// No loader, no board in MaskROM mode, or a boot ROM that refuses.
pub fn run(args: &Args) -> Result<()> {
    let (loader, serves_flash) = choose(args)?;
    let mut device = args.at.in_mode(Mode::MaskRom)?;
    let mut sent = |s: Sent<'_>| {
        println!("sent      {:#x}: {}, {} bytes", s.area, s.program.name, s.program.bytes.len());
    };
    loader::start(&mut device, &loader, &mut sent, &mut std::thread::sleep).map_err(|(name, e)| {
        Failure::new(format!("the boot ROM did not take `{name}`"))
            .why(recover::wire::words(&e))
            .hint("power the board off and into MaskROM mode again: after a failure, or a second start, it hangs")
            .hint("`cargo xtask monitor` shows how far the DDR blob came")
    })?;
    drop(device);
    eprintln!("the console (`cargo xtask monitor`) must show the DDR blob's lines now, `out` at their end");
    if !serves_flash {
        eprintln!(
            "then `U-Boot SPL`, which takes U-Boot from sector 16384 of the card, or of the eMMC without one"
        );
        return Ok(());
    }
    let back = wait_for(Mode::Loader, COMES_BACK)
        .map_err(|e| Failure::new("the USB devices of this machine cannot be listed").why(e))?;
    let Some(board) = back else {
        let still = find()?.iter().map(|b| format!("{} {}", b.place, b.mode.name())).collect::<Vec<_>>();
        return Err(Failure::new("the board did not come back with a usbplug")
            .why(if still.is_empty() { "nothing is on USB now".to_owned() } else { still.join(", ") })
            .hint("`cargo xtask monitor` shows whether memory training ended with `out`")
            .hint("the second program must be a usbplug for the RK3588"));
    };
    println!("{} rockusb: `cargo xtask recover info` shows its flash", board.place);
    Ok(())
}

/// The loader, and whether it will serve the flash: this project's own SPL does not.
fn choose(args: &Args) -> Result<(Loader, bool)> {
    let wrong = |path: &Path| {
        let what = format!("`{}` gives no loader", path.display());
        move |e: LoaderError| {
            let failure = Failure::new(what).why(&e);
            match e {
                LoaderError::NotAContainer => failure.hint("a usbplug alone goes in with `--code472`"),
                LoaderError::Ddr(_) => failure.hint("take the blob of this project's image"),
                _ => failure,
            }
        }
    };
    let loader = if let Some(path) = &args.loader {
        Loader::of_container(&fs_err::read(path)?).map_err(wrong(path))?
    } else {
        let program = |path: &Path| -> Result<Program> {
            loader::program(&path.display().to_string(), fs_err::read(path)?).map_err(wrong(path))
        };
        let (sram, dram) = (
            args.code471.as_deref().map(program).transpose()?,
            args.code472.as_deref().map(program).transpose()?,
        );
        match (sram, dram) {
            (Some(sram), Some(dram)) => Loader { sram: vec![sram], dram: vec![dram] },
            (sram, dram) => {
                let mut loader = of_image(&args.image)?;
                loader.sram = sram.map_or(loader.sram, |p| vec![p]);
                loader.dram = dram.map_or(loader.dram, |p| vec![p]);
                loader
            }
        }
    };
    match loader.ddr() {
        Some(blob) => println!("memory    {}", blob.build),
        None => eprintln!(
            "warning: the first program is no DDR blob that is known; the RK3588 takes none scrambled with RC4"
        ),
    }
    let loader = loader.accepted().map_err(|e| Failure::new("this DDR blob is not sent").why(e))?;
    Ok((loader, args.loader.is_some() || args.code472.is_some()))
}

fn of_image(path: &Path) -> Result<Loader> {
    let wrong = |e: &dyn std::fmt::Display| {
        Failure::new(format!("`{}` has no loader to start", path.display()))
            .why(e)
            .hint("`cargo xtask image` makes one; `--image` names another")
    };
    let mut stream = Image::unchecked(path).map_err(|e| wrong(&e))?.take(HEAD_BYTES);
    Loader::of_image(&mut stream).map_err(|e| wrong(&e))
}
