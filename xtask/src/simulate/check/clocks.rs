// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The clocks of the CPU clusters: U-Boot raises them over SCMI, which the image's own BL31 answers, and no further
//! than the voltage that the regulators report allows.

use fw_image::fdt::{Node, Tree};
use rk3588_model::events::Event;

use super::runs::Boot;
use super::{Judged, Wanted, judged};

/// SCMI's clock protocol and its message "set rate" (SCMI specification 3.1, 4.6).
const CLOCK_PROTOCOL: u8 = 0x14;
const RATE_SET: u8 = 5;
/// A cluster.
struct Cluster {
    /// Node of its first core.
    core: &'static str,
    /// Its clock's number at SCMI (`SCMI_CLK_CPUL`, `CPUB01`, `CPUB23` of `rockchip,rk3588-cru.h`).
    clock: u32,
    /// Its regulator, as the model's records begin to name it.
    regulator: &'static str,
}

const CLUSTERS: [Cluster; 3] = [
    Cluster { core: "cpu@0", clock: 0, regulator: "rk806.dcdc2" },
    Cluster { core: "cpu@400", clock: 2, regulator: "rk860x@0-42." },
    Cluster { core: "cpu@600", clock: 3, regulator: "rk860x@0-43." },
];

/// An operating point: rate in Hz; target and greatest voltage in microvolts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Rate.
    pub hz: u64,
    /// Voltage that it wants.
    pub target: u32,
    /// Voltage that it bears.
    pub maximum: u32,
}

/// The assertions.
pub fn judge(wanted: &Wanted<'_>, boot: &Boot) -> Vec<Judged> {
    let mut all: Vec<_> = CLUSTERS
        .iter()
        .map(|Cluster { core, clock, .. }| {
            let verdict = wanted
                .subject
                .fit
                .device_tree(&wanted.subject.fit_bytes)
                .map_err(|e| e.to_string())
                .and_then(|tree| points(&tree, core))
                .and_then(|points| cluster(boot, core, *clock, &points));
            judged(format!("clock of {core}: as its voltage allows, set by BL31"), verdict)
        })
        .collect();
    all.extend(CLUSTERS.iter().map(|cluster| {
        let what = format!("clock of {}: its voltage is known before, and stays", cluster.core);
        judged(what, order(&boot.events, cluster))
    }));
    all
}

/// The operating points of a core, as the device tree has them.
fn points(tree: &Tree<'_>, core: &str) -> Result<Vec<Point>, String> {
    let path = format!("/cpus/{core}");
    let phandle = tree.number(&path, "operating-points-v2").map_err(|e| e.to_string())?;
    let root = tree.node("/").map_err(|e| e.to_string())?;
    let table = by_phandle(root, phandle).ok_or(format!("`{path}`: no node with its table's phandle"))?;
    let point = |node: &Node<'_>| {
        let value = |name| node.properties.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        let word = |bytes: &[u8], n: usize| Some(u32::from_be_bytes(*bytes.as_chunks::<4>().0.get(n)?));
        let volts = value("opp-microvolt")?;
        let target = word(volts, 0)?;
        let hz = u64::from_be_bytes(value("opp-hz")?.try_into().ok()?);
        Some(Point { hz, target, maximum: word(volts, 2).unwrap_or(target) })
    };
    Ok(table.children.iter().filter_map(point).collect())
}

fn by_phandle<'t, 'b>(node: &'t Node<'b>, phandle: u64) -> Option<&'t Node<'b>> {
    let value = node.properties.iter().find(|(name, _)| *name == "phandle").map(|(_, value)| *value);
    if value.is_some_and(|v| v.try_into().is_ok_and(|b| u64::from(u32::from_be_bytes(b)) == phandle)) {
        return Some(node);
    }
    node.children.iter().find_map(|child| by_phandle(child, phandle))
}

/// Rates in Hz that were set for a clock, with SCMI's status.
fn rates(events: &[Event], id: u32) -> Vec<(u64, u32)> {
    let rate = |event: &Event| match event {
        Event::Scmi { protocol: CLOCK_PROTOCOL, message: RATE_SET, request, response } => match request[..] {
            [_, clock, low, high] if clock == id => {
                Some((u64::from(high) << 32 | u64::from(low), response.first().copied().unwrap_or(u32::MAX)))
            }
            _ => None,
        },
        _ => None,
    };
    events.iter().filter_map(rate).collect()
}

fn cluster(boot: &Boot, core: &str, id: u32, points: &[Point]) -> Result<String, String> {
    let line = boot.starting("CPU:").first().copied().ok_or("U-Boot prints no line `CPU:`")?.to_owned();
    let part =
        line.trim_start_matches("CPU:").split(',').map(str::trim).find(|p| p.split(' ').next() == Some(core));
    let said = part.and_then(|p| match p.split(' ').collect::<Vec<_>>()[..] {
        [_, mhz, "MHz", "at", mv, "mV"] => Some((mhz.parse::<u64>().ok()?, mv.parse::<u32>().ok()?)),
        _ => None,
    });
    let (mhz, mv) = said.ok_or(format!("`{line}` does not say rate and voltage of {core}"))?;
    let microvolts = mv * 1000;
    let best =
        points.iter().filter(|p| p.target <= microvolts && microvolts <= p.maximum).map(|p| p.hz).max();
    let best = best.ok_or(format!("no operating point of {core} allows {mv} mV"))?;
    if best / 1_000_000 != mhz {
        return Err(format!("{core} runs at {mhz} MHz, its table allows {} at {mv} mV", best / 1_000_000));
    }
    match rates(&boot.events, id)[..] {
        [(hz, 0)] if hz == best => Ok(format!("{mhz} MHz at {mv} mV")),
        ref other => Err(format!("rates asked for, with BL31's answers: {other:?}; wanted once {best}")),
    }
}

/// The regulator is read, or programmed, before the clock is raised, and not programmed behind that.
fn order(events: &[Event], cluster: &Cluster) -> Result<String, String> {
    let of_cluster = |name: &str| name.starts_with(cluster.regulator);
    let voltage = |event: &Event| match event {
        Event::Voltage { regulator, microvolts } if of_cluster(regulator) => Some(("set to", *microvolts)),
        Event::VoltageRead { regulator, microvolts } if of_cluster(regulator) => {
            Some(("read as", *microvolts))
        }
        _ => None,
    };
    let is_rate = |event: &Event| {
        matches!(event, Event::Scmi { protocol: CLOCK_PROTOCOL, message: RATE_SET, request, .. }
            if request.get(1) == Some(&cluster.clock))
    };
    let rate = events.iter().position(is_rate).ok_or("no rate was asked for")?;
    let (before, behind) = events.split_at(rate);
    if let Some(late) = behind.iter().find(|e| matches!(voltage(e), Some(("set to", _)))) {
        return Err(format!("{late:?} comes after {:?}", events[rate]));
    }
    let (how, microvolts) = before
        .iter()
        .rev()
        .find_map(voltage)
        .ok_or("nobody looked at the regulator before the rate was set")?;
    Ok(format!("{} {how} {} mV before the rate", cluster.regulator.trim_end_matches('.'), microvolts / 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scmi(id: u32, hz: u32, status: u32) -> Event {
        let (protocol, message) = (CLOCK_PROTOCOL, RATE_SET);
        Event::Scmi { protocol, message, request: vec![0, id, hz, 0], response: vec![status] }
    }

    fn volt(regulator: &str) -> Event {
        Event::Voltage { regulator: regulator.into(), microvolts: 750_000 }
    }

    #[test]
    fn must_fail_a_rate_that_the_voltage_does_not_bear_or_bl31_refuses() {
        let points = [
            Point { hz: 1_200_000_000, target: 675_000, maximum: 950_000 },
            Point { hz: 1_416_000_000, target: 762_500, maximum: 950_000 },
        ];
        let boot =
            |line: &str, event| Boot { lines: vec![line.into()], events: vec![event], ..Boot::default() };
        let good = "CPU:   cpu@0 1200 MHz at 750 mV, cpu@400 left at 816 MHz (supply: -19)";
        let judge = |line, event| cluster(&boot(line, event), "cpu@0", 0, &points);
        assert_eq!(judge(good, scmi(0, 1_200_000_000, 0)), Ok("1200 MHz at 750 mV".into()));
        assert!(judge(good, scmi(0, 1_200_000_000, 0xffff_ffff)).is_err());
        assert!(judge(good, scmi(0, 1_416_000_000, 0)).is_err());
        assert!(judge(good, scmi(2, 1_200_000_000, 0)).is_err());
        assert!(judge("CPU:   cpu@0 1416 MHz at 750 mV", scmi(0, 1_416_000_000, 0)).is_err());
        assert!(judge("CPU:   cpu@0 left at 816 MHz (supply: -19)", scmi(0, 1_200_000_000, 0)).is_err());
        assert!(judge("CPU:   cpu@0 1200 MHz at 500 mV", scmi(0, 1_200_000_000, 0)).is_err());
    }

    #[test]
    fn must_fail_a_voltage_that_changes_behind_the_clock_or_is_not_looked_at() {
        let [little, big, _] = &CLUSTERS;
        let read = |regulator: &str| Event::VoltageRead { regulator: regulator.into(), microvolts: 750_000 };
        let said = order(&[read("rk806.dcdc2"), scmi(0, 1, 0)], little);
        assert_eq!(said, Ok("rk806.dcdc2 read as 750 mV before the rate".into()));
        assert!(order(&[volt("rk806.dcdc2"), scmi(0, 1, 0), volt("rk806.pldo1")], little).is_ok());
        assert!(order(&[read("rk806.dcdc2"), scmi(0, 1, 0), volt("rk860x@0-42.vsel0")], little).is_ok());
        // Behind the rate, not at all, of another cluster or another bus, or no rate.
        assert!(order(&[read("rk860x@0-42.vsel0"), scmi(2, 1, 0), volt("rk860x@0-42.vsel0")], big).is_err());
        assert!(order(&[scmi(2, 1, 0), read("rk860x@0-42.vsel0")], big).is_err());
        assert!(order(&[scmi(2, 1, 0)], big).is_err());
        assert!(order(&[read("rk860x@0-43.vsel0"), scmi(2, 1, 0)], big).is_err());
        assert!(order(&[read("rk860x@2-42.vsel0"), scmi(2, 1, 0)], big).is_err());
        assert!(order(&[read("rk860x@0-42.vsel0"), scmi(0, 1, 0)], big).is_err());
    }
}
