//! How many series there can be: none that a client makes, and a bound for what backends make.

use anyhow::{Result, ensure};
use lab::until;
use suites::policy::PATIENCE;
use suites::waypoint::{Ground, manifest};

#[test]
fn nothing_that_a_client_says_makes_series() -> Result<()> {
    let Some(ground) = Ground::builder("cardinality").build()? else {
        return Ok(());
    };
    ground.lab.scenario(|| {
        let count = || -> Result<usize> {
            let text = ground.waypoint().metrics()?;
            Ok(text.lines().filter(|line| line.starts_with("istio_requests_total{")).count())
        };
        for _ in 0..20 {
            ground.get("/").send()?;
        }
        // Each with a path, a host, an agent and headers of its own.
        let all = manifest(
            "networking.istio.io/v1",
            "VirtualService",
            "web",
            "hosts: [web]\nhttp: [{route: [{destination: {host: web}}]}]",
        );
        ground.apply("web", &all)?;
        let vip = ground.vip("web")?;
        let mut config = String::new();
        for number in 0..500 {
            if number > 0 {
                config.push_str("next\n");
            }
            config.push_str(&format!(
                "url = \"http://{vip}/path-{number}?q={number}\"\nheader = \"host: host-{number}.example\"\nuser-agent = \"agent-{number}\"\n\
                 header = \"x-request-id: id-{number}\"\nheader = \"baggage: k8s.namespace.name=n-{number}\"\nrequest = \"M{number}\"\n\
                 output = \"/dev/null\"\nsilent\n"
            ));
        }
        ground.pod("client").command(["curl", "-K", "-"]).stdin(config).output()?.ok()?;
        until("all are counted", PATIENCE, || {
            ground.waypoint().metric("istio_requests_total", &[]).is_ok_and(|it| it >= 520.0)
        })?;
        let found = count()?;
        ensure!(found <= 4, "{found} series of four backends");
        // What backends answer does, up to 32 ways for each of the four; what is beyond it is counted together.
        for pod in ["v1b", "v2a", "v2b"] {
            ground.echo(pod).stop_listening();
        }
        ground.get("/status/[200-599]?of=code").arg("-o").arg("/dev/null").run(&[])?;
        until("all are counted", PATIENCE, || {
            ground.waypoint().metric("istio_requests_total", &[]).is_ok_and(|it| it >= 920.0)
        })?;
        let found = count()?;
        ensure!((20..=129).contains(&found), "{found} series of 400 codes");
        let rest = [("response_code", "unknown"), ("response_flags", "unknown")];
        ensure!(ground.waypoint().metric("istio_requests_total", &rest)? > 200.0);
        Ok(())
    })
}
