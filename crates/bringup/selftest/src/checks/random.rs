// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The hardware random generator.

use std::io::Error;
use std::time::Duration;

use crate::machine::Machine;
use crate::report::Report;

const CURRENT: &str = "/sys/class/misc/hw_random/rng_current";
/// Enough bytes that equal halves are not chance.
const BYTES: usize = 64;
const LIMIT: Duration = Duration::from_secs(2);

/// Reads some bytes and looks for the ways a dead generator shows itself.
pub fn check(machine: &Machine<'_>, report: &mut Report<'_>) {
    let Some(current) = machine.read(CURRENT).filter(|c| !c.is_empty() && c != "none") else {
        report.skip("hwrng", "none");
        return;
    };
    let mut bytes = [0_u8; BYTES];
    match machine.ops.random(&machine.path("/dev/hwrng"), &mut bytes, LIMIT) {
        Ok(()) if repeats(&bytes) => report.fail("hwrng", format!("{current} repeats itself")),
        Ok(()) => report.pass("hwrng", format!("{current}, {BYTES} bytes read")),
        Err(errno) => report.fail("hwrng", format!("{current}: {}", Error::from(errno))),
    }
}

/// Whether the bytes are one word of up to eight bytes again and again.
fn repeats(bytes: &[u8]) -> bool {
    [1, 2, 4, 8].iter().any(|&n| bytes.iter().zip(&bytes[n..]).all(|(a, b)| a == b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Fixture;
    use rustix::io::Errno;

    #[test]
    fn generators() {
        let f = Fixture::new();
        assert_eq!(f.lines(check), ["hwrng skip none"]);
        f.file("/sys/class/misc/hw_random/rng_current", "none\n");
        assert_eq!(f.lines(check), ["hwrng skip none"]);
        f.file("/sys/class/misc/hw_random/rng_current", "rockchip-rng\n");
        f.ops.random.set(Some(Ok(3)));
        assert_eq!(f.lines(check), ["hwrng pass rockchip-rng, 64 bytes read"]);
        f.ops.random.set(Some(Ok(0)));
        assert_eq!(f.lines(check), ["hwrng fail rockchip-rng repeats itself"]);
        // A period of four bytes.
        f.ops.random.set(Some(Ok(64)));
        assert_eq!(f.lines(check), ["hwrng fail rockchip-rng repeats itself"]);
        f.ops.random.set(Some(Err(Errno::TIMEDOUT)));
        assert!(f.lines(check)[0].starts_with("hwrng fail rockchip-rng: "));
    }
}
