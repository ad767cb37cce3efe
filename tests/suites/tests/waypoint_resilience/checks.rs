//! Active health checks of a TrafficPolicy: a replica that is ill is found before a request is spent on it.

use anyhow::{Context as _, Result, ensure};
use lab::{eventually, until};
use suites::policy::PATIENCE;
use suites::waypoint::{Ground, manifest};

use super::wait_stat;

fn checks(ground: &Ground, check: &str) -> Result<()> {
    let spec = format!(
        "targetRefs: [{{kind: Service, name: web}}]\n\
         healthCheck: {{{check}, interval: 0.2s, timeout: 0.2s, unhealthyThreshold: 2, healthyThreshold: 2}}"
    );
    ground.apply(
        "checks",
        &manifest("ambit.dev/v1alpha1", "TrafficPolicy", "web", &spec),
    )
}

#[test]
fn health_checks_find_the_ill_before_requests_do() -> Result<()> {
    let Some(ground) = Ground::builder("checks").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let echo = ground.echo("v1a");
        // Whatever fails is seen.
        let rules = "http: [{route: [{destination: {host: web}}], retries: {attempts: 0}}]";
        ground.apply("web", &suites::waypoint::virtual_service("web", rules))?;
        ground.get("/").count(20)?;
        let cases = [
            (
                "http",
                "protocol: http, path: /healthz, host: health.example",
            ),
            ("grpc", "protocol: grpc"),
            ("tcp", "protocol: tcp"),
        ];
        for (protocol, check) in cases {
            checks(&ground, check).context(protocol)?;
            if protocol != "tcp" {
                echo.forget();
                until("it is asked", PATIENCE, || echo.checks() >= 3)?;
            }
            wait_stat(&ground, "membership_healthy", |it| it == 4.0)?;
            // It falls ill while nobody asks for anything.
            match protocol {
                "tcp" => echo.crash(),
                _ => echo.healthy(false),
            }
            wait_stat(&ground, "membership_healthy", |it| it == 3.0).context(protocol)?;
            echo.fail_with(Some(500));
            echo.forget();
            let counts = ground.get("/").count(80)?;
            ensure!(
                counts.of("v") == 80 && counts.of("v1a") == 0,
                "{protocol}: {counts:?}"
            );
            ensure!(
                echo.requests() == 0,
                "{protocol}: a request was spent on it"
            );
            let name = echo.pod().ip4().to_string();
            ground
                .waypoint()
                .wait_log(&["health of an endpoint changed", &name], PATIENCE)?;
            // It is well again.
            echo.heal();
            echo.listen_again()?;
            wait_stat(&ground, "membership_healthy", |it| it == 4.0).context(protocol)?;
            eventually("it has requests", PATIENCE, || {
                let counts = ground.get("/").count(20)?;
                ensure!(counts.of("v") == 20 && counts.of("v1a") > 0, "{counts:?}");
                Ok(())
            })?;
        }
        // All are ill: nobody is asked.
        for echo in ground.echoes.values() {
            echo.healthy(false);
        }
        checks(&ground, "protocol: http, path: /healthz")?;
        wait_stat(&ground, "membership_healthy", |it| it == 0.0)?;
        let answer = ground.get("/nobody").send()?;
        ensure!(
            answer.status == 503 && answer.text() == "no healthy upstream",
            "{answer:?}"
        );
        ensure!(ground.access("/nobody")?.flags == "UH");
        // Nobody checks any more: all are used.
        ground.withdraw(&["checks"])?;
        wait_stat(&ground, "membership_healthy", |it| it == 4.0)?;
        ensure!(ground.get("/").count(20)?.of("v") == 20);
        let checked = echo.checks();
        until("requests go on", PATIENCE, || {
            ground.get("/").send().is_ok_and(|it| it.pod() == "v1a")
        })?;
        ensure!(echo.checks() == checked, "it is still asked");
        Ok(())
    })
}
