// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Address map of the SoC: which block lies where, and what kind of block it is.
//!
//! Bases after TF-A `rk3588_def.h` and Linux `rk3588-base.dtsi`. Nothing here has behaviour.

use std::ops::Range;

/// First and one past the last address of the register space below 4 GiB.
pub const REGISTER_SPACE: Range<u64> = 0xf000_0000..0x1_0000_0000;
/// On-chip SRAM beside DRAM: system SRAM with the mailbox, SRAM, PMU SRAM (`rk3588-base.dtsi`, TF-A
/// `rk3588_def.h`).
pub const SRAM: [Range<u64>; 2] = [0xfd60_0000..0xfd70_0000, 0xff00_0000..0xff20_0000];

/// What answers in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Registers that keep what is written.
    Plain,
    /// The same with write masks.
    Masked,
    /// UART 0 to 9.
    Uart(u8),
    /// GPIO bank 0 to 4.
    Gpio(u8),
    /// I2C host 0 to 8.
    I2c(u8),
    /// SPI host 0 to 4.
    Spi(u8),
    /// PMU1GRF.
    Pmu1Grf,
    /// SYS GRF.
    SysGrf,
    /// DSU SGRF.
    DsuSgrf,
    /// Clock and reset units.
    Cru,
    /// PMU part 2.
    Pmu,
    /// High-precision timer.
    HpTimer,
    /// Block of timers: secure 0, secure 1, non-secure 0, non-secure 1.
    Timer(u8),
    /// SD slot.
    Sd,
    /// SDIO.
    Sdio,
    /// eMMC.
    Emmc,
    /// OTP.
    Otp,
    /// Random numbers.
    Trng,
    /// ADC.
    Saradc,
    /// Temperature sensors.
    Tsadc,
    /// Ethernet.
    Gmac,
    /// USB host, high speed, 0 or 1.
    Ehci(u8),
    /// USB host, full and low speed, 0 or 1.
    Ohci(u8),
    /// USB host, super speed, 0 to 2.
    Xhci(u8),
    /// PHYs of the Type-C ports.
    UsbDpPhy,
    /// PCIe client registers.
    PcieClient,
    /// A window with nothing behind it.
    Window,
    /// GIC distributor.
    GicDistributor,
    /// GIC redistributors.
    GicRedistributors,
    /// Interrupt translation service 0 or 1.
    Its(u8),
    /// DMA controller 0 to 2.
    Pl330,
    /// Serial flash host.
    Fspi,
}

/// A block of registers.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// Name as the device tree or the reference manual has it.
    pub name: &'static str,
    /// First byte.
    pub base: u64,
    /// Length in bytes.
    pub size: u64,
    /// What answers.
    pub kind: Kind,
}

const fn block(name: &'static str, base: u64, size: u64, kind: Kind) -> Block {
    Block { name, base, size, kind }
}

/// All blocks, by address.
pub const BLOCKS: &[Block] = &[
    block("pcie windows", 0xf000_0000, 0x0500_0000, Kind::Window),
    block("gpu", 0xfb00_0000, 0x20_0000, Kind::Plain),
    block("usb_host0_xhci", 0xfc00_0000, 0x40_0000, Kind::Xhci(0)),
    block("usb_host1_xhci", 0xfc40_0000, 0x40_0000, Kind::Xhci(1)),
    block("usb_host0_ehci", 0xfc80_0000, 0x4_0000, Kind::Ehci(0)),
    block("usb_host0_ohci", 0xfc84_0000, 0x4_0000, Kind::Ohci(0)),
    block("usb_host1_ehci", 0xfc88_0000, 0x4_0000, Kind::Ehci(1)),
    block("usb_host1_ohci", 0xfc8c_0000, 0x4_0000, Kind::Ohci(1)),
    block("mmu600_pcie", 0xfc90_0000, 0x20_0000, Kind::Plain),
    block("mmu600_php", 0xfcb0_0000, 0x20_0000, Kind::Plain),
    block("usb_host2_xhci", 0xfcd0_0000, 0x40_0000, Kind::Xhci(2)),
    block("daplite", 0xfd10_0000, 0x40_0000, Kind::Plain),
    block("pmu0sgrf", 0xfd58_0000, 0x2000, Kind::Masked),
    block("pmu1sgrf", 0xfd58_2000, 0x2000, Kind::Masked),
    block("bussgrf", 0xfd58_6000, 0x1000, Kind::Masked),
    block("dsusgrf", 0xfd58_7000, 0x1000, Kind::DsuSgrf),
    block("pmu0grf", 0xfd58_8000, 0x2000, Kind::Plain),
    block("pmu1grf", 0xfd58_a000, 0x2000, Kind::Pmu1Grf),
    block("sys_grf", 0xfd58_c000, 0x1000, Kind::SysGrf),
    block("bigcore0_grf", 0xfd59_0000, 0x2000, Kind::Masked),
    block("bigcore1_grf", 0xfd59_2000, 0x2000, Kind::Masked),
    block("litcore_grf", 0xfd59_4000, 0x2000, Kind::Masked),
    block("dsu_grf", 0xfd59_8000, 0x2000, Kind::Masked),
    block("ddr01_grf", 0xfd59_c000, 0x1000, Kind::Masked),
    block("ddr23_grf", 0xfd59_d000, 0x1000, Kind::Masked),
    block("center_grf", 0xfd59_e000, 0x2000, Kind::Masked),
    block("gpu_grf", 0xfd5a_0000, 0x2000, Kind::Masked),
    block("npu_grf", 0xfd5a_2000, 0x2000, Kind::Masked),
    block("vop_grf", 0xfd5a_4000, 0x2000, Kind::Masked),
    block("vo0_grf", 0xfd5a_6000, 0x2000, Kind::Masked),
    block("vo1_grf", 0xfd5a_8000, 0x4000, Kind::Masked),
    block("usb_grf", 0xfd5a_c000, 0x4000, Kind::Masked),
    block("php_grf", 0xfd5b_0000, 0x4000, Kind::Masked),
    block("csidphy_grf", 0xfd5b_4000, 0x2000, Kind::Masked),
    block("pcie3phy_grf", 0xfd5b_8000, 0x4000, Kind::Masked),
    block("pipe_phy0_grf", 0xfd5b_c000, 0x4000, Kind::Masked),
    block("pipe_phy1_grf", 0xfd5c_0000, 0x4000, Kind::Masked),
    block("pipe_phy2_grf", 0xfd5c_4000, 0x4000, Kind::Masked),
    block("usbdpphy_grf", 0xfd5c_8000, 0x8000, Kind::Masked),
    block("usb2phy_grf", 0xfd5d_0000, 0x1_0000, Kind::Masked),
    block("hdptxphy_grf", 0xfd5e_0000, 0x8000, Kind::Masked),
    block("mipidcphy_grf", 0xfd5e_8000, 0x8000, Kind::Masked),
    block("ioc", 0xfd5f_0000, 0x1_0000, Kind::Masked),
    block("cru", crate::devices::cru::BASE, crate::devices::cru::SIZE, Kind::Cru),
    block("i2c0", 0xfd88_0000, 0x1000, Kind::I2c(0)),
    block("uart0", 0xfd89_0000, 0x1000, Kind::Uart(0)),
    block("gpio0", 0xfd8a_0000, 0x1000, Kind::Gpio(0)),
    block("pwm0", 0xfd8b_0000, 0x1000, Kind::Plain),
    block("pmu_pvtm", 0xfd8c_0000, 0x8000, Kind::Plain),
    block("hptimer", 0xfd8c_8000, 0x8000, Kind::HpTimer),
    block("pmu0", 0xfd8d_0000, 0x4000, Kind::Plain),
    block("pmu1", 0xfd8d_4000, 0x4000, Kind::Plain),
    block("pmu", 0xfd8d_8000, 0x4000, Kind::Pmu),
    block("pmu_wdt", 0xfd8e_0000, 0x1000, Kind::Plain),
    block("pmu_timer", 0xfd8f_0000, 0x1000, Kind::Plain),
    block("osc_chk", 0xfd9b_0000, 0x1000, Kind::Plain),
    block("npu", 0xfdab_0000, 0x4_0000, Kind::Plain),
    block("video codecs", 0xfdb5_0000, 0x13_0000, Kind::Plain),
    block("vop", 0xfdd9_0000, 0x1_0000, Kind::Plain),
    block("audio and display", 0xfdda_0000, 0x16_0000, Kind::Plain),
    block("qos", 0xfdf3_0000, 0x7_0000, Kind::Plain),
    block("ddr schedulers", 0xfe00_0000, 0x1_0000, Kind::Plain),
    block("firewall_dsu", 0xfe01_0000, 0x1_0000, Kind::Plain),
    block("firewall_ddr", 0xfe03_0000, 0x8000, Kind::Plain),
    block("firewall_sysmem", 0xfe03_8000, 0x8000, Kind::Plain),
    block("dfi", 0xfe06_0000, 0x4_0000, Kind::Plain),
    block("ddrphy", 0xfe0c_0000, 0x4_0000, Kind::Plain),
    block("ddr timer", 0xfe11_8000, 0x8000, Kind::Plain),
    block("pcie2x1l1", 0xfe18_0000, 0x1_0000, Kind::PcieClient),
    block("pcie2x1l2", 0xfe19_0000, 0x1_0000, Kind::PcieClient),
    block("gmac1", 0xfe1c_0000, 0x1_0000, Kind::Gmac),
    block("sata", 0xfe21_0000, 0x3_0000, Kind::Plain),
    block("sfc", 0xfe2b_0000, 0x4000, Kind::Fspi),
    block("sdmmc", 0xfe2c_0000, 0x4000, Kind::Sd),
    block("sdio", 0xfe2d_0000, 0x4000, Kind::Sdio),
    block("sdhci", 0xfe2e_0000, 0x1_0000, Kind::Emmc),
    block("crypto", 0xfe37_0000, 0x4000, Kind::Plain),
    block("rng", 0xfe37_8000, 0x200, Kind::Trng),
    block("keyladder", 0xfe38_0000, 0x1_0000, Kind::Plain),
    block("crypto_s", 0xfe39_0000, 0x1_0000, Kind::Plain),
    block("otp_s", 0xfe3a_0000, 0x1_0000, Kind::Plain),
    block("dcf", 0xfe3c_0000, 0x1_0000, Kind::Plain),
    block("stimer0", 0xfe3d_0000, 0x8000, Kind::Timer(0)),
    block("wdt_s", 0xfe3e_0000, 0x1000, Kind::Plain),
    block("crypto by keyladder", 0xfe42_0000, 0x1000, Kind::Plain),
    block("i2s", 0xfe47_0000, 0x4_0000, Kind::Plain),
    block("pdm and spdif", 0xfe4b_0000, 0x5_0000, Kind::Plain),
    block("gicd", 0xfe60_0000, 0x1_0000, Kind::GicDistributor),
    block("its0", 0xfe64_0000, 0x2_0000, Kind::Its(0)),
    block("its1", 0xfe66_0000, 0x2_0000, Kind::Its(1)),
    block("gicr", 0xfe68_0000, 0x10_0000, Kind::GicRedistributors),
    block("dmac0", 0xfea1_0000, 0x4000, Kind::Pl330),
    block("dmac1", 0xfea3_0000, 0x4000, Kind::Pl330),
    block("i2c1", 0xfea9_0000, 0x1000, Kind::I2c(1)),
    block("i2c2", 0xfeaa_0000, 0x1000, Kind::I2c(2)),
    block("i2c3", 0xfeab_0000, 0x1000, Kind::I2c(3)),
    block("i2c4", 0xfeac_0000, 0x1000, Kind::I2c(4)),
    block("i2c5", 0xfead_0000, 0x1000, Kind::I2c(5)),
    block("timer0", 0xfeae_0000, 0x8000, Kind::Timer(2)),
    block("timer1", 0xfeae_8000, 0x8000, Kind::Timer(3)),
    block("wdt", 0xfeaf_0000, 0x100, Kind::Plain),
    block("spi0", 0xfeb0_0000, 0x1000, Kind::Spi(0)),
    block("spi1", 0xfeb1_0000, 0x1000, Kind::Spi(1)),
    block("spi2", 0xfeb2_0000, 0x1000, Kind::Spi(2)),
    block("spi3", 0xfeb3_0000, 0x1000, Kind::Spi(3)),
    block("uart1", 0xfeb4_0000, 0x1000, Kind::Uart(1)),
    block("uart2", 0xfeb5_0000, 0x1000, Kind::Uart(2)),
    block("uart3", 0xfeb6_0000, 0x1000, Kind::Uart(3)),
    block("uart4", 0xfeb7_0000, 0x1000, Kind::Uart(4)),
    block("uart5", 0xfeb8_0000, 0x1000, Kind::Uart(5)),
    block("uart6", 0xfeb9_0000, 0x1000, Kind::Uart(6)),
    block("uart7", 0xfeba_0000, 0x1000, Kind::Uart(7)),
    block("uart8", 0xfebb_0000, 0x1000, Kind::Uart(8)),
    block("uart9", 0xfebc_0000, 0x1000, Kind::Uart(9)),
    block("pwm4", 0xfebd_0000, 0x3_0000, Kind::Plain),
    block("tsadc", 0xfec0_0000, 0x1000, Kind::Tsadc),
    block("saradc", 0xfec1_0000, 0x1_0000, Kind::Saradc),
    block("gpio1", 0xfec2_0000, 0x1000, Kind::Gpio(1)),
    block("gpio2", 0xfec3_0000, 0x1000, Kind::Gpio(2)),
    block("gpio3", 0xfec4_0000, 0x1000, Kind::Gpio(3)),
    block("gpio4", 0xfec5_0000, 0x1000, Kind::Gpio(4)),
    block("mailbox", 0xfec6_0000, 0x2_0000, Kind::Plain),
    block("i2c6", 0xfec8_0000, 0x1000, Kind::I2c(6)),
    block("i2c7", 0xfec9_0000, 0x1000, Kind::I2c(7)),
    block("i2c8", 0xfeca_0000, 0x1000, Kind::I2c(8)),
    block("spi4", 0xfecb_0000, 0x1000, Kind::Spi(4)),
    block("otp", 0xfecc_0000, 0x400, Kind::Otp),
    block("intmux", 0xfecf_8000, 0x8000, Kind::Plain),
    block("dmac2", 0xfed1_0000, 0x4000, Kind::Pl330),
    block("stimer1", 0xfed3_0000, 0x8000, Kind::Timer(1)),
    block("hdptxphy0", 0xfed6_0000, 0x2000, Kind::Plain),
    block("usbdp_phy", 0xfed8_0000, 0x2_0000, Kind::UsbDpPhy),
    block("mipidcphy", 0xfeda_0000, 0x2_0000, Kind::Plain),
    block("csi_dphy", 0xfedc_0000, 0x1_0000, Kind::Plain),
    block("combphy", 0xfee0_0000, 0x3_0000, Kind::Plain),
    // What the cores see above DRAM: PCIe memory and the controllers' own registers (`dbi` in the device tree).
    block("pcie memory", 0x9_0000_0000, 0x1_4000_0000, Kind::Window),
    block("pcie dbi", 0xa_4000_0000, 0x0200_0000, Kind::Plain),
];

/// Whether nothing but registers that keep what is written answers at an address: neither a model nor memory.
pub fn registers_only(address: u64) -> bool {
    match find(address) {
        Some(block) => block.kind == Kind::Plain,
        None => REGISTER_SPACE.contains(&address) && !SRAM.iter().any(|range| range.contains(&address)),
    }
}

/// The block of an address.
pub fn find(address: u64) -> Option<&'static Block> {
    let at = BLOCKS.partition_point(|block| block.base <= address).checked_sub(1)?;
    let block = &BLOCKS[at];
    (address - block.base < block.size).then_some(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_in_order_and_apart() {
        for pair in BLOCKS.windows(2) {
            assert!(
                pair[0].base + pair[0].size <= pair[1].base,
                "{} reaches into {}",
                pair[0].name,
                pair[1].name
            );
        }
    }

    #[test]
    fn addresses_find_their_block() {
        assert_eq!(find(0xfeb5_0014).map(|b| b.name), Some("uart2"));
        assert_eq!(find(0xfd7c_01b8).map(|b| b.kind), Some(Kind::Cru));
        assert!(find(0xfeb5_1000).is_none());
        assert!(find(0).is_none());
    }

    #[test]
    fn a_gpu_is_registers_only_and_a_uart_or_memory_is_not() {
        assert!(registers_only(0xfb00_0000) && registers_only(0xfeb5_1000));
        let others = [0xfeb5_0000, 0xfd5b_0000, 0xff00_1000, 0xfd60_0000, 0x0010_f000];
        assert!(!others.into_iter().any(registers_only));
    }
}
