// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Asks the guest with `talosctl` and judges the answers.
//!
//! In maintenance mode anybody may read what is not secret (`--insecure`); version and kernel log are for administrators
//! only, so those are read after the configuration, with the certificates that `talosctl gen config` made.

use std::path::{Path, PathBuf};

use fw_build::run::Cmd;
use fw_build::{Context as _, Failure, Result};
use serde_json::Value;

use super::written;

/// Address of the guest in QEMU's own network, which its user-mode DHCP server gives out first.
const GUEST: &str = "10.0.2.15";

/// Address of the network card, as `machine` has it.
const MAC: &str = "52:54:00:4d:36:01";

/// What the rehearsal's machine configuration has beside the defaults: there is no network, so neither clocks nor images
/// can be had from it.
const PATCH: &str = "\
machine:
  install:
    diskSelector:
      size: '>= 2GB'
  time:
    disabled: true
  certSANs:
    - 127.0.0.1
";

/// `talosctl`, bound to the forwarded port.
pub struct Talosctl {
    program: PathBuf,
    endpoint: String,
    dir: PathBuf,
}

/// One resource: its name and what it says.
struct Resource {
    id: String,
    spec: Value,
}

impl Talosctl {
    /// The program, for the guest behind `port`; its files land in a folder of their own in `dir`.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn new(program: &Path, port: u16, dir: &Path) -> Result<Talosctl> {
        let dir = dir.join("talosctl");
        fs_err::create_dir_all(&dir)?;
        Ok(Talosctl { program: program.to_owned(), endpoint: format!("127.0.0.1:{port}"), dir })
    }

    fn cmd(&self) -> Cmd {
        // Its own home: the user's Talos configuration is neither read nor written.
        Cmd::new(&self.program).env("HOME", &self.dir).cwd(&self.dir)
    }

    fn insecure(&self, words: &[&str]) -> Result<Vec<u8>> {
        self.cmd().args(words).args(["--insecure", "--nodes", &self.endpoint]).output()
    }

    fn secure(&self, words: &[&str]) -> Result<Vec<u8>> {
        let config = self.dir.join("talosconfig");
        self.cmd()
            .args(words)
            .args(["--endpoints", &self.endpoint, "--nodes", GUEST, "--talosconfig"])
            .arg(config)
            .output()
    }

    /// Reads disks, links, volumes and state in maintenance mode; returns what was seen.
    ///
    /// # Errors
    /// No answer, or one that does not describe this machine and this image.
    pub fn maintenance(&self, disk_bytes: u64) -> Result<Vec<String>> {
        let get = |what: &str| -> Result<Vec<Resource>> {
            resources(&self.insecure(&["get", what, "-o", "json"])?)
                .context(format!("`talosctl get {what}` in maintenance mode"))
        };
        let mut rows = vec![
            disks(&get("disks")?, disk_bytes)?,
            links(&get("links")?)?,
            volumes(&get("discoveredvolumes")?, &["EFI", "BIOS", "BOOT", "META"])?,
        ];
        let stage = get("machinestatus")?;
        rows.push(field(&stage, "machine", "stage", "maintenance")?);
        // Talos's own rule, in words of its own: whoever answers this is its maintenance service.
        let refusal = match self.insecure(&["version"]) {
            Ok(_) => return Err(Failure::new("maintenance mode told its version to anybody")),
            Err(failure) => failure.to_string(),
        };
        if !refusal.contains("not implemented in maintenance mode") {
            return Err(
                Failure::new("`talosctl version` was not refused as maintenance mode does").why(refusal)
            );
        }
        rows.push("version: for administrators only, as Talos has it in maintenance mode".to_owned());
        Ok(rows)
    }

    /// Makes a machine configuration, has `talosctl` check it, and applies it.
    ///
    /// # Errors
    /// One of the three failed.
    pub fn configure(&self) -> Result<()> {
        let patch = written(&self.dir, "patch.yaml", PATCH)?;
        self.cmd()
            .args(["gen", "config", "rehearsal", &format!("https://{GUEST}:6443"), "--force"])
            .args(["--with-docs=false", "--with-examples=false", "--additional-sans", "127.0.0.1"])
            .arg("--config-patch")
            .arg(format!("@{}", patch.display()))
            .arg("--output")
            .arg(&self.dir)
            .output()?;
        let config = self.dir.join("controlplane.yaml");
        self.cmd().args(["validate", "--mode", "metal", "--strict", "--config"]).arg(&config).output()?;
        let file = config.display().to_string();
        self.insecure(&["apply-config", "--file", &file])?;
        Ok(())
    }

    /// Reads version, kernel log and volumes of the configured machine; returns what was seen.
    ///
    /// # Errors
    /// No answer (yet), or one that does not describe this image.
    pub fn configured(&self, talos: &str, release: &str) -> Result<Vec<String>> {
        let version = String::from_utf8_lossy(&self.secure(&["version"])?).into_owned();
        let mut rows = vec![server_version(&version, talos)?];
        let log = self.secure(&["dmesg"])?;
        let log = String::from_utf8_lossy(&log);
        for line in [format!("Linux version {release} "), format!("booting Talos {talos}")] {
            if !log.contains(&line) {
                return Err(Failure::new(format!("`talosctl dmesg` has no line with `{}`", line.trim())));
            }
        }
        rows.push(format!("dmesg: {} lines, with this kernel's and Talos's first", log.lines().count()));
        let found = resources(&self.secure(&["get", "discoveredvolumes", "-o", "json"])?)?;
        rows.push(volumes(&found, &["EFI", "BIOS", "BOOT", "META", "STATE", "EPHEMERAL"])?);
        Ok(rows)
    }
}

/// The documents that `talosctl get -o json` prints one after the other.
fn resources(json: &[u8]) -> Result<Vec<Resource>> {
    let mut found = Vec::new();
    for document in serde_json::Deserializer::from_slice(json).into_iter::<Value>() {
        let document = document.map_err(|e| Failure::new("`talosctl` prints no JSON").why(e))?;
        let id = document.pointer("/metadata/id").and_then(Value::as_str);
        let id = id.ok_or_else(|| Failure::new("a resource without name"))?.to_owned();
        let spec = document.get("spec").cloned().unwrap_or_default();
        found.push(Resource { id, spec });
    }
    Ok(found)
}

fn text<'a>(spec: &'a Value, key: &str) -> &'a str {
    spec.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The image's disk with its whole size, the NVMe device, and the stick whose driver is a signed module.
fn disks(found: &[Resource], disk_bytes: u64) -> Result<String> {
    let mut shown = Vec::new();
    for (id, transport, size) in
        [("vda", "virtio", Some(disk_bytes)), ("nvme0n1", "nvme", None), ("sda", "usb", None)]
    {
        let disk = found.iter().find(|d| d.id == id);
        let disk = disk
            .ok_or_else(|| Failure::new(format!("Talos does not see the disk `{id}`")).why(names(found)))?;
        let bytes = disk.spec.get("size").and_then(Value::as_u64);
        if text(&disk.spec, "transport") != transport || size.is_some_and(|size| bytes != Some(size)) {
            return Err(Failure::new(format!("Talos sees the disk `{id}` as another")).why(&disk.spec));
        }
        shown.push(format!("{id} ({transport})"));
    }
    Ok(format!("disks: {}", shown.join(", ")))
}

fn links(found: &[Resource]) -> Result<String> {
    let card =
        found.iter().find(|l| text(&l.spec, "hardwareAddr") == MAC && text(&l.spec, "type") == "ether");
    let card = card.ok_or_else(|| Failure::new("Talos does not see the network card").why(names(found)))?;
    if text(&card.spec, "operationalState") != "up" {
        return Err(Failure::new(format!("Talos says that the link `{}` is not up", card.id)).why(&card.spec));
    }
    Ok(format!("links: {} ({MAC}) is up", card.id))
}

/// Partitions by label, in the order on the disk, with the file systems that a Talos disk has.
fn volumes(found: &[Resource], labels: &[&str]) -> Result<String> {
    let mut shown = Vec::new();
    for label in labels {
        let volume = found.iter().find(|v| text(&v.spec, "partition_label") == *label);
        let volume = volume.ok_or_else(|| {
            Failure::new(format!("Talos does not find {label} on the disk")).why(names(found))
        })?;
        let expected = match *label {
            "EFI" => "vfat",
            "BOOT" | "STATE" | "EPHEMERAL" => "xfs",
            _ => "",
        };
        let name = text(&volume.spec, "name");
        if name != expected && !(expected.is_empty() && name == "talosmeta") {
            return Err(Failure::new(format!("Talos finds `{name}` in {label}"))
                .why(format!("expected `{expected}`")));
        }
        shown.push(format!("{} {label}", volume.id));
    }
    Ok(format!("volumes: {}", shown.join(", ")))
}

fn field(found: &[Resource], id: &str, key: &str, expected: &str) -> Result<String> {
    let value = found.iter().find(|r| r.id == id).map_or("", |r| text(&r.spec, key));
    if value != expected {
        return Err(
            Failure::new(format!("`{id}` says {key} `{value}`")).why(format!("expected `{expected}`"))
        );
    }
    Ok(format!("{id}: {key} {value}"))
}

/// `Tag:` of the part `Server:` of what `talosctl version` prints.
fn server_version(text: &str, expected: &str) -> Result<String> {
    let server = text.split("Server:").nth(1).unwrap_or_default();
    let tag = server.lines().find_map(|line| line.trim().strip_prefix("Tag:")).map_or("", str::trim);
    if tag != expected {
        return Err(Failure::new(format!("the machine says that it runs Talos `{tag}`"))
            .why(format!("expected `{expected}`")));
    }
    Ok(format!("version: the machine runs Talos {tag}"))
}

fn names(found: &[Resource]) -> String {
    format!("it lists: {}", found.iter().map(|r| r.id.as_str()).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `talosctl get -o json` prints it: one document after the other, without a comma.
    fn list(items: &[(&str, Value)]) -> Vec<Resource> {
        let text: String = items
            .iter()
            .map(|(id, spec)| {
                serde_json::json!({"node": "", "metadata": {"id": id}, "spec": spec}).to_string()
            })
            .collect();
        resources(text.as_bytes()).expect("documents")
    }

    fn disk(transport: &str, size: u64) -> Value {
        serde_json::json!({"transport": transport, "size": size})
    }

    #[test]
    fn disks_are_those_of_the_machine() {
        let good = [
            ("loop0", disk("", 1)),
            ("vda", disk("virtio", 8)),
            ("nvme0n1", disk("nvme", 2)),
            ("sda", disk("usb", 2)),
        ];
        assert_eq!(disks(&list(&good), 8).expect("good"), "disks: vda (virtio), nvme0n1 (nvme), sda (usb)");
        assert!(disks(&list(&good), 9).expect_err("size").to_string().contains("`vda` as another"));
        let failure = disks(&list(&good[..3]), 8).expect_err("no module for the stick").to_string();
        assert!(
            failure.contains("does not see the disk `sda`") && failure.contains("loop0, vda, nvme0n1"),
            "{failure}"
        );
    }

    #[test]
    fn the_network_card_is_up() {
        let card = |state: &str| {
            ("enp0s3", serde_json::json!({"hardwareAddr": MAC, "type": "ether", "operationalState": state}))
        };
        assert_eq!(links(&list(&[card("up")])).expect("up"), format!("links: enp0s3 ({MAC}) is up"));
        assert!(links(&list(&[card("down")])).is_err());
        assert!(links(&[]).is_err());
    }

    #[test]
    fn volumes_have_their_file_systems() {
        let volume = |label: &str, name: &str| serde_json::json!({"partition_label": label, "name": name});
        let good = list(&[
            ("vda1", volume("EFI", "vfat")),
            ("vda2", volume("BIOS", "")),
            ("vda5", volume("STATE", "xfs")),
        ]);
        assert_eq!(
            volumes(&good, &["EFI", "BIOS", "STATE"]).expect("good"),
            "volumes: vda1 EFI, vda2 BIOS, vda5 STATE"
        );
        assert!(
            volumes(&good, &["EPHEMERAL"]).expect_err("none").to_string().contains("does not find EPHEMERAL")
        );
        let bad = list(&[("vda1", volume("EFI", "xfs"))]);
        assert!(volumes(&bad, &["EFI"]).expect_err("xfs").to_string().contains("finds `xfs` in EFI"));
    }

    #[test]
    fn the_servers_version_counts_and_not_the_clients() {
        let text = "Client:\n\tTag:  v1.10.6\nServer:\n\tNODE: 10.0.2.15\n\tTag:  v1.10.5\n";
        assert!(server_version(text, "v1.10.6").is_err());
        server_version(text, "v1.10.5").expect("the server's");
        assert!(server_version("Client:\n\tTag: v1.10.6\n", "v1.10.6").is_err());
    }

    #[test]
    fn must_fail_what_is_no_json() {
        assert!(resources(b"NODE NAMESPACE").is_err());
        assert!(resources(b"{\"metadata\": {}}").is_err());
    }
}
