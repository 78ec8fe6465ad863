// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The devices of a device tree, by the names that Linux gives them. Pure: a tree in, a list out.
//!
//! Names after Linux `drivers/of/device.c` (`of_device_make_bus_id`), `i2c-core-base.c` (`i2c_dev_set_name`) and
//! `drivers/spi/spi.c` (`spi_dev_set_name`).

use std::ops::Range;

use fw_image::fdt::{Node, Tree};

/// An enabled node that says what it is compatible with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// As Linux calls it: `fe2c0000.mmc`, `2-0042`, `spi2.0`.
    pub name: String,
    /// Where it stands in the tree.
    pub path: String,
    /// Most specific first.
    pub compatible: Vec<String>,
    /// Its registers, as the core sees them; none behind a bus of another kind.
    pub registers: Vec<Range<u64>>,
}

/// What a node's children need of the way to it.
#[derive(Clone)]
struct Way<'a> {
    path: String,
    /// Name of the parent as a part of its children's, `None` where the parent has none.
    prefix: Option<String>,
    address_cells: usize,
    size_cells: usize,
    /// From a child's address to the core's; `None` where there is no such way.
    translations: Option<Vec<Translation>>,
    /// Number of the bus, and its kind, for chips.
    chips: Option<(Bus, u32)>,
    tree: &'a Tree<'a>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bus {
    I2c,
    Spi,
}

/// One row of `ranges`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Translation {
    from: u64,
    to: u64,
    size: u64,
}

/// All enabled devices, in the order of the tree.
pub fn devices(tree: &Tree<'_>) -> Vec<Device> {
    let mut all = Vec::new();
    if let Ok(root) = tree.node("/") {
        let way = Way {
            path: String::new(),
            prefix: None,
            address_cells: cell(root, "#address-cells").unwrap_or(2),
            size_cells: cell(root, "#size-cells").unwrap_or(1),
            translations: Some(Vec::new()),
            chips: None,
            tree,
        };
        walk(root, &way, &mut all);
    }
    all
}

fn walk(parent: &Node<'_>, way: &Way<'_>, all: &mut Vec<Device>) {
    for node in parent.children.iter().filter(|node| enabled(node)) {
        let path = format!("{}/{}", way.path, node.name);
        let registers = registers(node, way);
        let name = name(node, way, registers.first().map(|r| r.start));
        let compatible = strings(node, "compatible");
        if !compatible.is_empty() {
            all.push(Device { name: name.clone(), path: path.clone(), compatible, registers });
        }
        let below = Way {
            chips: bus(node, &path, way.tree),
            prefix: Some(name),
            address_cells: cell(node, "#address-cells").unwrap_or(2),
            size_cells: cell(node, "#size-cells").unwrap_or(1),
            translations: translations(node, way),
            path,
            tree: way.tree,
        };
        walk(node, &below, all);
    }
}

fn name(node: &Node<'_>, way: &Way<'_>, address: Option<u64>) -> String {
    let first = property(node, "reg").and_then(|reg| number(reg.get(..4)?));
    if let (Some((bus, number)), Some(chip)) = (way.chips, first) {
        return match bus {
            Bus::I2c => format!("{number}-{chip:04x}"),
            Bus::Spi => format!("spi{number}.{chip}"),
        };
    }
    let base = node.name.split('@').next().unwrap_or_default();
    match (address, &way.prefix) {
        (Some(address), _) => format!("{address:x}.{base}"),
        (None, Some(prefix)) => format!("{prefix}:{}", node.name),
        (None, None) => node.name.to_owned(),
    }
}

/// The core's addresses of a node's registers.
fn registers(node: &Node<'_>, way: &Way<'_>) -> Vec<Range<u64>> {
    let row = 4 * (way.address_cells + way.size_cells);
    let (Some(reg), Some(_)) = (property(node, "reg"), &way.translations) else { return Vec::new() };
    if row == 0 || way.size_cells == 0 {
        return Vec::new();
    }
    let one = |bytes: &[u8]| {
        let (address, size) = bytes.split_at(4 * way.address_cells);
        let start = translate(number(address)?, way.translations.as_deref()?)?;
        Some(start..start.checked_add(number(size)?)?)
    };
    reg.chunks_exact(row).filter_map(one).collect()
}

/// No row: the same addresses (Devicetree Specification 0.4, 2.3.8).
fn translate(address: u64, rows: &[Translation]) -> Option<u64> {
    if rows.is_empty() {
        return Some(address);
    }
    let row = rows.iter().find(|row| address.checked_sub(row.from).is_some_and(|at| at < row.size))?;
    row.to.checked_add(address - row.from)
}

/// How addresses below a node become the core's.
fn translations(node: &Node<'_>, way: &Way<'_>) -> Option<Vec<Translation>> {
    let above = way.translations.as_deref()?;
    let ranges = property(node, "ranges")?;
    if ranges.is_empty() {
        return Some(above.to_vec());
    }
    let (own, size) = (cell(node, "#address-cells").unwrap_or(2), cell(node, "#size-cells").unwrap_or(1));
    let row = 4 * (own + way.address_cells + size);
    let one = |bytes: &[u8]| {
        let (from, rest) = bytes.split_at(4 * own);
        let (to, size) = rest.split_at(4 * way.address_cells);
        Some(Translation { from: number(from)?, to: translate(number(to)?, above)?, size: number(size)? })
    };
    let rows: Vec<_> = ranges.chunks_exact(row.max(4)).filter_map(one).collect();
    (!rows.is_empty()).then_some(rows)
}

/// Chips have names by their bus's number, which is that of its alias.
fn bus(node: &Node<'_>, path: &str, tree: &Tree<'_>) -> Option<(Bus, u32)> {
    let aliases = tree.node("/aliases").ok()?;
    aliases.properties.iter().find_map(|(alias, value)| {
        let kinds = [("i2c", Bus::I2c), ("spi", Bus::Spi)];
        let (number, kind) = kinds.iter().find_map(|(k, bus)| Some((alias.strip_prefix(k)?, *bus)))?;
        let same =
            value.strip_suffix(&[0]) == Some(path.as_bytes()) && node.name.starts_with(alias_kind(kind));
        Some((kind, number.parse().ok()?)).filter(|_| same)
    })
}

/// Generic names of the buses (Devicetree Specification 0.4, 2.2.2).
fn alias_kind(bus: Bus) -> &'static str {
    match bus {
        Bus::I2c => "i2c@",
        Bus::Spi => "spi@",
    }
}

/// No `status` is as good as `okay` (Devicetree Specification 0.4, 2.3.4).
fn enabled(node: &Node<'_>) -> bool {
    property(node, "status").is_none_or(|status| matches!(status, b"okay\0" | b"ok\0"))
}

fn property<'a>(node: &Node<'a>, name: &str) -> Option<&'a [u8]> {
    node.properties.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
}

fn strings(node: &Node<'_>, name: &str) -> Vec<String> {
    let value = property(node, name).unwrap_or_default();
    let parts = value.split(|b| *b == 0).filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

/// A count of cells; addresses and sizes of more than three cells do not exist.
fn cell(node: &Node<'_>, name: &str) -> Option<usize> {
    let value = number(property(node, name)?)?;
    usize::try_from(value).ok().filter(|cells| *cells <= 3)
}

/// A number of cells; the first of three is PCI's own (its kind of space).
fn number(bytes: &[u8]) -> Option<u64> {
    let words = bytes.as_chunks::<4>().0;
    let low = |n: usize| words.get(n).map(|w| u64::from(u32::from_be_bytes(*w)));
    match words.len() {
        0 => Some(0),
        1 => low(0),
        n => Some(low(n - 2)? << 32 | low(n - 1)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::sketch::Sketch;

    #[test]
    fn devices_have_the_names_that_linux_gives_them() {
        let phy = Sketch::new("usb2phy@8000").text("compatible", "phy").cells("reg", &[0x8000, 0x10]);
        let syscon = Sketch::new("syscon@fd5d8000")
            .with("compatible", b"rockchip,rk3588-usb2phy-grf\0syscon\0")
            .cells("reg", &[0, 0xfd5d_8000, 0, 0x4000])
            .cells("#address-cells", &[1])
            .cells("#size-cells", &[1])
            .below(phy);
        let i2c = Sketch::new("i2c@feaa0000")
            .text("compatible", "rockchip,rk3399-i2c")
            .cells("reg", &[0, 0xfeaa_0000, 0, 0x1000])
            .cells("#address-cells", &[1])
            .cells("#size-cells", &[0])
            .below(Sketch::new("regulator@42").text("compatible", "r").cells("reg", &[0x42]));
        let bus = Sketch::new("bus@1")
            .cells("#address-cells", &[1])
            .cells("#size-cells", &[1])
            .cells("ranges", &[0x100, 0, 0xff00_0000, 0x1000])
            .below(Sketch::new("sram@180").text("compatible", "s").cells("reg", &[0x180, 4]));
        let bytes = Sketch::new("")
            .cells("#address-cells", &[2])
            .cells("#size-cells", &[2])
            .below(Sketch::new("aliases").text("i2c2", "/i2c@feaa0000"))
            .below(Sketch::new("regulator-a").text("compatible", "regulator-fixed"))
            .below(syscon)
            .below(i2c)
            .below(bus)
            .below(Sketch::new("off@1").text("compatible", "x").text("status", "disabled"))
            .dtb();
        let tree = Tree::parse(&bytes).expect("a tree");
        let all = devices(&tree);
        let names: Vec<_> = all.iter().map(|d| d.name.as_str()).collect();
        let wanted = [
            "regulator-a",
            "fd5d8000.syscon",
            "fd5d8000.syscon:usb2phy@8000",
            "feaa0000.i2c",
            "2-0042",
            "ff000080.sram",
        ];
        assert_eq!(names, wanted);
        assert_eq!(all[1].registers.first(), Some(&(0xfd5d_8000..0xfd5d_c000)));
        assert_eq!(all[2].registers, [], "no way from there to the core's addresses");
        assert_eq!(all[1].compatible[1], "syscon");
    }

    #[test]
    fn hostile_cells_are_no_registers() {
        let wild = [u32::MAX; 5];
        for count in [0, 1, 2, 3, 4, u32::MAX] {
            let wild_node = |name: &str| Sketch::new(name).cells("reg", &wild).cells("ranges", &wild);
            let bytes = Sketch::new("")
                .cells("#address-cells", &[count])
                .cells("#size-cells", &[count])
                .below(wild_node("a@1").text("compatible", "a"))
                .below(wild_node("b@1").below(wild_node("c@1").text("compatible", "c")))
                .dtb();
            let tree = Tree::parse(&bytes).expect("a tree");
            assert_eq!(devices(&tree).len(), 2, "{count}");
        }
    }
}
