// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The text in which tables say what a property must be.
//!
//! | Text | Meaning |
//! | --- | --- |
//! | `absent` | the node does not have the property |
//! | `present` | it does, with any value |
//! | `set` | it does, without a value (a boolean property) |
//! | `"okay"`, `"a", "b"` | strings |
//! | `&gmac1` | the path of the node with this label, as a string (aliases) |
//! | `<&gpio3 RK_PD1 GPIO_ACTIVE_HIGH 5 0x42>` | cells: references by label, names of the bindings, numbers |
//!
//! It is the device-tree source's own notation, so that a table can be read beside the source.

use super::{Dt, Value};

/// What a property must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Not there.
    Absent,
    /// There, with any value.
    Present,
    /// There, with this value.
    Value(Value),
}

/// Why a text means nothing in a tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// A label that the tree does not have.
    #[error("the tree has no label `{0}`")]
    Label(String),
    /// A word that is none of the forms.
    #[error("`{0}` is neither a number nor a known name")]
    Word(String),
    /// The text has none of the forms.
    #[error("`{0}` is not `absent`, `present`, `set`, strings, `&label` or `<cells>`")]
    Form(String),
}

/// Names from `include/dt-bindings` of the kernel: `gpio/gpio.h` and `interrupt-controller/irq.h`.
const NAMES: [(&str, u32); 4] =
    [("GPIO_ACTIVE_HIGH", 0), ("GPIO_ACTIVE_LOW", 1), ("IRQ_TYPE_LEVEL_HIGH", 4), ("IRQ_TYPE_LEVEL_LOW", 8)];

/// Reads a text against the labels of a tree.
///
/// # Errors
/// See [`TextError`].
pub fn parse_expected(text: &str, dt: &Dt) -> Result<Expected, TextError> {
    let text = text.trim();
    let mut value = Value::new(&[]);
    match text {
        "absent" => return Ok(Expected::Absent),
        "present" => return Ok(Expected::Present),
        "set" => return Ok(Expected::Value(value)),
        _ => {}
    }
    if let Some(label) = text.strip_prefix('&') {
        value.push_string(path_of(label, dt)?);
    } else if let Some(cells) = text.strip_prefix('<').and_then(|t| t.strip_suffix('>')) {
        for word in cells.split_whitespace() {
            match word.strip_prefix('&') {
                Some(label) => value.push_reference(path_of(label, dt)?),
                None => value.push_cell(number(word)?),
            }
        }
    } else {
        let quoted = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
        let quoted = quoted.ok_or_else(|| TextError::Form(text.to_owned()))?;
        quoted.split("\", \"").for_each(|part| value.push_string(part));
    }
    Ok(Expected::Value(value))
}

fn path_of<'d>(label: &str, dt: &'d Dt) -> Result<&'d str, TextError> {
    dt.label(label).ok_or_else(|| TextError::Label(label.to_owned()))
}

/// A number or one of the names. `RK_PD1` is pin 25 of its bank: eight pins to a letter
/// (`dt-bindings/pinctrl/rockchip.h`).
fn number(word: &str) -> Result<u32, TextError> {
    let unknown = || TextError::Word(word.to_owned());
    if let Some((_, value)) = NAMES.iter().find(|(name, _)| *name == word) {
        return Ok(*value);
    }
    if let Some([letter @ b'A'..=b'D', digit @ b'0'..=b'7']) = word.strip_prefix("RK_P").map(str::as_bytes) {
        return Ok(u32::from(letter - b'A') * 8 + u32::from(digit - b'0'));
    }
    match word.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).map_err(|_| unknown()),
        None => word.parse().map_err(|_| unknown()),
    }
}
