//! A thread that looks things up all the time, as workers of the data path do, and notes the longest gap.
//!
//! In: a [`View`]. Out: [`Gaps`] per phase. A gap is the time from the end of one decision to the end of the next:
//! the address of a pod, the address of a service, one of its endpoints, on a snapshot that is borrowed for it.
//!
//! The thread runs with real-time priority where it may, so that a gap is the code's (or the hypervisor's, or an
//! interrupt's) and not that of other programs' turns. It rests three tenths of the time: the kernel takes
//! the processor away from a real-time thread that never rests, and that would be seen as a stall.
//! Beside the wall clock there is the thread's CPU time per decision, which no other program adds to, and the longest gap
//! in which a new snapshot was met, or just before: what a change costs a reader is there.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use control::View;
use mesh::service::HealthPolicy;
use mesh::{Namespace, Network};

use crate::figures::Gaps;
use crate::shape::Shape;
use crate::system;

/// How long it works at a time.
const WORK: Duration = Duration::from_micros(700);
/// And then rests.
const REST: Duration = Duration::from_micros(300);
/// Gaps that are told apart. Units: microseconds.
const MAX_GAP_US: usize = 20_000;
/// The goal for the longest one. Units: microseconds.
pub(crate) const GOAL_US: u16 = 1000;
/// What is looked up: so many pairs of a pod and a service, in turn.
const PAIRS: usize = 4096;

/// What goes on meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The first answers arrive and are applied.
    Push,
    /// Nothing: the machine's noise.
    Idle,
    /// Other threads compute: the noise of a busy machine.
    Busy,
    /// One endpoint changes again and again.
    Changes,
}

const PHASES: usize = 4;
/// Stands for the end.
const END: usize = PHASES;

/// The thread.
#[derive(Debug)]
pub(crate) struct Lookups {
    phase: Arc<AtomicUsize>,
    thread: JoinHandle<(bool, [Noted; PHASES])>,
}

/// What is noted of one phase.
#[derive(Clone, Debug)]
struct Noted {
    by_microsecond: Vec<u32>,
    decisions: u64,
    found: u64,
    longest: Duration,
    longest_cpu: Duration,
    longest_at_change: Duration,
}

impl Default for Noted {
    fn default() -> Self {
        Self {
            by_microsecond: vec![0; MAX_GAP_US + 1],
            decisions: 0,
            found: 0,
            longest: Duration::ZERO,
            longest_cpu: Duration::ZERO,
            longest_at_change: Duration::ZERO,
        }
    }
}

impl Lookups {
    /// Starts it, in [`Phase::Push`].
    ///
    /// # Errors
    ///
    /// When its thread does not start.
    pub(crate) fn start(shape: Shape, view: View) -> Result<Self> {
        let phase = Arc::new(AtomicUsize::new(Phase::Push as usize));
        let current = Arc::clone(&phase);
        let thread = thread::Builder::new()
            .name("lookups".to_owned())
            .spawn(move || {
                let preferred = system::prefer_this_thread();
                (preferred, run(shape, &view, &current))
            })?;
        Ok(Self { phase, thread })
    }

    /// From now on something else goes on.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as usize, Ordering::Relaxed);
    }

    /// Ends it: what was noted, in the order of [`Phase`], and whether it had real-time priority.
    ///
    /// # Errors
    ///
    /// When it panicked.
    pub(crate) fn finish(self) -> Result<(bool, [Gaps; PHASES])> {
        self.phase.store(END, Ordering::Relaxed);
        match self.thread.join() {
            Ok((preferred, noted)) => Ok((preferred, noted.each_ref().map(Noted::gaps))),
            Err(_) => bail!("the lookups' thread panicked"),
        }
    }
}

impl Noted {
    fn gaps(&self) -> Gaps {
        let micros = |duration: Duration| duration.as_secs_f64() * 1e6;
        let beyond = |limit: usize| -> u64 {
            let counts = self.by_microsecond.get(limit..).unwrap_or_default();
            counts.iter().copied().map(u64::from).sum()
        };
        let mut least = 0;
        // A thousandth of a thousandth is beyond it.
        while beyond(least) > self.decisions / 1_000_000 && least < MAX_GAP_US {
            least += 1;
        }
        Gaps {
            decisions: self.decisions,
            found: self.found,
            longest_us: micros(self.longest),
            longest_cpu_us: micros(self.longest_cpu),
            longest_at_change_us: micros(self.longest_at_change),
            one_in_a_million_us: least as f64,
            beyond_goal: beyond(usize::from(GOAL_US)),
        }
    }
}

fn run(shape: Shape, view: &View, phase: &AtomicUsize) -> [Noted; PHASES] {
    let mut noted: [Noted; PHASES] = Default::default();
    let network = Network::default();
    let client = Namespace::from("elsewhere");
    let mut random = shape.random(0, 5);
    let pairs: Vec<[IpAddr; 2]> = (0..PAIRS)
        .map(|_| {
            let pod = Shape::ip(random.usize(..shape.size.workloads));
            let service = Shape::vip(random.usize(..shape.size.services));
            [pod.into(), service.into()]
        })
        .collect();
    let mut pairs = pairs.iter().cycle();
    let (mut version, mut previous) = (0, Duration::ZERO);
    while let Some(noted) = noted.get_mut(phase.load(Ordering::Relaxed)) {
        let begun = Instant::now();
        let (mut last, mut last_cpu) = (begun, system::thread_cpu());
        while last.duration_since(begun) < WORK {
            let Some([pod, service]) = pairs.next() else {
                break;
            };
            let snapshot = view.borrow();
            let known = snapshot.workload_by_address(&network, *pod).is_some();
            let drawn = snapshot
                .service_by_vip(&network, *service, &client)
                .and_then(|service| snapshot.endpoints(&service.key()))
                .and_then(|endpoints| endpoints.draw(HealthPolicy::AllowAll, random.u64(..)))
                .is_some();
            let met = snapshot.version;
            drop(snapshot);
            let (now, cpu) = (Instant::now(), system::thread_cpu());
            let gap = now.duration_since(last);
            noted.decisions += 1;
            noted.found += u64::from(known && drawn);
            noted.longest = noted.longest.max(gap);
            noted.longest_cpu = noted.longest_cpu.max(cpu.saturating_sub(last_cpu));
            if met != version {
                // The one before may have let go of the old snapshot.
                noted.longest_at_change = noted.longest_at_change.max(gap).max(previous);
            }
            (version, previous) = (met, gap);
            let micros = usize::try_from(gap.as_micros()).unwrap_or(MAX_GAP_US);
            if let Some(count) = noted.by_microsecond.get_mut(micros.min(MAX_GAP_US)) {
                *count += 1;
            }
            (last, last_cpu) = (now, cpu);
        }
        thread::sleep(REST);
    }
    noted
}
