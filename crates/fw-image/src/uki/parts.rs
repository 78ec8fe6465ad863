// SPDX-License-Identifier: Apache-2.0 OR MIT
//! What Talos puts into a UKI, and in which order.

use super::Section;

/// Wipes what holds the machine's configuration: the second profile's addition to the command line.
const RESET_ARGUMENT: &str = "talos.experimental.wipe=system:EPHEMERAL,STATE";

/// Profiles as systemd-stub reads them: like os-release.
const MAIN_PROFILE: &str = "ID=main\n";
const RESET_PROFILE: &str = "ID=reset-maintenance\nTITLE=Reset to maintenance mode\n";

/// Content of a UKI for an image or an installer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// `.osrel`: text of an os-release file.
    pub os_release: String,
    /// `.cmdline`: the whole command line.
    pub cmdline: String,
    /// `.uname`: release of the kernel.
    pub kernel_release: Option<String>,
    /// `.linux`.
    pub linux: Vec<u8>,
    /// `.initrd`.
    pub initrd: Vec<u8>,
}

impl Parts {
    /// The sections in Talos's order. No `.splash`: on this board the stub never runs, GRUB starts the kernel.
    pub fn sections(self) -> Vec<Section> {
        let reset = format!("{} {RESET_ARGUMENT}", self.cmdline);
        let mut sections = vec![
            Section::new(".osrel", self.os_release.into_bytes()),
            Section::new(".cmdline", self.cmdline.into_bytes()),
        ];
        sections.extend(self.kernel_release.map(|release| Section::new(".uname", release.into_bytes())));
        sections.extend([
            Section::new(".linux", self.linux),
            Section::new(".initrd", self.initrd),
            Section::new(".profile", MAIN_PROFILE.as_bytes().to_vec()),
            Section::new(".profile", RESET_PROFILE.as_bytes().to_vec()),
            Section::new(".cmdline", reset.into_bytes()),
        ]);
        sections
    }
}

/// The os-release text of a Talos version (os-release(5)).
pub fn os_release(talos_version: &str) -> String {
    format!("NAME=\"Talos\"\nID=talos\nVERSION_ID={talos_version}\nPRETTY_NAME=\"Talos ({talos_version})\"\n")
}
