//! What each ztunnel holds: after its start, after load.
//!
//! In: subjects with ztunnels. Out: [`Memory`], from `/proc/PID/status`. Every figure comes from a
//! fresh process: memory that an earlier load left behind would hide what comes after.
//! Never: the kernel's share (socket buffers), which no process is charged with.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lab::Ztunnel;

use crate::measure;
use crate::part::Plan;
use crate::record::{Held, Memory};
use crate::say;
use crate::scenario::{Direction, Scenario};
use crate::subject::Subject;

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
        if subject.ztunnels.is_empty() {
            continue;
        }
        say(&format!("memory: {}", subject.name()));
        let memory = one(subject, plan);
        memories.push(
            memory.with_context(|| {
                format!("memory of {}; {}", subject.name(), subject.log_tails())
            })?,
        );
    }
    Ok(memories)
}

fn one(subject: &Subject, plan: &Plan) -> Result<Memory> {
    let start = fresh(subject)?;
    let start_again = fresh(subject)?;
    subject.walk()?;
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
    Ok(Memory {
        subject: subject.name().to_owned(),
        start: vec![start, start_again],
        loaded: settled(subject)?,
    })
}

/// All started again, ready, settled.
///
/// # Errors
///
/// When one does not start again.
pub(crate) fn fresh(subject: &Subject) -> Result<Vec<Held>> {
    subject.ztunnels.iter().try_for_each(Ztunnel::restart)?;
    subject.ztunnels.iter().try_for_each(Ztunnel::wait_ready)?;
    settled(subject)
}

/// What each holds a second from now.
///
/// # Errors
///
/// When one has ended.
pub(crate) fn settled(subject: &Subject) -> Result<Vec<Held>> {
    thread::sleep(SETTLE);
    let ztunnels = subject.ztunnels.iter();
    ztunnels.map(|ztunnel| held(ztunnel.id())).collect()
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
