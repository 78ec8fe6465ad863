// SPDX-License-Identifier: Apache-2.0 OR MIT
//! `modules.alias`: from a device's identification to the modules that drive it.
//!
//! Format (depmod): lines `alias PATTERN MODULE`, `#` starts a comment. A pattern is a shell glob.

use std::collections::BTreeMap;

use super::canonical;

/// The parsed file. Patterns are filed by what stands before their first colon (the bus), because a
/// machine has some hundred devices and the file some ten thousand patterns.
#[derive(Debug, Default)]
pub struct Aliases {
    by_bus: BTreeMap<String, Vec<(String, String)>>,
}

impl Aliases {
    /// Parses the text; lines of another form are passed over, as kmod does.
    pub fn parse(text: &str) -> Self {
        let mut by_bus: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            if let (Some("alias"), Some(pattern), Some(module)) = (words.next(), words.next(), words.next()) {
                let entry = (pattern.to_owned(), canonical(module));
                by_bus.entry(bus(pattern).to_owned()).or_default().push(entry);
            }
        }
        Aliases { by_bus }
    }

    /// The modules for a device's `modalias`, sorted, each once.
    pub fn modules_for(&self, modalias: &str) -> Vec<String> {
        let mut found: Vec<String> = self
            .by_bus
            .get(bus(modalias))
            .into_iter()
            .flatten()
            .filter(|(pattern, _)| glob(pattern.as_bytes(), modalias.as_bytes()))
            .map(|(_, module)| module.clone())
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

/// Every device pattern of the kernel starts with a literal bus name (`scripts/mod/file2alias.c`).
fn bus(text: &str) -> &str {
    text.split_once(':').map_or("", |(bus, _)| bus)
}

/// Shell glob with `*`, `?`, `[a-z]` and `[!a]`, over the whole text.
///
/// On a mismatch only the last `*` is tried again one byte further, so the time is bounded by the product
/// of the two lengths: CPU feature lists have hundreds of stars' worth of text.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        if p < pattern.len() && pattern[p] == b'*' {
            star = Some((p + 1, t));
            p += 1;
            continue;
        }
        if t == text.len() {
            return p == pattern.len();
        }
        if let Some(next) = one(pattern, p, text[t]) {
            (p, t) = (next, t + 1);
        } else if let Some((after_star, from)) = star {
            star = Some((after_star, from + 1));
            (p, t) = (after_star, from + 1);
        } else {
            return false;
        }
    }
}

/// Matches one byte; gives the place in the pattern after what matched.
fn one(pattern: &[u8], at: usize, byte: u8) -> Option<usize> {
    match *pattern.get(at)? {
        b'?' => Some(at + 1),
        b'[' => {
            let close = at + 2 + pattern.get(at + 2..)?.iter().position(|&b| b == b']')?;
            let set = &pattern[at + 1..close];
            let (negated, set) = match set {
                [b'!' | b'^', rest @ ..] => (true, rest),
                _ => (false, set),
            };
            (in_set(set, byte) != negated).then_some(close + 1)
        }
        literal => (literal == byte).then_some(at + 1),
    }
}

fn in_set(set: &[u8], byte: u8) -> bool {
    let mut rest = set;
    loop {
        match rest {
            [low, b'-', high, tail @ ..] => {
                if (*low..=*high).contains(&byte) {
                    return true;
                }
                rest = tail;
            }
            [single, tail @ ..] => {
                if *single == byte {
                    return true;
                }
                rest = tail;
            }
            [] => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        let cases = [
            ("virtio:d00000002v*", "virtio:d00000002v00001AF4", true),
            ("virtio:d00000002v*", "virtio:d00000001v00001AF4", false),
            ("of:N*T*Crockchip,rk3588-i2sC*", "of:Ni2sT(null)Crockchip,rk3588-i2sCx", true),
            ("of:N*T*Crockchip,rk3588-i2s", "of:Ni2sT(null)Crockchip,rk3588-i2sX", false),
            ("cpu:type:*:feature:*,0003,*", "cpu:type:aarch64:feature:,0000,0003,0004", true),
            ("cpu:type:*:feature:*,0005,*", "cpu:type:aarch64:feature:,0000,0003,0004", false),
            ("usb:v1234d00[0-3]?d*", "usb:v1234d0027d1", true),
            ("usb:v1234d00[0-3]?d*", "usb:v1234d0047d1", false),
            ("x:[!a]b", "x:cb", true),
            ("x:[!a]b", "x:ab", false),
            ("x:[]]", "x:]", true),
            ("x:[a", "x:a", false),
            ("*a*b", "xaxxab", true),
            ("", "", true),
            ("*", "", true),
            ("a?", "a", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), expected, "`{pattern}` on `{text}`");
        }
    }

    #[test]
    fn a_device_may_have_several_modules() {
        let aliases = Aliases::parse(
            "# comment\nalias pci:v00001B36d* one-b\nalias pci:v* two\nalias pci:v00001B36d* one-b\n\
             alias fs-ext4 ext4\nbroken line\nalias usb:v* three\n",
        );
        assert_eq!(aliases.modules_for("pci:v00001B36d00000010"), ["one_b", "two"]);
        assert!(aliases.modules_for("of:NtestT").is_empty());
        assert!(aliases.modules_for("").is_empty());
    }
}
