//! What is told of a block, scenario by scenario.

use crate::record::Block;
use crate::scenario::Scenario;

/// Bytes of a MiB.
pub(crate) const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// Bytes of a GB: CPU seconds per GB are per 10^9 bytes that applications exchanged.
const GIGABYTE: f64 = 1e9;

/// One row of the table.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    /// What it is, with the unit.
    pub(crate) label: &'static str,
    /// Its value; `None` where there is none (raw TCP has no ztunnels).
    pub(crate) value: fn(&Block) -> Option<f64>,
    /// Whether it grows with what a path adds, so that it can be asked how much that is.
    pub(crate) is_cost: bool,
}

const fn cost(label: &'static str, value: fn(&Block) -> Option<f64>) -> Figure {
    Figure {
        label,
        value,
        is_cost: true,
    }
}

const fn speed(label: &'static str, value: fn(&Block) -> Option<f64>) -> Figure {
    Figure {
        label,
        value,
        is_cost: false,
    }
}

/// Of bulk.
const STREAMS: [Figure; 5] = [
    speed("rate, Gb/s", gigabits),
    cost("CPU client's ztunnel, s/GB", |block| {
        Some(block.cpu_near_s? / gigabytes(block))
    }),
    cost("CPU server's ztunnel, s/GB", |block| {
        Some(block.cpu_far_s? / gigabytes(block))
    }),
    cost("CPU both ztunnels, s/GB", |block| {
        Some(block.cpu_both_s()? / gigabytes(block))
    }),
    cost("CPU whole machine, s/GB", |block| {
        Some(block.cpu_machine_s / gigabytes(block))
    }),
];

/// Of whatever is counted one by one.
const EACH: [Figure; 3] = [
    speed("rate, 1/s", rate),
    cost("p50, us", |block| block.p50_us),
    cost("p99, us", |block| block.p99_us),
];

/// The CPU time of one.
const CPU_EACH: [Figure; 4] = [
    cost("CPU client's ztunnel, us each", |block| {
        Some(micros(block, block.cpu_near_s?))
    }),
    cost("CPU server's ztunnel, us each", |block| {
        Some(micros(block, block.cpu_far_s?))
    }),
    cost("CPU both ztunnels, us each", micros_both),
    cost("CPU whole machine, us each", |block| {
        Some(micros(block, block.cpu_machine_s))
    }),
];

/// Of connections that stand.
const SLOWEST: Figure = cost("p50 of the slowest connection, us", |block| {
    block.slowest_p50_us
});

/// Of connections that are timed in parts.
const CONNECT: Figure = cost("p50 of connect alone, us", |block| block.connect_p50_us);

/// Of what passes beside requests.
const BESIDE: Figure = speed("bulk, Gb/s", |block| {
    Some(block.beside_bytes? as f64 / GIGABYTE * 8.0 / block.seconds)
});

/// The rows of a scenario.
pub(crate) fn of(scenario: Scenario) -> Vec<Figure> {
    match scenario {
        Scenario::Bulk { .. } => STREAMS.to_vec(),
        Scenario::Requests { .. } | Scenario::Connections { .. } => [&EACH[..], &CPU_EACH].concat(),
        Scenario::Dials => [&EACH[..], &[CONNECT], &CPU_EACH].concat(),
        // CPU time cannot be told apart by what it was used for.
        Scenario::Mixed { .. } => [&EACH[..], &[SLOWEST, BESIDE]].concat(),
    }
}

/// The rows that are told of requests beside bulk as multiples of the same alone.
pub(crate) const BESIDE_ALONE: [Figure; 3] = [
    cost("p50, times that alone", |block| block.p50_us),
    cost("p99, times that alone", |block| block.p99_us),
    cost("p50 of the slowest, times that alone", |block| {
        block.slowest_p50_us
    }),
];

/// 10^9 bits per second, as applications see them.
pub(crate) fn gigabits(block: &Block) -> Option<f64> {
    Some(gigabytes(block) * 8.0 / block.seconds)
}

/// Requests or connections per second.
pub(crate) fn rate(block: &Block) -> Option<f64> {
    Some(block.units as f64 / block.seconds)
}

/// CPU microseconds of both ztunnels per request or connection.
pub(crate) fn micros_both(block: &Block) -> Option<f64> {
    Some(micros(block, block.cpu_both_s()?))
}

fn gigabytes(block: &Block) -> f64 {
    block.units as f64 / GIGABYTE
}

fn micros(block: &Block, seconds: f64) -> f64 {
    seconds * 1e6 / block.units as f64
}
