//! Readers that stand still by the hundred: what the proxies hold for them is bounded, who else there is goes on, and nothing is lost.
//!
//! The bounds are those that [net](../../../common/net/src/relay/pressure.rs) and [hbone](../../../common/hbone/src/held.rs) name. What the
//! kernel holds in sockets is its own, and kept small here.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Lab, Machine, Pod, PodSpec, Start, Ztunnel, eventually};
use suites::traffic::{PATIENCE, Pair, listen, pair, wait_all_closed};

use super::flow::{Ended, Flow, Saying, drain, push};

const MIB: usize = 1 << 20;
/// Connections of each kind.
const EACH: usize = 100;
/// What a peer may send ahead on one of them, as the test sets it (`HTTP2_STREAM_WINDOW_SIZE`).
const WINDOW: usize = MIB;
/// What every connection offers: more than a window, four small sockets, a pipe and a read hold together.
const OFFER: usize = 6 * MIB;
/// What a direction holds that has no window: one read (`net::chunk::MAX_CHUNK_BYTES`).
const READ: usize = 256 * 1024;
/// What a process holds for slow readers of tunnels (`hbone::held::MAX_HELD_BYTES`).
const MAX_HELD: usize = 512 * MIB;
/// The allocator's own, buffers for reuse, certificates, metrics, logs: of several hundred connections.
const SLACK: usize = 48 * MIB;
/// What stays with the allocator when all is over.
const REST: usize = 48 * MIB;

/// Little in the kernel, so that what is stalled is stalled in a ztunnel.
const SMALL_SOCKETS: [(&str, &str); 2] = [
    ("net.ipv4.tcp_rmem", "4096 65536 262144"),
    ("net.ipv4.tcp_wmem", "4096 65536 262144"),
];

struct Ground {
    lab: Lab,
    near: Ztunnel,
    far: Ztunnel,
}

/// `client`, `other` and `neighbour` on one node, `server` on the other, and a host outside. One worker: all streams of two pods share a
/// tunnel for as long as it has room.
fn ground(name: &str, start: &Start) -> Result<Option<Ground>> {
    if !lab::possible() {
        return Ok(None);
    }
    let lab = Lab::builder(name)
        .pod(PodSpec::new("client"))
        .pod(PodSpec::new("other"))
        .pod(PodSpec::new("neighbour"))
        .pod(PodSpec::new("server").node(1))
        .outside()
        .capture(Capture::Agent)
        .build()?;
    for pod in lab.pods() {
        pod.sysctl(&SMALL_SOCKETS)?;
    }
    lab.outside().sysctl(&SMALL_SOCKETS)?;
    let [near, far] = lab.start_ztunnels(start)?;
    Ok(Some(Ground { lab, near, far }))
}

#[expect(clippy::print_stdout, reason = "figures, for who changes a bound")]
fn tell(text: &str) {
    println!("{text}");
}

/// The memory that is a process's own. Units: bytes. Source: proc(5), `RssAnon`.
fn held(ztunnel: &Ztunnel) -> Result<usize> {
    let text = std::fs::read_to_string(format!("/proc/{}/status", ztunnel.id()))?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let number = line.context("RssAnon")?.trim().trim_end_matches(" kB");
    Ok(number.parse::<usize>()? * 1024)
}

/// A ztunnel and what it held before.
struct Watched<'a> {
    ztunnel: &'a Ztunnel,
    before: usize,
    highest: u64,
}

impl<'a> Watched<'a> {
    fn new(ztunnel: &'a Ztunnel) -> Result<Self> {
        Ok(Self {
            ztunnel,
            before: held(ztunnel)?,
            highest: ztunnel.memory()?.highest_bytes,
        })
    }

    fn growth(&self) -> Result<usize> {
        Ok(held(self.ztunnel)?.saturating_sub(self.before))
    }

    /// That it has never held more than `most` beyond what it held before, and that it holds `least` now: else nothing is stalled in it,
    /// and the test shows nothing.
    fn check(&self, what: &str, least: usize, most: usize) -> Result<()> {
        let now = self.growth()?;
        let highest = self.ztunnel.memory()?.highest_bytes - self.highest;
        tell(&format!(
            "{what}: {} MiB more than before, {} MiB at the highest, {} at most",
            now / MIB,
            highest >> 20,
            most / MIB
        ));
        ensure!(now >= least, "{what} holds {now} bytes, not {least}");
        ensure!(now <= most, "{what} holds {now} bytes, {most} at most");
        ensure!(
            highest <= most as u64,
            "{what} held {highest} bytes, {most} at most"
        );
        Ok(())
    }

    fn falls(&self, what: &str) -> Result<()> {
        eventually(&format!("the memory of {what} falls"), PATIENCE, || {
            let growth = self.growth()?;
            ensure!(growth <= REST, "{growth} bytes, {REST} at most");
            tell(&format!("{what}: {} MiB when all is over", growth / MIB));
            Ok(())
        })
    }
}

/// A listener and how it is reached.
struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

impl Door {
    fn of(pod: &Pod) -> Result<Self> {
        Ok(Self {
            listener: listen(pod, 7000)?,
            address: SocketAddr::new(pod.ip4().into(), 7000),
        })
    }

    fn outside(lab: &Lab) -> Result<Self> {
        Ok(Self {
            listener: listen(lab.outside(), 7000)?,
            address: SocketAddr::new(lab.outside_addresses().ip4.into(), 7000),
        })
    }

    fn pair(&self, from: &Machine) -> Result<Pair> {
        pair(from, self.address, &self.listener)
    }
}

/// How many tunnels a pod has opened to others that are still open.
fn tunnels(from: &Machine) -> Result<usize> {
    let table = from.run(|| std::fs::read_to_string("/proc/thread-self/net/tcp"))??;
    let peers = table.lines().filter_map(|line| {
        let mut fields = line.split_whitespace().skip(2);
        Some((fields.next()?, fields.next()?))
    });
    // 3AA0 is 15008, 01 is ESTABLISHED.
    Ok(peers
        .filter(|(peer, state)| peer.ends_with(":3AA0") && *state == "01")
        .count())
}

/// Says something on all of them.
fn all_go_on(pairs: &mut [(&str, Pair)]) -> Result<()> {
    for (what, pair) in pairs {
        pair.exchange("still here")
            .with_context(|| (*what).to_owned())?;
    }
    Ok(())
}

#[test]
fn readers_that_stand_still_cost_a_bounded_amount_of_memory_and_lose_nothing() -> Result<()> {
    let start = Start::default()
        .env("ZTUNNEL_WORKER_THREADS", "1")
        .env("HTTP2_STREAM_WINDOW_SIZE", WINDOW.to_string());
    let Some(ground) = ground("still", &start)? else {
        return Ok(());
    };
    let lab = &ground.lab;
    let (client, other) = (lab.pod("client"), lab.pod("other"));
    lab.scenario(|| {
        let far_door = Door::of(&lab.pod("server"))?;
        let near_door = Door::of(&lab.pod("neighbour"))?;
        let outside = Door::outside(lab)?;
        // First, so that it is in a tunnel that those share which stall.
        let mut beside = vec![
            ("in the same tunnel", far_door.pair(&client)?),
            ("of another pod", far_door.pair(&other)?),
            ("joined", near_door.pair(&client)?),
            ("past the mesh", outside.pair(&client)?),
        ];
        all_go_on(&mut beside)?;
        let watched = [Watched::new(&ground.near)?, Watched::new(&ground.far)?];

        let (saying, mut flows) = (Saying::new(), Vec::new());
        for (door, is_up) in [
            (&far_door, true),
            (&far_door, false),
            (&near_door, true),
            (&outside, true),
        ] {
            for _ in 0..EACH {
                let Pair { client, server, .. } = door.pair(&client)?;
                let (from, to) = if is_up {
                    (client, server)
                } else {
                    (server, client)
                };
                flows.push(Flow::new(flows.len(), from, to)?);
            }
        }
        // 201 of them go from the client to the server, 100 to a tunnel.
        // The table is not read in one piece, and a probe of a joined path is in it for a moment.
        eventually("three tunnels", PATIENCE, || {
            let tunnels = tunnels(&client)?;
            ensure!(tunnels == 3, "{tunnels} tunnels");
            Ok(())
        })?;
        push(&mut flows, &saying, OFFER)?;
        let stalled = flows.iter().filter(|flow| flow.sent < OFFER).count();
        ensure!(stalled == flows.len(), "{stalled} stall");

        let [near, far] = &watched;
        // Windows of what comes to it by tunnels; and for all others a read.
        let mesh = EACH * WINDOW;
        near.check("near", mesh / 2, mesh + 3 * EACH * READ + SLACK)?;
        far.check("far", mesh / 2, mesh + EACH * READ + SLACK)?;
        all_go_on(&mut beside)?;
        let mut late = vec![
            ("a new one in a tunnel", far_door.pair(&client)?),
            ("a new one of another pod", far_door.pair(&other)?),
            ("a new joined one", near_door.pair(&client)?),
            ("a new one past the mesh", outside.pair(&client)?),
        ];
        all_go_on(&mut late)?;

        // A client that gives up is noticed, though nobody reads what it has sent: through a tunnel, joined, past the mesh.
        let mut readers = Vec::new();
        for kind in [3, 2, 0] {
            readers.push(flows.swap_remove(kind * EACH).reset()?);
        }
        for (watched, ended) in watched.iter().zip([4.0, 1.0]) {
            eventually("the resets are noticed", PATIENCE, || {
                let metric = "istio_tcp_connections_closed_total";
                let closed = watched.ztunnel.metric(metric, &[])?;
                // A joined one counts for both of its sides.
                ensure!((closed - ended).abs() < 0.5, "{closed} of {ended}");
                Ok(())
            })?;
        }
        drop(readers);

        drain(&mut flows, &saying, OFFER)?;
        let whole = flows.iter().filter(|flow| flow.ended == Ended::Whole);
        ensure!(whole.count() == flows.len(), "some were reset");
        drop(flows);
        all_go_on(&mut beside)?;
        drop((beside, late));
        for (what, watched) in ["near", "far"].into_iter().zip(&watched) {
            wait_all_closed(watched.ztunnel)?;
            watched.falls(what)?;
        }
        Ok(())
    })
}

/// Windows as they are by default: together they let through more than the process may hold.
const DEFAULT_WINDOW: usize = 4 * MIB;
/// As many that their windows are half as much again as [`MAX_HELD`].
const TOO_MANY: usize = 200;

#[test]
fn a_process_holds_no_more_than_its_bound_and_gives_up_who_goes_beyond_it() -> Result<()> {
    let start = Start::default().env("ZTUNNEL_WORKER_THREADS", "1");
    let Some(ground) = ground("beyond", &start)? else {
        return Ok(());
    };
    let lab = &ground.lab;
    let (client, other) = (lab.pod("client"), lab.pod("other"));
    lab.scenario(|| {
        let door = Door::of(&lab.pod("server"))?;
        let mut beside = vec![
            ("in the same tunnel", door.pair(&client)?),
            ("of another pod", door.pair(&other)?),
        ];
        all_go_on(&mut beside)?;
        let watched = Watched::new(&ground.far)?;
        let (saying, mut flows) = (Saying::new(), Vec::new());
        for number in 0..TOO_MANY {
            let Pair { client, server, .. } = door.pair(&client)?;
            flows.push(Flow::new(number, client, server)?);
        }
        push(&mut flows, &saying, OFFER + DEFAULT_WINDOW)?;
        let most = MAX_HELD + TOO_MANY * READ + SLACK;
        ensure!(TOO_MANY * DEFAULT_WINDOW > most, "nothing goes beyond it");
        watched.check("far", MAX_HELD / 2, most)?;
        // Others go on, and new ones come in.
        all_go_on(&mut beside)?;
        let mut late = vec![("a new one", door.pair(&other)?)];
        all_go_on(&mut late)?;

        drain(&mut flows, &saying, OFFER + DEFAULT_WINDOW)?;
        let reset = flows
            .iter()
            .filter(|flow| flow.ended == Ended::Reset)
            .count();
        tell(&format!("{reset} of {TOO_MANY} were reset"));
        // Those that went beyond it, and nobody for their sake.
        ensure!((1..TOO_MANY / 2).contains(&reset), "{reset} were reset");
        drop((flows, beside, late));
        wait_all_closed(&ground.far)?;
        watched.falls("far")
    })
}
