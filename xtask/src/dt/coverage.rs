// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Does the kernel that ships drive what the shipped device tree describes.
//!
//! Judges a compiled tree against a built kernel with the table `dt-rules/coverage.toml`; where drivers are found is
//! [`fw_image::kernel::drivers`]'s business.

use std::path::{Path, PathBuf};

use fs_err as fs;
use fw_build::store::Entry;
use fw_build::{Context as _, Failure, Result};
use fw_image::dt::Dt;
use fw_image::kernel::drivers::{Driver, Drivers, Files};
use serde::Deserialize;

use super::check::read;
use super::complaint::Complaint;

/// `coverage.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Table {
    /// Nodes that no driver's match table names, because something else reads them.
    #[serde(default)]
    pub by_other_means: Vec<OtherMeans>,
    /// Devices that stay without a driver.
    #[serde(default)]
    pub wanted_gap: Vec<WantedGap>,
    /// What the board cannot do without.
    #[serde(default)]
    pub table_stakes: Vec<TableStakes>,
}

/// Compatible strings with one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct OtherMeans {
    /// The strings, or beginnings that end in `*`.
    pub compatible: Vec<String>,
    /// What reads such nodes.
    pub means: String,
}

/// A gap that is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct WantedGap {
    /// The strings.
    pub compatible: Vec<String>,
    /// The kernel options that close it.
    pub option: String,
    /// Why it is left open.
    pub reason: String,
}

/// A device that must have its driver.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TableStakes {
    /// For people.
    pub device: String,
    /// Nodes that must be enabled and driven.
    #[serde(default)]
    pub nodes: Vec<String>,
    /// IDs of network PHYs that must have a driver of their own, built in: the generic one sets no delays.
    #[serde(default)]
    pub phy_ids: Vec<u32>,
    /// Module aliases that something must have, as the kernel writes them.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Drivers that are matched by name, as module names.
    #[serde(default)]
    pub drivers: Vec<String>,
    /// The kernel option, for the message.
    pub option: String,
}

/// What became of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Driven, by this `compatible`.
    Driven(String, Driver),
    /// Read by something else.
    OtherMeans,
    /// Left open on purpose: option and reason.
    Gap(String, String),
    /// Nothing drives it.
    Missing,
}

/// One enabled node with a `compatible`.
pub struct Covered {
    /// Label or path.
    pub node: String,
    /// Its strings.
    pub compatible: Vec<String>,
    /// What became of it.
    pub state: State,
}

/// One row of the table-stakes devices.
pub struct Stake {
    /// The device.
    pub device: String,
    /// What drives it.
    pub drivers: Vec<String>,
    /// What lacks.
    pub complaints: Vec<Complaint>,
}

/// The result.
pub struct Coverage {
    /// All enabled nodes.
    pub nodes: Vec<Covered>,
    /// The devices that the board cannot do without.
    pub stakes: Vec<Stake>,
}

impl Coverage {
    /// Everything that is wrong.
    pub fn complaints(&self) -> Vec<Complaint> {
        let missing = self.nodes.iter().filter(|n| n.state == State::Missing).map(|n| {
            let what = format!("`{}` (`{}`) has no driver", n.node, n.compatible.join("`, `"));
            let option = "no row of `dt-rules/coverage.toml` names it: add the kernel option, or a row with the reason";
            Complaint::because(what, option)
        });
        self.stakes.iter().flat_map(|s| s.complaints.iter().cloned()).chain(missing).collect()
    }
}

impl Table {
    /// Reads the table below the workspace's root.
    ///
    /// # Errors
    /// It is missing or not of its form.
    pub fn load(root: &Path) -> Result<Table> {
        read(&root.join("dt-rules/coverage.toml"))
    }

    /// Judges a tree against a kernel.
    pub fn judge(&self, dt: &Dt, kernel: &Drivers) -> Coverage {
        let nodes =
            dt.nodes().filter(|(path, node)| *path != "/" && node.enabled && !node.compatible().is_empty());
        let nodes = nodes.map(|(path, node)| {
            let compatible = node.compatible();
            Covered {
                node: dt.label_of(path).map_or_else(|| path.to_owned(), |l| format!("&{l}")),
                state: self.state(&compatible, kernel),
                compatible: compatible.iter().map(|c| (*c).to_owned()).collect(),
            }
        });
        Coverage {
            nodes: nodes.collect(),
            stakes: self.table_stakes.iter().map(|stakes| stakes.judge(dt, kernel)).collect(),
        }
    }

    fn state(&self, compatible: &[&str], kernel: &Drivers) -> State {
        if let Some((matched, driver)) = kernel.of(compatible) {
            return State::Driven(matched, driver.clone());
        }
        let fits = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => compatible.iter().any(|c| c.starts_with(prefix)),
            None => compatible.contains(&pattern.as_str()),
        };
        if self.by_other_means.iter().any(|row| row.compatible.iter().any(fits)) {
            return State::OtherMeans;
        }
        match self.wanted_gap.iter().find(|row| row.compatible.iter().any(fits)) {
            Some(row) => State::Gap(row.option.clone(), row.reason.clone()),
            None => State::Missing,
        }
    }
}

impl TableStakes {
    fn judge(&self, dt: &Dt, kernel: &Drivers) -> Stake {
        let mut stake = Stake { device: self.device.clone(), drivers: Vec::new(), complaints: Vec::new() };
        let mut need = |what: String, found: Option<String>| match found {
            Some(driver) => stake.drivers.push(driver),
            None => stake.complaints.push(Complaint::because(
                format!("{}: {what}", self.device),
                &format!("the board cannot do without it; the kernel option is {}", self.option),
            )),
        };
        for place in &self.nodes {
            let node = dt.resolve(place).and_then(|path| dt.node(&path));
            match node {
                Some(node) if node.enabled => {
                    let driver = kernel.of(&node.compatible()).map(|(_, d)| d.to_string());
                    need(
                        format!(
                            "no driver for `compatible` of `{place}` (`{}`)",
                            node.compatible().join("`, `")
                        ),
                        driver,
                    );
                }
                Some(_) => need(format!("`status` of `{place}`: the node is not enabled"), None),
                None => need(format!("there is no node `{place}`"), None),
            }
        }
        for id in &self.phy_ids {
            let driver = kernel.phy(*id).filter(|d| matches!(d, Driver::BuiltIn(_))).map(Driver::to_string);
            need(format!("no built-in driver for the PHY {:04x}.{:04x}", id >> 16, id & 0xffff), driver);
        }
        for alias in &self.aliases {
            need(format!("nothing has the alias `{alias}`"), kernel.alias(alias).map(Driver::to_string));
        }
        for name in &self.drivers {
            need(format!("there is no driver `{name}`"), kernel.named(name).map(|d| d.to_string()));
        }
        stake.drivers.dedup();
        stake
    }
}

/// Reads what the kernel stage left.
///
/// # Errors
/// A file is missing, or it is no kernel.
pub fn kernel(stage: &Entry) -> Result<Drivers> {
    let what = "cannot read the kernel's drivers";
    let release = fs::read_to_string(stage.path("release")?)?;
    let modules = stage.path("modules")?.join("usr/lib/modules").join(release.trim());
    let bytes = |path: PathBuf| -> Result<Vec<u8>> { fs::read(path).context(what) };
    let text = |name: &str| -> Result<String> { fs::read_to_string(modules.join(name)).context(what) };
    Drivers::read(&Files {
        vmlinux: &bytes(stage.path("vmlinux")?)?,
        builtin_modinfo: &bytes(modules.join("modules.builtin.modinfo"))?,
        builtin: &text("modules.builtin")?,
        alias: &text("modules.alias")?,
        dep: &text("modules.dep")?,
    })
    .map_err(|e| Failure::new(what).why(e))
}

/// Refuses a kernel that does not drive the board: part of making an image.
///
/// # Errors
/// The list of devices without a driver.
pub fn require(root: &Path, dtb: &Entry, kernel_stage: &Entry) -> Result<()> {
    let bytes = fs::read(dtb.path("dtb")?)?;
    let dt = Dt::parse(&bytes).map_err(|e| Failure::new("the device tree is damaged").why(e))?;
    let complaints = Table::load(root)?.judge(&dt, &kernel(kernel_stage)?).complaints();
    if complaints.is_empty() {
        return Ok(());
    }
    let failure = Failure::new("the kernel does not drive everything that the device tree describes");
    let failure = complaints.iter().fold(failure, |f, c| f.why(c));
    Err(failure.hint("`cargo xtask dt coverage` prints the whole table"))
}

#[cfg(test)]
mod tests;
