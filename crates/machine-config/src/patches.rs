// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The texts of the patches.

use fw_image::talos::Line;

use super::{
    Addressing, ETHERNET_DRIVER, Link, Medium, OMNI_EVENTS, OMNI_LOGS, OptionError, Options, Patch,
    SideroLink, Volume, WATCHDOG_DEVICE,
};

/// First line of each file.
const HEAD: &str = "# For a FriendlyELEC NanoPi M6 with Talos";
/// Name by which the documents of v1.12 and later call the link.
const ALIAS: &str = "lan0";

/// Makes the patches.
///
/// # Errors
/// A value that Talos would not read.
pub fn patches(options: &Options) -> Result<Vec<Patch>, OptionError> {
    options.check()?;
    let mut made =
        vec![Patch { file: "board.yaml", purpose: "network, disk, watchdog", text: board(options) }];
    if let Some(volume) = &options.volume {
        let text = nvme(options, volume);
        made.push(Patch { file: "volume-nvme.yaml", purpose: "volume on the NVMe disk", text });
    }
    if let Some(link) = &options.siderolink {
        let text = siderolink(options, link);
        made.push(Patch { file: "siderolink.yaml", purpose: "link to Omni", text });
    }
    Ok(made)
}

/// A scalar that YAML reads as this text, whatever is in it.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Documents, each behind a line that separates it.
fn document(kind: &str, body: &str) -> String {
    format!("---\napiVersion: v1alpha1\nkind: {kind}\n{body}")
}

fn board(options: &Options) -> String {
    let line = options.line;
    let selector = match options.medium {
        // The addresses are those of the controllers in the SoC's device tree; names of disks change.
        Medium::Emmc => "busPath: /platform/fe2e0000.mmc/*",
        Medium::Sd => "busPath: /platform/fe2c0000.mmc/*",
        Medium::Nvme => "type: nvme",
    };
    let mut text = format!(
        "{HEAD} {line}.\n\
         machine:\n\
         \x20 install:\n\
         \x20   # Talos reads this only when it installs itself. A node that booted from a flashed image is installed\n\
         \x20   # already: it stays where it is, whatever stands here, and `disk` has no effect either.\n\
         \x20   diskSelector:\n\
         \x20     {selector}\n\
         \x20   wipe: false\n"
    );
    // The network is kept here and not in META alone: what META has is for maintenance mode.
    if line < Line::V1_12 {
        legacy_network(options, &mut text)
    } else {
        network(options, &mut text)
    }
    text += "# The board restarts when nothing feeds its watchdog any more.\n";
    text += &document("WatchdogTimerConfig", &format!("device: {WATCHDOG_DEVICE}\ntimeout: 2m0s\n"));
    text
}

/// Up to v1.11: within the one document.
fn legacy_network(options: &Options, text: &mut String) {
    *text += "  network:\n";
    if let Some(hostname) = &options.hostname {
        *text += &format!("    hostname: {}\n", quote(hostname));
    }
    let selector = match &options.link {
        Link::Driver => format!("driver: {}", quote(ETHERNET_DRIVER)),
        Link::Mac(mac) => format!("permanentAddr: {}", quote(&mac.to_lowercase())),
    };
    *text += &format!("    interfaces:\n      - deviceSelector:\n          {selector}\n");
    match &options.addressing {
        Addressing::Dhcp => *text += "        dhcp: true\n",
        Addressing::Static { address, gateway, nameservers } => {
            let any = if gateway.contains(':') { "::/0" } else { "0.0.0.0/0" };
            *text += &format!(
                "        dhcp: false\n        addresses:\n          - {}\n        routes:\n          - network: {}\n            gateway: {}\n",
                quote(address),
                quote(any),
                quote(gateway)
            );
            list(text, "    nameservers:\n", "      - ", nameservers);
        }
    }
}

/// From v1.12 on: a document for each thing.
fn network(options: &Options, text: &mut String) {
    if let Some(hostname) = &options.hostname {
        // `auto` is `stable` in what `talosctl gen config` makes, and excludes a name.
        *text += &document("HostnameConfig", &format!("auto: \"off\"\nhostname: {}\n", quote(hostname)));
    }
    let expression = match &options.link {
        Link::Driver => format!("link.driver == {}", quote(ETHERNET_DRIVER)),
        Link::Mac(mac) => format!("mac(link.permanent_addr) == {}", quote(&mac.to_lowercase())),
    };
    *text +=
        &document("LinkAliasConfig", &format!("name: {ALIAS}\nselector:\n  match: {}\n", quote(&expression)));
    match &options.addressing {
        Addressing::Dhcp => *text += &document("DHCPv4Config", &format!("name: {ALIAS}\n")),
        Addressing::Static { address, gateway, nameservers } => {
            let addresses = format!("addresses:\n  - address: {}\n", quote(address));
            let routes = format!("routes:\n  - gateway: {}\n", quote(gateway));
            *text += &document("LinkConfig", &format!("name: {ALIAS}\nup: true\n{addresses}{routes}"));
            if !nameservers.is_empty() {
                let mut body = String::new();
                list(&mut body, "nameservers:\n", "  - address: ", nameservers);
                *text += &document("ResolverConfig", &body);
            }
        }
    }
}

fn list(text: &mut String, head: &str, item: &str, values: &[String]) {
    if !values.is_empty() {
        *text += head;
        for value in values {
            *text += &format!("{item}{}\n", quote(value));
        }
    }
}

fn nvme(options: &Options, volume: &Volume) -> String {
    let mut text = format!("{HEAD} {}: a volume, mounted at /var/mnt/{}.\n", options.line, volume.name);
    let expression = if options.medium == Medium::Nvme {
        text += "# EPHEMERAL would take the whole disk: it is made smaller, which counts only before it is made.\n";
        let body = format!(
            "name: EPHEMERAL\nprovisioning:\n  maxSize: {}GiB\n  grow: false\n",
            volume.ephemeral_gib
        );
        text += &document("VolumeConfig", &body);
        "system_disk"
    } else {
        r#"disk.transport == "nvme" && !system_disk"#
    };
    let body = format!(
        "name: {}\nprovisioning:\n  diskSelector:\n    match: {}\n  minSize: 10GiB\n  grow: true\nfilesystem:\n  type: xfs\n",
        quote(&volume.name),
        quote(expression)
    );
    text += &document("UserVolumeConfig", &body);
    text
}

fn siderolink(options: &Options, link: &SideroLink) -> String {
    let mut text = format!(
        "{HEAD} {}: the link to Omni. The same as kernel arguments:\n{}",
        options.line,
        link.kernel_arguments().map(|a| format!("#   --extra-kernel-arg {a}\n")).concat()
    );
    text += &document("SideroLinkConfig", &format!("apiUrl: {}\n", quote(&link.api_url)));
    text += &document("EventSinkConfig", &format!("endpoint: {}\n", quote(OMNI_EVENTS)));
    text += &document("KmsgLogConfig", &format!("name: omni-kmsg\nurl: {}\n", quote(OMNI_LOGS)));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check, examples};

    fn options(line: Line) -> Options {
        Options {
            line,
            hostname: Some("m6".to_owned()),
            link: Link::Driver,
            addressing: Addressing::Dhcp,
            medium: Medium::Emmc,
            volume: None,
            siderolink: None,
        }
    }

    fn fixed() -> Addressing {
        Addressing::Static {
            address: "192.0.2.10/24".to_owned(),
            gateway: "192.0.2.1".to_owned(),
            nameservers: vec!["192.0.2.53".to_owned()],
        }
    }

    /// Every combination keeps the rules that are checked.
    #[test]
    fn every_combination_passes_the_check() {
        for options in Line::ALL.into_iter().flat_map(examples) {
            for patch in patches(&options).expect("good options") {
                assert_eq!(check(&patch.text), Ok(()), "{} of {options}:\n{}", patch.file, patch.text);
            }
        }
    }

    #[test]
    fn the_network_of_each_line() {
        let text = |line, link, addressing| board(&Options { link, addressing, ..options(line) });
        let old = text(Line::V1_11, Link::Driver, Addressing::Dhcp);
        assert!(
            old.contains(
                "      - deviceSelector:\n          driver: \"rk_gmac-dwmac\"\n        dhcp: true\n"
            ),
            "{old}"
        );
        assert!(!old.contains("LinkAliasConfig"), "{old}");
        let mac = Link::Mac("02:00:5E:10:00:01".to_owned());
        let new = text(Line::V1_12, mac, fixed());
        for part in [
            r#"match: "mac(link.permanent_addr) == \"02:00:5e:10:00:01\"""#,
            "kind: LinkConfig\nname: lan0\nup: true\naddresses:\n  - address: \"192.0.2.10/24\"\nroutes:\n  - gateway: \"192.0.2.1\"\n",
            "kind: ResolverConfig\nnameservers:\n  - address: \"192.0.2.53\"\n",
            "auto: \"off\"\nhostname: \"m6\"\n",
        ] {
            assert!(new.contains(part), "no `{part}` in:\n{new}");
        }
        assert!(!new.contains("  network:"), "{new}");
    }

    #[test]
    fn the_flashed_medium_is_explained() {
        for medium in [Medium::Emmc, Medium::Sd, Medium::Nvme] {
            let text = board(&Options { medium, ..options(Line::V1_10) });
            assert!(
                text.contains("booted from a flashed image is installed")
                    && text.contains("`disk` has no effect"),
                "{text}"
            );
        }
    }

    #[test]
    fn the_volume_depends_on_where_talos_lies() {
        let volume = Volume { name: "data".to_owned(), ephemeral_gib: 40 };
        let text = |medium| nvme(&Options { medium, ..options(Line::V1_10) }, &volume);
        let other = text(Medium::Emmc);
        assert!(other.contains(r#"match: "disk.transport == \"nvme\" && !system_disk""#), "{other}");
        assert!(!other.contains("EPHEMERAL"), "{other}");
        let same = text(Medium::Nvme);
        assert!(same.contains("name: EPHEMERAL\nprovisioning:\n  maxSize: 40GiB\n"), "{same}");
        assert!(same.contains("match: \"system_disk\""), "{same}");
    }

    #[test]
    fn must_fail_values_that_talos_would_not_read() {
        let refused = |change: &dyn Fn(&mut Options)| {
            let mut changed = options(Line::V1_13);
            change(&mut changed);
            patches(&changed).expect_err("refused").to_string()
        };
        assert!(refused(&|o| o.link = Link::Mac("eth0".to_owned())).contains("`eth0` is no MAC address"));
        assert!(refused(&|o| o.link = Link::Mac("02:00:5e:10:00:0g".to_owned())).contains("MAC address"));
        assert!(refused(&|o| o.hostname = Some("m6_a".to_owned())).contains("host name"));
        assert!(refused(&|o| o.hostname = Some("-a.b".to_owned())).contains("host name"));
        let with = |address: &str, gateway: &str| {
            let fixed = Addressing::Static {
                address: address.to_owned(),
                gateway: gateway.to_owned(),
                nameservers: Vec::new(),
            };
            refused(&|o| o.addressing = fixed.clone())
        };
        assert!(with("192.0.2.10", "192.0.2.1").contains("prefix length"));
        assert!(with("192.0.2.10/33", "192.0.2.1").contains("prefix length"));
        assert!(with("192.0.2.10/24", "router").contains("`router` is no IP address"));
        let volume = |name: &str| Some(Volume { name: name.to_owned(), ephemeral_gib: 1 });
        assert!(refused(&|o| o.volume = volume("a b")).contains("volume name"));
        let link = |url: &str| Some(SideroLink { api_url: url.to_owned() });
        assert!(refused(&|o| o.siderolink = link("omni.example")).contains("SideroLink URL"));
        assert!(refused(&|o| o.siderolink = link("https://a b")).contains("SideroLink URL"));
    }
}
