//! How endpoints are chosen where nothing of the request decides: by load, in turn, by chance; and new ones gently.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{eventually, until};
use serde_json::json;
use suites::policy::PATIENCE;
use suites::waypoint::{Counts, Ground, Scenario};

use super::{policy, wait_idle};

const PODS: [&str; 4] = ["v1a", "v1b", "v2a", "v2b"];

#[test]
fn endpoints_are_chosen_as_the_policy_says() -> Result<()> {
    let Some(ground) = Ground::builder("balancing").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let scenarios: [(&str, Scenario); 6] = [
            ("least request", a_slow_replica_is_avoided),
            ("in turn", turns_are_even),
            ("random", chance_is_even_in_the_long_run),
            ("leaves", one_that_leaves_is_not_noticed),
            ("stale", connections_that_ended_meanwhile_cost_nothing),
            ("warm-up", a_new_one_is_given_little_at_first),
        ];
        for (name, scenario) in scenarios {
            scenario(&ground).context(name)?;
            wait_idle(&ground).context(name)?;
            ground.calm();
        }
        Ok(())
    })
}

fn a_slow_replica_is_avoided(ground: &Ground) -> Result<()> {
    let slow = ground.echo("v1a");
    slow.delay(Duration::from_millis(300));
    let load = ground.wrk("/", 12)?;
    until("two thousand requests", PATIENCE, || {
        ground.requests("") >= 2000
    })?;
    let sum = load.end()?;
    ensure!(sum.failed == 0, "{sum:?}");
    let (of_slow, all) = (slow.requests(), ground.requests(""));
    ensure!(
        of_slow > 0 && of_slow * 12 < all,
        "{of_slow} of {all} went to the slow one"
    );
    for pod in ["v1b", "v2a", "v2b"] {
        let requests = ground.echo(pod).requests();
        ensure!(requests * 6 > all, "{pod} had {requests} of {all}");
    }
    Ok(())
}

fn turns_are_even(ground: &Ground) -> Result<()> {
    policy(ground, "loadBalancer: {simple: ROUND_ROBIN}")?;
    let counts = ground.get("/").count(200)?;
    ensure!(PODS.iter().all(|pod| counts.of(pod) == 50), "{counts:?}");
    Ok(())
}

fn chance_is_even_in_the_long_run(ground: &Ground) -> Result<()> {
    policy(ground, "loadBalancer: {simple: RANDOM}")?;
    let counts = ground.get("/").count(400)?;
    // 100 are expected of each; as far off as this is one run in 300,000.
    ensure!(
        PODS.iter().all(|pod| (60..=145).contains(&counts.of(pod))),
        "{counts:?}"
    );
    let turns = Counts(PODS.map(|pod| (pod.to_owned(), 100)).into());
    ensure!(counts != turns, "by chance?");
    ground.withdraw(&["policy"])
}

fn ready(ground: &Ground, pod: &str, ready: bool) -> Result<()> {
    ground.lab.change(|mesh| -> Result<()> {
        let status = if ready { "Healthy" } else { "Unhealthy" };
        mesh.workload(pod)?["status"] = json!(status);
        Ok(())
    })??;
    ground.wait_synced()
}

fn one_that_leaves_is_not_noticed(ground: &Ground) -> Result<()> {
    let echo = ground.echo("v2b");
    let load = ground.wrk("/", 8)?;
    for _ in 0..3 {
        until("it has work", PATIENCE, || echo.requests() > 20)?;
        ready(ground, "v2b", false)?;
        // What it was given before the change is all that it gets.
        until("it has none", PATIENCE, || echo.active() == 0)?;
        echo.forget();
        let counts = ground.get("/").count(40)?;
        ensure!(counts.of("v2b") == 0 && echo.requests() == 0, "{counts:?}");
        ready(ground, "v2b", true)?;
    }
    until("it has work", PATIENCE, || echo.requests() > 20)?;
    let sum = load.end()?;
    ensure!(sum.failed == 0, "{sum:?}");
    Ok(())
}

fn connections_that_ended_meanwhile_cost_nothing(ground: &Ground) -> Result<()> {
    // Not because of retries: there are none.
    let rules = "http: [{route: [{destination: {host: web}}], retries: {attempts: 0}}]";
    ground.apply("web", &suites::waypoint::virtual_service("web", rules))?;
    for round in 0..25 {
        let counts = ground.get(&format!("/stale/{round}")).count(8)?;
        ensure!(counts.of("v") == 8, "round {round}: {counts:?}");
        for echo in ground.echoes.values() {
            echo.cut_connections();
        }
    }
    // A restart: nobody listens for a moment, and everybody's connections are gone.
    for round in 0..5 {
        for echo in ground.echoes.values() {
            echo.crash();
            echo.listen_again()?;
        }
        let counts = ground.get(&format!("/restarted/{round}")).count(8)?;
        ensure!(counts.of("v") == 8, "round {round}: {counts:?}");
    }
    // Over HTTP/2 likewise.
    for round in 0..10 {
        let sum = ground.h2load(suites::waypoint::H2, "/stale2", [8, 1, 1], &[])?;
        ensure!(sum.failed == 0, "round {round}: {sum:?}");
        for echo in ground.echoes.values() {
            echo.cut_connections();
        }
    }
    ground.withdraw(&["web"])
}

fn a_new_one_is_given_little_at_first(ground: &Ground) -> Result<()> {
    let warmup = "loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 8s, minimumPercent: 5, aggression: 1}}";
    policy(ground, warmup)?;
    eventually(
        "all are warm, also the one that has just come back",
        PATIENCE,
        || {
            let counts = ground.get("/").count(80)?;
            ensure!(
                PODS.iter().all(|pod| (18..=22).contains(&counts.of(pod))),
                "{counts:?}"
            );
            Ok(())
        },
    )?;
    ready(ground, "v1b", false)?;
    ready(ground, "v1b", true)?;
    let counts = ground.get("/").count(120)?;
    // A twentieth of the share of others at first, a quarter after two seconds.
    ensure!(counts.of("v1b") <= 12, "{counts:?}");
    eventually("it is warm", PATIENCE, || {
        let counts = ground.get("/").count(80)?;
        ensure!((16..=24).contains(&counts.of("v1b")), "{counts:?}");
        Ok(())
    })?;
    ground.withdraw(&["policy"])
}
