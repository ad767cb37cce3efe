//! Configuration that changes under load: not one request fails, and each is answered by the old or the new.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use suites::plane::timed;
use suites::waypoint::load::H2load;
use suites::waypoint::{Ground, H2, manifest};

/// Rules and subsets as one file, whose subset has a name that the file before did not have.
fn release(number: usize) -> String {
    let version = if number.is_multiple_of(2) { "v1" } else { "v2" };
    let rule =
        format!("host: web\nsubsets: [{{name: release-{number}, labels: {{version: {version}}}}}]");
    let service = format!(
        "hosts: [web]
http:
- match: [{{uri: {{prefix: /x-{number}}}}}]
  directResponse: {{status: 200}}
- route: [{{destination: {{host: web, subset: release-{number}}}}}]
  headers: {{response: {{set: {{x-release: '{number}'}}}}}}"
    );
    let rule = manifest("networking.istio.io/v1", "DestinationRule", "web", &rule);
    let service = manifest("networking.istio.io/v1", "VirtualService", "web", &service);
    format!("{rule}{service}")
}

/// The first lines of the access log that tell of no success.
fn failures(ground: &Ground) -> Vec<String> {
    let mut lines = ground.waypoint().log_lines(&["HTTP/"]);
    lines.retain(|line| !line.contains("\" 200 - "));
    lines.truncate(10);
    lines
}

#[test]
fn twenty_changes_under_load_cost_no_request() -> Result<()> {
    let Some(ground) = Ground::builder("changes").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        ground.apply("web", &release(0))?;
        let loads = [
            ground.wrk("/", 8)?,
            ground.wrk("/delay/50", 4)?,
            ground.wrk_to("web-v1", "/", 2)?,
        ];
        let spawn = || ground.spawn_h2load(H2, "/", [1_000_000, 2, 10], &["-D", "10"]);
        let mut many = spawn()?;
        let check = |many: H2load| -> Result<()> {
            let sum = many.wait(Duration::from_secs(60))?;
            ensure!(sum.failed == 0 && sum.answered > 1000, "{sum:?}");
            Ok(())
        };
        // Before each change: it is there throughout, however long they take.
        let keep = |many: &mut H2load| -> Result<()> {
            if many.is_running() {
                return Ok(());
            }
            check(std::mem::replace(many, spawn()?))
        };
        for number in 1..=20 {
            keep(&mut many)?;
            ground
                .apply("web", &release(number))
                .with_context(|| format!("change {number}"))?;
            // What is published is in force, on connections that are open, too.
            let answer = ground.get("/").send()?;
            let expected = if number.is_multiple_of(2) { "v1" } else { "v2" };
            ensure!(
                answer.status == 200 && answer.pod().starts_with(expected),
                "{number}: {answer:?}"
            );
            ensure!(
                answer.header("x-release") == Some(number.to_string()),
                "{number}: {answer:?}"
            );
            ensure!(ground.get(&format!("/x-{number}")).send()?.pod().is_empty());
        }
        // The policy of connections too, which are made anew then.
        for idle in ["3s", "4s", "5s"] {
            let pool = format!(
                "host: web-v1\ntrafficPolicy: {{connectionPool: {{http: {{idleTimeout: {idle}}}}}}}"
            );
            keep(&mut many)?;
            ground.apply(
                "pool",
                &manifest("networking.istio.io/v1", "DestinationRule", "web-v1", &pool),
            )?;
        }
        for load in loads {
            let sum = load.end()?;
            ensure!(
                sum.failed == 0 && sum.answered > 100,
                "{sum:?}: {:#?}",
                failures(&ground)
            );
        }
        check(many)?;
        // Nothing that is only between two changes was ever seen.
        let strange = ground.waypoint().log_lines(&["cluster_not_found"]).len()
            + ground.waypoint().log_lines(&["route_not_found"]).len();
        ensure!(strange == 0, "{strange} requests had no route");
        timed("a change, until it is in force", || {
            ground.apply("web", &release(21))
        })
    })
}
