//! What ztunnels hold, as rows of a part's table.

use super::column::Column;
use super::figures::MEBIBYTE;
use super::table::{Table, number};
use crate::record::{Held, Idle, Memory, Outcome};

/// Whose each ztunnel is.
const NODES: [&str; 2] = ["client's", "server's"];

/// A figure, and how it is written.
type Shown = (f64, String);

/// The rows for which a part has figures.
pub(super) fn add(outcome: &Outcome, columns: &[Column], table: &mut Table) {
    if !outcome.memories.is_empty() {
        table.section("memory per ztunnel, MiB resident (anonymous)".to_owned());
        memory(&outcome.memories, columns, table);
    }
    if !outcome.idles.is_empty() {
        table.section("memory per ztunnel, MiB resident (anonymous)".to_owned());
        idle(&outcome.idles, columns, table);
    }
}

fn memory(memories: &[Memory], columns: &[Column], table: &mut Table) {
    let of = |name: &str| memories.iter().find(|memory| memory.subject == name);
    for (node, whose) in NODES.iter().enumerate() {
        row(
            table,
            format!("idle after start, {whose}"),
            columns,
            |name| held(of(name)?.start.first()?.get(node)),
        );
    }
    for (node, whose) in NODES.iter().enumerate() {
        row(table, format!("after load, {whose}"), columns, |name| {
            held(of(name)?.loaded.get(node))
        });
    }
    for (node, whose) in NODES.iter().enumerate() {
        row(
            table,
            format!("highest under load, {whose}"),
            columns,
            |name| {
                let mebibytes = of(name)?.loaded.get(node)?.highest as f64 / MEBIBYTE;
                Some((mebibytes, number(mebibytes)))
            },
        );
    }
}

fn idle(idles: &[Idle], columns: &[Column], table: &mut Table) {
    type List = fn(&Idle) -> &[Held];
    let of = |name: &str| idles.iter().find(|idle| idle.subject == name);
    let lists: [(&str, List); 4] = [
        ("idle after start", |idle| &idle.start),
        ("one connection", |idle| &idle.warm),
        ("all connections", |idle| &idle.idle),
        ("after they closed", |idle| &idle.closed),
    ];
    row(table, "connections".to_owned(), columns, |name| {
        let count = of(name)?.connections as f64;
        Some((count, number(count)))
    });
    for (label, list) in lists {
        for (node, whose) in NODES.iter().enumerate() {
            row(table, format!("{label}, {whose}"), columns, |name| {
                held(list(of(name)?).get(node))
            });
        }
    }
    for (node, whose) in NODES.iter().enumerate() {
        let label = format!("bytes per connection, {whose}");
        row(table, label, columns, |name| {
            let bytes = of(name)?.per_connection(node)?;
            Some((bytes, number(bytes)))
        });
    }
}

/// A row, unless nobody has such a figure. There is one value of each, so that a ratio is one, too.
fn row(
    table: &mut Table,
    label: String,
    columns: &[Column],
    value: impl Fn(&str) -> Option<Shown>,
) {
    let cell = |column: &Column| match column {
        Column::Own(name) => Some(value(name)?.1),
        Column::Ratio { over, under } => {
            let ratio = value(over)?.0 / value(under)?.0;
            ratio.is_finite().then(|| number(ratio))
        }
        Column::Added { .. } => None,
    };
    let cells: Vec<Option<String>> = columns.iter().map(cell).collect();
    if cells.iter().any(Option::is_some) {
        let cells = cells
            .into_iter()
            .map(|cell| cell.unwrap_or_else(|| "-".to_owned()));
        table.row([label].into_iter().chain(cells).collect());
    }
}

fn held(held: Option<&Held>) -> Option<Shown> {
    let mebibytes = |bytes: u64| bytes as f64 / MEBIBYTE;
    let held = held?;
    let (resident, anonymous) = (mebibytes(held.resident), mebibytes(held.anonymous));
    let text = format!("{} ({})", number(resident), number(anonymous));
    Some((resident, text))
}
