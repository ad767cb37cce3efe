//! A ztunnel that is killed: nothing goes round it, open connections end, and the next one serves again.

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Start, programs};
use suites::traffic::routes::{self, Route};
use suites::traffic::{End, Pair, end, get, nowhere, refused, url};

/// Where connections go that stay open.
const PORT_OPEN: u16 = 7001;

/// A connection on each route.
fn connected<'r, 'l>(routes: &[&'r Route<'l>]) -> Result<Vec<(&'r Route<'l>, Pair)>> {
    routes
        .iter()
        .map(|route| Ok((*route, route.open(PORT_OPEN)?)))
        .collect()
}

fn killed(capture: Capture) -> Result<()> {
    if !lab::possible() {
        return Ok(());
    }
    let lab = routes::lab("killed", capture)?;
    let mut servers = Vec::new();
    for pod in ["client", "near", "server", "stranger"] {
        servers.push(programs::nginx(&lab.pod(pod), routes::PORT)?);
    }
    servers.push(programs::nginx(lab.outside(), routes::PORT)?);
    let [near, _far] = lab.start_ztunnels(&Start::default())?;
    let routes = routes::all(&lab);
    // Every route with a pod of the first node at either end is captured by its ztunnel.
    let (of_near, others): (Vec<_>, Vec<_>) = routes.iter().partition(|route| {
        [&route.from, &route.at]
            .iter()
            .any(|end| ["client", "near"].contains(&end.name()))
    });
    let fetch = |route: &Route<'_>| {
        get(&route.from, &url(route.to.ip(), route.to.port(), "/"))
            .with_context(|| route.name.clone())
    };
    lab.scenario(|| {
        ensure!(!others.is_empty() && of_near.len() > others.len());
        routes.iter().try_for_each(|route| fetch(route).map(drop))?;

        // A connection on each of its ways, and on the others: HBONE and plain in both directions, and joined.
        let mut open = connected(&of_near)?;
        let mut of_others = connected(&others)?;
        near.kill()?;
        for (route, pair) in &mut open {
            for side in [&mut pair.client, &mut pair.server] {
                let ended = end(side).with_context(|| route.name.clone())?;
                ensure!(
                    ended == End::Reset || ended == End::Finished(Vec::new()),
                    "{}: {ended:?}",
                    route.name
                );
            }
        }
        for (route, pair) in &mut of_others {
            pair.exchange("untouched")
                .with_context(|| route.name.clone())?;
        }
        let logs = || {
            servers
                .iter()
                .map(|nginx| nginx.access_log().lines().count())
                .sum::<usize>()
        };
        let before = logs();
        // The kernel drops what eBPF has captured; rules lead to a port where nobody is.
        let fails = if capture == Capture::Ebpf {
            nowhere
        } else {
            refused
        };
        for route in &of_near {
            fails(&route.from, &url(route.to.ip(), route.to.port(), "/"))
                .with_context(|| route.name.clone())?;
        }
        ensure!(
            logs() == before,
            "a request has gone round the ztunnel that is not there"
        );
        // The other node is untouched.
        others.iter().try_for_each(|route| fetch(route).map(drop))?;

        near.restart()?;
        near.wait_ready()?;
        for route in &routes {
            lab::eventually(&route.name, suites::traffic::PATIENCE, || fetch(route))?;
        }
        let all: Vec<_> = routes.iter().collect();
        for (route, mut pair) in connected(&all)? {
            pair.exchange("after").with_context(|| route.name.clone())?;
        }
        Ok(())
    })
}

#[test]
fn killed_ztunnel_fails_closed_and_a_restarted_one_serves_again_with_agent_capture() -> Result<()> {
    killed(Capture::Agent)
}

#[test]
fn killed_ztunnel_fails_closed_and_a_restarted_one_serves_again_with_iptables_capture() -> Result<()>
{
    killed(Capture::Iptables)
}

#[test]
fn killed_ztunnel_fails_closed_and_a_restarted_one_serves_again_with_ebpf_capture() -> Result<()> {
    killed(Capture::Ebpf)
}
