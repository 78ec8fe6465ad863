// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Reads patches again and looks at their structure. `talosctl validate` knows more; this needs no program and knows the
//! rules of this project: links and disks by selector, never by device name.

use serde_json::Value;

use super::WATCHDOG_DEVICE;

/// What is wrong with a patch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not YAML.
    #[error("it is not YAML: {0}")]
    Yaml(String),
    /// A document that is neither the main one nor of a known kind.
    #[error("document {number} is of no known kind: `{kind}`")]
    Kind {
        /// From 1.
        number: usize,
        /// The kind.
        kind: String,
    },
    /// A key is missing.
    #[error("document {number} (`{kind}`) has no `{path}`")]
    Missing {
        /// From 1.
        number: usize,
        /// The kind.
        kind: String,
        /// Path of the key.
        path: &'static str,
    },
    /// A device is named.
    #[error("`{at}` names the device `{device}`, whose name may be another at the next start")]
    Device {
        /// Path of the value.
        at: String,
        /// The device.
        device: String,
    },
}

/// Kinds of documents, with the paths that each must have (Talos, pkg/machinery/config/types).
const KINDS: [(&str, &[&str]); 12] = [
    ("WatchdogTimerConfig", &["/device", "/timeout"]),
    ("HostnameConfig", &["/hostname", "/auto"]),
    ("LinkAliasConfig", &["/name", "/selector/match"]),
    ("LinkConfig", &["/name", "/addresses/0/address"]),
    ("DHCPv4Config", &["/name"]),
    ("ResolverConfig", &["/nameservers/0/address"]),
    ("VolumeConfig", &["/name", "/provisioning/maxSize"]),
    (
        "UserVolumeConfig",
        &["/name", "/provisioning/diskSelector/match", "/provisioning/minSize", "/filesystem/type"],
    ),
    ("SideroLinkConfig", &["/apiUrl"]),
    ("EventSinkConfig", &["/endpoint"]),
    ("KmsgLogConfig", &["/name", "/url"]),
    // The one without a kind.
    ("", &["/machine/install/diskSelector"]),
];

/// Checks the documents of a patch.
///
/// # Errors
/// The first [`Problem`].
pub fn check(text: &str) -> Result<(), Problem> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).map_err(|e| Problem::Yaml(e.to_string().replace('\n', " ")))?;
    if documents.is_empty() {
        return Err(Problem::Yaml("there is no document".to_owned()));
    }
    for (number, document) in documents.iter().enumerate().map(|(i, d)| (i + 1, d)) {
        let kind = document.get("kind").and_then(Value::as_str).unwrap_or_default();
        let known = KINDS.iter().find(|(name, _)| *name == kind);
        let Some((_, paths)) = known else { return Err(Problem::Kind { number, kind: kind.to_owned() }) };
        let main = kind.is_empty();
        let version = if main { &[][..] } else { &["/apiVersion"][..] };
        for path in version.iter().chain(*paths) {
            if document.pointer(path).is_none_or(|v| v.is_null() || v.as_str() == Some("")) {
                return Err(Problem::Missing { number, kind: kind.to_owned(), path });
            }
        }
        if let Some(interfaces) = document.pointer("/machine/network/interfaces").and_then(Value::as_array) {
            for interface in interfaces {
                if let Some(name) = interface.get("interface").and_then(Value::as_str) {
                    return Err(Problem::Device {
                        at: "/machine/network/interfaces".to_owned(),
                        device: name.to_owned(),
                    });
                }
                if interface.get("deviceSelector").is_none_or(|s| s.as_object().is_none_or(|o| o.is_empty()))
                {
                    let path = "/machine/network/interfaces/deviceSelector";
                    return Err(Problem::Missing { number, kind: kind.to_owned(), path });
                }
            }
        }
        devices(document, "")?;
    }
    Ok(())
}

/// No text that is the path of a device, but for the watchdog's.
fn devices(value: &Value, at: &str) -> Result<(), Problem> {
    match value {
        Value::String(text) if text.starts_with("/dev/") && text != WATCHDOG_DEVICE => {
            Err(Problem::Device { at: at.to_owned(), device: text.clone() })
        }
        Value::Array(items) => {
            items.iter().enumerate().try_for_each(|(i, item)| devices(item, &format!("{at}/{i}")))
        }
        Value::Object(items) => {
            items.iter().try_for_each(|(key, item)| devices(item, &format!("{at}/{key}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "machine:\n  install:\n    diskSelector:\n      type: nvme\n  network:\n    interfaces:\n      - deviceSelector:\n          driver: x\n---\napiVersion: v1alpha1\nkind: WatchdogTimerConfig\ndevice: /dev/watchdog0\ntimeout: 2m0s\n";

    fn problem(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "no `{from}`");
        check(&GOOD.replacen(from, to, 1)).expect_err("a problem").to_string()
    }

    #[test]
    fn a_patch_that_keeps_the_rules() {
        assert_eq!(check(GOOD), Ok(()));
    }

    #[test]
    fn must_fail_device_names() {
        let text = problem("      type: nvme", "      type: nvme\n    disk: /dev/mmcblk0");
        assert!(text.contains("`/machine/install/disk` names the device `/dev/mmcblk0`"), "{text}");
        let text = problem("deviceSelector:\n          driver: x", "interface: eth0");
        assert!(text.contains("names the device `eth0`"), "{text}");
        let text = problem("watchdog0", "watchdog1");
        assert!(text.contains("/dev/watchdog1"), "{text}");
        let text = problem("          driver: x", "          {}");
        assert!(text.contains("interfaces/deviceSelector"), "{text}");
    }

    #[test]
    fn must_fail_structure() {
        assert!(problem("diskSelector", "diskSelectors").contains("has no `/machine/install/diskSelector`"));
        assert!(problem("WatchdogTimerConfig", "Watchdog").contains("no known kind: `Watchdog`"));
        assert!(problem("timeout: 2m0s", "timeout:").contains("has no `/timeout`"));
        assert!(problem("apiVersion: v1alpha1\n", "").contains("has no `/apiVersion`"));
        assert!(problem("machine:\n", "machine: [\n").contains("not YAML"));
        assert!(check("").is_err());
    }
}
