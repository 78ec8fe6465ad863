// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The special behaviours of the model, each of which can be switched off.
//!
//! Switching one off must have the effect that its documentation names; a test per behaviour sees it. A
//! behaviour without such an effect would be superstition and has no place here.

/// One special behaviour. The documentation says what a run shows without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Behaviour {
    /// PLLs report lock. Without: the loader that programs the first PLL waits for ever.
    PllLock,
    /// The boot core's firewall asks for the warm reset once (DSU SGRF `soc_con4` bit 4). Without: BL31
    /// loses the arguments of SPL.
    DsuWarmReset,
    /// Masked registers keep what the mask does not name. Without: power domains, clocks and pins clobber
    /// each other.
    WriteMasks,
    /// The other cores are down (`PMU2_CLUSTER_ST`). Without: `nonboot cpus status(0) error!`.
    ClusterStatus,
    /// The big cores wait for events (`SYS_GRF_SOC_STATUS3`). Without: half a million polls in BL31.
    BigCoresWait,
    /// Power domains and buses follow the requests (`PMU2_BISR_STATUS4`, `PMU2_PWR_GATE_ST`, `PMU2_BUS_IDLE_ST`
    /// and their like). Without: timeouts in BL31, silent ones.
    PowerDomainStatus,
    /// `os_reg2` to `os_reg5` hold the geometry of DRAM. Without: U-Boot sees a fraction of it.
    DramGeometry,
    /// The frame of the last redistributor says so. Without: BL31 walks out of the GIC.
    GicLastFrame,
    /// A woken redistributor says that its children are awake. Without: BL31 waits for ever.
    GicWaker,
    /// `GICD_TYPER` counts interrupt lines. Without: BL31 and kernel set none of them up.
    GicLineCount,
    /// `GICD_PIDR2` names GICv3. Without: the kernel finds no distributor.
    GicArchitecture,
    /// A transmitter that is always empty. Without: nothing is printed, the first character waits.
    UartReady,
    /// Reset bits of the SD host clear themselves. Without: no card.
    DwMmcReset,
    /// Reset bits of the eMMC host clear themselves. Without: `Reset 0x1 never completed`.
    SdhciReset,
    /// The eMMC host's clock becomes stable. Without: `Internal clock never stabilised`.
    SdhciClock,
    /// The OTP controller finishes reads. Without: `misc_init_r` fails, the board stops.
    OtpReady,
    /// The random number generator answers with its version. Without: `wrong trng version`.
    TrngVersion,
    /// The I2C hosts report start, transfer and stop. Without: regulators on I2C cannot be set.
    I2cProgress,
    /// The SPI hosts return a byte for each sent. Without: the PMIC cannot be reached.
    SpiProgress,
    /// The USB hosts come out of reset. Without: `EHCI fail to reset`, where nothing on other media boots.
    UsbReset,
}

impl Behaviour {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::PllLock,
        Self::DsuWarmReset,
        Self::WriteMasks,
        Self::ClusterStatus,
        Self::BigCoresWait,
        Self::PowerDomainStatus,
        Self::DramGeometry,
        Self::GicLastFrame,
        Self::GicWaker,
        Self::GicLineCount,
        Self::GicArchitecture,
        Self::UartReady,
        Self::DwMmcReset,
        Self::SdhciReset,
        Self::SdhciClock,
        Self::OtpReady,
        Self::TrngVersion,
        Self::I2cProgress,
        Self::SpiProgress,
        Self::UsbReset,
    ];
}

/// A set of behaviours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviours(u32);

impl Default for Behaviours {
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl Behaviours {
    /// True when `behaviour` is on.
    pub fn has(self, behaviour: Behaviour) -> bool {
        self.0 & (1 << behaviour as u8) != 0
    }

    /// The set without `behaviour`.
    #[must_use]
    pub fn without(self, behaviour: Behaviour) -> Self {
        Self(self.0 & !(1 << behaviour as u8))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_behaviour_is_its_own_switch() {
        for off in Behaviour::ALL {
            let set = Behaviours::default().without(off);
            for other in Behaviour::ALL {
                assert_eq!(set.has(other), other != off, "{off:?} against {other:?}");
            }
        }
    }
}
