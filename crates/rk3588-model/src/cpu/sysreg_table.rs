// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The system registers that the core has, with what they read as after reset. Data only.
//!
//! Encodings: DDI 0487 chapter D24. Identification values: Cortex-A55 r2p0 Technical Reference Manual, less what
//! this core does not do, so that software does not use it: no AArch32, half-precision arithmetic, dot product, RDM,
//! cryptography, PAN, VHE, stage 2 with 16-bit VMID, hardware access flags, performance counters, RAS.

use crate::bus::SysReg;

/// What a register does beyond keeping its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Reads as it was written.
    Plain,
    /// Cannot be written: MSR is undefined.
    Constant,
    /// Handled by name in [`super::sysreg`].
    Special,
    /// As `Special`, and EL0 may use it.
    SpecialAtEl0,
    /// Reads as it was written, also at EL0.
    PlainAtEl0,
    /// EL0 may read it only; for the levels above it is plain.
    ReadAtEl0,
    /// EL0 may read it; nobody writes it.
    ConstantAtEl0,
}

macro_rules! registers {
    ($($name:ident $op0:literal $op1:literal $crn:literal $crm:literal $op2:literal $rule:ident $reset:literal;)*) => {
        /// The registers by their names in the manual.
        #[allow(missing_docs, dead_code)]
        pub mod name {
            use crate::bus::SysReg;
            $(pub const $name: SysReg = SysReg::new($op0, $op1, $crn, $crm, $op2);)*
        }
        /// All of them.
        pub const REGISTERS: &[(SysReg, Rule, u64)] = &[$((name::$name, Rule::$rule, $reset)),*];
    };
}

registers! {
    MIDR_EL1 3 0 0 0 0 Special 0x412f_d050;
    MPIDR_EL1 3 0 0 0 5 Special 0x8100_0000;
    REVIDR_EL1 3 0 0 0 6 Constant 0;
    ID_AA64PFR0_EL1 3 0 0 4 0 Constant 0x1100_0000_0100_1111;
    ID_AA64DFR0_EL1 3 0 0 5 0 Constant 0x1030_5006;
    ID_AA64ISAR0_EL1 3 0 0 6 0 Constant 0x0021_0000;
    ID_AA64ISAR1_EL1 3 0 0 6 1 Constant 0x0010_0001;
    ID_AA64MMFR0_EL1 3 0 0 7 0 Constant 0x0f00_1022;
    CCSIDR_EL1 3 1 0 0 0 Constant 0x700f_e01a;
    CLIDR_EL1 3 1 0 0 1 Constant 0;
    AIDR_EL1 3 1 0 0 7 Constant 0;
    CSSELR_EL1 3 2 0 0 0 Plain 0;
    CTR_EL0 3 3 0 0 1 ConstantAtEl0 0x8444_8004;
    DCZID_EL0 3 3 0 0 7 ConstantAtEl0 4;
    VPIDR_EL2 3 4 0 0 0 Plain 0x412f_d050;
    VMPIDR_EL2 3 4 0 0 5 Plain 0x8100_0000;
    SCTLR_EL1 3 0 1 0 0 Special 0x30d0_0800;
    ACTLR_EL1 3 0 1 0 1 Plain 0;
    CPACR_EL1 3 0 1 0 2 Plain 0;
    SCTLR_EL2 3 4 1 0 0 Special 0x30c5_0830;
    ACTLR_EL2 3 4 1 0 1 Plain 0;
    HCR_EL2 3 4 1 1 0 Special 0;
    MDCR_EL2 3 4 1 1 1 Plain 0;
    CPTR_EL2 3 4 1 1 2 Plain 0;
    HSTR_EL2 3 4 1 1 3 Plain 0;
    HACR_EL2 3 4 1 1 7 Plain 0;
    SCTLR_EL3 3 6 1 0 0 Special 0x30c5_0830;
    ACTLR_EL3 3 6 1 0 1 Plain 0;
    SCR_EL3 3 6 1 1 0 Special 0;
    SDER32_EL3 3 6 1 1 1 Plain 0;
    CPTR_EL3 3 6 1 1 2 Plain 0;
    MDCR_EL3 3 6 1 3 1 Plain 0;
    TTBR0_EL1 3 0 2 0 0 Special 0;
    TTBR1_EL1 3 0 2 0 1 Special 0;
    TCR_EL1 3 0 2 0 2 Special 0;
    TTBR0_EL2 3 4 2 0 0 Special 0;
    TCR_EL2 3 4 2 0 2 Special 0;
    VTTBR_EL2 3 4 2 1 0 Plain 0;
    VTCR_EL2 3 4 2 1 2 Plain 0;
    TTBR0_EL3 3 6 2 0 0 Special 0;
    TCR_EL3 3 6 2 0 2 Special 0;
    DACR32_EL2 3 4 3 0 0 Plain 0;
    SPSR_EL1 3 0 4 0 0 Plain 0;
    ELR_EL1 3 0 4 0 1 Plain 0;
    SP_EL0 3 0 4 1 0 Special 0;
    SPSEL 3 0 4 2 0 Special 0;
    CURRENT_EL 3 0 4 2 2 Special 0;
    NZCV 3 3 4 2 0 SpecialAtEl0 0;
    DAIF 3 3 4 2 1 Special 0;
    FPCR 3 3 4 4 0 Special 0;
    FPSR 3 3 4 4 1 Special 0;
    SPSR_EL2 3 4 4 0 0 Plain 0;
    ELR_EL2 3 4 4 0 1 Plain 0;
    SP_EL1 3 4 4 1 0 Special 0;
    SPSR_IRQ 3 4 4 3 0 Plain 0;
    SPSR_ABT 3 4 4 3 1 Plain 0;
    SPSR_UND 3 4 4 3 2 Plain 0;
    SPSR_FIQ 3 4 4 3 3 Plain 0;
    SPSR_EL3 3 6 4 0 0 Plain 0;
    ELR_EL3 3 6 4 0 1 Plain 0;
    SP_EL2 3 6 4 1 0 Special 0;
    AFSR0_EL1 3 0 5 1 0 Plain 0;
    AFSR1_EL1 3 0 5 1 1 Plain 0;
    ESR_EL1 3 0 5 2 0 Plain 0;
    IFSR32_EL2 3 4 5 0 1 Plain 0;
    AFSR0_EL2 3 4 5 1 0 Plain 0;
    AFSR1_EL2 3 4 5 1 1 Plain 0;
    ESR_EL2 3 4 5 2 0 Plain 0;
    AFSR0_EL3 3 6 5 1 0 Plain 0;
    AFSR1_EL3 3 6 5 1 1 Plain 0;
    ESR_EL3 3 6 5 2 0 Plain 0;
    FAR_EL1 3 0 6 0 0 Plain 0;
    FAR_EL2 3 4 6 0 0 Plain 0;
    HPFAR_EL2 3 4 6 0 4 Plain 0;
    FAR_EL3 3 6 6 0 0 Plain 0;
    PAR_EL1 3 0 7 4 0 Plain 0;
    PMSELR_EL0 3 3 9 12 5 Plain 0;
    PMCR_EL0 3 3 9 12 0 Plain 0;
    PMCNTENSET_EL0 3 3 9 12 1 Plain 0;
    PMCNTENCLR_EL0 3 3 9 12 2 Plain 0;
    PMOVSCLR_EL0 3 3 9 12 3 Plain 0;
    PMCCNTR_EL0 3 3 9 13 0 Plain 0;
    PMUSERENR_EL0 3 3 9 14 0 Plain 0;
    PMINTENSET_EL1 3 0 9 14 1 Plain 0;
    PMINTENCLR_EL1 3 0 9 14 2 Plain 0;
    PMCCFILTR_EL0 3 3 14 15 7 Plain 0;
    MAIR_EL1 3 0 10 2 0 Special 0;
    AMAIR_EL1 3 0 10 3 0 Plain 0;
    MAIR_EL2 3 4 10 2 0 Special 0;
    AMAIR_EL2 3 4 10 3 0 Plain 0;
    MAIR_EL3 3 6 10 2 0 Special 0;
    AMAIR_EL3 3 6 10 3 0 Plain 0;
    VBAR_EL1 3 0 12 0 0 Plain 0;
    ISR_EL1 3 0 12 1 0 Special 0;
    VBAR_EL2 3 4 12 0 0 Plain 0;
    VBAR_EL3 3 6 12 0 0 Plain 0;
    RVBAR_EL3 3 6 12 0 1 Constant 0xffff_0000;
    RMR_EL3 3 6 12 0 2 Special 1;
    CONTEXTIDR_EL1 3 0 13 0 1 Plain 0;
    TPIDR_EL1 3 0 13 0 4 Plain 0;
    TPIDR_EL0 3 3 13 0 2 PlainAtEl0 0;
    TPIDRRO_EL0 3 3 13 0 3 ReadAtEl0 0;
    TPIDR_EL2 3 4 13 0 2 Plain 0;
    TPIDR_EL3 3 6 13 0 2 Plain 0;
    CNTKCTL_EL1 3 0 14 1 0 Plain 0;
    CNTFRQ_EL0 3 3 14 0 0 ReadAtEl0 24_000_000;
    CNTPCT_EL0 3 3 14 0 1 SpecialAtEl0 0;
    CNTVCT_EL0 3 3 14 0 2 SpecialAtEl0 0;
    CNTP_TVAL_EL0 3 3 14 2 0 Special 0;
    CNTP_CTL_EL0 3 3 14 2 1 Special 0;
    CNTP_CVAL_EL0 3 3 14 2 2 Special 0;
    CNTV_TVAL_EL0 3 3 14 3 0 Special 0;
    CNTV_CTL_EL0 3 3 14 3 1 Special 0;
    CNTV_CVAL_EL0 3 3 14 3 2 Special 0;
    CNTVOFF_EL2 3 4 14 0 3 Special 0;
    CNTHCTL_EL2 3 4 14 1 0 Plain 3;
    CNTHP_TVAL_EL2 3 4 14 2 0 Special 0;
    CNTHP_CTL_EL2 3 4 14 2 1 Special 0;
    CNTHP_CVAL_EL2 3 4 14 2 2 Special 0;
    CNTPS_TVAL_EL1 3 7 14 2 0 Special 0;
    CNTPS_CTL_EL1 3 7 14 2 1 Special 0;
    CNTPS_CVAL_EL1 3 7 14 2 2 Special 0;
    MDCCINT_EL1 2 0 0 2 0 Plain 0;
    MDSCR_EL1 2 0 0 2 2 Plain 0;
    MDCCSR_EL0 2 3 0 1 0 Constant 0;
    MDRAR_EL1 2 0 1 0 0 Constant 0;
    OSLAR_EL1 2 0 1 0 4 Plain 0;
    OSLSR_EL1 2 0 1 1 4 Constant 8;
    OSDLR_EL1 2 0 1 3 4 Plain 0;
    DBGPRCR_EL1 2 0 1 4 4 Plain 0;
    DBGCLAIMSET_EL1 2 0 7 8 6 Plain 0;
    DBGCLAIMCLR_EL1 2 0 7 9 6 Plain 0;
}

/// Registers that every level has, by the level.
pub mod banked {
    use super::name;
    use crate::bus::SysReg;

    macro_rules! banked {
        ($($function:ident $one:ident $two:ident $three:ident;)*) => {
            $(/// The register of an exception level; EL0 has that of EL1.
            pub const fn $function(el: u8) -> SysReg {
                match el {
                    3 => name::$three,
                    2 => name::$two,
                    _ => name::$one,
                }
            })*
        };
    }

    banked! {
        sctlr SCTLR_EL1 SCTLR_EL2 SCTLR_EL3;
        tcr TCR_EL1 TCR_EL2 TCR_EL3;
        ttbr0 TTBR0_EL1 TTBR0_EL2 TTBR0_EL3;
        mair MAIR_EL1 MAIR_EL2 MAIR_EL3;
        spsr SPSR_EL1 SPSR_EL2 SPSR_EL3;
        elr ELR_EL1 ELR_EL2 ELR_EL3;
        esr ESR_EL1 ESR_EL2 ESR_EL3;
        far FAR_EL1 FAR_EL2 FAR_EL3;
        vbar VBAR_EL1 VBAR_EL2 VBAR_EL3;
    }
}

/// Whole ranges that keep what is written, and that have no name here.
pub const fn is_storage(register: SysReg) -> bool {
    match register.fields() {
        // DBGBVR, DBGBCR, DBGWVR, DBGWCR.
        (2, 0, 0, _, 4..=7) => true,
        // Implementation defined: of the Cortex-A55 CPUACTLR, CPUECTLR, CPUPWRCTLR, the cluster's registers.
        (3, 0 | 1 | 2 | 4 | 6, 11 | 15, _, _) => true,
        _ => false,
    }
}

/// Identification registers that say "feature not there".
pub const fn is_zero_id(register: SysReg) -> bool {
    matches!(register.fields(), (3, 0, 0, 1..=7, _))
}
