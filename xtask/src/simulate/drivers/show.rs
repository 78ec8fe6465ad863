// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The table of devices, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::json;

use super::log::{Outcome, error_name};
use super::{Drivers, Modelled, Row};

/// Before the names of devices that the model has registers of only.
const WITHOUT: &str = "             without a model: ";
/// Width of a line of names.
const WIDTH: usize = 100;
const INDENT: usize = 13;

impl fmt::Display for Drivers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |wanted: fn(&Row) -> bool| self.with(wanted).collect::<Vec<_>>();
        let (bound, asked) = (of(|r| r.outcome == Some(Outcome::Bound)), of(|r| r.outcome.is_some()));
        if self.complete {
            writeln!(
                f,
                "bound        {} of {} devices that a driver was asked for",
                bound.len(),
                asked.len()
            )?;
            names(f, WITHOUT, &of(|r| r.outcome == Some(Outcome::Bound) && !modelled(r)))?;
        } else {
            writeln!(
                f,
                "bound        not known: the kernel was not told to report probes, only failures are seen"
            )?;
        }
        for (title, wanted) in GROUPS {
            for (n, row) in of(wanted).into_iter().enumerate() {
                writeln!(f, "{:12} {row}", if n == 0 { title } else { "" })?;
            }
        }
        let asked_none = of(|r| r.outcome.is_none());
        writeln!(f, "not asked    {}: no driver is built in, or none is needed", asked_none.len())?;
        kinds(f, "             ", &of(|r| r.outcome.is_none() && modelled(r)))?;
        kinds(f, WITHOUT, &of(|r| r.outcome.is_none() && !modelled(r)))?;
        for (page, block, accesses) in &self.elsewhere {
            let block = block.unwrap_or("no known block");
            writeln!(f, "no node      {page:#x} ({block}), {accesses} accesses; no model")?;
        }
        Ok(())
    }
}

type Group = (&'static str, fn(&Row) -> bool);

const GROUPS: [Group; 3] = [
    ("deferred", |r| r.outcome == Some(Outcome::Deferred)),
    ("declined", |r| matches!(r.outcome, Some(Outcome::Declined(_)))),
    ("failed", |r| matches!(r.outcome, Some(Outcome::Failed(_)))),
];

fn modelled(row: &Row) -> bool {
    row.modelled == Modelled::Yes
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.outcome {
            Some(Outcome::Declined(error) | Outcome::Failed(error)) => write!(f, ": {}", error_name(error))?,
            Some(Outcome::Deferred) => f.write_str(": waits for another device")?,
            Some(Outcome::Bound) | None => {}
        }
        if let Some(reason) = &self.reason {
            write!(f, ", `{reason}`")?;
        }
        if !modelled(self) {
            f.write_str("; no model, its registers keep what is written")?;
        }
        Ok(())
    }
}

/// The nodes' names.
fn names(f: &mut fmt::Formatter<'_>, title: &str, rows: &[&Row]) -> fmt::Result {
    wrapped(f, title, &rows.iter().map(|row| row.node().to_owned()).collect::<Vec<_>>())
}

/// The same without addresses: `qos (46)`.
fn kinds(f: &mut fmt::Formatter<'_>, title: &str, rows: &[&Row]) -> fmt::Result {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(row.node().split('@').next().unwrap_or_default()).or_default() += 1;
    }
    let words =
        counts.into_iter().map(|(kind, n)| if n == 1 { kind.to_owned() } else { format!("{kind} ({n})") });
    wrapped(f, title, &words.collect::<Vec<_>>())
}

/// A line of words, or several; nothing without any.
fn wrapped(f: &mut fmt::Formatter<'_>, title: &str, words: &[String]) -> fmt::Result {
    let mut line = title.to_owned();
    for (n, word) in words.iter().enumerate() {
        if line.len() + word.len() > WIDTH {
            writeln!(f, "{}", line.trim_end())?;
            line = " ".repeat(INDENT);
        }
        line.push_str(word);
        line.push_str(if n + 1 == words.len() { "" } else { ", " });
    }
    if words.is_empty() { Ok(()) } else { writeln!(f, "{line}") }
}

/// As JSON: `complete`, `devices` (`name`, `node`, `state`, `error`, `reason`, `model`, `touched`), `elsewhere`.
pub fn json(drivers: &Drivers) -> serde_json::Value {
    let row = |row: &Row| {
        let (state, error) = match row.outcome {
            None => ("not-asked", None),
            Some(Outcome::Bound) => ("bound", None),
            Some(Outcome::Deferred) => ("deferred", None),
            Some(Outcome::Declined(error)) => ("declined", Some(error)),
            Some(Outcome::Failed(error)) => ("failed", Some(error)),
        };
        json!({
            "name": row.name,
            "node": row.path,
            "state": state,
            "error": error,
            "reason": row.reason,
            "model": modelled(row),
            "touched": row.touched,
        })
    };
    let elsewhere = drivers
        .elsewhere
        .iter()
        .map(|(page, block, accesses)| json!({ "page": page, "block": block, "accesses": accesses }));
    json!({
        "complete": drivers.complete,
        "devices": drivers.rows.iter().map(row).collect::<Vec<_>>(),
        "elsewhere": elsewhere.collect::<Vec<_>>(),
    })
}
