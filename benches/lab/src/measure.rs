//! Blocks: one subject, one scenario, one window; the subjects take turns.
//!
//! In: subjects and a plan. Out: a [`Block`] each. Never: two subjects loaded at once; a byte that
//! went missing unnoticed: what was sent is compared with what arrived; a connection that took another path.

use std::io;
use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use lab::until;

use self::generator::{Generator, Running};
use self::stream::Streams;
use crate::account::{Passed, Reading, Used};
use crate::load::requests::Asked;
use crate::load::{Gauge, connections, dials, requests};
use crate::part::Plan;
use crate::record::Block;
use crate::say;
use crate::scenario::{Direction, Scenario};
use crate::statistics::percentile;
use crate::subject::Subject;

mod generator;
mod stream;

/// How long the generator may take to connect.
const DEADLINE_READY: Duration = Duration::from_secs(20);

/// All blocks of a plan, in the order in which they were measured.
///
/// # Errors
///
/// When a subject does not carry the load, or not by its path.
pub(crate) fn all(subjects: &[Subject], plan: &Plan) -> Result<Vec<Block>> {
    let mut blocks = Vec::new();
    if plan.scenarios.is_empty() {
        return Ok(blocks);
    }
    for life in 0..plan.lives {
        // Where a life has put its tunnels and buffers stays for that life: blocks of one life would
        // agree with each other and not with the next run.
        if life > 0 {
            Subject::renew_all(subjects)?;
        }
        let strays = strays(subjects)?;
        for &scenario in &plan.scenarios {
            let (part, lives) = (plan.part, plan.lives);
            say(&format!(
                "{part}, block {} of {lives}: {scenario}",
                life + 1
            ));
            for turn in 0..plan.turns {
                let index = life * plan.turns + turn;
                let mut order: Vec<&Subject> = subjects.iter().collect();
                // Who goes first changes, so that nobody always follows the same other.
                if index % 2 == 1 {
                    order.reverse();
                }
                for subject in order {
                    let block = block(subject, scenario, index, plan.warm_up, plan.window);
                    blocks.push(block.with_context(|| {
                        format!(
                            "{scenario} of {}, block {}; {}",
                            subject.name(),
                            index + 1,
                            subject.log_tails()
                        )
                    })?);
                }
            }
        }
        let after = self::strays(subjects)?;
        for ((subject, before), after) in subjects.iter().zip(strays).zip(after) {
            ensure!(
                after <= before,
                "{}: {} connections took another path than {}",
                subject.name(),
                after - before,
                subject.spec.security()
            );
        }
    }
    Ok(blocks)
}

fn strays(subjects: &[Subject]) -> Result<Vec<f64>> {
    subjects.iter().map(Subject::strays).collect()
}

/// What a scenario has brought.
struct Measured {
    used: Used,
    failed: u64,
    /// How long a request or connection took, in nanoseconds.
    nanos: Vec<u32>,
    /// How long `connect` took.
    connects: Vec<u32>,
    /// The median of the slowest of standing connections.
    slowest: Option<u32>,
}

impl Measured {
    fn new(used: Used, failed: u64) -> Self {
        Self {
            used,
            failed,
            nanos: Vec::new(),
            connects: Vec::new(),
            slowest: None,
        }
    }
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
    let course = Course {
        subject,
        warm_up,
        window,
    };
    let failed_before = subject.server.served().failed();
    let mut measured = match scenario {
        Scenario::Bulk { direction, streams } => course.bulk(direction, streams)?,
        Scenario::Requests { connections } => course.requests(connections)?,
        Scenario::Connections { parallel } => course.connections(parallel)?,
        Scenario::Dials => course.dials()?,
        Scenario::Mixed {
            direction,
            connections,
        } => course.mixed(direction, connections)?,
    };
    let used = measured.used;
    if used.passed.units == 0 {
        bail!("nothing passed in {:.1} s", used.seconds);
    }
    let micros = |nanos: u32| f64::from(nanos) / 1000.0;
    Ok(Block {
        scenario,
        subject: subject.name().to_owned(),
        index,
        seconds: used.seconds,
        units: used.passed.units,
        beside_bytes: used.passed.beside,
        failed: measured.failed,
        failed_at_server: subject.server.served().failed() - failed_before,
        p50_us: percentile(&mut measured.nanos, 500).map(micros),
        p99_us: percentile(&mut measured.nanos, 990).map(micros),
        slowest_p50_us: measured.slowest.map(micros),
        connect_p50_us: percentile(&mut measured.connects, 500).map(micros),
        cpu_near_s: used.near,
        cpu_far_s: used.far,
        cpu_machine_s: used.machine,
        cpu_stolen_s: used.stolen,
        cpu_generator_s: used.generator,
    })
}

struct Course<'a> {
    subject: &'a Subject,
    warm_up: Duration,
    window: Duration,
}

impl Course<'_> {
    fn bulk(&self, direction: Direction, streams: usize) -> Result<Measured> {
        let streams = Streams::start(self.subject, direction, streams)?;
        let used = self.window(&[streams.generator()], || Passed::units(streams.bytes()));
        let failed = streams.finish()?;
        Ok(Measured::new(used?, failed))
    }

    fn requests(&self, connections: usize) -> Result<Measured> {
        let (measured, asked) =
            self.exchange(move |ip, gauge| requests::run(ip, connections, gauge))?;
        Ok(with_asked(measured, asked))
    }

    fn connections(&self, parallel: usize) -> Result<Measured> {
        let (measured, samples) =
            self.exchange(move |ip, gauge| connections::run(ip, parallel, gauge))?;
        Ok(Measured {
            nanos: samples.into_nanos(),
            ..measured
        })
    }

    fn dials(&self) -> Result<Measured> {
        let (measured, dialled) = self.exchange(dials::run)?;
        Ok(Measured {
            nanos: dialled.wholes.into_nanos(),
            connects: dialled.connects.into_nanos(),
            ..measured
        })
    }

    /// A closed loop of one thread, and what it returns.
    fn exchange<T: Send + 'static>(
        &self,
        work: impl Fn(IpAddr, &Gauge) -> io::Result<T> + Clone + Send + 'static,
    ) -> Result<(Measured, T)> {
        let generator = Generator::start(self.subject, 1, work)?;
        let used = self.window(&[&generator], || Passed::units(generator.done()));
        let (failed, result) = generator.only()?;
        self.subject.wait_quiet()?;
        Ok((Measured::new(used?, failed), result))
    }

    fn mixed(&self, direction: Direction, connections: usize) -> Result<Measured> {
        let streams = Streams::start(self.subject, direction, 1)?;
        let asking = move |ip: IpAddr, gauge: &Gauge| requests::run(ip, connections, gauge);
        let generator = Generator::start(self.subject, 1, asking)?;
        let used = self.window(&[streams.generator(), &generator], || Passed {
            units: generator.done(),
            beside: Some(streams.bytes()),
        });
        let (failed, asked) = generator.only()?;
        let failed = failed + streams.finish()?;
        Ok(with_asked(Measured::new(used?, failed), asked))
    }

    /// Waits for the connections, warms up, measures, stops; the threads are left to be joined.
    fn window(&self, generators: &[&dyn Running], passed: impl Fn() -> Passed) -> Result<Used> {
        let used = self.measure(generators, passed);
        generators.iter().for_each(|generator| generator.stop());
        used
    }

    fn measure(&self, generators: &[&dyn Running], passed: impl Fn() -> Passed) -> Result<Used> {
        // A loader that has ended already has failed; joining it tells why.
        let any_ended = || generators.iter().any(|generator| generator.has_ended());
        until("the generator is connected", DEADLINE_READY, || {
            generators.iter().all(|generator| generator.is_ready()) || any_ended()
        })?;
        if any_ended() {
            bail!("the generator ended before the window");
        }
        thread::sleep(self.warm_up);
        generators.iter().for_each(|generator| generator.measure());
        let before = Reading::take(self.subject, passed())?;
        thread::sleep(self.window);
        let after = Reading::take(self.subject, passed())?;
        Ok(before.until(&after))
    }
}

fn with_asked(measured: Measured, mut asked: Asked) -> Measured {
    Measured {
        slowest: asked.slowest_median(),
        nanos: asked.into_nanos(),
        ..measured
    }
}

#[cfg(test)]
mod tests;
