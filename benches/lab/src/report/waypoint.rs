//! The waypoints' part of the text.

use std::fmt::Write as _;

use super::disturbed;
use super::figures::MEBIBYTE;
use super::table::{Table, number, spread};
use crate::record::Held;
use crate::statistics::Spread;
use crate::waypoint::record::{Block, Life, Outcome};
use crate::waypoint::{ENVOY, OURS};

/// A row of an exchange.
type Figure = (&'static str, fn(&Block) -> f64);

/// A row of memory.
type Hold = (&'static str, fn(&Life) -> u64);

/// A row of memory with one table.
type Weight = (&'static str, fn(Held) -> u64);

const FIGURES: [Figure; 6] = [
    ("requests per CPU-second of it", Block::per_cpu_second),
    ("CPU of it, us each", |block| {
        block.micros_each(block.cpu_waypoint_s)
    }),
    ("rate, 1/s", Block::rate),
    ("p50, us", |block| block.p50_us),
    ("p99, us", |block| block.p99_us),
    ("CPU both ztunnels, us each", |block| {
        block.micros_each(block.cpu_near_s + block.cpu_far_s)
    }),
];

const HOLDS: [Hold; 4] = [
    ("idle, all six tables, resident", |life| life.idle.resident),
    ("idle, all six tables, anonymous", |life| {
        life.idle.anonymous
    }),
    ("after load, resident", |life| life.loaded.resident),
    ("highest under load", |life| life.loaded.highest),
];

/// The whole part.
pub(super) fn text(outcome: &Outcome, processors: usize) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = head(&mut text, outcome, processors);
    if !outcome.sides.is_empty() {
        text.push_str(&table(outcome).to_string());
    }
    text
}

fn head(text: &mut String, outcome: &Outcome, processors: usize) -> std::fmt::Result {
    writeln!(text)?;
    for line in &outcome.skipped {
        writeln!(text, "{line}")?;
    }
    if outcome.sides.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "waypoint  client pod on node 1 -> ztunnel -> waypoint -> ztunnel -> nginx in a pod on node 2"
    )?;
    for (name, command) in &outcome.sides {
        writeln!(text, "{name:<9} {command}, access log on, to a file")?;
    }
    writeln!(
        text,
        "blocks    {} of {} s per figure after {} s of warm-up, waypoints in turn; median [least-most]",
        outcome.blocks_each, outcome.window_s, outcome.warm_up_s
    )?;
    writeln!(
        text,
        "load      h2load, closed loop; 16 at a time: 16 connections of HTTP/1.1, or 4 of HTTP/2 with 4 streams each"
    )?;
    let blocks = &outcome.blocks;
    let other = Spread::of(
        blocks
            .iter()
            .map(|block| 100.0 * block.disturbance(processors)),
    );
    let stolen = Spread::of(
        blocks
            .iter()
            .map(|block| 100.0 * block.cpu_stolen_s / (block.seconds * processors as f64)),
    );
    disturbed(text, other, stolen)?;
    let failed: u64 = blocks.iter().map(|block| block.failed).sum();
    writeln!(text, "failures  {failed} requests, all waypoints")?;
    writeln!(text)
}

fn table(outcome: &Outcome) -> Table {
    let names: Vec<&str> = outcome
        .sides
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let both = [OURS, ENVOY].iter().all(|name| names.contains(name));
    let mut heads = vec![String::new()];
    heads.extend(names.iter().map(ToString::to_string));
    if both {
        heads.push(format!("{OURS} / {ENVOY}"));
    }
    let mut table = Table::new(heads);
    for &exchange in &outcome.exchanges {
        table.section(exchange.to_string());
        for (label, value) in FIGURES {
            let mut cells = vec![label.to_owned()];
            let own = |name: &&str| spread(Spread::of(outcome.values(exchange, name, value)));
            cells.extend(names.iter().map(own));
            if both {
                cells.push(spread(outcome.ratio(exchange, [OURS, ENVOY], value)));
            }
            table.row(cells);
        }
        let failed = |name: &&str| {
            outcome
                .values(exchange, name, |block| block.failed as f64)
                .iter()
                .sum::<f64>()
        };
        if names.iter().map(failed).sum::<f64>() > 0.0 {
            let mut cells = vec!["FAILED requests".to_owned()];
            cells.extend(names.iter().map(|name| number(failed(name))));
            table.row(cells);
        }
    }
    table.section("memory of it, MiB".to_owned());
    let held = |name: &str, value: fn(Held) -> u64| {
        outcome
            .heavy(name)
            .map(|held| value(held) as f64 / MEBIBYTE)
    };
    let heavy: [Weight; 2] = [
        ("idle, 1,000 routes, resident", |held| held.resident),
        ("idle, 1,000 routes, anonymous", |held| held.anonymous),
    ];
    for (label, value) in heavy {
        let mut cells = vec![label.to_owned()];
        let cell = |name: &&str| held(name, value).map_or_else(|| "-".to_owned(), number);
        cells.extend(names.iter().map(cell));
        if both {
            let ratio = held(OURS, value).zip(held(ENVOY, value));
            cells.push(ratio.map_or_else(String::new, |(ours, envoy)| number(ours / envoy)));
        }
        table.row(cells);
    }
    for (label, value) in HOLDS {
        let mut cells = vec![label.to_owned()];
        let mebibytes = |name: &str| {
            let held = outcome.held(name, value)?;
            Some(Spread {
                median: held.median / MEBIBYTE,
                min: held.min / MEBIBYTE,
                max: held.max / MEBIBYTE,
            })
        };
        cells.extend(names.iter().map(|name| spread(mebibytes(name))));
        if both {
            let ratio = mebibytes(OURS)
                .zip(mebibytes(ENVOY))
                .map(|(ours, envoy)| number(ours.median / envoy.median));
            cells.push(ratio.unwrap_or_default());
        }
        table.row(cells);
    }
    table.section("access log".to_owned());
    let mut cells = vec!["lines per request".to_owned()];
    let logged = |name: &&str| outcome.logged(name).map_or_else(|| "-".to_owned(), number);
    cells.extend(names.iter().map(logged));
    table.row(cells);
    table
}
