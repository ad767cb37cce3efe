//! One endpoint changes its readiness, again and again: how long until a client knows, and what that takes.
//!
//! From the rename of a small file to the snapshot that shows it. The controller's log tells when it had read the
//! folder and when it had published, so that its waiting for quiet is told apart from work.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use mesh::Uid;
use mesh::workload::Health;

use crate::client::{Client, runtime};
use crate::controller::Controller;
use crate::figures::Changes;
use crate::log::{Entry, What};
use crate::manifests::{CHANGING, Changing};
use crate::shape::Shape;
use crate::statistics::percentile;

/// How long one change may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// Between the end of a change and the next one.
const PAUSE: Duration = Duration::from_millis(20);
/// How long the controller may take to write its log.
const SETTLE_LOG: Duration = Duration::from_millis(200);

/// One change.
#[derive(Clone, Copy, Debug)]
struct Change {
    begun: SystemTime,
    seen: SystemTime,
    took: Duration,
}

/// Makes `count` changes and waits for each. The pod is ready before and, where `count` is even, after.
///
/// # Errors
///
/// When one does not arrive.
pub(crate) fn run(
    shape: &Shape,
    changing: &Changing,
    controller: &Controller,
    client: &Client,
    count: usize,
) -> Result<Changes> {
    let uid = Uid::from(shape.workload(CHANGING));
    let runtime = runtime()?;
    let before = client.traffic();
    let mut changes = Vec::with_capacity(count);
    let health = |view: &control::View| view.load().workload(&uid).map(|it| it.health);
    for number in 0..count {
        let ready = health(&client.view) != Some(Health::Healthy);
        let wanted = if ready {
            Health::Healthy
        } else {
            Health::Unhealthy
        };
        changing.prepare(ready)?;
        thread::sleep(PAUSE);
        let (begun, started) = (SystemTime::now(), Instant::now());
        changing.swap()?;
        let shown = client.view.wait_until(
            |snapshot| {
                snapshot
                    .workload(&uid)
                    .filter(|it| it.health == wanted)
                    .map(drop)
            },
            started + DEADLINE,
        );
        runtime
            .block_on(shown)
            .with_context(|| format!("change {number} did not arrive; {}", controller.tail()))?;
        changes.push(Change {
            begun,
            seen: SystemTime::now(),
            took: started.elapsed(),
        });
    }
    client.check_refusals()?;
    thread::sleep(SETTLE_LOG);
    let traffic = client.traffic().since(before);
    let mut figures = summary(&changes, &controller.entries()?);
    let count = count as f64;
    figures.messages = traffic.messages as f64 / count;
    figures.bytes = traffic.bytes as f64 / count;
    Ok(figures)
}

fn summary(changes: &[Change], log: &[Entry]) -> Changes {
    let [mut until_read, mut compile, mut push] = [const { Vec::new() }; 3];
    for change in changes {
        let mut entries = log
            .iter()
            .filter(|entry| entry.at >= change.begun && entry.at <= change.seen + PAUSE);
        let read = entries.find(|entry| entry.what == What::Read);
        let published = entries.find_map(|entry| match entry.what {
            What::Published(took) => Some((entry.at, took)),
            What::Started | What::Read | What::Trouble => None,
        });
        if let (Some(read), Some((at, took))) = (read, published) {
            until_read.extend(read.at.duration_since(change.begun).ok().map(millis));
            compile.push(millis(took));
            // The line may be written after the client was told.
            push.push(change.seen.duration_since(at).map_or(0.0, millis));
        }
    }
    let took: Vec<f64> = changes.iter().map(|change| millis(change.took)).collect();
    Changes {
        median_ms: percentile(&took, 50).unwrap_or_default(),
        p99_ms: percentile(&took, 99).unwrap_or_default(),
        until_read_ms: percentile(&until_read, 50),
        compile_ms: percentile(&compile, 50),
        push_ms: percentile(&push, 50),
        ..Changes::default()
    }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
