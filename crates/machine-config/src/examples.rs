// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Options of every kind, for those who hold the patches against something.

use std::fmt;

use fw_image::talos::Line;

use super::{Addressing, Link, Medium, Options, SideroLink, Volume};

/// Every way to find the link, to give it an address and to lay Talos and its volume out, for a line.
#[must_use]
pub fn examples(line: Line) -> Vec<Options> {
    let fixed = Addressing::Static {
        address: "192.0.2.10/24".to_owned(),
        gateway: "192.0.2.1".to_owned(),
        nameservers: vec!["192.0.2.53".to_owned()],
    };
    let mut all = Vec::new();
    for link in [Link::Driver, Link::Mac("02:00:5E:10:00:01".to_owned())] {
        for addressing in [Addressing::Dhcp, fixed.clone()] {
            for medium in [Medium::Emmc, Medium::Sd, Medium::Nvme] {
                all.push(Options {
                    line,
                    hostname: Some("m6".to_owned()),
                    link: link.clone(),
                    addressing: addressing.clone(),
                    medium,
                    volume: Some(Volume { name: "data".to_owned(), ephemeral_gib: 64 }),
                    // The token has what YAML and kernel arguments give a meaning to.
                    siderolink: Some(SideroLink {
                        api_url: "https://omni.example/?jointoken=x&y=\"#".to_owned(),
                    }),
                });
            }
        }
    }
    all
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let link = match &self.link {
            Link::Driver => "by driver",
            Link::Mac(_) => "by MAC",
        };
        let addressing = match &self.addressing {
            Addressing::Dhcp => "DHCP",
            Addressing::Static { .. } => "fixed address",
        };
        write!(f, "{} on {:?}, link {link}, {addressing}", self.line, self.medium)
    }
}
