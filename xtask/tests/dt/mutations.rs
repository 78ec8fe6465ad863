// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Changes of the device tree that must be caught, each with what the checks must say about it.

/// One change.
pub struct Mutation {
    /// For messages.
    pub name: &'static str,
    /// File of `dts/`.
    pub file: &'static str,
    /// Text in it, its first occurrence.
    pub from: &'static str,
    /// What takes its place.
    pub to: &'static str,
    /// What must be said: the property first, then the reason.
    pub says: &'static [&'static str],
    /// Whether `dt coverage` must refuse the tree, too.
    pub coverage: bool,
}

const BOARD: &str = "rk3588s-nanopi-m6.dtsi";

const fn mutation(
    name: &'static str,
    from: &'static str,
    to: &'static str,
    says: &'static [&'static str],
) -> Mutation {
    Mutation { name, file: BOARD, from, to, says, coverage: true }
}

/// All of them.
pub const MUTATIONS: &[Mutation] = &[
    mutation(
        "wrong PERST# pin",
        "reset-gpios = <&gpio3 RK_PD1 GPIO_ACTIVE_HIGH>;",
        "reset-gpios = <&gpio4 RK_PA5 GPIO_ACTIVE_HIGH>;",
        &["`reset-gpios` of `&pcie2x1l2` is `<&gpio4 5 0>`", "PERST# of the M-key slot; gpio4_A5"],
    ),
    mutation(
        "dropped ethernet0 alias",
        "ethernet0 = &gmac1;",
        "",
        &["`ethernet0` of `/aliases` is missing", "U-Boot writes the MAC address"],
    ),
    mutation(
        "HS400 added",
        "mmc-hs200-1_8v;",
        "mmc-hs200-1_8v;\n\tmmc-hs400-1_8v;\n\tmmc-hs400-enhanced-strobe;",
        &[
            "`mmc-hs400-1_8v` of `&sdhci` must not be there",
            "`mmc-hs400-enhanced-strobe` of `&sdhci` must not be there",
            "HS400 gives I/O and CRC errors on boards of this family",
        ],
    ),
    mutation(
        "regulator supply removed",
        "vmmc-supply = <&vcc_3v3_sd_s0>;",
        "",
        &["`vmmc-supply` of `&sdmmc` is missing", "runs on a dummy"],
    ),
    mutation(
        "supply of the M.2 slot removed",
        "vpcie3v3-supply = <&vcc_3v3_pcie>;",
        "",
        &["`vpcie3v3-supply` of `&pcie2x1l2` is missing", "runs on a dummy"],
    ),
    mutation(
        "PHY pinned by ID",
        "compatible = \"ethernet-phy-ieee802.3-c22\";",
        "compatible = \"ethernet-phy-id001c.c916\";",
        &["`compatible` of `&rgmii_phy1` has `ethernet-phy-id001c.c916`", "PHYs of different makers"],
    ),
    mutation(
        "reset inside the PHY's node",
        "compatible = \"ethernet-phy-ieee802.3-c22\";",
        "compatible = \"ethernet-phy-ieee802.3-c22\";\n\t\treset-gpios = <&gpio3 RK_PB7 GPIO_ACTIVE_LOW>;",
        &[
            "`reset-gpios` of `&rgmii_phy1` is `<&gpio3 0xf 1>`, must not be there",
            "released only after the ID was read",
        ],
    ),
    mutation(
        "wrong transmit delay",
        "tx_delay = <0x42>;",
        "tx_delay = <0x30>;",
        &["`tx_delay` of `&gmac1` is `<0x30>`, must be `<0x42>`", "delay of the transmit clock"],
    ),
    mutation(
        "dropped mmc alias",
        "mmc1 = &sdhci;",
        "",
        &["`mmc1` of `/aliases` is missing", "numbers of the MMC devices are chosen once"],
    ),
    mutation(
        "no console",
        "stdout-path = \"serial2:1500000n8\";",
        "",
        &["`stdout-path` of `/chosen` is missing", "earlycon"],
    ),
    mutation(
        "NPU voltage beyond its range",
        "regulator-max-microvolt = <950000>;",
        "regulator-max-microvolt = <1150000>;",
        &["`regulator-max-microvolt` of `&vdd_npu_s0` is", "NPU nodes have no consumer"],
    ),
    mutation(
        "a rail that may go off",
        "regulator-name = \"vcc_3v3_s3\";\n\t\t\t\tregulator-always-on;",
        "regulator-name = \"vcc_3v3_s3\";",
        &["`regulator-always-on` of `&vcc_3v3_s3` is missing", "takes the board down"],
    ),
    mutation(
        "the neighbour's USB power pin",
        "gpios = <&gpio3 RK_PD4 GPIO_ACTIVE_HIGH>;",
        "gpios = <&gpio1 RK_PD2 GPIO_ACTIVE_HIGH>;",
        &["`gpios` of `&vcc5v0_usb_otg0` is", "gpio1_D2 is the R6C's"],
    ),
    mutation(
        "PHY of the M.2 slot off",
        "&combphy0_ps {\n\tstatus = \"okay\";",
        "&combphy0_ps {\n\tstatus = \"disabled\";",
        &["`phys` of `&pcie2x1l2` refers to `&combphy0_ps`, which is disabled", "waits for ever"],
    ),
    mutation(
        "one pin, two users",
        "&fan 2 3>;",
        "&fan 2 3>; };\n\t\t};\n};\n\n&pwm15 {\n\tpinctrl-names = \"default\";\n\tpinctrl-0 = <&sys_led_pin>;\n\tstatus = \"okay\";\n};\n\n&package_thermal {\n\tcooling-maps {\n\t\tmap-fan-more {",
        &["pin gpio1_A4 has 2 users", "`pinctrl-0`"],
    ),
    Mutation {
        coverage: false,
        ..mutation(
            "a property that the neighbour does not have and no row names",
            "&i2c0 {\n",
            "&i2c0 {\n\tclock-frequency = <400000>;\n",
            &["unexplained: &i2c0 clock-frequency: ", "no row of the table"],
        )
    },
    Mutation {
        file: "u-boot-2025.01/rk3588s-nanopi-m6.dts",
        coverage: false,
        ..mutation(
            "a loader that sees another board than the kernel",
            "#include \"rk3588s-nanopi-m6.dtsi\"\n",
            "#include \"rk3588s-nanopi-m6.dtsi\"\n\n&sdmmc {\n\tmax-frequency = <50000000>;\n};\n",
            &["`max-frequency` of `/mmc@fe2c0000` is", "in u-boot-2025.01", "must describe one board"],
        )
    },
    Mutation {
        coverage: false,
        ..mutation(
            "references out of order",
            "&combphy0_ps {\n\tstatus = \"okay\";\n};\n\n&combphy2_psu {\n\tstatus = \"okay\";\n};",
            "&combphy2_psu {\n\tstatus = \"okay\";\n};\n\n&combphy0_ps {\n\tstatus = \"okay\";\n};",
            &["`&combphy0_ps` belongs before `&combphy2_psu`"],
        )
    },
];
