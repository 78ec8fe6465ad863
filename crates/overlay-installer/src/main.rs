// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Standard input in, answer on standard output, talk on standard error, 0 or 1.

use std::io::{Read, Write};
use std::process::ExitCode;

use overlay_installer::{MAX_INPUT_BYTES, Places, Refusal, get_options, install};

const USAGE: &str = "usage: nanopi-m6 get-options|install

The installer of the NanoPi M6's Talos overlay; Talos's imager and installer run it. A request in YAML comes on
standard input.

  get-options  prints kernel arguments and the offset of the partition table
  install      writes U-Boot at byte 32768 of `installDisk` and the device tree below `mountPrefix`/boot/EFI

Examples:
  echo '{}' | nanopi-m6 get-options
  echo 'console: ttyS2,1500000n8' | nanopi-m6 get-options
  echo '{installDisk: disk.raw, mountPrefix: /tmp/x, artifactsPath: artifacts}' | nanopi-m6 install";

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    let words: Vec<_> = args.iter().map(|arg| arg.to_str()).collect();
    let result = match words.as_slice() {
        [Some("get-options")] => answer_options(),
        [Some("install")] => read_input().and_then(|input| install(&input, &Places::default(), &mut note)),
        [Some("--help" | "-h")] => print(USAGE),
        [Some("--version")] => print(concat!("nanopi-m6 overlay installer ", env!("CARGO_PKG_VERSION"))),
        // Talos's own adapter ends with 1 here, too.
        _ => Err(Refusal::new("one word is wanted: `get-options` or `install`").hint("`--help` says more")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            note(&format!("error: {refusal}"));
            ExitCode::FAILURE
        }
    }
}

fn answer_options() -> Result<(), Refusal> {
    let reply = get_options(&read_input()?, &mut note)?;
    print(reply.to_string().trim_end())
}

fn read_input() -> Result<Vec<u8>, Refusal> {
    let mut input = Vec::new();
    // One byte more than is allowed: the reader of the text then says so.
    let limit = MAX_INPUT_BYTES as u64 + 1;
    std::io::stdin()
        .take(limit)
        .read_to_end(&mut input)
        .map_err(|e| Refusal::new("cannot read standard input").why(e))?;
    Ok(input)
}

/// Talos reads the answer from a pipe: one that is closed must be an error, not a panic.
fn print(text: &str) -> Result<(), Refusal> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")
        .and_then(|()| out.flush())
        .map_err(|e| Refusal::new("cannot write the answer").why(e))
}

fn note(line: &str) {
    // Standard error may be closed; there is nobody to tell then.
    let _ = writeln!(std::io::stderr(), "{line}");
}
