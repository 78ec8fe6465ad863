// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Patches of Talos machine configurations for the NanoPi M6, for `talosctl gen config --config-patch @FILE`.
//!
//! Links and disks are found by what they are, never by a device name: names change with the order of probing. A whole
//! configuration is not made here; secrets are `talosctl`'s business. Sources: Talos pkg/machinery/config of v1.10 to
//! v1.14; the board's controllers from its device tree.

mod check;
mod examples;
mod patches;

pub use check::{Problem, check};
pub use examples::examples;
pub use patches::patches;

use fw_image::talos::Line;

/// Driver of the board's Ethernet controller as Talos sees it: the platform driver's name (Linux,
/// drivers/net/ethernet/stmicro/stmmac/dwmac-rk.c).
pub const ETHERNET_DRIVER: &str = "rk_gmac-dwmac";
/// The hardware watchdog; the kernel numbers watchdogs in the order of probing, and this SoC has one.
pub const WATCHDOG_DEVICE: &str = "/dev/watchdog0";
/// Where Omni's own link listens for events and logs, unless it is told otherwise (Omni, join arguments).
const OMNI_EVENTS: &str = "[fdae:41e4:649b:9303::1]:8090";
const OMNI_LOGS: &str = "tcp://[fdae:41e4:649b:9303::1]:8092";

/// Why no patch is made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is no {what}")]
pub struct OptionError {
    /// What was given.
    pub value: String,
    /// What is wanted, with an example.
    pub what: &'static str,
}

/// How the link is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// By the driver of the board's Ethernet.
    Driver,
    /// By its permanent MAC address, `aa:bb:cc:dd:ee:ff`.
    Mac(String),
}

/// How the link gets its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addressing {
    /// By DHCP.
    Dhcp,
    /// A fixed one.
    Static {
        /// Address with prefix length.
        address: String,
        /// Gateway of the default route.
        gateway: String,
        /// Name servers.
        nameservers: Vec<String>,
    },
}

/// The medium that Talos lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Medium {
    /// The eMMC.
    Emmc,
    /// The card.
    Sd,
    /// The NVMe disk.
    Nvme,
}

/// A volume of the user's on the NVMe disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Name; mounted at `/var/mnt/NAME`.
    pub name: String,
    /// What EPHEMERAL may take where Talos itself lies on the NVMe disk, in GiB.
    pub ephemeral_gib: u64,
}

/// The link to Omni or another SideroLink server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SideroLink {
    /// `https://` or `grpc://` URL with the join token.
    pub api_url: String,
}

/// What the patches are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Line of Talos: v1.12 and later have a document of their own for each thing of the network.
    pub line: Line,
    /// Host name.
    pub hostname: Option<String>,
    /// The link.
    pub link: Link,
    /// Its address.
    pub addressing: Addressing,
    /// Medium of Talos.
    pub medium: Medium,
    /// A volume on the NVMe disk.
    pub volume: Option<Volume>,
    /// The link to Omni.
    pub siderolink: Option<SideroLink>,
}

/// A patch: one or several YAML documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// File name.
    pub file: &'static str,
    /// What it is for, in a few words.
    pub purpose: &'static str,
    /// The text.
    pub text: String,
}

impl SideroLink {
    /// The same link as kernel arguments: for an image whose node joins without any configuration.
    pub fn kernel_arguments(&self) -> [String; 3] {
        [
            format!("siderolink.api={}", self.api_url),
            format!("talos.events.sink={OMNI_EVENTS}"),
            format!("talos.logging.kernel={OMNI_LOGS}"),
        ]
    }
}

impl Options {
    /// Checks what was given.
    ///
    /// # Errors
    /// The first value that Talos would not read.
    pub fn check(&self) -> Result<(), OptionError> {
        let refuse = |value: &str, what| Err(OptionError { value: value.to_owned(), what });
        if let Link::Mac(mac) = &self.link {
            let parts: Vec<&str> = mac.split(':').collect();
            let hex = |p: &&str| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit());
            if parts.len() != 6 || !parts.iter().all(hex) {
                return refuse(mac, "MAC address of the form `aa:bb:cc:dd:ee:ff`");
            }
        }
        if let Some(name) = &self.hostname {
            let good = |label: &str| {
                (1..=63).contains(&label.len())
                    && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                    && !label.starts_with('-')
                    && !label.ends_with('-')
            };
            if name.len() > 253 || !name.split('.').all(good) {
                return refuse(name, "host name of letters, digits and hyphens");
            }
        }
        if let Addressing::Static { address, gateway, nameservers } = &self.addressing {
            let prefix = address.split_once('/').and_then(|(a, length)| {
                let bits = if a.parse::<std::net::IpAddr>().ok()?.is_ipv4() { 32 } else { 128 };
                length.parse::<u8>().ok().filter(|l| *l <= bits)
            });
            if prefix.is_none() {
                return refuse(address, "address with a prefix length, as in `192.0.2.10/24`");
            }
            if let Some(bad) =
                std::iter::once(gateway).chain(nameservers).find(|a| a.parse::<std::net::IpAddr>().is_err())
            {
                return refuse(bad, "IP address");
            }
        }
        if let Some(volume) = &self.volume {
            let name = &volume.name;
            if !(1..=34).contains(&name.len())
                || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            {
                return refuse(name, "volume name: up to 34 letters, digits and hyphens");
            }
        }
        if let Some(SideroLink { api_url }) = &self.siderolink {
            let schemes = ["https://", "grpc://"];
            let plain = !api_url.contains(|c: char| c.is_whitespace() || c.is_control());
            if !plain || !schemes.iter().any(|s| api_url.strip_prefix(s).is_some_and(|rest| !rest.is_empty()))
            {
                return refuse(api_url, "SideroLink URL, as in `https://omni.example/?jointoken=TOKEN`");
            }
        }
        Ok(())
    }
}
