// SPDX-License-Identifier: Apache-2.0 OR MIT
//! GRUB as one EFI program, in the form that Talos's imager makes from v1.13 on: no module folder on disk.

use fw_build::Result;
use fw_build::run::Cmd;
use fw_build::stage::{Inputs, StageSpec};

/// Modules inside the program. Talos's own set (facts: imager, v1.13), all that its `grub.cfg` needs.
const MODULES: [&str; 19] = [
    "part_gpt",
    "ext2",
    "fat",
    "xfs",
    "normal",
    "configfile",
    "linux",
    "boot",
    "search",
    "search_label",
    "search_fs_uuid",
    "search_fs_file",
    "ls",
    "cat",
    "echo",
    "test",
    "help",
    "reboot",
    "halt",
];

/// Where GRUB finds `grub.cfg`: the third GPT partition (BOOT) of the disk it was started from.
const PREFIX: &str = "(,gpt3)/grub";

/// The recipe.
pub fn spec(inputs: &Inputs) -> Result<StageSpec> {
    let pin = inputs.pin("grub")?;
    let mut spec = StageSpec::new("grub-efi", 1)?;
    spec.pin(&pin)?.tool("grub-mkimage", "--version")?.output("grub", "BOOTAA64.EFI");
    Ok(spec.recipe(move |cx| {
        let tree = cx.unpack_filtered(&pin, 0, Some(&|p| p.starts_with("usr/lib/grub/arm64-efi")))?;
        let efi = cx.work.join("BOOTAA64.EFI");
        cx.run(
            Cmd::new("grub-mkimage")
                .args(["-O", "arm64-efi", "-C", "xz", "-p", PREFIX, "-d"])
                .arg(tree.join("usr/lib/grub/arm64-efi"))
                .arg("-o")
                .arg(&efi)
                .args(MODULES)
                // Consoles on every video output; headless machines have none, and the module then does nothing.
                .arg("all_video"),
        )?;
        cx.publish(&efi, "BOOTAA64.EFI")
    }))
}
