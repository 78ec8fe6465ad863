// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The board's tree against its nearest neighbour upstream: each difference is one that the table explains, and each
//! row of the table is a difference.
//!
//! The table is data (`dt-rules/neighbour.toml`). Phandle numbers and the names of labels do not count.

use fw_image::dt::Dt;
use serde::Deserialize;

use super::complaint::Complaint;
use super::delta::{Difference, differences};

/// `neighbour.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Neighbour {
    /// Source file of the neighbour in the kernel's tree.
    pub source: String,
    /// How the table calls it.
    pub name: String,
    /// The differences that there are to be.
    pub difference: Vec<Row>,
}

/// One row: a topic, how each board is, and where in the trees that shows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Row {
    /// What it is about.
    pub topic: String,
    /// The neighbour.
    pub neighbour: String,
    /// This board.
    pub here: String,
    /// Why, or where the fact is from.
    pub reason: String,
    /// Where: `PLACE` (the node and all below it) or `PLACE property`; `PLACE` is a path or `&label`, in either tree.
    pub places: Vec<String>,
}

/// A difference and the row that explains it.
pub struct Explained<'t> {
    /// The row.
    pub row: &'t Row,
    /// What differs.
    pub differences: Vec<Difference>,
}

impl Neighbour {
    /// Sorts the differences of two trees under the rows; what fits no row, and rows without a difference, are
    /// complaints.
    pub fn judge(&self, neighbour: &Dt, board: &Dt) -> (Vec<Explained<'_>>, Vec<Complaint>) {
        let mut complaints = Vec::new();
        let mut explained: Vec<Explained> =
            self.difference.iter().map(|row| Explained { row, differences: Vec::new() }).collect();
        let places: Vec<Vec<Place>> = self
            .difference
            .iter()
            .map(|row| {
                row.places.iter().flat_map(|p| Place::of(p, neighbour, board, &mut complaints)).collect()
            })
            .collect();
        for difference in differences(neighbour, board) {
            // The most exact place wins, so that a row about one property can stand beside one about its node.
            let exactness = |places: &Vec<Place>| places.iter().filter_map(|p| p.fits(&difference)).max();
            let rows = places.iter().map(exactness).enumerate();
            let best = rows.filter(|(_, e)| e.is_some()).max_by_key(|(_, e)| *e).map(|(row, _)| row);
            match best {
                Some(row) => explained[row].differences.push(difference),
                None => complaints.push(Complaint::because(
                    format!("unexplained: {}", difference.line(board)),
                    "no row of the table of differences from the neighbour names it",
                )),
            }
        }
        for row in explained.iter().filter(|e| e.differences.is_empty()) {
            let what = format!("`{}`: the trees do not differ there", row.row.topic);
            complaints.push(Complaint::because(what, &row.row.reason));
        }
        (explained, complaints)
    }
}

struct Place {
    path: String,
    property: Option<String>,
}

impl Place {
    fn of(text: &str, neighbour: &Dt, board: &Dt, complaints: &mut Vec<Complaint>) -> Vec<Place> {
        let (place, property) = text.split_once(' ').map_or((text, None), |(p, q)| (p, Some(q.to_owned())));
        let mut paths: Vec<String> =
            [board, neighbour].into_iter().filter_map(|dt| dt.resolve(place)).collect();
        paths.dedup();
        if paths.is_empty() {
            complaints.push(Complaint::new(format!("`neighbour.toml`: no tree has `{place}`")));
        }
        paths.into_iter().map(|path| Place { path, property: property.clone() }).collect()
    }

    /// How exactly the place names the difference; `None` when it does not.
    fn fits(&self, difference: &Difference) -> Option<usize> {
        let own = difference.path == self.path;
        let below = difference.path.strip_prefix(&self.path).is_some_and(|rest| rest.starts_with('/'));
        match &self.property {
            Some(property) => (own && *property == difference.property).then_some(usize::MAX),
            None => (own || below).then_some(self.path.len()),
        }
    }
}
