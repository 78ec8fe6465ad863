// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `cargo xtask inspect FILE|DEVICE`: what an image or a medium holds, and what is wrong with it.

mod source;

use std::path::PathBuf;

use clap::Args as ClapArgs;
use fs_err as fs;
use fw_build::{Failure, Result};
use image_inspect::finding::{Class, Kind};
use image_inspect::{Expect, Inspector, Options, html, text};

pub use source::open;

use crate::context::Context;
use crate::exit::Exit;
use crate::talk;

/// Says what an image or a medium holds, byte by byte, and what is wrong with it.
#[derive(Debug, ClapArgs)]
#[command(after_help = "Examples:
  cargo xtask inspect out/metal-arm64-nanopi-m6.raw.xz
  cargo xtask inspect /dev/sdX                        a card as it is; reads only
  cargo xtask inspect --html report.html card.img     one page with the disk drawn to scale
  cargo xtask inspect --json card.img | jq .findings
  cargo xtask inspect --board any u-boot-rockchip.bin a loader for another RK3588 board
  cargo xtask inspect --kinds                         everything that it can find

Takes images of anybody: raw, .xz, .zst or .gz, a loader, an idblock, a FIT. JSON form: docs/inspect.schema.json.
Exit code 3: at least one finding says that it will not boot.")]
pub struct Args {
    /// Image, loader or device.
    #[arg(value_name = "FILE|DEVICE", required_unless_present = "kinds")]
    file: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Also write the report as one page.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Board that it shall boot: `nanopi-m6`, a `compatible` string, or `any`.
    #[arg(long, value_name = "BOARD", default_value = "nanopi-m6")]
    board: String,
    /// Bytes outside of everything known that are read, in GiB.
    #[arg(long, value_name = "GIB", default_value_t = 4)]
    scan: u64,
    /// List what can be found instead.
    #[arg(long, conflicts_with_all = ["file", "json", "html"])]
    kinds: bool,
}

/// Runs the verb.
///
/// # Errors
/// The file cannot be read, or is a decompression bomb.
pub fn run(args: &Args) -> Result<Exit> {
    let Some(file) = &args.file else {
        for kind in Kind::ALL {
            println!("{:22} {:15} {}", kind.name(), kind.class().name(), kind.reason());
        }
        return Ok(Exit::Done);
    };
    let opened = open(file)?;
    let options = Options { scan_bytes: args.scan.saturating_mul(1 << 30), ..Options::default() };
    let mut inspector = Inspector::new(expect(&args.board)?, options);
    let subject = file.display().to_string();
    let report = inspector.inspect(&opened.source, &subject, opened.container, opened.damage.as_deref());
    if let Some(path) = &args.html {
        fs::write(path, html::render(&report))?;
        eprintln!("wrote `{}`", path.display());
    }
    if args.json {
        let json = serde_json::to_string_pretty(&report)
            .map_err(|e| Failure::new("the report cannot be written as JSON").why(e))?;
        println!("{json}");
    } else {
        print!("{}", text::render(&report, talk::colours()));
    }
    Ok(if report.count(Class::WillNotBoot) > 0 { Exit::DoNotFlash } else { Exit::Done })
}

/// What the image is held against.
///
/// # Errors
/// Nobody knows this board.
pub fn expect(board: &str) -> Result<Expect> {
    match board {
        "any" => Ok(Expect::any()),
        "nanopi-m6" => {
            let board = Context::load()?.board;
            Ok(Expect { compatible: Some(board.compatible), dtb: Some(board.dtb) })
        }
        other if other.contains(',') => Ok(Expect { compatible: Some(other.to_owned()), dtb: None }),
        other => Err(Failure::new(format!("there is no board `{other}`")).hint(
            "`nanopi-m6`, `any`, or the first `compatible` string of a device tree, such as `radxa,rock-5b`",
        )),
    }
}
