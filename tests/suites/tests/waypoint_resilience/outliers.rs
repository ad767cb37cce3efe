//! Outlier detection: who is left out, for how long, and who stays whatever happens.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::{eventually, until};
use suites::policy::PATIENCE;
use suites::waypoint::{Ground, Scenario, virtual_service};

use super::{policy, stat, wait_idle, wait_stat};

#[test]
fn replicas_that_fail_are_left_out_for_a_while() -> Result<()> {
    let Some(ground) = Ground::builder("outliers").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        // Every failure is seen, unless a scenario says otherwise.
        retries(&ground, "attempts: 0")?;
        let scenarios: [(&str, Scenario); 6] = [
            ("errors", out_after_errors_and_back_in_time),
            ("crash", a_crash_loop_under_load_is_not_noticed),
            ("percent", only_a_part_is_left_out),
            ("panic", in_panic_all_are_used),
            ("nobody", nobody_is_left),
            ("kinds", errors_are_told_apart),
        ];
        for (name, scenario) in scenarios {
            scenario(&ground).context(name)?;
            wait_idle(&ground).context(name)?;
            ground.calm();
            ground.withdraw(&["policy"])?;
            wait_stat(&ground, "outlier_detection_ejections_active", |it| {
                it == 0.0
            })?;
        }
        Ok(())
    })
}

fn retries(ground: &Ground, retries: &str) -> Result<()> {
    let rules =
        format!("http: [{{route: [{{destination: {{host: web}}}}], retries: {{{retries}}}}}]");
    ground.apply("web", &virtual_service("web", &rules))
}

fn outlier(ground: &Ground, yaml: &str) -> Result<()> {
    policy(ground, &format!("outlierDetection: {{{yaml}}}"))
}

/// Fails with this status in these pods.
fn fail(ground: &Ground, pods: &[&str], status: u16) {
    for pod in pods {
        ground.echo(pod).fail_with(Some(status));
    }
}

fn out_after_errors_and_back_in_time(ground: &Ground) -> Result<()> {
    let bad = ground.echo("v1a");
    let (base, interval) = (Duration::from_secs(8), "interval: 1s");
    outlier(
        ground,
        &format!(
            "consecutive5xxErrors: 3, {interval}, baseEjectionTime: 8s, maxEjectionPercent: 50"
        ),
    )?;
    let total = stat(ground, "outlier_detection_ejections_total")?;
    fail(ground, &["v1a"], 500);
    let begun = Instant::now();
    // One connection, one request after the other: the third error is the last.
    let counts = ground.get("/").count(100)?;
    ensure!(counts.of("500") == 3, "{counts:?}");
    ensure!(bad.requests() == 3, "{}", bad.requests());
    wait_stat(ground, "outlier_detection_ejections_active", |it| it == 1.0)?;
    wait_stat(ground, "membership_healthy", |it| it == 3.0)?;
    ensure!(stat(ground, "outlier_detection_ejections_total")? == total + 1.0);
    ground.waypoint().wait_log(
        &[
            "endpoint is left out",
            "web.shop",
            &bad.pod().ip4().to_string(),
        ],
        PATIENCE,
    )?;
    // In its time, and not before.
    bad.heal();
    bad.forget();
    eventually("it is back", PATIENCE, || {
        let counts = ground.get("/").count(20)?;
        ensure!(counts.of("500") == 0, "{counts:?}");
        ensure!(bad.requests() > 0, "it gets nothing");
        Ok(())
    })?;
    ensure!(
        begun.elapsed() >= base,
        "it was back after {:?}",
        begun.elapsed()
    );
    // Successes between errors begin the count anew.
    bad.fail_with(Some(500));
    bad.fail_share(50);
    let counts = ground.get("/").count(100)?;
    ensure!(counts.of("500") > 3, "{counts:?}");
    ensure!(stat(ground, "outlier_detection_ejections_total")? == total + 1.0);
    Ok(())
}

fn a_crash_loop_under_load_is_not_noticed(ground: &Ground) -> Result<()> {
    let bad = ground.echo("v1a");
    retries(
        ground,
        "attempts: 2, retryOn: 'connect-failure,refused-stream,reset'",
    )?;
    outlier(
        ground,
        "consecutive5xxErrors: 2, interval: 0.5s, baseEjectionTime: 1s, maxEjectionPercent: 50",
    )?;
    let load = ground.wrk("/", 8)?;
    for round in 0..3 {
        let total = stat(ground, "outlier_detection_ejections_total")?;
        until("it gets requests", PATIENCE, || bad.requests() > 0)
            .with_context(|| format!("round {round}"))?;
        bad.crash();
        wait_stat(ground, "outlier_detection_ejections_total", |it| it > total)?;
        bad.listen_again()?;
        bad.forget();
    }
    until("it is back", PATIENCE, || bad.requests() > 0)?;
    let sum = load.end()?;
    ensure!(sum.failed == 0, "{sum:?}");
    retries(ground, "attempts: 0")
}

/// Who of these got requests, of so many.
fn used<'p>(ground: &Ground, pods: &[&'p str], requests: usize) -> Result<Vec<&'p str>> {
    for echo in ground.echoes.values() {
        echo.forget();
    }
    ground.get("/").count(requests)?;
    let used = pods.iter().copied();
    Ok(used.filter(|pod| ground.echo(pod).requests() > 0).collect())
}

const BAD: [&str; 3] = ["v1a", "v1b", "v2a"];

fn only_a_part_is_left_out(ground: &Ground) -> Result<()> {
    let base = "consecutive5xxErrors: 2, interval: 1s, baseEjectionTime: 60s";
    outlier(ground, &format!("{base}, maxEjectionPercent: 50"))?;
    fail(ground, &BAD, 500);
    ground.get("/").count(150)?;
    wait_stat(ground, "outlier_detection_ejections_active", |it| it == 2.0)?;
    let used = used(ground, &BAD, 150)?;
    ensure!(used.len() == 1, "{used:?} of those that fail");
    // One in any case.
    ground.withdraw(&["policy"])?;
    wait_stat(ground, "outlier_detection_ejections_active", |it| it == 0.0)?;
    outlier(ground, base)?;
    ground.get("/").count(150)?;
    wait_stat(ground, "outlier_detection_ejections_active", |it| it == 1.0)?;
    Ok(())
}

fn in_panic_all_are_used(ground: &Ground) -> Result<()> {
    let base =
        "consecutive5xxErrors: 2, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 100";
    outlier(ground, base)?;
    fail(ground, &BAD, 500);
    ground.get("/").count(150)?;
    wait_stat(ground, "outlier_detection_ejections_active", |it| it == 3.0)?;
    // Nothing is said: the one that is left gets it all.
    let counts = ground.get("/").count(60)?;
    ensure!(counts.of("v2b") == 60, "{counts:?}");
    // One of four is less than 60 per cent.
    outlier(ground, &format!("{base}, minHealthPercent: 60"))?;
    let used = used(ground, &["v1a", "v1b", "v2a", "v2b"], 150)?;
    ensure!(used.len() == 4, "{used:?}");
    // With those that have recovered it is enough again.
    for pod in ["v1a", "v1b"] {
        ground.echo(pod).heal();
    }
    Ok(())
}

fn nobody_is_left(ground: &Ground) -> Result<()> {
    outlier(
        ground,
        "consecutive5xxErrors: 1, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 100",
    )?;
    fail(ground, &["v1a", "v1b", "v2a", "v2b"], 500);
    let counts = ground.get("/").count(60)?;
    ensure!(
        counts.of("500") == 4 && counts.of("503") == 56,
        "{counts:?}"
    );
    let answer = ground.get("/nobody").send()?;
    ensure!(
        answer.status == 503 && answer.text() == "no healthy upstream",
        "{answer:?}"
    );
    let line = ground.access("/nobody")?;
    ensure!(
        line.flags == "UH" && line.details == "no_healthy_upstream",
        "{line:?}"
    );
    ensure!(line.upstream_host == "-", "{line:?}");
    Ok(())
}

fn errors_are_told_apart(ground: &Ground) -> Result<()> {
    let bad = ground.echo("v1a");
    let rest = "interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 50";
    // Only those of gateways.
    outlier(
        ground,
        &format!("consecutive5xxErrors: 0, consecutiveGatewayErrors: 2, {rest}"),
    )?;
    fail(ground, &["v1a"], 500);
    let counts = ground.get("/").count(80)?;
    ensure!(counts.of("500") > 5, "{counts:?}");
    fail(ground, &["v1a"], 502);
    let counts = ground.get("/").count(80)?;
    ensure!(counts.of("502") == 2, "{counts:?}");
    ground.withdraw(&["policy"])?;
    // Statuses of one's own.
    ground.calm();
    outlier(
        ground,
        &format!("consecutive5xxErrors: 2, outlierDetectionHttpErrorCodes: ['418'], {rest}"),
    )?;
    fail(ground, &["v1a"], 500);
    let counts = ground.get("/").count(80)?;
    ensure!(counts.of("500") > 5, "{counts:?}");
    fail(ground, &["v1a"], 418);
    let counts = ground.get("/").count(80)?;
    ensure!(counts.of("418") == 2, "{counts:?}");
    ground.withdraw(&["policy"])?;
    // Failures of connections, apart from answers.
    ground.calm();
    let split = "splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 2, consecutive5xxErrors: 0";
    outlier(ground, &format!("{split}, {rest}"))?;
    fail(ground, &["v1a"], 503);
    let counts = ground.get("/").count(80)?;
    ensure!(counts.of("503") > 5, "{counts:?}");
    bad.crash();
    ground.get("/").count(80)?;
    wait_stat(ground, "outlier_detection_ejections_active", |it| it == 1.0)?;
    let counts = ground.get("/").count(80)?;
    ensure!(counts.of("v") == 80, "{counts:?}");
    bad.listen_again()
}
