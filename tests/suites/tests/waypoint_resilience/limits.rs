//! Limits of connection pools: who is turned away, with which words, and how long connections live.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Process, eventually, until};
use suites::policy::PATIENCE;
use suites::traffic::dial;
use suites::waypoint::{Ground, HTTP, Scenario, TCP, destination_rule, service};

use super::{stat_of, wait_idle};

/// A service with one endpoint, whose limits nobody else shares.
const SOLO: &str = "solo";

fn limits(ground: &Ground, pool: &str) -> Result<()> {
    let yaml = format!("trafficPolicy: {{connectionPool: {{{pool}}}}}");
    ground.apply("policy", &destination_rule(SOLO, &yaml))
}

/// A request that is under way while others come.
fn hold(ground: &Ground, path: &str) -> Result<Process> {
    let url = format!("http://{}:{HTTP}{path}", ground.vip(SOLO)?);
    ground.pod("client").spawn([
        "curl",
        "-sS",
        "-m",
        "60",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        &url,
    ])
}

/// So many requests at once.
fn at_once(ground: &Ground, path: &str, count: usize) -> Result<suites::waypoint::Counts> {
    let many = ground
        .get(path)
        .to(SOLO, HTTP)
        .arg("-Z")
        .arg("--parallel-immediate");
    many.arg("--parallel-max")
        .arg(count.to_string())
        .count(count)
}

#[test]
fn a_full_pool_turns_requests_away() -> Result<()> {
    let solo = service(SOLO)
        .named_port("http-web", HTTP, 8080)
        .named_port("tcp-web", TCP, 8080)
        .backend("v1a");
    let Some(ground) = Ground::builder("limits").service(solo).build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let scenarios: [(&str, Scenario); 6] = [
            ("pending", pending_requests),
            ("connections", connections_are_shared_in_turn),
            ("requests", requests_at_once),
            ("lives", lives_of_connections),
            ("tcp", connections_of_tcp),
            ("version", the_version_to_endpoints),
        ];
        for (name, scenario) in scenarios {
            scenario(&ground).context(name)?;
            wait_idle(&ground).context(name)?;
            ground.calm();
        }
        Ok(())
    })
}

const TURNED_AWAY: &str =
    "upstream connect error or disconnect/reset before headers. reset reason: overflow";

fn pending_requests(ground: &Ground) -> Result<()> {
    let echo = ground.echo("v1a");
    limits(
        ground,
        "tcp: {maxConnections: 1}, http: {http1MaxPendingRequests: 1}",
    )?;
    let first = hold(ground, "/delay/8000?first")?;
    until("one under way", PATIENCE, || echo.active() == 1)?;
    let second = hold(ground, "/second")?;
    let open = "circuit_breakers_default_rq_pending_open";
    until("one pending", PATIENCE, || {
        stat_of(ground, SOLO, open).is_ok_and(|it| it == 1.0)
    })?;
    ensure!(stat_of(ground, SOLO, "circuit_breakers_default_cx_open")? == 1.0);
    let before = stat_of(ground, SOLO, "upstream_rq_pending_overflow")?;
    let answer = ground.get("/third").to(SOLO, HTTP).send()?;
    ensure!(
        answer.status == 503 && answer.text() == TURNED_AWAY,
        "{answer:?}"
    );
    ensure!(
        answer.header("x-envoy-overloaded").as_deref() == Some("true"),
        "{answer:?}"
    );
    let line = ground.access("/third")?;
    ensure!(
        line.flags == "UO" && line.details == "upstream_reset_before_response_started{overflow}",
        "{line:?}"
    );
    eventually("it is counted", PATIENCE, || {
        let counted = stat_of(ground, SOLO, "upstream_rq_pending_overflow")? - before;
        ensure!(counted == 1.0, "{counted}");
        Ok(())
    })?;
    for process in [first, second] {
        process.wait(PATIENCE)?;
        ensure!(process.log() == "200", "{}", process.log());
    }
    ensure!(echo.most_active() == 1 && echo.seen("/third").is_empty());
    eventually("the breaker closes", PATIENCE, || {
        ensure!(stat_of(ground, SOLO, open)? == 0.0);
        Ok(())
    })
}

fn connections_are_shared_in_turn(ground: &Ground) -> Result<()> {
    let echo = ground.echo("v1a");
    limits(ground, "tcp: {maxConnections: 2}")?;
    let counts = at_once(ground, "/delay/50", 20)?;
    ensure!(counts.of("v1a") == 20, "{counts:?}");
    // Each of the two workers may have one connection in any case, as in Envoy.
    ensure!(echo.most_active() <= 3, "{} at once", echo.most_active());
    Ok(())
}

fn requests_at_once(ground: &Ground) -> Result<()> {
    let echo = ground.echo("v1a");
    limits(ground, "http: {http2MaxRequests: 3}")?;
    let counts = at_once(ground, "/delay/5000", 10)?;
    ensure!(counts.of("v1a") == 3 && counts.of("503") == 7, "{counts:?}");
    ensure!(echo.most_active() == 3, "{} at once", echo.most_active());
    let lines = ground.access_lines("/delay/5000", 10)?;
    let turned_away = lines
        .iter()
        .filter(|line| line.flags == "UO" && line.status == 503);
    ensure!(turned_away.count() == 7, "{lines:#?}");
    // Places come back.
    let counts = at_once(ground, "/after", 3)?;
    ensure!(counts.of("v1a") == 3, "{counts:?}");
    Ok(())
}

fn lives_of_connections(ground: &Ground) -> Result<()> {
    let echo = ground.echo("v1a");
    for (requests, connections) in [(1, 12), (4, 3)] {
        limits(
            ground,
            &format!("http: {{maxRequestsPerConnection: {requests}}}"),
        )?;
        // What was kept before the change is gone with its first request.
        ground.get("/warm").to(SOLO, HTTP).count(8)?;
        echo.forget();
        let counts = ground.get("/").to(SOLO, HTTP).count(12)?;
        ensure!(counts.of("v1a") == 12, "{counts:?}");
        let made = echo.connections();
        ensure!(
            made.abs_diff(connections) <= 1,
            "{made} connections for 12 requests, {requests} each"
        );
    }
    limits(ground, "http: {idleTimeout: 0.5s}")?;
    ground.get("/").to(SOLO, HTTP).count(4)?;
    until("idle ones are closed", PATIENCE, || {
        echo.open_connections() == 0
    })?;
    // Nothing is said: they are kept.
    ground.withdraw(&["policy"])?;
    echo.forget();
    ground.get("/").to(SOLO, HTTP).count(10)?;
    ensure!(echo.connections() == 1, "{}", echo.connections());
    std::thread::sleep(Duration::from_millis(1200));
    ensure!(echo.open_connections() == 1, "it was closed");
    Ok(())
}

fn connections_of_tcp(ground: &Ground) -> Result<()> {
    let echo = ground.echo("v1a");
    limits(ground, "tcp: {maxConnections: 1}")?;
    let vip = ground.vip(SOLO)?;
    ground.get("/whoever").to(SOLO, TCP).send()?;
    // The one before may hold the place until its end has gone all the way.
    let held = eventually("the first is through", PATIENCE, || {
        let held = dial(&ground.pod("client"), (vip, TCP).into())?;
        std::io::Write::write_all(&mut &held, b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")?;
        held.set_read_timeout(Some(PATIENCE))?;
        let there = std::io::Read::read(&mut &held, &mut [0; 64])?;
        ensure!(there > 0, "it was turned away");
        Ok(held)
    })?;
    let before = echo.connections();
    let output = ground.get("/more").to(SOLO, TCP).run(&[])?;
    ensure!(!output.status.success(), "{output:?}");
    ensure!(echo.connections() == before && echo.seen("/more").is_empty());
    eventually("a line of the second", PATIENCE, || {
        let lines = ground.access_lines(&format!("{vip}:{TCP}"), 1)?;
        ensure!(
            lines
                .iter()
                .any(|line| line.flags == "UO" && line.status == 0),
            "{lines:#?}"
        );
        Ok(())
    })?;
    drop(held);
    eventually("its place comes back", PATIENCE, || {
        let answer = ground.get("/again").to(SOLO, TCP).send()?;
        ensure!(answer.status == 200);
        Ok(())
    })
}

fn the_version_to_endpoints(ground: &Ground) -> Result<()> {
    let version = || Ok::<_, anyhow::Error>(ground.get("/").to(SOLO, HTTP).send()?.told("version"));
    ground.withdraw(&["policy"])?;
    ensure!(version()? == "HTTP/1.1");
    limits(ground, "http: {h2UpgradePolicy: UPGRADE}")?;
    ensure!(version()? == "HTTP/2.0");
    ground.withdraw(&["policy"])
}
