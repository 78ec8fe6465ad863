// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The decoded form of SIMD and floating-point instructions: shape and sub-operation of an [`Op`].
//!
//! `d`, `n` and `m` are numbers of V registers unless said otherwise, `x` is the [`Shape`], `y` the sub-operation of
//! the class, which is the [`Kind`](super::op::Kind).

use super::op::Op;

/// The register file.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// V0 to V31.
    pub v: [u128; 32],
    /// `FPCR`.
    pub control: u32,
    /// `FPSR`.
    pub status: u32,
}

/// What the lanes of an operation are. Where source and result differ, the narrow one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape(pub u8);

impl Shape {
    /// 128 bits; for narrow and wide forms the upper half.
    pub const Q: u8 = 1 << 3;
    /// Only the lowest lane.
    pub const SCALAR: u8 = 1 << 4;
    /// `U` of the encoding, mostly unsigned lanes.
    pub const U: u8 = 1 << 5;
    /// The second operand is one element, whose number is `Op::a`.
    pub const ELEMENT: u8 = 1 << 6;

    /// Logarithm of the bytes of a lane.
    pub const fn log2(self) -> u8 {
        self.0 & 7
    }

    /// Bits of a lane.
    pub const fn bits(self) -> u32 {
        8 << (self.0 & 3)
    }

    pub const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    /// Lanes.
    pub const fn lanes(self) -> u32 {
        if self.has(Self::SCALAR) { 1 } else { (if self.has(Self::Q) { 128 } else { 64 }) / self.bits() }
    }

    /// The same with lanes of twice the width.
    pub const fn wider(self) -> Self {
        Self(self.0 + 1)
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name { $($variant),* }

        impl $name {
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// That of an operation of this class.
            pub fn of(op: &Op) -> Self {
                Self::ALL[usize::from(op.y) % Self::ALL.len()]
            }
        }
    )*};
}

codes! {
    /// Two integer vectors to one of the same shape. Those from `Mla` on also read the destination.
    Three {
        Hadd Qadd Rhadd Hsub Qsub Cmgt Cmge Shl Qshl Rshl Qrshl Max Min Abd Add Sub Cmtst Cmeq Mul Pmul Qdmulh
        Qrdmulh And Bic Orr Orn Eor Mla Mls Aba Bsl Bit Bif
    }
    /// Neighbours of two integer vectors.
    Pair { Add Max Min }
    /// Two vectors of numbers to one. Those from `Mla` on also read the destination.
    Float {
        MaxNumber Add MulX CompareEq Max RecipStep MinNumber Sub Min RsqrtStep Mul CompareGe AbsGe Div AbsDiff CompareGt
        AbsGt NegMul Mla Mls
    }
    /// Neighbours of two vectors of numbers.
    FloatPair { MaxNumber Add Max MinNumber Min }
    /// Narrow and wide integer vectors.
    Wide {
        AddL AddW SubL SubW AddHn RAddHn AbaL SubHn RSubHn AbdL MlaL QdmlaL MlsL QdmlsL MulL QdmulL PmulL
    }
    /// One integer vector to one of the same shape. `SuQadd` and `AdaLp` also read the destination.
    Misc {
        Rev64 Rev32 Rev16 AddLp SuQadd Cls Clz Cnt Not Rbit AdaLp Qabs Qneg CmGt CmGe CmEq CmLe CmLt Abs Neg Urecpe Ursqrte
    }
    /// One vector to one of another width.
    Narrow { Xtn Qxtun Qxtn Shll FcvtN FcvtXn FcvtL }
    /// One vector of numbers to one of the same shape. `a` is the number of fraction bits, `imm` the rounding where it
    /// is not the current one.
    FloatMisc {
        Round RoundExact RoundCurrent ToInt FromInt CompareGt CompareGe CompareEq CompareLe CompareLt Abs Neg Recpe Rsqrte
        Recpx Sqrt Move ToHalf ToSingle ToDouble
    }
    /// A vector to one element.
    Across { AddL Max Min Add FMaxNumber FMax FMinNumber FMin }
    /// Shifts by an amount, `a`: to the right as positive numbers in those whose name says so.
    Shift { Right RoundRight RightAdd RoundRightAdd RightInsert Left LeftInsert QleftU Qleft }
    /// Shifts to another width; `a` is the amount.
    ShiftNarrow { Shrn Rshrn Qshrun Qrshrun Qshrn Qrshrn Left }
    /// Between elements and general registers; `a` is the element, `imm` another one.
    Copy { DupElement DupGeneral InsertGeneral InsertElement ToSigned32 ToSigned64 ToUnsigned }
    /// Elements in another order. `a` is the position or number of tables.
    Permute { Uzp1 Trn1 Zip1 Uzp2 Trn2 Zip2 Extract Table TableExtend }
    /// A constant of 64 bits.
    Immediate { Move Or Clear }
    /// Scalar instructions that have no vector form. Conversions: `a` fraction bits, `imm` the rounding.
    Scalar {
        Compare CompareZero CompareSignal CompareZeroSignal ConditionalCompare ConditionalCompareSignal Select MulAdd
        MulSub NegMulAdd NegMulSub ToGeneral64 ToGeneral32 FromGeneral64 FromGeneral32 MoveToGeneral MoveFromGeneral
        MoveTopToGeneral MoveTopFromGeneral
    }
    /// One to four registers of interleaved elements. `a` is the element of the single forms, `m` the step of the base,
    /// `imm` packs the registers of a structure (4 bits), the structures (4 bits), and whether the base moves.
    Structure { LoadMultiple StoreMultiple LoadSingle StoreSingle LoadReplicate }
}

/// Where a load or store of one register finds its address; `y`.
pub mod place {
    /// Base plus immediate.
    pub const OFFSET: u16 = 0;
    /// The same, written back.
    pub const PRE: u16 = 1;
    /// Base, which then moves.
    pub const POST: u16 = 2;
    /// Base plus index: `m`, extended as `imm` says, shifted by `a`.
    pub const INDEX: u16 = 3;
    /// Relative to the page.
    pub const LITERAL: u16 = 4;
}
