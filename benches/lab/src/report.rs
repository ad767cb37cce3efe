//! The run as text: what it ran on, one table, the goals.

pub(crate) mod figures;
mod table;
mod waypoint;

use std::fmt::Write as _;

use self::figures::{Figure, MEBIBYTE};
use self::table::{Table, number, spread};
use crate::record::{Held, Memory, Record};
use crate::scenario::Scenario;
use crate::statistics::Spread;
use crate::subject::{OURS, RAW};

/// Other programs' share of the machine, in percent, above which the table calls itself noisy: kernel
/// work that is charged to nobody stays below it.
const QUIET: f64 = 10.0;

/// The hypervisor's share, in percent, above which it does.
const QUIET_STOLEN: f64 = 1.0;

/// The whole text.
pub(crate) fn text(record: &Record) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = machine(&mut text, record);
    if !record.subjects.is_empty() {
        let _ = head(&mut text, record);
        text.push_str(&table(record).to_string());
    }
    if let Some(outcome) = &record.waypoint {
        text.push_str(&waypoint::text(outcome, record.host.processors));
    }
    let _ = goals(&mut text, record);
    text
}

fn machine(text: &mut String, record: &Record) -> std::fmt::Result {
    let (host, method) = (&record.host, &record.method);
    writeln!(text)?;
    writeln!(
        text,
        "machine   {} x {}, Linux {}, load at start {}",
        host.processors, host.processor, host.kernel, host.load
    )?;
    writeln!(text, "all with  GLIBC_TUNABLES={}", method.glibc_tunables)
}

fn head(text: &mut String, record: &Record) -> std::fmt::Result {
    let (host, method) = (&record.host, &record.method);
    writeln!(
        text,
        "path      client pod on node 1 -> server pod on node 2, IPv4, in one machine"
    )?;
    writeln!(
        text,
        "ztunnels  2 worker threads each, access log on, to a file"
    )?;
    for subject in &record.subjects {
        writeln!(text, "{:<9} {}", subject.name, subject.command)?;
    }
    writeln!(
        text,
        "blocks    {} of {} s per figure after {} s of warm-up, subjects in turn; median [least-most]",
        method.blocks, method.window_s, method.warm_up_s
    )?;
    writeln!(
        text,
        "load      bulk: writes of {} KiB; requests: {} bytes, answers: {} bytes",
        method.chunk_bytes / 1024,
        method.request_bytes,
        method.answer_bytes
    )?;
    let share = |value: fn(&crate::record::Block, usize) -> f64| {
        Spread::of(
            record
                .blocks
                .iter()
                .map(|block| 100.0 * value(block, host.processors)),
        )
    };
    let other = share(crate::record::Block::disturbance);
    let stolen =
        share(|block, processors| block.cpu_stolen_s / (block.seconds * processors as f64));
    disturbed(text, other, stolen)?;
    let failed: u64 = record.blocks.iter().map(|block| block.failed).sum();
    let at_server: u64 = record
        .blocks
        .iter()
        .map(|block| block.failed_at_server)
        .sum();
    writeln!(
        text,
        "failures  {failed} connections at the client, {at_server} at the server, all subjects"
    )?;
    writeln!(text)
}

/// What others used, in percent; whether that is too much to believe the figures.
fn disturbed(text: &mut String, other: Option<Spread>, stolen: Option<Spread>) -> std::fmt::Result {
    let (Some(other), Some(stolen)) = (other, stolen) else {
        return Ok(());
    };
    writeln!(
        text,
        "others    used {:.0} % of the machine [{:.0}-{:.0} per block]; the hypervisor took {:.1} %",
        other.median, other.min, other.max, stolen.median
    )?;
    if other.median > QUIET || stolen.median > QUIET_STOLEN {
        writeln!(
            text,
            "          NOISY: figures of a quiet machine have less than {QUIET} % and {QUIET_STOLEN} %"
        )?;
    }
    Ok(())
}

fn others(record: &Record) -> impl Iterator<Item = &str> {
    record
        .subjects
        .iter()
        .map(|subject| subject.name.as_str())
        .filter(|name| ![RAW, OURS].contains(name))
}

fn table(record: &Record) -> Table {
    let mut heads = vec![
        "".to_owned(),
        RAW.to_owned(),
        OURS.to_owned(),
        format!("{OURS} / {RAW}"),
    ];
    for name in others(record) {
        heads.extend([
            name.to_owned(),
            format!("{name} / {RAW}"),
            format!("{OURS} / {name}"),
        ]);
    }
    let mut table = Table::new(heads);
    for &scenario in &record.method.scenarios {
        table.section(scenario.to_string());
        for figure in figures::of(scenario) {
            table.row(row(record, scenario, &figure));
        }
        failures(record, scenario, &mut table);
    }
    if !record.memories.is_empty() {
        memory(record, &mut table);
    }
    table
}

fn row(record: &Record, scenario: Scenario, figure: &Figure) -> Vec<String> {
    let own = |name: &str| spread(Spread::of(record.values(scenario, name, figure.value)));
    let ratio =
        |over: &str, under: &str| spread(record.ratio(scenario, [over, under], figure.value));
    let mut cells = vec![
        figure.label.to_owned(),
        own(RAW),
        own(OURS),
        ratio(OURS, RAW),
    ];
    for name in others(record) {
        cells.extend([own(name), ratio(name, RAW), ratio(OURS, name)]);
    }
    cells
}

/// A row only when something failed: a rate that was bought with failures is none.
fn failures(record: &Record, scenario: Scenario, table: &mut Table) {
    let count = |name: &str| {
        let blocks = record
            .blocks
            .iter()
            .filter(|block| block.scenario == scenario && block.subject == name);
        blocks
            .map(|block| block.failed + block.failed_at_server)
            .sum::<u64>()
    };
    if record
        .subjects
        .iter()
        .all(|subject| count(&subject.name) == 0)
    {
        return;
    }
    let mut cells = vec![
        "FAILED connections".to_owned(),
        count(RAW).to_string(),
        count(OURS).to_string(),
        String::new(),
    ];
    for name in others(record) {
        cells.extend([count(name).to_string(), String::new(), String::new()]);
    }
    table.row(cells);
}

fn memory(record: &Record, table: &mut Table) {
    const NODES: [&str; 2] = ["client's", "server's"];
    table.section("memory per ztunnel, MiB resident (anonymous)".to_owned());
    let of = |name: &str| record.memories.iter().find(|memory| memory.subject == name);
    type Show = (
        &'static str,
        fn(&Memory, usize) -> f64,
        fn(&Memory, usize) -> String,
    );
    let shows: [Show; 5] = [
        (
            "idle after start",
            |memory, node| mean_start(memory, node),
            |memory, node| held(memory.start.first().map(|both| both[node])),
        ),
        (
            "idle connections",
            |memory, node| memory.idle[node].resident as f64,
            |memory, node| held(Some(memory.idle[node])),
        ),
        (
            "bytes per idle connection",
            Memory::per_connection,
            |memory, node| number(memory.per_connection(node)),
        ),
        (
            "after load",
            |memory, node| memory.loaded[node].resident as f64,
            |memory, node| held(Some(memory.loaded[node])),
        ),
        (
            "highest under load",
            |memory, node| memory.loaded[node].highest as f64,
            |memory, node| number(memory.loaded[node].highest as f64 / MEBIBYTE),
        ),
    ];
    for (label, value, show) in shows {
        for (node, whose) in NODES.iter().enumerate() {
            let cell =
                |name: &str| of(name).map_or_else(|| "-".to_owned(), |memory| show(memory, node));
            let label = match (label, of(OURS)) {
                ("idle connections", Some(memory)) => {
                    format!("{} {label}, {whose}", memory.idle_connections)
                }
                _ => format!("{label}, {whose}"),
            };
            let mut cells = vec![label, "-".to_owned(), cell(OURS), "-".to_owned()];
            for name in others(record) {
                let ratio = of(OURS)
                    .zip(of(name))
                    .map(|(ours, other)| value(ours, node) / value(other, node));
                let ratio = ratio
                    .filter(|ratio| ratio.is_finite())
                    .map_or_else(|| "-".to_owned(), number);
                cells.extend([cell(name), "-".to_owned(), ratio]);
            }
            table.row(cells);
        }
    }
}

fn mean_start(memory: &Memory, node: usize) -> f64 {
    memory
        .start
        .first()
        .map_or(0.0, |both| both[node].resident as f64)
}

fn held(held: Option<Held>) -> String {
    let mebibytes = |bytes: u64| number(bytes as f64 / MEBIBYTE);
    held.map_or_else(
        || "-".to_owned(),
        |held| {
            format!(
                "{} ({})",
                mebibytes(held.resident),
                mebibytes(held.anonymous)
            )
        },
    )
}

fn goals(text: &mut String, record: &Record) -> std::fmt::Result {
    if record.goals.is_empty() {
        return Ok(());
    }
    writeln!(text, "\ngoals of {OURS} (none decides the exit code)")?;
    let width = record
        .goals
        .iter()
        .map(|goal| goal.what.len())
        .max()
        .unwrap_or(0);
    for goal in &record.goals {
        let sign = if goal.at_least { ">=" } else { "<=" };
        let met = if goal.met { "met" } else { "NOT MET" };
        let istio = goal.istio.map_or_else(String::new, |istio| {
            format!("   (Istio's elsewhere: {istio})")
        });
        writeln!(
            text,
            "  {:<width$}   {sign} {:<5} {:>6}   {met:<7}{istio}",
            goal.what,
            goal.limit,
            number(goal.measured)
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
