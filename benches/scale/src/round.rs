//! One mesh, from its manifests to its last figure.
//!
//! Times and memory are measured first, on a quiet process; the lookups come last, beside a client of their own.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use grpc::Endpoint;

use crate::arguments::Arguments;
use crate::changes;
use crate::client::{self, Client};
use crate::controller::Controller;
use crate::demand;
use crate::figures::{Figures, Gaps, Plane, Proxy};
use crate::log::{Entry, What};
use crate::lookups::{Lookups, Phase};
use crate::manifests::{self, Changing};
use crate::memory;
use crate::say;
use crate::shape::Shape;
use crate::stalled::Stalled;

/// The controller reads again what was written less than two seconds ago, which no folder of manifests is that
/// stood there before.
const SETTLE_FILES: Duration = Duration::from_millis(2_500);
/// What a process may still do on its own after a change: memory that it returns, timers.
const SETTLE: Duration = Duration::from_secs(1);
/// How long noise is listened to.
const NOISE: Duration = Duration::from_secs(3);
/// Threads that make it.
const NOISY: usize = 2;

/// Measures one mesh in an empty folder.
///
/// # Errors
///
/// When something does not work: a wrong count is an error, a slow answer is none.
pub(crate) fn run(arguments: &Arguments, folder: &Path) -> Result<Figures> {
    let shape = Shape::new(arguments.size(), arguments.seed);
    let size = shape.size;
    say(&format!(
        "{} workloads, {} services, {} policies: writing manifests",
        size.workloads, size.services, size.policies
    ));
    let (root, changing, written) = manifests::write(&shape, folder)?;
    thread::sleep(SETTLE_FILES);

    say("the controller's first snapshot");
    let mut controller = Controller::start(&root, folder)?;
    let ready = controller.wait_ready()?;
    let at_ready = controller.held()?;
    thread::sleep(SETTLE);
    let (read_s, compile_s) = first(&controller.entries()?).with_context(|| controller.tail())?;
    let endpoint = client::endpoint(&controller)?;

    say("a client that gets everything");
    let before = memory::held("self")?;
    let client = Client::start(&endpoint, false)?;
    let arrival = client.wait_ready()?;
    client.check_counts(size)?;
    let traffic = client.traffic();
    thread::sleep(SETTLE);
    let after = memory::held("self")?;
    let after_push = controller.held()?;

    let count = arguments.changes;
    say(&format!("{count} changes"));
    let changes = changes::run(&shape, &changing, &controller, &client, count)?;

    say(&format!(
        "{count} changes beside a client that does not read"
    ));
    let quiet = controller.held()?;
    let stalled = Stalled::start(endpoint.clone())?;
    thread::sleep(SETTLE);
    let stalled_bytes = difference(controller.held()?.anonymous, quiet.anonymous);
    let beside_stalled = changes::run(&shape, &changing, &controller, &client, count)?;
    let kept = stalled.finish()?;
    ensure!(
        kept == size.workloads + size.services,
        "the client that stalled was kept {kept} resources, expected {}",
        size.workloads + size.services
    );
    client.check_counts(size)?;
    client.stop()?;

    say("names on demand");
    let on_demand = demand::run(&shape, &endpoint)?;

    say("lookups beside a push and beside changes");
    let (preferred, [push, idle, busy, changes_gaps]) =
        lookups(&shape, &changing, &controller, &endpoint, count)?;

    Ok(Figures {
        size,
        files: written.files,
        manifest_bytes: written.bytes,
        controller: Plane {
            ready_s: ready.as_secs_f64(),
            read_s,
            compile_s,
            highest: at_ready.highest,
            at_ready: at_ready.anonymous,
            after_push: after_push.anonymous,
            at_end: controller.held()?.anonymous,
        },
        client: Proxy {
            received_s: arrival.received.as_secs_f64(),
            ready_s: arrival.ready.as_secs_f64(),
            messages: traffic.messages,
            bytes: traffic.bytes,
            growth: difference(after.anonymous, before.anonymous),
            highest_growth: difference(after.highest, before.highest),
        },
        changes,
        beside_stalled,
        stalled_bytes,
        on_demand,
        preferred,
        idle,
        busy,
        push,
        changing: changes_gaps,
    })
}

/// From the log of a start: seconds until the manifests were read, and seconds of the first compilation.
fn first(log: &[Entry]) -> Option<(f64, f64)> {
    let at = |what| log.iter().find(|entry| entry.what == what);
    let (started, read) = (at(What::Started)?, at(What::Read)?);
    let compiled = log.iter().find_map(|entry| match entry.what {
        What::Published(took) => Some(took),
        What::Started | What::Read | What::Trouble => None,
    })?;
    // A small folder may be read before the process says that it has started.
    let reading = read.at.duration_since(started.at).unwrap_or_default();
    Some((reading.as_secs_f64(), compiled.as_secs_f64()))
}

fn lookups(
    shape: &Shape,
    changing: &Changing,
    controller: &Controller,
    endpoint: &Endpoint,
    count: usize,
) -> Result<(bool, [Gaps; 4])> {
    let client = Client::start(endpoint, false)?;
    let lookups = Lookups::start(*shape, client.view.clone())?;
    client.wait_ready()?;
    client.check_counts(shape.size)?;
    // The machine's noise: the same loop on the same mesh.
    lookups.enter(Phase::Idle);
    thread::sleep(NOISE);
    lookups.enter(Phase::Busy);
    busy(NOISE);
    lookups.enter(Phase::Changes);
    changes::run(shape, changing, controller, &client, count)?;
    let (preferred, gaps) = lookups.finish()?;
    let [_, _, _, changes] = &gaps;
    ensure!(
        changes.found == changes.decisions && changes.decisions > 0,
        "{} of {} lookups found nothing in a mesh that is complete",
        changes.decisions - changes.found,
        changes.decisions
    );
    client.stop()?;
    Ok((preferred, gaps))
}

/// Computes and allocates for a while, on threads of ordinary priority.
fn busy(time: Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let noisy = || {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let texts: Vec<String> = (0..1000).map(|number| format!("{number:>40}")).collect();
                black_box(texts);
            }
        })
    };
    let threads: Vec<_> = (0..NOISY).map(|_| noisy()).collect();
    thread::sleep(time);
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        // They cannot panic, and nothing would follow from it.
        let _ = thread.join();
    }
}

fn difference(after: u64, before: u64) -> f64 {
    after as f64 - before as f64
}
