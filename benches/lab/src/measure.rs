//! Blocks: one subject, one scenario, one window; the subjects take turns.
//!
//! In: subjects and a plan. Out: a [`Block`] each. Never: two subjects loaded at once; a byte that
//! went missing unnoticed: what was sent is compared with what arrived.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use lab::until;

use crate::account::{Reading, Used};
use crate::arguments::Plan;
use crate::load::{Gauge, Samples, bulk, connections, requests};
use crate::record::Block;
use crate::say;
use crate::scenario::{Direction, Scenario};
use crate::statistics::percentile;
use crate::subject::Subject;

/// How long the generator may take to connect.
const DEADLINE_READY: Duration = Duration::from_secs(20);

/// A generator thread: the namespace may fail, then the load.
type Loader<T> = JoinHandle<Result<io::Result<T>>>;

/// All blocks of a plan, in the order in which they were measured.
///
/// # Errors
///
/// When a subject does not carry the load.
pub(crate) fn all(subjects: &[Subject], plan: &Plan) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    for index in 0..plan.blocks {
        if plan.scenarios.is_empty() {
            break;
        }
        // Where a life has put its tunnels and buffers stays for that life: blocks of one life would
        // agree with each other and not with the next run.
        if index > 0 {
            subjects.iter().try_for_each(Subject::renew)?;
        }
        let mut order: Vec<&Subject> = subjects.iter().collect();
        // Who goes first changes, so that nobody always follows the same other.
        if index % 2 == 1 {
            order.reverse();
        }
        for &scenario in &plan.scenarios {
            say(&format!(
                "block {} of {}: {scenario}",
                index + 1,
                plan.blocks
            ));
            for subject in &order {
                let block = block(subject, scenario, index, plan.warm_up, plan.window);
                blocks.push(block.with_context(|| {
                    format!(
                        "{scenario} of {}, block {}; {}",
                        subject.name,
                        index + 1,
                        subject.log_tails()
                    )
                })?);
            }
        }
    }
    Ok(blocks)
}

/// One block.
///
/// # Errors
///
/// When the generator cannot connect, stands still, nothing passes, or bytes are missing at the end.
pub(crate) fn block(
    subject: &Subject,
    scenario: Scenario,
    index: usize,
    warm_up: Duration,
    window: Duration,
) -> Result<Block> {
    let gauge = Arc::new(Gauge::default());
    let course = Course {
        subject,
        gauge: Arc::clone(&gauge),
        warm_up,
        window,
    };
    let failed_before = subject.server.served().failed();
    let (used, mut nanos) = match scenario {
        Scenario::Bulk { direction, streams } => (course.bulk(direction, streams)?, Vec::new()),
        Scenario::Requests { connections } => {
            course.exchange(move |ip, gauge| requests::run(ip, connections, gauge))?
        }
        Scenario::Connections { parallel } => {
            course.exchange(move |ip, gauge| connections::run(ip, parallel, gauge))?
        }
    };
    if used.units == 0 {
        bail!("nothing passed in {:.1} s", used.seconds);
    }
    let micros = |nanos: Option<u32>| nanos.map(|nanos| f64::from(nanos) / 1000.0);
    Ok(Block {
        scenario,
        subject: subject.name.clone(),
        index,
        seconds: used.seconds,
        units: used.units,
        failed: gauge.failed(),
        failed_at_server: subject.server.served().failed() - failed_before,
        p50_us: micros(percentile(&mut nanos, 500)),
        p99_us: micros(percentile(&mut nanos, 990)),
        cpu_near_s: used.near,
        cpu_far_s: used.far,
        cpu_machine_s: used.machine,
        cpu_stolen_s: used.stolen,
        cpu_generator_s: used.generator,
    })
}

struct Course<'a> {
    subject: &'a Subject,
    gauge: Arc<Gauge>,
    warm_up: Duration,
    window: Duration,
}

impl Course<'_> {
    fn bulk(&self, direction: Direction, streams: usize) -> Result<Used> {
        let served = Arc::clone(self.subject.server.served());
        let (sunk, poured) = (served.sunk(), served.poured());
        let work = match direction {
            Direction::Up => bulk::up,
            Direction::Down => bulk::down,
        };
        served.pour(true);
        let loaders: Result<Vec<_>> = (0..streams).map(|_| self.load(work)).collect();
        let used = loaders.and_then(|loaders| {
            let used = self.window(&loaders, || match direction {
                Direction::Up => served.sunk(),
                Direction::Down => self.gauge.done(),
            });
            served.pour(false);
            let client = join(loaders)?.into_iter().sum::<u64>();
            Ok((used?, client))
        });
        served.pour(false);
        self.gauge.stop();
        let (used, client) = used?;
        self.subject.wait_quiet()?;
        let server = match direction {
            Direction::Up => served.sunk() - sunk,
            Direction::Down => served.poured() - poured,
        };
        if client != server {
            bail!(
                "the client has {client} bytes and the server {server}: the path has lost or added some"
            );
        }
        Ok(used)
    }

    fn exchange(
        &self,
        work: impl FnOnce(IpAddr, &Gauge) -> io::Result<Samples> + Send + 'static,
    ) -> Result<(Used, Vec<u32>)> {
        let loaders = vec![self.load(work)?];
        let used = self.window(&loaders, || self.gauge.done());
        let samples = join(loaders)?;
        self.subject.wait_quiet()?;
        Ok((
            used?,
            samples.into_iter().flat_map(Samples::into_nanos).collect(),
        ))
    }

    /// Starts a generator thread in the client's pod.
    fn load<T: Send + 'static>(
        &self,
        work: impl FnOnce(IpAddr, &Gauge) -> io::Result<T> + Send + 'static,
    ) -> Result<Loader<T>> {
        let (ip, gauge) = (self.subject.ip, Arc::clone(&self.gauge));
        self.subject.client.thread(move || work(ip, &gauge))
    }

    /// Waits for the connections, warms up, measures, stops; the threads are left to be joined.
    fn window<T>(&self, loaders: &[Loader<T>], units: impl Fn() -> u64) -> Result<Used> {
        let used = self.measure(loaders, units);
        self.gauge.stop();
        used
    }

    fn measure<T>(&self, loaders: &[Loader<T>], units: impl Fn() -> u64) -> Result<Used> {
        // A loader that has ended already has failed; joining it tells why.
        let any_ended = || loaders.iter().any(JoinHandle::is_finished);
        until("the generator is connected", DEADLINE_READY, || {
            self.gauge.ready() == loaders.len() || any_ended()
        })?;
        if any_ended() {
            bail!("the generator ended before the window");
        }
        thread::sleep(self.warm_up);
        self.gauge.measure();
        let before = Reading::take(self.subject, units())?;
        thread::sleep(self.window);
        let after = Reading::take(self.subject, units())?;
        Ok(before.until(&after))
    }
}

fn join<T>(loaders: Vec<Loader<T>>) -> Result<Vec<T>> {
    // All of them, before the first error is told.
    let results: Vec<Result<T>> = loaders
        .into_iter()
        .map(|loader| {
            let entered = loader
                .join()
                .map_err(|_| anyhow!("a generator thread panicked"))?;
            Ok(entered??)
        })
        .collect();
    results.into_iter().collect()
}

#[cfg(test)]
mod tests;
