// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The board file `boards/<name>.toml`: read raw, then validated.
//!
//! It holds data only. What the regions and pins *mean* is the business of the stages and of xtask.

use std::collections::BTreeMap;
use std::path::Path;

use fs_err as fs;
use serde::Deserialize;

use crate::failure::{Failure, Result};
use crate::mix::{self, Set};

/// Sector size of every offset that is given in LBA.
pub const SECTOR_BYTES: u64 = 512;

/// A validated board file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Board {
    /// Board name, as in file names.
    pub name: String,
    /// `model` of the device tree.
    pub model: String,
    /// First `compatible` string of the device tree.
    pub compatible: String,
    /// SoC name, for example `rk3588s`.
    pub soc: String,
    /// Device tree path below `dtb/` on the ESP.
    pub dtb: String,
    /// Selected pin label or value by name.
    pub select: BTreeMap<String, String>,
    /// Kernel settings.
    pub kernel: Kernel,
    /// Disk layout.
    pub disk: Disk,
    /// Mixes of loader parts and kernel that something is known about.
    pub sets: Vec<Set>,
}

/// Kernel settings of a board.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Kernel {
    /// Whether type information (BTF) is built.
    pub btf: Switch,
    /// Kernel arguments of the overlay.
    pub args: Vec<String>,
}

/// On or off, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// Disk layout of the image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Disk {
    /// File name without suffix.
    pub image: String,
    /// Talos lines that have this layout, as in `v1.10`.
    pub talos: Vec<String>,
    /// Size of the disk in bytes.
    pub size_bytes: u64,
    /// Sectors that the overlay reserves before the partitions.
    pub offset_sectors: u64,
    /// Raw regions.
    pub regions: Vec<Region>,
    /// Partitions in order.
    pub partitions: Vec<Partition>,
    /// What differs for other Talos lines.
    #[serde(default)]
    pub layouts: Vec<LayoutChange>,
}

/// What differs from the board file's layout for some Talos lines.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct LayoutChange {
    /// Talos lines, as in `v1.11`.
    pub talos: Vec<String>,
    /// Size of the disk in bytes.
    pub size_bytes: u64,
    /// Sizes of partitions in MiB, by name.
    pub partition_mib: BTreeMap<String, u64>,
}

/// A raw region outside of partitions, filled by a stage's output.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Region {
    /// Region name.
    pub name: String,
    /// Stage whose output it holds.
    pub stage: String,
    /// Role of that output.
    pub role: String,
    /// First sector.
    pub start_lba: u64,
    /// First sector that it must not touch.
    pub limit_lba: u64,
    /// Sector where the FIT image must begin.
    pub fit_lba: u64,
}

/// A partition.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Partition {
    /// GPT name.
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    pub kind: PartitionKind,
    /// Size in MiB.
    pub size_mib: u64,
    /// Content.
    pub filesystem: Filesystem,
}

/// Partition type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartitionKind {
    /// EFI system partition.
    Efi,
    /// BIOS boot partition; Talos makes one on arm64, too, with the legacy-bootable attribute.
    Bios,
    /// Linux file system data.
    Linux,
}

/// What a partition is filled with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Filesystem {
    /// FAT32.
    Fat32,
    /// XFS.
    Xfs,
    /// Zero bytes.
    Zero,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Raw {
    name: String,
    model: String,
    compatible: String,
    soc: String,
    dtb: String,
    select: BTreeMap<String, String>,
    kernel: Kernel,
    disk: Disk,
    sets: Vec<Set>,
}

/// Names that `[select]` may hold: the manifests and the choices of the image.
const SELECTABLE: [&str; 10] =
    ["bootloader", "busybox", "dt-variant", "grub", "linux", "rkbin", "talos", "tf-a", "u-boot", "userland"];

impl Board {
    /// Reads `boards/<name>.toml` below `root`.
    ///
    /// # Errors
    /// The file cannot be read or is not valid.
    pub fn load(root: &Path, name: &str) -> Result<Board> {
        let path = root.join("boards").join(format!("{name}.toml"));
        let text = fs::read_to_string(&path)?;
        Board::parse(&text).map_err(|e| e.during(format!("board file `{}` is not valid", path.display())))
    }

    /// Parses and validates the text of a board file.
    ///
    /// # Errors
    /// Unknown or missing key, or a layout that contradicts itself.
    pub fn parse(text: &str) -> Result<Board> {
        let raw: Raw = toml::from_str(text).map_err(|e| Failure::new(e.to_string().trim().to_owned()))?;
        for name in raw.select.keys() {
            if !SELECTABLE.contains(&name.as_str()) {
                return Err(Failure::new(format!("`select.{name}` is not known"))
                    .why(format!("known: {}", SELECTABLE.join(", "))));
            }
        }
        for name in SELECTABLE {
            if !raw.select.contains_key(name) {
                return Err(Failure::new(format!("`select.{name}` is missing")));
            }
        }
        raw.disk.check()?;
        mix::check(&raw.sets)?;
        let Raw { name, model, compatible, soc, dtb, select, kernel, disk, sets } = raw;
        Ok(Board { name, model, compatible, soc, dtb, select, kernel, disk, sets })
    }

    /// The selected label of a manifest: `FW_SELECT_<NAME>` in the environment, else the board file's.
    ///
    /// # Errors
    /// The name is not selectable.
    pub fn selected(&self, name: &str) -> Result<String> {
        if let Some(value) = std::env::var(select_var(name)).ok().filter(|v| !v.is_empty()) {
            return Ok(value);
        }
        match self.select.get(name) {
            Some(label) => Ok(label.clone()),
            None => Err(Failure::new(format!("`{name}` is not a selection of the board file"))),
        }
    }
}

/// The variable that overrides a selection: `FW_SELECT_TF_A` for `tf-a`.
pub fn select_var(name: &str) -> String {
    format!("FW_SELECT_{}", name.to_uppercase().replace('-', "_"))
}

impl Disk {
    /// The layout for a Talos line, as in `v1.13`.
    ///
    /// # Errors
    /// The board file has none for it.
    pub fn for_talos(&self, line: &str) -> Result<Disk> {
        let names = |lines: &[String]| lines.iter().any(|l| l == line);
        let mut disk = Disk { talos: vec![line.to_owned()], layouts: Vec::new(), ..self.clone() };
        if names(&self.talos) {
            return Ok(disk);
        }
        let Some(change) = self.layouts.iter().find(|c| names(&c.talos)) else {
            let known = self.talos.iter().chain(self.layouts.iter().flat_map(|c| &c.talos));
            let known: Vec<&str> = known.map(String::as_str).collect();
            return Err(Failure::new(format!("the board file has no disk layout for Talos {line}"))
                .why(format!("it has those of {}", known.join(", "))));
        };
        disk.size_bytes = change.size_bytes;
        for (name, size_mib) in &change.partition_mib {
            let partition = disk.partitions.iter_mut().find(|p| p.name == *name);
            let partition = partition.ok_or_else(|| {
                Failure::new(format!("the disk layout of Talos {line} names partition `{name}`"))
                    .why("`disk.partitions` has none of this name")
            })?;
            partition.size_mib = *size_mib;
        }
        Ok(disk)
    }

    /// [`Disk::check_one`] for every line, none of which may be named twice.
    fn check(&self) -> Result<()> {
        let mut seen: Vec<&String> = Vec::new();
        for line in self.talos.iter().chain(self.layouts.iter().flat_map(|c| &c.talos)) {
            if seen.contains(&line) {
                return Err(Failure::new(format!("two disk layouts are for Talos {line}")));
            }
            seen.push(line);
            self.for_talos(line)?
                .check_one()
                .map_err(|e| e.during(format!("disk layout of Talos {line}")))?;
        }
        if self.talos.is_empty() {
            return Err(Failure::new("`disk.talos` is empty").why("the layout is for no line of Talos"));
        }
        Ok(())
    }

    fn check_one(&self) -> Result<()> {
        if !self.size_bytes.is_multiple_of(SECTOR_BYTES) {
            return Err(Failure::new(format!("`disk.size-bytes` {} is no multiple of 512", self.size_bytes)));
        }
        let mut regions: Vec<&Region> = self.regions.iter().collect();
        regions.sort_by_key(|r| r.start_lba);
        for r in &regions {
            // Where a tool that does not know the offset puts the entry array; Talos v1.10.6 leaves it (docs/rehearsal.md).
            if r.start_lba < 34 {
                return Err(Failure::new(format!("region `{}` overlaps the GPT", r.name))
                    .why(format!("it starts at LBA {}, the table ends at 33", r.start_lba)));
            }
            if r.limit_lba <= r.start_lba || r.limit_lba > self.offset_sectors {
                return Err(Failure::new(format!("region `{}` has no room", r.name)).why(format!(
                    "LBA {} to {} is empty or reaches past the reserved {} sectors",
                    r.start_lba, r.limit_lba, self.offset_sectors
                )));
            }
        }
        for r in &regions {
            if r.fit_lba <= r.start_lba || r.fit_lba >= r.limit_lba {
                return Err(Failure::new(format!("the FIT of region `{}` is outside of it", r.name))
                    .why(format!("LBA {} is not between {} and {}", r.fit_lba, r.start_lba, r.limit_lba)));
            }
        }
        for pair in regions.windows(2) {
            if pair[1].start_lba < pair[0].limit_lba {
                return Err(Failure::new(format!(
                    "regions `{}` and `{}` overlap",
                    pair[0].name, pair[1].name
                ))
                .why(format!("LBA {} is before LBA {}", pair[1].start_lba, pair[0].limit_lba)));
            }
        }
        for (i, r) in self.regions.iter().enumerate() {
            if self.regions[..i].iter().any(|q| q.name == r.name) {
                return Err(Failure::new(format!("two regions are named `{}`", r.name)));
            }
        }
        let overflow = || Failure::new("the sizes of the disk do not fit into 64 bits");
        let first_usable_mib = self.offset_sectors.checked_add(2 + 32).ok_or_else(overflow)?.div_ceil(2048);
        let wanted_mib = self
            .partitions
            .iter()
            .try_fold(first_usable_mib, |sum, p| sum.checked_add(p.size_mib))
            .ok_or_else(overflow)?
            - first_usable_mib;
        // The backup table takes the last 33 sectors.
        let room_mib = (self.size_bytes / SECTOR_BYTES).saturating_sub(33) / 2048;
        // Sums of sizes in MiB, which were just added up without overflow.
        if first_usable_mib + wanted_mib > room_mib {
            return Err(Failure::new("the partitions do not fit on the disk").why(format!(
                "{first_usable_mib} MiB before them and {wanted_mib} MiB of partitions need more than the {room_mib} MiB of the disk"
            )));
        }
        for (i, p) in self.partitions.iter().enumerate() {
            if self.partitions[..i].iter().any(|q| q.name == p.name) {
                return Err(Failure::new(format!("two partitions are named `{}`", p.name)));
            }
            // One ESP with U-Boot's files, one BOOT with Talos's: the image fills each kind with one content.
            let filled = p.filesystem != Filesystem::Zero;
            if let Some(q) = self.partitions[..i].iter().find(|q| filled && q.filesystem == p.filesystem) {
                return Err(Failure::new(format!(
                    "partitions `{}` and `{}` have the same content",
                    q.name, p.name
                ))
                .why("there is one FAT32 and one XFS file system to put into an image"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = include_str!("../../../boards/nanopi-m6.toml");

    fn refused(from: &str, to: &str) -> String {
        assert!(TEXT.contains(from), "the board file has no `{from}`");
        Board::parse(&TEXT.replacen(from, to, 1)).expect_err("must be refused").to_string()
    }

    #[test]
    fn the_board_file_is_valid() {
        let board = Board::parse(TEXT).expect("valid");
        assert_eq!(board.disk.partitions.len(), 4);
        assert_eq!(board.disk.regions[0].start_lba, 64);
    }

    #[test]
    fn must_fail_01_unknown_key() {
        assert!(refused("soc = ", "socc = ").contains("unknown field `socc`"));
    }

    #[test]
    fn must_fail_02_unknown_selection() {
        assert!(refused("rkbin = ", "rkbinn = ").contains("`select.rkbinn` is not known"));
    }

    #[test]
    fn must_fail_03_loader_over_the_table() {
        assert!(refused("start-lba = 64", "start-lba = 20").contains("overlaps the GPT"));
    }

    #[test]
    fn must_fail_04_loader_past_the_reserved_gap() {
        assert!(refused("limit-lba = 20480", "limit-lba = 20490").contains("has no room"));
    }

    #[test]
    fn must_fail_05_regions_overlap() {
        let second = "[[disk.regions]]\nname = \"x\"\nstage = \"s\"\nrole = \"r\"\nstart-lba = 100\nlimit-lba = 200\nfit-lba = 150\n\n[[disk.partitions]]\nname = \"EFI\"";
        let text = refused("[[disk.partitions]]\nname = \"EFI\"", second);
        assert!(text.contains("regions `u-boot` and `x` overlap"), "{text}");
    }

    #[test]
    fn must_fail_07_fit_outside_of_its_region() {
        assert!(refused("fit-lba = 16384", "fit-lba = 32").contains("the FIT of region `u-boot` is outside"));
    }

    #[test]
    fn must_fail_06_partitions_too_big() {
        assert!(refused("size-mib = 1000", "size-mib = 2000").contains("do not fit"));
    }

    #[test]
    fn must_fail_08_sizes_that_overflow() {
        // The largest number that TOML has; three of them are more than 64 bits.
        let text = TEXT.replace("size-mib = 1\n", &format!("size-mib = {}\n", i64::MAX));
        let text = Board::parse(&text.replace("size-mib = 100\n", &format!("size-mib = {}\n", i64::MAX)));
        assert!(text.expect_err("overflow").to_string().contains("do not fit into 64 bits"));
    }

    #[test]
    fn must_fail_09_names_and_contents_twice() {
        let second = "[[disk.regions]]\nname = \"u-boot\"\nstage = \"s\"\nrole = \"r\"\nstart-lba = 34\nlimit-lba = 60\nfit-lba = 50\n\n[[disk.partitions]]\nname = \"EFI\"";
        let text = refused("[[disk.partitions]]\nname = \"EFI\"", second);
        assert!(text.contains("two regions are named `u-boot`"), "{text}");
        let text = refused("filesystem = \"zero\"", "filesystem = \"fat32\"");
        assert!(text.contains("partitions `EFI` and `BIOS` have the same content"), "{text}");
    }

    #[test]
    fn layouts_of_the_lines() {
        let disk = Board::parse(TEXT).expect("valid").disk;
        let boot = |line: &str| {
            let layout = disk.for_talos(line).expect(line);
            (layout.size_bytes >> 20, layout.partitions[2].size_mib, layout.talos)
        };
        assert_eq!(boot("v1.10"), (1246, 1000, vec!["v1.10".to_owned()]));
        for line in ["v1.11", "v1.12", "v1.13", "v1.14"] {
            assert_eq!(boot(line), (2246, 2000, vec![line.to_owned()]));
        }
        let text = disk.for_talos("v1.9").expect_err("no such layout").to_string();
        assert!(text.contains("no disk layout for Talos v1.9") && text.contains("v1.10, v1.11"), "{text}");
    }

    #[test]
    fn must_fail_11_layouts() {
        let text = refused("talos = [\"v1.11\"", "talos = [\"v1.10\"");
        assert!(text.contains("two disk layouts are for Talos v1.10"), "{text}");
        let text = refused("{ BOOT = 2000 }", "{ STATE = 2000 }");
        assert!(text.contains("names partition `STATE`"), "{text}");
        let text = refused("{ BOOT = 2000 }", "{ BOOT = 3000 }");
        assert!(text.contains("disk layout of Talos v1.11") && text.contains("do not fit"), "{text}");
        assert!(refused("talos = [\"v1.10\"]", "talos = []").contains("`disk.talos` is empty"));
        assert!(refused("partition-mib", "partitions-mib").contains("unknown field"));
    }

    #[test]
    fn must_fail_10_sets() {
        assert!(refused("evidence = \"built-only\"", "evidence = \"rumour\"").contains("unknown variant"));
        assert!(refused("reason = ", "because = ").contains("unknown field `because`"));
    }
}
