// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The report as a page for a browser: one file, no script.

use std::fmt::Write;

use super::{Document, State};
use crate::report::Verdict;

const STYLE: &str = "body{font:16px/1.4 sans-serif;max-width:70em;margin:1em auto;padding:0 1em}\
    table{border-collapse:collapse}td,th{padding:.15em .6em;text-align:left;vertical-align:top}\
    tr.fail{background:#fbd0d0}tr.skip{color:#666}";

/// The page.
pub fn html(document: &Document) -> String {
    let mut page = String::from("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    if document.state == State::Running {
        page.push_str("<meta http-equiv=\"refresh\" content=\"5\">");
    }
    let board = document.board.as_deref().unwrap_or("board");
    let _ = write!(
        page,
        "<title>{0}: self-test</title><style>{STYLE}</style></head><body><h1>{0}</h1>",
        text(board)
    );
    let _ = write!(page, "<p>Kernel {}. {}</p>", text(&document.kernel), text(&summary(document)));
    if !document.checks.is_empty() {
        page.push_str("<table><tr><th>Check</th><th></th><th></th></tr>");
        // What failed first.
        for wanted in [Verdict::Fail, Verdict::Pass, Verdict::Skip] {
            for check in document.checks.iter().filter(|c| c.verdict == wanted) {
                let (name, detail) = (text(&check.name), text(&check.detail));
                let _ = write!(
                    page,
                    "<tr class=\"{wanted}\"><td>{name}</td><td>{wanted}</td><td>{detail}</td></tr>"
                );
            }
        }
        page.push_str("</table>");
    }
    page.push_str("<p><a href=\"/bringup-report.json\">the same as JSON</a></p></body></html>\n");
    page
}

fn summary(document: &Document) -> String {
    match (document.state, &document.result) {
        (State::Finished, Some(sum)) => format!(
            "{} checks passed, {} failed, {} skipped; {} of {} features.",
            sum.pass, sum.fail, sum.skip, sum.features_passed, sum.features
        ),
        (State::Running, _) => "The self-test runs; this page looks again every five seconds.".to_owned(),
        _ => "The self-test was not run.".to_owned(),
    }
}

/// Device names and kernel arguments may hold anything.
fn text(raw: &str) -> String {
    raw.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::document::{Check, Sum};

    #[test]
    fn what_failed_is_first_and_nothing_becomes_markup() {
        let check = |name: &str, verdict| Check { name: name.into(), verdict, detail: "<script>&".into() };
        let mut document = Document::not_run("6.18.15-abc");
        document.board = Some("A \"board\"".into());
        assert!(html(&document).contains("not run"));
        document.state = State::Finished;
        document.result = Some(Sum { pass: 1, fail: 1, skip: 0, features: 1, features_passed: 1 });
        document.checks = vec![check("good", Verdict::Pass), check("bad", Verdict::Fail)];
        let page = html(&document);
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;&amp;"), "{page}");
        assert!(page.contains("A &quot;board&quot;") && page.contains("1 checks passed, 1 failed"), "{page}");
        assert!(page.find("<td>bad<") < page.find("<td>good<"), "{page}");
        assert!(!page.contains("http-equiv"));
        document.state = State::Running;
        assert!(html(&document).contains("http-equiv"));
    }
}
