//! A part as text: its path, its subjects, how it was measured, its table.

use std::fmt::Write as _;

use super::column::Column;
use super::figures::{self, Figure};
use super::table::{Table, spread};
use super::{disturbed, holdings};
use crate::record::{Block, Outcome};
use crate::scenario::Scenario;
use crate::statistics::Spread;

/// The whole part.
pub(super) fn text(outcome: &Outcome, processors: usize) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = head(&mut text, outcome, processors);
    text.push_str(&table(outcome).to_string());
    text
}

fn head(text: &mut String, outcome: &Outcome, processors: usize) -> std::fmt::Result {
    writeln!(text, "\n== {} ==", outcome.part)?;
    for line in &outcome.skipped {
        writeln!(text, "{line}")?;
    }
    writeln!(text, "path      {}", outcome.part.path())?;
    let width = outcome
        .subjects
        .iter()
        .map(|it| it.name.len())
        .fold(9, usize::max);
    for subject in &outcome.subjects {
        writeln!(text, "{:<width$} {}", subject.name, subject.command)?;
    }
    if outcome.scenarios.is_empty() {
        return writeln!(text);
    }
    let turns = if outcome.turns > 1 {
        format!(" ({} in each life of the ztunnels)", outcome.turns)
    } else {
        String::new()
    };
    writeln!(
        text,
        "blocks    {}{turns} of {} s per figure after {} s of warm-up, subjects in turn; median [least-most]",
        outcome.lives * outcome.turns,
        outcome.window_s,
        outcome.warm_up_s
    )?;
    let share = |value: fn(&Block, usize) -> f64| {
        let blocks = outcome.blocks.iter();
        Spread::of(blocks.map(|block| 100.0 * value(block, processors)))
    };
    disturbed(text, share(Block::disturbance), share(Block::stolen))?;
    let sum = |value: fn(&Block) -> u64| outcome.blocks.iter().map(value).sum::<u64>();
    writeln!(
        text,
        "failures  {} connections at the client, {} at the server, all subjects",
        sum(|block| block.failed),
        sum(|block| block.failed_at_server)
    )?;
    writeln!(text)
}

fn table(outcome: &Outcome) -> Table {
    let columns = outcome.part.columns(&outcome.subjects);
    let heads = columns.iter().map(Column::to_string);
    let mut table = Table::new([String::new()].into_iter().chain(heads).collect());
    for &scenario in &outcome.scenarios {
        table.section(scenario.to_string());
        for figure in figures::of(scenario) {
            row(&mut table, figure.label, &columns, |column| {
                cell(outcome, scenario, &figure, column)
            });
        }
        if scenario.alone().is_some() {
            for figure in figures::BESIDE_ALONE {
                row(&mut table, figure.label, &columns, |column| match column {
                    Column::Own(name) => outcome.beside(scenario, name, figure.value),
                    Column::Ratio { .. } | Column::Added { .. } => None,
                });
            }
        }
        failures(outcome, scenario, &columns, &mut table);
    }
    holdings::add(outcome, &columns, &mut table);
    table
}

/// A row, unless nobody has such a figure.
fn row(
    table: &mut Table,
    label: &str,
    columns: &[Column],
    value: impl Fn(&Column) -> Option<Spread>,
) {
    let values: Vec<Option<Spread>> = columns.iter().map(value).collect();
    if values.iter().any(Option::is_some) {
        let cells = values.into_iter().map(spread);
        table.row([label.to_owned()].into_iter().chain(cells).collect());
    }
}

fn cell(outcome: &Outcome, scenario: Scenario, figure: &Figure, column: &Column) -> Option<Spread> {
    match column {
        Column::Own(name) => Spread::of(outcome.values(scenario, name, figure.value)),
        Column::Ratio { over, under } => outcome.ratio(scenario, [over, under], figure.value),
        Column::Added { over, under, base } if figure.is_cost => {
            outcome.added(scenario, [over, under], base, figure.value)
        }
        Column::Added { .. } => None,
    }
}

/// A row only when something failed: a rate that was bought with failures is none.
fn failures(outcome: &Outcome, scenario: Scenario, columns: &[Column], table: &mut Table) {
    let count = |name: &str| {
        let blocks = outcome
            .blocks
            .iter()
            .filter(|block| block.scenario == scenario && block.subject == name);
        blocks
            .map(|block| block.failed + block.failed_at_server)
            .sum::<u64>()
    };
    if outcome.subjects.iter().all(|it| count(&it.name) == 0) {
        return;
    }
    let cells = columns.iter().map(|column| match column {
        Column::Own(name) => count(name).to_string(),
        Column::Ratio { .. } | Column::Added { .. } => String::new(),
    });
    table.row(
        ["FAILED connections".to_owned()]
            .into_iter()
            .chain(cells)
            .collect(),
    );
}
