// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Serial number and MAC address, which U-Boot makes from the identity of the chip.

use super::runs::Boot;
use super::{Judged, judged};

/// The assertions.
pub fn judge(boot: &Boot, again: &Boot, other: &Boot) -> Vec<Judged> {
    let same = || {
        let (one, two) = (identity(boot)?, identity(again)?);
        if one == two { Ok(format!("{} {}", one.0, one.1)) } else { Err(format!("{one:?}, then {two:?}")) }
    };
    let differ = || {
        let (one, two) = (identity(boot)?, identity(other)?);
        if one.0 != two.0 && one.1 != two.1 {
            Ok(format!("{} {}", two.0, two.1))
        } else {
            Err(format!("both {one:?}"))
        }
    };
    vec![
        judged("serial number and MAC address of a chip stay the same", same()),
        judged("those of another chip are others", differ()),
        judged("the MAC address is locally administered and not multicast", local(boot)),
    ]
}

fn identity(boot: &Boot) -> Result<(String, String), String> {
    if let Some(why) = &boot.stopped {
        return Err(why.clone());
    }
    let get = |name: &str| boot.variable(name).map(str::to_owned).ok_or(format!("`{name}` is not set"));
    let (serial, mac) = (get("serial#")?, get("ethaddr")?);
    if serial.bytes().all(|b| b == b'0') {
        return Err(format!("`serial#` is `{serial}`"));
    }
    Ok((serial, mac))
}

/// The six bytes of an address in text.
pub fn mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text.split(':').map(|b| u8::from_str_radix(b, 16).ok()).collect();
    bytes?.try_into().ok()
}

fn local(boot: &Boot) -> Result<String, String> {
    let text = identity(boot)?.1;
    let bytes = mac(&text).ok_or(format!("`{text}` is no MAC address"))?;
    // IEEE 802, 8.2: bit 0 of the first byte is "group", bit 1 "locally administered".
    match bytes[0] & 3 {
        2 => Ok(text),
        0 => Err(format!("`{text}` claims to be a manufacturer's")),
        _ => Err(format!("`{text}` is a multicast address")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(serial: &str, mac: &str) -> Boot {
        let answers = [
            ("printenv serial#".to_owned(), vec![format!("serial#={serial}")]),
            ("printenv ethaddr".to_owned(), vec![format!("ethaddr={mac}")]),
        ];
        Boot { answers: answers.into(), ..Boot::default() }
    }

    #[test]
    fn must_fail_addresses_that_change_repeat_or_are_not_ours_to_give() {
        let (a, b) = (boot("1f", "02:00:00:00:00:01"), boot("2f", "06:00:00:00:00:02"));
        let failed = |one, two, three| judge(one, two, three).iter().filter(|j| j.verdict.is_err()).count();
        assert_eq!(failed(&a, &a, &b), 0);
        assert_eq!(failed(&a, &b, &b), 1);
        assert_eq!(failed(&a, &a, &a), 1);
        for wrong in ["00:11:22:33:44:55", "03:11:22:33:44:55", "02:11:22:33:44", "x"] {
            assert!(local(&boot("1", wrong)).is_err(), "{wrong}");
        }
        assert!(identity(&boot("0000", "02:00:00:00:00:01")).is_err());
        assert!(identity(&Boot::default()).is_err());
    }
}
