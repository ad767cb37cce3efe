//! Blocks of the waypoints: one exchange, one waypoint, one window; the waypoints take turns.
//!
//! In: a town and a plan. Out: an [`Outcome`]. Never: two waypoints loaded at once.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};

use super::exchange::{Exchange, Table};
use super::load::Load;
use super::record::{Block, Life, Outcome};
use super::side::Side;
use super::town::Town;
use super::{Plan, TWO};
use crate::account::Ticks;
use crate::record::Held;
use crate::say;
use crate::statistics::percentile;

/// h2load goes on a little longer than the window.
const MARGIN: Duration = Duration::from_millis(300);

/// What a process may still do on its own after a change; access logs are written within a second.
const SETTLE: Duration = Duration::from_millis(1200);

/// All blocks of all waypoints.
///
/// # Errors
///
/// When a waypoint does not start or does not carry the load.
pub(crate) fn all(town: &mut Town, plan: &Plan, skipped: Vec<String>) -> Result<Outcome> {
    let mut outcome = Outcome::none(plan, skipped);
    outcome.exchanges = Exchange::all();
    let told = |side: &Side| (side.kind.name().to_owned(), side.kind.command());
    outcome.sides = town.sides.iter().map(told).collect();
    say("waypoints: memory with 1,000 routes");
    let heavy = renew(town, &[Table::HEAVY])?;
    let name = |side: &Side| side.kind.name().to_owned();
    outcome.heavy = town.sides.iter().map(name).zip(heavy).collect();
    for index in 0..plan.blocks {
        let idle = renew(town, &Table::all())?;
        for side in &town.sides {
            side.take_lines()?;
        }
        let mut logged = vec![0; town.sides.len()];
        let mut order: Vec<usize> = (0..town.sides.len()).collect();
        if index % 2 == 1 {
            order.reverse();
        }
        for exchange in Exchange::all() {
            say(&format!(
                "waypoints, block {} of {}: {exchange}",
                index + 1,
                plan.blocks
            ));
            for &at in &order {
                let side = &town.sides[at];
                if side.kind.name() == TWO && !exchange.with_two() {
                    continue;
                }
                let block = block(town, side, exchange, index, plan).with_context(|| {
                    format!(
                        "{exchange} of {}, block {}; its log ends with\n{}",
                        side.kind.name(),
                        index + 1,
                        side.log_tail()
                    )
                })?;
                outcome.blocks.push(block);
                logged[at] += side.take_lines()?;
            }
        }
        thread::sleep(SETTLE);
        for ((side, idle), logged) in town.sides.iter().zip(idle).zip(logged) {
            let name = name(side);
            let blocks = outcome.blocks.iter();
            let own = blocks.filter(|block| block.index == index && block.side == name);
            outcome.lives.push(Life {
                answered: own.map(|block| block.answered).sum(),
                logged: logged + side.take_lines()?,
                side: name,
                idle,
                loaded: side.held()?,
            });
        }
    }
    Ok(outcome)
}

/// New lives for all with these tables, and what they hold before they are loaded.
fn renew(town: &mut Town, tables: &[Table]) -> Result<Vec<Held>> {
    town.publish(tables)?;
    for side in &mut town.sides {
        let name = side.kind.name();
        side.renew(&town.lab, &town.client, tables)
            .with_context(|| format!("waypoint {name}"))?;
    }
    thread::sleep(SETTLE);
    town.sides.iter().map(Side::held).collect()
}

fn block(town: &Town, side: &Side, exchange: Exchange, index: usize, plan: &Plan) -> Result<Block> {
    let url = side.url(&exchange)?;
    let time = plan.warm_up + plan.window + MARGIN;
    let load = Load::start(&town.client, &exchange, &url, time)?;
    thread::sleep(plan.warm_up);
    let before = Reading::take(town, side, &load)?;
    thread::sleep(plan.window);
    let after = Reading::take(town, side, &load)?;
    let mut told = load.finish(before.wall, after.wall)?;
    if told.micros.is_empty() {
        bail!("nothing was answered, {} requests failed", told.failed);
    }
    let since = |of: fn(&Reading) -> Duration| of(&after).saturating_sub(of(&before)).as_secs_f64();
    let [p50, p99] = [500, 990].map(|share| percentile(&mut told.micros, share).unwrap_or(0));
    Ok(Block {
        exchange,
        side: side.kind.name().to_owned(),
        index,
        seconds: (after.at - before.at).as_secs_f64(),
        units: told.micros.len() as u64,
        failed: told.failed,
        answered: told.answered,
        p50_us: p50.into(),
        p99_us: p99.into(),
        cpu_waypoint_s: since(|it| it.waypoint),
        cpu_near_s: since(|it| it.near),
        cpu_far_s: since(|it| it.far),
        cpu_generator_s: since(|it| it.generator),
        cpu_machine_s: after.machine.busy_since(&before.machine),
        cpu_stolen_s: after.machine.stolen_since(&before.machine),
    })
}

/// The clocks and counters at one moment.
struct Reading {
    at: Instant,
    /// Microseconds since 1970: h2load's clock.
    wall: u64,
    waypoint: Duration,
    near: Duration,
    far: Duration,
    generator: Duration,
    machine: Ticks,
}

impl Reading {
    fn take(town: &Town, side: &Side, load: &Load) -> Result<Self> {
        let [near, far] = &town.ztunnels;
        let wall = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
        Ok(Self {
            at: Instant::now(),
            wall: u64::try_from(wall)?,
            waypoint: side.cpu_time().context("the CPU time of the waypoint")?,
            near: near.cpu_time()?,
            far: far.cpu_time()?,
            generator: load.cpu_time()? + town.server.cpu_time()?,
            machine: Ticks::read()?,
        })
    }
}
