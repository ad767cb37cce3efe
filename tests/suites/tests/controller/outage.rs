//! The controller away: killed and started again while connections are open and new ones come.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Start, Ztunnel, eventually};
use serde_json::Value;
use suites::plane::{
    ADDRESS, AUTHORIZATION, Calls, Stream, remove, serial, timed, wait_policy, wait_renewed,
    wait_synced, write,
};
use suites::policy::{Call, PATIENCE, Seen, Town};

/// The life of certificates: renewed after half of it.
const TTL: &str = "24s";

fn wait_age(ztunnel: &Ztunnel, what: &str, holds: impl Fn(f64) -> bool) -> Result<f64> {
    eventually(&format!("ambit_xds_age_seconds {what}"), PATIENCE, || {
        let age = ztunnel.metric("ambit_xds_age_seconds", &[])?;
        ensure!(holds(age), "it is {age}");
        Ok(age)
    })
}

/// How many resources of a type this stream was sent.
fn resources(client: &Value, of: &str) -> Result<u64> {
    client["resources"][of]["resources_sent"]
        .as_u64()
        .with_context(|| format!("{client:#}"))
}

#[test]
#[expect(clippy::print_stderr, reason = "counts are told to people")]
fn a_controller_that_is_killed_under_load_costs_no_connection() -> Result<()> {
    let start = Start::default().env("SECRET_TTL", TTL);
    let Some(town) = Town::build("outage", &start, &start)? else {
        return Ok(());
    };
    town.lab.scenario(|| {
        let controller = town.lab.controller()?;
        let first = wait_synced(&controller)?;
        let all = resources(&first[0], ADDRESS)?;
        ensure!(all >= 6, "node1 was sent {all} addresses at first");
        let sent = controller.metric("ambit_xds_sent_bytes_total", &[])?;

        let bytes = Stream::start(&town.pod("client"), town.at("server", 9090))?;
        let flow = Calls::start(&town.pod("client"), town.at("server", 8080))?;
        let plain = Calls::start(&town.pod("legacy"), town.at("server", 8080))?;
        let goes_on = || -> Result<()> {
            bytes.goes_on()?;
            flow.goes_on()?;
            plain.goes_on()
        };

        // Away for as long as it takes that renewals have been tried and have failed.
        controller.kill()?;
        let identity = town.pod("client").identity();
        let before = serial(&town.near, &identity)?;
        wait_age(&town.near, "rises", |age| age >= 2.0)?;
        goes_on()?;
        let by_vip = (town.vip()?, 80).into();
        for to in [town.at("shop", 8080), town.at("neighbour", 9090), by_vip] {
            let mut call = Call::open(&town.pod("other"), to)?;
            ensure!(call.ping()? == Seen::Answered, "{to} while it is away");
        }
        // What changes meanwhile is all that is sent afterwards.
        let policy = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
                      metadata: {name: meanwhile, namespace: shop}\nspec: {action: DENY, rules: [{}]}\n";
        write(&town.lab, "meanwhile", policy)?;
        town.near.wait_log(&["warn", "certificate not issued", &identity], PATIENCE)
            .context("a renewal that fails")?;
        ensure!(serial(&town.near, &identity)? == before);
        goes_on()?;

        timed("a controller that comes back, until both have what has changed", || {
            controller.restart()?;
            wait_policy(&town.near, "meanwhile", true)?;
            wait_policy(&town.far, "meanwhile", true)
        })?;
        for client in wait_synced(&controller)? {
            let (addresses, policies) =
                (resources(&client, ADDRESS)?, resources(&client, AUTHORIZATION)?);
            ensure!((addresses, policies) == (0, 1), "{client:#}");
        }
        let again = controller.metric("ambit_xds_sent_bytes_total", &[])?;
        eprintln!("{sent} bytes were sent to both at first, {again} after the restart");
        ensure!(again < sent / 4.0, "{again} bytes after {sent}");
        wait_age(&town.near, "falls", |age| age < 1.0)?;
        wait_age(&town.far, "falls", |age| age < 1.0)?;
        timed("certificates, until they are renewed", || {
            wait_renewed(&town.near, &identity, &before)
        })?;
        ensure!(town.probe("client", town.at("shop", 8080))?.0 == Seen::Closed);

        // And in quick succession.
        for _ in 0..3 {
            controller.restart()?;
            goes_on()?;
        }
        remove(&town.lab, "meanwhile")?;
        wait_policy(&town.far, "meanwhile", false)?;
        ensure!(town.probe("client", town.at("shop", 8080))?.0 == Seen::Answered);
        let calls = flow.finish()? + plain.finish()?;
        let bytes = bytes.finish()?;
        eprintln!("{calls} calls, and {bytes} bytes there and back on one connection");
        for ztunnel in [&town.near, &town.far] {
            let bad = ztunnel.log_lines(&["\terror\taccess", "dst.workload=\"server\""]);
            ensure!(bad.is_empty(), "{bad:#?}");
        }
        Ok(())
    })
}

#[test]
fn a_ztunnel_that_starts_without_a_controller_is_ready_when_it_is_back() -> Result<()> {
    let Some(town) = Town::build("orphan", &Start::default(), &Start::default())? else {
        return Ok(());
    };
    town.lab.scenario(|| {
        let controller = town.lab.controller()?;
        controller.kill()?;
        town.near.restart()?;
        town.near
            .wait_log(&["warn", "no stream to the control plane"], PATIENCE)?;
        ensure!(!town.near.ready(), "ready without a configuration");
        // Nobody gets out in the meantime, least of all in plain text.
        let client = town.pod("client");
        let reached = town.server.accepted();
        let refused = thread::scope(|scope| {
            let call = scope.spawn(|| {
                Call::open(&client, town.at("server", 8080)).and_then(|mut call| call.ping())
            });
            lab::until("an answer", PATIENCE + Duration::from_secs(5), || {
                call.is_finished()
            })?;
            call.join()
                .map_err(|_panic| anyhow::anyhow!("the call panicked"))
        })?;
        ensure!(!matches!(refused, Ok(Seen::Answered)), "somebody got out");
        ensure!(town.server.accepted() == reached, "somebody got through");

        timed(
            "a controller that comes back, until a new ztunnel is ready",
            || {
                controller.restart()?;
                town.near.wait_ready()
            },
        )?;
        eventually("a call", PATIENCE, || {
            let (seen, _) = town.probe("client", town.at("server", 8080))?;
            ensure!(seen == Seen::Answered);
            Ok(())
        })
    })
}
