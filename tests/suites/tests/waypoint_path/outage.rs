//! Without its waypoint a service is not reached at all: connections fail with the reason, and never pass it by.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use lab::eventually;
use serde_json::json;
use suites::plane;
use suites::policy::{Mark, PATIENCE};
use suites::traffic::steady::Steady;
use suites::waypoint::{Ground, H2, HTTP, TCP, destination_rule, service, virtual_service};

/// That nothing is answered on any port, that no backend hears of it, and why.
fn refused(ground: &Ground, reason: &str) -> Result<()> {
    let mark = Mark::now(&ground.ztunnels[0]);
    let before = (ground.requests(""), connections(ground));
    for port in [HTTP, H2, TCP] {
        let output = ground
            .get("/")
            .to("web", port)
            .arg("-m")
            .arg("20")
            .run(&[])?;
        ensure!(
            !output.status.success() && output.stdout.is_empty(),
            "{port}: {output:?}"
        );
    }
    ensure!(
        (ground.requests(""), connections(ground)) == before,
        "it was passed by"
    );
    eventually("the reason in the log", PATIENCE, || {
        let texts = [
            "error",
            "access",
            &format!("{}:", ground.vip("web")?),
            reason,
        ];
        let lines = mark.lines(&ground.ztunnels[0], &texts);
        ensure!(
            lines.len() == 3,
            "{lines:#?} in {}",
            ground.ztunnels[0].log_tail()
        );
        Ok(())
    })
}

fn connections(ground: &Ground) -> u64 {
    ground.echoes.values().map(|echo| echo.connections()).sum()
}

#[test]
fn a_waypoint_that_is_away_is_never_passed_by() -> Result<()> {
    // Its endpoint is the waypoint itself.
    let circle = service("circle")
        .named_port("http-web", 80, 15008)
        .backend("waypoint");
    let Some(ground) = Ground::builder("away").service(circle).build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ensure!(ground.get("/").send()?.status == 200);
        // Gone without a word.
        ground.waypoint().kill()?;
        refused(&ground, "connection failed")?;
        // Others are not concerned.
        let address = format!("http://{}:8080/", ground.pod("v1b").ip4());
        ground
            .pod("client")
            .exec(["curl", "-sS", "-m", "10", &address])?
            .ok()?;
        // Known to be away.
        let ready = |status: &str| -> Result<()> {
            ground.lab.change(|mesh| {
                mesh.workload("waypoint")
                    .map(|it| it["status"] = json!(status))
            })??;
            ground.wait_synced()
        };
        ready("Unhealthy")?;
        refused(&ground, "no healthy upstream")?;
        // Back.
        ready("Healthy")?;
        ground.waypoint().restart()?;
        ground.waypoint().wait_ready()?;
        eventually("the waypoint is back", PATIENCE, || {
            ensure!(ground.get("/").send()?.status == 200);
            Ok(())
        })?;

        // What leads to the waypoint itself ends there, at once.
        let answer = ground.get("/").to("circle", 80).send()?;
        ensure!(answer.status == 503, "{answer:?}");
        let lines = ground.access_lines("circle.shop", 1)?;
        ensure!(lines.len() == 1, "{lines:#?}");
        Ok(())
    })
}

#[test]
fn a_controller_that_is_away_changes_nothing() -> Result<()> {
    let Some(ground) = Ground::builder("alone").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let subsets =
            "subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]";
        let rules = |subset: &str| {
            let rules =
                format!("http: [{{route: [{{destination: {{host: web, subset: {subset}}}}}]}}]");
            virtual_service("web", &rules)
        };
        ground.apply("subsets", &destination_rule("web", subsets))?;
        ground.apply("web", &rules("v1"))?;
        let controller = ground.lab.controller()?;
        let steady = Steady::start(
            &ground.pod("client"),
            [SocketAddr::new(ground.vip("web")?.into(), HTTP)],
        )?;
        let load = ground.wrk("/", 4)?;
        controller.kill()?;
        steady.wait_for(40)?;
        ensure!(ground.get("/").count(20)?.of("v1") == 20);
        // A backend that fails is left to retries, as ever.
        ground.echo("v1a").crash();
        ensure!(ground.get("/").count(20)?.of("v1b") == 20);
        ground.echo("v1a").listen_again()?;
        // What is written meanwhile holds when it comes back.
        plane::write(&ground.lab, "web", &rules("v2"))?;
        ensure!(ground.get("/").count(10)?.of("v1") == 10);
        controller.restart()?;
        eventually("the change", PATIENCE, || {
            let counts = ground.get("/").count(10)?;
            ensure!(counts.of("v2") == 10, "{counts:?}");
            Ok(())
        })?;
        steady.wait_for(20)?;
        let failures = steady.end()?;
        ensure!(failures.is_empty(), "{failures:#?}");
        // wrk had requests under way at the replica that crashed, whose answers nobody may ask for again.
        let sum = load.end()?;
        ensure!(sum.failed <= 4, "{sum:?}");
        Ok(())
    })
}
