// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which devices the kernel found drivers for on the model: its log against its device tree and against what the
//! model has.
//!
//! A driver that fails on a device of which the model has registers only is no finding about the image, and is
//! called that. Devices whose drivers are modules have not been asked by the time of `Run /init`.

pub mod log;
mod nodes;
mod show;

pub use self::show::json;

use std::collections::BTreeMap;

use fw_image::fdt::Tree;
use rk3588_model::soc::map;

use self::log::{Log, Outcome};
use self::nodes::Device;

/// Accesses to places without a model, by the address of their page of 4 KiB.
pub type Touched = BTreeMap<u64, u64>;

/// What the model has of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Modelled {
    /// Its behaviour, or it has no registers of its own to be modelled.
    Yes,
    /// Registers that keep what is written.
    RegistersOnly,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// As Linux calls it.
    pub name: String,
    /// Its node, for those that have one.
    pub path: Option<String>,
    /// How it stands; `None`: no driver was asked.
    pub outcome: Option<Outcome>,
    /// What the driver said.
    pub reason: Option<String>,
    /// What the model has of it.
    pub modelled: Modelled,
    /// Accesses of the kernel to registers of it that have no model.
    pub touched: u64,
}

/// All devices, and what the kernel touched that no enabled node describes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drivers {
    /// Sorted by name.
    pub rows: Vec<Row>,
    /// Whether the log reports every probe; if not, only failures are known.
    pub complete: bool,
    /// Pages without a model and without a node: address, name of the model's block, accesses.
    pub elsewhere: Vec<(u64, Option<&'static str>, u64)>,
}

impl Drivers {
    /// Joins log, tree and model.
    pub fn of(log: &Log, tree: &Tree<'_>, touched: &Touched) -> Drivers {
        let devices = nodes::devices(tree);
        let mut rows: Vec<Row> = devices.iter().map(|device| row(device, log, touched)).collect();
        let known = |name: &String| devices.iter().any(|device| device.name == *name);
        rows.extend(log.probes.iter().filter(|(name, _)| !known(name)).map(|(name, probe)| Row {
            name: name.clone(),
            path: None,
            outcome: Some(probe.outcome),
            reason: probe.reason.clone(),
            modelled: Modelled::Yes,
            touched: 0,
        }));
        rows.sort_by(|a, b| a.name.cmp(&b.name));
        let described = |page: u64| devices.iter().any(|device| covers(device, page));
        let elsewhere = touched.iter().filter(|(page, _)| !described(**page));
        let elsewhere = elsewhere.map(|(page, n)| (*page, map::find(*page).map(|b| b.name), *n)).collect();
        Drivers { rows, complete: log.complete, elsewhere }
    }

    /// Devices that stand so.
    pub fn with(&self, wanted: impl Fn(&Row) -> bool) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| wanted(row))
    }

    /// The device of this name.
    pub fn device(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }
}

impl Row {
    /// Name of its node, or of the device where there is none.
    pub fn node(&self) -> &str {
        self.path.as_deref().and_then(|path| path.rsplit('/').next()).unwrap_or(&self.name)
    }

    /// Its driver failed, and not because the model lacks the device.
    pub fn is_failure(&self) -> bool {
        matches!(self.outcome, Some(Outcome::Failed(_))) && self.modelled == Modelled::Yes
    }
}

fn row(device: &Device, log: &Log, touched: &Touched) -> Row {
    let probe = log.probes.get(&device.name);
    let registers_only = device.registers.first().is_some_and(|range| map::registers_only(range.start));
    Row {
        name: device.name.clone(),
        path: Some(device.path.clone()),
        outcome: probe.map(|p| p.outcome),
        reason: probe.and_then(|p| p.reason.clone()),
        modelled: if registers_only { Modelled::RegistersOnly } else { Modelled::Yes },
        touched: touched.iter().filter(|(page, _)| covers(device, **page)).map(|(_, n)| n).sum(),
    }
}

fn covers(device: &Device, page: u64) -> bool {
    device.registers.iter().any(|range| range.start < page + PAGE_BYTES && page < range.end)
}

/// What [`Touched`] counts by.
const PAGE_BYTES: u64 = 0x1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::sketch::Sketch;

    const LOG: &str = "
        [    1.000000] probe of reg-dummy returned 0 after 1 usecs
        [    1.000001] probe of fe2c0000.mmc returned 0 after 1 usecs
        [    1.000002] probe of feb20000.spi returned 22 after 1 usecs
        [    1.000003] probe of fb000000.gpu returned 22 after 1 usecs
        [    1.000004] probe of fe1c0000.ethernet returned -517 after 1 usecs";

    fn tree(mmc: &str) -> Vec<u8> {
        let device = |name: &str, address: u32| {
            Sketch::new(&format!("{name}@{address:x}"))
                .text("compatible", "some,thing")
                .cells("reg", &[0, address, 0, 0x2000])
        };
        Sketch::new("")
            .cells("#address-cells", &[2])
            .cells("#size-cells", &[2])
            .below(device("mmc", 0xfe2c_0000).text("status", mmc))
            .below(device("spi", 0xfeb2_0000))
            .below(device("gpu", 0xfb00_0000))
            .below(device("ethernet", 0xfe1c_0000))
            .below(device("npu", 0xfdab_0000))
            .dtb()
    }

    fn drivers(mmc: &str, log: &str) -> Drivers {
        let bytes = tree(mmc);
        let touched = Touched::from([(0xfb00_1000, 3), (0xfe06_0000, 2)]);
        Drivers::of(&log::read(log.lines()), &Tree::parse(&bytes).expect("a tree"), &touched)
    }

    #[test]
    fn a_missing_model_is_told_from_a_failure() {
        let all = drivers("okay", LOG);
        let device = |name: &str| all.device(name).expect(name);
        assert_eq!(device("fe2c0000.mmc").outcome, Some(Outcome::Bound));
        assert!(device("feb20000.spi").is_failure());
        let gpu = device("fb000000.gpu");
        assert_eq!(
            (gpu.outcome, gpu.modelled, gpu.touched),
            (Some(Outcome::Failed(22)), Modelled::RegistersOnly, 3)
        );
        assert!(!gpu.is_failure());
        assert_eq!(device("fe1c0000.ethernet").outcome, Some(Outcome::Deferred));
        assert_eq!(device("fdab0000.npu").outcome, None, "nobody was asked");
        assert_eq!(device("reg-dummy").path, None);
        assert_eq!(all.elsewhere, [(0xfe06_0000, Some("dfi"), 2)]);
    }

    #[test]
    fn must_fail_to_call_a_device_there_whose_node_is_disabled() {
        let log = LOG.replace("[    1.000001] probe of fe2c0000.mmc returned 0 after 1 usecs", "");
        assert_eq!(drivers("disabled", &log).device("fe2c0000.mmc"), None);
    }

    #[test]
    fn the_table_names_what_is_not_bound() {
        let text = drivers("okay", LOG).to_string();
        let line = |start: &str| text.lines().find(|l| l.starts_with(start)).unwrap_or_default().to_owned();
        assert!(line("bound").contains("2 of 5"), "{text}");
        assert!(text.contains("fe1c0000.ethernet"), "{text}");
        assert!(text.contains("feb20000.spi") && text.contains("EINVAL (22)"), "{text}");
        assert!(text.contains("without a model: npu"), "{text}");
    }
}
