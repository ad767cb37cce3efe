//! The run as text: what it ran on, one table, with the goals in it.

use std::fs;
use std::thread;

use crate::figures::{Changes, Figures, Gaps};
use crate::lookups::GOAL_US;
use crate::table::{Table, number};

/// Bytes of a mebibyte.
const MEBIBYTE: f64 = 1024.0 * 1024.0;
/// How much more a change may cost in a mesh that is ten times larger and still count as independent of its size.
const INDEPENDENT: f64 = 1.25;

/// The whole text.
pub(crate) fn text(rounds: &[Figures]) -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split_whitespace().take(3).collect();
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let preferred = if rounds.iter().all(|round| round.preferred) {
        "with real-time priority"
    } else {
        "WITHOUT real-time priority (not root): gaps hold other threads' turns"
    };
    format!(
        "\npath      manifests -> controller -> TLS on 127.0.0.1 -> a ztunnel's workload xDS client -> its snapshot\n\
         machine   {processors} processors, Linux {}, load at the end {}\n\
         lookups   {preferred}\n\n{}",
        release.trim(),
        load.join(" "),
        table(rounds)
    )
}

/// Takes a figure out.
type Value<'a> = Box<dyn Fn(&Figures) -> Option<f64> + 'a>;

/// A figure: what it is, its value, and what is to be said of it.
struct Row<'a> {
    what: &'a str,
    value: Value<'a>,
    goal: Goal,
}

enum Goal {
    None,
    /// Of the larger mesh.
    AtMost(f64),
    /// Of the ratio of the larger mesh to the smaller.
    Independent,
}

fn row<'a>(what: &'a str, value: impl Fn(&Figures) -> f64 + 'a) -> Row<'a> {
    Row {
        what,
        value: Box::new(move |figures| Some(value(figures))),
        goal: Goal::None,
    }
}

impl Row<'_> {
    fn goal(mut self, goal: Goal) -> Self {
        self.goal = goal;
        self
    }

    fn cells(&self, rounds: &[Figures]) -> Vec<String> {
        let values: Vec<Option<f64>> = rounds.iter().map(|round| (self.value)(round)).collect();
        let ratio = match values.as_slice() {
            [Some(small), Some(full)] if *small > 0.0 => Some(full / small),
            _ => None,
        };
        let show = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), number);
        let met = |holds: bool| if holds { "met" } else { "NOT MET" };
        let goal = match (&self.goal, values.last().copied().flatten(), ratio) {
            (Goal::AtMost(limit), Some(value), _) => {
                format!("<= {}: {}", number(*limit), met(value <= *limit))
            }
            (Goal::Independent, _, Some(ratio)) => {
                let limit = number(INDEPENDENT);
                format!("ratio <= {limit}: {}", met(ratio <= INDEPENDENT))
            }
            _ => String::new(),
        };
        let mut cells = vec![self.what.to_owned()];
        cells.extend(values.iter().copied().map(show));
        if rounds.len() > 1 {
            cells.push(show(ratio));
        }
        cells.push(goal);
        cells
    }
}

fn table(rounds: &[Figures]) -> Table {
    let mut table = Table::default();
    let workloads = rounds.iter().map(|round| round.size.workloads as f64);
    let mut heads = vec!["workloads".to_owned()];
    heads.extend(workloads.map(number));
    if rounds.len() > 1 {
        heads.push("ratio".to_owned());
    }
    heads.push("goal".to_owned());
    table.row(heads);
    let mut section = |title: &str, rows: Vec<Row<'_>>| {
        table.section(title);
        for row in rows {
            table.row(row.cells(rounds));
        }
    };
    section(
        "mesh",
        vec![
            row("services", |it| it.size.services as f64),
            row("policies", |it| it.size.policies as f64),
            row("manifest files", |it| it.files as f64),
            row("manifests, MiB", |it| it.manifest_bytes as f64 / MEBIBYTE),
        ],
    );
    section("controller", controller());
    section("ztunnel's side, everything subscribed", client());
    section(
        "one endpoint changes, from the rename of its file to ztunnel's snapshot",
        changes(|it| &it.changes, Goal::Independent),
    );
    section(
        "the same beside a client that reads nothing",
        changes(|it| &it.beside_stalled, Goal::None)
            .into_iter()
            .chain([
                row("median / median without it", |it| {
                    it.beside_stalled.median_ms / it.changes.median_ms
                }),
                row("controller's growth by that client, MiB", |it| {
                    it.stalled_bytes / MEBIBYTE
                }),
            ])
            .collect(),
    );
    section(
        "on demand",
        vec![
            row("connect to ready, ms", |it| it.on_demand.ready_ms),
            row("one name, median ms", |it| it.on_demand.median_ms),
            row("one name, p99 ms", |it| it.on_demand.p99_ms),
            row("bytes per name", |it| it.on_demand.bytes),
        ],
    );
    section("lookups: gap between decisions", Vec::new());
    let goal = || Goal::AtMost(GOAL_US.into());
    section(" everything arrives", gaps(|it| &it.push, goal()));
    section(" nothing goes on: noise", gaps(|it| &it.idle, Goal::None));
    section(
        " two threads compute: noise",
        gaps(|it| &it.busy, Goal::None),
    );
    section(" one endpoint changes", gaps(|it| &it.changing, goal()));
    table
}

fn controller() -> Vec<Row<'static>> {
    vec![
        row("start to first snapshot, s", |it| it.controller.ready_s),
        row("- reading, s", |it| it.controller.read_s),
        row("- compiling and publishing, s", |it| {
            it.controller.compile_s
        }),
        row("memory, highest until then, MiB", |it| {
            it.controller.highest as f64 / MEBIBYTE
        }),
        row("memory then, MiB", |it| {
            it.controller.at_ready as f64 / MEBIBYTE
        }),
        row("memory then, bytes per workload", |it| {
            it.controller.at_ready as f64 / it.size.workloads as f64
        }),
        row("memory after a client has everything, MiB", |it| {
            it.controller.after_push as f64 / MEBIBYTE
        }),
        row("memory at the end, MiB", |it| {
            it.controller.at_end as f64 / MEBIBYTE
        }),
    ]
}

fn client() -> Vec<Row<'static>> {
    vec![
        row("connect to ready, s", |it| it.client.ready_s),
        row("- until the large response is there, s", |it| {
            it.client.received_s
        }),
        row("- applying it, s", |it| {
            it.client.ready_s - it.client.received_s
        }),
        row("responses", |it| it.client.messages as f64),
        row("received, MiB", |it| it.client.bytes as f64 / MEBIBYTE),
        row("memory, growth, MiB", |it| it.client.growth / MEBIBYTE),
        row("memory, growth in bytes per workload", |it| {
            it.client.growth / it.size.workloads as f64
        }),
        row("memory, highest growth, MiB", |it| {
            it.client.highest_growth / MEBIBYTE
        }),
    ]
}

fn changes(of: impl Fn(&Figures) -> &Changes + Copy + 'static, goal: Goal) -> Vec<Row<'static>> {
    let maybe = move |what, value: fn(&Changes) -> Option<f64>| Row {
        what,
        value: Box::new(move |it| value(of(it))),
        goal: Goal::None,
    };
    vec![
        row("median, ms", move |it| of(it).median_ms).goal(goal),
        row("p99, ms", move |it| of(it).p99_ms),
        maybe("- until read, of it 50 of waiting for quiet, ms", |it| {
            it.until_read_ms
        }),
        maybe("- compiling and publishing, ms", |it| it.compile_ms),
        maybe("- until ztunnel's snapshot shows it, ms", |it| it.push_ms),
        row("responses per change", move |it| of(it).messages),
        row("bytes per change", move |it| of(it).bytes),
    ]
}

fn gaps(of: impl Fn(&Figures) -> &Gaps + Copy + 'static, goal: Goal) -> Vec<Row<'static>> {
    vec![
        row("longest, us", move |it| of(it).longest_us).goal(goal),
        row("most CPU time between two, us", move |it| {
            of(it).longest_cpu_us
        }),
        row("longest at a new snapshot, us", move |it| {
            of(it).longest_at_change_us
        }),
        row("one in a million, us", move |it| of(it).one_in_a_million_us),
        row("longer than 1,000 us", move |it| of(it).beyond_goal as f64),
        row("decisions", move |it| of(it).decisions as f64),
    ]
}
