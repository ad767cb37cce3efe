//! What is told of a block, scenario by scenario.

use crate::record::Block;
use crate::scenario::Scenario;

/// Bytes of a MiB.
pub(crate) const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// Bytes of a GB: CPU seconds per GB are per 10^9 bytes that applications exchanged.
const GIGABYTE: f64 = 1e9;

/// One row of the table.
pub(crate) struct Figure {
    /// What it is, with the unit.
    pub(crate) label: &'static str,
    /// Its value; `None` where there is none (raw TCP has no ztunnels).
    pub(crate) value: fn(&Block) -> Option<f64>,
}

const fn figure(label: &'static str, value: fn(&Block) -> Option<f64>) -> Figure {
    Figure { label, value }
}

/// The rows of a scenario.
pub(crate) fn of(scenario: Scenario) -> Vec<Figure> {
    match scenario {
        Scenario::Bulk { .. } => vec![
            figure("rate, Gb/s", gigabits),
            figure("CPU client's ztunnel, s/GB", |block| {
                Some(block.cpu_near_s? / gigabytes(block))
            }),
            figure("CPU server's ztunnel, s/GB", |block| {
                Some(block.cpu_far_s? / gigabytes(block))
            }),
            figure("CPU both ztunnels, s/GB", |block| {
                Some(block.cpu_both_s()? / gigabytes(block))
            }),
            figure("CPU whole machine, s/GB", |block| {
                Some(block.cpu_machine_s / gigabytes(block))
            }),
        ],
        Scenario::Requests { .. } | Scenario::Connections { .. } => vec![
            figure("rate, 1/s", rate),
            figure("p50, us", |block| block.p50_us),
            figure("p99, us", |block| block.p99_us),
            figure("CPU client's ztunnel, us each", |block| {
                Some(micros(block, block.cpu_near_s?))
            }),
            figure("CPU server's ztunnel, us each", |block| {
                Some(micros(block, block.cpu_far_s?))
            }),
            figure("CPU both ztunnels, us each", micros_both),
            figure("CPU whole machine, us each", |block| {
                Some(micros(block, block.cpu_machine_s))
            }),
        ],
    }
}

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
