// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Which devices a built kernel and its modules can drive, read out of what the build leaves.
//!
//! Five places, as no single one is complete:
//!
//! | Place | What it knows |
//! | --- | --- |
//! | `vmlinux`, tables of `struct of_device_id` | every `compatible` that built-in code matches, also of interrupt controllers, clocks and timers, which are no modules and have no alias |
//! | `modules.builtin.modinfo` | aliases of built-in drivers with `MODULE_DEVICE_TABLE` (all buses) |
//! | `modules.alias` | aliases of modules (all buses) |
//! | `modules.builtin` | names of built-in drivers that could be modules, for those that are matched by name |
//! | initcall symbols of `vmlinux` | names of built-in code that could not (`__initcall__kmod_NAME__…`, `include/linux/init.h`) |
//!
//! `struct of_device_id` (`include/linux/mod_devicetable.h`) is 32 bytes of name, 32 of type, 128 of `compatible` and a
//! pointer, each text padded with zeros. A `compatible` that stands behind 64 zero bytes and is zero up to its 128
//! bytes is an entry of such a table; the same text as a mere string of the program never is. Entries with a name
//! or a type as well are not seen: no node of a Rockchip tree is matched by one.
//!
//! Must not know which devices there are to be: that is the caller's table.

use std::collections::{BTreeMap, BTreeSet};

use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

/// Bytes of the name and the type before `compatible`.
const BEFORE: usize = 64;
/// Bytes of `compatible`.
const COMPATIBLE: usize = 128;
/// Alignment of the structure: that of its pointer.
const ALIGNMENT: usize = 8;

/// Why a kernel could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not a 64-bit little-endian ELF file.
    #[error("`vmlinux` is not a readable ELF file: {0}")]
    Elf(object::Error),
    /// No entry at all: the file is no kernel, or was stripped of its data.
    #[error("`vmlinux` has no table of compatible strings")]
    NoTables,
}

/// How a device is driven.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Driver {
    /// Built in: the symbols of the match tables, or the module's name that the driver would have. One `compatible` in
    /// two tables (a chip on two buses) says that one of them fits, not which.
    BuiltIn(String),
    /// A module, by name.
    Module(String),
}

impl Driver {
    /// The name alone.
    pub fn name(&self) -> &str {
        match self {
            Driver::BuiltIn(name) | Driver::Module(name) => name,
        }
    }
}

impl std::fmt::Display for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Driver::BuiltIn(name) => write!(f, "built in, {name}"),
            Driver::Module(name) => write!(f, "module {name}"),
        }
    }
}

/// The files of a kernel build that are read.
pub struct Files<'a> {
    /// `vmlinux` with its symbols.
    pub vmlinux: &'a [u8],
    /// `modules.builtin.modinfo`: `module.key=value`, each ended by a zero byte.
    pub builtin_modinfo: &'a [u8],
    /// `modules.builtin`: paths of what would be modules.
    pub builtin: &'a str,
    /// `modules.alias`.
    pub alias: &'a str,
    /// `modules.dep`: which modules there are.
    pub dep: &'a str,
}

/// All that a kernel can drive.
#[derive(Debug, Clone, Default)]
pub struct Drivers {
    by_compatible: BTreeMap<String, Driver>,
    aliases: Vec<(String, Driver)>,
    builtin: BTreeSet<String>,
    modules: BTreeSet<String>,
}

impl Drivers {
    /// Reads a kernel build.
    ///
    /// # Errors
    /// `vmlinux` is not a kernel with symbols.
    pub fn read(files: &Files<'_>) -> Result<Drivers, Error> {
        let mut drivers = Drivers {
            modules: files
                .dep
                .lines()
                .filter_map(|l| l.split_once(':'))
                .map(|(p, _)| module_name(p))
                .collect(),
            builtin: files.builtin.lines().map(module_name).collect(),
            ..Drivers::default()
        };
        for line in files.alias.lines() {
            if let Some((alias, module)) = line.strip_prefix("alias ").and_then(|l| l.rsplit_once(' '))
                // An alias of a module that is not shipped drives nothing.
                && drivers.modules.contains(&module_name(module))
            {
                drivers.add_alias(alias, Driver::Module(module_name(module)));
            }
        }
        for record in files.builtin_modinfo.split(|b| *b == 0) {
            let text = String::from_utf8_lossy(record);
            if let Some((module, alias)) = text.split_once(".alias=") {
                drivers.add_alias(alias, Driver::BuiltIn(module.to_owned()));
            }
        }
        let linked = Linked::read(files.vmlinux)?;
        for (compatible, tables) in linked.tables {
            let tables: Vec<String> = tables.into_iter().collect();
            drivers.by_compatible.insert(compatible, Driver::BuiltIn(tables.join(", ")));
        }
        drivers.builtin.extend(linked.initcalls);
        Ok(drivers)
    }

    fn add_alias(&mut self, alias: &str, driver: Driver) {
        // of:N*T*Cvendor,device or of:N*T*Cvendor,deviceC* (scripts/mod/file2alias.c, do_of_entry).
        match alias.strip_prefix("of:").and_then(|a| a.split_once('C')) {
            Some((_, rest)) => {
                let compatible = rest.strip_suffix("C*").unwrap_or(rest);
                let known = self.by_compatible.entry(compatible.to_owned()).or_insert_with(|| driver.clone());
                *known = known.clone().min(driver);
            }
            None => self.aliases.push((alias.to_owned(), driver)),
        }
    }

    /// What drives the first of these compatible strings that anything drives.
    pub fn of(&self, compatible: &[&str]) -> Option<(String, &Driver)> {
        compatible.iter().find_map(|c| Some(((*c).to_owned(), self.by_compatible.get(*c)?)))
    }

    /// What drives a network PHY with this ID (`mdio:` aliases: 32 binary digits, `?` for any).
    pub fn phy(&self, id: u32) -> Option<&Driver> {
        let digits = format!("{id:032b}");
        let fits = |pattern: &str| {
            pattern.len() == digits.len()
                && pattern.bytes().zip(digits.bytes()).all(|(p, d)| p == b'?' || p == d)
        };
        let found = self.aliases.iter().filter(|(alias, _)| alias.strip_prefix("mdio:").is_some_and(fits));
        found.map(|(_, driver)| driver).min()
    }

    /// What has exactly this alias, wildcards and all.
    pub fn alias(&self, alias: &str) -> Option<&Driver> {
        self.aliases.iter().filter(|(a, _)| a == alias).map(|(_, driver)| driver).min()
    }

    /// The driver of this module name, whether built in or not; `-` and `_` are one.
    pub fn named(&self, name: &str) -> Option<Driver> {
        let name = module_name(name);
        if self.builtin.contains(&name) {
            return Some(Driver::BuiltIn(name));
        }
        self.modules.contains(&name).then_some(Driver::Module(name))
    }
}

/// `kernel/drivers/net/phy/realtek/realtek.ko` is `realtek`; `-` is written `_`, as the kernel does.
fn module_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

/// What the linked kernel says.
struct Linked {
    /// Every `compatible` of a match table, with the tables' symbols.
    tables: BTreeMap<String, BTreeSet<String>>,
    /// Names of code with an initcall.
    initcalls: BTreeSet<String>,
}

impl Linked {
    fn read(vmlinux: &[u8]) -> Result<Linked, Error> {
        let elf = ElfFile64::<Endianness>::parse(vmlinux).map_err(Error::Elf)?;
        let mut linked = Linked { tables: BTreeMap::new(), initcalls: BTreeSet::new() };
        let mut symbols: Vec<(u64, u64, &str)> = Vec::new();
        for symbol in elf.symbols() {
            let Ok(name) = symbol.name() else { continue };
            if let Some(kmod) = initcall(name) {
                linked.initcalls.insert(kmod.to_owned());
            } else if symbol.kind() == SymbolKind::Data && symbol.size() != 0 {
                symbols.push((symbol.address(), symbol.address() + symbol.size(), name));
            }
        }
        symbols.sort_unstable();
        let data_kinds = [SectionKind::ReadOnlyData, SectionKind::Data, SectionKind::ReadOnlyDataWithRel];
        for section in elf.sections().filter(|s| data_kinds.contains(&s.kind())) {
            for (offset, compatible) in entries(section.data().map_err(Error::Elf)?) {
                let address = section.address() + offset as u64;
                let at = symbols.partition_point(|(start, _, _)| *start <= address);
                // Data without a symbol of its own is no table of a driver.
                if let Some((_, _, name)) = symbols[..at].last().filter(|(_, end, _)| address < *end) {
                    linked.tables.entry(compatible.to_owned()).or_default().insert((*name).to_owned());
                }
            }
        }
        if linked.tables.is_empty() { Err(Error::NoTables) } else { Ok(linked) }
    }
}

/// `__initcall__kmod_cpufreq_dt_platdev__599_245_cpufreq_dt_platdev_init1` is of `cpufreq_dt_platdev`.
fn initcall(symbol: &str) -> Option<&str> {
    symbol.strip_prefix("__initcall__kmod_")?.split("__").next()
}

/// Offsets of the structures in a section, with their `compatible`.
fn entries(data: &[u8]) -> impl Iterator<Item = (usize, &str)> {
    let last = data.len().saturating_sub(BEFORE + COMPATIBLE);
    (0..=last).step_by(ALIGNMENT).filter_map(move |offset| {
        let entry = data.get(offset..offset + BEFORE + COMPATIBLE)?;
        let (before, compatible) = entry.split_at(BEFORE);
        if compatible[0] == 0 || before.iter().any(|b| *b != 0) {
            return None;
        }
        let end = compatible.iter().position(|b| *b == 0)?;
        let (text, rest) = compatible.split_at(end);
        let of_the_alphabet = |b: &u8| b.is_ascii_alphanumeric() || b",._+-/".contains(b);
        if !text.iter().all(of_the_alphabet) || rest.iter().any(|b| *b != 0) {
            return None;
        }
        Some((offset, std::str::from_utf8(text).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry as the compiler lays it out, with its pointer.
    fn entry(compatible: &str) -> Vec<u8> {
        let mut bytes = vec![0; BEFORE + COMPATIBLE + 8];
        bytes[BEFORE..BEFORE + compatible.len()].copy_from_slice(compatible.as_bytes());
        bytes[BEFORE + COMPATIBLE..].copy_from_slice(&0xffff_8000_8000_1000_u64.to_le_bytes());
        bytes
    }

    #[test]
    fn tables_are_found_and_strings_are_not() {
        let mut data = b"rockchip,rk3588-saradc\0rockchip,other\0".to_vec();
        data.resize(40, 0);
        data.extend(entry("rockchip,rk3588-pcie"));
        data.extend(entry("fixed-clock"));
        data.extend([0; 200]);
        // The same text with something in front, as a string of the program has.
        data.extend(b"compatib\0rockchip,no-table\0");
        data.extend([0; 200]);
        let found: Vec<_> = entries(&data).map(|(_, c)| c).collect();
        assert_eq!(found, ["rockchip,rk3588-pcie", "fixed-clock"]);
    }

    fn drivers(alias: &str, builtin_modinfo: &str, dep: &str) -> Drivers {
        let mut drivers = Drivers {
            modules: dep.lines().filter_map(|l| l.split_once(':')).map(|(p, _)| module_name(p)).collect(),
            builtin: [module_name("kernel/drivers/cpufreq/cpufreq-dt.ko")].into(),
            ..Drivers::default()
        };
        drivers.add_alias(alias, Driver::Module("ehci_platform".to_owned()));
        for record in builtin_modinfo.split('\0') {
            if let Some((module, alias)) = record.split_once(".alias=") {
                drivers.add_alias(alias, Driver::BuiltIn(module.to_owned()));
            }
        }
        drivers
    }

    #[test]
    fn aliases_of_all_kinds() {
        let modinfo = "realtek.alias=mdio:0000000000011100110010010001????\0dw.alias=of:N*T*Csnps,dw-wdtC*\0\
            realtek.license=GPL\0nvme.alias=pci:v*d*sv*sd*bc01sc08i02*\0";
        let drivers = drivers("of:N*T*Cgeneric-ehci", modinfo, "kernel/drivers/net/foo-bar.ko: x\n");
        let (matched, driver) = drivers.of(&["rockchip,rk3588-ehci", "generic-ehci"]).expect("the fallback");
        assert_eq!((matched.as_str(), driver.to_string().as_str()), ("generic-ehci", "module ehci_platform"));
        assert_eq!(drivers.of(&["snps,dw-wdt"]).expect("built in").1.to_string(), "built in, dw");
        assert_eq!(drivers.phy(0x001c_c916).map(Driver::name), Some("realtek"));
        assert_eq!(drivers.phy(0x4f51_e91b), None);
        assert_eq!(drivers.alias("pci:v*d*sv*sd*bc01sc08i02*").map(Driver::name), Some("nvme"));
        assert_eq!(drivers.named("cpufreq-dt"), Some(Driver::BuiltIn("cpufreq_dt".to_owned())));
        assert_eq!(drivers.named("foo_bar"), Some(Driver::Module("foo_bar".to_owned())));
        assert_eq!(drivers.named("nothing"), None);
    }

    #[test]
    fn names_of_initcalls() {
        let symbol = "__initcall__kmod_cpufreq_dt_platdev__599_245_cpufreq_dt_platdev_init1";
        assert_eq!(initcall(symbol), Some("cpufreq_dt_platdev"));
        assert_eq!(initcall("cpufreq_dt_platdev_init"), None);
    }

    #[test]
    fn must_fail_not_a_kernel() {
        let files = Files { vmlinux: b"\x7fELF", builtin_modinfo: b"", builtin: "", alias: "", dep: "" };
        assert!(matches!(Drivers::read(&files), Err(Error::Elf(_))));
    }
}
