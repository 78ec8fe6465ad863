// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Sizes for people.

/// Decimal, as on the package: `31.9 GB`.
#[must_use]
pub fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 4] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB"), (1000, "kB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_on_the_package() {
        let sizes = [999, 1000, 31_914_983_424, 2_000_000_000_000].map(size);
        assert_eq!(sizes, ["999 bytes", "1.0 kB", "31.9 GB", "2.0 TB"]);
    }
}
