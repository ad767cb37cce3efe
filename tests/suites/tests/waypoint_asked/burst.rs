//! A burst through both kinds of limits at once: as many pass as the smaller one holds.
//!
//! Counted, not timed: a bucket is filled once a day and a service counts for ever, so however long a burst takes, what passes is what
//! was there. A local limit is for one replica of the waypoint: two of them let through what each has seen, up to twice as much.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use lab::eventually;
use suites::asked::Answerer;
use suites::asked::limiter::Limiter;
use suites::policy::PATIENCE;
use suites::waypoint::{Ground, H2, HTTP};

use crate::setup::{LIMITS, limits, with_auth};

/// Requests of a burst, its connections, and streams of each of them in HTTP/2.
const BURST: usize = 2_000;
const CONNECTIONS: usize = 16;
const STREAMS: usize = 8;
const SMALL: u32 = 500;
const LARGE: u32 = 600;

fn policy() -> String {
    let limit = |path: &str, local: u32| {
        let matches = format!("matches: [{{path: {{type: PathPrefix, value: {path}}}}}]");
        let service =
            "service: auth.shop.svc.cluster.local, port: 9002, timeout: 10s, failClosed: true";
        format!(
            "- {{name: local{0}, {matches}, local: {{requests: {local}, interval: 24h}}}}\n\
             - {{name: global{0}, {matches}, key: [{{value: '{path}'}}], global: {{domain: shop, {service}}}}}",
            path.replace('/', "-"),
        )
    };
    // The service counts to 550: less than one of them, more than the other.
    let lines = [
        limit("/local", SMALL),
        limit("/global", LARGE),
        limit("/http2", SMALL),
        limit("/mixed", SMALL),
    ];
    limits("web", "web", &lines.join("\n"))
}

const MOST: u64 = 550;

/// The issue asks for 2 %.
fn ensure_near(what: &str, admitted: u64, limit: u64) -> Result<()> {
    ensure!(
        admitted.abs_diff(limit) * 50 <= limit,
        "{what}: {admitted} of {limit} have passed"
    );
    Ok(())
}

/// What replicas have counted of a limit, passed and refused, once `holds` says that it is all of it: a scrape may be a moment old.
fn counted(
    ground: &Ground,
    limit: &str,
    holds: impl Fn(&[(u64, u64)]) -> bool,
) -> Result<Vec<(u64, u64)>> {
    let name = format!("shop/web/{limit}");
    let of = |waypoint: &lab::Waypoint, outcome: &str| -> Result<u64> {
        let labels = [("limit", name.as_str()), ("outcome", outcome)];
        let value = waypoint.metric("ambit_rate_limit_requests_total", &labels)?;
        // A count of some thousands is exact in either.
        Ok(format!("{value}").parse()?)
    };
    eventually(&format!("counts of {limit}"), PATIENCE, || {
        let replicas = ground.waypoints.iter();
        let counts: Vec<_> = replicas
            .map(|it| Ok((of(it, "ok")?, of(it, "refused")?)))
            .collect::<Result<_>>()?;
        ensure!(holds(&counts), "{counts:?}");
        Ok(counts)
    })
}

#[test]
fn a_burst_through_both_limiters_passes_what_the_smaller_one_holds() -> Result<()> {
    let builder = with_auth(Ground::builder("burst"), &[]).manifest("limits", policy());
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let counts = Limiter::new(MOST);
        let _server = Answerer::start(&ground.pod("auth"), LIMITS, move |question| {
            counts.answer(question)
        })?;
        let http1: &[&str] = &["--h1"];
        for (path, port, streams, more, limit, asked) in [
            ("/local", HTTP, 1, http1, u64::from(SMALL), u64::from(SMALL)),
            ("/global", HTTP, 1, http1, MOST, u64::from(LARGE)),
            (
                "/http2",
                H2,
                STREAMS,
                &[][..],
                u64::from(SMALL),
                u64::from(SMALL),
            ),
        ] {
            ground.calm();
            let sum = ground.h2load(port, path, [BURST, CONNECTIONS, streams], more)?;
            ensure!(sum.answered == u64::try_from(BURST)?, "{path}: {sum:?}");
            let admitted = sum.answered - sum.failed;
            ensure_near(path, admitted, limit)?;
            // The backends have seen these, and no other.
            ensure!(
                ground.requests("v") == admitted,
                "{path}: {} of {admitted}",
                ground.requests("v")
            );
            let name = path.replace('/', "-");
            let all = u64::try_from(BURST)?;
            counted(&ground, &format!("local{name}"), |it| {
                it == [(asked, all - asked)]
            })?;
            counted(&ground, &format!("global{name}"), |it| {
                it == [(limit, asked - limit)]
            })?;
        }

        // Both versions, several ports and two clients at once: one bucket all the same.
        ground.calm();
        let other = ground.spawn_h2load(H2, "/mixed", [BURST, CONNECTIONS, STREAMS], &[])?;
        let one = ground.h2load(HTTP, "/mixed", [BURST, CONNECTIONS, 1], http1)?;
        let other = other.wait(PATIENCE)?;
        let admitted = one.answered + other.answered - one.failed - other.failed;
        ensure_near("both", admitted, u64::from(SMALL))?;
        ensure!(ground.requests("v") == admitted);
        Ok(())
    })
}

#[test]
fn replicas_count_local_limits_each_and_share_a_global_one() -> Result<()> {
    let service =
        "service: auth.shop.svc.cluster.local, port: 9002, timeout: 10s, failClosed: true";
    let at = |path: &str| format!("matches: [{{path: {{type: PathPrefix, value: {path}}}}}]");
    let lines = [
        format!(
            "- {{name: each, {}, local: {{requests: {SMALL}, interval: 24h}}}}",
            at("/each")
        ),
        format!(
            "- {{name: shared, {}, key: [{{value: x}}], global: {{domain: shop, {service}}}}}",
            at("/shared")
        ),
    ];
    let builder = with_auth(Ground::builder("replicas"), &[])
        .waypoints(2)
        .manifest("limits", limits("web", "web", &lines.join("\n")));
    let Some(ground) = builder.build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let counts = Limiter::new(MOST);
        let _server = Answerer::start(&ground.pod("auth"), LIMITS, move |question| {
            counts.answer(question)
        })?;
        for (path, limit) in [("/each", "each"), ("/shared", "shared")] {
            ground.calm();
            // From two clients, each with tunnels of its own.
            let url = format!("http://{}:{HTTP}{path}", ground.vip("web")?);
            let burst = BURST.to_string();
            let line = [
                "h2load",
                "--h1",
                "-t",
                "1",
                "-c",
                "16",
                "-n",
                burst.as_str(),
                url.as_str(),
            ];
            let guest = ground.pod("guest").spawn(line)?;
            let one = ground.h2load(HTTP, path, [BURST, CONNECTIONS, 1], &["--h1"])?;
            guest.wait(PATIENCE)?;
            ensure!(one.answered == u64::try_from(BURST)?, "{one:?}");
            let passed = ground.requests("v");
            let all = 2 * u64::try_from(BURST)?;
            let is_all =
                |it: &[(u64, u64)]| it.iter().map(|(ok, refused)| ok + refused).sum::<u64>() == all;
            let by_replica = counted(&ground, limit, is_all)?;
            let expected: u64 = match limit {
                "each" => by_replica
                    .iter()
                    .map(|(ok, refused)| (ok + refused).min(u64::from(SMALL)))
                    .sum(),
                _ => MOST,
            };
            ensure_near(path, passed, expected)?;
            let ok: u64 = by_replica.iter().map(|(ok, _)| ok).sum();
            ensure!(ok == passed, "{by_replica:?}");
            report(path, &by_replica);
        }
        Ok(())
    })
}

#[expect(
    clippy::print_stderr,
    reason = "which replica a tunnel met is chance, and told to people"
)]
fn report(path: &str, by_replica: &[(u64, u64)]) {
    let told: BTreeMap<usize, &(u64, u64)> = by_replica.iter().enumerate().collect();
    eprintln!("{path}: passed and refused by replica: {told:?}");
}
