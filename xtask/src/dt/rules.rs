// SPDX-License-Identifier: Apache-2.0 OR MIT
//! Property rules: what the board needs a property to be, with the reason and where the fact is from.
//!
//! The rules are data (`dt-rules/properties.toml`); this module knows no property of the board.

use fw_image::dt::{Dt, Expected, parse_expected};
use serde::Deserialize;

use super::complaint::Complaint;

/// `properties.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rules {
    /// Single properties.
    #[serde(default)]
    pub rule: Vec<Rule>,
    /// Supplies, which are many and all of one form.
    #[serde(default)]
    pub supplies: Vec<Supplies>,
    /// Regulators by name.
    #[serde(default)]
    pub regulators: Vec<Regulators>,
}

/// One rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// Path or `&label` of the node.
    pub node: String,
    /// Name of the property; a trailing `*` stands for any ending (with `absent` only).
    pub property: String,
    /// What it must be ([`parse_expected`]).
    pub expect: Option<String>,
    /// A beginning that none of its strings may have.
    pub forbid_prefix: Option<String>,
    /// A label that the SoC files of some trees lack: without it the rule says nothing there.
    pub only_with: Option<String>,
    /// Why.
    pub reason: String,
    /// Where the fact is from.
    pub source: String,
}

/// Supplies with one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Supplies {
    /// Why.
    pub reason: String,
    /// Where the fact is from.
    pub source: String,
    /// A label that the SoC files of some trees lack.
    pub only_with: Option<String>,
    /// Node, property, regulator.
    pub links: Vec<[String; 3]>,
}

/// Regulators with one reason.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Regulators {
    /// Why.
    pub reason: String,
    /// Where the facts are from.
    pub source: String,
    /// The rows.
    pub rows: Vec<Regulator>,
}

/// One regulator. Voltages in microvolts; none where the hardware sets the voltage.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Regulator {
    /// Label of its node, which is its `regulator-name`, too.
    pub name: String,
    /// Lowest voltage.
    pub min: Option<u32>,
    /// Highest voltage.
    pub max: Option<u32>,
    /// `always`: never off; `boot`: on at boot, off without consumers; `demand`: on with a consumer.
    pub on: On,
}

/// When a regulator is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// `regulator-always-on` and `regulator-boot-on`.
    Always,
    /// `regulator-boot-on` only.
    Boot,
    /// Neither.
    Demand,
}

impl Rules {
    /// How many properties are looked at.
    pub fn count(&self) -> usize {
        let supplies: usize = self.supplies.iter().map(|s| s.links.len()).sum();
        // A name, two ends of the range, two switches.
        let regulators: usize = self.regulators.iter().map(|r| 5 * r.rows.len()).sum();
        self.rule.len() + supplies + regulators
    }

    /// Holds a tree against all rules.
    pub fn judge(&self, dt: &Dt) -> Vec<Complaint> {
        let mut complaints = Vec::new();
        let applies = |with: &Option<String>| with.as_ref().is_none_or(|label| dt.label(label).is_some());
        for rule in self.rule.iter().filter(|r| applies(&r.only_with)) {
            complaints.extend(rule.judge(dt));
        }
        for group in self.supplies.iter().filter(|s| applies(&s.only_with)) {
            let why = format!("{} ({})", group.reason, group.source);
            for [node, property, regulator] in &group.links {
                complaints.extend(expect(dt, node, property, &format!("<{regulator}>"), &why));
            }
        }
        for group in &self.regulators {
            let why = format!("{} ({})", group.reason, group.source);
            complaints.extend(group.rows.iter().flat_map(|row| row.judge(dt, &why)));
        }
        complaints
    }
}

impl Rule {
    fn judge(&self, dt: &Dt) -> Vec<Complaint> {
        let why = format!("{} ({})", self.reason, self.source);
        match (&self.expect, &self.forbid_prefix, self.property.strip_suffix('*')) {
            (Some(text), None, None) => expect(dt, &self.node, &self.property, text, &why),
            (Some(text), None, Some(prefix)) if text == "absent" => {
                let Some(node) = dt.resolve(&self.node).and_then(|path| dt.node(&path)) else {
                    return vec![no_node(&self.node, &self.property, &why)];
                };
                let bad = node.properties.keys().filter(|name| name.starts_with(prefix));
                bad.map(|name| {
                    Complaint::because(format!("`{name}` of `{}` must not be there", self.node), &why)
                })
                .collect()
            }
            (None, Some(prefix), None) => {
                let Some(value) =
                    dt.resolve(&self.node).and_then(|p| dt.property(&p, &self.property).cloned())
                else {
                    return vec![no_node(&self.node, &self.property, &why)];
                };
                let strings = value.strings().unwrap_or_default();
                let bad = strings.iter().filter(|s| s.starts_with(prefix.as_str()));
                bad.map(|s| {
                    let what = format!("`{}` of `{}` has `{s}`", self.property, self.node);
                    Complaint::because(what, &why)
                })
                .collect()
            }
            _ => vec![Complaint::new(format!(
                "the rule for `{}` of `{}` needs `expect` or `forbid-prefix`, and `*` goes with `absent` only",
                self.property, self.node
            ))],
        }
    }
}

impl Regulator {
    fn judge(&self, dt: &Dt, why: &str) -> Vec<Complaint> {
        let node = format!("&{}", self.name);
        let switch = |on: bool| if on { "set" } else { "absent" };
        let volt = |v: Option<u32>| v.map_or_else(|| "absent".to_owned(), |v| format!("<{v}>"));
        let wanted = [
            ("regulator-name", format!("\"{}\"", self.name)),
            ("regulator-min-microvolt", volt(self.min)),
            ("regulator-max-microvolt", volt(self.max)),
            ("regulator-always-on", switch(self.on == On::Always).to_owned()),
            ("regulator-boot-on", switch(self.on != On::Demand).to_owned()),
        ];
        if dt.resolve(&node).is_none() {
            return vec![Complaint::because(format!("there is no regulator `{}`", self.name), why)];
        }
        wanted.iter().flat_map(|(property, text)| expect(dt, &node, property, text, why)).collect()
    }
}

fn no_node(node: &str, property: &str, why: &str) -> Complaint {
    Complaint::because(format!("`{property}` of `{node}` is not there"), why)
}

/// Holds one property against the text of a table.
fn expect(dt: &Dt, node: &str, property: &str, text: &str, why: &str) -> Vec<Complaint> {
    let Some(path) = dt.resolve(node).filter(|path| dt.node(path).is_some()) else {
        return vec![Complaint::because(format!("`{property}`: there is no node `{node}`"), why)];
    };
    let expected = match parse_expected(text, dt) {
        Ok(expected) => expected,
        Err(e) => {
            let what = format!("`{property}` of `{node}` must be `{text}`, but {e}");
            return vec![Complaint::because(what, why)];
        }
    };
    let is = dt.property(&path, property);
    let what = match (&expected, is) {
        (Expected::Absent, None) | (Expected::Present, Some(_)) => return Vec::new(),
        (Expected::Value(wanted), Some(is)) if wanted == is => return Vec::new(),
        (Expected::Absent, Some(is)) => {
            format!("`{property}` of `{node}` is `{}`, must not be there", dt.show(is))
        }
        (_, None) => format!("`{property}` of `{node}` is missing, must be `{text}`"),
        (_, Some(is)) => format!("`{property}` of `{node}` is `{}`, must be `{text}`", dt.show(is)),
    };
    vec![Complaint::because(what, why)]
}
