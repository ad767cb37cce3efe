//! Policies that come while connections are open or being opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use lab::{Capture, Start, Ztunnel, eventually};
use serde_json::{Value, json};
use suites::policy::{Call, Fields, Mark, PATIENCE, Seen, Town, policy};

fn one(name: &str, action: &str, one: Value) -> Value {
    policy(name, action, json!([[[one]]]))
}

/// One worker, so that a pod's connections to one destination share a tunnel.
fn one_worker() -> Start {
    Start::default().env("ZTUNNEL_WORKER_THREADS", "1")
}

pub(crate) fn live(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "live", &one_worker(), &Start::default())? else {
        return Ok(());
    };
    let open = |from: &str, port| -> Result<Call> {
        let mut call = Call::open(&town.pod(from), town.at("server", port))?;
        ensure!(call.ping()? == Seen::Answered, "{from} was refused");
        Ok(call)
    };
    let (mut denied, mut stays) = (open("client", 8080)?, open("client", 9090)?);
    let (mut other, mut plain) = (open("other", 8080)?, open("legacy", 8080)?);
    let mut plain_stays = open("legacy", 9090)?;

    // Both of the client's are in one tunnel: the destination sees one TCP connection.
    let dump = town.far.config_dump()?;
    let uid = town.pod("server").uid().to_owned();
    let inbound = dump["workloadState"][&uid]["connections"]["inbound"]
        .as_array()
        .context("inbound")?;
    assert_eq!(inbound.len(), 5);
    let identity = town.pod("client").identity();
    let tunnels: Vec<_> = inbound
        .iter()
        .filter(|it| it["srcIdentity"] == *identity)
        .map(|it| &it["src"])
        .collect();
    assert_eq!(tunnels.len(), 2);
    assert_eq!(
        tunnels[0], tunnels[1],
        "the test needs them to share a tunnel"
    );

    let far = Mark::now(&town.far);
    town.enforce(&[one("no-8080", "Deny", json!({"destinationPorts": [8080]}))])?;
    for cut in [&mut denied, &mut other, &mut plain] {
        cut.wait_end(PATIENCE)?;
    }
    let lines = far.wait(
        &town.far,
        &["error=\"connection closed due to policy change\""],
        3,
    )?;
    for line in &lines {
        let line = Fields::parse(line)?;
        assert_eq!(
            (line.level.as_str(), line.message.as_str()),
            ("error", "connection complete")
        );
        assert_eq!(
            (line.get("bytes_recv")?, line.get("bytes_sent")?),
            ("4", "4")
        );
    }
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.contains("src.identity"))
            .count(),
        2
    );
    town.wait_flag("istio_tcp_connections_closed_total", "DENY", 3)?;
    town.wait_flag("istio_tcp_connections_failed_total", "DENY", 3)?;

    // The neighbour in the tunnel carries on as if nothing had happened, and so does plain text to that port.
    let bulk: Vec<u8> = (0..32_768_u32).map(|i| (i % 251) as u8).collect();
    for kept in [&mut stays, &mut plain_stays] {
        assert_eq!(kept.exchange(&bulk)?, Seen::Answered);
    }

    // A permission for somebody else denies just as well.
    town.enforce(&[one("only-other", "Allow", json!({"namespaces": ["other"]}))])?;
    stays.wait_end(PATIENCE)?;
    plain_stays.wait_end(PATIENCE)?;
    far.wait(
        &town.far,
        &["error=\"connection closed due to policy change\""],
        5,
    )?;
    drop(open("other", 8080)?);
    assert!(open("client", 8080).is_err());

    // And when it goes, all is as before: nothing of a cut stays behind.
    town.enforce(&[])?;
    for from in ["client", "other", "legacy"] {
        drop(open(from, 8080)?);
    }
    Ok(())
}

#[test]
fn open_connections_are_cut_by_a_policy_that_denies_them_and_others_are_not_touched() -> Result<()>
{
    live(Capture::Agent)
}

pub(crate) fn flow(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "flow", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    for (round, from) in ["client", "legacy"].into_iter().enumerate() {
        let (pod, to) = (town.pod(from), town.at("server", 8080));
        let rounds = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&rounds);
        let mut call = Call::open(&pod, to)?;
        let flow = std::thread::spawn(move || -> Result<()> {
            let bulk = vec![7; 16_384];
            while call.exchange(&bulk)? == Seen::Answered {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            Ok(())
        });
        lab::until("bytes to flow", PATIENCE, || {
            rounds.load(Ordering::SeqCst) > 100
        })?;
        town.enforce(&[one(
            &format!("stop-{round}"),
            "Deny",
            json!({"sourceIps": [pod.ip4()]}),
        )])?;
        // The flow ends only when the connection does.
        lab::until("the flow's end", PATIENCE, || flow.is_finished())?;
        flow.join()
            .expect("the flow does not panic")
            .with_context(|| from.to_owned())?;
        town.enforce(&[])?;
    }
    Ok(())
}

#[test]
fn a_cut_stops_bytes_that_flow() -> Result<()> {
    flow(Capture::Agent)
}

/// Connections that each caller keeps at most.
const MAX_KEPT: usize = 400;
/// Threads that open connections, per way.
const CALLERS: usize = 3;
/// How often the policy turns.
const TURNS: usize = 25;

/// Opens connections until it is told to stop, and keeps those that were answered.
fn call_on(
    town: &Town,
    from: &str,
    stop: &Arc<AtomicBool>,
    refused: &Arc<AtomicUsize>,
) -> Result<std::thread::JoinHandle<Result<Vec<Call>>>> {
    let (pod, to) = (town.pod(from), town.at("server", 8080));
    let (stop, refused) = (Arc::clone(stop), Arc::clone(refused));
    let on = Arc::clone(&pod);
    pod.thread(move || -> Result<Vec<Call>> {
        let mut kept = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            let mut call = Call::open(&on, to)?;
            match call.ping()? {
                Seen::Closed => {
                    refused.fetch_add(1, Ordering::SeqCst);
                }
                Seen::Answered if kept.len() < MAX_KEPT => kept.push(call),
                Seen::Answered => {}
            }
        }
        Ok(kept)
    })
    .map(|thread| {
        std::thread::spawn(move || {
            thread
                .join()
                .map_err(|_panic| anyhow::anyhow!("a caller panicked"))??
        })
    })
}

/// Waits until a ztunnel shows no connection of a pod.
fn none_open(ztunnel: &Ztunnel, pod: &str, town: &Town) -> Result<()> {
    let uid = town.pod(pod).uid().to_owned();
    eventually("no connection open", PATIENCE, || {
        let dump = ztunnel.config_dump()?;
        let connections = &dump["workloadState"][&uid]["connections"];
        ensure!(
            *connections == json!({"inbound": [], "outbound": []}),
            "{pod}: {connections}"
        );
        Ok(())
    })
}

pub(crate) fn race(capture: Capture) -> Result<()> {
    let Some(town) = Town::captured(capture, "race", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    let stop = Arc::new(AtomicBool::new(false));
    let refused = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let mut callers = Vec::new();
    for _ in 0..CALLERS {
        for (from, refused) in ["client", "legacy"].into_iter().zip(&refused) {
            callers.push(call_on(&town, from, &stop, refused)?);
        }
    }
    let far = Mark::now(&town.far);
    for turn in 0..TURNS {
        let reached = town.server.accepted();
        lab::until("connections in between", PATIENCE, || {
            town.server.accepted() > reached + 10
        })?;
        town.enforce(&[one(
            &format!("turn-{turn}"),
            "Deny",
            json!({"destinationPorts": [8080]}),
        )])?;
        // It denies everybody now; one that slipped through would stay, as nothing changes until it is gone.
        none_open(&town.far, "server", &town).with_context(|| format!("turn {turn}"))?;
        let before: Vec<usize> = refused.iter().map(|it| it.load(Ordering::SeqCst)).collect();
        lab::until("refusals", PATIENCE, || {
            let now = refused.iter().map(|it| it.load(Ordering::SeqCst));
            now.zip(&before).all(|(now, before)| now > before + 3)
        })?;
        if turn + 1 < TURNS {
            town.enforce(&[])?;
        }
    }
    stop.store(true, Ordering::SeqCst);
    let mut kept = Vec::new();
    for caller in callers {
        kept.extend(caller.join().expect("joined above")?);
    }
    ensure!(
        kept.len() > 100,
        "only {} connections were ever let in",
        kept.len()
    );
    // What was ever let in is over, at both ends.
    for call in &mut kept {
        call.wait_end(PATIENCE)?;
    }
    none_open(&town.near, "client", &town)?;
    eventually("a line of each", PATIENCE, || {
        let cut = far
            .lines(&town.far, &["connection closed due to policy change"])
            .len();
        ensure!(
            cut >= kept.len(),
            "{cut} of {} connections were cut by policy",
            kept.len()
        );
        Ok(())
    })
}

#[test]
fn connections_that_open_while_the_policy_turns_are_never_left_open_against_it() -> Result<()> {
    race(Capture::Agent)
}
