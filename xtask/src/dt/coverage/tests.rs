// SPDX-License-Identifier: Apache-2.0 OR MIT

use super::*;

const TABLE: &str = r#"
[[by-other-means]]
compatible = ["cache*"]
means = "m"
[[wanted-gap]]
compatible = ["x,npu"]
option = "CONFIG_NPU"
reason = "r"
[[table-stakes]]
device = "RTC"
nodes = ["/rtc"]
option = "CONFIG_RTC"
[[table-stakes]]
device = "PHY"
phy-ids = [0x001cc916]
aliases = ["pci:v*"]
drivers = ["cpufreq-dt"]
option = "CONFIG_PHY"
"#;

#[test]
fn each_state_has_its_place() {
    let table: Table = toml::from_str(TABLE).expect("a table");
    let nothing = Drivers::default();
    assert_eq!(table.state(&["x,y", "cache"], &nothing), State::OtherMeans);
    assert_eq!(table.state(&["x,npu"], &nothing), State::Gap("CONFIG_NPU".to_owned(), "r".to_owned()));
    assert_eq!(table.state(&["x,other"], &nothing), State::Missing);
}

#[test]
fn must_fail_a_kernel_without_drivers() {
    let table: Table = toml::from_str(TABLE).expect("a table");
    let coverage = table.judge(&Dt::default(), &Drivers::default());
    let said: Vec<String> = coverage.complaints().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said[0].contains("there is no node `/rtc`") && said[0].contains("CONFIG_RTC"), "{}", said[0]);
    assert!(said[1].contains("no built-in driver for the PHY 001c.c916"), "{}", said[1]);
    assert!(said[2].contains("alias `pci:v*`") && said[3].contains("driver `cpufreq-dt`"), "{said:?}");
}
