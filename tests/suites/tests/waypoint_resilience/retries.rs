//! Retries: what clients do not notice, what they do, and what retries cost.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::until;
use suites::policy::PATIENCE;
use suites::waypoint::{GRPC, Ground, Scenario, virtual_service};

use super::{policy, stat, wait_idle, wait_stat};

/// Puts `retries` in force for `web`.
fn retries(ground: &Ground, retries: &str) -> Result<()> {
    let rules = format!(
        "http: [{{name: all, route: [{{destination: {{host: web}}}}], retries: {{{retries}}}}}]"
    );
    ground.apply("web", &virtual_service("web", &rules))
}

/// `x-envoy-attempt-count` of all requests that reached any backend with this in their path, sorted.
fn attempts(ground: &Ground, path: &str) -> Vec<String> {
    let seen = ground.echoes.values().flat_map(|echo| echo.seen(path));
    let mut attempts: Vec<String> = seen
        .map(|seen| seen.header("x-envoy-attempt-count").unwrap_or_default())
        .collect();
    attempts.sort();
    attempts
}

#[test]
fn a_failing_replica_is_hidden_by_retries() -> Result<()> {
    let Some(ground) = Ground::builder("retries").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let scenarios: [(&str, Scenario); 9] = [
            ("errors", errors_under_load),
            ("resets", resets_under_load),
            ("crash", a_crash_with_nothing_configured),
            ("bodies", bodies_are_sent_again),
            ("exhausted", all_tries_fail),
            ("begun", an_answer_that_has_begun_is_not_asked_for_again),
            ("slow", a_slow_replica_costs_one_try),
            ("grpc", statuses_of_grpc_and_others),
            ("budget", retries_have_a_limit),
        ];
        for (name, scenario) in scenarios {
            scenario(&ground).context(name)?;
            wait_idle(&ground).context(name)?;
            ground.calm();
        }
        Ok(())
    })
}

fn errors_under_load(ground: &Ground) -> Result<()> {
    let bad = ground.echo("v1a");
    retries(ground, "attempts: 2, retryOn: 5xx")?;
    bad.fail_with(Some(503));
    let load = ground.wrk("/", 8)?;
    until("fifty failures", PATIENCE, || bad.requests() >= 50)?;
    let sum = load.end()?;
    ensure!(sum.failed == 0 && sum.answered > 100, "{sum:?}");
    // Every failure was one attempt more, but for those that were under way at the end.
    let failures = bad.requests() as f64;
    let retried = wait_stat(ground, "upstream_rq_retry", |it| it >= failures - 8.0)?;
    ensure!(
        retried <= failures + 8.0,
        "{retried} retries of {failures} failures"
    );
    let well = stat(ground, "upstream_rq_retry_success")?;
    ensure!(well >= retried - 8.0, "{well} of {retried} retries");
    // Retries go to others, and tell which attempt they are.
    let of = |pod: &str, count: &str| {
        let seen = ground.echo(pod).last(usize::MAX);
        let is =
            |it: &&suites::echo::Seen| it.header("x-envoy-attempt-count").as_deref() == Some(count);
        seen.iter().filter(is).count()
    };
    ensure!(
        of("v1a", "2") == 0 && of("v1a", "1") >= 50,
        "{} went back",
        of("v1a", "2")
    );
    let second: usize = ["v1b", "v2a", "v2b"].iter().map(|pod| of(pod, "2")).sum();
    ensure!(second >= 50, "{second} second attempts");
    Ok(())
}

fn resets_under_load(ground: &Ground) -> Result<()> {
    let bad = ground.echo("v1a");
    retries(ground, "attempts: 2, retryOn: reset")?;
    bad.reset_connections(true);
    let load = ground.wrk("/", 8)?;
    until("thirty resets", PATIENCE, || bad.requests() >= 30)?;
    let sum = load.end()?;
    ensure!(sum.failed == 0, "{sum:?}");
    // Nobody asked for more than resets to be hidden.
    bad.heal();
    bad.fail_with(Some(503));
    let counts = ground.get("/").count(60)?;
    ensure!(counts.of("503") > 0 && counts.all() == 60, "{counts:?}");
    Ok(())
}

fn a_crash_with_nothing_configured(ground: &Ground) -> Result<()> {
    let bad = ground.echo("v1a");
    ground.withdraw(&["web"])?;
    // Connections that are kept, so that a crash leaves stale ones behind.
    let load = ground.wrk("/", 8)?;
    until("requests everywhere", PATIENCE, || bad.requests() >= 20)?;
    load.end()?;
    bad.crash();
    let before = stat(ground, "upstream_rq_retry")?;
    let load = ground.wrk("/", 8)?;
    wait_stat(ground, "upstream_rq_retry", |it| it >= before + 30.0)?;
    let sum = load.end()?;
    ensure!(sum.failed == 0, "{sum:?}");
    bad.listen_again()?;
    ground
        .get("/")
        .until("it is back", |answer| answer.pod() == "v1a")?;
    // Errors of an application are none of a proxy's business, unless it is told so.
    bad.fail_with(Some(503));
    let counts = ground.get("/").count(60)?;
    ensure!(counts.of("503") > 0, "{counts:?}");
    Ok(())
}

fn bodies_are_sent_again(ground: &Ground) -> Result<()> {
    let bad = ground.echo("v1a");
    retries(ground, "attempts: 2, retryOn: 5xx")?;
    bad.fail_with(Some(503));
    let body = vec![b'x'; 200_000];
    let counts = ground.get("/replayed").body(body).count(40)?;
    ensure!(counts.of("v") == 40 && counts.of("v1a") == 0, "{counts:?}");
    ensure!(!bad.seen("/replayed").is_empty(), "it was never tried");
    for echo in ground.echoes.values() {
        for seen in echo.seen("/replayed") {
            ensure!(
                seen.method == "POST" && seen.body_bytes() == 200_000,
                "{seen:?}"
            );
        }
    }
    // What is too large to be kept is sent once.
    let body = vec![b'x'; 3 << 20];
    let counts = ground.get("/too-large").body(body).count(24)?;
    let failed = bad.seen("/too-large").len();
    ensure!(
        failed > 0 && counts.of("503") == failed,
        "{failed}, {counts:?}"
    );
    ensure!(attempts(ground, "/too-large").iter().all(|it| it == "1"));
    Ok(())
}

fn all_tries_fail(ground: &Ground) -> Result<()> {
    retries(ground, "attempts: 2, retryOn: gateway-error")?;
    for echo in ground.echoes.values() {
        echo.fail_with(Some(503));
    }
    let answer = ground.get("/exhausted").send()?;
    ensure!(answer.status == 503, "{answer:?}");
    ensure!(
        answer.text() == "failed on purpose\n",
        "the last answer is the one: {answer:?}"
    );
    ensure!(attempts(ground, "/exhausted") == ["1", "2", "3"]);
    let most = ground
        .echoes
        .values()
        .map(|echo| echo.seen("/exhausted").len())
        .max();
    ensure!(
        most == Some(1),
        "one endpoint was tried twice, with four there"
    );
    let line = ground.access("/exhausted")?;
    ensure!(
        line.flags == "URX" && line.details == "via_upstream" && line.status == 503,
        "{line:?}"
    );

    // Nobody can be reached.
    for echo in ground.echoes.values() {
        echo.crash();
    }
    retries(ground, "attempts: 1, retryOn: connect-failure")?;
    let answer = ground.get("/unreachable").send()?;
    ensure!(answer.status == 503, "{answer:?}");
    let told = "upstream connect error or disconnect/reset before headers. retried and the latest reset reason: \
                remote connection failure";
    ensure!(answer.text().starts_with(told), "{answer:?}");
    let line = ground.access("/unreachable")?;
    ensure!(
        ["UF,URX", "URX,UF"].contains(&line.flags.as_str()),
        "{line:?}"
    );
    ensure!(
        line.details
            .starts_with("upstream_reset_before_response_started{"),
        "{line:?}"
    );
    ensure!(line.transport_failure != "-", "{line:?}");
    for echo in ground.echoes.values() {
        echo.listen_again()?;
    }

    // What is not named, or allowed, is not tried again.
    for (on, path) in [
        ("attempts: 2, retryOn: connect-failure", "/not-named"),
        ("attempts: 0", "/never"),
    ] {
        retries(ground, on)?;
        let answer = ground.get(path).send()?;
        ensure!(answer.status == 503, "{answer:?}");
        ensure!(attempts(ground, path) == ["1"], "{path}");
        let line = ground.access(path)?;
        ensure!(line.flags == "-", "{line:?}");
    }
    Ok(())
}

fn an_answer_that_has_begun_is_not_asked_for_again(ground: &Ground) -> Result<()> {
    retries(ground, "attempts: 3, retryOn: 'reset,5xx'")?;
    let output = ground
        .get("/cut/30000?begun")
        .run(&["-o", "/dev/null", "-w", "%{http_code}"])?;
    ensure!(
        !output.status.success() && output.text() == "200",
        "{output:?}"
    );
    ensure!(attempts(ground, "/cut/30000?begun") == ["1"]);
    let line = ground.access("/cut/30000?begun")?;
    ensure!(line.status == 200 && line.flags == "UC", "{line:?}");
    Ok(())
}

fn a_slow_replica_costs_one_try(ground: &Ground) -> Result<()> {
    let bad = ground.echo("v1a");
    retries(ground, "attempts: 2, perTryTimeout: 0.25s, retryOn: 5xx")?;
    bad.delay(Duration::from_secs(30));
    let before = stat(ground, "upstream_rq_timeout")?;
    let counts = ground.get("/slow").count(32)?;
    ensure!(counts.of("v") == 32 && counts.of("v1a") == 0, "{counts:?}");
    let tried = bad.requests();
    ensure!(tried > 0, "it was never tried");
    // Given up, it is told so.
    until("they were given up", PATIENCE, || bad.active() == 0)?;
    // What is counted are requests that were given up as a whole, and of these there were none.
    let rules = "http: [{timeout: 0.25s, route: [{destination: {host: web}}]}]";
    ground.apply("web", &virtual_service("web", rules))?;
    let counts = ground.get("/slow").count(32)?;
    let late = counts.of("504");
    ensure!(late > 0 && counts.of("v") + late == 32, "{counts:?}");
    let expected = before + late as f64;
    wait_stat(ground, "upstream_rq_timeout", |it| it >= expected)?;
    let timeouts = stat(ground, "upstream_rq_timeout")?;
    ensure!(timeouts == expected, "{timeouts}, expected {expected}");
    Ok(())
}

fn statuses_of_grpc_and_others(ground: &Ground) -> Result<()> {
    let bad = ground.echo("v1a");
    // A status of its own, by number.
    retries(ground, "attempts: 2, retryOn: '418,reset'")?;
    bad.fail_with(Some(418));
    let counts = ground.get("/teapot").count(40)?;
    ensure!(counts.of("v") == 40, "{counts:?}");
    ensure!(!bad.seen("/teapot").is_empty());
    // UNAVAILABLE, which is tried again where nothing is said.
    ground.withdraw(&["web"])?;
    bad.heal();
    bad.fail_grpc(Some(14));
    let call = |path: &str| {
        let call = ground
            .get(path)
            .to("web", GRPC)
            .http2()
            .header("te: trailers");
        let call = call
            .header("content-type: application/grpc")
            .body(&b"\0\0\0\0\x02ab"[..]);
        let answer = call.send()?;
        Ok::<_, anyhow::Error>(answer.header("grpc-status").unwrap_or_default())
    };
    for _ in 0..30 {
        ensure!(call("/shop.Cart/Unavailable")? == "0");
    }
    ensure!(
        !bad.seen("/shop.Cart/Unavailable").is_empty(),
        "it was never tried"
    );
    // INVALID_ARGUMENT is an answer.
    bad.fail_grpc(Some(3));
    let mut refused = 0;
    for _ in 0..30 {
        match call("/shop.Cart/Invalid")?.as_str() {
            "0" => {}
            "3" => refused += 1,
            other => anyhow::bail!("{other:?}"),
        }
    }
    ensure!(
        refused == bad.seen("/shop.Cart/Invalid").len() && refused > 0,
        "{refused}"
    );
    Ok(())
}

fn retries_have_a_limit(ground: &Ground) -> Result<()> {
    retries(ground, "attempts: 3, retryOn: 5xx, backoff: 100ms")?;
    let limits = [
        ("maxRetries", "connectionPool: {http: {maxRetries: 1}}"),
        (
            "retryBudget",
            "retryBudget: {percent: 5, minRetryConcurrency: 1}",
        ),
    ];
    for (limit, yaml) in limits {
        policy(ground, yaml).context(limit)?;
        for echo in ground.echoes.values() {
            echo.forget();
            echo.fail_with(Some(503));
        }
        let (retried, overflown) = (
            stat(ground, "upstream_rq_retry")?,
            stat(ground, "upstream_rq_retry_overflow")?,
        );
        let load = ground.wrk(&format!("/{limit}"), 16)?;
        wait_stat(ground, "upstream_rq_retry_overflow", |it| {
            it >= overflown + 200.0
        })?;
        load.end()?;
        let retried = stat(ground, "upstream_rq_retry")? - retried;
        let overflown = stat(ground, "upstream_rq_retry_overflow")? - overflown;
        ensure!(
            retried > 0.0 && retried < overflown / 4.0,
            "{limit}: {retried} retries, {overflown} not made"
        );
        let lines = ground.access_lines(&format!("/{limit}"), 100)?;
        let overflows = lines.iter().filter(|line| line.flags == "UO").count();
        ensure!(overflows >= 90, "{limit}: {overflows} of {}", lines.len());
        for echo in ground.echoes.values() {
            echo.heal();
        }
    }
    ground.withdraw(&["policy", "web"])
}
