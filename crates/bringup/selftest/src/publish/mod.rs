// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The report for people without a serial cable: as JSON on the medium, and over HTTP and mDNS.
//!
//! [`document`] is what they get. [`esp`] writes it to the medium that was flashed. [`http`] and [`mdns`] run in a
//! process of their own ([`service`]) without privileges: what strangers send must not end process 1.

pub mod document;
pub mod esp;
pub mod http;
pub(crate) mod interfaces;
pub mod mdns;
mod page;
pub mod probe;
pub mod service;
pub mod supervise;

use std::fs;
use std::net::IpAddr;
use std::path::Path;

pub use document::{Document, State};
pub use interfaces::Interface;

use crate::machine::Machine;
use crate::report::Report;

/// Where the service finds what to serve.
pub const SERVED: &str = "/run/bringup-report.json";
/// The name that every board answers to.
pub const HOST: &str = "nanopi-m6-bringup.local";

/// Puts a document where the service finds it, in one step.
///
/// # Errors
/// It cannot be written.
pub fn hand_over(document: &Document) -> std::io::Result<()> {
    let new = Path::new(SERVED).with_extension("new");
    fs::write(&new, document.to_json())?;
    fs::rename(new, SERVED)
}

/// Writes the report to the medium, serves it, and adds a line for each of these to it.
pub fn publish(machine: &Machine<'_>, report: &mut Report<'_>) {
    let document = Document::finished(machine, report);
    let written = esp::write(machine, &document);
    match &written {
        Ok(places) => report.pass("report.esp", format!("`{}` on {}", esp::FILE, places.join(", "))),
        Err(esp::EspError::NotOurs) => report.skip("report.esp", esp::EspError::NotOurs),
        Err(e) => report.fail("report.esp", e),
    }
    if let Err(e) = hand_over(&document) {
        report.fail("report.http", format!("`{SERVED}`: {e}"));
        return;
    }
    match probe::http(&document) {
        Ok(()) => report.pass("report.http", addresses(machine)),
        Err(why) => report.fail("report.http", why),
    }
    let linked: Vec<Interface> =
        interfaces::list(machine).into_iter().filter(|i| i.carrier && !i.addresses.is_empty()).collect();
    if linked.is_empty() {
        report.skip("report.mdns", format!("no link (cable); with one the report is at http://{HOST}/"));
    }
    for interface in linked {
        let name = "report.mdns";
        match probe::mdns(&interface) {
            Ok(found) => report.pass(name, format!("{HOST} is {found} on {}", interface.name)),
            Err(why) => report.fail(name, format!("{}: {why}", interface.name)),
        }
    }
}

/// Where the report can be read, in the order in which people try.
fn addresses(machine: &Machine<'_>) -> String {
    let linked: Vec<String> = interfaces::list(machine)
        .into_iter()
        .filter(|i| i.carrier)
        .flat_map(|i| i.addresses)
        .map(|(address, _)| match address {
            IpAddr::V4(a) => format!("http://{a}/"),
            IpAddr::V6(a) => format!("http://[{a}]/"),
        })
        .collect();
    if linked.is_empty() { "served; no address yet".to_owned() } else { linked.join(" ") }
}
