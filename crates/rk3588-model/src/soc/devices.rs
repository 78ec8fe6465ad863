// SPDX-License-Identifier: Apache-2.0 OR MIT
//! All devices of the SoC with what the NanoPi M6 has soldered to them.

use super::map::Kind;
use crate::devices::Device;
use crate::devices::absent::{PcieClient, Window};
use crate::devices::cru::Cru;
use crate::devices::dsu::DsuSgrf;
use crate::devices::gic::Gic;
use crate::devices::gmac::Gmac;
use crate::devices::gpio::Gpio;
use crate::devices::grf::{Plain, Pmu1Grf, SysGrf};
use crate::devices::i2c::{Chip, I2c};
use crate::devices::i2c_chips::{Hym8563, Rk860x};
use crate::devices::mmc::Card;
use crate::devices::mmc::dw_mmc::DwMmc;
use crate::devices::mmc::emmc::Emmc;
use crate::devices::mmc::sd::SdCard;
use crate::devices::mmc::sdhci::Sdhci;
use crate::devices::nor::Nor;
use crate::devices::otp::Otp;
use crate::devices::pl330::Pl330;
use crate::devices::pmu::Pmu;
use crate::devices::rk806::Rk806;
use crate::devices::saradc::Saradc;
use crate::devices::sfc::Sfc;
use crate::devices::spi::Spi;
use crate::devices::timer::{HpTimer, TimerBlock};
use crate::devices::trng::Trng;
use crate::devices::tsadc::Tsadc;
use crate::devices::uart::Uart;
use crate::devices::usb::{Ehci, Ohci, UsbDpPhy, Xhci};
use crate::dram::DramSize;
use crate::storage::Disk;

/// What differs from board to board.
#[derive(Debug, Default)]
pub struct Parts {
    /// DRAM.
    pub dram: DramSize,
    /// Card in the slot.
    pub sd: Option<Disk>,
    /// Soldered eMMC or its module.
    pub emmc: Option<Disk>,
    /// Content of the serial flash; without it there is none.
    pub spi: Option<Disk>,
    /// Words of the non-secure OTP area from its start.
    pub otp: Vec<u32>,
    /// Start of the sequence of "random" numbers.
    pub seed: u64,
    /// Voltages that the supplies of the cores start with.
    pub supplies: Supplies,
}

/// What the supplies of the cores give before any software sets them, in microvolts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Supplies {
    /// `vdd_cpu_lit_s0`, RK806 DC-DC 2.
    pub little: u32,
    /// `vdd_cpu_big0_s0`, RK8602 on I2C0.
    pub big0: u32,
    /// `vdd_cpu_big1_s0`, RK8603 on I2C0.
    pub big1: u32,
}

impl Default for Supplies {
    /// 0.75 V each: within every range that the device tree allows; not read from a board.
    fn default() -> Self {
        Self { little: 750_000, big0: 750_000, big1: 750_000 }
    }
}

/// Interrupts (SPI numbers) after `rk3588-base.dtsi`.
mod irq {
    pub const SDMMC: u32 = 203;
    pub const SDIO: u32 = 204;
    pub const EMMC: u32 = 205;
    pub const SFC: u32 = 206;
    pub const UART0: u32 = 331;
    pub const I2C0: u32 = 317;
    pub const TIMER0: u32 = 289;
    pub const SPI0: u32 = 326;
}

/// The devices.
#[derive(Debug)]
pub struct Devices {
    /// UART 0 to 9.
    pub uarts: [Uart; 10],
    gpios: [Gpio; 5],
    i2c: [I2c; 9],
    spi: [Spi; 5],
    /// PMU1GRF.
    pub pmu1_grf: Pmu1Grf,
    dsu_sgrf: DsuSgrf,
    /// Clock units.
    pub cru: Cru,
    pmu: Pmu,
    /// Timer blocks: secure 0 and 1, non-secure 0 and 1.
    pub timers: [TimerBlock; 4],
    /// The SD slot.
    pub sd: DwMmc,
    sdio: DwMmc,
    /// The eMMC host.
    pub emmc: Sdhci,
    sfc: Sfc,
    otp: Otp,
    trng: Trng,
    saradc: Saradc,
    tsadc: Tsadc,
    gmac: Gmac,
    ehci: [Ehci; 2],
    ohci: [Ohci; 2],
    xhci: [Xhci; 3],
    /// Interrupt controller.
    pub gic: Gic,
}

impl Devices {
    /// A board with these parts.
    pub fn new(parts: Parts) -> Self {
        let Parts { dram, sd, emmc, spi, otp, seed, supplies } = parts;
        // Card detect of the slot is GPIO0_A4, low with a card (`cd-gpios` of the board's device tree).
        let pins0 = if sd.is_some() { !(1 << 4) } else { u32::MAX };
        Self {
            uarts: std::array::from_fn(|n| Uart::new(irq::UART0 + n as u32)),
            gpios: std::array::from_fn(|n| Gpio::new(if n == 0 { pins0 } else { u32::MAX })),
            i2c: std::array::from_fn(|n| I2c::new(irq::I2C0 + n as u32, chips(n, supplies))),
            // The PMIC is on SPI2.
            spi: std::array::from_fn(|n| {
                Spi::new(irq::SPI0 + n as u32, (n == 2).then(|| Rk806::new(supplies.little)))
            }),
            pmu1_grf: Pmu1Grf::new(dram.geometry()),
            dsu_sgrf: DsuSgrf::new(),
            cru: Cru::default(),
            pmu: Pmu::default(),
            timers: [None, None, Some(irq::TIMER0), None].map(TimerBlock::new),
            sd: DwMmc::new(irq::SDMMC, sd.map(|disk| Box::new(SdCard::new(disk)) as Box<dyn Card>)),
            sdio: DwMmc::new(irq::SDIO, None),
            emmc: Sdhci::new(irq::EMMC, emmc.map(|disk| Box::new(Emmc::new(disk)) as Box<dyn Card>)),
            sfc: Sfc::new(irq::SFC, spi.map(Nor::new)),
            otp: Otp::new(&otp),
            trng: Trng::new(seed),
            saradc: Saradc::default(),
            tsadc: Tsadc::default(),
            gmac: Gmac::default(),
            ehci: Default::default(),
            ohci: Default::default(),
            xhci: Default::default(),
            gic: Gic::default(),
        }
    }

    /// The PMIC.
    pub fn pmic(&self) -> Option<&Rk806> {
        self.spi[2].pmic()
    }

    /// Runs `act` on the device of a kind; `None` for the parts of the GIC, which are reached with the
    /// security state of the access.
    pub fn with<R>(&mut self, kind: Kind, act: impl FnOnce(&mut dyn Device) -> R) -> Option<R> {
        Some(match kind {
            Kind::Plain => act(&mut { Plain::WHOLE }),
            Kind::Masked => act(&mut { Plain::MASKED }),
            Kind::Uart(n) => act(self.uarts.get_mut(usize::from(n))?),
            Kind::Gpio(n) => act(self.gpios.get_mut(usize::from(n))?),
            Kind::I2c(n) => act(self.i2c.get_mut(usize::from(n))?),
            Kind::Spi(n) => act(self.spi.get_mut(usize::from(n))?),
            Kind::Pmu1Grf => act(&mut self.pmu1_grf),
            Kind::SysGrf => act(&mut SysGrf),
            Kind::DsuSgrf => act(&mut self.dsu_sgrf),
            Kind::Cru => act(&mut self.cru),
            Kind::Pmu => act(&mut self.pmu),
            Kind::HpTimer => act(&mut HpTimer),
            Kind::Timer(n) => act(self.timers.get_mut(usize::from(n))?),
            Kind::Sd => act(&mut self.sd),
            Kind::Sdio => act(&mut self.sdio),
            Kind::Emmc => act(&mut self.emmc),
            Kind::Fspi => act(&mut self.sfc),
            Kind::Otp => act(&mut self.otp),
            Kind::Trng => act(&mut self.trng),
            Kind::Saradc => act(&mut self.saradc),
            Kind::Tsadc => act(&mut self.tsadc),
            Kind::Gmac => act(&mut self.gmac),
            Kind::Ehci(n) => act(self.ehci.get_mut(usize::from(n))?),
            Kind::Ohci(n) => act(self.ohci.get_mut(usize::from(n))?),
            Kind::Xhci(n) => act(self.xhci.get_mut(usize::from(n))?),
            Kind::UsbDpPhy => act(&mut UsbDpPhy),
            Kind::PcieClient => act(&mut PcieClient),
            Kind::Window => act(&mut Window),
            Kind::Pl330 => act(&mut Pl330),
            Kind::GicDistributor | Kind::GicRedistributors | Kind::Its(_) => return None,
        })
    }
}

/// Chips of I2C bus `bus` (`rk3588s-nanopi-m6` device tree): regulators of the big cores on bus 0, of the NPU
/// on bus 2, the clock on bus 6.
fn chips(bus: usize, supplies: Supplies) -> Vec<Box<dyn Chip>> {
    match bus {
        0 => {
            vec![Box::new(Rk860x::new(0, 0x42, supplies.big0)), Box::new(Rk860x::new(0, 0x43, supplies.big1))]
        }
        2 => vec![Box::new(Rk860x::new(2, 0x42, 750_000))],
        6 => vec![Box::new(Hym8563::new())],
        _ => Vec::new(),
    }
}
