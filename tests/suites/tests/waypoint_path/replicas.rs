//! Several replicas: they share what comes, also of clients that stay, and go without anybody noticing.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{GATEWAY_NAME, Lab, PodSpec, Process, Start, eventually};
use nix::sys::signal::Signal;
use serde_json::json;
use suites::policy::PATIENCE;
use suites::waypoint::peers::peer;
use suites::waypoint::{Ground, H2};

/// How long clients that stay may take to find a new replica: what the waypoint spreads their leaving over, and some.
const SPREAD: Duration = Duration::from_secs(60);
/// How long a replica may take to end that has been told to, with a deadline of 20 s.
const END: Duration = Duration::from_secs(30);

fn ready(lab: &Lab, pod: &str, ready: bool) -> Result<()> {
    let status = if ready { "Healthy" } else { "Unhealthy" };
    lab.change(|mesh| mesh.workload(pod).map(|it| it["status"] = json!(status)))?
}

/// How many lines of a replica's access log hold this text.
fn lines(ground: &Ground, replica: usize, text: &str) -> usize {
    let waypoint = ground.waypoints.get(replica);
    waypoint.map_or(0, |it| it.log_lines(&[text]).len())
}

/// A client of HTTP/2 that stays: one request after the other on one connection, as long as it may.
fn stay(ground: &Ground, curl: &std::path::Path, path: &str, requests: usize) -> Result<Process> {
    let url = format!("http://{}:{H2}{path}?i=[1-{requests}]", ground.vip("web")?);
    let program = curl.display().to_string();
    let line = [
        &program,
        "-sS",
        "--http2-prior-knowledge",
        "--rate",
        "40/s",
        "-o",
        "/dev/null",
        "-w",
    ];
    let format = "%{http_code} %{num_connects}\\n";
    let line = line.iter().copied().chain([format, &url]);
    ground.pod("client").spawn(line)
}

/// All of its requests were answered; on how many connections.
fn stayed(process: &Process, requests: usize) -> Result<usize> {
    process.wait(SPREAD)?;
    let log = process.log();
    let answers: Vec<(&str, &str)> = log
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let failed = answers
        .iter()
        .filter(|(status, _)| *status != "200")
        .count();
    ensure!(
        answers.len() == requests && failed == 0,
        "{failed} of {}: {log}",
        answers.len()
    );
    Ok(answers
        .iter()
        .filter_map(|(_, made)| made.parse::<usize>().ok())
        .sum())
}

#[test]
fn replicas_share_and_a_new_one_gets_its_part_of_clients_that_stay() -> Result<()> {
    let Some(curl) = peer("curl", "curl") else {
        return Ok(());
    };
    let second = PodSpec::new("waypoint-2")
        .namespace("shop")
        .service_account("waypoint")
        .label(GATEWAY_NAME, "waypoint")
        .not_enrolled();
    let Some(mut ground) = Ground::builder("shares").pod(second).build()? else {
        return Ok(());
    };
    ready(&ground.lab, "waypoint-2", false)?;
    ground.wait_synced()?;
    // Clients that stay, before there is anybody else.
    let load = ground.wrk("/stays", 16)?;
    let client = stay(&ground, &curl, "/stays-too", 1400)?;
    let waypoint = ground.lab.start_waypoint("waypoint-2", &Start::default())?;
    ground.waypoints.push(waypoint);
    let ground = ground;
    ground.lab.scenario(|| {
        eventually("both are under load", PATIENCE, || {
            ensure!(lines(&ground, 0, "/stays ") > 50 && lines(&ground, 0, "/stays-too") > 10);
            Ok(())
        })?;
        ensure!(lines(&ground, 1, "GET") == 0, "not yet");
        ready(&ground.lab, "waypoint-2", true)?;
        ground.wait_synced()?;
        // New ones find it at once.
        eventually("new connections", PATIENCE, || {
            for _ in 0..10 {
                ensure!(ground.get("/new").send()?.status == 200);
            }
            ensure!(lines(&ground, 1, "/new") > 2, "the new one has none");
            Ok(())
        })?;
        // Those that stay do so in time.
        eventually("old clients", SPREAD, || {
            ensure!(lines(&ground, 1, "/stays ") > 100, "the new one has none");
            Ok(())
        })?;
        let sum = load.end()?;
        ensure!(sum.failed == 0, "{sum:?}");
        stayed(&client, 1400).context("the client of HTTP/2")?;
        // Shared: neither has next to nothing.
        let before = [0, 1].map(|replica| lines(&ground, replica, "/shared"));
        ensure!(before == [0, 0]);
        for _ in 0..60 {
            ground.get("/shared").send()?;
        }
        eventually("all are in the logs", PATIENCE, || {
            let counts = [0, 1].map(|replica| lines(&ground, replica, "/shared"));
            ensure!(counts[0] + counts[1] == 60, "{counts:?}");
            ensure!(counts.iter().all(|count| *count >= 12), "{counts:?}");
            Ok(())
        })
    })
}

#[test]
fn a_replica_that_ends_under_load_is_not_noticed() -> Result<()> {
    let Some(curl) = peer("curl", "curl") else {
        return Ok(());
    };
    let start = Start::default().env("TERMINATION_DRAIN_DURATION_SECONDS", "20");
    let Some(ground) = Ground::builder("ends")
        .waypoints(2)
        .start_waypoint(start)
        .build()?
    else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let load = ground.wrk("/", 8)?;
        let slow = ground.wrk("/delay/200", 4)?;
        let clients = [
            stay(&ground, &curl, "/one", 800)?,
            stay(&ground, &curl, "/two", 800)?,
        ];
        for (round, first) in [(0, true), (1, true), (0, false)] {
            let name = if round == 0 { "waypoint" } else { "waypoint-2" };
            let replica = &ground.waypoints[round];
            let before = lines(&ground, round, "GET");
            eventually("it has work", PATIENCE, || {
                ensure!(lines(&ground, round, "GET") > before + 50);
                Ok(())
            })
            .with_context(|| format!("{name}, {first}"))?;
            // In a cluster nobody says what comes first: that it ends, or that others are told.
            if first {
                ready(&ground.lab, name, false)?;
                replica.signal(Signal::SIGTERM)?;
            } else {
                replica.signal(Signal::SIGTERM)?;
                replica.wait_log(&["draining on SIGTERM"], PATIENCE)?;
                ensure!(ground.get("/late").send()?.status == 200);
                ready(&ground.lab, name, false)?;
            }
            let status = replica.terminate(END)?;
            ensure!(status.code() == Some(0), "{name}: {status}");
            let log = replica.log();
            ensure!(
                log.contains("waypoint ended") && !log.contains("did not end"),
                "{}",
                replica.log_tail()
            );
            ensure!(!log.contains("panicked"), "{}", replica.log_tail());
            replica.restart()?;
            replica.wait_ready()?;
            ready(&ground.lab, name, true)?;
            ground.wait_synced()?;
        }
        for load in [load, slow] {
            let sum = load.end()?;
            ensure!(sum.failed == 0, "{sum:?}");
        }
        for client in &clients {
            stayed(client, 800)?;
        }
        Ok(())
    })
}
