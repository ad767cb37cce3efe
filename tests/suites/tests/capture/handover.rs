//! A ztunnel that drains while its successor serves already, as in a rolling update: what is open stays with the one, what is new
//! comes to the other, and nothing is lost between them.

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Start, Ztunnel, programs, until};
use nix::sys::signal::Signal;
use suites::traffic::routes;
use suites::traffic::steady::Steady;
use suites::traffic::{PATIENCE, get, url};

/// Requests of each observer that must pass before something is done, and after.
const REQUESTS: u64 = 40;
/// Where connections go that stay open.
const PORT_OPEN: u16 = 7001;
/// Endpoints of a second ztunnel on a node. In a cluster each has a network namespace of its own for them.
const SECOND: [(&str, &str); 3] = [
    ("ADMIN_ADDR", "localhost:16000"),
    ("STATS_ADDR", "[::]:16020"),
    ("READINESS_ADDR", "[::]:16021"),
];

/// A ztunnel beside the one that runs on the first node, when it serves so many pods.
fn successor(lab: &lab::Lab, pods: usize) -> Result<Ztunnel> {
    let start = SECOND
        .into_iter()
        .fold(Start::default(), |start, (name, value)| {
            start.env(name, value)
        });
    let next = lab.spawn_ztunnel(0, &start)?;
    until("the successor serves every pod", PATIENCE, || {
        next.log_lines(&["pod added"]).len() == pods
    })
    .with_context(|| next.log_tail())?;
    Ok(next)
}

fn handover(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = routes::lab("handover", capture)?;
    let mut servers = Vec::new();
    for pod in ["client", "near", "server", "stranger"] {
        servers.push(programs::nginx(&lab.pod(pod), routes::PORT)?);
    }
    servers.push(programs::nginx(lab.outside(), routes::PORT)?);
    let long = Start::default().env("TERMINATION_GRACE_PERIOD_SECONDS", "120");
    let [first, _far] = lab.start_ztunnels(&long)?;
    let routes = routes::all(&lab);
    let of_near: Vec<_> = routes
        .iter()
        .filter(|route| {
            [&route.from, &route.at]
                .iter()
                .any(|end| ["client", "near"].contains(&end.name()))
        })
        .collect();
    lab.scenario(|| {
        let mut live = Vec::new();
        for route in &of_near {
            live.push((*route, route.open(PORT_OPEN)?));
        }
        // One observer per machine that calls, each with all of its ways.
        let mut load = Vec::new();
        for from in ["client", "server", "outside", "stranger"] {
            let of_it: Vec<_> = of_near
                .iter()
                .filter(|route| route.from.name() == from)
                .collect();
            let machine = &of_it.first().context("nobody calls")?.from;
            let targets: Vec<_> = of_it.iter().map(|route| route.to).collect();
            load.push((from, Steady::start(machine, targets)?));
        }
        let goes_on = || {
            load.iter()
                .try_for_each(|(from, steady)| steady.wait_for(REQUESTS).context(*from))
        };
        goes_on()?;
        let next = successor(&lab, 2)?;
        goes_on()?;
        first.signal(Signal::SIGTERM)?;
        first.wait_log(&["draining on SIGTERM"], PATIENCE)?;
        goes_on()?;
        for (route, pair) in &mut live {
            pair.exchange("while it drains")
                .with_context(|| route.name.clone())?;
        }
        ensure!(first.is_running(), "it waits for what is open");
        drop(live);
        until("the end of the predecessor", PATIENCE, || {
            !first.is_running()
        })?;
        goes_on()?;
        for (from, steady) in load {
            let failed = steady.end()?;
            ensure!(failed.is_empty(), "{from}: {failed:?}");
        }
        ensure!(
            first.terminate(PATIENCE)?.code() == Some(0) && next.is_running(),
            "{}",
            first.log_tail()
        );
        Ok(())
    })
}

#[test]
fn successor_takes_what_is_new_and_the_draining_one_keeps_what_is_open_with_ebpf_capture()
-> Result<()> {
    handover(Capture::Ebpf)
}

/// A successor that crashes before anybody has told its predecessor to end: that one takes its pods back.
#[test]
fn predecessor_takes_pods_back_whose_new_ztunnel_has_died_with_ebpf_capture() -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = routes::lab("takenback", Capture::Ebpf)?;
    let mut servers = Vec::new();
    for pod in ["client", "near", "server", "stranger"] {
        servers.push(programs::nginx(&lab.pod(pod), routes::PORT)?);
    }
    servers.push(programs::nginx(lab.outside(), routes::PORT)?);
    let [first, _far] = lab.start_ztunnels(&Start::default())?;
    let routes = routes::all(&lab);
    let fetch = |route: &routes::Route<'_>| {
        get(&route.from, &url(route.to.ip(), route.to.port(), "/"))
            .with_context(|| route.name.clone())
    };
    lab.scenario(|| {
        routes.iter().try_for_each(|route| fetch(route).map(drop))?;
        for _ in 0..2 {
            let before = first.log_lines(&["pod taken back"]).len();
            let next = successor(&lab, 2)?;
            routes.iter().try_for_each(|route| fetch(route).map(drop))?;
            next.kill()?;
            until("both pods are taken back", PATIENCE, || {
                first.log_lines(&["pod taken back"]).len() == before + 2
            })?;
            routes.iter().try_for_each(|route| fetch(route).map(drop))?;
        }
        Ok(())
    })
}
