//! What each ztunnel holds: after its start, with idle connections, after load.
//!
//! In: subjects with ztunnels. Out: [`Memory`], from `/proc/PID/status`. Every figure comes from a
//! fresh process: memory that an earlier load left behind would hide what connections need.
//! Never: the kernel's share (socket buffers), which no process is charged with.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::Ztunnel;

use crate::arguments::Plan;
use crate::load::idle;
use crate::measure;
use crate::record::{Held, Memory};
use crate::say;
use crate::scenario::{Direction, Scenario};
use crate::subject::Subject;

/// How many connections stand idle.
pub(crate) const IDLE_CONNECTIONS: usize = 1000;

/// Streams of the bulk part of the load.
const STREAMS: usize = 4;

/// Connections of the request part.
const REQUESTS: usize = 64;

/// What a process may still do on its own after a change: start-up work, timers, returned memory.
const SETTLE: Duration = Duration::from_secs(1);

/// Each part of the load is this long at most.
const MAX_LOAD: Duration = Duration::from_secs(2);

/// The memory of all subjects that have ztunnels.
///
/// # Errors
///
/// When a ztunnel does not start again or does not carry the load.
pub(crate) fn all(subjects: &[Subject], plan: &Plan) -> Result<Vec<Memory>> {
    let mut memories = Vec::new();
    for subject in subjects {
        if let Some(ztunnels) = &subject.ztunnels {
            say(&format!("memory: {}", subject.name));
            let memory = one(subject, ztunnels, plan);
            memories.push(
                memory.with_context(|| {
                    format!("memory of {}; {}", subject.name, subject.log_tails())
                })?,
            );
        }
    }
    Ok(memories)
}

fn one(subject: &Subject, ztunnels: &[Ztunnel; 2], plan: &Plan) -> Result<Memory> {
    let start = fresh(ztunnels)?;
    // The first connection makes the tunnel, which is not what the next ones cost.
    subject.wait_path()?;
    let warm = settled(ztunnels)?;
    let ip = subject.ip;
    let open = subject
        .client
        .run(|| idle::open(ip, IDLE_CONNECTIONS))?
        .context("idle connections")?;
    let idle = settled(ztunnels)?;
    drop(open);
    subject.wait_quiet()?;
    let closed = settled(ztunnels)?;

    let start_again = fresh(ztunnels)?;
    subject.wait_path()?;
    let window = plan.window.min(MAX_LOAD);
    for scenario in [
        Scenario::Bulk {
            direction: Direction::Up,
            streams: STREAMS,
        },
        Scenario::Bulk {
            direction: Direction::Down,
            streams: STREAMS,
        },
        Scenario::Requests {
            connections: REQUESTS,
        },
    ] {
        measure::block(subject, scenario, 0, Duration::ZERO, window)?;
    }
    let loaded = settled(ztunnels)?;
    Ok(Memory {
        subject: subject.name.clone(),
        start: vec![start, start_again],
        warm,
        idle_connections: IDLE_CONNECTIONS,
        idle,
        closed,
        loaded,
    })
}

/// Both started again, ready, settled.
fn fresh(ztunnels: &[Ztunnel; 2]) -> Result<[Held; 2]> {
    for ztunnel in ztunnels {
        ztunnel.restart()?;
    }
    for ztunnel in ztunnels {
        ztunnel.wait_ready()?;
    }
    settled(ztunnels)
}

fn settled(ztunnels: &[Ztunnel; 2]) -> Result<[Held; 2]> {
    thread::sleep(SETTLE);
    Ok([held(ztunnels[0].id())?, held(ztunnels[1].id())?])
}

/// What a process holds. Source: proc(5), `VmRSS`, `RssAnon`, `VmHWM`.
///
/// # Errors
///
/// When it has ended.
pub(crate) fn held(id: u32) -> Result<Held> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let bytes = |name: &str| -> Result<u64> {
        let text = status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"))
            .with_context(|| format!("no {name}"))?;
        Ok(text.parse::<u64>()? * 1024)
    };
    Ok(Held {
        resident: bytes("VmRSS:")?,
        anonymous: bytes("RssAnon:")?,
        highest: bytes("VmHWM:")?,
    })
}
