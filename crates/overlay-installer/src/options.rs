// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The overlay's own options: what `--overlay-option` and a profile's `overlay.options` may say.
//!
//! Text and typed values mean the same. A key that is not known is ignored, as Talos's own overlays do, but
//! not one that is nearly a known one: who writes `bootloadr: none` must not get a loader written.

use std::collections::BTreeMap;

use crate::refusal::Refusal;
use crate::yaml::Value;

/// Keys that Talos adds to every line by itself (v1.10 to v1.14). It appends them after the overlay's
/// arguments: both values would stand in the line.
const TALOS_OWN_KEYS: [&str; 12] = [
    "consoleblank",
    "ima_appraise",
    "ima_hash",
    "ima_template",
    "init_on_alloc",
    "module.sig_enforce",
    "nvme_core.io_timeout",
    "printk.devkmsg",
    "proc_mem.force_override",
    "pti",
    "selinux",
    "slab_nomerge",
];

/// The options by name.
const KNOWN: [&str; 7] = ["bootloader", "cma", "console", "dtb", "extraKernelArgs", "mac", "spi_boot"];

/// Longest value; a kernel line has 2047 bytes in all.
const MAX_TEXT_BYTES: usize = 1024;

/// Whether U-Boot is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Bootloader {
    /// Yes, at byte 32768.
    #[default]
    UBoot,
    /// No: the board has a loader in SPI flash or eMMC.
    None,
}

/// The options, judged.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// `bootloader`: `u-boot` (the default) or `none`.
    pub bootloader: Bootloader,
    /// `dtb`: another device tree of the artifacts, a path below `arm64/dtb/`.
    pub dtb: Option<String>,
    /// `console`: consoles in the place of the board's, the last one becomes `/dev/console`.
    pub console: Option<Vec<String>>,
    /// `cma`: size of the contiguous memory area, as the kernel takes it.
    pub cma: Option<String>,
    /// `mac`: a fixed address for the board's Ethernet.
    pub mac: Option<[u8; 6]>,
    /// `extraKernelArgs`: further arguments.
    pub extra_kernel_args: Vec<String>,
}

impl Options {
    /// Judges a map of options.
    ///
    /// # Errors
    /// A value that cannot be used, or a key that is nearly a known one.
    pub fn read(map: &BTreeMap<String, Value>, note: &mut dyn FnMut(&str)) -> Result<Options, Refusal> {
        for key in map.keys().filter(|key| !KNOWN.contains(&key.as_str())) {
            if let Some(meant) = KNOWN.iter().find(|known| nearly(key, known)) {
                return Err(Refusal::new(format!("overlay option `{key}` is not known"))
                    .why(format!("it looks like `{meant}`, and would have no effect"))
                    .hint(format!("known: {}", KNOWN.join(", "))));
            }
            note(&format!("overlay option `{key}` is not known and has no effect"));
        }
        let get = |key: &str| map.get(key).filter(|value| **value != Value::Null);
        let mut options = Options::default();
        if let Some(value) = get("bootloader") {
            options.bootloader = bootloader(value)?;
        }
        if let Some(value) = get("spi_boot") {
            let from_spi = boolean("spi_boot", value)?;
            if from_spi && get("bootloader").is_some() && options.bootloader == Bootloader::UBoot {
                return Err(wrong("spi_boot", "`bootloader` says the opposite")
                    .hint("`bootloader: none` alone is enough"));
            }
            if from_spi {
                options.bootloader = Bootloader::None;
            }
        }
        options.dtb = get("dtb").map(dtb).transpose()?;
        options.console = get("console").map(|value| words("console", value)).transpose()?;
        for console in options.console.iter().flatten() {
            if console.contains('=') || argument("console", &format!("console={console}")).is_err() {
                return Err(wrong("console", format!("`{console}` is not a console"))
                    .hint("for example `ttyS2,1500000n8`"));
            }
        }
        options.cma = get("cma").map(cma).transpose()?;
        options.mac = get("mac").map(mac).transpose()?;
        if let Some(value) = get("extraKernelArgs") {
            options.extra_kernel_args = words("extraKernelArgs", value)?;
        }
        for text in &options.extra_kernel_args {
            argument("extraKernelArgs", text)?;
        }
        Ok(options)
    }
}

fn wrong(key: &str, why: impl std::fmt::Display) -> Refusal {
    Refusal::new(format!("overlay option `{key}` cannot be used")).why(why)
}

fn text<'a>(key: &str, value: &'a Value) -> Result<&'a str, Refusal> {
    match value {
        Value::Text(text) if text.len() > MAX_TEXT_BYTES => {
            Err(wrong(key, format!("more than {MAX_TEXT_BYTES} bytes")))
        }
        Value::Text(text) => Ok(text),
        other => Err(wrong(key, format!("it is {}, not text", other.kind()))),
    }
}

/// A boolean, or its name.
fn boolean(key: &str, value: &Value) -> Result<bool, Refusal> {
    let word = match value {
        Value::Bool(value) => return Ok(*value),
        Value::Text(word) => word.trim().to_ascii_lowercase(),
        other => return Err(wrong(key, format!("it is {}, not a boolean", other.kind()))),
    };
    match word.as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(wrong(key, format!("`{word}` is not `true` or `false`"))),
    }
}

fn bootloader(value: &Value) -> Result<Bootloader, Refusal> {
    if let Ok(write) = boolean("bootloader", value) {
        return Ok(if write { Bootloader::UBoot } else { Bootloader::None });
    }
    match text("bootloader", value)? {
        "u-boot" => Ok(Bootloader::UBoot),
        "none" => Ok(Bootloader::None),
        other => Err(wrong("bootloader", format!("`{other}` is not known")).hint("known: `u-boot`, `none`")),
    }
}

/// A relative path without `.` and `..`.
fn dtb(value: &Value) -> Result<String, Refusal> {
    let path = text("dtb", value)?;
    let plain =
        |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(char::is_control);
    if !path.split('/').all(plain) || !path.ends_with(".dtb") {
        return Err(wrong("dtb", format!("`{}` is not a path below `arm64/dtb/`", path.escape_debug()))
            .hint("for example `rockchip/rk3588s-nanopi-m6.dtb`"));
    }
    Ok(path.to_owned())
}

/// A list of texts, or one text with blanks between.
fn words(key: &str, value: &Value) -> Result<Vec<String>, Refusal> {
    let words: Vec<String> = match value {
        Value::List(list) => {
            list.iter().map(|item| Ok(text(key, item)?.to_owned())).collect::<Result<_, Refusal>>()?
        }
        value => split_words(key, text(key, value)?)?,
    };
    if words.is_empty() && key == "console" {
        return Err(wrong(key, "it is empty").hint("leave the option away for the board's consoles"));
    }
    Ok(words)
}

/// Blanks inside of double quotes do not separate, as on a kernel command line.
fn split_words(key: &str, text: &str) -> Result<Vec<String>, Refusal> {
    let mut inside = false;
    let parts = text.split(|c: char| {
        inside ^= c == '"';
        !inside && c.is_whitespace()
    });
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).map(str::to_owned).collect();
    if text.matches('"').count() % 2 == 1 {
        return Err(wrong(key, "a double quote is not closed"));
    }
    Ok(parts)
}

/// One argument of the form `key` or `key=value` that does not repeat one of Talos's own.
fn argument(option: &str, argument: &str) -> Result<(), Refusal> {
    let key = argument.split('=').next().unwrap_or_default();
    let mut inside_quotes = false;
    let bad = argument.chars().any(|c| {
        inside_quotes ^= c == '"';
        c.is_control() || (c.is_whitespace() && !inside_quotes)
    });
    if key.is_empty() || key.contains('"') || bad || inside_quotes {
        return Err(wrong(
            option,
            format!("`{}` is not of the form `key` or `key=value`", argument.escape_debug()),
        ));
    }
    if let Some(rest) = argument.strip_prefix('-') {
        return Err(wrong(option, format!("an overlay cannot remove `{rest}`"))
            .hint(format!("`imager --extra-kernel-arg={argument}` can")));
    }
    if TALOS_OWN_KEYS.contains(&key) {
        return Err(wrong(option, format!("Talos adds `{key}` itself, the line would have both"))
            .hint(format!("`imager --extra-kernel-arg=-{key} --extra-kernel-arg={argument}` replaces it")));
    }
    Ok(())
}

/// Bytes, or a number with K, M or G as the kernel's `memparse` takes it (a `B` after it is ignored there).
fn cma(value: &Value) -> Result<String, Refusal> {
    let refused = |shown: &str| {
        wrong("cma", format!("`{shown}` is not a size up to 4G")).hint("for example `128M`, or `0` for none")
    };
    let shown = match value {
        Value::Int(number) => number.to_string(),
        value => text("cma", value)?.to_owned(),
    };
    let number = shown.trim_end_matches(['B', 'b']);
    let (digits, shift) = match number.chars().last() {
        Some('K' | 'k') => (&number[..number.len() - 1], 10),
        Some('M' | 'm') => (&number[..number.len() - 1], 20),
        Some('G' | 'g') => (&number[..number.len() - 1], 30),
        _ => (number, 0),
    };
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let bytes = digits.parse::<u64>().ok().filter(|_| all_digits).and_then(|n| n.checked_mul(1 << shift));
    match bytes {
        Some(bytes) if bytes <= 4 << 30 => Ok(shown),
        _ => Err(refused(&shown)),
    }
}

/// Six bytes in hexadecimal, for one station.
fn mac(value: &Value) -> Result<[u8; 6], Refusal> {
    let shown = text("mac", value)?;
    let refused = |why: String| wrong("mac", why).hint("for example `02:00:c0:ff:ee:01`");
    let parts: Vec<&str> = shown.split([':', '-']).collect();
    let bytes: Vec<u8> = parts
        .iter()
        .filter(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit()))
        .filter_map(|part| u8::from_str_radix(part, 16).ok())
        .collect();
    let mac = <[u8; 6]>::try_from(bytes).ok().filter(|_| parts.len() == 6);
    let mac = mac.ok_or_else(|| refused(format!("`{}` is not a MAC address", shown.escape_debug())))?;
    if mac[0] & 1 == 1 {
        return Err(refused(format!("`{shown}` is a multicast address; the kernel would take a random one")));
    }
    if mac == [0; 6] {
        return Err(refused("all zero is no address; the kernel would take a random one".to_owned()));
    }
    Ok(mac)
}

/// The same but for case, `-` and `_`, or one or two letters off.
fn nearly(key: &str, known: &str) -> bool {
    let plain = |text: &str| -> Vec<char> {
        text.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).take(32).collect()
    };
    let (a, b) = (plain(key), plain(known));
    // Short names have many neighbours: `mac` and `max`, but not `cma` and `mac`.
    let allowed = if b.len() <= 4 { 1 } else { 2 };
    distance(&a, &b) <= allowed
}

/// Levenshtein's distance.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut corner = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let swapped = corner + usize::from(x != y);
            corner = row[j + 1];
            row[j + 1] = swapped.min(corner + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
