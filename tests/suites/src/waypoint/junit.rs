//! The report of h2spec: which of its cases failed, and why.

use std::collections::BTreeMap;

/// What became of the cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// How many were run or skipped.
    pub cases: usize,
    /// Those that failed, with what was said of it.
    pub failed: BTreeMap<String, String>,
    /// How many were skipped.
    pub skipped: usize,
}

/// Reads a JUnit report as h2spec writes it.
pub fn parse(xml: &str) -> Report {
    let mut report = Report::default();
    for case in xml.split("<testcase ").skip(1) {
        report.cases += 1;
        let head = case.split('>').next().unwrap_or_default();
        let name = format!(
            "{} {}",
            attribute(head, "package"),
            attribute(head, "classname")
        );
        let body = case.split("</testcase>").next().unwrap_or_default();
        if body.contains("<skipped") {
            report.skipped += 1;
        }
        for kind in ["<failure", "<error"] {
            if let Some((_, text)) = body.split_once(kind) {
                let text = text.split("</").next().unwrap_or_default();
                report.failed.insert(name.clone(), text.to_owned());
            }
        }
    }
    report
}

fn attribute<'x>(head: &'x str, name: &str) -> &'x str {
    let value = head.split_once(&format!("{name}=\""));
    value
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or_default()
}
