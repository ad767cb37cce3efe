//! Localities: near endpoints first, far ones when those fail, or as a rule distributes them.

use anyhow::{Result, ensure};
use lab::eventually;
use serde_json::json;
use suites::policy::PATIENCE;
use suites::waypoint::{Ground, destination_rule, virtual_service};

use super::{policy, wait_stat};

#[test]
fn near_endpoints_come_first_and_far_ones_when_those_fail() -> Result<()> {
    let Some(ground) = Ground::builder("locality").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        // The waypoint is on the second node.
        let zones = [("a", ["client", "guest", "v1a", "v2a"].as_slice()), ("b", &["waypoint", "v1b", "v2b"])];
        ground.lab.change(|mesh| -> Result<()> {
            for (zone, pods) in zones {
                for pod in pods {
                    mesh.workload(pod)?["locality"] = json!({"region": "r", "zone": zone});
                }
            }
            Ok(())
        })??;
        ground.wait_synced()?;
        let near = |pod: &str| ["v1b", "v2b"].contains(&pod);
        let share = |requests: usize| -> Result<usize> {
            let counts = ground.get("/").count(requests)?;
            let of_pods = counts.of("v");
            ensure!(of_pods == requests, "{counts:?}");
            Ok(counts.0.iter().filter(|(pod, _)| near(pod)).map(|(_, count)| count).sum())
        };
        // Nothing is said: everybody alike.
        let some = share(100)?;
        ensure!((25..=75).contains(&some), "{some}");

        let rules = "http: [{route: [{destination: {host: web}}], retries: {attempts: 3, retryOn: 5xx}}]";
        ground.apply("web", &virtual_service("web", rules))?;
        // Who can find out that endpoints fail prefers near ones.
        let outlier = "outlierDetection: {consecutive5xxErrors: 1, interval: 1s, baseEjectionTime: 60s, maxEjectionPercent: 100}";
        policy(&ground, outlier)?;
        ensure!(share(60)? == 60, "far ones had some");
        // Half of the near ones fail: 1.4 times a half of the load stays near.
        ground.echo("v1b").fail_with(Some(503));
        ground.get("/").count(20)?;
        wait_stat(&ground, "outlier_detection_ejections_active", |it| it == 1.0)?;
        let some = share(300)?;
        ensure!((165..=255).contains(&some), "{some} of 300 stayed near");
        // All of them: everything goes far, and nobody notices.
        ground.echo("v2b").fail_with(Some(503));
        eventually("all is far", PATIENCE, || {
            ensure!(share(40)? == 0);
            Ok(())
        })?;
        ground.calm();
        ground.withdraw(&["policy"])?;
        wait_stat(&ground, "outlier_detection_ejections_active", |it| it == 0.0)?;
        policy(&ground, outlier)?;
        ensure!(share(60)? == 60, "far ones had some");

        // As the rule distributes it, whatever is near.
        let rule = "trafficPolicy:
            loadBalancer:
              localityLbSetting:
                distribute:
                - from: r/b/*
                  to: {r/a/*: 80, r/b/*: 20}
        ";
        ground.apply("policy", &destination_rule("web", rule))?;
        let some = share(300)?;
        ensure!((30..=95).contains(&some), "{some} of 300 stayed near, a fifth was wanted");
        // Turned off.
        policy(&ground, &format!("loadBalancer: {{localityLbSetting: {{enabled: false}}}}, {outlier}"))?;
        let some = share(100)?;
        ensure!((25..=75).contains(&some), "{some}");
        Ok(())
    })
}
