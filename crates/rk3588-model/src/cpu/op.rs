// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The decoded form of an instruction: what the interpreter executes.
//!
//! Registers are indices into the core's file, where the zero register, the stack pointer and a place for results
//! nobody wants are entries of their own; so no operation asks which one it has.

/// Index of the register that reads as zero.
pub const ZERO: u8 = 31;
/// Index of the current stack pointer.
pub const SP: u8 = 32;
/// Index of the register that takes results whose target is the zero register.
pub const SINK: u8 = 33;
/// Entries of the register file; a power of two, so that a masked index needs no check.
pub const REGISTERS: usize = 64;

/// One decoded instruction, 16 bytes. The meaning of each field depends on `kind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// What to do.
    pub kind: Kind,
    /// Destination, or the register to store.
    pub d: u8,
    /// First source, or base address.
    pub n: u8,
    /// Second source.
    pub m: u8,
    /// Third source, second destination, or a shift amount.
    pub a: u8,
    /// Condition, extension or a second shift amount.
    pub x: u8,
    /// Flags or a sub-operation.
    pub y: u16,
    /// Immediate operand, mask, or branch target relative to the page.
    pub imm: u64,
}

impl Op {
    /// An operation without operands.
    pub const fn new(kind: Kind) -> Self {
        Self { kind, d: SINK, n: ZERO, m: ZERO, a: 0, x: 0, y: 0, imm: 0 }
    }
}

/// Index registers of loads and stores, and operands of the extended-register forms: `option` of the encoding.
pub const UXTX: u8 = 3;

/// Write-back of the base register.
pub mod back {
    /// None: base plus offset.
    pub const NONE: u16 = 0;
    /// Base plus offset is used and written back.
    pub const PRE: u16 = 1;
    /// The base is used, base plus offset written back.
    pub const POST: u16 = 2;
}

/// What an instruction does. A trailing 64 or 32 is the width of operands and result; `Sh` takes a shifted register,
/// `Ext` an extended one, a trailing `S` sets the flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    // Immediates. `PageRelative` is ADR and ADRP.
    MovImm,
    PageRelative,
    MovK64,
    MovK32,
    AddImm64,
    AddImm32,
    AddsImm64,
    AddsImm32,
    SubsImm64,
    SubsImm32,
    AndImm,
    OrrImm64,
    OrrImm32,
    EorImm64,
    EorImm32,
    AndsImm64,
    AndsImm32,
    // Bit fields: see `decode::immediate`.
    Ubfx,
    Ubfiz,
    Sbfm64,
    Sbfm32,
    BfmRight64,
    BfmRight32,
    BfmLeft64,
    BfmLeft32,
    Extr64,
    Extr32,
    // Registers.
    Mov64,
    Mov32,
    And64,
    And32,
    Orr64,
    Orr32,
    Eor64,
    Eor32,
    Ands64,
    Ands32,
    LogicSh64,
    LogicSh32,
    Add64,
    Add32,
    Sub64,
    Sub32,
    AddLsl64,
    Adds64,
    Adds32,
    Subs64,
    Subs32,
    AddSubSh64,
    AddSubSh32,
    AddSubExt64,
    AddSubExt32,
    Adc64,
    Adc32,
    Ccmp64,
    Ccmp32,
    Csel64,
    Csel32,
    Csinc64,
    Csinc32,
    Csinv64,
    Csinv32,
    Csneg64,
    Csneg32,
    Lslv64,
    Lslv32,
    Lsrv64,
    Lsrv32,
    Asrv64,
    Asrv32,
    Rorv64,
    Rorv32,
    Udiv64,
    Udiv32,
    Sdiv64,
    Sdiv32,
    Madd64,
    Madd32,
    Msub64,
    Msub32,
    Smaddl,
    Smsubl,
    Umaddl,
    Umsubl,
    Smulh,
    Umulh,
    Rbit64,
    Rbit32,
    Rev64,
    Rev32,
    Rev16In64,
    Rev16In32,
    Rev32In64,
    Clz64,
    Clz32,
    Cls64,
    Cls32,
    Crc32,
    // Loads and stores with an immediate offset.
    Ldr8,
    Ldr16,
    Ldr32,
    Ldr64,
    Ldrs8To64,
    Ldrs8To32,
    Ldrs16To64,
    Ldrs16To32,
    Ldrs32,
    Str8,
    Str16,
    Str32,
    Str64,
    // With an index register, or with write-back; `x` is the size code.
    LdrReg,
    StrReg,
    LdrReg64,
    LdrReg32,
    LdrReg8,
    StrReg8,
    LdrBack,
    StrBack,
    LdrLiteral,
    Ldp64,
    Stp64,
    LdpOther,
    StpOther,
    // Unprivileged forms.
    Ldtr,
    Sttr,
    // Exclusive, ordered and atomic.
    Ldxr,
    Stxr,
    Ldxp,
    Stxp,
    Ldar,
    Stlr,
    Cas,
    Casp,
    Swp,
    LdAdd,
    Clrex,
    // Branches; targets are relative to the page.
    B,
    Bl,
    BCond,
    Cbz64,
    Cbz32,
    Cbnz64,
    Cbnz32,
    Tbz,
    Tbnz,
    Br,
    Blr,
    Ret,
    // System.
    Nop,
    Svc,
    Hvc,
    Smc,
    Brk,
    Hlt,
    Eret,
    Mrs,
    Msr,
    MsrImm,
    Sys,
    DcZva,
    Isb,
    Wfi,
    Wfe,
    Undefined,
    // Floating point and SIMD, by class: see `simd`.
    VThree,
    VPair,
    VFloat,
    VFloatPair,
    VWide,
    VMisc,
    VNarrow,
    VFloatMisc,
    VAcross,
    VShift,
    VShiftNarrow,
    VCopy,
    VPermute,
    VImmediate,
    VScalar,
    VLoad,
    VStore,
    VLoadPair,
    VStorePair,
    VStructure,
    // With the instruction behind it, which stays where it is: compare and branch, then what stands in loops that copy
    // and fill.
    SubsImm64BCond,
    SubsImm32BCond,
    Subs64BCond,
    Subs32BCond,
    AddImm64Subs64BCond,
    LdrReg8StrReg8,
    MovImmMovImm,
}

impl Kind {
    /// Whether a block ends behind it. Conditional branches do not end it: what follows runs when they are not taken.
    pub const fn ends_block(self) -> bool {
        matches!(
            self,
            Self::B
                | Self::Bl
                | Self::Br
                | Self::Blr
                | Self::Ret
                | Self::Svc
                | Self::Hvc
                | Self::Smc
                | Self::Brk
                | Self::Hlt
                | Self::Eret
                | Self::Msr
                | Self::MsrImm
                | Self::Sys
                | Self::Isb
                | Self::Wfi
                | Self::Wfe
                | Self::Undefined
        )
    }
}
