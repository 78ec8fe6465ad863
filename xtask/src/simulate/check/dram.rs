// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The size of memory that U-Boot sees: by the DDR blob's tag, and by the geometry registers without it.

use super::runs::Boot;
use super::{Judged, judged};
use crate::simulate::setup::Dram;

/// Bytes at the start that U-Boot leaves to BL31, and the hole of the device registers, both of which the banks
/// leave out (`arch/arm/mach-rockchip/sdram.c`).
const BL31_BYTES: u64 = 2 << 20;
const REGISTERS_BYTES: u64 = 256 << 20;

/// One assertion for each size and source of the size.
pub fn judge(boots: &[(Dram, bool, Boot)]) -> Vec<Judged> {
    boots
        .iter()
        .map(|(size, tag, boot)| {
            let by = if *tag { "by the tag" } else { "by the registers" };
            judged(format!("{} GiB of DRAM {by}", size.gib()), one(*size, *tag, boot))
        })
        .collect()
}

fn one(size: Dram, tag: bool, boot: &Boot) -> Result<String, String> {
    if let Some(why) = &boot.stopped {
        return Err(why.clone());
    }
    let wanted = format!("DRAM:  {} GiB", size.gib());
    let line = boot.starting("DRAM:").first().copied().unwrap_or("no line `DRAM:`").to_owned();
    if !(line == wanted || line.starts_with(&format!("{wanted} "))) {
        return Err(format!("`{line}` instead of `{wanted}`"));
    }
    // What the kernel will be given: the tag also has the part that lies behind the registers' hole.
    let banks = banks(boot);
    let sum: u64 = banks.iter().map(|(_, length)| length).sum();
    let all = size.gib() << 30;
    let expected = all - BL31_BYTES - if tag { 0 } else { REGISTERS_BYTES };
    if sum != expected {
        return Err(format!("banks {banks:x?} have {sum:#x} bytes, not {expected:#x}"));
    }
    Ok(format!("`{line}`, {} banks", banks.len()))
}

/// Banks of `bdinfo`: start and length.
fn banks(boot: &Boot) -> Vec<(u64, u64)> {
    let values = |name: &str| -> Vec<u64> {
        let answer = boot.answers.get("bdinfo").map(Vec::as_slice).unwrap_or_default();
        let hex = |l: &String| u64::from_str_radix(l.split_once("= 0x")?.1.trim(), 16).ok();
        answer.iter().filter(|l| l.trim_start().starts_with(name)).filter_map(hex).collect()
    };
    let (starts, sizes) = (values("-> start"), values("-> size"));
    starts.into_iter().zip(sizes).filter(|(_, length)| *length > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(line: &str, second: &str) -> Boot {
        let bdinfo = [
            "DRAM bank   = 0x0000000000000000",
            "-> start    = 0x0000000000200000",
            "-> size     = 0x00000000efe00000",
            "DRAM bank   = 0x0000000000000001",
            "-> start    = 0x0000000100000000",
            second,
        ];
        Boot {
            lines: vec![line.to_owned()],
            answers: [("bdinfo".to_owned(), bdinfo.map(str::to_owned).to_vec())].into(),
            ..Boot::default()
        }
    }

    #[test]
    fn must_fail_the_wrong_size_and_a_bank_that_is_too_small() {
        let line = "DRAM:  8 GiB (effective 7.7 GiB)";
        let full = "-> size     = 0x0000000110000000";
        let short = "-> size     = 0x0000000100000000";
        assert_eq!(one(Dram::Gib8, true, &boot(line, full)), Ok(format!("`{line}`, 2 banks")));
        assert!(one(Dram::Gib8, false, &boot(line, short)).is_ok());
        assert!(one(Dram::Gib8, true, &boot(line, short)).is_err());
        assert!(one(Dram::Gib8, false, &boot(line, full)).is_err());
        assert!(one(Dram::Gib16, true, &boot(line, full)).is_err());
        assert!(one(Dram::Gib8, true, &boot("DRAM:  80 GiB", full)).is_err());
    }
}
